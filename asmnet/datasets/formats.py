"""Readers of test sets as their authors ship them.

Every reader takes the folder that the authors' archive was unpacked into. A broken label raises
:class:`asmnet.datasets.records.LabelError` with the file and, in text files, the line.

Coordinates are taken as they stand in the files, as every project does that scores on these sets:
no half pixel is added or taken away.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from asmnet.datasets.records import (
    LabelError,
    LabelledFace,
    PointingPose,
    centred_box,
    finite_numbers,
    photo_beside,
    read_pts,
)
from asmnet.geometry import FloatArray, euler_to_rotation
from asmnet.image import ImageArray
from asmnet.schemes import WFLW_98

WFLW_SUBSETS = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")

# AFLW2000-3D's evaluation leaves out faces with a greater angle: 31 of 2,000.
AFLW2000_MOST_DEGREES = 99.0

# 300VW's test videos by category: well lit, unconstrained light, and everything at once.
VIDEOS_300VW = {
    "category 1": (
        114, 124, 125, 126, 150, 158, 401, 402, 505, 506, 507, 508, 509, 510, 511, 514, 515, 518,
        519, 520, 521, 522, 524, 525, 537, 538, 540, 541, 546, 547, 548,
    ),
    "category 2": (
        203, 208, 211, 212, 213, 214, 218, 224, 403, 404, 405, 406, 407, 408, 409, 412, 550, 551,
        553,
    ),
    "category 3": (410, 411, 516, 517, 526, 528, 529, 530, 531, 533, 557, 558, 559, 562),
}  # fmt: skip


def read_300w_test(folder: Path) -> list[LabelledFace]:
    """300W's test faces; subsets "common" (Helen, LFPW) and, where it is there, "challenging"."""
    parts = {"common": ("helen/testset", "lfpw/testset"), "challenging": ("ibug",)}
    return [
        LabelledFace(photo_beside(path), read_pts(path), None, "300w", subsets=frozenset({name}))
        for name, folders in parts.items()
        for part in folders
        for path in sorted((folder / part).glob("*.pts"))
    ]


def read_wflw(folder: Path, split: Literal["train", "test"]) -> list[LabelledFace]:
    """WFLW: 98 points; subsets by the attributes of a face.

    ``WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt`` has a
    line a face: 196 coordinates, a box (4), six attributes of 0 or 1, and the photo's name under
    ``WFLW_images``.
    """
    path = (
        folder / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
        / f"list_98pt_rect_attr_{split}.txt"
    )  # fmt: skip
    faces = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        *values, name = line.split(maxsplit=206) or [""]
        numbers = finite_numbers(values, 206, path, number)
        attributes = numbers[200:]
        if not set(attributes) <= {0.0, 1.0}:
            raise LabelError(f"{path}, line {number}: expected attributes 0 or 1, got {attributes}")
        subsets = frozenset(
            subset for subset, set_ in zip(WFLW_SUBSETS, attributes, strict=True) if set_
        )
        points = np.array(numbers[:196]).reshape(98, 2)
        image = folder / "WFLW_images" / name
        faces.append(LabelledFace(image, points, None, "wflw", WFLW_98, subsets))
    return faces


def read_300w_lp_files(
    folder: Path, points: Literal["pts_2d", "pts_3d"] = "pts_2d"
) -> list[LabelledFace]:
    """300W-LP without its mirrored half (``*_Flip``); subsets AFW, HELEN, IBUG and LFPW.

    ``HELEN/NAME.jpg`` with ``HELEN/NAME.mat`` (Pose_Para) and ``landmarks/HELEN/NAME_pts.mat``:
    ``pts_2d`` follows the visible outline of the face, ``pts_3d`` its true one. The photos are
    those of the whole 300W, its test photos among them: do not train on all and test on 300W.
    """
    faces = []
    for part in ("AFW", "HELEN", "IBUG", "LFPW"):
        for path in sorted((folder / part).glob("*.mat")):
            angles = _pose_para(path, _load_mat(path))
            labels = folder / "landmarks" / part / f"{path.stem}_pts.mat"
            landmarks = _matrix(labels, _load_mat(labels), points, (68, 2))
            faces.append(
                LabelledFace(
                    photo_beside(path), landmarks, euler_to_rotation(angles), "300w_lp",
                    subsets=frozenset({part}),
                )
            )  # fmt: skip
    return faces


