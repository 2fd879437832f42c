"""A close look at what a detector took for faces."""

import numpy as np
import pytest

import asmnet
from asmnet.geometry import box_iou
from asmnet.image import load_image
from asmnet.session import OnnxSession
from asmnet.verifier import BATCH, WEIGHTS, FaceVerifier, face_probability
from asmnet.weights import PACKAGE

FACE, SUIT = [181.0, 88, 268, 179], [200.0, 330, 300, 440]


@pytest.fixture(scope="module")
def verifier():
    return FaceVerifier(threads=1)


def test_the_chance_grows_with_both_scores():
    low, high, sides = np.array([0.4]), np.array([0.7]), np.array([60.0])
    both_low = face_probability(low, low, sides)
    assert face_probability(high, low, sides) > both_low * 1.5
    assert face_probability(low, high, sides) > both_low * 1.5


def test_the_chance_is_finite_for_any_certainty():
    ends = np.array([0.0, 1.0])
    probabilities = face_probability(ends, ends, np.array([0.0, 5000.0]))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_a_face_is_told_from_a_suit(verifier, photos):
    _, scores, _ = verifier.look(load_image(photos / "astronaut.png"), np.array([FACE, SUIT]))
    assert scores[0] > 0.9
    assert scores[1] < 0.3


def test_a_box_that_is_off_is_drawn_anew(verifier, photos):
    pixels, face = load_image(photos / "astronaut.png"), np.array([FACE])
    for off in ([12, 8, 12, 8], [-15, -5, 5, 5], [8, 8, -8, -8]):
        boxes, _, keypoints = verifier.look(pixels, face + off)
        assert box_iou(boxes, face) > max(box_iou(face + off, face), 0.75)
        right_eye, left_eye, nose, right_mouth, left_mouth = keypoints[0]
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < min(right_mouth[1], left_mouth[1])


def test_a_shifted_photo_shifts_all_that_is_found(verifier, photos):
    pixels = load_image(photos / "astronaut.png")
    moved = np.zeros((700, 800, 3), np.uint8)
    moved[100:612, 200:712] = pixels
    before = verifier.look(pixels, np.array([FACE]))
    after = verifier.look(moved, np.array([FACE]) + np.array([200, 100] * 2))
    assert after[0] == pytest.approx(before[0] + [200, 100, 200, 100], abs=0.01)
    assert after[1] == pytest.approx(before[1], abs=1e-5)
    assert after[2] == pytest.approx(before[2] + [200, 100], abs=0.01)


def test_more_boxes_than_are_looked_at_together(verifier, photos):
    pixels = load_image(photos / "astronaut.png")
    many = np.tile([FACE, SUIT], (BATCH, 1))
    boxes, scores, keypoints = verifier.look(pixels, many)
    assert len(boxes) == len(scores) == len(keypoints) == 2 * BATCH
    assert scores[::2] == pytest.approx(np.full(BATCH, scores[0]), abs=1e-5)
    assert scores[1::2] == pytest.approx(np.full(BATCH, scores[1]), abs=1e-5)


def test_no_boxes(verifier):
    boxes, scores, keypoints = verifier.look(np.zeros((50, 50, 3), np.uint8), np.zeros((0, 4)))
    assert (boxes.shape, scores.shape, keypoints.shape) == ((0, 4), (0,), (0, 5, 2))


def test_other_weights_are_refused():
    with pytest.raises(asmnet.WeightsError, match="expected weights for verification"):
        FaceVerifier("asmnet-face")
    with pytest.raises(asmnet.WeightsError, match="expected weights for verification"):
        asmnet.FaceDetector(verifier="asmnet-68")


@pytest.mark.parametrize("metadata", [{}, {"input_size": "64"}, {"input_size": "?"}])
def test_a_file_that_does_not_tell_its_crop_is_refused(metadata):
    session = OnnxSession("asmnet-face-verifier", threads=1)
    assert session.crop_format() == (64, 2.5)
    session.metadata = metadata
    with pytest.raises(asmnet.WeightsError, match="expected metadata input_size and crop_margin"):
        session.crop_format()


def with_score_weights(path, text):
    """The bundled verifier with a string of metadata more."""
    content = (PACKAGE / "weights" / "asmnet-face-verifier.onnx").read_bytes()
    pair = b"".join(
        bytes([field, len(value)]) + value for field, value in ((10, b"score_weights"), (18, text))
    )
    path.write_bytes(content + bytes([114, len(pair)]) + pair)  # a field of ModelProto
    return str(path)


def test_a_file_s_own_weights_of_the_scores_are_used(tmp_path, photos, verifier):
    assert verifier.score_weights == WEIGHTS
    own = with_score_weights(tmp_path / "own.onnx", b"0,0,0,1.5")
    assert FaceVerifier(own, threads=1).score_weights == (0, 0, 0, 1.5)
    found = asmnet.FaceDetector(verifier=own, threads=1).detect(photos / "astronaut.png")
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-1.5)))


@pytest.mark.parametrize("text", [b"1,2,3", b"1,2,3,x", b"", b"1,2,3,inf"])
def test_weights_of_the_scores_that_are_none(tmp_path, text):
    with pytest.raises(asmnet.WeightsError, match="expected 4 numbers as metadata score_weights"):
        FaceVerifier(with_score_weights(tmp_path / "own.onnx", text))


def test_without_a_verifier_the_detector_is_trusted(photos):
    image = load_image(photos / "apollo11_crew.jpg")
    alone = asmnet.FaceDetector(verifier=None, rotated_retry=False, min_score=0.3, threads=1)
    both = asmnet.FaceDetector(rotated_retry=False, min_score=0.3, threads=1)
    assert len(alone.detect(image)) >= len(both.detect(image)) >= 3
    assert {d.score for d in alone.detect(image)}.isdisjoint(d.score for d in both.detect(image))
