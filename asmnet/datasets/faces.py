"""The labelled faces that a landmark network learns from, of every set that is there.

A network of 68 points learns from 300W, 300W-LP and video frames. One of 98 learns from WFLW as its
authors ship it, and from the same photos as the other where pseudo-labels of 98 points lie
beside the human ones of 68: the two are joined, and where they say the same thing people win.
Open weights learn from rendered faces, and from open photos with labels of an open teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from asmnet.datasets.formats import read_wflw
from asmnet.datasets.licences import is_open
from asmnet.datasets.pseudo_labels import read_labels
from asmnet.datasets.records import LabelError, LabelledFace
from asmnet.datasets.splits import (
    Split,
    part_of,
    pseudo_landmarks,
    read_300w,
    read_300w_lp,
    read_youtube_faces,
)
from asmnet.datasets.synthetic import FOLDER as SYNTHETIC
from asmnet.datasets.synthetic import read_synthetic
from asmnet.geometry import FloatArray
from asmnet.pose3d import head_pose_from_landmarks
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG, LandmarkScheme

# The sets of manual labels, which are validated on; and the set of open weights.
MAIN_SETS = ("300w", "wflw")
OPEN_SET = "open"

_TO_WFLW = np.linalg.pinv(WFLW_TO_IBUG)


def labelled_faces(
    data: Path,
    split: Split,
    *,
    scheme: LandmarkScheme = IBUG_68,
    teacher_labels: Path | None = None,
    rendered: bool = False,
    open_only: bool = False,
) -> list[LabelledFace]:
    """The faces of a part, each with points of the scheme and a rotation.

    A face without a rotation gets that of the 3-D face fitted to its points, see
    :mod:`asmnet.pose3d`.

    Args:
        data: root of the data folders.
        split: which part; the test parts are those of 300W only.
        scheme: of the points.
        teacher_labels: what :mod:`asmnet.datasets.pseudo_labels` wrote: more faces for training,
            and better points for the video frames, which otherwise have coarser pseudo-labels.
        rendered: also the faces of :mod:`asmnet.datasets.synthetic`.
        open_only: those alone, and the teacher's on open photos.

    Raises:
        LabelError: there are none, or a label is broken.
    """
    if open_only:
        faces = read_synthetic(data, split, scheme)
        if teacher_labels is not None:
            faces += _open_faces(teacher_labels, data, split, scheme)
        return _complete(faces, data, scheme)
    faces = main_faces(data, split, scheme)
    joined = scheme == WFLW_98
    faces += (
        _joined(data, "300w_lp_ibug", read_300w_lp, split) if joined else read_300w_lp(data, split)
    )
    if teacher_labels is not None:
        faces += read_labels(teacher_labels, data, split, scheme)
    elif joined:
        faces += _joined(data, "youtube_faces", read_youtube_faces, split)
    else:
        faces += read_youtube_faces(data, split)
    if rendered:
        faces += read_synthetic(data, split, scheme)
    return _complete(faces, data, scheme)


def main_sets(sources: Collection[str], *, open_only: bool) -> tuple[str, ...]:
    """What is validated on: manual labels; of open weights real photos rather than rendered."""
    if open_only:
        return (OPEN_SET,) if OPEN_SET in sources else (SYNTHETIC,)
    return MAIN_SETS


def main_faces(
    data: Path,
    split: Split,
    scheme: LandmarkScheme,
    *,
    teacher_labels: Path | None = None,
    open_only: bool = False,
) -> list[LabelledFace]:
    """The faces of :func:`main_sets` with points of the scheme; not all have a rotation."""
    if open_only:
        teacher = teacher_labels
        faces = [] if teacher is None else _open_faces(teacher, data, split, scheme)
        return faces or read_synthetic(data, split, scheme)
    if scheme == WFLW_98:
        return _wflw(data, split) + _joined(data, "300w", read_300w, split)
    return read_300w(data, split)


def join_points(points98: FloatArray, points68: FloatArray) -> FloatArray:
    """98 points (98, 2) that map to the given 68 (68, 2), and else are near the given 98.

    The least move of the 98 does it (:data:`asmnet.schemes.WFLW_TO_IBUG` has full rank). Pupils
    then move with their eyes, and a point of the contour between two of the 68 goes onto the
    curve through those, as far along as it was between its neighbours.
    """
    joined = points98 + _TO_WFLW @ (points68 - WFLW_TO_IBUG @ points98)
    start, between, end = points98[0:32:2], points98[1:33:2], points98[2:33:2]
    chord = end - start
    along = ((between - start) * chord).sum(axis=1) / (chord**2).sum(axis=1).clip(1e-9)
    for pupil, eye in (("right_pupil", "right_eye"), ("left_pupil", "left_eye")):
        moved = (joined - points98)[WFLW_98.groups[eye]].mean(axis=0)
        joined[WFLW_98.groups[pupil]] += moved
    joined[1:33:2] = CubicSpline(np.arange(17), points68[:17])(np.arange(16) + along.clip(0, 1))
    return np.asarray(joined)


def _joined(
    data: Path, source: str, reader: Callable[[Path, Split], list[LabelledFace]], split: Split
) -> list[LabelledFace]:
    """The faces of a set that have pseudo-labels of 98 points."""
    machine = pseudo_landmarks(data / source)
    if not machine:
        return []
    faces = []
    for face in reader(data, split):
        # Labels of photos that lie in subfolders name these; some leave out the ending.
        name = face.image.relative_to(data / source)
        keys = (str(name.with_suffix("")), face.image.stem, face.image.name)
        points = next((machine[key] for key in keys if key in machine), None)
        if points is None:
            continue
        if source != "youtube_faces":  # whose 68 points are pseudo-labels, too, and coarser
            points = join_points(points, face.landmarks)
        faces.append(replace(face, landmarks=points, scheme=WFLW_98))
    return faces


def _wflw(data: Path, split: Split) -> list[LabelledFace]:
    if split == "test" or not (data / "wflw").exists():
        return []
    faces = read_wflw(data / "wflw", "train")
    return [face for face in faces if part_of(face.image.name) == split]


def _open_faces(
    labels: Path, data: Path, split: Split, scheme: LandmarkScheme
) -> list[LabelledFace]:
    faces = read_labels(labels, data, split, scheme)
    return [face for face in faces if is_open(face.source, face.image)]


def _complete(faces: list[LabelledFace], data: Path, scheme: LandmarkScheme) -> list[LabelledFace]:
    """The faces, each with a rotation; LabelError for none."""
    if not faces:
        raise LabelError(f"{data}: expected faces with {len(scheme)} points, got none")
    return [face if face.rotation is not None else _with_rotation(face) for face in faces]


def _with_rotation(face: LabelledFace) -> LabelledFace:
    pose = head_pose_from_landmarks(face.landmarks, face.scheme)
    return replace(face, rotation=pose.rotation.astype(np.float64))
