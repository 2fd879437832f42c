"""Rows of faces, written out by hand."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

import asmnet
from asmnet.rows import (
    COLUMNS,
    arrow_schema,
    error_row,
    face_rows,
    read_csv,
    read_parquet,
    to_jsonl,
    write_csv,
    write_parquet,
)

POINTS = 0.126 + np.arange(136).reshape(68, 2)


def face(**changes):
    pose = asmnet.HeadPose(1.234, -5.678, 9.0, np.eye(3))
    whole = asmnet.Face(
        bbox=np.array([1.234, 2.345, 30.119, 40.991]), score=0.987654, scheme=asmnet.IBUG_68,
        landmarks=POINTS, pose=pose, confidence=np.linspace(0, 1, 68), presence=0.123456,
    )  # fmt: skip
    return replace(whole, **changes)


def test_a_row_has_each_value_in_its_column_rounded():
    first, second = face_rows("a.jpg", [face(), face(score=None, presence=None, confidence=None)])
    assert tuple(first) == COLUMNS
    points, confidence = first.pop("landmarks"), first.pop("confidence")
    assert first == {
        "file": "a.jpg", "face": 0, "score": 0.9877, "presence": 0.1235,
        "x0": 1.23, "y0": pytest.approx(2.34, abs=0.011), "x1": 30.12, "y1": 40.99,
        "pitch": 1.23, "yaw": -5.68, "roll": 9.0, "scheme": "ibug68", "error": None,
    }  # fmt: skip
    assert points == [round(0.13 + i, 2) for i in range(136)]
    assert confidence == [round(value, 2) for value in np.linspace(0, 1, 68).tolist()]
    assert second["face"] == 1
    assert second["landmarks"] == points
    assert [second[name] for name in ("score", "presence", "confidence")] == [None] * 3


def test_the_row_of_a_failed_file_has_nothing_else():
    row = error_row("a.jpg", ValueError("why"))
    assert tuple(row) == COLUMNS
    assert {k: v for k, v in row.items() if v is not None} == {"file": "a.jpg", "error": "why"}


@pytest.fixture
def rows():
    """Five: more than two groups of two; one has no confidence, one is an error."""
    faces = [face(), face(confidence=None, presence=None), face(score=None), face()]
    return [*face_rows("ä, b.jpg", faces), error_row("c.jpg", ValueError('"why"\n?'))]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_row_is_lost_between_groups(rows, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("asmnet.rows.ROW_GROUP", 2)
    path = tmp_path / f"faces{suffix}"
    if suffix == ".csv":
        write_csv(rows, path, points=68)
        read = read_csv
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        write_parquet(rows, path)
        read = read_parquet
        assert parquet.ParquetFile(path).num_row_groups == 3
        assert parquet.read_schema(path) == arrow_schema()
    assert to_jsonl(read(path)) == to_jsonl(rows)


def test_a_line_of_csv_has_each_value_below_its_name(rows, tmp_path):
    path = tmp_path / "faces.csv"
    write_csv(rows[1:2], path, points=68)
    header, line = (text.split(",") for text in path.read_text().replace("ä, b", "a").splitlines())
    assert len(header) == len(set(header)) == len(line)
    cells = dict(zip(header, line, strict=True))
    assert {k: v for k, v in cells.items() if not k.startswith(("landmark_", "confidence_"))} == {
        "file": '"a.jpg"', "face": "1", "score": "0.9877", "presence": "", "x0": "1.23",
        "y0": str(rows[1]["y0"]), "x1": "30.12", "y1": "40.99", "pitch": "1.23", "yaw": "-5.68",
        "roll": "9.0", "scheme": "ibug68", "error": "",
    }  # fmt: skip
    assert (cells["landmark_0_x"], cells["landmark_0_y"]) == ("0.13", "1.13")
    assert (cells["landmark_67_x"], cells["landmark_67_y"]) == ("134.13", "135.13")
    assert {v for k, v in cells.items() if k.startswith("confidence_")} == {""}


def test_lines_of_json_are_ascii_and_one_a_row(rows):
    lines = to_jsonl(rows).decode("ascii").splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert to_jsonl([]) == b""


def test_what_parquet_needs_is_told(rows, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "faces.parquet"
    for call in (arrow_schema, lambda: write_parquet(rows, path), lambda: next(read_parquet(path))):
        with pytest.raises(asmnet.InvalidInputError, match=r"pip install asmnet\[parquet\]"):
            call()
    assert not path.exists()
