r"""Writes figures into README.md and the pages of docs/: `python docs/tables.py`.

A table stands between `<!-- table: COMMAND -->` and `<!-- end -->`; its rows are what
`asmnet-train evaluate COMMAND --update-manifest` stored, its columns the weights that have any.

Between `<!-- results: NAME -->` and `<!-- end -->` stands a table of `docs/results/NAME.json`,
which a command wrote with `--json`; with `NAME KEY` the table under that key. It is a list of rows,
or columns of figures by name. As long as there is no such file the page's own table stays.

Within text a figure is followed by a comment with its weight and key, for example (on one line)
`3.27<!-- asmnet-68: 300W common, label box, NME % -->`; within a table each | of a key is written
\|. It keeps its number of decimals.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from asmnet.evaluation.report import markdown, markdown_rows

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MANIFEST = ROOT / "weights_manifest.json"
ORDER = (
    "asmnet-face", "asmnet-face-verifier", "asmnet-68", "asmnet-98", "asmnet-98-wide",
    "asmnet-68-lite", "asmnet-paper-68", "mobilenetv2-68", "atpn-68",
)  # fmt: skip
FIGURE = re.compile(r"\d+(?:\.(\d+))?(\**<!-- ([\w-]+): (.+?) -->)")
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
RESULTS = ROOT / "docs" / "results"
MEASURED = re.compile(r"(<!-- results: (\w+)(?: ([\w ]+))? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table(command: str, records: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of the figures of one evaluation."""
    columns: dict[str, dict[str, float]] = {}
    for name in ORDER:
        for figure, entry in records[name]["metrics"].items():
            if entry["command"].startswith(f"asmnet-train evaluate {command} "):
                columns.setdefault(name, {})[figure] = entry["value"]
    return markdown(columns)


def measured(name: str, key: str | None) -> str | None:
    """A Markdown table of a file of results; None without the file."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    table = content if key is None else content[key]
    return markdown_rows(table) if isinstance(table, list) else markdown(table)


def figure(name: str, key: str, records: dict[str, dict[str, Any]]) -> float:
    """A figure of the manifest; KeyError without it."""
    value: float = records[name]["metrics"][key.replace("\\|", "|")]["value"]
    return value


def filled(page: str) -> str:
    """The page with its tables and figures as the manifest has them."""
    records = {r["name"]: r for r in json.loads(MANIFEST.read_text(encoding="utf-8"))["weights"]}
    page = MARKED.sub(lambda mark: f"{mark[1]}\n{table(mark[2], records)}\n\n{mark[3]}", page)
    page = MEASURED.sub(_results, page)
    return FIGURE.sub(
        lambda mark: f"{figure(mark[3], mark[4], records):.{len(mark[1] or '')}f}{mark[2]}", page
    )


def _results(mark: re.Match[str]) -> str:
    text = measured(mark[2], mark[3])
    return mark[0] if text is None else f"{mark[1]}\n{text}\n\n{mark[5]}"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
