"""Under which licence each data set is, and whether weights that learn from it may be shipped.

"Open" photos and meshes are in the public domain, CC0 or CC BY; code and models beside them have an
open-source licence. The records say what the sets' own pages say: facts, no legal advice.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from asmnet.datasets.records import LabelError
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.weights import MANIFEST, find_record, is_named, manifest
from asmnet.weights.records import read_records


@dataclass(frozen=True)
class SetLicence:
    """The licence of a data set, or of a part of one.

    Attributes:
        name: of the set's folder, with the part's behind a slash: "open/fairface".
        licence: short name, or what the terms allow.
        open: whether weights that learnt from it may be used for anything.
        evidence: where that is written, in one line.
        creator: who is to be named.
        url: where the set, or its repository, is.
    """

    name: str
    licence: str
    open: bool
    evidence: str
    creator: str = ""
    url: str = ""


_RESEARCH = "research only"
_LICENCES = (
    SetLicence("300w", _RESEARCH, False, "iBUG's page: the annotations are for research only"),
    SetLicence("300w_lp", _RESEARCH, False, "made from 300W, whose terms it keeps"),
    SetLicence("300w_lp_ibug", _RESEARCH, False, "made from 300W, whose terms it keeps"),
    SetLicence("300vw", _RESEARCH, False, "iBUG's page: for research only"),
    SetLicence("aflw2000", _RESEARCH, False, "photos of AFLW, which are for research only"),
    SetLicence("wflw", _RESEARCH, False, "photos of WIDER FACE, which are for research only"),
    SetLicence("helen_unlabelled", _RESEARCH, False, "Flickr photos of Helen, for research"),
    SetLicence("youtube_faces", _RESEARCH, False, "frames of other people's videos, for research"),
    SetLicence("pointing04", _RESEARCH, False, "its page names research only"),
    SetLicence("backgrounds", "non-commercial research", False, "BSDS500's own terms"),
    SetLicence("facemask", "not clear", False, "called CC0, but agencies' marks are on photos"),
    SetLicence("utkface", "non-commercial research", False, "UTKFace's own terms"),
    SetLicence("fgnet", _RESEARCH, False, "FG-NET's own terms"),
    SetLicence(
        "open/interfaces", "CC0 1.0", True,
        "README of inter-faces; its CREDITS names the page of each photo",
        "C. Downer, inter-faces", "https://github.com/cjdowner/interfaces",
    ),
    SetLicence(
        "open/congress", "public domain", True,
        "official portraits of the US Congress, works of the US Government Publishing Office",
        "US Government Publishing Office",
    ),
    SetLicence(
        "open/fairface", "CC BY 4.0", True,
        "FairFace's page; its photos are other people's, whom it does not name",
        "Kimmo Kärkkäinen and Jungseock Joo, FairFace, 2021", "https://github.com/joojs/fairface",
    ),
    SetLicence(
        "open/own", "your own", True,
        "whoever trains on them vouches for them", "whoever trains on them",
    ),
    SetLicence(
        "makehuman", "CC0 1.0", True, "LICENSE files of MakeHuman's targets and assets",
        "MakeHuman's team", "https://github.com/makehumancommunity/makehuman",
    ),
    SetLicence(
        "hdri", "CC0 1.0", True, "HDRI Haven's licence page",
        "HDRI Haven", "https://polyhaven.com/license",
    ),
    SetLicence(
        "ict_face68", "MIT", True, "LICENSE of ICT-FaceKit",
        "USC Institute for Creative Technologies", "https://github.com/USC-ICT/ICT-FaceKit",
    ),
    SetLicence("synthetic", "CC0 1.0", True, "pictures rendered of makehuman and hdri alone"),
)  # fmt: skip
LICENCES = {record.name: record for record in _LICENCES}
"""Of every set that is under one licence as a whole, or of each of its parts; by name.

