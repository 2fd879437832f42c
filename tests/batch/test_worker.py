"""What a batch's options do in a worker, and which of them a run that goes on must share."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import asmnet
from asmnet.batch import runner
from asmnet.batch.runner import run_batch
from asmnet.batch.worker import BatchOptions, analyze
from asmnet.cli import main
from asmnet.errors import InvalidInputError
from asmnet.image import load_image
from asmnet.rows import face_rows, read_csv


def rows_of(options, *files):
    return [json.loads(line) for line in analyze(options, list(files)).rows.splitlines()]


@pytest.mark.parametrize(
    ("options", "detector", "analysis"),
    [
        ({}, {}, {}),
        ({"landmarks": 98}, {}, {}),
        ({"min_score": 0.999}, {}, {"min_score": 0.999}),
        ({"min_score": 0.05}, {}, {"min_score": 0.05}),
        ({"max_faces": 1}, {}, {"max_faces": 1}),
        ({"input_size": 64}, {"input_size": 64}, {}),
        ({"input_size": 320, "tiles": True}, {"input_size": 320, "tiles": True}, {}),
    ],
)
def test_each_option_reaches_the_networks(photos, options, detector, analysis):
    analyzer = asmnet.FaceAnalyzer(
        landmarks=options.get("landmarks", 68),
        detector=asmnet.FaceDetector(**detector, threads=1),
        threads=1,
    )
    file = str(photos / "apollo11_crew.jpg")
    assert rows_of(BatchOptions(**options), file) == face_rows(
        file, analyzer.detect(file, **analysis)
    )


def test_a_table_of_98_points(photos, tmp_path):
    (tmp_path / "list").write_text(f"{photos}/astronaut.png\n")
    out = tmp_path / "faces.csv"
    assert main(["batch", str(tmp_path / "list"), "--out", str(out), "--workers", "1",
                 "--landmarks", "98"]) == 0  # fmt: skip
    (row,) = read_csv(out)
    assert (row["scheme"], len(row["landmarks"]), len(row["confidence"])) == ("wflw98", 196, 98)
    header, line = out.read_text().splitlines()
    assert header.split(",")[-1] == "error"
    assert header.count(",") == line.count(",") == 12 + 3 * 98


def test_paths_are_names_and_a_string_is_an_output(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    *_, last = run_batch([photos / "astronaut.png"], "faces.jsonl", BatchOptions())
    assert (last.files, last.faces) == (1, 1)
    (row,) = map(json.loads, Path("faces.jsonl").read_text().splitlines())
    assert row["file"] == str(photos / "astronaut.png")


def test_each_crop_is_that_of_its_face_and_its_file(photos, tmp_path, analyzer):
    """Photos outside of the root keep their whole path, so that equal names do not meet."""
    crew, one = tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.jpg"
    for path, name in ((crew, "apollo11_crew.jpg"), (one, "london_006_03.jpg")):
        path.parent.mkdir()
        shutil.copy(photos / name, path)
    crops = tmp_path / "crops"
    options = BatchOptions(crops=crops, crops_root=tmp_path / "x", crop_size=80)
    rows_of(options, str(crew), str(one))
    outside = one.relative_to(one.anchor)
    for file, place in ((crew, Path("a.jpg")), (one, outside)):
        image = load_image(file)
        faces = analyzer.detect(image)
        assert faces
        for index, face in enumerate(faces):
            crop = load_image(crops / place.with_name(f"a.jpg-{index}.jpg")).astype(int)
            expected = asmnet.aligned_crop(image, face, size=80)
            assert np.abs(crop - expected).mean() < 5  # of 255: JPEG
    assert len(list(crops.rglob("*.jpg"))) == 4


# --- what must be the same to go on -------------------------------------------------------------

CHANGES = {
    "landmarks": 98, "min_score": 0.6, "max_faces": 3, "input_size": 64, "tiles": True,
    "crops": Path("c"), "crops_root": Path("r"), "crop_size": 64, "max_pixels": 1000,
}  # fmt: skip


@pytest.fixture
def finished(tmp_path):
    """A table of no file, and a run to it that goes on."""
    out = tmp_path / "faces.jsonl"
    list(run_batch([], out, BatchOptions()))

    def resume(options=None):
        return list(run_batch([], out, options or BatchOptions(), resume=True))

    assert resume()
    return resume


@pytest.mark.parametrize("name", CHANGES)
def test_an_option_that_changed_is_named(finished, name):
    # Another family: tests/weights/test_families.py.
    assert {*CHANGES, "weights"} == set(BatchOptions.__dataclass_fields__)
    with pytest.raises(InvalidInputError, match=rf"the options changed: .*\b{name} "):
        finished(replace(BatchOptions(), **{name: CHANGES[name]}))


@pytest.mark.parametrize("name", ["asmnet-face", "asmnet-68"])
def test_other_weights_are_told(finished, monkeypatch, name):
    real = runner.load_weights
    monkeypatch.setattr(runner, "load_weights", lambda n: b"new" if n == name else real(n))
    kind = "detector" if name == "asmnet-face" else "landmarker"
    with pytest.raises(InvalidInputError, match=rf"options changed: {kind} '"):
        finished()


def test_another_version_is_told(finished, monkeypatch):
    monkeypatch.setattr(runner, "__version__", "99.0")
    with pytest.raises(InvalidInputError, match=r"options changed: asmnet '.*' -> '99\.0'"):
        finished()
