"""Points of a head in pictures, against the package's conventions; no Blender, no assets."""

import json

import numpy as np
import pytest
from made_head import head_points

from asmnet.datasets.records import LabelError
from asmnet.geometry import euler_to_rotation, geodesic_degrees, points_box, rotation_to_euler
from asmnet.pose3d import head_pose_from_landmarks
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG
from asmnet.synthetic.labels import (
    Camera,
    Landmarks,
    closure_that_meets,
    rotation_of,
    to_68,
    visible_outline,
)
from asmnet.synthetic.setting import Setting, random_setting


def setting(*angles: float, distance: float = 12.0) -> Setting:
    drawn = random_setting(np.random.default_rng(0), 1)
    values = {**vars(drawn), "pitch_yaw_roll": np.array(angles), "distance": distance}
    return Setting(**{**values, "shift": np.zeros(2), "face_part": 0.5})


def lines_over_cheeks(points: np.ndarray) -> dict[int, np.ndarray]:
    """From each contour point over a bulging cheek towards the middle of the face."""
    middle = points[51:60].mean(axis=0)
    along = np.linspace(0, 0.8, 12)[:, None]
    lines = {}
    for i in (*range(16), *range(17, 33)):
        line = points[i] + along * (middle - points[i])
        line[:, 2] += 0.5 * np.sin(np.pi * along[:, 0]) * 0.6
        lines[i] = line
    return lines


def test_the_camera_s_axes_are_those_of_pictures():
    camera = Camera(np.eye(3), np.array([0, 0, 10.0]), 100.0, 64)
    corner, right, above = camera.project(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]))
    assert corner.tolist() == [32, 32]
    assert right.tolist() == [42, 32]  # the subject's left, to the right of a frontal picture
    assert above.tolist() == [32, 22]


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (20, 0, 0), (0, 35, 0), (0, -35, 10), (-15, 50, -20), (10, 85, 5)]
)
def test_rotation_is_the_one_asked_for(angles):
    points = head_points()
    camera = setting(*angles).camera(points, 160)
    rotation = rotation_of(np.eye(3), camera, np.zeros(3))
    # The camera moves aside to have the face in the middle; from there it is seen a little else.
    assert geodesic_degrees(rotation, euler_to_rotation(np.array(angles))) < 3
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_signs_are_the_package_s_own():
    """The pose that the package fits to the projected points is the label."""
    points = head_points()
    for angles in ((0, 0, 0), (18, 0, 0), (0, 30, 0), (-12, -25, 15)):
        camera = setting(*angles, distance=60).camera(points, 200)
        seen = camera.project(WFLW_TO_IBUG @ points)
        fitted = head_pose_from_landmarks(seen, IBUG_68).rotation
        label = rotation_of(np.eye(3), camera, np.zeros(3))
        assert geodesic_degrees(fitted, label) < 3
        assert rotation_to_euler(label) == pytest.approx(angles, abs=2)


def test_a_face_beside_the_axis_is_seen_from_its_side():
    points = head_points()
    centred = Camera(np.eye(3), np.array([0, 0, 8.0]), 100.0, 160)
    beside = Camera(np.eye(3), np.array([4.0, 0, 8.0]), 100.0, 160)  # to the subject's left
    assert rotation_to_euler(rotation_of(np.eye(3), centred, np.zeros(3)))[1] == pytest.approx(0)
    yaw = rotation_to_euler(rotation_of(np.eye(3), beside, np.zeros(3)))[1]
    assert yaw == pytest.approx(np.degrees(np.arctan2(4, 8)), abs=0.5)
    assert points_box(beside.project(points))[0] < 80


def test_the_face_has_the_size_and_place_asked_for():
    points = head_points()
    for angles in ((0, 0, 0), (30, 60, 20)):
        drawn = setting(*angles, distance=4.0)
        box = points_box(drawn.camera(points, 160).project(points))
        assert (box[2:] - box[:2]).max() == pytest.approx(80, rel=0.1)
        assert (box[:2] + box[2:]) / 2 == pytest.approx([80, 80], abs=6)


