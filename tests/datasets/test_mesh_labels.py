"""From a mesh's points to those of a layout: learnt where both are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

from asmnet.datasets import mesh_labels
from asmnet.datasets.mesh_labels import FaceMesh, fit_map, frame_of, write_mesh_labels
from asmnet.datasets.records import LabelledFace
from asmnet.errors import InvalidInputError
from asmnet.geometry import euler_to_rotation, geodesic_degrees
from asmnet.schemes import IBUG_68

RNG = np.random.default_rng(0)
HEAD = RNG.normal(0, 1, (478, 3)) * [1, 1.3, 0.6]
LAYOUT = RNG.normal(0, 0.15, (68, 478)) / np.sqrt(478)  # how 68 points hang on the mesh
LAYOUT += 1 / 478 - LAYOUT.mean(axis=1, keepdims=True)
SHAPES = RNG.normal(0, 0.08, (4, 478, 3))


def seen(rng) -> tuple[np.ndarray, LabelledFace]:
    """A person's mesh and labels in a picture, y down and z away from the viewer."""
    person = HEAD + np.tensordot(rng.normal(0, 1, 4), SHAPES, 1)
    rotation = euler_to_rotation(rng.uniform([-20, -50, -60], [20, 50, 60]))
    scale, centre = rng.uniform(20, 60), rng.uniform(60, 120, 2)
    placed = person @ rotation.T * [1, -1, -1] * scale
    placed[:, :2] += centre
    face = LabelledFace(Path("a.jpg"), LAYOUT @ placed[:, :2], rotation, "synthetic", IBUG_68)
    return placed, face


def test_the_map_holds_for_faces_it_has_not_seen(monkeypatch):
    monkeypatch.setattr(mesh_labels, "COMPONENTS", 8)
    rng = np.random.default_rng(1)
    meshes, faces = zip(*[seen(rng) for _ in range(400)], strict=True)
    learnt = fit_map(np.array(meshes), list(faces), IBUG_68)
    for mesh, face in (seen(rng) for _ in range(20)):
        points, rotation = learnt(mesh)
        spread = np.ptp(face.landmarks, axis=0).max()
        assert np.linalg.norm(points - face.landmarks, axis=1).mean() < 0.03 * spread
        assert geodesic_degrees(rotation, face.rotation) < 3


def test_a_frame_takes_away_place_size_and_in_plane_rotation():
    mesh = HEAD * [1, -1, -1] * 30
    turned = mesh.copy()
    angle = np.radians(35)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned[:, :2] = mesh[:, :2] @ turn.T * 2 + [40, 7]
    turned[:, 2] *= 2
    upright, other = (frame_of(m, HEAD - HEAD.mean(axis=0)) for m in (mesh, turned))
    np.testing.assert_allclose(upright.into(mesh[:, :2]), other.into(turned[:, :2]), atol=1e-9)
    np.testing.assert_allclose(other.back(other.into(turned[:, :2])), turned[:, :2], atol=1e-9)
    assert other.scale == pytest.approx(2 * upright.scale)


def test_without_mediapipe_one_sentence_tells_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_mesh", None)
    with pytest.raises(InvalidInputError, match=r"expected MediaPipe .*asmnet\[bench\]"):
        write_mesh_labels(tmp_path, tmp_path / "out.npz", IBUG_68)


def test_looks_that_differ_have_a_spread(monkeypatch):
    class Point:
        def __init__(self, x: float, y: float) -> None:
            self.x, self.y, self.z = x, y, 0.0

    class Mesh:
        """Sees all points in the middle of a crop, or no face."""

        faces = True

        def process(self, _):
            landmarks = type("L", (), {"landmark": [Point(0.5, 0.5)] * 478})
            return type("R", (), {"multi_face_landmarks": [landmarks] if self.faces else None})

    mesh = FaceMesh.__new__(FaceMesh)
    mesh._mesh = Mesh()
    image = np.zeros((200, 300, 3), np.uint8)
    points, spread = mesh.look(image, np.array([100.0, 50, 180, 150]), np.random.default_rng(0))
    assert points.shape == (478, 3)
    np.testing.assert_allclose(points[:, :2].mean(axis=0), [140, 100], atol=5)  # the box's middle
    assert 1 < spread < 6  # the crops' own jitter, as the points do not move with them
    mesh._mesh.faces = False
    assert mesh.look(image, np.array([100.0, 50, 180, 150]), np.random.default_rng(0)) is None
