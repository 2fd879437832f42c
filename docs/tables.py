r"""Writes figures into README.md and the pages of docs/: `python docs/tables.py`.

A table stands between `<!-- table: COMMAND -->` and `<!-- end -->`; its rows are what
`asmnet-train evaluate COMMAND --update-manifest` stored, its columns the weights that have any.
Between `<!-- licences: WHAT -->` and `<!-- end -->` stand the families, weights, sets or teachers.

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

from asmnet.datasets.licences import LICENCES, OPEN_TEACHERS
from asmnet.evaluation.report import markdown, markdown_rows
from asmnet.weights import families, manifest

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MANIFEST = ROOT / "weights_manifest.json"
ORDER = (
    "asmnet-face", "asmnet-face-verifier", "asmnet-68", "asmnet-98", "asmnet-98-wide",
    "asmnet-68-lite", "asmnet-open-face", "asmnet-open-face-verifier", "asmnet-open-68",
    "asmnet-paper-68", "mobilenetv2-68", "atpn-68",
)  # fmt: skip
FIGURE = re.compile(r"\d+(?:\.(\d+))?(\**<!-- ([\w-]+): (.+?) -->)")
LICENSED = re.compile(r"(<!-- licences: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
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


def family_rows() -> list[dict[str, str]]:
    """What each name of a family stands for."""
    rows = []
    for family in families().values():
        parts = {
            "detector": family.detector, "verifier": family.verifier,
            "68 points": family.landmarks, "98 points": family.landmarks_98,
        }  # fmt: skip
        licences = {manifest()[name].short_license for name in parts.values() if name}
        rows.append(
            {"`weights=`": f'`"{family.name}"`', "licence": ", ".join(sorted(licences))}
            | {part: f"`{name}`" if name else "none" for part, name in parts.items()}
        )
    return rows


def weight_rows() -> list[dict[str, str]]:
    """Licence and data of each weight; teachers of those that name them apart."""
    rows = []
    for record in manifest().values():
        data = [f"{s['name']} ({s['licence']})" for s in record.data_sets] or record.training_data
        teachers = dict.fromkeys(f"{t['name']} ({t['licence']})" for t in record.teachers)
        rows.append({
            "weights": f"`{record.name}`", "licence": record.short_license,
            "learnt from": "; ".join(data), "teachers": ", ".join(teachers),
        })  # fmt: skip
    return rows


def set_rows() -> list[dict[str, str]]:
    """Each set that training can read, the open ones first."""
    return [
        {
            "set": f"`{record.name}`", "licence": record.licence,
            "open": "yes" if record.open else "no",
            "by": f"[{record.creator}]({record.url})" if record.url else record.creator,
            "evidence": record.evidence,
        }
        for record in sorted(LICENCES.values(), key=lambda record: (not record.open, record.name))
    ]  # fmt: skip


def teacher_rows() -> list[dict[str, str]]:
    """The networks of others that open weights may learn from."""
    return [
        {
            "teacher": f"`{teacher.name}`", "licence": teacher.licence,
            "evidence": teacher.evidence, "trained on": teacher.trained_on,
        }
        for teacher in OPEN_TEACHERS.values()
    ]  # fmt: skip


LISTS = {
    "families": family_rows,
    "weights": weight_rows,
    "sets": set_rows,
    "teachers": teacher_rows,
}


def figure(name: str, key: str, records: dict[str, dict[str, Any]]) -> float:
    """A figure of the manifest; KeyError without it."""
    value: float = records[name]["metrics"][key.replace("\\|", "|")]["value"]
    return value


def filled(page: str) -> str:
    """The page with its tables and figures as the manifest has them."""
    records = {r["name"]: r for r in json.loads(MANIFEST.read_text(encoding="utf-8"))["weights"]}
    page = LICENSED.sub(
        lambda mark: f"{mark[1]}\n{markdown_rows(LISTS[mark[2]]())}\n\n{mark[3]}", page
    )
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
