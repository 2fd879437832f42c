"""CREDITS.md of open weights: whose photos and parts they learnt from, and under which licence."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from asmnet.datasets.licences import LICENCES, SetLicence, crowds_licences
from asmnet.datasets.records import LabelError

CREDITS = "CREDITS.md"
# What stands for a licence on the web; the first that a set's licence begins with, or names.
LICENCE_PAGES = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "Creative Commons By": "https://creativecommons.org/licenses/by/",
    "MIT": "https://opensource.org/license/mit",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
}
_HEAD = """# Credits

The weights of this folder whose licence is Apache-2.0, as the manifest says, learnt from the open
photos and parts below; their records tell from which. **Changed**: photos were cut out, scaled,
turned, darkened, covered and otherwise distorted, and learnt from. None is in this package. Those
who made them endorse neither the weights nor what is done with them.

Written by `asmnet-train credits` from the lists that come with the data."""
_PARTS = ("makehuman", "hdri")
_LINK = re.compile(r"- \[([^\]]+)\]\(([^)]+)\)")


def credits_of(data: Path) -> str:
    """The text of CREDITS.md for the open sets that are under a data folder.

    Raises:
        LabelError: there is no open set, or ``sources.csv`` is broken.
    """
    sections = [*_open_sets(data / "open"), *_crowds(data / "crowds"), *_rendered(data)]
    if not sections:
        raise LabelError(f"{data}: expected open sets under open, crowds, makehuman, got none")
    return "\n\n".join([_HEAD, *sections]) + "\n"


def _open_sets(folder: Path) -> list[str]:
    sections = []
    for record in LICENCES.values():
        part = record.name.removeprefix("open/")
        names = sorted(path.name for path in (folder / part).glob("*.jpg"))
        if part == record.name or not names:
            continue
        lines = _section(record, record.name, f"{len(names)} photos")
        if part == "interfaces":
            lines += _pages(folder / CREDITS, set(names))
        sections.append("\n".join(lines))
    return sections


def _pages(path: Path, names: set[str]) -> list[str]:
    """The pages that the photos of inter-faces came from, by its own list."""
    if not path.exists():
        return []
    listed = _LINK.findall(path.read_text(encoding="utf-8"))
    return ["", *(f"- {name}: <{page}>" for name, page in listed if name in names)]


def _crowds(folder: Path) -> list[str]:
    files: dict[SetLicence, list[str]] = defaultdict(list)
    for name, record in crowds_licences(folder).items():
        if record.open:
            files[record].append(name)
    sections = []
    for record, names in sorted(files.items(), key=lambda item: item[0].name):
        lines = _section(record, record.url.removeprefix("https://"), f"{len(names)} photos")
        lines += ["", "Files: " + ", ".join(sorted(names))]
        sections.append("\n".join(lines))
    return sections


def _rendered(data: Path) -> list[str]:
    sections = []
    for name in _PARTS:
        files = sorted(path.name for path in (data / name).glob("*.hdr"))
        if (data / name).exists():
            what = f"{len(files)} environments: {', '.join(files)}" if files else "a head of parts"
            sections.append("\n".join(_section(LICENCES[name], name, f"rendered; {what}")))
    return sections


def _section(record: SetLicence, title: str, what: str) -> list[str]:
    page = next((page for key, page in LICENCE_PAGES.items() if key in record.licence), "")
    return [
        f"## {title}",
        "",
        f"- By: {record.creator}",
        *([f"- Source: <{record.url}>"] if record.url else []),
        f"- Licence: {record.licence}" + (f", <{page}>" if page else ""),
        f"- Evidence: {record.evidence}",
        f"- Used: {what}",
    ]
