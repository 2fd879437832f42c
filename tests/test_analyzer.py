import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import asmnet
from asmnet.analyzer import with_landmarks
from asmnet.errors import (
    ImageDecodeError,
    ImageNotFoundError,
    InvalidInputError,
    WeightsNotFoundError,
)
from asmnet.image import load_image, load_reduced

# Points of astronaut.png marked by hand on the enlarged photo, and how far a prediction may be
# off, in units of the distance between the outer eye corners.
ASTRONAUT_POINTS = {
    "right_eye": (203, 102),
    "left_eye": (246, 103),
    "nose": (224, 127),
    "chin": (222, 179),
}
POINT_TOLERANCE = 0.12
# She looks at the camera, her head a little tilted.
ASTRONAUT_POSE = {"pitch": (-20, 20), "yaw": (-20, 20), "roll": (-15, 15)}


def test_golden_photo(analyzer, photos):
    (face,) = analyzer.detect(photos / "astronaut.png")
    keypoints = face.scheme.keypoints @ face.landmarks
    seen = dict(zip(ASTRONAUT_POINTS, [*keypoints[:3], face.landmarks[8]], strict=True))
    right, left = face.scheme.eye_corners
    ocular = np.linalg.norm(face.landmarks[right] - face.landmarks[left])
    for name, expected in ASTRONAUT_POINTS.items():
        assert np.linalg.norm(seen[name] - expected) / ocular < POINT_TOLERANCE, name
    for angle, (low, high) in ASTRONAUT_POSE.items():
        assert low < getattr(face.pose, angle) < high, angle


@pytest.mark.parametrize(
    "name", ["london_006_03", "london_037_03", "london_097_03", "london_130_03"]
)
def test_studio_portraits_are_frontal_and_symmetric(analyzer, photos, name):
    (face,) = analyzer.detect(photos / f"{name}.jpg")
    assert max(abs(face.pose.pitch), abs(face.pose.yaw), abs(face.pose.roll)) < 15
    assert face.score > 0.6


@pytest.mark.parametrize(("enlarged", "factors"), [(2.5, [2, 1]), (5.0, [2]), (10.0, [4])])
def test_large_jpeg_files_are_decoded_as_far_as_the_faces_need(
    photos, monkeypatch, enlarged, factors
):
    """A face of 90 pixels in 512, enlarged: the first is too small in the half."""
    side = round(512 * max(enlarged, 5.0))
    photo, file = Image.new("RGB", (side, side), (90, 120, 90)), io.BytesIO()
    with Image.open(photos / "astronaut.png") as image:
        scaled = image.convert("RGB").resize((round(512 * enlarged), round(512 * enlarged)))
    photo.paste(scaled)
    photo.save(file, "JPEG", quality=92)
    seen = []

    def load(*arguments, **options):
        pixels, factor = load_reduced(*arguments, **options)
        if isinstance(arguments[0], bytes):
            seen.append(factor)
        return pixels, factor

    monkeypatch.setattr("asmnet.detector.load_reduced", load)
    monkeypatch.setattr("asmnet.analyzer.load_reduced", load)
    analyzer = asmnet.FaceAnalyzer(threads=1)
    face = analyzer.detect(file.getvalue())[0]
    assert seen == factors
    whole = analyzer.detect(load_image(file.getvalue()))[0]
    size = (whole.bbox[2:] - whole.bbox[:2]).max()
    assert np.linalg.norm(face.landmarks - whole.landmarks, axis=1).mean() < 0.01 * size
    assert np.abs(face.bbox - whole.bbox).max() < 0.02 * size
    assert (face.bbox.dtype, face.landmarks.dtype) == (np.float32, np.float32)


def test_detect_is_the_analyzer(analyzer, photos):
    path = photos / "apollo11_crew.jpg"
    ours = [face.to_dict() for face in asmnet.detect(path)]
    assert len(ours) == 3
    for a, b in zip(ours, analyzer.detect(path), strict=True):
        assert a["landmarks"] == pytest.approx(np.array(b.landmarks), abs=0.01)


