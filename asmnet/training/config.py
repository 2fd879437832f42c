"""Config files of the training: TOML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def read_config(path: Path) -> dict[str, Any]:
    """The tables of a config file."""
    # Imported here because publishing needs nothing of the training extra.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    return tomllib.loads(path.read_text(encoding="utf-8"))
