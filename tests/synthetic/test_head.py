"""A person's head as meshes: lids, gaze, shoulders and what is worn."""

from dataclasses import replace

import numpy as np
import pytest
from made_head import head_points, write_makehuman

from asmnet.datasets.records import LabelError
from asmnet.schemes import WFLW_98
from asmnet.synthetic.head import MakeHuman, mask_over, tube
from asmnet.synthetic.identity import Person
from asmnet.synthetic.mesh import normals

SOMEONE = Person(
    shape={}, expression={}, origins=(0.2, 0.3, 0.5), female=0.5, age=0.5, closure=(0.0, 0.0),
    gaze=(0.0, 0.0), skin="young", tone=(1, 1, 1), iris="blue", brows="thick", lashes="long",
    teeth="even", hair="short", hair_colour=(0.1, 0.1, 0.1), beard=0.0, glasses="none",
    headwear="none", cloth=(0.5, 0.5, 0.5),
)  # fmt: skip
STILL = np.zeros(3)


@pytest.fixture(scope="module")
def makehuman(tmp_path_factory) -> MakeHuman:
    folder = tmp_path_factory.mktemp("makehuman")
    write_makehuman(folder)
    return MakeHuman(folder)


def test_points_lie_around_the_origin(makehuman):
    head = makehuman.head(SOMEONE, STILL)
    moved = head.points - head_points()
    assert moved[:96] == pytest.approx(np.tile(moved[0], (96, 1)), abs=1e-5)
    assert abs(head.points.mean(axis=0)).max() < 0.3
    assert {piece.name for piece in head.pieces} == {
        "eye", "brows", "lashes", "teeth", "tongue", "hair"
    }  # fmt: skip
    for piece in head.pieces:
        assert piece.texture is None or piece.texture.exists()


def test_a_symmetric_face_has_symmetric_points(makehuman):
    points = makehuman.head(SOMEONE, STILL).points
    mirrored = (points * [-1, 1, 1])[WFLW_98.flip]
    assert mirrored[:96] == pytest.approx(points[:96], abs=1e-4)


@pytest.mark.parametrize("closure", [(1.0, 0.0), (0.5, 1.0)])
def test_closed_lids_meet_and_half_closed_ones_are_half_way(makehuman, closure):
    open_ = makehuman.head(SOMEONE, STILL).points
    points = makehuman.head(replace(SOMEONE, closure=closure), STILL).points
    for first, closed in zip((60, 68), closure, strict=True):
        gap, before = (p[first + 2, 1] - p[first + 6, 1] for p in (points, open_))
        assert gap == pytest.approx(before * (1 - closed), abs=1e-5)


def test_a_gaze_moves_both_pupils_its_way(makehuman):
    straight = makehuman.head(SOMEONE, STILL).pupils
    left = makehuman.head(replace(SOMEONE, gaze=(20.0, 0.0)), STILL).pupils - straight
    up = makehuman.head(replace(SOMEONE, gaze=(0.0, 15.0)), STILL).pupils - straight
    assert (left[:, 0] > 0.03).all()  # x is the subject's left
    assert abs(left[:, 1]).max() < 1e-6
    assert (up[:, 1] > 0.02).all()
    eyes = [p.mesh.vertices for p in makehuman.head(SOMEONE, STILL).pieces if p.name == "eye"]
    assert straight[0] == pytest.approx(eyes[0][:8].mean(axis=0), abs=1e-6)


def test_iris_textures_lie_around_the_axis_of_the_eye(makehuman):
    eye = next(p.mesh for p in makehuman.head(SOMEONE, STILL).pieces if p.name == "eye")
    radius = np.linalg.norm(eye.uv - [0.703, 0.705], axis=2)
    # The second ring is the iris's edge.
    ring = radius[np.isin(eye.faces, range(8, 16))]
    assert ring == pytest.approx(0.114, abs=0.002)
    assert radius[np.isin(eye.faces, range(8))].max() < 0.07


def test_shoulders_turn_against_a_head_that_stays(makehuman):
    still = makehuman.head(SOMEONE, STILL)
    turned = makehuman.head(SOMEONE, np.array([0, -0.5, 0]))  # the head, to the subject's right
    assert turned.points == pytest.approx(still.points)
    shoulders = [166, 167]  # right and left
    moved = turned.vertices[shoulders] - still.vertices[shoulders]
    # Seen from the head, the right shoulder then lies before it and the left one behind.
    assert moved[0, 2] > 0.3
    assert moved[1, 2] < -0.3
    jaw = range(33)
    assert turned.vertices[jaw] == pytest.approx(still.vertices[jaw], abs=0.02)


def test_glasses_sit_before_the_eyes(makehuman):
    clear = makehuman.head(replace(SOMEONE, glasses="clear"), STILL)
    dark = makehuman.head(replace(SOMEONE, glasses="dark"), STILL)
    lenses = [p.mesh.vertices for p in clear.pieces if p.name == "clear lens"]
    assert len(lenses) == 2
    assert [p.name for p in dark.pieces].count("dark lens") == 2
    for lens, pupil in zip(lenses, clear.pupils, strict=True):
        assert lens[:, 2].min() > pupil[2]
        assert lens[:, 0].min() < pupil[0] < lens[:, 0].max()
        assert lens[:, 1].min() < pupil[1] < lens[:, 1].max()


def test_a_mask_hangs_before_mouth_and_nose_and_leaves_the_eyes_free():
    points = head_points()
    corners = np.concatenate([points, points * [0.5, 1, 1]])
    mask = mask_over(corners, points)
    sheet = mask.vertices
    assert sheet[:, 1].max() < points[60:76, 1].min()
    assert sheet[:, 1].min() < points[16, 1]
    for point in points[[54, 57, 79, 85]]:  # tip and foot of the nose, lips
        nearest = np.linalg.norm(sheet[:, :2] - point[:2], axis=1).argmin()
        assert sheet[nearest, 2] > point[2] - 0.05
    assert normals(sheet, mask.faces)[:, 2].mean() > 0  # outwards


def test_a_beard_grows_on_the_chin_and_not_on_the_brows(makehuman):
    assert makehuman.head(SOMEONE, STILL).beard.max() == 0
    beard = makehuman.head(replace(SOMEONE, beard=0.8), STILL).beard
    assert beard[16] > 0.4  # of the chin
    assert beard[33:51].max() == 0
    assert beard.max() <= 0.8


def test_a_tube_has_its_radius_all_along():
    mesh = tube(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), 0.1)
    assert np.linalg.norm(mesh.vertices[:, 1:], axis=1) == pytest.approx(0.1)
    assert mesh.faces.shape == (8, 4)


def test_the_folder_s_faults_are_named(tmp_path):
    with pytest.raises(LabelError, match=r"base\.obj: cannot be read"):
        MakeHuman(tmp_path)
