"""Labels for open photos from MediaPipe's face mesh: the teacher of open weights.

The mesh has 478 points that mean others than 300W's 68 or WFLW's 98, above all along the jaw. How
they belong together is learnt where both are known, on rendered faces: no label of a closed set has
a part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from asmnet.datasets.detection import read_crowds, read_open
from asmnet.datasets.records import LabelledFace
from asmnet.datasets.splits import Split
from asmnet.datasets.synthetic import read_synthetic
from asmnet.errors import InvalidInputError
from asmnet.geometry import (
    FloatArray,
    geodesic_degrees,
    nearest_rotation,
    points_box,
    rotation_to_euler,
)
from asmnet.image import ImageArray, load_image, warp
from asmnet.schemes import LandmarkScheme

TEACHER = "mediapipe"
# Of each face so many crops are looked at, this wide in units of the box's longer side.
LOOKS, WIDTHS = 4, (1.75, 2.25)
CROP = 256
MIN_SIDE = 40.0  # pixels of the box's longer side
# Mean distance of the looks from their mean, in percent of the box, from which on a face is left.
MOST_SPREAD = 2.5
# Mean distance of the mesh's five key points from the detector's, in boxes: another face was found.
MOST_OFF = 0.25
# Corners of the eyes, tip of the nose and corners of the mouth in the mesh.
_EYES, _NOSE, _MOUTH = ((33, 133), (362, 263)), 4, (61, 291)
COMPONENTS, RIDGE = 60, 0.03
_VIEWER = np.array([1.0, -1.0, -1.0])  # the mesh's axes -> x right, y up, z to the viewer


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a mesh lies in its picture: how it is turned, how large, and where.

    Attributes:
        rotation: (3, 3) of the head, from the mesh alone.
        scale: pixels of a unit of the mean mesh.
        centre: (2,) pixels.
    """

    rotation: FloatArray
    scale: float
    centre: FloatArray

    @property
    def _upright(self) -> FloatArray:
        roll = np.radians(rotation_to_euler(self.rotation)[2])
        return np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])

    def into(self, points: FloatArray) -> FloatArray:
        """Pixels (n, 2) in the frame: centred, of unit size, without the in-plane rotation."""
        return np.asarray((points - self.centre) @ self._upright.T / self.scale)

    def back(self, points: FloatArray) -> FloatArray:
        """Points (n, 2) of the frame in pixels."""
        return np.asarray(points * self.scale @ self._upright + self.centre)


