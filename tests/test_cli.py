import json
import subprocess
import sys

import pytest
from PIL import Image

from asmnet.cli import main


def test_table(photos, capsys):
    assert main(["detect", str(photos / "astronaut.png")]) == 0
    out = capsys.readouterr().out
    assert out.count("astronaut.png") == 1
    assert "pitch" in out.splitlines()[0]


def test_no_face_is_no_error(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    assert main(["detect", str(tmp_path / "black.png")]) == 0
    assert "no face" in capsys.readouterr().out


def test_json_and_pictures(photos, tmp_path):
    target, folder = tmp_path / "faces.json", tmp_path / "drawn" / "deep"
    paths = [str(photos / name) for name in ("astronaut.png", "apollo11_crew.jpg")]
    assert main(["detect", *paths, "--json", str(target), "--draw", str(folder)]) == 0
    results = json.loads(target.read_text())
    assert [(r["file"], len(r["faces"])) for r in results] == list(zip(paths, [1, 3], strict=True))
    assert len(results[0]["faces"][0]["landmarks"]) == 68
    with Image.open(folder / "astronaut.jpg") as drawn, Image.open(paths[0]) as original:
        assert drawn.size == original.size
    assert (folder / "apollo11_crew.jpg").exists()


def test_json_to_standard_output_is_nothing_but_json(photos, capsys):
    assert main(["detect", str(photos / "astronaut.png"), "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 1
    assert "astronaut.png" in captured.err


def test_equal_names_do_not_overwrite_each_other(photos, tmp_path):
    (tmp_path / "a").mkdir()
    other = tmp_path / "a" / "astronaut.jpg"
    Image.new("RGB", (10, 10)).save(other)
    main(["detect", str(photos / "astronaut.png"), str(other), "--draw", str(tmp_path / "out")])
    sizes = set()
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as image:
            sizes.add(image.size)
    assert sizes == {(512, 512), (10, 10)}


def test_failures_are_listed_at_the_end_and_the_others_done(photos, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    target = tmp_path / "faces.json"
    paths = [str(broken), str(photos / "astronaut.png"), str(tmp_path / "gone.jpg"), str(tmp_path)]
    assert main(["detect", *paths, "--json", str(target)]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "asmnet: 3 failed"
    for path in (broken, tmp_path / "gone.jpg"):
        assert str(path) in captured.err
    results = {r["file"]: r for r in json.loads(target.read_text())}
    assert len(results[paths[1]]["faces"]) == 1
    assert "error" in results[paths[0]]
    assert "error" in results[paths[2]]


def test_max_pixels_lowers_and_raises_the_limit(photos, capsys, monkeypatch):
    photo = str(photos / "astronaut.png")
    assert main(["detect", photo, "--max-pixels", "1000"]) == 1
    assert "at most 1000 pixels" in capsys.readouterr().err
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000)
    assert main(["detect", photo]) == 1
    assert main(["detect", photo, "--max-pixels", "262144"]) == 0
    assert Image.MAX_IMAGE_PIXELS == 200_000


def test_unwritable_json_is_a_failure(photos, tmp_path, capsys):
    target = tmp_path / "no" / "such" / "folder.json"
    assert main(["detect", str(photos / "astronaut.png"), "--json", str(target)]) == 1
    assert "--json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["detect"],
        ["detect", "x.jpg", "--landmarks", "5"],
        ["detect", "x.jpg", "--min-score", "7"],
        ["detect", "x.jpg", "--min-score", "high"],
        ["detect", "x.jpg", "--max-faces", "0"],
        ["fly"],
    ],
)
def test_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_module_and_help():
    done = subprocess.run(
        [sys.executable, "-m", "asmnet", "detect", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "yaw > 0" in done.stdout
