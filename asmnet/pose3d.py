"""Head pose from landmarks alone: a 3-D face is fitted to the points.

The face is ICT-FaceKit's (face3d.npz, MIT, see face3d.LICENSE; `asmnet-train face3d` makes the
file): the 68 points of a neutral face, and modes of identity and expression that are added to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike

from asmnet._checks import finite_array, instance
from asmnet.errors import InvalidInputError
from asmnet.geometry import FloatArray
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG, LandmarkScheme
from asmnet.types import HeadPose

FACE3D = Path(__file__).with_name("face3d.npz")

# Variance of a point's error, in units of the points' mean square distance from their centre: the
# price of moving a coefficient by one standard deviation. It, the jaw's weight and the power were
# chosen on 300W's training part.
_POINT_VARIANCE = 0.01
_JAW_WEIGHT = 0.2
_STEPS = 8

# Points on a line say nothing. Those of any face in any pose are wider, in units of their length.
_LEAST_WIDTH = 0.02


@dataclass(frozen=True, eq=False)
class Face3D:
    """The 68 points of a face in space, and how faces differ.

    Axes are those of :class:`asmnet.HeadPose`: x = the subject's left, y = up, z = out of the face.

    Attributes:
        neutral: (68, 3) centimetres, mean at the origin.
        modes: (k, 68, 3) centimetres; a face is neutral plus modes times coefficients, which
            have mean 0 and standard deviation 1.
    """

    neutral: FloatArray
    modes: FloatArray


@cache
def load_face3d() -> Face3D:
    """The face of the package; read once."""
    with np.load(FACE3D) as values:
        modes = np.concatenate([values["identity"], values["expression"]])
        return Face3D(values["neutral"].astype(np.float64), modes.astype(np.float64))


def head_pose_from_landmarks(landmarks: ArrayLike, scheme: LandmarkScheme = IBUG_68) -> HeadPose:
    """The head pose that a set of landmarks implies, wherever they come from.

    A 3-D face (rotation, scale, shift, identity, expression) is fitted to the points as a distant
    camera sees it: weak perspective. It needs no image and no network. Against a network's own
    pose it is the better choice for points that are edited, tracked or smoothed.

    Args:
        landmarks: (68, 2), or (98, 2) with ``asmnet.WFLW_98``: x to the right and y down, in
            pixels or any other unit.
        scheme: what the points are.

    Raises:
        InvalidInputError: another shape, values that are not finite, points all in one place or
            on one line, or a scheme that cannot be mapped to 68 points.
    """
    return HeadPose.from_rotation(fit_rotation(_check(landmarks, scheme), load_face3d()))


def fit_rotation(points: FloatArray, face: Face3D) -> FloatArray:
    """The (3, 3) head rotation of the face that fits (68, 2) image points best.

    Minimises the weighted squares of the points' distances plus ``_POINT_VARIANCE`` times the
    squares of the coefficients, over rotation R, scale s, shift t and coefficients c::

        points = s * (R @ (neutral + c @ modes))[x, y] + t

    by Gauss-Newton steps on all of them at once; the start is the nearest scaled rotation to the
    affine camera that fits the neutral face best.

    The jaw of 68-point labels is the visible outline, which slides over the face as the head
    turns. So its weight falls with the rotation out of the image plane, as the eighth power of the
    cosine: from 0.2 of another point's to 0.06 at 30° and nothing in profile.
    """
    target = points * [1.0, -1.0]  # the camera's y points up, the image's down
    target = target - target.mean(axis=0)
    target = target / np.sqrt((target**2).sum(axis=1).mean())
    count, modes = len(face.neutral), face.modes
    weights = _weights(0.0)
    rotation, scale, shift = _nearest_camera(face.neutral, target, weights)
    coefficients = np.zeros(len(modes))
    prior = np.concatenate([np.zeros(6), np.full(len(modes), _POINT_VARIANCE)])
    jacobian = np.zeros((count, 2, 6 + len(modes)))
    for _ in range(_STEPS):
        # What the head's x axis has of the viewing direction; in-plane rotation leaves it as it is.
        weights = _weights(rotation[2, 0])
        turned = scale * (face.neutral + np.tensordot(coefficients, modes, axes=1)) @ rotation.T
        x, y, z = turned.T
        # Small rotations about the camera's axes move (x, y) by (0, -z), (z, 0) and (-y, x).
        jacobian[:, 1, 0], jacobian[:, 0, 1] = -z, z
        jacobian[:, 0, 2], jacobian[:, 1, 2] = -y, x
        jacobian[:, :, 3] = turned[:, :2]  # by the logarithm of the scale
        jacobian[:, 0, 4] = jacobian[:, 1, 5] = 1
        jacobian[:, :, 6:] = (scale * modes @ rotation[:2].T).transpose(1, 2, 0)
        rows = (weights[:, None, None] * jacobian).reshape(2 * count, -1)
        error = (target - turned[:, :2] - shift).ravel()
        state = np.concatenate([np.zeros(6), coefficients])
        flat = jacobian.reshape(2 * count, -1)
        step = np.linalg.solve(rows.T @ flat + np.diag(prior), rows.T @ error - prior * state)
        rotation = cv2.Rodrigues(step[:3])[0] @ rotation
        # Points that are no face at all would shrink it to nothing; a face never takes such steps.
        scale, shift = scale * float(np.exp(np.clip(step[3], -0.5, 0.5))), shift + step[4:6]
        coefficients = coefficients + step[6:]
    return rotation


def _check(landmarks: ArrayLike, scheme: LandmarkScheme) -> FloatArray:
    if instance(scheme, "scheme", LandmarkScheme) not in (IBUG_68, WFLW_98):
        raise InvalidInputError(f"scheme: expected IBUG_68 or WFLW_98, got {scheme!r}")
    points = finite_array(landmarks, "landmarks", (len(scheme), 2))
    # The unit says nothing about the pose, and sums of the largest numbers would overflow.
    points = np.asarray(points / max(np.abs(points).max(), np.finfo(np.float64).tiny))
    if scheme == WFLW_98:
        points = WFLW_TO_IBUG @ points
    length, width = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if not width > _LEAST_WIDTH * length:
        raise InvalidInputError("landmarks: expected the points of a face, got one place or line")
    return points


def _weights(turn: float) -> FloatArray:
    weights = np.ones(len(IBUG_68))
    weights[IBUG_68.groups["jaw"]] = _JAW_WEIGHT * (1 - turn**2) ** 4
    return weights


def _nearest_camera(
    face: FloatArray, target: FloatArray, weights: FloatArray
) -> tuple[FloatArray, float, FloatArray]:
    """Rotation, scale and shift next to the affine camera that takes the face to the target."""
    share = weights / weights.sum()
    centre, middle = share @ face, share @ target
    root = np.sqrt(weights)[:, None]
    affine = np.linalg.lstsq(root * (face - centre), root * (target - middle), rcond=None)[0].T
    left, sizes, right = np.linalg.svd(affine, full_matrices=False)
    first_two = left @ right
    rotation = np.vstack([first_two, np.cross(*first_two)])
    scale = float(sizes.mean())
    return rotation, scale, middle - scale * first_two @ centre