@dataclass(frozen=True, eq=False)
class MeshMap:
    """A ridge regression from the mesh's points to those of a layout, and to the head's rotation.

    Attributes:
        mean: (478, 3) the mesh of an upright face, in the head's axes.
        centre: (1434,) mean of the meshes in their frames.
        basis: (k, 1434) principal components of the meshes.
        spread: (k,) their standard deviations.
        weights: (features, 2 n + 3).
        scheme: of the points.
    """

    mean: FloatArray
    centre: FloatArray
    basis: FloatArray
    spread: FloatArray
    weights: FloatArray
    scheme: LandmarkScheme

    def __call__(self, mesh: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points (n, 2) in pixels and the rotation (3, 3) of a mesh (478, 3) in pixels."""
        frame = frame_of(mesh, self.mean)
        out = _features(_flat(mesh, frame)[None], frame.rotation[None], self) @ self.weights
        points = out[0, :-3].reshape(-1, 2)
        turn, _ = cv2.Rodrigues(out[0, -3:])
        return frame.back(points), np.asarray(turn @ frame.rotation)


def fit_map(meshes: FloatArray, faces: list[LabelledFace], scheme: LandmarkScheme) -> MeshMap:
    """The map from meshes (m, 478, 3) in pixels to the labels of the same faces."""
    rotations = np.array([face.rotation for face in faces])
    upright = []
    for mesh, rotation in zip(meshes, rotations, strict=True):
        centred = (mesh - mesh.mean(axis=0)) * _VIEWER @ rotation  # its transpose from the left
        upright.append(centred / np.sqrt((centred**2).mean()))
    mean = np.mean(upright, axis=0)
    frames = [frame_of(mesh, mean) for mesh in meshes]
    flat = np.array([_flat(mesh, frame) for mesh, frame in zip(meshes, frames, strict=True)])
    centre = flat.mean(axis=0)
    _, sizes, basis = np.linalg.svd(flat - centre, full_matrices=False)
    spread = sizes[:COMPONENTS] / np.sqrt(len(flat))
    own = np.array([frame.rotation for frame in frames])
    start = MeshMap(mean, centre, basis[:COMPONENTS], spread, np.zeros((0, 0)), scheme)
    features = _features(flat, own, start)
    turns = [cv2.Rodrigues(r @ f.T)[0][:, 0] for r, f in zip(rotations, own, strict=True)]
    targets = np.array([
        np.concatenate([frame.into(face.landmarks).ravel(), turn])
        for frame, face, turn in zip(frames, faces, turns, strict=True)
    ])  # fmt: skip
    ridge = RIDGE * len(features) * np.eye(features.shape[1])
    ridge[0, 0] = 0
    weights = np.linalg.solve(features.T @ features + ridge, features.T @ targets)
    return MeshMap(mean, centre, basis[:COMPONENTS], spread, weights, scheme)


def frame_of(mesh: FloatArray, mean: FloatArray) -> Frame:
    """How a mesh (478, 3) in pixels lies, from the mean mesh fitted to it (Kabsch, Umeyama)."""
    middle = mesh.mean(axis=0)
    seen = (mesh - middle) * _VIEWER
    across = seen.T @ mean
    rotation = nearest_rotation(across)
    return Frame(rotation, float((rotation * across).sum() / (mean**2).sum()), middle[:2])


def _flat(mesh: FloatArray, frame: Frame) -> FloatArray:
    depth = (mesh[:, 2:] - mesh[:, 2:].mean()) / frame.scale
    return np.concatenate([frame.into(mesh[:, :2]), depth], axis=1).ravel()


def _features(flat: FloatArray, rotations: FloatArray, known: MeshMap) -> FloatArray:
    """Components alone and times the angles: the visible outline changes with the view."""
    parts = (flat - known.centre) @ known.basis.T / known.spread
    angles = np.radians([rotation_to_euler(r)[:2] for r in rotations])
    pitch, yaw = angles[:, :1], angles[:, 1:]
    views = np.concatenate([pitch, yaw, abs(yaw), yaw**2, pitch**2, pitch * yaw], axis=1)
    times = [parts * view for view in (yaw, abs(yaw), pitch)]
    return np.concatenate([np.ones_like(yaw), views, parts, *times], axis=1)


class FaceMesh:
    """MediaPipe's face mesh on crops of pictures, several looks a face."""

    def __init__(self) -> None:
        """Loads the mesh; InvalidInputError without MediaPipe."""
        try:
            from mediapipe.python.solutions.face_mesh import FaceMesh
        except ImportError as error:
            raise InvalidInputError(
                "mesh: expected MediaPipe (pip install 'asmnet[bench]', Python up to 3.12), got "
                f"none: {error}"
            ) from error
        self._mesh = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True)

    def look(
        self, image: ImageArray, bbox: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, float] | None:
        """The mean mesh (478, 3) in pixels of several looks at a box, and their spread.

        The spread is the looks' mean distance from their mean, in percent of the box's longer side.
        None if a look finds no face.
        """
        centre = (bbox[:2] + bbox[2:]) / 2
        side = float((bbox[2:] - bbox[:2]).max())
        looks = []
        for _ in range(LOOKS):
            width = side * rng.uniform(*WIDTHS)
            corner = centre - width / 2 + rng.normal(0, 0.03, 2) * side
            scale = CROP / width
            matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
            crop = warp(image, matrix, (CROP, CROP))
            found = self._mesh.process(crop).multi_face_landmarks
            if not found:
                return None
            points = np.array([(p.x, p.y, p.z) for p in found[0].landmark]) * width
            points[:, :2] += corner
            looks.append(points)
        mean = np.mean(looks, axis=0)
        off = np.linalg.norm((np.array(looks) - mean)[..., :2], axis=-1).mean()
        return mean, 100 * float(off) / side