@pytest.mark.parametrize("yaw", [60, -60])
def test_the_far_side_s_visible_outline_lies_outside_of_the_jaw(yaw):
    points = head_points()
    camera = setting(0, yaw, 0).camera(points, 160)
    true = camera.project(points)
    lines = {i: camera.project(line) for i, line in lines_over_cheeks(points).items()}
    drawn = visible_outline(true, lines, np.array([0.0, -1.0]))
    # Yaw > 0 turns the nose to the image's left: there the subject's right side is far.
    far, near = (slice(2, 10), slice(23, 31)) if yaw > 0 else (slice(23, 31), slice(2, 10))
    outwards = -1 if yaw > 0 else 1
    assert (outwards * (drawn[far, 0] - true[far, 0])).min() > 2
    assert np.abs(drawn[near] - true[near]).max() < 1e-9
    assert np.array_equal(drawn[33:], true[33:])
    assert np.array_equal(drawn[16], true[16])


def test_a_mirrored_head_has_mirrored_points():
    points = head_points()
    even = (points + (points * [-1, 1, 1])[WFLW_98.flip]) / 2
    drawn = []
    for yaw in (40, -40):
        camera = setting(5, yaw, 0).camera(even, 160)
        lines = {i: camera.project(line) for i, line in lines_over_cheeks(even).items()}
        drawn.append(visible_outline(camera.project(even), lines, np.array([0.0, -1.0])))
    assert WFLW_98.mirrored(drawn[0], 160) == pytest.approx(drawn[1], abs=1e-6)


def test_the_68_take_every_second_contour_point():
    points = np.arange(98 * 2.0).reshape(98, 2)
    shape = to_68(points, np.full((68, 2), -1.0))
    assert shape[:17].tolist() == points[:33:2].tolist()
    assert (shape[17:] == -1).all()


def test_lids_meet_at_the_weight_told():
    open_, closed = np.zeros((98, 3)), np.zeros((98, 3))
    open_[62, 1], closed[62, 1] = 0.08, -0.02
    weight = closure_that_meets(open_, closed, 0)
    met = open_ + weight * (closed - open_)
    assert met[62, 1] == pytest.approx(met[66, 1])
    assert weight == pytest.approx(0.8)


def write_landmarks(path, **changes):
    content = {
        "ibug68": [[i] for i in range(68)],
        "wflw98": [[i, i, i + 1, 0.5, 0.0, 0.5] for i in range(98)],
        "brows": {"thick": {"ibug68_17_26": [[99]] * 10, "wflw98_33_50": [[98]] * 18}},
        "contour_lines": {"lines": {"0": [[0], [1]]}},
        "eyes": {
            side: {"centre_vertices": [1], "pupil_ring": [2], "iris_ring": [3]}
            for side in ("right", "left")
        },
    }
    path.write_text(json.dumps(content | changes))
    return path


def test_points_are_read_off_the_mesh(tmp_path):
    landmarks = Landmarks.read(write_landmarks(tmp_path / "landmarks.json"))
    vertices = np.arange(300.0).reshape(100, 3)
    assert landmarks.on(vertices, 68).tolist() == vertices[:68].tolist()
    assert landmarks.on(vertices, 98)[5].tolist() == [16.5, 17.5, 18.5]
    own = landmarks.on(vertices, 68, "thick")
    assert (own[17:27] == vertices[99]).all()
    assert (own[27:] == vertices[27:68]).all()
    assert landmarks.lines_on(vertices)[0].tolist() == vertices[:2].tolist()


def test_landmarks_that_lack_something_are_named(tmp_path):
    for changes, message in (
        ({"ibug68": [[0]]}, r"expected 68 and 98 points, got \[1, 98\]"),
        ({"eyes": {}}, "expected landmark definitions: KeyError"),
    ):
        with pytest.raises(LabelError, match=message):
            Landmarks.read(write_landmarks(tmp_path / "landmarks.json", **changes))
    with pytest.raises(LabelError, match="expected landmark definitions"):
        Landmarks.read(tmp_path / "none.json")
