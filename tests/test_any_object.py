"""Whatever object comes in the place of an argument: one of our errors, or a result."""

import math
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

import asmnet
from asmnet._checks import shown
from asmnet.batch import BatchOptions, run_batch
from asmnet.image import load_image
from asmnet.video import VideoReader, VideoWriter


class Hostile:
    """Raises at everything that one may do to look at it."""

    def refuse(self, *_args):
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __bool__ = __len__ = __float__ = __int__ = __index__ = refuse
    __array__ = __fspath__ = __lt__ = refuse
    __hash__ = None


class BytesPath:
    def __fspath__(self):
        return b"photo.jpg"


class BadShape(np.ndarray):
    """An array of another kind."""


FACE = {
    "bbox": [10, 10, 50, 50],
    "score": 0.5,
    "scheme": "ibug68",
    "landmarks": np.random.default_rng(0).uniform(10, 50, (68, 2)).tolist(),
    "pose": {"pitch": 0, "yaw": 0, "roll": 0, "rotation": np.eye(3).tolist()},
    "confidence": [0.5] * 68,
    "presence": 0.9,
    "track_id": 3,
}
DETECTION = {"bbox": [10, 10, 50, 50], "score": 0.5, "keypoints": FACE["landmarks"][:5]}


def objects():
    """All kinds, made anew for each call: some are changed by what is done with them."""
    numbers = [0, 1, -1, 68, 2**31, 2**63, 10**400, 10**5000, 0.5, -0.5, 1e308, 1e-320,
               math.nan, math.inf, -math.inf, 1j, True, False, Fraction(1, 3), Fraction(10**400),
               Decimal("0.5"), np.float16(0.5), np.float32("nan"), np.int64(68), np.uint8(1),
               np.bool_(True), np.complex64(1), np.datetime64(0, "s")]  # fmt: skip
    texts = ["", ".", "a.jpg", "x" * 5000, "data:image/png;base64,AAAA", "nul\0", "\udcff", "rgb",
             "asmnet-68", "asmnet-face", "hf://a/b#c", "hf://", "~nosuchuser/x", "return",
             np.str_("bgr"), b"", b"bytes", bytearray(b"ab"), memoryview(b"ab"), Path("gone.jpg"),
             Path(), BytesPath()]  # fmt: skip
    plain = [None, ..., object(), object, len, Hostile(), Hostile, ValueError("x"), slice(1)]
    holders = [[], (), {}, set(), [68], [[0, 0, 9, 9]], [None], ["a"], [[]], [[1], [1, 2]],
               {"a": 1}, {1: 2}, range(3), iter(()), (i for i in range(2)), [Hostile()],
               [b"x", None], [np.zeros((8, 8), np.uint8)], ["CPUExecutionProvider"],
               [("CPUExecutionProvider", {})], {"a.b": "c"}, {"logid": 3}]  # fmt: skip
    shapes = [(), 0, 4, (0, 4), (1, 4), (5, 2), (68, 2), (3, 3), (1, 5, 2), (8, 8), (8, 8, 3)]
    arrays = [np.zeros(shape) for shape in [*shapes, (2, 8, 8, 3)]]
    arrays += [np.full(array.shape, value) for value in (math.nan, 1e308, -1e308, 1e-320)
               for array in arrays]  # fmt: skip
    arrays += [np.matrix([[0, 0], [1, 1]]), np.ma.masked_all((5, 2)), np.zeros(3, "i4,f8"),
               np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8).view(BadShape),
               np.zeros((8, 8), ">u2"), np.zeros((8, 8), bool), np.zeros((5, 2), complex),
               np.array(["a", "b"]), np.array([None, [1]], object), np.zeros(4, "M8[s]"),
               np.arange(8)[::-1], np.broadcast_to(np.uint8(1), (8, 8, 3))]  # fmt: skip
    pictures = [
        Image.new(mode, (8, 8)) for mode in ("1", "L", "P", "RGBA", "CMYK", "I", "F", "LAB")
    ]
    records = [asmnet.Face.from_dict(FACE), asmnet.Detection.from_dict(DETECTION), asmnet.IBUG_68,
               asmnet.WFLW_98, asmnet.Smoothing(), asmnet.HeadPose.from_rotation(np.eye(3)), FACE,
               [asmnet.Face.from_dict(FACE)], [asmnet.Detection.from_dict(DETECTION)]]  # fmt: skip
    return [*numbers, *texts, *plain, *holders, *arrays, *pictures, *records]


