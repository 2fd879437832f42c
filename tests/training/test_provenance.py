"""A run says what it was made of."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from asmnet.errors import InvalidInputError
from asmnet.training import provenance
from asmnet.training.config import read_config
from asmnet.training.provenance import FilesRead, note, recorded, run_facts
from asmnet.weights import load_weights, manifest

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for name in ("a/images/1.jpg", "a/images/2.jpg", "a/labels.csv", "b/1.pts"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def read(data, *names):
    files = FilesRead(data)
    for name in names:
        (data / name).read_bytes()
    files.close()
    (data / "b/1.pts").read_bytes()  # after the end
    return files.sets()


def test_only_what_was_opened_counts(data, tmp_path):
    (tmp_path / "elsewhere.csv").write_text("1")
    sets = read(data, "a/labels.csv", "a/images/1.jpg", "../elsewhere.csv", "a/images/1.jpg")
    assert list(sets) == ["a"]
    assert (sets["a"]["files"], sets["a"]["bytes"]) == (2, len("a/labels.csva/images/1.jpg"))
    assert list(read(data, "a/labels.csv", "b/1.pts")) == ["a", "b"]


def test_arrays_and_links_are_seen(data, tmp_path):
    np.savez(data / "a" / "pseudo_labels.npz", x=np.zeros(2))
    (tmp_path / "link").symlink_to(data)
    files = FilesRead(tmp_path / "link")
    with np.load(tmp_path / "link" / "a" / "pseudo_labels.npz") as values:
        assert "x" in values
    files.close()
    assert files.sets()["a"]["files"] == 1


def test_a_label_that_changes_changes_the_hash_and_so_does_a_photo_s_size(data):
    names = ("a/labels.csv", "a/images/1.jpg")
    first = read(data, *names)["a"]["sha256"]
    assert read(data, *names)["a"]["sha256"] == first
    (data / "a/labels.csv").write_bytes(b"A/labels.csv")  # as long as before
    second = read(data, *names)["a"]["sha256"]
    (data / "a/images/1.jpg").write_bytes(b"longer than it was")
    assert len({first, second, read(data, *names)["a"]["sha256"]}) == 3


def test_what_a_run_starts_from_is_named_with_its_hash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_config(CONFIGS / "asmnet-98.toml")
    start, detector, labels = provenance.parents(config)
    known = manifest()
    assert (start["name"], start["sha256"]) == ("asmnet-98-wide", known["asmnet-98-wide"].sha256)
    assert detector["sha256"] == known["asmnet-face"].sha256
    assert labels["sha256"] is None  # not there
    Path("runs").mkdir()
    Path(config.teacher_labels).write_bytes(b"labels")
    assert provenance.parents(config)[2]["sha256"] is not None

    (labeller,) = provenance.parents(read_config(CONFIGS / "asmnet-face-start.toml"))
    assert (labeller["role"], labeller["sha256"]) == ("labeller", known["asmnet-68"].sha256)

    config = read_config(CONFIGS / "asmnet-68-start.toml")
    Path("runs/asmnet-68-points").mkdir()
    Path("runs/asmnet-68-points/checkpoint.pt").write_bytes(load_weights("asmnet-face"))
    start, _ = provenance.parents(config)
    assert start["name"] == "runs/asmnet-68-points"
    assert start["sha256"] == known["asmnet-face"].sha256


def test_a_run_s_file(data, tmp_path):
    path, folder = CONFIGS / "asmnet-68-points.toml", tmp_path / "run"
    config = read_config(path)
    with recorded(config, path, data, folder):
        begun = json.loads((folder / "run.json").read_text())
        (data / "b/1.pts").read_bytes()
    done = json.loads((folder / "run.json").read_text())
    assert begun == done | {"data": None}
    assert done["config_file"] == "configs/asmnet-68-points.toml"
    assert done["config"]["task"] == "landmarks"
    assert done["config"]["schedule"]["epochs"] == config.schedule.epochs
    assert done["seed"] == 1
    assert done["data"]["b"]["files"] == 1
    facts = run_facts(folder)
    assert facts == {k: v for k, v in done.items() if k not in ("config", "config_file")}
    assert run_facts(tmp_path) is None


def test_an_interrupted_run_says_what_it_read(data, tmp_path):
    path = CONFIGS / "asmnet-68-points.toml"

    def interrupted():
        with recorded(read_config(path), path, data, tmp_path):
            (data / "a/labels.csv").read_bytes()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(json.loads((tmp_path / "run.json").read_text())["data"]) == ["a"]


def test_a_run_that_goes_on_with_other_data_keeps_both(data, tmp_path):
    path = CONFIGS / "asmnet-68-points.toml"
    config = read_config(path)

    def go(name):
        with recorded(config, path, data, tmp_path):
            (data / name).read_bytes()
        return json.loads((tmp_path / "run.json").read_text())

    first = go("a/labels.csv")
    assert go("a/labels.csv") == first
    second = go("b/1.pts")
    assert second["earlier"] == [first]
    assert list(second["data"]) == ["b"]
    assert go("b/1.pts") == second


def test_what_a_training_notes_stands_beside_its_data(data, tmp_path):
    path = CONFIGS / "asmnet-68-points.toml"

    def go(name):
        with recorded(read_config(path), path, data, tmp_path):
            (data / name).read_bytes()
            note(tmp_path, open=False, licences=[{"name": name}])
            killed = json.loads((tmp_path / "run.json").read_text())
        return killed, json.loads((tmp_path / "run.json").read_text())

    killed, first = go("a/labels.csv")
    assert (first["licences"], list(first["data"])) == ([{"name": "a/labels.csv"}], ["a"])
    assert "licences" not in run_facts(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(killed))
    assert go("a/labels.csv")[1] == first  # the same run, resumed
    assert go("b/1.pts")[1]["earlier"] == [first]


def test_only_the_first_of_several_processes_writes(data, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    path = CONFIGS / "asmnet-68-points.toml"
    with recorded(read_config(path), path, data, tmp_path):
        note(tmp_path, open=True, licences=[])
    assert list(tmp_path.iterdir()) == [data]


def test_a_config_is_named_as_in_the_repository():
    name = provenance.config_name
    assert name(Path("/a/configs/b/configs/paper/x.toml")) == "configs/paper/x.toml"
    assert name(Path("/a/b/x.toml")) == "configs/x.toml"


@pytest.mark.parametrize("content", ["weeks of work", "[1]"])
def test_a_damaged_record_is_told(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"run\.json: expected"):
        run_facts(tmp_path)
