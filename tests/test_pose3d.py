"""Points of the 3-D face seen by a distant camera, and the pose that comes back."""

import numpy as np
import pytest

import asmnet
from asmnet import IBUG_68, WFLW_98, InvalidInputError, head_pose_from_landmarks
from asmnet.geometry import euler_to_rotation, geodesic_degrees, roll_matrix
from asmnet.pose3d import fit_rotation, load_face3d

FRONTAL = (0.0, 0.0, 0.0)


def seen(angles, *, coefficients=None, scale=12.0, shift=(200.0, 150.0)):
    """(68, 2) image points of the face turned by (pitch, yaw, roll) degrees."""
    face = load_face3d()
    shape = face.neutral
    if coefficients is not None:
        shape = shape + np.tensordot(coefficients, face.modes, axes=1)
    camera = shape @ euler_to_rotation(np.array(angles)).T
    return np.array(shift) + scale * camera[:, :2] * [1, -1]


def angles_of(pose):
    return pose.pitch, pose.yaw, pose.roll


@pytest.mark.parametrize(
    "angles",
    [FRONTAL, (20, 0, 0), (-30, 10, 5), (0, 60, 0), (10, -75, -20), (5, 20, 120), (0, 0, 180)],
)
def test_the_neutral_face_gives_its_rotation_back(angles):
    pose = head_pose_from_landmarks(seen(angles))
    assert geodesic_degrees(pose.rotation, euler_to_rotation(np.array(angles))) < 0.1
    assert pose.rotation @ pose.rotation.T == pytest.approx(np.eye(3), abs=1e-5)
    assert np.linalg.det(pose.rotation) == pytest.approx(1, abs=1e-5)


def test_signs():
    """Up, the image's left and clockwise are positive, as the points themselves show."""
    frontal, up = seen(FRONTAL), seen((25, 0, 0))
    # Looking up, the nose tip rises (y falls) against the eyes' corners.
    assert up[30, 1] - up[[36, 45], 1].mean() < frontal[30, 1] - frontal[[36, 45], 1].mean()
    assert head_pose_from_landmarks(up).pitch == pytest.approx(25, abs=0.1)
    left = seen((0, 30, 0))
    assert left[30, 0] < left[[36, 45], 0].mean()
    assert head_pose_from_landmarks(left).yaw == pytest.approx(30, abs=0.1)
    clockwise = seen((0, 0, 15))  # the subject's left eye, on the right of the image, is lower
    assert clockwise[45, 1] > clockwise[36, 1]
    assert head_pose_from_landmarks(clockwise).roll == pytest.approx(15, abs=0.1)


@pytest.mark.slow
def test_other_faces_cost_a_few_degrees():
    rng = np.random.default_rng(0)
    modes = len(load_face3d().modes)
    errors = []
    for _ in range(40):
        angles = rng.uniform((-30, -70, -40), (30, 70, 40))
        points = seen(angles, coefficients=rng.standard_normal(modes))
        points += rng.normal(0, 1.0, points.shape)  # about 1 % of the distance of the eye corners
        rotation = head_pose_from_landmarks(points).rotation
        errors.append(geodesic_degrees(rotation, euler_to_rotation(angles)))
    assert np.mean(errors) < 4


def face_of(analyzer, photos):
    (face,) = analyzer.detect(photos / "london_097_03.jpg")
    return face


def test_mirrored_points_negate_yaw_and_roll(analyzer, photos):
    points = face_of(analyzer, photos).landmarks
    mirrored = (points * [-1, 1])[IBUG_68.flip]
    pitch, yaw, roll = angles_of(head_pose_from_landmarks(points))
    expected = (pitch, -yaw, -roll)
    assert angles_of(head_pose_from_landmarks(mirrored)) == pytest.approx(expected, abs=1e-3)


def test_turned_points_turn_the_pose(analyzer, photos):
    points = face_of(analyzer, photos).landmarks.astype(np.float64)
    face = load_face3d()
    cos, sin = np.cos(np.radians(70)), np.sin(np.radians(70))
    turned = points @ np.array([[cos, sin], [-sin, cos]])  # clockwise: x goes towards y
    expected = roll_matrix(70) @ fit_rotation(points, face)
    assert geodesic_degrees(fit_rotation(turned, face), expected) < 0.01


def test_neither_place_nor_scale_matters(analyzer, photos):
    points = face_of(analyzer, photos).landmarks.astype(np.float64)
    here, there = (head_pose_from_landmarks(p) for p in (points, points / 500 - 3))
    assert geodesic_degrees(here.rotation, there.rotation) < 0.01


def test_near_the_network_s_own_pose(analyzer, photos):
    for name in ("london_006_03", "london_037_03", "london_097_03", "london_130_03"):
        (face,) = analyzer.detect(photos / f"{name}.jpg")
        pose = head_pose_from_landmarks(face.landmarks)
        assert geodesic_degrees(pose.rotation, face.pose.rotation) < 12, name


def test_98_points_are_mapped():
    points = np.random.default_rng(0).uniform(0, 100, (98, 2))
    whole = head_pose_from_landmarks(points, WFLW_98)
    mapped = head_pose_from_landmarks(asmnet.schemes.WFLW_TO_IBUG @ points)
    assert np.array_equal(whole.rotation, mapped.rotation)


@pytest.mark.slow
def test_nonsense_still_gives_a_rotation():
    rng = np.random.default_rng(0)
    for points in rng.standard_normal((100, 68, 2)) * [1.0, 0.05]:
        rotation = head_pose_from_landmarks(points).rotation
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-5)


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.zeros((98, 2)), r"shape \(68, 2\), got \(98, 2\)"),
        (np.zeros((68, 3)), r"got \(68, 3\)"),
        (np.full((68, 2), np.nan), "finite"),
        (np.ones((68, 2)), "one place or line"),
        (np.outer(np.arange(68), [3.0, 4.0]), "one place or line"),
        ("points", r"numbers of shape \(68, 2\)"),
        (None, "finite numbers"),
    ],
)
def test_bad_points(landmarks, message):
    with pytest.raises(InvalidInputError, match=message):
        head_pose_from_landmarks(landmarks)


def test_bad_scheme():
    with pytest.raises(InvalidInputError, match="scheme: expected"):
        head_pose_from_landmarks(np.zeros((68, 2)), "ibug68")


def test_the_file_is_small_and_carries_its_licence():
    path = asmnet.pose3d.FACE3D
    assert path.stat().st_size < 60_000
    notice = path.with_suffix(".LICENSE").read_text(encoding="utf-8")
    assert "Copyright (c) 2020 USC Institute for Creative Technologies" in notice
    with np.load(path) as values:
        shapes = {name: values[name].shape for name in values.files}
    assert shapes == {
        "neutral": (68, 3), "identity": (20, 68, 3), "expression": (15, 68, 3)
    }  # fmt: skip
