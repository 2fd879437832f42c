"""The stages of every shipped weight are there, in an order that works."""

import subprocess
from pathlib import Path

import pytest

from asmnet.errors import InvalidInputError
from asmnet.training import rebuild
from asmnet.training.cli import _parser, main
from asmnet.training.config import read_config
from asmnet.weights import manifest

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = [name for name, record in manifest().items() if record.source is None]


def option(step, name):
    command = list(step.command)
    return command[command.index(name) + 1] if name in command else None


@pytest.mark.parametrize("name", SHIPPED)
def test_every_step_has_what_it_needs(name):
    planned = rebuild.steps(name, Path("DATA"), CONFIGS, Path("runs"))
    made = set()
    for step in planned:
        _parser().parse_args(step.command)
        verb, what, *_ = step.command
        if verb == "fit":
            config = read_config(Path(what))
            needed = [option(step, "--start"), option(step, "--teacher-labels")]
            wanted = [getattr(config, "start", None), getattr(config, "teacher_labels", None)]
            assert [n is None for n in needed] == [w is None for w in wanted]
            assert set(needed) - {None} <= made
            made.add(option(step, "--out"))
        elif verb == "export":
            assert option(step, "--run") in made
            made.add(str(step.output))
        elif verb in ("synthesize", "mesh-labels"):
            made.add(option(step, "--out"))
        else:
            assert verb == "label"
            assert what in made
            made.add(str(step.output))
    assert planned[-1].output == Path(f"runs/rebuilt/weights/{name}.onnx")
    commands = [step.command for step in planned]
    assert len(set(commands)) == len(commands)


def test_open_weights_need_renders_first():
    made: dict = {}
    graph = rebuild._Graph(Path("DATA"), CONFIGS, Path("runs"), made)
    graph.export(CONFIGS / "asmnet-open-68.toml", ())
    assert [step.command[0] for step in made.values()] == [
        "synthesize",
        "mesh-labels",
        "fit",
        "export",
    ]


def test_an_open_config_s_teacher_looks_at_open_photos_with_its_detector(tmp_path):
    text = (CONFIGS / "asmnet-open-68.toml").read_text()
    (tmp_path / "asmnet-open-68.toml").write_text(text)
    (tmp_path / "student.toml").write_text(
        'extends = "asmnet-open-68.toml"\nteacher_labels = "runs/labels-asmnet-open-68.npz"\n'
    )
    made: dict = {}
    graph = rebuild._Graph(Path("DATA"), tmp_path, Path("runs"), made)
    graph.export(tmp_path / "student.toml", ())
    (label,) = (step for step in made.values() if step.command[0] == "label")
    options = _parser().parse_args(label.command)
    assert (options.detector, options.sets) == ("yunet", ["open"])


def test_the_stages_of_98_points():
    planned = rebuild.steps("asmnet-98", Path("DATA"), CONFIGS, Path("runs"))
    assert [f"{step.command[0]} {Path(step.command[1]).stem}" for step in planned] == [
        "fit asmnet-68-points",
        "fit asmnet-68-start",
        "fit asmnet-98-start",
        "fit asmnet-98-wide",
        "export asmnet-98-wide",
        "label asmnet-98-wide",
        "fit asmnet-98",
        "export asmnet-98",
    ]


def test_it_is_printed_with_the_configs_notes(capsys):
    assert main(["rebuild", "atpn-68", "--configs", str(CONFIGS)]) == 0
    printed = capsys.readouterr().out
    assert "# The shipped weights are of version 0.3" in printed
    assert "\nasmnet-train label runs/rebuilt/weights/asmnet-68-start.onnx " in printed


@pytest.mark.parametrize("name", ["yunet", "asmnet-69"])
def test_a_weight_that_was_not_made_here(name, capsys):
    assert main(["rebuild", name, "--configs", str(CONFIGS)]) == 1
    assert "expected one of " in capsys.readouterr().err


def test_configs_that_need_each_other(tmp_path):
    text = (CONFIGS / "asmnet-68-lite.toml").read_text()
    for name, other in (("asmnet-68-lite", "b"), ("b", "asmnet-68-lite")):
        start = f'start = "runs/{other}"\n'
        (tmp_path / f"{name}.toml").write_text(start + text)
    with pytest.raises(InvalidInputError, match="that needs it"):
        rebuild.steps("asmnet-68-lite", Path("DATA"), tmp_path, Path("runs"))


def test_running_stops_at_a_failure_and_leaves_out_what_is_there(tmp_path, monkeypatch, capsys):
    called = []

    def fake(command, *, check):
        called.append(command[3])
        return subprocess.CompletedProcess(command, int(command[3] == "export"))

    monkeypatch.setattr(rebuild.subprocess, "run", fake)
    there = tmp_path / "labels.npz"
    there.touch()
    planned = [
        rebuild.Step(("label", "a"), there),
        rebuild.Step(("fit", "b")),
        rebuild.Step(("export", "b"), tmp_path / "b.onnx"),
        rebuild.Step(("fit", "c")),
    ]
    with pytest.raises(InvalidInputError, match="export b: ended with exit code 1"):
        rebuild.run(planned)
    assert called == ["fit", "export"]
    assert "labels.npz is there already" in capsys.readouterr().out


def test_what_a_task_has_not_cannot_be_replaced(tmp_path, capsys):
    config = CONFIGS / "asmnet-face.toml"
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--teacher-labels", "x.npz"]
    assert main(["fit", str(config), *options]) == 1
    assert "teacher_labels: expected none for detection, got 'x.npz'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
