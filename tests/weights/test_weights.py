import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import asmnet
from asmnet import weights
from asmnet.errors import ChecksumError, ProviderError, WeightsError, WeightsNotFoundError
from asmnet.schemes import SCHEMES

ROOT = Path(__file__).parents[2]
MAX_BYTES = {"asmnet-face": 600_000}
MAX_ALL_BYTES = 20_000_000  # of the wheel


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy of the package's weights that a test may damage."""
    shutil.copytree(weights.PACKAGE / "weights", tmp_path / "weights")
    monkeypatch.setattr(weights.records, "PACKAGE", tmp_path)
    return tmp_path


def bundled():
    return [record for record in weights.manifest().values() if record.source is None]


def test_top_level_manifest_is_the_package_one():
    mine = (ROOT / "weights_manifest.json").read_text(encoding="utf-8")
    assert mine == (weights.PACKAGE / "weights_manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["asmnet-face", "asmnet-68", "asmnet-98", "atpn-68"])
def test_bundled(name):
    assert name in weights.manifest()


def test_every_record_describes_its_file():
    total = 0
    for record in bundled():
        content = (weights.PACKAGE / record.file).read_bytes()
        total += len(content)
        assert hashlib.sha256(content).hexdigest() == record.sha256
        assert len(content) == record.bytes <= MAX_BYTES.get(record.name, MAX_ALL_BYTES)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (image,) = session.get_inputs()
        assert (image.name, image.shape) == (record.input["name"], record.input["shape"])
        assert record.input["dtype"] in image.type
        metadata = session.get_modelmeta().custom_metadata_map
        assert metadata["task"] == record.task
        assert metadata.get("scheme") == record.scheme
        assert (record.scheme in SCHEMES) is (record.task == "landmarks")
        assert record.training_config is not None
        assert (ROOT / record.training_config).exists()
        assert record.license
        assert record.training_data
        assert record.metrics, "a weight is shipped with its figures"
        for figure in record.metrics.values():
            assert isinstance(figure["value"], int | float)
            assert figure["command"].startswith("asmnet-train evaluate ")
    assert total < MAX_ALL_BYTES


def test_no_file_without_a_record():
    files = {f"weights/{path.name}" for path in (weights.PACKAGE / "weights").glob("*.onnx")}
    assert files == {record.file for record in bundled()}


def test_a_damaged_file_is_refused_and_the_message_helps(installed):
    path = installed / weights.manifest()["asmnet-face"].file
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match="pip install --force-reinstall asmnet"):
        asmnet.FaceDetector()


def test_a_lost_file(installed):
    (installed / weights.manifest()["asmnet-face"].file).unlink()
    with pytest.raises(WeightsNotFoundError, match="pip install --force-reinstall asmnet"):
        asmnet.FaceDetector()
    with pytest.raises(WeightsNotFoundError, match="pip install --force-reinstall asmnet"):
        asmnet.FaceDetector(download=True)


def test_unknown_names_list_the_known():
    with pytest.raises(
        WeightsNotFoundError,
        match=r"asmnet-face, .*atpn-68, .*yunet, hf://.*, or the path",
    ):
        asmnet.FaceDetector("no-such-net")


def test_weights_by_path(photos):
    path = weights.PACKAGE / weights.manifest()["asmnet-face"].file
    assert len(asmnet.FaceDetector(path).detect(photos / "astronaut.png")) == 1
    assert len(asmnet.FaceDetector(str(path)).detect(photos / "astronaut.png")) == 1


def test_a_path_object_is_a_path_even_with_the_name_of_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("asmnet-face").write_bytes(b"mine")
    assert weights.load_weights(Path("asmnet-face")) == b"mine"
    assert weights.load_weights("./asmnet-face") == b"mine"
    assert weights.load_weights("asmnet-face") != b"mine"


def test_yunet_is_pinned_to_a_commit():
    record = weights.manifest()["yunet"]
    assert (record.bytes, record.license, record.training_config) == (232_589, "MIT", None)
    assert record.source is not None
    assert len(record.source.revision) == 40


GOOD = json.loads((weights.PACKAGE / weights.MANIFEST).read_text(encoding="utf-8"))["weights"][0]


