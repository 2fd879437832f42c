import numpy as np
import pytest

from asmnet.evaluation.boxes import PhotoBoxes, face_scores, recalls, score_for_false

NOTHING = np.zeros((0, 4))


def photo(found, scores, faces, sides, ignored=NOTHING):
    found, faces = np.array(found, float).reshape(-1, 4), np.array(faces, float).reshape(-1, 4)
    return PhotoBoxes(found, np.array(scores, float), faces, np.array(sides, float), ignored)


def test_each_face_is_found_once_and_a_second_box_on_it_is_not_false():
    shown = photo(
        [[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], [0.9, 0.8, 0.7], [[0, 0, 10, 10]], [40]
    )
    hits, false = face_scores(shown, min_iou=0.3)
    assert hits.tolist() == [0.9]
    assert false.tolist() == [0.7]


def test_a_box_on_what_is_ignored_is_not_false():
    shown = photo([[50, 50, 60, 60]], [0.7], [], [], ignored=np.array([[45.0, 45, 70, 70]]))
    hits, false = face_scores(shown, min_iou=0.3)
    assert len(hits) == len(false) == 0


def test_by_its_centre_a_box_of_another_size_finds_a_face():
    shown = photo([[4, 4, 6, 6]], [0.5], [[0, 0, 10, 10]], [40])
    assert face_scores(shown, min_iou=None)[0].tolist() == [0.5]
    assert np.isneginf(face_scores(shown, min_iou=0.3)[0]).all()


def test_recall_by_size_and_the_score_that_leaves_so_many_false_boxes():
    photos = [
        photo([[0, 0, 10, 10], [80, 80, 90, 90]], [0.9, 0.6], [[0, 0, 10, 10]], [40]),
        photo([[0, 0, 10, 10], [80, 80, 90, 90]], [0.4, 0.8], [[0, 0, 10, 10]], [20]),
        photo([], [], [[0, 0, 10, 10]], [9]),
    ]
    parts, false = recalls(photos, min_iou=0.3, min_score=0.5)
    assert parts == [100, 0, 0]
    assert false == 2
    score = score_for_false(photos, min_iou=0.3, false=1)
    assert 0.6 < score < 0.61
    parts, false = recalls(photos, min_iou=0.3, min_score=0.3, classes=(16.0, 0.0))
    assert parts == pytest.approx([100, 0])
    assert score_for_false(photos, min_iou=0.3, false=9) == 0
