"""The figures of the speed page, and how two runs are compared."""

import json

import compare
import numpy as np
import pytest
import table

from asmnet import FaceAnalyzer


@pytest.mark.parametrize("faces", [1, 2, 5])
def test_scenes_hold_as_many_faces_as_they_say(faces):
    assert len(FaceAnalyzer(threads=1).detect(table.scene(faces))) == faces


def test_frames_move():
    first, *_, last = table.frames(table.scene(1))
    assert first.shape == last.shape == (480, 640, 3)
    assert not np.array_equal(first, last)


def test_a_row_is_written(tmp_path, capsys):
    path = tmp_path / "new.json"
    table.main(["--rows", "shares", "faces", "--rounds", "1", "--json", str(path)])
    figures = json.loads(path.read_text())["figures"]
    assert 0 < figures["outside ONNX Runtime, detect, one face"] < 1
    assert figures["one more face / one more crop"] > 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in figures)


def test_a_figure_that_got_worse_is_told(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps({"figures": {"a": 1.0, "b": 1.0, "eight threads / one": 2.0}}))
    new.write_text(json.dumps({"figures": {"a": 0.5, "b": 1.05, "eight threads / one": 1.9}}))
    assert compare.main([str(old), str(new)]) == 0
    new.write_text(json.dumps({"figures": {"a": 1.2, "c": 1.0, "eight threads / one": 1.5}}))
    assert compare.main([str(old), str(new)]) == 1
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line.endswith("worse") for line in lines] == [True, False, True, False]
    assert "only in" in lines[1]
