r"""Writes the manifest's figures into README.md and the pages of docs/: `python docs/tables.py`.

A table stands between `<!-- table: COMMAND -->` and `<!-- end -->`; its rows are what
`asmnet-train evaluate COMMAND --update-manifest` stored, its columns the weights that have any.

Within text a figure is followed by a comment with its weight and key, for example (on one line)
`3.27<!-- asmnet-68: 300W common, label box, NME % -->`; within a table each | of a key is written
\|. It keeps its number of decimals.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MANIFEST = ROOT / "weights_manifest.json"
ORDER = (
    "asmnet-face", "asmnet-face-verifier", "asmnet-68", "asmnet-98", "asmnet-98-wide",
    "asmnet-68-lite", "asmnet-paper-68", "mobilenetv2-68", "atpn-68",
)  # fmt: skip
FIGURE = re.compile(r"\d+(?:\.(\d+))?(\**<!-- ([\w-]+): (.+?) -->)")
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


def figure(name: str, key: str, records: dict[str, dict[str, Any]]) -> float:
    """A figure of the manifest; KeyError without it."""
    value: float = records[name]["metrics"][key.replace("\\|", "|")]["value"]
    return value


def filled(page: str) -> str:
    """The page with its tables and figures as the manifest has them."""
    records = {r["name"]: r for r in json.loads(MANIFEST.read_text(encoding="utf-8"))["weights"]}
    page = MARKED.sub(lambda mark: f"{mark[1]}\n{table(mark[2], records)}\n{mark[3]}", page)
    return FIGURE.sub(
        lambda mark: f"{figure(mark[3], mark[4], records):.{len(mark[1] or '')}f}{mark[2]}", page
    )


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
