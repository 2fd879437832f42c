"""Which sets are open, and that every set has its record."""

import ast
from pathlib import Path

import pytest

import asmnet.datasets
from asmnet.datasets.detection import read_crowds, read_open_backgrounds
from asmnet.datasets.licences import (
    LICENCES,
    crowds_licences,
    is_open,
    licence_of,
    require_open,
    sets_read,
)
from asmnet.datasets.records import LabelError
from asmnet.errors import InvalidInputError

SOURCES = """file,source,repository,licence,terms
a.jpg,18f,18F/site,CC0 1.0,open: CC0
b.jpg,osie,NUS/osie,none,not stated for the photos
c.jpg,k8s,k8s/website,Apache-2.0,open repo: Apache-2.0
"""


def write_crowds(root: Path, names: str, sources: str | None = SOURCES) -> Path:
    images = root / "crowds" / "images"
    images.mkdir(parents=True)
    for name in names:
        (images / f"{name}.jpg").touch()
    if sources is not None:
        (root / "crowds" / "sources.csv").write_text(sources)
    return images


def sources_of_records() -> set[str]:
    """What the readers say of where a face or photo comes from."""
    known, found = {"LabelledFace": 3, "DetectionPhoto": 1, "_labelled": 0, "_tight_csv": 1}, set()
    for path in Path(asmnet.datasets.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in known:
                place = known[node.func.id]
                value = node.args[place] if place < len(node.args) else None
                if isinstance(value, ast.Constant):
                    found.add(value.value)
    return found


def test_every_set_that_a_reader_names_has_a_record():
    found = sources_of_records()
    assert {"300w", "wflw", "crowds", "open", "fgnet", "300vw"} <= found
    parts = {name.split("/")[0] for name in LICENCES} | {"crowds"}  # of which each photo has one
    assert found <= parts


def test_research_sets_are_closed():
    closed = {"300w", "300w_lp", "300w_lp_ibug", "wflw", "pointing04", "youtube_faces", "utkface"}
    closed |= {"helen_unlabelled", "backgrounds", "fgnet", "facemask", "aflw2000", "300vw"}
    assert {name for name, record in LICENCES.items() if not record.open} == closed


def test_of_crowds_only_the_open_photos_are_taken(tmp_path):
    write_crowds(tmp_path, "abcd")  # of d nobody says anything
    everything, taken = (
        {p.image.name for part in ("train", "val") for p in read_crowds(tmp_path, part, **options)}
        for options in ({}, {"open_only": True})
    )
    assert everything == {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}
    assert taken == {"a.jpg", "c.jpg"}
    backgrounds = [p for part in ("train", "val") for p in read_open_backgrounds(tmp_path, part)]
    assert {path.name for path in backgrounds} == taken


def test_without_the_list_of_licences_nothing_is_open(tmp_path):
    images = write_crowds(tmp_path, "ab", sources=None)
    assert not is_open("crowds", images / "a.jpg")
    with pytest.raises(InvalidInputError, match=r"sources\.csv: expected every photo"):
        licence_of("crowds", images / "a.jpg")


def test_a_broken_list_of_licences_is_named(tmp_path):
    write_crowds(tmp_path, "a", sources="file,source\na.jpg,18f\n")
    with pytest.raises(LabelError, match=r"sources\.csv, line 2: expected file, source, "):
        crowds_licences(tmp_path / "crowds")


def test_parts_of_open_have_licences_of_their_own():
    assert licence_of("open", Path("open/fairface/1.jpg")).licence == "CC BY 4.0"
    with pytest.raises(InvalidInputError, match="got 'open/elsewhere'"):
        licence_of("open", Path("open/elsewhere/1.jpg"))
    assert not is_open("open", Path("open/elsewhere/1.jpg"))
    (unknown,) = sets_read([("open", Path("open/elsewhere/1.jpg"))])
    assert (unknown["licence"], unknown["open"]) == ("unknown", False)


def test_a_run_lists_what_it_read_and_an_open_one_nothing_closed(tmp_path):
    images = write_crowds(tmp_path, "abcd")
    read = sets_read(
        [
            ("open", Path("open/fairface/1.jpg")),
            ("open", Path("open/fairface/1.jpg")),  # another face of that photo
            ("open", Path("open/fairface/2.jpg")),
            ("crowds", images / "a.jpg"),
        ]
    )
    assert [(r["name"], r["licence"], r["open"], r["photos"]) for r in read] == [
        ("crowds/18f", "CC0 1.0", True, 1),
        ("open/fairface", "CC BY 4.0", True, 2),
    ]
    require_open(read)
    closed = sets_read([("crowds", images / "b.jpg"), ("crowds", images / "d.jpg")])
    with pytest.raises(InvalidInputError, match=r"got crowds \(unknown\), crowds/osie \(none\)"):
        require_open(closed)
