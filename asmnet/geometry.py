"""Boxes, crops and rotations in plain NumPy.

Frames used everywhere in the package:

* image: x to the right, y down, in pixels from the top left corner: the first pixel covers 0 to 1
  and has its centre at (0.5, 0.5), as in the labels of 300W and COCO;
* boxes: xyxy, that is x0, y0 (top left) and x1, y1 (bottom right);
* rotations: map the head's axes (x = the subject's left, y = up, z = out of the face) to the
  camera's (x = image right, y = up, z = towards the viewer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

# boxes (k, 4) xyxy, scores (k,), key points (k, 5, 2) of what may be faces
Candidates = tuple[FloatArray, FloatArray, FloatArray]

# The five key points (right eye, left eye, nose, right and left mouth corner) of an upright
# frontal face: the mean of the 300W training faces, in units of the box of their 68 points.
UPRIGHT_KEYPOINTS = np.array(
    [[0.286, 0.197], [0.714, 0.197], [0.5, 0.444], [0.312, 0.663], [0.688, 0.663]]
)


def box_iou(boxes_a: FloatArray, boxes_b: FloatArray) -> FloatArray:
    """Intersection over union of every pair: (n, 4) and (m, 4) xyxy give (n, m)."""
    top_left = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    bottom_right = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    area_a = (boxes_a[:, 2:] - boxes_a[:, :2]).prod(axis=1)
    area_b = (boxes_b[:, 2:] - boxes_b[:, :2]).prod(axis=1)
    union = area_a[:, None] + area_b[None, :] - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9))


def non_maximum_suppression(
    boxes: FloatArray, scores: FloatArray, iou_threshold: float
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best score first.

    Greedy: a box goes when it overlaps a better one by more than ``iou_threshold``.
    """
    left = np.argsort(-scores, kind="stable")
    keep: list[np.intp] = []
    # A row at a time: the table of all overlaps takes gigabytes where thousands of boxes come.
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        left = left[~(box_iou(boxes[best, None], boxes[left])[0] > iou_threshold)]
    return np.array(keep, dtype=np.intp)


def points_box(points: FloatArray) -> FloatArray:
    """The tight xyxy box of (..., n, 2) points: (..., 4)."""
    return np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1)


def upright_angle(keypoints: FloatArray) -> float:
    """In-plane rotation of a face in degrees, clockwise for the viewer, from five key points.

    It is the rotation of the least-squares similarity transform that takes
    ``UPRIGHT_KEYPOINTS`` to ``keypoints`` (5, 2), so it stays stable on profiles, where the two
    eyes fall together.
    """
    (cos, _, _), (sin, _, _) = similarity(UPRIGHT_KEYPOINTS, np.asarray(keypoints, np.float64))
    return float(np.degrees(np.arctan2(sin, cos)))


def similarity(
    source: FloatArray, target: FloatArray, weights: FloatArray | None = None
) -> FloatArray:
    """The least-squares similarity between points: rotation, one scale and shift, no mirror.

    In the plane Umeyama's solution (1991) is a division of complex numbers.

    Args:
        source: (..., n, 2).
        target: (..., n, 2).
        weights: (n,) of the points; all the same unless given.

    Returns:
        (..., 2, 3) matrices; points all in one place go to the target's mean.
    """
    share = np.full(source.shape[-2], 1 / source.shape[-2]) if weights is None else weights
    share = share / share.sum()
    centre, middle = share @ source, share @ target
    a, b = source - centre[..., None, :], target - middle[..., None, :]
    spread = np.maximum((a**2).sum(axis=-1) @ share, np.finfo(np.float64).tiny)
    cos = (a * b).sum(axis=-1) @ share / spread
    sin = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) @ share / spread
    linear = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)
    shift = middle - (linear @ centre[..., None])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=-1)


def match_greedily(values: FloatArray, least: float) -> dict[int, int]:
    """Pairs of rows and columns, highest value first, each above ``least``."""
    pairs: dict[int, int] = {}
    values = values.copy()
    while values.size and values.max() > least:
        row, column = np.unravel_index(values.argmax(), values.shape)
        pairs[int(row)] = int(column)
        values[row], values[:, column] = least, least
    return pairs


