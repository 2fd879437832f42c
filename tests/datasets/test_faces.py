"""The faces of both layouts."""

import numpy as np
import pytest
from made_data import shape_68, write_photo, write_pts

from asmnet.datasets.faces import join_points, labelled_faces
from asmnet.datasets.records import LabelError
from asmnet.geometry import geodesic_degrees
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG


def shape_98(points68: np.ndarray) -> np.ndarray:
    """98 points that map to the 68, the contour's others in the middle of their neighbours."""
    points = np.linalg.pinv(WFLW_TO_IBUG) @ points68
    points[1:33:2] = (points[0:32:2] + points[2:33:2]) / 2
    for pupil, eye in ((96, slice(60, 68)), (97, slice(68, 76))):
        points[pupil] = points[eye].mean(axis=0)
    return points


def test_joined_points_map_to_the_human_ones():
    rng = np.random.default_rng(0)
    human = shape_68(rng)
    machine = shape_98(human) + rng.normal(0, 0.5, (98, 2)) + [2, 0]
    joined = join_points(machine, human)
    assert WFLW_TO_IBUG @ joined == pytest.approx(human, abs=1e-9)
    # What nobody else knows stays near to where the machine saw it, less its bias.
    true = shape_98(human)
    assert np.abs(joined - true).max() < 2
    assert np.abs(joined[96:] - true[96:]).max() < 1
    # The jaw is a circle, and so are the contour's points between the manual ones.
    centre = (human[0] + human[16]) / 2
    radii = np.linalg.norm(joined[:33] - centre, axis=1)
    assert radii[1::2] == pytest.approx((radii[0:32:2] + radii[2::2]) / 2, rel=0.03)


def test_points_that_agree_stay():
    human = shape_68(np.random.default_rng(1))
    machine = shape_98(human)
    joined = join_points(machine, human)
    inner = np.r_[0:33:2, 33:98]
    assert joined[inner] == pytest.approx(machine[inner], abs=1e-9)


def test_a_plain_download_has_rotations_from_its_points(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "300w" / "helen" / "trainset"
    for i in range(14):
        write_photo(folder / f"{i}.jpg", rng)
        write_pts(folder / f"{i}.pts", shape_68(rng))
    faces = labelled_faces(tmp_path, "train")
    assert len(faces) == 14
    rotations = np.array([face.rotation for face in faces])
    assert geodesic_degrees(rotations, np.eye(3)).max() < 60
    assert all(face.scheme is IBUG_68 for face in faces)


def test_both_layouts_of_the_same_photos(data_98):
    of_68, of_98 = (
        labelled_faces(data_98, "train"),
        labelled_faces(data_98, "train", scheme=WFLW_98),
    )
    human = {face.image: face.landmarks for face in of_68}
    assert {face.source for face in of_98} == {"300w", "wflw"}
    for face in of_98:
        assert (face.scheme, face.landmarks.shape) == (WFLW_98, (98, 2))
        if face.source == "300w":
            assert WFLW_TO_IBUG @ face.landmarks == pytest.approx(human[face.image], abs=1e-6)


def test_nothing_to_learn_from(tmp_path):
    with pytest.raises(LabelError, match="expected faces with 98 points"):
        labelled_faces(tmp_path, "train", scheme=WFLW_98)