def test_best_score_first_and_max_faces(analyzer, photos):
    faces = analyzer.detect(photos / "apollo11_crew.jpg")
    assert [f.score for f in faces] == sorted((f.score for f in faces), reverse=True)
    best = analyzer.detect(photos / "apollo11_crew.jpg", max_faces=1)
    assert [f.to_dict()["bbox"] for f in best] == [faces[0].to_dict()["bbox"]]


def test_min_score(analyzer, photos):
    assert analyzer.detect(photos / "astronaut.png", min_score=1.0) == []


def test_no_face_gives_an_empty_list(analyzer):
    assert analyzer.detect(np.zeros((200, 300, 3), np.uint8)) == []
    assert analyzer.detect(np.zeros((1, 1), np.uint8)) == []


def test_batch_keeps_the_order(analyzer, photos):
    images = [photos / "apollo11_crew.jpg", np.zeros((64, 64), np.uint8), photos / "astronaut.png"]
    assert [len(faces) for faces in analyzer.detect_batch(images)] == [3, 0, 1]
    assert analyzer.detect_batch([]) == []


def test_stream_is_detect_for_each_in_order(analyzer, photos):
    paths = sorted(p for p in photos.iterdir() if p.suffix in (".png", ".jpg")) * 3
    streamed = analyzer.detect_stream(iter(paths), workers=3, max_faces=2)
    for path, faces in zip(paths, streamed, strict=True):
        alone = analyzer.detect(path, max_faces=2)
        assert [face.to_dict() for face in faces] == [face.to_dict() for face in alone]


def test_stream_raises_at_the_turn_of_the_broken_image(analyzer):
    stream = analyzer.detect_stream([np.zeros((64, 64), np.uint8), b"no image", "gone"], workers=2)
    assert next(stream) == []
    with pytest.raises(ImageDecodeError, match="8 bytes"):
        next(stream)


def test_stream_returns_errors_in_their_places(analyzer, photos):
    images = ["gone.jpg", photos / "astronaut.png", b"no image"]
    gone, faces, broken = analyzer.detect_stream(images, on_error="return")
    assert isinstance(gone, ImageNotFoundError)
    assert len(faces) == 1
    assert isinstance(broken, ImageDecodeError)