def read_aflw2000(folder: Path) -> list[LabelledFace]:
    """AFLW2000-3D: ``image00002.jpg`` with ``image00002.mat``; 68 points of a fitted 3-D face.

    Rotations are None where an angle exceeds 99°: the set's evaluation of the pose leaves them out.
    """
    faces = []
    for path in sorted(folder.glob("*.mat")):
        content = _load_mat(path)
        landmarks = _matrix(path, content, "pt3d_68", (3, 68))[:2].T
        angles = _pose_para(path, content)
        usable = (np.abs(angles) <= AFLW2000_MOST_DEGREES).all()
        rotation = euler_to_rotation(angles) if usable else None
        faces.append(LabelledFace(photo_beside(path), landmarks, rotation, "aflw2000"))
    return faces


@dataclass(frozen=True)
class LabelledVideo:
    """A video of 300VW.

    Attributes:
        folder: holds ``vid.avi`` and ``annot/000001.pts``, one file a frame.
        subsets: its category, if it is a test video.
    """

    folder: Path
    subsets: frozenset[str]

    def frames(self) -> Iterator[tuple[ImageArray, LabelledFace]]:
        """Its frames, RGB, with their labels; a frame without a label is left out.

        Raises:
            LabelError: the video cannot be read, or ends before its labels.
        """
        labels = {int(path.stem): path for path in sorted((self.folder / "annot").glob("*.pts"))}
        path, number = self.folder / "vid.avi", 0
        capture = cv2.VideoCapture(str(path))
        try:
            while labels:
                read, frame = capture.read()
                number += 1
                if not read:
                    raise LabelError(f"{min(labels.values())}: {path} has {number - 1} frames only")
                if number in labels:
                    points = read_pts(labels.pop(number))
                    yield (
                        np.ascontiguousarray(frame[:, :, ::-1]),
                        LabelledFace(path, points, None, "300vw", subsets=self.subsets),
                    )
        finally:
            capture.release()


def read_300vw(folder: Path, split: Literal["train", "test"]) -> list[LabelledVideo]:
    """300VW: the 64 test videos with their categories, or the others."""
    category = {f"{n:03}": name for name, videos in VIDEOS_300VW.items() for n in videos}
    return [
        LabelledVideo(path.parent, frozenset({category[name]} if split == "test" else ()))
        for path in sorted(folder.glob("*/vid.avi"))
        if ((name := path.parent.name) in category) == (split == "test")
    ]


# person, PERSON 01-15, SERIES 1-2, NUMBER 00-92, TILT and PAN with their signs.
_POINTING_NAME = re.compile(r"person(?:ne)?(\d\d)[12]\d\d([+-]\d+)([+-]\d+)")


def read_pointing04_files(folder: Path) -> list[PointingPose]:
    """Pointing'04: ``Person01/person01146+15-90.jpg``, and a ``.txt`` beside it with the box.

    The name holds tilt and pan; the words of the text are the photo's name, "Face", and the box's
    centre x, y, width and height.
    """
    poses = []
    for path in sorted(folder.glob("Person*/*.txt")):
        name = _POINTING_NAME.fullmatch(path.stem)
        if name is None:
            raise LabelError(f"{path}: expected a name like person01146+15-90.txt")
        person, tilt, pan = name.groups()
        box: list[float] | None = None
        lines = _text(path).splitlines()
        for number, line in enumerate(lines, start=1):
            for word in line.split():
                if box is not None:
                    box += finite_numbers([word], 1, path, number)
                elif word == "Face":
                    box = []
        if box is None or len(box) != 4:
            end = max(len(lines), 1)
            raise LabelError(f"{path}, line {end}: expected 'Face' and its box, 4 numbers")
        poses.append(
            PointingPose(
                photo_beside(path), int(person), float(tilt), float(pan), centred_box(*box)
            )
        )
    return poses


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise LabelError(f"{path}: cannot be read: {error}") from error


def _load_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # here: no other format needs SciPy
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise LabelError(f"{path}: expected a MATLAB file: {error}") from error
    return content


def _matrix(path: Path, content: dict[str, Any], name: str, shape: tuple[int, int]) -> FloatArray:
    """A variable of a MATLAB file: finite numbers of that shape."""
    value = content.get(name)
    if value is None or value.dtype.kind not in "fiu" or value.shape != shape:
        got = "none" if value is None else f"shape {value.shape}"
        raise LabelError(f"{path}: expected {name} with numbers of shape {shape}, got {got}")
    if not np.isfinite(value).all():
        raise LabelError(f"{path}: expected finite numbers in {name}")
    return np.asarray(value, dtype=np.float64)


def _pose_para(path: Path, content: dict[str, Any]) -> FloatArray:
    """Pitch, yaw and roll in degrees from the first three numbers, radians, of Pose_Para (1, 7).

    They are the package's convention as they stand: of all orders and signs,
    :func:`asmnet.geometry.euler_to_rotation` of them fits the photos best.
    """
    return np.degrees(_matrix(path, content, "Pose_Para", (1, 7))[0, :3])
