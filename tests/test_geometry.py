import tracemalloc

import numpy as np
import pytest

from asmnet.geometry import (
    UPRIGHT_KEYPOINTS,
    CropTransform,
    box_iou,
    crop_matrices,
    euler_to_rotation,
    geodesic_degrees,
    inverse_affine,
    match_greedily,
    non_maximum_suppression,
    paired_iou,
    points_box,
    roll_matrix,
    rotation_to_euler,
    similarity,
    transformed,
    upright_angle,
)

BOX = np.array([10.0, 20.0, 50.0, 80.0])


def test_iou_of_known_boxes():
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], dtype=float)
    assert box_iou(boxes[:1], boxes)[0] == pytest.approx([1, 1 / 3, 0])


def test_suppression_keeps_the_best_of_each_group_best_first():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], dtype=float)
    kept = non_maximum_suppression(boxes, np.array([0.5, 0.8, 0.9]), 0.4)
    assert kept.tolist() == [2, 1]


def test_a_suppressed_box_suppresses_nothing():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], dtype=float)
    assert non_maximum_suppression(boxes, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def many_boxes(count):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 1000, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 200, (count, 2))], axis=1)
    return boxes, rng.permutation(count) / count


def test_suppression_is_the_greedy_one():
    boxes, scores = many_boxes(300)
    scores[::7] = 0.5  # of equal scores the first is kept
    order = sorted(range(300), key=lambda i: -scores[i])
    overlaps = box_iou(boxes, boxes)
    kept = []
    for i in order:
        if all(overlaps[i, j] <= 0.4 for j in kept):
            kept.append(i)
    assert non_maximum_suppression(boxes, scores, 0.4).tolist() == kept


def test_suppression_of_many_boxes_takes_little_memory():
    boxes, scores = many_boxes(2000)
    tracemalloc.start()
    try:
        non_maximum_suppression(boxes, scores, 0.4)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20 * boxes.nbytes


def test_suppression_of_no_boxes():
    assert non_maximum_suppression(np.zeros((0, 4)), np.zeros(0), 0.4).tolist() == []


def test_points_box_of_many_faces():
    points = np.array([[[1, 5], [3, 2]], [[0, 0], [7, 9]]], dtype=float)
    assert points_box(points).tolist() == [[1, 2, 3, 5], [0, 0, 7, 9]]


def test_the_box_centre_lands_on_the_crop_centre_and_the_longer_side_fills_its_part():
    transform = CropTransform.from_bbox(BOX, 112, margin=1.25)
    assert transform.apply(np.array([30.0, 50.0])) == pytest.approx([56, 56])
    top, bottom = transform.apply(np.array([[30.0, 20.0], [30.0, 80.0]]))
    assert bottom[1] - top[1] == pytest.approx(112 / 1.25)
    assert transform.scale == pytest.approx(112 / 1.25 / 60)


@pytest.mark.parametrize("angle", [0.0, 30.0, -100.0])
def test_invert_undoes_apply(angle):
    transform = CropTransform.from_bbox(BOX, 112, margin=1.25, angle=angle)
    points = np.random.default_rng(0).uniform(-50, 150, (7, 2))
    assert transform.invert(transform.apply(points)) == pytest.approx(points)


@pytest.mark.parametrize("angle", [-60.0, -10.0, 0.0, 45.0, 170.0])
def test_upright_angle_is_the_clockwise_turn_and_the_crop_undoes_it(angle):
    # Clockwise on screen is from x to y, as y points down.
    radians = np.radians(angle)
    turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    keypoints = 100 * UPRIGHT_KEYPOINTS @ turn.T + 40
    assert upright_angle(keypoints) == pytest.approx(angle)
    transform = CropTransform.from_bbox(points_box(keypoints), 112, margin=1.25, angle=angle)
    right_eye, left_eye = transform.apply(keypoints)[:2]
    assert right_eye[1] == pytest.approx(left_eye[1])
    assert right_eye[0] < left_eye[0]


def test_euler_signs():
    # The face looks along the third column of its rotation: x right, y up, z to the viewer.
    assert euler_to_rotation(np.array([30.0, 0, 0]))[1, 2] > 0  # up
    assert euler_to_rotation(np.array([0, 30.0, 0]))[0, 2] < 0  # to the image's left
    # Rolled clockwise, the top of the head (second column) goes to the image's right.
    assert euler_to_rotation(np.array([0, 0, 30.0]))[0, 1] > 0


