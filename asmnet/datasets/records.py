"""What a label is, and how the lines of label files are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asmnet.errors import AsmnetError
from asmnet.geometry import FloatArray
from asmnet.schemes import IBUG_68, LandmarkScheme


class LabelError(AsmnetError, ValueError):
    """A label file is broken; the message names the file and the line."""


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """One labelled face of a photo.

    Attributes:
        image: path of the photo, or of the video.
        landmarks: (N, 2) image pixels; 68 points unless ``scheme`` says otherwise.
        rotation: (3, 3) head rotation, or None where unknown.
        source: name of the folder it came from, for example "300w".
        scheme: what the points are.
        subsets: names of the parts of a test set that the face belongs to.
    """

    image: Path
    landmarks: FloatArray
    rotation: FloatArray | None
    source: str
    scheme: LandmarkScheme = IBUG_68
    subsets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PointingPose:
    """A Pointing'04 photo with its label.

    Attributes:
        image: path of the photo.
        person: 1–15.
        tilt: degrees, up is positive: the convention's pitch.
        pan: degrees, positive when the subject faces the image's left: the convention's yaw.
        box: the labelled face box, xyxy pixels; smaller than, and shifted against, the 68 points.
    """

    image: Path
    person: int
    tilt: float
    pan: float
    box: tuple[float, ...]


def read_pts(path: Path) -> FloatArray:
    """Points of a ``.pts`` file (300W's format): (68, 2) image pixels.

    Raises:
        LabelError: with file and line, when a line is not two finite numbers or the count is off.
    """
    lines = path.read_text().splitlines()
    try:
        first = lines.index("{") + 1
        last = lines.index("}")
    except ValueError:
        raise LabelError(f"{path}: expected points between lines '{{' and '}}'") from None
    points = [finite_numbers(lines[i].split(), 2, path, i + 1) for i in range(first, last)]
    if len(points) != len(IBUG_68):
        raise LabelError(f"{path}, line {last + 1}: expected 68 points, got {len(points)}")
    return np.array(points)


def finite_numbers(values: Sequence[str], count: int, path: Path, line: int) -> list[float]:
    """The numbers of a line of a label file.

    Raises:
        LabelError: with file and line, when one is no finite number or the count is off.
    """
    try:
        numbers = [float(v) for v in values]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        got = " ".join(values)
        raise LabelError(f"{path}, line {line}: expected {count} finite numbers, got {got!r:.80}")
    return numbers


def photo_beside(label: Path) -> Path:
    """The photo of a label file: the same name, ``.jpg`` or ``.png``.

    Raises:
        LabelError: there is none.
    """
    for suffix in (".jpg", ".png"):
        if (photo := label.with_suffix(suffix)).exists():
            return photo
    raise LabelError(f"{label}: expected a photo of that name beside it (.jpg or .png)")


def centred_box(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    """The xyxy box of a centre and sides."""
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
