"""What users hold goes to other processes, and through joblib, Ray and Dask (cloudpickle)."""

import copy
import multiprocessing
import pickle
import shutil
from dataclasses import asdict, fields, is_dataclass

import cloudpickle
import numpy as np
import pytest

import asmnet
from asmnet.batch import BatchOptions, Progress
from asmnet.geometry import CropTransform
from asmnet.schemes import SCHEMES
from asmnet.weights import PACKAGE, HubReference, manifest


def unpickled(data):
    return pickle.loads(data)  # noqa: S301 - made here


WAYS = {
    "pickle": lambda thing: unpickled(pickle.dumps(thing)),
    "oldest pickle": lambda thing: unpickled(pickle.dumps(thing, protocol=0)),
    "cloudpickle": lambda thing: unpickled(cloudpickle.dumps(thing)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
CUSTOM = asmnet.LandmarkScheme(
    name="eyes",
    groups={"right_eye": np.array([0]), "left_eye": np.array([1])},
    closed=frozenset({"right_eye"}),
    flip=np.array([1, 0]),
    eye_corners=(0, 1),
)


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def again(request):
    return request.param


@pytest.fixture(scope="module")
def faces(photos):
    return {n: asmnet.detect(photos / "astronaut.png", landmarks=n)[0] for n in (68, 98)}


def assert_same(first, second):
    """Equal in every field, down to arrays."""
    assert type(first) is type(second)
    if isinstance(first, np.ndarray):
        assert np.array_equal(first, second)
        assert first.dtype == second.dtype
    elif is_dataclass(first):
        for field in fields(first):
            assert_same(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, two in zip(first, second, strict=True):
            assert_same(one, two)
    elif hasattr(first, "items"):
        assert list(first) == list(second)
        for key, value in first.items():
            assert_same(value, second[key])
    else:
        assert first == second


@pytest.mark.parametrize("points", [68, 98])
def test_a_face_stays_the_same(again, faces, points):
    face = faces[points]
    other = again(face)
    assert_same(face, other)
    assert other.scheme is face.scheme
    assert other.to_68().landmarks.shape == (68, 2)


def test_every_other_record_stays_the_same(again, photos):
    detection = asmnet.FaceDetector(threads=1).detect(photos / "astronaut.png")[0]
    records = [
        detection,
        asmnet.HeadPose.from_rotation(np.eye(3)),
        asmnet.Smoothing(beta=3.0),
        CropTransform(np.eye(2, 3), 112),
        BatchOptions(),
        Progress(),
        HubReference("a/b", "main", "c"),
        manifest()["asmnet-68"],
    ]
    for record in records:
        assert_same(record, again(record))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_a_scheme_stays_the_same_object(again, scheme):
    assert again(scheme) is scheme
    assert again([scheme, {"scheme": scheme}])[1]["scheme"] is scheme


def test_a_scheme_of_the_user_stays_the_same(again):
    assert_same(again(CUSTOM), CUSTOM)
    assert again(CUSTOM) == CUSTOM


def test_another_object_of_a_scheme_is_taken_by_its_name(faces):
    known = asmnet.WFLW_98
    other = asmnet.LandmarkScheme(**{f.name: getattr(known, f.name) for f in fields(known)})
    assert other is not known
    assert (other, hash(other)) == (known, hash(known))
    assert other != asmnet.IBUG_68
    values = {f.name: getattr(faces[98], f.name) for f in fields(faces[98])}
    face = asmnet.Face(**values | {"scheme": other})
    assert face.to_68().landmarks.shape == (68, 2)
    pose = asmnet.head_pose_from_landmarks(face.landmarks, other)
    assert pose.yaw == asmnet.head_pose_from_landmarks(face.landmarks, known).yaw


def test_points_of_another_scheme_are_not_passed_off_as_68(faces):
    values = {f.name: getattr(faces[68], f.name) for f in fields(faces[68])}
    with pytest.raises(asmnet.InvalidInputError, match="ibug68 or wflw98"):
        asmnet.Face(**values | {"scheme": CUSTOM}).to_68()


def test_a_face_as_a_dict(faces):
    assert asdict(faces[68])["scheme"]["name"] == "ibug68"


def test_every_error_passes_a_process_boundary(again):
    for name in asmnet.__all__:
        if name.endswith("Error"):
            error = again(getattr(asmnet, name)("expected this, got that"))
            assert type(error) is getattr(asmnet, name)
            assert str(error) == "expected this, got that"


def test_analyzers_are_loaded_again(again, photos, tmp_path, monkeypatch):
    shutil.copyfile(PACKAGE / "weights" / "asmnet-face.onnx", tmp_path / "mine.onnx")
    photo = photos.absolute() / "astronaut.png"
    monkeypatch.chdir(tmp_path)
    first = asmnet.FaceAnalyzer(
        detector="mine.onnx", landmarker="asmnet-98", threads=1,
        session_options={"session.intra_op.allow_spinning": "0"},
    )  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    other = again(first)
    assert_same(first.detect(photo), other.detect(photo))
    assert_same(again(first).detect(photo), again(other).detect(photo))


def test_detectors_and_landmarkers_keep_their_options(again, photos):
    detector = asmnet.FaceDetector(input_size=640, min_score=1.0, threads=1)
    assert again(detector).detect(photos / "apollo11_crew.jpg") == []
    landmarker = again(asmnet.FaceLandmarker("asmnet-68-lite", threads=1))
    assert landmarker.scheme is asmnet.IBUG_68
    assert landmarker.predict(photos / "astronaut.png", [[174, 88, 270, 178]])


@pytest.mark.parametrize("way", ["pickle", "cloudpickle", "deepcopy"])
def test_a_tracker_goes_on_where_it_was(way, photos):
    tracker = asmnet.FaceTracker(threads=1)
    photo = photos / "astronaut.png"
    tracker.update(photo, 0.0)
    other = WAYS[way](tracker)
    assert_same(tracker.update(photo, 0.1), other.update(photo, 0.1))


def test_a_queue_between_processes(faces):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    # A function of this file could not be imported by the child.
    process = context.Process(target=queue.put, args=(faces[98],))
    process.start()
    face = queue.get(timeout=60)
    process.join()
    assert_same(face, faces[98])
    assert face.scheme is asmnet.WFLW_98
