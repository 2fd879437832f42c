"""Writing of weights manifests; needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asmnet.weights import SCHEMA_VERSION


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records as plain JSON."""
    return list(_read(path)["weights"])


def read_record(path: Path, name: str) -> dict[str, Any]:
    """The record of that name as plain JSON; KeyError without one."""
    for record in read_records(path):
        if record["name"] == name:
            return record
    raise KeyError(name)


def write_record(record: dict[str, Any], path: Path) -> None:
    """Puts a record into a manifest, in place of the older one of that name."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "weights": []}
    if path.exists():
        content = _read(path)
    others = [r for r in content["weights"] if r["name"] != record["name"]]
    content["weights"] = sorted([*others, record], key=lambda r: str(r["name"]))
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
