"""Whatever a decoder or a network raises is the error of one image."""

import gc
import json
import weakref

import numpy as np
import pytest

import asmnet.analyzer
import asmnet.batch.worker
import asmnet.commands.detect
import asmnet.detector
from asmnet import FaceAnalyzer, ImageDecodeError, ImageError, InvalidInputError
from asmnet.batch.worker import BatchOptions, analyze
from asmnet.cli import main
from asmnet.guard import guarded

BLACK = np.zeros((32, 32, 3), np.uint8)
# Nothing in common but that they end one image, and that no list would have them all.
ERRORS = [MemoryError(), ZeroDivisionError("x"), RecursionError(), Exception("x"),
          InvalidInputError("box"), ImageDecodeError("bad: x")]  # fmt: skip
names = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


@pytest.fixture
def bad(monkeypatch, error):
    """Makes the loading of "bad" raise ``error``, that of all else a black image."""

    def load(path, **_):
        if isinstance(path, str) and path == "bad":
            raise error
        return BLACK

    def reduced(path, *_, **__):
        return load(path), 1

    for module in (asmnet.analyzer, asmnet.batch.worker, asmnet.commands.detect):
        monkeypatch.setattr(module, "load_image", load)
    for module in (asmnet.analyzer, asmnet.detector):
        monkeypatch.setattr(module, "load_reduced", reduced)


@names
def test_one_image_of_a_stream(analyzer, bad, error):
    results = analyzer.detect_stream(["a", "bad", "b"], workers=2, on_error="return")
    before, failed, after = results
    assert (before, after) == ([], [])
    assert isinstance(failed, ImageError)
    assert "bad" in str(failed)
    assert failed is error or type(error).__name__ in str(failed)
    with pytest.raises(type(error)):
        list(analyzer.detect_stream(["a", "bad"], workers=1))


@names
def test_one_file_of_a_batch(bad, error):
    chunk = analyze(BatchOptions(), ["a", "bad", "b"])
    (row,) = [json.loads(line) for line in chunk.rows.splitlines()]
    assert row["file"] == "bad"
    assert "bad: " in row["error"]
    assert (chunk.files, chunk.faces, chunk.failed) == (["a", "bad", "b"], 0, 1)


@names
def test_one_file_of_detect(bad, error, tmp_path, capsys):
    assert main(["detect", "a", "bad", "b", "--json", str(tmp_path / "f.json")]) == 1
    assert "asmnet: 1 failed" in capsys.readouterr().err
    results = json.loads((tmp_path / "f.json").read_text())
    assert [list(result)[1] for result in results] == ["faces", "error", "faces"]


@names
def test_one_photo_of_ray(analyzer, bad, error):
    pytest.importorskip("pyarrow")
    from asmnet.ray import DetectFaces

    rows = DetectFaces()({"path": ["a", "bad", "b"]}).to_pylist()
    assert [row["file"] for row in rows] == ["bad"]
    assert rows[0]["error"].startswith("bad: ")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes(stop):
    with pytest.raises(stop), guarded("x"):
        raise stop


@pytest.mark.parametrize(
    "wrong",
    [{"min_score": 2}, {"max_faces": 0}, {"channel_order": "grb"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_option_is_no_image_s_fault(analyzer, wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        list(analyzer.detect_stream([BLACK], on_error="return", **wrong))


def test_weights_that_fail_are_no_file_s_fault(monkeypatch):
    def load(*_, **__):
        raise asmnet.WeightsError("x")

    monkeypatch.setattr(asmnet.batch.worker, "_analyzer", load)
    with pytest.raises(asmnet.WeightsError):
        analyze(BatchOptions(), ["a"])


def test_a_full_disk_is_no_photo_s_fault(photos, tmp_path, monkeypatch):
    def save(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(asmnet.batch.worker, "_save", save)
    with pytest.raises(OSError, match="No space"):
        analyze(BatchOptions(crops=tmp_path), [str(photos / "astronaut.png")])


def test_errors_that_are_kept_do_not_keep_their_images(analyzer, monkeypatch):
    seen = []

    class Pixels(np.ndarray):
        """Can be referred to weakly."""

    def load(path, *_, **__):
        pixels = np.zeros((8, 8, 3), np.uint8).view(Pixels)
        seen.append(weakref.ref(pixels))
        raise ZeroDivisionError

    monkeypatch.setattr(asmnet.detector, "load_reduced", load)
    errors = list(analyzer.detect_stream(["a", "b"], workers=1, on_error="return"))
    gc.collect()
    assert len(errors) == len(seen) == 2
    assert [reference() for reference in seen] == [None, None]
    assert isinstance(errors[0].__cause__, ZeroDivisionError)


def test_a_detector_that_fails(monkeypatch):
    analyzer = FaceAnalyzer(threads=1)

    def run(*_, **__):
        raise MemoryError

    monkeypatch.setattr(analyzer._detector, "detect", run)
    (error,) = analyzer.detect_stream([BLACK], on_error="return")
    assert str(error) == "image of shape (32, 32, 3): MemoryError: "