def test_unknown_fields_of_a_manifest_are_for_later_versions():
    content = {"schema_version": 1, "weights": [{**GOOD, "colour_of_the_box": "red"}], "by": "us"}
    (record,) = weights.parse_manifest(json.dumps(content), "m").values()
    assert record == weights.manifest()[GOOD["name"]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sha256": None}, "sha256: expected str, got None"),
        ({"sha256": "abc"}, "sha256: not usable"),
        ({"bytes": "12"}, "bytes: expected int"),
        ({"file": "../../etc/passwd"}, "file: not usable"),
        ({"file": "/etc/passwd"}, "file: not usable"),
        ({"file": "C:\\net.onnx"}, "file: not usable"),
        ({"name": "a b; rm"}, "name: not usable"),
        ({"metrics": {"NME": 4.2}}, "metrics: not usable"),
        (
            {"source": {"repo": "a/b", "revision": "main"}},
            "source: expected repo and a full commit",
        ),
    ],
)
def test_records_that_are_refused(changes, expected):
    content = {"schema_version": 1, "weights": [{**GOOD, **changes}]}
    with pytest.raises(WeightsError, match=re.escape(f"m: weights[0]: {expected}")):
        weights.parse_manifest(json.dumps(content), "m")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<html>", "in JSON"),
        ("[]", "schema_version 1, got schema_version None"),
        ('{"schema_version": 2, "weights": []}', "newer"),
        ('{"schema_version": 1}', "a list of weights"),
        ('{"schema_version": 1, "weights": ["net"]}', "expected a record"),
        ('{"schema_version": 1, "weights": [{}]}', "name: expected str, got none"),
        (json.dumps({"schema_version": 1, "weights": [GOOD, GOOD]}), "got two"),
    ],
)
def test_manifests_that_are_refused(content, expected):
    with pytest.raises(WeightsError, match=re.escape(expected)):
        weights.parse_manifest(content, "m")


@pytest.mark.parametrize("text", ["hf://", "hf://a#n", "hf://a/b", "hf://a/b#", "hf://a/b@#n",
                                  "hf://a/../b#n", "hf://a/b#n/../x"])  # fmt: skip
def test_references_of_another_form(text):
    with pytest.raises(WeightsError, match="expected hf://org/repo"):
        weights.load_weights(text, download=True)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ASMNET_CACHE", str(tmp_path))
    assert weights.cache_folder() == tmp_path
    monkeypatch.delenv("ASMNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert weights.cache_folder() == tmp_path / "asmnet"


def test_a_file_that_is_no_onnx(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="expected an ONNX model"):
        asmnet.FaceLandmarker(path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError):
        asmnet.FaceLandmarker(path)


def test_weights_of_another_task():
    with pytest.raises(WeightsError, match="expected weights for landmarks"):
        asmnet.FaceLandmarker("asmnet-face")


@pytest.mark.parametrize("providers", [["NoSuchProvider"], []])
def test_a_missing_provider_is_an_error_not_the_cpu(providers):
    with pytest.raises(ProviderError, match="CPUExecutionProvider"):
        asmnet.FaceDetector(providers=providers)


def test_provider_by_name(photos):
    detector = asmnet.FaceDetector(providers=["CPUExecutionProvider"])
    assert detector.detect(photos / "astronaut.png")


def test_manifest_is_plain_json_with_a_version():
    content = json.loads((ROOT / "weights_manifest.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == weights.SCHEMA_VERSION
    names = [record["name"] for record in content["weights"]]
    assert names == sorted(set(names))


def test_plain_onnxruntime_needs_nothing_else():
    """The network takes RGB 0–255: no mean, no standard deviation, no channel order to know."""
    path = weights.PACKAGE / weights.manifest()["asmnet-68"].file
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[1]
    names = ["landmarks", "rotation"]
    landmarks, rotation = session.run(names, {"images": np.zeros((3, size, size, 3), np.uint8)})
    assert (landmarks.shape, rotation.shape) == ((3, 68, 2), (3, 3, 3))


# A container's user that the machine does not know has no home to fall back on.
NO_HOME = """
import pwd, sys
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
"""


def homeless(code, **variables):
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    return subprocess.run([sys.executable, "-c", NO_HOME + code], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip


def codes_of(commands, **variables):
    """The exit codes of commands, one after the other in a process without a home, and its stderr.

    An error that is not ours ends it.
    """
    done = homeless(
        f"""
from asmnet.cli import main
for command in {commands!r}:
    try:
        print("code", main(command))
    except SystemExit as end:
        print("code", end.code)
""",
        **variables,
    )
    codes = [int(line[5:]) for line in done.stdout.splitlines() if line.startswith("code ")]
    return codes, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no pwd there")
class TestWithoutAHome:
    @pytest.mark.parametrize(
        ("variables", "told"),
        [({}, "no home folder"), ({"ASMNET_CACHE": "~nosuchuser/x"}, "~nosuchuser/x")],
        ids=["none", "of nobody"],
    )
    def test_only_what_needs_the_cache_fails_and_says_so(self, photos, variables, told):
        photo = str(photos / "astronaut.png")
        fine = [["--version"], ["weights", "list", "--help"], ["weights", "path", "asmnet-68"],
                ["detect", photo]]  # fmt: skip
        assert codes_of(fine, **variables) == ([0, 0, 0, 0], "")
        in_need = [["weights", "list"], ["weights", "verify"], ["weights", "path", "yunet"],
                   ["weights", "download", "yunet"]]  # fmt: skip
        codes, errors = codes_of(in_need, **variables)
        assert codes == [1, 1, 1, 1], errors
        for line in errors.splitlines():
            assert line.startswith("asmnet: ASMNET_CACHE: ")
            assert told in line

    def test_the_cache_of_a_variable(self, tmp_path):
        codes, errors = codes_of([["weights", "list"]], ASMNET_CACHE=str(tmp_path))
        assert codes == [0], errors
