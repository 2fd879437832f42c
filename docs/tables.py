"""Writes the tables of docs/accuracy.md from the manifest's figures: `python docs/tables.py`.

A table stands between `<!-- table: COMMAND -->` and `<!-- end -->`; its rows are what
`asmnet-train evaluate COMMAND --update-manifest` stored, its columns the weights that have any.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "accuracy.md"
MANIFEST = Path(__file__).parent.parent / "weights_manifest.json"
ORDER = (
    "asmnet-face", "asmnet-68", "asmnet-98", "asmnet-98-wide", "asmnet-68-lite", "asmnet-paper-68",
    "mobilenetv2-68", "atpn-68",
)  # fmt: skip
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(command: str, records: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of the figures of one evaluation."""
    rows: dict[str, dict[str, float]] = {}
    for name in ORDER:
        for figure, entry in records[name]["metrics"].items():
            if entry["command"].startswith(f"asmnet-train evaluate {command} "):
                rows.setdefault(figure, {})[name] = entry["value"]
    columns = [name for name in ORDER if any(name in values for values in rows.values())]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for figure, values in rows.items():
        cells = [f"{values[name]:.2f}" if name in values else "" for name in columns]
        lines.append("| " + " | ".join([figure.replace("|", "\\|"), *cells]) + " |")
    return "\n".join(lines) + "\n"


def filled(page: str) -> str:
    """The page with its tables as the manifest has them."""
    records = {r["name"]: r for r in json.loads(MANIFEST.read_text(encoding="utf-8"))["weights"]}
    return MARKED.sub(lambda mark: f"{mark[1]}\n{table(mark[2], records)}\n{mark[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
