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
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]

# boxes (k, 4) xyxy, scores (k,), key points (k, 5, 2) of what may be faces
Candidates = tuple[FloatArray, FloatArray, FloatArray]

# The five key points (right eye, left eye, nose, right and left mouth corner) of an upright
# frontal face: the mean of the 300W training faces, in units of the box of their 68 points.
UPRIGHT_KEYPOINTS = np.array(
    [[0.286, 0.197], [0.714, 0.197], [0.5, 0.444], [0.312, 0.663], [0.688, 0.663]]
)

# What each coordinate of the key points adds to the cosine and to the sine of a face's turn.
_ARMS = UPRIGHT_KEYPOINTS - UPRIGHT_KEYPOINTS.mean(axis=0)
_TURN = np.stack([_ARMS, np.stack([-_ARMS[:, 1], _ARMS[:, 0]], axis=1)], axis=-1).reshape(10, 2)

# So many boxes are compared in one table.
TABLE_BOXES = 512


def longer_sides(boxes: FloatArray) -> FloatArray:
    """(n,) of (n, 4) xyxy boxes."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0))


def box_iou(boxes_a: FloatArray, boxes_b: FloatArray) -> FloatArray:
    """Intersection over union of every pair: (n, 4) and (m, 4) xyxy give (n, m)."""
    return paired_iou(boxes_a[:, None], boxes_b[None])


def paired_iou(boxes_a: FloatArray, boxes_b: FloatArray) -> FloatArray:
    """Intersection over union (...) of boxes (..., 4) and (..., 4) xyxy, one of each."""
    first = np.maximum(boxes_a[..., :2], boxes_b[..., :2])
    sides = np.minimum(boxes_a[..., 2:], boxes_b[..., 2:]) - first
    np.maximum(sides, 0, out=sides)
    intersection = sides[..., 0] * sides[..., 1]
    union = _area(boxes_a) + _area(boxes_b) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9))


def _area(boxes: FloatArray) -> FloatArray:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def non_maximum_suppression(
    boxes: FloatArray, scores: FloatArray, iou_threshold: float
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best score first.

    Greedy: a box goes when it overlaps a better one by more than ``iou_threshold``.
    """
    left = np.argsort(-scores, kind="stable")
    if len(left) < 2:
        return left
    keep: list[np.intp] = []
    # One table of all overlaps takes half the time of a row at a time; but gigabytes where
    # thousands of boxes come.
    clear = box_iou(boxes, boxes) <= iou_threshold if len(boxes) <= TABLE_BOXES else None
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        if clear is None:
            left = left[~(box_iou(boxes[best, None], boxes[left])[0] > iou_threshold)]
        else:
            left = left[clear[best, left]]
    return np.array(keep, dtype=np.intp)


def points_box(points: FloatArray) -> FloatArray:
    """The tight xyxy box of (..., n, 2) points: (..., 4)."""
    return np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1)


def upright_angles(keypoints: FloatArray) -> FloatArray:
    """In-plane turns (n,) of faces in degrees, clockwise as the viewer sees them.

    They are the rotations of the least-squares similarity transforms that take
    ``UPRIGHT_KEYPOINTS`` to five ``keypoints`` each (n, 5, 2), so they stay stable on profiles,
    where the two eyes fall together.
    """
    cos, sin = (np.asarray(keypoints, np.float64).reshape(-1, 10) @ _TURN).T
    return np.asarray(np.degrees(np.arctan2(sin, cos)))


def upright_angle(keypoints: FloatArray) -> float:
    """`upright_angles` of one face's key points (5, 2)."""
    return float(upright_angles(keypoints)[0])


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
        box = np.asarray(bbox, dtype=np.float64)
        return cls(crop_matrices(box[None], size, margin=margin, angles=[angle])[0], size)

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return float(np.sqrt(np.linalg.det(self.matrix[:, :2])))

    def apply(self, points: FloatArray) -> FloatArray:
        """Image points (..., 2) to crop points."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2])

    def invert(self, points: FloatArray) -> FloatArray:
        """Crop points (..., 2) to image points."""
        inverse = inverse_affine(self.matrix)
        return np.asarray(points @ inverse[:, :2].T + inverse[:, 2])


def crop_matrices(
    boxes: FloatArray, size: int, *, margin: float, angles: ArrayLike = 0.0
) -> FloatArray:
    """The (n, 2, 3) matrices of square crops around boxes (n, 4), as of `CropTransform.from_bbox`.

    Args:
        boxes: (n, 4) xyxy in image pixels.
        size: side of the crops in pixels.
        margin: side of the squares in the image, in units of a box's longer side.
        angles: (n,) clockwise in-plane turns of the faces in degrees; the crops undo them.
    """
    first, last = boxes[:, :2], boxes[:, 2:]
    scale = size / (margin * (last - first).max(axis=1))
    turn = np.radians(angles)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    matrices = np.empty((len(boxes), 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = cos
    matrices[:, 0, 1], matrices[:, 1, 0] = sin, -sin
    # A box's centre lands on the crop's centre.
    centre = (first + last)[:, :, None] / 2
    matrices[:, :, 2] = size / 2 - (matrices[:, :, :2] @ centre)[:, :, 0]
    return matrices


def inverse_affine(matrices: FloatArray) -> FloatArray:
    """The (..., 2, 3) maps that undo such maps."""
    a, b, c, d = (matrices[..., i, j] for i in (0, 1) for j in (0, 1))
    determinant = a * d - b * c
    inverse = np.empty(matrices.shape)
    inverse[..., 0, 0], inverse[..., 0, 1] = d / determinant, -b / determinant
    inverse[..., 1, 0], inverse[..., 1, 1] = -c / determinant, a / determinant
    inverse[..., 2] = -(inverse[..., :2] @ matrices[..., 2:])[..., 0]
    return inverse


def transformed(points: FloatArray, matrices: FloatArray) -> FloatArray:
    """Points (..., N, 2) through maps (..., 2, 3)."""
    turned = points @ matrices[..., :2].swapaxes(-1, -2)
    return np.asarray(turned + matrices[..., None, :, 2])


def roll_matrix(angle: ArrayLike) -> FloatArray:
    """Rotations (..., 3, 3) that turn a head clockwise, as the viewer sees it, by (...) degrees.

    ``roll_matrix(a) @ rotation`` is the pose after the image was turned clockwise by ``a``.
    """
    turn = np.radians(angle)
    matrix = np.zeros((*np.shape(turn), 3, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = np.cos(turn)
    matrix[..., 0, 1] = np.sin(turn)
    matrix[..., 1, 0] = -matrix[..., 0, 1]
    matrix[..., 2, 2] = 1.0
    return matrix


def nearest_rotation(matrix: FloatArray) -> FloatArray:
    """The rotation (3, 3) nearest to a matrix, by the sum of squares (Kabsch, 1976)."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right)


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