def write_mesh_labels(data: Path, out: Path, scheme: LandmarkScheme) -> list[str]:
    """Labels the faces of open photos and writes what a config names as ``teacher_labels``.

    Args:
        data: root with ``synthetic``, ``open`` and ``crowds``.
        out: an .npz file as `asmnet.datasets.pseudo_labels.write_labels` writes it, its teacher
            MediaPipe.
        scheme: of the points.

    Returns:
        Lines that tell how well the map does on rendered faces that it was not fitted to, and how
        many faces were labelled.

    Raises:
        InvalidInputError: no MediaPipe, or no pictures.
    """
    mesh = FaceMesh()
    rng = np.random.default_rng(0)
    train = _rendered(mesh, data, "train", scheme, rng)
    val = _rendered(mesh, data, "val", scheme, rng)
    if len(train[1]) < 2 * COMPONENTS or not val[1]:
        raise InvalidInputError(f"{data}: expected rendered faces, got {len(train[1])}")
    learnt = fit_map(*train, scheme)
    lines = [_check(learnt, *val)]
    rows: list[tuple[str, str, FloatArray, FloatArray]] = []
    seen = 0
    for source, path, bbox, keypoints in tqdm(list(_boxes(data)), "photos"):
        seen += 1
        image = load_image(path)
        looked = mesh.look(image, bbox, rng)
        if looked is None or looked[1] > MOST_SPREAD or _off(looked[0], bbox, keypoints) > MOST_OFF:
            continue
        name = path.relative_to(data / source).as_posix().removeprefix("images/")
        rows.append((source, name, *learnt(looked[0])))
    lines.append(f"labelled {len(rows)} of {seen} faces of {int(MIN_SIDE)} pixels and more")
    source, name, landmarks, rotation = (np.array(column) for column in zip(*rows, strict=True))
    arrays: dict[str, Any] = {"source": source, "name": name}
    arrays |= {"landmarks": landmarks, "rotation": rotation, "teacher": np.array(TEACHER)}
    with out.open("wb") as file:  # for a path NumPy appends its own suffix
        np.savez_compressed(file, **arrays)
    return lines


def _rendered(
    mesh: FaceMesh, data: Path, split: Split, scheme: LandmarkScheme, rng: np.random.Generator
) -> tuple[FloatArray, list[LabelledFace]]:
    meshes, faces = [], []
    for face in tqdm(read_synthetic(data, split, scheme, bare=True), f"rendered faces, {split}"):
        looked = mesh.look(load_image(face.image), points_box(face.landmarks), rng)
        if looked is not None and looked[1] <= MOST_SPREAD:
            meshes.append(looked[0])
            faces.append(face)
    return np.array(meshes), faces


def _check(learnt: MeshMap, meshes: FloatArray, faces: list[LabelledFace]) -> str:
    errors, angles = [], []
    for mesh, face in zip(meshes, faces, strict=True):
        points, rotation = learnt(mesh)
        box = points_box(face.landmarks)
        size = float(np.sqrt(np.prod(box[2:] - box[:2])))
        errors.append(100 * np.linalg.norm(points - face.landmarks, axis=1).mean() / size)
        assert face.rotation is not None
        angles.append(geodesic_degrees(rotation, face.rotation))
    return (
        f"{len(errors)} rendered faces that the map was not fitted to: points off by "
        f"{np.mean(errors):.2f} % of the box's side (median {np.median(errors):.2f}), rotation by "
        f"{np.mean(angles):.1f} degrees (median {np.median(angles):.1f})"
    )


def _boxes(data: Path) -> Iterator[tuple[str, Path, FloatArray, FloatArray]]:
    """Set, photo, box and key points of each open face that is large enough."""
    for part in ("train", "val"):
        photos = read_open(data, part) + read_crowds(data, part, open_only=True)
        for photo in photos:
            for outline, keypoints in zip(photo.outlines, photo.keypoints, strict=True):
                box = points_box(outline)
                if (box[2:] - box[:2]).max() >= MIN_SIDE:
                    yield photo.source, photo.image, box, keypoints


def _off(mesh: FloatArray, bbox: FloatArray, keypoints: FloatArray) -> float:
    own = [mesh[list(corners), :2].mean(axis=0) for corners in _EYES]
    own += [mesh[_NOSE, :2], *mesh[list(_MOUTH), :2]]
    side = float((bbox[2:] - bbox[:2]).max())
    return float(np.linalg.norm(np.array(own) - keypoints, axis=1).mean()) / side