def test_euler_round_trip_and_proper_rotations():
    angles = np.random.default_rng(1).uniform(-80, 80, (50, 3))
    rotations = euler_to_rotation(angles)
    assert rotation_to_euler(rotations) == pytest.approx(angles)
    assert np.linalg.det(rotations) == pytest.approx(np.ones(50))


def test_mirroring_negates_yaw_and_roll_only():
    mirror = np.diag([-1.0, 1, 1])
    rotation = euler_to_rotation(np.array([10.0, 40, -20]))
    assert rotation_to_euler(mirror @ rotation @ mirror) == pytest.approx([10, -40, 20])


def test_faces_together_are_as_each_alone():
    boxes = np.array([BOX, BOX + np.array([5, -3, 20, 9]), BOX * 0.3])
    angles = np.array([0.0, 40.0, -170.0])
    matrices = crop_matrices(boxes, 112, margin=1.25, angles=angles)
    for box, angle, matrix in zip(boxes, angles, matrices, strict=True):
        alone = CropTransform.from_bbox(box, 112, margin=1.25, angle=angle)
        assert np.allclose(alone.matrix, matrix)
    points = np.random.default_rng(0).uniform(0, 100, (3, 68, 2))
    there = transformed(points, matrices)
    assert np.allclose(transformed(there, inverse_affine(matrices)), points)
    assert np.allclose(paired_iou(boxes, boxes[::-1]), np.diag(box_iou(boxes, boxes[::-1])))


def test_suppression_of_many_boxes_is_that_of_few(monkeypatch):
    """Where the table of all overlaps would not fit into the memory it goes a row at a time."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (80, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 90, (80, 2))], axis=1)
    scores = rng.uniform(0, 1, 80)
    table = non_maximum_suppression(boxes, scores, 0.3)
    monkeypatch.setattr("asmnet.geometry.TABLE_BOXES", 10)
    assert np.array_equal(non_maximum_suppression(boxes, scores, 0.3), table)
    assert 5 < len(table) < 80


def test_roll_matrix_adds_roll_to_a_frontal_head():
    frontal = euler_to_rotation(np.array([0.0, 0, 5]))
    assert rotation_to_euler(roll_matrix(20) @ frontal) == pytest.approx([0, 0, 25])


def test_geodesic_angle():
    turned = euler_to_rotation(np.array([0.0, 33, 0]))
    assert geodesic_degrees(np.eye(3), turned) == pytest.approx(33)


def test_a_similarity_is_found_again():
    turned = euler_to_rotation(np.array([0.0, 0, 30]))[:2, :2]
    points = np.random.default_rng(0).normal(size=(4, 6, 2))
    moved = 3 * points @ turned.T + [5, -2]
    matrices = similarity(points, moved)
    assert matrices[:, :, :2] == pytest.approx(np.tile(3 * turned, (4, 1, 1)))
    assert matrices[:, :, 2] == pytest.approx(np.tile([5, -2], (4, 1)))


def test_a_point_without_weight_moves_no_similarity():
    points = np.array([[0.0, 0], [1, 0], [0, 1], [5, 5]])
    moved = points + np.array([[2, 3], [2, 3], [2, 3], [-40, 9]])
    matrix = similarity(points, moved, np.array([1.0, 1, 2, 0]))
    assert matrix == pytest.approx(np.array([[1.0, 0, 2], [0, 1, 3]]))


def test_points_in_one_place_go_to_the_middle_of_the_others():
    matrix = similarity(np.ones((3, 2)), np.array([[0.0, 0], [3, 0], [0, 3]]))
    assert matrix == pytest.approx(np.array([[0.0, 0, 1], [0, 0, 1]]))


def test_greedy_matching_takes_the_highest_first_and_nothing_at_the_limit():
    values = np.array([[0.9, 0.8], [0.8, 0.1], [0.3, 0.2]])
    assert match_greedily(values, 0.2) == {0: 0}
    assert match_greedily(values, 0.1) == {0: 0, 2: 1}
    assert match_greedily(np.empty((0, 2)), 0.1) == {}
    assert values[0, 0] == 0.9  # left as they were
