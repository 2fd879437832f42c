"""Credits of open weights are made from the lists that come with the data."""

import pytest
from PIL import Image

from asmnet.training.cli import main

SOURCES = """file,source,repository,licence,terms
b.jpg,club,club/site,"CC BY 4.0, by the club",open: CC BY (site)
a.jpg,club,club/site,"CC BY 4.0, by the club",open: CC BY (site)
c.jpg,osie,NUS/osie,none,not stated for the photos
"""
PAGES = """#### Version 1.0
- [001.jpg](https://example.org/photo/1)
- [002.jpg](https://example.org/photo/2)
"""


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for name in ("open/fairface/f1.jpg", "open/fairface/f2.jpg", "open/interfaces/001.jpg",
                 "open/elsewhere/x.jpg", "crowds/images/a.jpg"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / name)
    (root / "open" / "CREDITS.md").write_text(PAGES)
    (root / "crowds" / "sources.csv").write_text(SOURCES)
    (root / "hdri").mkdir()
    (root / "hdri" / "wood.hdr").write_bytes(b"")
    return root


def write(data, out, *options):
    return main(["credits", "--data", str(data), "--out", str(out), *options])


def sections(text):
    parts = text.split("\n## ")
    return {part.partition("\n")[0]: part for part in parts[1:]}


def test_each_open_set_is_named_with_creator_licence_and_source(data, tmp_path):
    out = tmp_path / "CREDITS.md"
    assert write(data, out) == 0
    text = out.read_text(encoding="utf-8")
    assert "**Changed**" in text.split("\n## ")[0]
    found = sections(text)
    assert set(found) == {"open/fairface", "open/interfaces", "github.com/club/site", "hdri"}
    fairface = found["open/fairface"]
    for part in ("Kärkkäinen", "<https://creativecommons.org/licenses/by/4.0/>", "2 photos",
                 "<https://github.com/joojs/fairface>"):  # fmt: skip
        assert part in fairface
    club = found["github.com/club/site"]
    for part in ("By: club", "Licence: CC BY 4.0, by the club", "Files: a.jpg, b.jpg",
                 "<https://github.com/club/site>"):  # fmt: skip
        assert part in club
    assert "001.jpg: <https://example.org/photo/1>" in found["open/interfaces"]
    assert "002.jpg" not in text, "a page of a photo that is not there"
    assert "wood.hdr" in found["hdri"]


def test_it_is_made_again_the_same_and_replaces_nothing_unasked(data, tmp_path, capsys):
    out = tmp_path / "CREDITS.md"
    assert write(data, out) == 0
    first = out.read_bytes()
    assert write(data, out) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert write(data, out, "--overwrite") == 0
    assert out.read_bytes() == first


def test_without_open_sets_nothing_is_written(tmp_path, capsys):
    assert write(tmp_path, tmp_path / "CREDITS.md") == 1
    assert "expected open sets under open, crowds, makehuman, got none" in capsys.readouterr().err
    assert not (tmp_path / "CREDITS.md").exists()
