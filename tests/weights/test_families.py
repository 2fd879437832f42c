"""One name chooses detector, verifier and landmarks."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asmnet
from asmnet import weights
from asmnet.batch import BatchOptions, run_batch
from asmnet.batch.worker import analyze
from asmnet.cli import main
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.weights.family import parse_families

FACE_FILE = weights.PACKAGE / "weights" / "asmnet-face.onnx"
RESEARCH = ("asmnet-face", "asmnet-face-verifier", "asmnet-68")
OPEN = ("asmnet-open-face", "asmnet-open-face-verifier", "asmnet-open-68")
UNKNOWN = r"expected a family of weights that this version has \(research.*\), got 'nonsense'"


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("ASMNET_WEIGHTS", raising=False)


def loaded(thing):
    """The weights of detector, verifier and landmarker, by what they were loaded from."""
    if isinstance(thing, asmnet.FaceLandmarker):
        return thing._session._weights
    if isinstance(thing, asmnet.FaceDetector):
        return thing._session._weights, thing._verifier._session._weights
    return *loaded(thing._detector), loaded(thing._landmarker)


def test_every_bundled_family_is_whole():
    assert "research" in weights.families()
    for family in weights.families().values():
        assert asmnet.FaceAnalyzer(weights=family.name, threads=1)
        for name in (family.detector, family.verifier, family.landmarks):
            assert weights.manifest()[name].source is None, "nothing is fetched unasked"
    assert loaded(asmnet.FaceAnalyzer(landmarks=98))[-1] == "asmnet-98"


@pytest.mark.parametrize("make", [asmnet.FaceAnalyzer, asmnet.FaceTracker])
@pytest.mark.usefixtures("open_family")
class TestChoice:
    def test_a_family_is_taken_as_a_whole(self, make):
        assert loaded(make()) == loaded(make(weights="research")) == RESEARCH
        assert loaded(make(weights="open")) == OPEN

    def test_single_weights_win_and_a_detector_brings_its_verifier(self, make):
        assert loaded(make(weights="open", detector="asmnet-face")) == (*RESEARCH[:2], OPEN[2])
        assert loaded(make(detector="asmnet-open-face")) == (*OPEN[:2], RESEARCH[2])
        assert loaded(make(weights="open", landmarker="asmnet-98")) == (*OPEN[:2], "asmnet-98")
        assert loaded(make(weights="open", detector="research")) == (*RESEARCH[:2], OPEN[2])

    def test_a_file_of_one_s_own_has_the_family_s_verifier(self, make):
        path = str(FACE_FILE)
        assert loaded(make(detector=path)) == (path, *RESEARCH[1:])
        assert loaded(make(weights="open", detector=path)) == (path, *OPEN[1:])
        assert loaded(make(weights="open", detector=Path(path))) == (path, *OPEN[1:])

    def test_loaded_networks_are_taken_as_they_are(self, make):
        given = {"detector": asmnet.FaceDetector(), "landmarker": asmnet.FaceLandmarker()}
        assert loaded(make(weights="open", **given)) == RESEARCH

    def test_the_environment_chooses_where_the_program_does_not(self, make, monkeypatch):
        monkeypatch.setenv("ASMNET_WEIGHTS", "open")
        assert loaded(make()) == OPEN
        assert loaded(make(weights="research")) == RESEARCH
        assert loaded(make(detector="asmnet-face", landmarker="asmnet-68")) == RESEARCH
        monkeypatch.setenv("ASMNET_WEIGHTS", "")
        assert loaded(make()) == RESEARCH

    def test_a_family_without_98_points_says_so(self, make):
        with pytest.raises(InvalidInputError, match="expected 68 with the open weights, got 98"):
            make(weights="open", landmarks=98)

    def test_it_stays_the_choice_in_another_process(self, make, monkeypatch):
        content = pickle.dumps(make(weights="open"))
        monkeypatch.setenv("ASMNET_WEIGHTS", "research")
        assert loaded(pickle.loads(content)) == OPEN  # noqa: S301


@pytest.mark.usefixtures("open_family")
def test_detector_and_landmarker_alone(monkeypatch):
    assert loaded(asmnet.FaceDetector("open")) == OPEN[:2]
    assert loaded(asmnet.FaceDetector("open", verifier="asmnet-face-verifier")) == (
        OPEN[0],
        RESEARCH[1],
    )
    assert asmnet.FaceDetector("open", verifier=None)._verifier is None
    assert loaded(asmnet.FaceLandmarker("open")) == OPEN[2]
    assert loaded(asmnet.FaceLandmarker()) == RESEARCH[2]
    monkeypatch.setenv("ASMNET_WEIGHTS", "open")
    assert loaded(asmnet.FaceDetector()) == OPEN[:2]
    assert loaded(asmnet.FaceLandmarker()) == OPEN[2]


@pytest.fixture
def used(monkeypatch) -> list[asmnet.FaceAnalyzer]:
    """The analyzers that find faces, in the order of their calls."""
    seen: list[asmnet.FaceAnalyzer] = []
    real = asmnet.FaceAnalyzer.detect
    monkeypatch.setattr(
        asmnet.FaceAnalyzer,
        "detect",
        lambda self, *a, **k: seen.append(self) or real(self, *a, **k),
    )
    return seen


@pytest.mark.usefixtures("open_family")
def test_detect_takes_the_family_of_each_call(photos, used, monkeypatch):
    photo = photos / "astronaut.png"
    assert len(asmnet.detect(photo, weights="open")) == 1
    asmnet.detect(photo)
    monkeypatch.setenv("ASMNET_WEIGHTS", "open")
    asmnet.detect(photo)
    assert [loaded(analyzer) for analyzer in used] == [OPEN, RESEARCH, OPEN]
    assert used[0] is used[2], "it is loaded once"


@pytest.mark.usefixtures("open_family")
def test_a_batch_names_the_family_and_does_not_go_on_with_another(tmp_path, monkeypatch):
    out = tmp_path / "faces.jsonl"
    monkeypatch.setenv("ASMNET_WEIGHTS", "open")
    list(run_batch([], out, BatchOptions()))
    list(run_batch([], out, BatchOptions(weights="open"), resume=True))
    for options in (BatchOptions(weights="research"), BatchOptions()):
        monkeypatch.delenv("ASMNET_WEIGHTS", raising=False)
        with pytest.raises(
            InvalidInputError,
            match=r"options changed: detector .* verifier .* landmarker .* "
            "weights 'open' -> 'research'",
        ):
            list(run_batch([], out, options, resume=True))


@pytest.mark.usefixtures("open_family")
def test_a_batch_s_worker_loads_the_family(photos, used):
    analyze(BatchOptions(weights="open"), [str(photos / "astronaut.png")])
    assert [loaded(analyzer) for analyzer in used] == [OPEN]


@pytest.mark.usefixtures("open_family")
def test_ray_s_callable_loads_the_family():
    pytest.importorskip("pyarrow")
    from asmnet.ray import DetectFaces

    assert loaded(DetectFaces(weights="open")._analyzer) == OPEN


@pytest.mark.parametrize("tuned", [[], ["--input-size", "320"]])
@pytest.mark.usefixtures("open_family")
def test_commands(photos, tmp_path, monkeypatch, tuned):
    seen = []
    for kind in (asmnet.FaceAnalyzer, asmnet.FaceTracker):
        name = "detect" if kind is asmnet.FaceAnalyzer else "update"
        monkeypatch.setattr(kind, name, lambda self, *_a, **_k: seen.append(loaded(self)) or [])
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 64))
    writer.write(cv2.imread(str(photos / "astronaut.png"))[:64, :64])
    writer.release()
    assert main(["detect", str(photos / "astronaut.png"), "--weights", "open", *tuned]) == 0
    assert main(["track", str(tmp_path / "v.mp4"), "--weights", "open", *tuned]) == 0
    assert set(seen) == {OPEN}
    assert len(seen) == 2


@pytest.mark.usefixtures("open_family")
def test_the_list_has_licence_and_family(capsys):
    assert main(["weights", "list"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["name"][1:3] == ["family", "task"]
    assert lines["asmnet-98"][1] == "research"
    assert lines["asmnet-open-face"][1] == "open"
    assert "Apache-2.0" in lines["asmnet-open-face"]
    assert main(["weights", "list", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert records["asmnet-open-face"]["family"] == "open"
    assert records["yunet"]["family"] is None
    assert records["asmnet-68"]["license"] == weights.manifest()["asmnet-68"].license


@pytest.mark.parametrize(
    "call",
    [
        lambda: asmnet.FaceAnalyzer(weights="nonsense"),
        lambda: asmnet.FaceTracker(weights="nonsense"),
        lambda: asmnet.detect("no.jpg", weights="nonsense"),
        lambda: next(run_batch([], "a.jsonl", BatchOptions(weights="nonsense"))),
    ],
)
def test_a_family_that_this_version_has_not(call):
    with pytest.raises(InvalidInputError, match="^weights: " + UNKNOWN):
        call()


@pytest.mark.parametrize(
    "call", [asmnet.FaceAnalyzer, asmnet.FaceTracker, asmnet.FaceDetector, asmnet.FaceLandmarker]
)
def test_the_environment_s_as_well(call, monkeypatch):
    monkeypatch.setenv("ASMNET_WEIGHTS", "nonsense")
    with pytest.raises(InvalidInputError, match="^ASMNET_WEIGHTS: " + UNKNOWN):
        call()
    if call in (asmnet.FaceAnalyzer, asmnet.FaceTracker):
        assert call(weights="research")


def test_it_is_told_at_the_first_use_and_not_at_the_import():
    code = "import asmnet; print('there'); asmnet.detect('a.jpg')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"ASMNET_WEIGHTS": "nonsense"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "there\n"
    assert re.search(f"InvalidInputError: ASMNET_WEIGHTS: {UNKNOWN}", done.stderr)


@pytest.mark.parametrize("command", ["detect", "track", "batch"])
def test_a_wrong_family_is_wrong_use(command, photos, tmp_path, monkeypatch, capsys):
    out = [] if command == "detect" else ["--out", str(tmp_path / "faces.csv")]
    source = photos if command == "batch" else photos / "astronaut.png"
    arguments = [command, str(source), *out]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--weights", "nonsense"])
    assert end.value.code == 2
    assert re.search(UNKNOWN, capsys.readouterr().err)
    monkeypatch.setenv("ASMNET_WEIGHTS", "nonsense")
    assert main(arguments) == 2
    assert re.search(UNKNOWN, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def families_of(entry, name="ours"):
    content = json.dumps({"families": {name: entry}})
    return parse_families(content, "m", weights.manifest())


GOOD = {"detector": "asmnet-face", "verifier": "asmnet-face-verifier", "landmarks": "asmnet-68"}


def test_a_family_s_98_points_are_not_asked_for():
    assert families_of(GOOD)["ours"].landmarks_98 is None
    assert families_of(GOOD | {"landmarks_98": "asmnet-98"})["ours"].landmarks_98 == "asmnet-98"
    assert families_of(GOOD | {"colour": "red"}) == families_of(GOOD), "for later versions"
    assert parse_families("{}", "m", weights.manifest()) == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ([], "m: families: ours: expected a name of weights for each task, got []"),
        ({}, "m: families: ours: detector: expected the name of weights for detection, got None"),
        (GOOD | {"verifier": 3}, "verifier: expected the name of weights for verification, got 3"),
        (GOOD | {"landmarks": "asmnet-98"}, "landmarks of layout ibug68, got 'asmnet-98'"),
        (GOOD | {"landmarks_98": "asmnet-68"}, "landmarks of layout wflw98, got 'asmnet-68'"),
        (GOOD | {"detector": "asmnet-68"}, "weights for detection, got 'asmnet-68'"),
        (GOOD | {"detector": "lost"}, "weights for detection, got 'lost'"),
    ],
)
def test_families_that_are_refused(entry, expected):
    with pytest.raises(WeightsError, match=re.escape(expected)):
        families_of(entry)


def test_a_family_with_the_name_of_a_weight():
    with pytest.raises(WeightsError, match="asmnet-68: expected a name that no weight has"):
        families_of(GOOD, "asmnet-68")
    with pytest.raises(WeightsError, match=re.escape("families by name, got ['research']")):
        parse_families('{"families": ["research"]}', "m", weights.manifest())
