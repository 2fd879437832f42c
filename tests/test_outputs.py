"""No command writes over an input, nor over a file that was there before the run."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asmnet.cli import main
from asmnet.commands.outputs import open_output
from asmnet.video import VideoWriter


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder has two small photos and a video."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save("photo.jpg")
    Image.new("RGB", (40, 30)).save("a.png")
    with VideoWriter("in.mp4", 10) as video:
        for i in range(3):
            video.write(np.zeros((48, 64, 3), np.uint8), i / 10)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


DESTRUCTIVE = [
    ["detect", "photo.jpg", "--draw", "."],
    ["detect", "a.png", "photo.jpg", "--json", "photo.jpg"],
    ["detect", "photo.jpg", "--json", "link.json"],
    ["detect", "photo.jpg", "--json", "hard.json"],
    ["track", "in.mp4", "--out", "in.mp4"],
    ["track", "in.mp4", "--json", "in.mp4"],
    ["track", "in.mp4", "--json", "./x/../in.mp4"],
    ["track", "in.mp4", "--out", "link.mp4"],
    ["track", "in.mp4", "--out", "hard.mp4"],
]


@pytest.mark.parametrize("arguments", DESTRUCTIVE, ids=" ".join)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_an_input_is_never_written_over(folder, capsys, arguments, overwrite):
    (folder / "x").mkdir()
    Path("link.json").symlink_to("photo.jpg")
    Path("link.mp4").symlink_to("in.mp4")
    os.link("photo.jpg", "hard.json")
    os.link("in.mp4", "hard.mp4")
    before = contents(folder)
    assert main([*arguments, *overwrite]) == 2
    assert "expected another file than the inputs" in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["detect", "a.png", "--draw", "."], "a.jpg"),
        (["detect", "a.png", "--json", "faces.json"], "faces.json"),
        (["track", "in.mp4", "--out", "out.mp4"], "out.mp4"),
        (["track", "in.mp4", "--json", "faces.jsonl"], "faces.jsonl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_file_that_is_there_stays_without_overwrite(folder, capsys, arguments, output):
    Path(output).write_text("mine")
    before = contents(folder)
    assert main(arguments) == 2
    assert f"{output} is there already" in capsys.readouterr().err
    assert contents(folder) == before
    assert main([*arguments, "--overwrite"]) == 0
    after = contents(folder)
    assert after.pop(output) != before.pop(output)
    assert after == before


def test_two_outputs_are_two_files(folder, capsys):
    assert main(["track", "in.mp4", "--out", "o.mp4", "--json", "o.mp4"]) == 2
    assert main(["detect", "a.png", "--draw", ".", "--json", "a.jpg"]) == 2
    assert capsys.readouterr().err.count("the other outputs") == 2
    assert not (folder / "o.mp4").exists()
    assert not (folder / "a.jpg").exists()


def test_a_file_that_appears_during_the_run_stays(folder, monkeypatch, capsys):
    import asmnet.commands.detect

    real = asmnet.commands.detect.load_image

    def load(path):
        Path("a.jpg").write_text("somebody's")
        return real(path)

    monkeypatch.setattr(asmnet.commands.detect, "load_image", load)
    assert main(["detect", "a.png", "photo.jpg", "--draw", ".", "--json", "f.json"]) == 2
    shutil.move("photo.jpg", "p.png")
    assert main(["detect", "a.png", "p.png", "--draw", ".", "--json", "f.json"]) == 1
    assert Path("a.jpg").read_text() == "somebody's"
    assert [list(result) for result in json.loads(Path("f.json").read_text())] == [
        ["file", "error"],
        ["file", "faces"],
    ]


def test_a_pipe_or_device_is_no_file_that_could_be_lost(folder):
    assert main(["detect", "a.png", "--json", os.devnull]) == 0
    assert main(["track", "in.mp4", "--json", os.devnull]) == 0


def stopped(path, error, **options):
    with open_output(path, overwrite=True, **options) as file:
        file.write(b"half")
        raise error


def test_half_a_file_is_removed(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_text("old")
    for path in (new, old):
        with pytest.raises(KeyboardInterrupt):
            stopped(path, KeyboardInterrupt)
    assert not new.exists()
    assert old.read_text() == "half"
    with pytest.raises(FileExistsError), open_output(old, overwrite=False):
        pass
    with pytest.raises(MemoryError):
        stopped(new, MemoryError, keep=True)
    assert new.read_text() == "half"