ANALYZER = asmnet.FaceAnalyzer(threads=1)
DETECTOR = asmnet.FaceDetector(input_size=64, threads=1)
LANDMARKER = asmnet.FaceLandmarker(threads=1)


def update(frame, timestamp, channel_order):
    tracker = asmnet.FaceTracker(detector=DETECTOR, landmarker=LANDMARKER)
    return tracker.update(PHOTO, 0.0), tracker.update(frame, timestamp, channel_order=channel_order)


def streamed(**arguments):
    return list(ANALYZER.detect_stream(**arguments))


class Capture:
    """OpenCV's, for a machine that may have a camera."""

    def __init__(self, source):
        assert type(source) in (int, str)

    def get(self, _):
        return 10.0

    def isOpened(self):  # noqa: N802
        return True

    def release(self):
        pass


def opened(source):
    with patch("cv2.VideoCapture", Capture), VideoReader(source) as video:
        return video.rate


def written(path, rate, image, time):
    with VideoWriter(path, rate) as video:
        video.write(image, time)
        return video.frames


class Threads(ThreadPoolExecutor):
    """In place of the processes of a batch."""

    def __init__(self, workers, *_args, **_options):
        super().__init__(workers)


def batched(*, files, out, workers, resume, overwrite, options):
    with patch("asmnet.batch.runner.ProcessPoolExecutor", Threads):
        return list(run_batch(
            files, out, options, workers=workers, resume=resume, overwrite=overwrite
        ))  # fmt: skip


BATCH = {"files": [], "out": "f.jsonl", "workers": 2, "resume": False, "overwrite": True}
PHOTO = np.zeros((64, 64, 3), np.uint8)
PLACES = {"image": PHOTO, "channel_order": "rgb"}
WHICH = {"min_score": 0.5, "max_faces": 3}
RUNTIME = {"threads": 1, "providers": None, "session_options": None, "download": False}
A_FACE = asmnet.Face.from_dict(FACE)

