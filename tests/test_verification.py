"""Both networks decide what is a face."""

import numpy as np
import pytest

import asmnet
from asmnet.types import Detection
from asmnet.verification import face_probability, verified


@pytest.fixture(scope="module")
def landmarker():
    return asmnet.FaceLandmarker(threads=1)


def detection(box, score):
    x0, y0, x1, y1 = box
    places = np.array([[0.29, 0.2], [0.71, 0.2], [0.5, 0.44], [0.31, 0.66], [0.69, 0.66]])
    keypoints = np.array([x0, y0]) + places * [x1 - x0, y1 - y0]
    return Detection(np.array(box, np.float32), score, keypoints.astype(np.float32))


def test_the_chance_grows_with_score_and_presence():
    half = np.array([0.5, 0.5])
    assert np.diff(face_probability(np.array([0.6, 0.8]), half, np.array([60.0, 60])))[0] > 0.1
    assert np.diff(face_probability(np.array([0.6, 0.6]), np.array([0.1, 0.9]), 60 * half))[0] > 0.1


def test_little_presence_says_less_of_a_small_face():
    low, score = np.array([0.01, 0.01]), np.array([0.7, 0.7])
    small, large = face_probability(score, low, np.array([12.0, 80.0]))
    assert small > large


def test_the_chance_is_finite_for_any_certainty():
    ends = np.array([0.0, 1.0])
    chances = face_probability(ends, ends, np.array([0.0, 5000.0]))
    assert ((chances >= 0) & (chances <= 1)).all()


def test_a_doubtful_box_beside_the_face_goes_and_the_face_stays(landmarker, photos):
    found = [detection((181, 88, 268, 179), 0.6), detection((20, 300, 110, 400), 0.6)]
    image = asmnet.image.load_image(photos / "astronaut.png")
    (face,) = verified(found, landmarker, image, 0.5)
    assert face.bbox == pytest.approx([181, 88, 268, 179])
    assert face.score > 0.75
    assert face.presence > 0.9


def test_a_face_that_was_found_twice_is_returned_once(landmarker, photos):
    found = [detection((181, 88, 268, 179), 0.9), detection((195, 70, 285, 185), 0.85)]
    image = asmnet.image.load_image(photos / "astronaut.png")
    assert len(verified(found, landmarker, image, 0.5)) == 1


def test_without_presence_the_detector_s_score_stays(photos):
    landmarker = asmnet.FaceLandmarker("asmnet-paper-68", threads=1)
    image = asmnet.image.load_image(photos / "astronaut.png")
    found = [detection((181, 88, 268, 179), 0.61), detection((20, 300, 110, 400), 0.55)]
    assert [face.score for face in verified(found, landmarker, image, 0.5)] == [0.61, 0.55]
    assert landmarker.presences(image, [[181, 88, 268, 179]]) is None


def test_nothing_found(landmarker):
    assert verified([], landmarker, np.zeros((50, 50, 3), np.uint8), 0.5) == []
    assert landmarker.presences(np.zeros((50, 50, 3), np.uint8), []).shape == (0,)


def test_presences_are_those_of_the_first_look(landmarker, photos):
    boxes = [[181, 88, 268, 179], [20, 300, 110, 400]]
    there, not_there = landmarker.presences(photos / "astronaut.png", boxes)
    assert there > 0.9
    assert not_there < 0.3
