#!/usr/bin/env bash
# The suite without its slow parts on the oldest versions that setup.cfg allows, all together, and
# on the newest ones. uv brings the interpreters; where it cannot fetch one, those that are here do.
#
# usage: matrix.sh UV PACKAGE FOLDER; the environments are made in FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1 package=$2 folder=$3
oldest=3.10 newest=3.14

# pyenv's commands run only the versions that are chosen: choose all.
if command -v pyenv >/dev/null; then
    PYENV_VERSION=$(pyenv versions --bare --skip-aliases | sort -rV | paste -sd:)
    export PYENV_VERSION
fi

environment() { # NAME VERSION...: with the first version that can be had
    local name=$1 version
    for version in "${@:2}"; do
        if "$uv" venv --quiet --clear --python "$version" "$folder/$name"; then
            echo "== $name: Python $version"
            return
        fi
        echo "matrix: no Python $version to be had here"
    done
    return 1
}

suite() { # NAME
    "$uv" pip list --quiet --python "$folder/$1" |
        grep -E "^(huggingface|numpy|onnxruntime|opencv|pillow|pyarrow)"
    "$folder/$1/bin/pytest" -q -m "not slow" tests/test_*.py tests/batch tests/tracking \
        tests/weights --ignore=tests/test_docs.py --ignore=tests/test_examples.py
}

environment oldest "$oldest"
"$uv" pip install --quiet --python "$folder/oldest" --resolution lowest-direct "$package[dev]"
suite oldest

environment newest "$newest" 3.13 3.12
"$uv" pip install --quiet --python "$folder/newest" --upgrade "$package[dev]"
suite newest