# Each public entry with good arguments; in the place of each, all objects come.
ENTRIES = {
    "load_image": (load_image, {"source": PHOTO, "channel_order": "rgb"}),
    "detect": (asmnet.detect, PLACES | WHICH | {"landmarks": 68, "weights": None}),
    "FaceAnalyzer": (
        asmnet.FaceAnalyzer,
        {"landmarks": 68, "weights": "research", "detector": "asmnet-face",
         "landmarker": "asmnet-68-lite"} | RUNTIME,
    ),
    "FaceAnalyzer.detect": (ANALYZER.detect, PLACES | WHICH),
    "FaceAnalyzer.detect_stream": (
        streamed,
        {"images": [PHOTO], "workers": 2, "on_error": "raise", "channel_order": "rgb"} | WHICH,
    ),
    "FaceAnalyzer.detect_batch": (
        ANALYZER.detect_batch,
        {"images": [PHOTO], "workers": 2, "channel_order": "rgb"} | WHICH,
    ),
    "FaceDetector": (
        asmnet.FaceDetector,
        {"weights": "asmnet-face", "input_size": 64, "min_score": 0.5, "tiles": False,
         "rotated_retry": True, "verifier": "own"} | RUNTIME,
    ),
    "FaceDetector.detect": (
        DETECTOR.detect, PLACES | {"min_score": 0.5},
    ),
    "FaceLandmarker": (asmnet.FaceLandmarker, {"weights": "asmnet-68-lite"} | RUNTIME),
    "FaceLandmarker.predict": (
        LANDMARKER.predict,
        PLACES | {"bboxes": [[10, 10, 50, 50]], "keypoints": [DETECTION["keypoints"]]},
    ),
    "FaceTracker": (
        asmnet.FaceTracker,
        {"landmarks": 68, "smoothing": asmnet.Smoothing(), "detect_every": 30, "keep_lost": 3.0,
         "weights": None, "detector": DETECTOR, "landmarker": LANDMARKER} | WHICH | RUNTIME,
    ),
    "FaceTracker.update": (update, {"frame": PHOTO, "timestamp": 1.0, "channel_order": "rgb"}),
    "Smoothing": (
        asmnet.Smoothing,
        {"min_cutoff": 1.0, "beta": 1.0, "local_beta": 1.0, "rotation_beta": 1.0,
         "speed_cutoff": 1.0},
    ),
    "VideoReader": (opened, {"source": __file__}),
    "VideoWriter": (written, {"path": "out.mp4", "rate": 10, "image": PHOTO, "time": 0.0}),
    "run_batch": (batched, BATCH | {"options": BatchOptions()}),
    "BatchOptions": (
        lambda **options: batched(**BATCH, options=BatchOptions(**options)),
        {"crops": Path("crops"), "crops_root": Path(), "crop_size": 112, "input_size": 320,
         "landmarks": 68, "max_pixels": 9, "tiles": True, "weights": None} | WHICH,
    ),
    "draw_faces": (asmnet.draw_faces, PLACES | {"faces": [A_FACE]}),
    "align_transform": (
        asmnet.align_transform, {"face": A_FACE, "size": 112, "template": np.eye(5, 2)},
    ),
    "aligned_crop": (
        asmnet.aligned_crop, PLACES | {"face": A_FACE, "size": 112, "template": np.eye(5, 2)},
    ),
    "eye_openness": (asmnet.eye_openness, {"face": A_FACE}),
    "mouth_openness": (asmnet.mouth_openness, {"face": A_FACE}),
    "head_pose_from_landmarks": (
        asmnet.head_pose_from_landmarks,
        {"landmarks": FACE["landmarks"], "scheme": asmnet.IBUG_68},
    ),
    "HeadPose.from_rotation": (asmnet.HeadPose.from_rotation, {"rotation": np.eye(3)}),
    "Face.from_dict": (asmnet.Face.from_dict, {"values": FACE}),
    "Face.from_dict, the values": (lambda **a: asmnet.Face.from_dict(a), FACE),
    "Detection.from_dict": (asmnet.Detection.from_dict, {"values": DETECTION}),
    "Detection.from_dict, the values": (lambda **a: asmnet.Detection.from_dict(a), DETECTION),
    "HeadPose.from_dict": (asmnet.HeadPose.from_dict, {"values": FACE["pose"]}),
    "HeadPose.from_dict, the values": (lambda **a: asmnet.HeadPose.from_dict(a), FACE["pose"]),
    "LandmarkScheme": (
        asmnet.LandmarkScheme,
        {"name": "mine", "groups": {"jaw": np.arange(2)}, "closed": frozenset(),
         "flip": np.arange(2), "eye_corners": (0, 1)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "numbers"),
    [
        (
            "detect",
            {"landmarks": np.int64(68), "min_score": np.float32(0.5), "max_faces": np.int8(2)},
        ),
        ("FaceAnalyzer.detect_stream", {"workers": np.int32(2), "min_score": Fraction(1, 2)}),
        (
            "FaceDetector",
            {"input_size": np.int64(64), "threads": np.int16(1), "download": np.False_},
        ),
        (
            "FaceTracker",
            {"detect_every": np.int64(3), "keep_lost": np.float32(1), "landmarks": np.int8(68)},
        ),
        ("FaceTracker.update", {"timestamp": np.float32(1)}),
        ("aligned_crop", {"size": np.uint16(64), "template": np.eye(5, 2, dtype=np.float16)}),
        ("Smoothing", {"beta": np.float32(2)}),
        ("HeadPose.from_dict, the values", {"yaw": np.float32(3)}),
        ("run_batch", {"workers": np.int8(1), "overwrite": np.True_, "out": Path("f.csv")}),
        (
            "BatchOptions",
            {
                "landmarks": np.int64(98),
                "min_score": np.float32(0.5),
                "tiles": np.False_,
                "max_faces": np.int64(3),
                "crop_size": np.uint8(64),
                "crops": "crops",
            },
        ),
        ("VideoReader", {"source": np.int64(0)}),
        ("VideoWriter", {"rate": np.float32(10), "time": np.int64(0)}),
    ],
)
def test_numpy_s_numbers_are_numbers(entry, numbers):
    call, good = ENTRIES[entry]
    assert call(**{**good, **numbers}) is not None


@pytest.mark.parametrize(
    ("entry", "wrong", "told"),
    [
        ("draw_faces", {"faces": A_FACE}, "faces: expected an iterable, got Face"),
        ("draw_faces", {"faces": [asmnet.Detection.from_dict(DETECTION)]}, "expected a Face"),
        ("aligned_crop", {"face": asmnet.Detection.from_dict(DETECTION)}, "expected a Face"),
        ("eye_openness", {"face": asmnet.Detection.from_dict(DETECTION)}, "expected a Face"),
        ("aligned_crop", {"template": np.zeros((5, 2))}, "template"),
        ("detect", {"landmarks": [68]}, r"expected 68 or 98, got \[68\]"),
        ("detect", {"landmarks": True}, "expected 68 or 98"),
        ("detect", {"max_faces": True}, "expected a positive int"),
        ("detect", {"max_faces": 10**5000 // -1}, "an object of int"),
        ("FaceDetector", {"weights": 3}, "a name, a hub reference or a path, got 3"),
        ("detect", {"weights": 3}, r"a family of weights .* \(research.*\), got 3"),
        ("FaceDetector", {"weights": b"asmnet-face"}, "a path, got b'asmnet-face'"),
        ("FaceDetector", {"weights": "a\0b"}, "or the path of an ONNX file"),
        ("FaceLandmarker.predict", {"bboxes": [["1", "2", "3", "4"]]}, "numbers"),
        ("FaceLandmarker.predict", {"bboxes": [[5, 5, 5.0000001, 9]]}, "x1 > x0"),
        ("FaceAnalyzer.detect_stream", {"images": "a.jpg"}, "put it into a list"),
        ("run_batch", {"files": "a.jpg"}, "put it into a list"),
        ("run_batch", {"files": Path("a.jpg")}, "put it into a list"),
        ("run_batch", {"files": [b"a.jpg"]}, "files: expected a path, got b'a.jpg'"),
        ("run_batch", {"out": None}, "out: expected a path, got None"),
        ("run_batch", {"resume": True}, "expected resume or overwrite, got both"),
        ("run_batch", {"workers": 0}, "workers: expected a positive int"),
        ("BatchOptions", {"crop_size": 0}, "crop_size: expected a positive int"),
        ("VideoReader", {"source": None}, "a path, a URL or a camera's number, got None"),
        ("VideoReader", {"source": True}, "source: expected an int from 0 on"),
        ("VideoReader", {"source": "x" * 5000}, "no such file"),
        ("VideoWriter", {"rate": "10"}, "rate: expected 0.001 to 240 frames/s"),
        ("VideoWriter", {"image": PHOTO / 255.0}, "of uint8, got .* of float64"),
        ("VideoWriter", {"image": PHOTO[:, :, 0]}, "of uint8, got"),
        ("VideoWriter", {"time": math.nan}, "time: expected a number of seconds"),
    ],
)
def test_what_is_wrong_is_told(entry, wrong, told):
    call, good = ENTRIES[entry]
    with pytest.raises(asmnet.AsmnetError, match=told):
        call(**{**good, **wrong})


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_an_array():
    call, good = ENTRIES["FaceLandmarker.predict"]
    (one,), (other,) = call(**good), call(**{**good, "bboxes": np.matrix(good["bboxes"])})
    assert np.array_equal(one.landmarks, other.landmarks)
    grey = np.random.default_rng(0).integers(0, 255, (8, 9), np.uint8)
    assert np.array_equal(load_image(np.matrix(grey)), load_image(grey))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASMNET_CACHE", str(tmp_path))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("entry", "argument"),
    [(entry, argument) for entry, (_, good) in ENTRIES.items() for argument in good],
)
def test_any_object_ends_in_an_error_of_ours_or_a_result(entry, argument):
    call, good = ENTRIES[entry]
    assert call(**good) is not None
    foreign = []
    for thing in objects():
        try:
            call(**{**good, argument: thing})
        except asmnet.AsmnetError:  # noqa: PERF203
            pass
        except Exception as error:  # noqa: BLE001
            foreign.append((shown(thing), repr(error)))
    assert foreign == []