The photos of ``crowds`` have a licence each: see `licence_of`.
"""


@dataclass(frozen=True)
class TeacherLicence:
    """A network of others that open weights learn from.

    Attributes:
        name: as label files and the manifest call it.
        licence: of its weights.
        evidence: where that is written.
        trained_on: what its makers say that it was trained on, and what is not known.
    """

    name: str
    licence: str
    evidence: str
    trained_on: str


_TEACHERS = (
    TeacherLicence(
        "mediapipe",
        "Apache-2.0",
        "LICENSE of MediaPipe, and the face mesh's model card",
        "photos of Google's own, as its model card says; they are not public",
    ),
    TeacherLicence(
        "yunet",
        "MIT",
        "LICENSE beside it in OpenCV's model zoo",
        "WIDER FACE, whose photos are for research; its makers released the weights under MIT",
    ),
)
OPEN_TEACHERS = {teacher.name: teacher for teacher in _TEACHERS}
"""What labels may come from besides open weights, and be open themselves."""
BOX_TEACHER = "yunet"
"""Whose boxes the label files of `BOXED_SETS` hold."""
BOXED_SETS = ("open", "crowds")
OPEN_WEIGHTS = frozenset({"Apache-2.0", "MIT", "CC0-1.0"})
"""Licences of weights that open weights may start from, or learn from."""


def weights_licence(weights: str) -> str | None:
    """The licence of named weights, or of a file that a manifest knows by its hash; or None.

    The manifest is the package's, or the one beside the file, as an export writes it.

    Raises:
        WeightsError: the file cannot be read.
    """
    if is_named(weights):
        return find_record(weights).license
    path = Path(weights)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    known = {record.sha256: record.license for record in manifest().values()}
    beside = path.resolve().parent.parent / MANIFEST
    if beside.exists():
        known |= {r["sha256"]: r["license"] for r in read_records(beside)}
    return known.get(digest)


def licence_of(source: str, image: Path) -> SetLicence:
    """The licence of a photo.

    Args:
        source: the set that it belongs to, as its record says.
        image: its path; of sets with parts the folder's name tells which.

    Raises:
        InvalidInputError: a set or a part that has no record here; of "crowds", a photo that
            ``sources.csv`` does not name.
        LabelError: a broken ``sources.csv``.
    """
    if source == "crowds":
        listed = crowds_licences(image.parent.parent)
        if image.name not in listed:
            raise InvalidInputError(f"{image.parent.parent}: sources.csv: expected every photo")
        return listed[image.name]
    name = f"open/{image.parent.name}" if source == "open" else source
    if name not in LICENCES:
        raise InvalidInputError(
            f"{image.parent}: expected a set with a record of its licence, got {name!r}"
        )
    return LICENCES[name]


@cache
def crowds_licences(folder: Path) -> dict[str, SetLicence]:
    """The licence of each photo of ``crowds`` by its file's name, from its ``sources.csv``.

    Without that file nothing is known, so nothing is open: an empty dict.
    """
    path = folder / "sources.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = ("file", "source", "repository", "licence", "terms")
    for number, row in enumerate(rows, start=2):
        if any(row.get(column) is None for column in columns):
            raise LabelError(f"{path}, line {number}: expected {', '.join(columns)}")
    return {
        row["file"]: SetLicence(
            f"crowds/{row['source']}",
            row["licence"],
            row["terms"].startswith("open"),
            f"{row['repository']}: {row['terms']}",
            row["repository"].partition("/")[0],
            f"https://github.com/{row['repository']}",
        )
        for row in rows
    }


def is_open(source: str, image: Path) -> bool:
    """Whether a photo is open; what nobody vouches for is not."""
    return _licence_or_unknown(source, image).open


def sets_read(photos: Iterable[tuple[str, Path]]) -> list[dict[str, Any]]:
    """What a training read: a dict for each set, or part of one, for the record of the run.

    Args:
        photos: source and path of each photo; one with several faces may come several times.

    Returns:
        name, licence, open, evidence as in `SetLicence`; photos, the number of different ones; and
        sha256 of their names with their folders', sorted, one a line.
    """
    groups: dict[SetLicence, list[str]] = defaultdict(list)
    for source, path in set(photos):
        groups[_licence_or_unknown(source, path)].append(f"{path.parent.name}/{path.name}\n")
    return [
        {
            **asdict(record),
            "photos": len(names),
            "sha256": hashlib.sha256("".join(sorted(names)).encode()).hexdigest(),
        }
        for record, names in sorted(groups.items(), key=lambda item: item[0].name)
    ]


def _licence_or_unknown(source: str, image: Path) -> SetLicence:
    try:
        return licence_of(source, image)
    except InvalidInputError as error:
        return SetLicence(source, "unknown", open=False, evidence=str(error))


def require_open(read: Iterable[dict[str, Any]]) -> None:
    """Refuses a list of `sets_read` that holds anything closed.

    Raises:
        InvalidInputError: naming the sets that are not open.
    """
    closed = [f"{item['name']} ({item['licence']})" for item in read if not item["open"]]
    if closed:
        raise InvalidInputError(f"open: expected open sets only, got {', '.join(closed)}")
