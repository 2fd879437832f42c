"""asmnet-train writes over nothing that was there before, nor ever over its data."""

import importlib
import json
import shutil
from pathlib import Path

import pytest

from asmnet.evaluation.model_card import MARK
from asmnet.training.cli import RUN_FILES, main
from asmnet.training.export.publish import publish
from asmnet.weights import MANIFEST, PACKAGE

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "asmnet-face.toml")
REPORT = ["figures.json", "table.md"]
LANDMARK_REPORT = [*REPORT, "ced.png", "error_per_point.png", "worst.png"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder has data and a network."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photo.jpg").write_text("a photo")
    (tmp_path / "own.onnx").write_text("a network")
    return tmp_path


def refused(arguments, capsys, message):
    """The command ends before it touches anything."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


WRITES = [
    (["label", "own.onnx", "--data", "data", "--out", "out.npz"], "out.npz"),
    (["asm", "--data", "data", "--out", "asm.png"], "asm.png"),
    (["face3d", "--data", "data", "--out", "face.npz"], "face.npz"),
    *(
        (["evaluate", what, "--data", "data", option, file], file)
        for what in ("detector", "landmarks", "pose", "robustness")
        for option, file in (("--json", "f.json"), ("--sheet", "s.png"))
    ),
    *(
        (["evaluate", what, "--data", "data", "--report", "report"], f"report/{file}")
        for what, files in (
            ("detector", REPORT),
            ("landmarks", LANDMARK_REPORT),
            ("pose", REPORT),
            ("robustness", [*REPORT, "reliability.png"]),
        )
        for file in files
    ),
]


@pytest.mark.parametrize(
    ("arguments", "file"), WRITES, ids=lambda v: "" if isinstance(v, list) else v
)
def test_a_file_that_is_there_stays(folder, capsys, arguments, file):
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("mine")
    refused(arguments, capsys, f"{file} is there already")


@pytest.mark.parametrize(
    "arguments",
    [
        ["label", "own.onnx", "--data", "data", "--out", "own.onnx"],
        ["label", "asmnet-68", "--data", "data", "--out", "data/photo.jpg"],
        ["asm", "--data", "data", "--model", "own.onnx", "--out", "own.onnx"],
        ["asm", "--data", "data", "--out", "data/photo.jpg"],
        ["face3d", "--data", "data", "--out", "link.jpg"],
        ["evaluate", "pose", "--data", "data", "--weights", "own.onnx", "--json", "own.onnx"],
        ["evaluate", "detector", "--data", "data", "--yunet", "own.onnx", "--sheet", "own.onnx"],
        ["evaluate", "pose", "--data", "data", "--json", "f.json", "--sheet", "f.json"],
    ],
    ids=" ".join,
)
def test_an_input_is_never_written_over(folder, capsys, arguments):
    Path("link.jpg").symlink_to("data/photo.jpg")
    refused([*arguments, "--overwrite"], capsys, "expected another file than the inputs")


def test_figures_are_stored_for_weights_of_the_manifest_only(folder, capsys):
    arguments = ["--data", "data", "--weights", "own.onnx", "--update-manifest"]
    refused(["evaluate", "pose", *arguments], capsys, "--update-manifest: expected ")


def test_the_package_s_own_face_stays(folder, capsys):
    before = (PACKAGE / "face3d.npz").read_bytes()
    refused(["face3d", "--data", "data"], capsys, "face3d.npz is there already")
    assert (PACKAGE / "face3d.npz").read_bytes() == before


@pytest.mark.parametrize("file", RUN_FILES)
def test_a_run_that_is_there_is_gone_on_with_or_named(folder, monkeypatch, capsys, file):
    started = []

    def fit_detector(_config, _data, run, *, resume):
        started.append((run, resume))

    monkeypatch.setattr("asmnet.training.detection.fit.fit_detector", fit_detector)
    fit = ["fit", CONFIG, "--data", "data", "--out", "run"]
    assert main(fit) == 0
    shutil.rmtree("run")
    Path("run").mkdir()
    Path("run", file).write_text("{}")
    refused(fit, capsys, "run: a run is there already: go on with --resume")
    assert main([*fit, "--resume"]) == 0
    assert main([*fit, "--overwrite"]) == 0
    monkeypatch.setenv("RANK", "1")  # the file may be of the first of the processes
    assert main(fit) == 0
    assert started == [(Path("run"), resume) for resume in (False, True, False, False)]


def test_what_a_run_leaves_is_known(folder):
    """The names are told to the command line without torch; here they are compared."""
    from asmnet.training.loop import BEST, LAST

    assert {LAST, BEST} <= set(RUN_FILES)


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("asmnet-face.onnx", []),
        ("asmnet-face-fp16.onnx", ["--fp16"]),
        ("asmnet-face-seed2.onnx", ["--seed", "2"]),
    ],
)
def test_weights_that_are_there_stay(folder, capsys, file, options):
    export = ["export", CONFIG, "--run", "run", "--out", "mine", *options]
    Path("mine/weights").mkdir(parents=True)
    Path("mine/weights", file).write_text("mine")
    refused(export, capsys, f"{file} is there already")
    Path("mine/weights", file).unlink()
    record = {"name": Path(file).stem, "metrics": {"measured": {"value": 1}}}
    Path("mine", MANIFEST).write_text(json.dumps({"schema_version": 1, "weights": [record]}))
    refused(export, capsys, f"has a record of {Path(file).stem} already")
    # Now nothing but the run is missing.
    refused([*export, "--overwrite"], capsys, "checkpoint.pt: not there")
    record["name"] = "another"
    Path("mine", MANIFEST).write_text(json.dumps({"schema_version": 1, "weights": [record]}))
    refused(export, capsys, "checkpoint.pt: not there")


def test_a_model_card_of_one_s_own_is_kept(folder):
    record = json.loads((PACKAGE / MANIFEST).read_text(encoding="utf-8"))["weights"][0]
    Path(record["file"]).parent.mkdir()
    Path(record["file"]).write_bytes((PACKAGE / record["file"]).read_bytes())
    Path(MANIFEST).write_text(json.dumps({"schema_version": 1, "weights": [record]}))
    card = Path("README.md")
    publish(folder, "org/first", dry_run=True)
    assert MARK in card.read_text(encoding="utf-8")
    publish(folder, "org/second", dry_run=True)
    assert "# second" in card.read_text(encoding="utf-8")
    own = card.read_bytes().replace(MARK.encode(), b"My own words.")
    card.write_bytes(own)
    publish(folder, "org/third", dry_run=True)
    assert card.read_bytes() == own


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("accuracy", "json"),
        ("accuracy", "sheet"),
        ("detectors", "json"),
        ("detectors", "out"),
        ("tracking.__main__", "json"),
        ("tracking.__main__", "sheet"),
    ],
)
def test_benchmarks_write_over_nothing(folder, monkeypatch, capsys, module, option):
    benchmark = importlib.import_module(module)
    for file, told in (("mine", "is there already"), ("data/photo.jpg", "than the inputs")):
        Path("mine").write_text("mine")
        arguments = ["--data", "data", f"--{option}", file]
        arguments += ["--overwrite"] if file != "mine" else []
        monkeypatch.setattr("sys.argv", ["benchmark", *arguments])
        with pytest.raises(SystemExit, match="2"):
            benchmark.main()
        assert told in capsys.readouterr().err
    assert Path("data/photo.jpg").read_text() == "a photo"
