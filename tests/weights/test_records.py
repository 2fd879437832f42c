"""Manifests as they are written, and where weights lie."""

import json
from pathlib import Path

import pytest

from asmnet import weights
from asmnet.errors import WeightsError
from asmnet.weights.records import read_record, read_records, write_record

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD = json.loads((weights.PACKAGE / weights.MANIFEST).read_text(encoding="utf-8"))["weights"][0]


def test_a_record_takes_the_place_of_its_older_one_and_of_no_other(tmp_path):
    path = tmp_path / weights.MANIFEST
    for name, figure in (("b", 1), ("c", 2), ("a", 3), ("b", 4)):
        write_record({"name": name, "figure": figure, "licence": "für alle"}, path)
    assert [(r["name"], r["figure"]) for r in read_records(path)] == [("a", 3), ("b", 4), ("c", 2)]
    assert read_record(path, "c")["figure"] == 2
    with pytest.raises(KeyError):
        read_record(path, "d")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert list(content) == ["schema_version", "weights"]
    assert content["schema_version"] == weights.SCHEMA_VERSION
    assert "für alle" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_what_else_a_manifest_says_stays(tmp_path):
    path = tmp_path / weights.MANIFEST
    path.write_text(json.dumps({"schema_version": 1, "by": "us", "weights": []}))
    write_record({"name": "a"}, path)
    assert json.loads(path.read_text())["by"] == "us"


@pytest.mark.parametrize(
    "source",
    ["org/name", {}, {"repo": "a/b"}, {"revision": COMMIT}, {"repo": 3, "revision": COMMIT},
     {"repo": "a/b", "revision": COMMIT[:-1]}, {"repo": "a/b", "revision": COMMIT.upper()},
     {"repo": "a/b", "revision": None}],
)  # fmt: skip
def test_a_source_is_a_repository_at_a_commit(source):
    content = json.dumps({"schema_version": 1, "weights": [{**GOOD, "source": source}]})
    with pytest.raises(WeightsError, match="source: expected repo and a full commit"):
        weights.parse_manifest(content, "m")


def test_a_record_s_own_source_wins_over_its_manifest_s():
    own = {"repo": "own/repo", "revision": COMMIT}
    entries = [{**GOOD, "source": own}, {**GOOD, "name": "other"}]
    content = json.dumps({"schema_version": 1, "weights": entries})
    given = weights.Source("given/repo", COMMIT[::-1])
    records = weights.parse_manifest(content, "m", given)
    assert records[GOOD["name"]].source == weights.Source(**own)
    assert records["other"].source == given
    assert weights.parse_manifest(content, "m")["other"].source is None


@pytest.mark.parametrize("field", ["name", "sha256", "file"])
def test_a_field_must_fit_as_a_whole(field):
    content = {"schema_version": 1, "weights": [{**GOOD, field: GOOD[field] + "\n:"}]}
    with pytest.raises(WeightsError, match=f"{field}: not usable"):
        weights.parse_manifest(json.dumps(content), "m")


def test_the_cache_lies_in_the_home_folder_unless_told_otherwise(monkeypatch, tmp_path):
    for name in ("ASMNET_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, folder in (("linux", ".cache"), ("darwin", ".cache"), ("win32", "AppData/Local")):
        monkeypatch.setattr("sys.platform", platform)
        assert weights.cache_folder() == tmp_path / folder / "asmnet"
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("ASMNET_CACHE", "~/mine")
    assert weights.cache_folder() == tmp_path / "mine"


def test_a_file_of_weights_is_named_by_its_hash_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ASMNET_CACHE", str(tmp_path))
    bundled, cached = weights.manifest()["asmnet-68"], weights.manifest()["yunet"]
    assert bundled.path == weights.PACKAGE / bundled.file
    assert cached.path == tmp_path / f"{cached.sha256}.onnx"


def test_a_program_that_was_frozen_without_the_data_is_told_how(monkeypatch, tmp_path):
    monkeypatch.setattr(weights.records, "PACKAGE", tmp_path)
    with pytest.raises(WeightsError, match="PyInstaller with `--collect-data asmnet`"):
        weights.manifest.__wrapped__()


DATA_SET = {"name": "open/own", "licence": "CC0 1.0", "evidence": "ours", "photos": 3}
TEACHER = {"name": "yunet", "licence": "MIT", "role": "boxes"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data_sets": DATA_SET}, "data_sets: expected a list, got {'name'"),
        ({"data_sets": [{**DATA_SET, "photos": "3"}]}, "data_sets: expected name, licence"),
        ({"teachers": [TEACHER, {"name": "yunet"}]}, "teachers: expected name, licence, role of"),
        ({"teachers": ["yunet"]}, "role of each, got 'yunet'"),
    ],
)
def test_what_weights_learnt_from_has_a_licence(changes, expected):
    content = json.dumps({"schema_version": 1, "weights": [{**GOOD, **changes}]})
    with pytest.raises(WeightsError, match=expected):
        weights.parse_manifest(content, "m")
    good = {**GOOD, "data_sets": [{**DATA_SET, "sha256": "ab"}], "teachers": [TEACHER]}
    (record,) = weights.parse_manifest(
        json.dumps({"schema_version": 1, "weights": [good]}), "m"
    ).values()
    assert (record.data_sets[0]["photos"], record.teachers) == (3, (TEACHER,))
