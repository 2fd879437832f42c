#!/usr/bin/env bash
# Installs Debian's packages of what is missing: bash web/setup.sh node chromium
set -euo pipefail

missing=()
for need in "$@"; do
  case "$need" in
    node) command -v npm >/dev/null || missing+=(nodejs npm) ;;
    chromium)
      [ -n "${CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome >/dev/null || missing+=(chromium)
      ;;
    *) echo "expected node or chromium, got $need" >&2; exit 2 ;;
  esac
done

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Install Node 18 or newer with npm, and Chromium, whose path CHROMIUM may name" >&2
    exit 1
  fi
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update --quiet
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
fi
