"""Each figure on paths whose figure is known beforehand."""

import numpy as np
import pytest
from tracking import metrics
from tracking.metrics import TrackedFace, TruthFace, follow

EYES = 60.0  # distance of the outer eye corners of FACE
FACE = np.random.default_rng(0).uniform(0, 100, (68, 2))
FACE[[36, 45]] = [[20, 40], [20 + EYES, 40]]


def one_person(paths, predictions, *, visible=None, tracks=None):
    """A person whose face is moved by ``paths`` (T, 2) and predicted as (T, 68, 2) or None."""
    visible = [True] * len(paths) if visible is None else visible
    tracks = [7] * len(paths) if tracks is None else tracks
    truth = [[TruthFace(0, FACE + p, v)] for p, v in zip(paths, visible, strict=True)]
    said = [
        [] if points is None else [TrackedFace(points, track)]
        for points, track in zip(predictions, tracks, strict=True)
    ]
    return follow(truth, said, 1)


def moving(count):
    """Two smooth moves with rests, (count, 2)."""
    t = np.arange(count, dtype=float)
    return np.stack([80 / (1 + np.exp(-(t - 30))), 40 / (1 + np.exp(-(t - 60) / 2))], axis=1)


def test_the_best_overlap_matches_and_the_rest_is_false():
    truth = [[TruthFace(0, FACE, True), TruthFace(1, FACE + 200, True)]]
    near, far = TrackedFace(FACE + 3, 1), TrackedFace(FACE + 20, 2)
    said = [[far, near, TrackedFace(FACE + 201, 3), TrackedFace(FACE + 500, 4)]]
    followed = follow(truth, said, 2)
    assert followed.tracks.tolist() == [[1, 3]]
    assert followed.false.tolist() == [2]
    assert followed.predicted[0, 0] == pytest.approx(FACE + 3)


def test_a_covered_face_may_be_predicted_but_need_not():
    truth = [[TruthFace(0, FACE, False)]] * 2
    followed = follow(truth, [[TrackedFace(FACE, 0)], []], 1)
    assert followed.false.tolist() == [0, 0]
    assert not followed.found.any()
    assert np.isnan(metrics.frame_errors(followed)).all()
    assert metrics.frames_to_find(followed) == []


def test_visible_faces_choose_before_covered_ones():
    front, behind = TruthFace(0, FACE + 8, True), TruthFace(1, FACE, False)
    followed = follow([[behind, front]], [[TrackedFace(FACE + 1, 5)]], 2)
    assert followed.tracks.tolist() == [[5, -1]]


def test_error_is_relative_to_the_eye_distance():
    followed = one_person(np.zeros((2, 2)), [FACE + np.array([0, 3]), None])
    assert metrics.frame_errors(followed)[0] == pytest.approx(100 * 3 / EYES)
    assert np.isnan(metrics.frame_errors(followed)[1])


def test_a_constant_idea_of_the_points_is_taken_off_whatever_the_size_and_turn():
    shift = np.random.default_rng(1).normal(0, 4, (68, 2))
    turned = []
    for angle, scale in ((0, 1), (0.5, 1.3), (-2, 0.7)):
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.array([[cos, sin], [-sin, cos]])
        turned.append((FACE @ matrix, (FACE + shift) @ matrix))
    followed = follow(
        [[TruthFace(0, truth, True)] for truth, _ in turned],
        [[TrackedFace(points, None)] for _, points in turned],
        1,
    )
    offset = metrics.residuals(followed).mean(axis=(0, 1))
    assert offset == pytest.approx(shift / EYES)
    assert metrics.frame_errors(followed).min() > 1
    assert metrics.frame_errors(followed, offset) == pytest.approx(0, abs=1e-9)


def test_flicker_is_the_error_of_the_motion():
    path = moving(100)
    constant = one_person(path, [FACE + p + [5, -3] for p in path])
    assert metrics.flicker(constant) == pytest.approx(0, abs=1e-9)
    trembling = [FACE + p + [0.3 * (-1) ** t, 0] for t, p in enumerate(path)]
    values = metrics.flicker(one_person(path, trembling))
    assert values.shape == (99,)
    assert values == pytest.approx(100 * 0.6 / EYES)


def test_flicker_leaves_out_gaps():
    followed = one_person(np.zeros((4, 2)), [FACE, None, FACE + 9, FACE + 9])
    assert metrics.flicker(followed).tolist() == [0]


def test_spread_of_a_face_at_rest():
    points = [FACE + 5 + [(-1) ** t, 0] for t in range(50)]
    assert metrics.spread(one_person(np.zeros((50, 2)), points)) == pytest.approx(100 / EYES)
    assert np.isnan(metrics.spread(one_person(np.zeros((2, 2)), [FACE, None]))).all()


@pytest.mark.parametrize("late", [0.0, 0.4, 1.5, 3.0, -1.0])
def test_lag_is_found_to_a_part_of_a_frame_whatever_the_offset(late):
    path, t = moving(100), np.arange(100)
    shown = np.stack([np.interp(t - late, t, axis) for axis in path.T], axis=1)
    followed = one_person(path, [FACE + p + [6, -2] for p in shown])
    assert metrics.lag(followed) == pytest.approx(late, abs=0.02)


def test_no_lag_of_a_face_that_is_mostly_lost():
    path = moving(60)
    followed = one_person(path, [FACE + p if t < 25 else None for t, p in enumerate(path)])
    assert np.isnan(metrics.lag(followed)).all()


def test_a_new_number_after_a_gap_is_a_switch():
    followed = one_person(np.zeros((6, 2)), [FACE, FACE, None, FACE, FACE, FACE],
                          tracks=[4, 4, 0, 9, 9, 4])  # fmt: skip
    assert metrics.id_switches(followed) == 2
    assert metrics.shared_ids(followed) == 0


def test_a_number_that_goes_over_to_another_person_is_shared():
    a, b = TruthFace(0, FACE, True), TruthFace(1, FACE + 200, True)
    said = [[TrackedFace(FACE, 1)], [TrackedFace(FACE + 200, 1)]]
    followed = follow([[a], [b]], said, 2)
    assert metrics.shared_ids(followed) == 1
    assert metrics.id_switches(followed) == 0


def test_systems_without_numbers_have_no_switches():
    followed = one_person(np.zeros((3, 2)), [FACE] * 3, tracks=[None] * 3)
    assert (followed.tracks == -1).all()
    assert metrics.id_switches(followed) == metrics.shared_ids(followed) == 0


def test_frames_until_a_face_is_found():
    visible = [True, True, False, True, True, True, False, True]
    predictions = [FACE, None, None, None, None, FACE, None, None]
    followed = one_person(np.zeros((8, 2)), predictions, visible=visible)
    assert metrics.frames_to_find(followed) == [0, 2, 1]