@dataclass(frozen=True, eq=False)
class CropTransform:
    """The one way from image pixels to crop pixels and back, for training and inference.

    Attributes:
        matrix: (2, 3) float64, takes image points to crop points.
        size: side of the square crop in pixels.
    """

    matrix: FloatArray
    size: int

    @classmethod
    def from_bbox(
        cls, bbox: FloatArray, size: int, *, margin: float, angle: float = 0.0
    ) -> CropTransform:
        """A square crop around a box.

        Args:
            bbox: (4,) xyxy in image pixels.
            size: side of the crop in pixels.
            margin: side of the square in the image, in units of the box's longer side.
            angle: clockwise in-plane rotation of the face in degrees; the crop undoes it.
        """
        x0, y0, x1, y1 = (float(v) for v in bbox)
        scale = size / (margin * max(x1 - x0, y1 - y0))
        cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
        linear = np.array([[cos, sin], [-sin, cos]])
        # The box's centre lands on the crop's centre.
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        offset = size / 2 - linear @ centre
        return cls(np.column_stack([linear, offset]), size)

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return float(np.sqrt(np.linalg.det(self.matrix[:, :2])))

    def apply(self, points: FloatArray) -> FloatArray:
        """Image points (..., 2) to crop points."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2])

    def invert(self, points: FloatArray) -> FloatArray:
        """Crop points (..., 2) to image points."""
        inverse = np.linalg.inv(self.matrix[:, :2])
        return np.asarray((points - self.matrix[:, 2]) @ inverse.T)


def roll_matrix(angle: float) -> FloatArray:
    """Rotation (3, 3) that turns a head clockwise, as the viewer sees it, by ``angle`` degrees.

    ``roll_matrix(a) @ rotation`` is the pose after the image was turned clockwise by ``a``.
    """
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])


def mirrored_rotation(rotation: FloatArray) -> FloatArray:
    """The (3, 3) rotation that a head has in the mirror image: yaw and roll change their signs."""
    return np.asarray(rotation * np.outer([-1, 1, 1], [-1, 1, 1]))


def rotation_to_euler(rotation: FloatArray) -> FloatArray:
    """Rotations (..., 3, 3) to degrees (..., 3): pitch, yaw, roll (300W-LP's convention).

    pitch > 0 looks up, yaw > 0 turns the nose to the image's left (the subject's own right),
    roll > 0 tilts clockwise as the viewer sees it. With SciPy:
    ``Rotation.from_matrix(rotation.T).as_euler("xyz", degrees=True)``.
    Near yaw = ±90° pitch and roll are not separable: use the rotation itself there.
    """
    pitch = np.arctan2(rotation[..., 1, 2], rotation[..., 2, 2])
    yaw = np.arcsin(np.clip(-rotation[..., 0, 2], -1.0, 1.0))
    roll = np.arctan2(rotation[..., 0, 1], rotation[..., 0, 0])
    return np.asarray(np.degrees(np.stack([pitch, yaw, roll], axis=-1)))


def euler_to_rotation(pitch_yaw_roll: FloatArray) -> FloatArray:
    """Degrees (..., 3) to rotations (..., 3, 3): the inverse of `rotation_to_euler`."""
    angles = np.radians(np.asarray(pitch_yaw_roll, dtype=np.float64))
    (cp, cy, cr), (sp, sy, sr) = (
        np.moveaxis(np.cos(angles), -1, 0),
        np.moveaxis(np.sin(angles), -1, 0),
    )
    rows = [
        [cy * cr, cy * sr, -sy],
        [sp * sy * cr - cp * sr, sp * sy * sr + cp * cr, sp * cy],
        [cp * sy * cr + sp * sr, cp * sy * sr - sp * cr, cp * cy],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def geodesic_degrees(rotation_a: FloatArray, rotation_b: FloatArray) -> FloatArray:
    """Angle in degrees between rotations (..., 3, 3): that of the rotation between them."""
    cosine = ((rotation_a * rotation_b).sum(axis=(-2, -1)) - 1) / 2
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