def test_stream_reads_an_endless_source_only_a_little_ahead_and_stops(analyzer):
    taken = count()
    before = threading.active_count()
    stream = analyzer.detect_stream((bytes(next(taken)) for _ in iter(int, 1)), workers=2,
                                    on_error="return")  # fmt: skip
    assert next(taken) == 0  # nothing before the first result is asked for
    for _ in range(10):
        next(stream)
    assert next(taken) - 1 <= 10 + 2 * 2
    stream.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": 1.5}, {"on_error": "ignore"}, {"max_faces": 0}]
)
def test_bad_stream_options(analyzer, options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        list(analyzer.detect_stream([np.zeros((64, 64), np.uint8)], **options))


def test_bgr_array_equals_the_file(analyzer, photos):
    path = photos / "astronaut.png"
    rgb = np.array(Image.open(path).convert("RGB"))
    (a,) = analyzer.detect(path)
    (b,) = analyzer.detect(rgb[:, :, ::-1], channel_order="bgr")
    assert np.array_equal(a.landmarks, b.landmarks)


def test_eight_threads_give_the_results_of_one(analyzer, photos):
    paths = sorted(p for p in photos.iterdir() if p.suffix in (".png", ".jpg")) * 8
    alone = [[f.to_dict() for f in faces] for faces in analyzer.detect_batch(paths)]
    with ThreadPoolExecutor(8) as pool:
        together = [[f.to_dict() for f in faces] for faces in pool.map(analyzer.detect, paths)]
    assert together == alone


def test_to_dict_is_json(analyzer, photos):
    (face,) = analyzer.detect(photos / "astronaut.png")
    data = json.loads(json.dumps(face.to_dict()))
    assert set(data) == {
        "bbox", "score", "scheme", "landmarks", "pose", "confidence", "presence", "track_id"
    }  # fmt: skip
    assert np.array_equal(np.array(data["landmarks"], np.float32), face.landmarks)
    assert data["pose"]["yaw"] == face.pose.yaw


def test_98_points(photos):
    (face,) = asmnet.detect(photos / "astronaut.png", landmarks=98)
    (other,) = asmnet.detect(photos / "astronaut.png")
    assert face.scheme is asmnet.WFLW_98
    assert face.landmarks.shape == (98, 2)
    side = (face.bbox[2:] - face.bbox[:2]).max()
    assert np.abs(face.to_68().landmarks - other.landmarks).mean() < 0.02 * side
    for pupil, eye in (("right_pupil", "right_eye"), ("left_pupil", "left_eye")):
        points = face.landmarks[face.scheme.groups[eye]]
        (middle,) = face.landmarks[face.scheme.groups[pupil]]
        assert (points.min(axis=0) < middle).all()
        assert (middle < points.max(axis=0)).all()


def test_input_is_not_changed(analyzer, photos):
    image = np.array(Image.open(photos / "astronaut.png").convert("RGB"))
    before = image.copy()
    asmnet.draw_faces(image, analyzer.detect(image))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("options", [{"max_faces": 0}, {"max_faces": 1.5}, {"min_score": 2}])
def test_bad_options(analyzer, photos, options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        analyzer.detect(photos / "astronaut.png", **options)


def test_bad_construction():
    with pytest.raises(InvalidInputError, match="68 or 98"):
        asmnet.FaceAnalyzer(landmarks=5)
    with pytest.raises(InvalidInputError, match="threads"):
        asmnet.FaceAnalyzer(threads=0)
    with pytest.raises(WeightsNotFoundError, match="asmnet-68"):
        asmnet.FaceAnalyzer(landmarker="asmnet-1000")


@pytest.fixture(scope="module")
def clip(photos):
    """Five frames of one size, with and without a face by turns."""
    face = load_image(photos / "astronaut.png")
    return [face if i % 2 else np.zeros_like(face) for i in range(5)]


COUNTS = [0, 1, 0, 1, 0]


def counts(results):
    return [len(faces) for faces in results]


def test_stream_of_one_buffer_that_is_used_again(analyzer, clip):
    buffer = np.empty_like(clip[0])

    def camera():
        for frame in clip:
            buffer[:] = frame
            yield buffer

    assert counts(analyzer.detect_stream(camera(), workers=2)) == COUNTS


def test_stream_of_one_bytearray_that_is_used_again(analyzer, clip):
    buffer = bytearray()

    def camera():
        for frame in clip:
            file = io.BytesIO()
            Image.fromarray(frame).save(file, "BMP")
            buffer[:] = file.getvalue()
            yield buffer

    assert counts(analyzer.detect_stream(camera(), workers=2)) == COUNTS


def test_stream_of_the_frames_of_a_pil_sequence(analyzer, clip, tmp_path):
    first, *rest = map(Image.fromarray, clip)
    first.save(tmp_path / "clip.tiff", save_all=True, append_images=rest)
    with Image.open(tmp_path / "clip.tiff") as sequence:
        frames = ImageSequence.Iterator(sequence)
        assert counts(analyzer.detect_stream(frames, workers=4)) == COUNTS


def test_stream_with_one_pil_image_many_times(analyzer, photos):
    with Image.open(photos / "astronaut.png") as image:
        assert counts(analyzer.detect_stream(8 * [image], workers=4)) == 8 * [1]


def test_stream_of_bgr_takes_pil_images_as_they_are(analyzer, photos):
    with Image.open(photos / "astronaut.png") as image:
        (streamed,) = analyzer.detect_stream([image], channel_order="bgr")
    plain = analyzer.detect(photos / "astronaut.png")
    assert np.array_equal(streamed[0].landmarks, plain[0].landmarks)


def test_stream_with_a_broken_pil_image(analyzer, photos, tmp_path):
    data = (photos / "astronaut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with Image.open(tmp_path / "cut.png") as image:
        found, broken, again = analyzer.detect_stream(
            [photos / "astronaut.png", image, photos / "astronaut.png"], on_error="return"
        )
        assert isinstance(broken, asmnet.ImageDecodeError)
        assert (len(found), len(again)) == (1, 1)
        stream = analyzer.detect_stream([photos / "astronaut.png", image])
        assert len(next(stream)) == 1
        with pytest.raises(asmnet.ImageDecodeError):
            next(stream)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_before_the_source_s_error(analyzer, clip, workers):
    def camera():
        yield from clip
        raise ConnectionError("camera unplugged")

    results = []
    with pytest.raises(ConnectionError, match="unplugged"):
        results.extend(analyzer.detect_stream(camera(), workers=workers))
    assert counts(results) == COUNTS


@pytest.mark.parametrize(
    "single",
    [np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), "a.jpg", Path("a.jpg"), b"data",
     bytearray(b"data"), Image.new("RGB", (8, 8))],
    ids=lambda single: type(single).__name__,
)  # fmt: skip
def test_a_single_image_is_no_stream(analyzer, single):
    with pytest.raises(InvalidInputError, match="put it into a list"):
        analyzer.detect_stream(single)
    with pytest.raises(InvalidInputError, match="put it into a list"):
        analyzer.detect_batch(single)


def test_a_stack_of_images_is_a_stream(analyzer, clip):
    assert counts(analyzer.detect_stream(np.stack(clip))) == COUNTS


def test_loaded_networks_are_taken_as_they_are(photos):
    detector = asmnet.FaceDetector(input_size=320, threads=1)
    landmarker = asmnet.FaceLandmarker("asmnet-98", threads=1)
    analyzer = asmnet.FaceAnalyzer(detector=detector, landmarker=landmarker)
    (face,) = analyzer.detect(photos / "astronaut.png")
    assert len(face.landmarks) == 98


def test_a_higher_score_is_asked_for_and_fewer_faces_come(analyzer, photos):
    faces = analyzer.detect(photos / "apollo11_crew.jpg", min_score=0.0)
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    assert len(analyzer.detect(photos / "apollo11_crew.jpg", max_faces=1)) == 1
    assert analyzer.detect(photos / "apollo11_crew.jpg", min_score=1.0) == []


def test_a_face_that_was_found_twice_is_returned_once(photos):
    image = asmnet.image.load_image(photos / "astronaut.png")
    found = asmnet.FaceDetector(threads=1).detect(image)
    (first,) = found
    shifted = replace(first, bbox=first.bbox + np.float32(6), score=first.score / 2)
    landmarker = asmnet.FaceLandmarker(threads=1)
    (face,) = with_landmarks([first, shifted], landmarker, image)
    assert face.score == first.score
    assert with_landmarks([], landmarker, image) == []


def test_a_face_that_was_found_twice_costs_no_other_its_place(analyzer, photos, monkeypatch):
    """Three people, of whom the best is found twice more."""
    image = load_image(photos / "apollo11_crew.jpg")
    best, *others = asmnet.FaceDetector().detect(image)
    again = [replace(best, bbox=best.bbox + shift) for shift in (8, -8)]
    monkeypatch.setattr(analyzer._detector, "detect", lambda *_, **__: [best, *again, *others])
    every = analyzer.detect(image)
    assert len(every) == 3
    for most in (1, 2, 3, 4):
        kept = analyzer.detect(image, max_faces=most)
        assert [f.bbox.tolist() for f in kept] == [f.bbox.tolist() for f in every[:most]]
