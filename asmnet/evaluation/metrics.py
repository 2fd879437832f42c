"""Accuracy figures as the field defines them, in plain NumPy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import points_box
from asmnet.schemes import LandmarkScheme

FloatArray = NDArray[np.floating[Any]]


Norm = Literal["ocular", "pupil", "box"]

# A point is right within so much of its label, of the longer side of the face's box: what
# Face.confidence is about. About a twentieth of the distance of the eyes' corners.
RADIUS = 1 / 40


def nme(
    predicted: FloatArray,
    truth: FloatArray,
    scheme: LandmarkScheme,
    *,
    points: NDArray[np.intp] | None = None,
    norm: Norm = "ocular",
) -> FloatArray:
    """Normalised mean error of each face in percent: (n, N, 2) twice gives (n,).

    Mean point distance over a length of the face, by ``norm``:

    * "ocular": the distance of the outer eye corners (300W's rule since 2013, and WFLW's);
    * "pupil": of the eyes' centres, the means of their outlines (older papers; about 1.4 times as
      large a figure);
    * "box": the root of the area of the tight box of the labels (AFLW2000-3D: in profiles the eyes
      fall together).

    ``points`` restricts the mean to some of the points.
    """
    distances = np.linalg.norm(predicted - truth, axis=-1)
    if points is not None:
        distances = distances[:, points]
    return np.asarray(100 * distances.mean(axis=-1) / _length(truth, scheme, norm))


def residuals(predicted: FloatArray, truth: FloatArray, scheme: LandmarkScheme) -> FloatArray:
    """(..., N, 2) errors in the face's own frame: x along the line of the eye corners, unit 1.

    Their mean over many photos is where a system's idea of the points differs from the labels'.
    """
    right, left = (truth[..., corner, :] for corner in scheme.eye_corners)
    across_eyes = left - right
    axis = (across_eyes / (across_eyes**2).sum(axis=-1, keepdims=True))[..., None, :]
    error = predicted - truth
    along = (error * axis).sum(axis=-1)
    across = error[..., 1] * axis[..., 0] - error[..., 0] * axis[..., 1]
    return np.stack([along, across], axis=-1)


def _length(truth: FloatArray, scheme: LandmarkScheme, norm: Norm) -> FloatArray:
    if norm == "box":
        box = points_box(truth)
        return np.asarray(np.sqrt((box[..., 2:] - box[..., :2]).prod(axis=-1)))
    if norm == "pupil":
        right, left = np.moveaxis(scheme.keypoints[:2] @ truth, -2, 0)
    else:
        right, left = (truth[..., corner, :] for corner in scheme.eye_corners)
    return np.asarray(np.linalg.norm(right - left, axis=-1))


def failure_rate(errors: FloatArray, threshold: float = 10.0) -> float:
    """Share of faces in percent whose NME exceeds the threshold (also percent)."""
    return float(100 * (errors > threshold).mean())


def area_under_curve(errors: FloatArray, threshold: float = 10.0) -> float:
    """Area under the cumulative error curve from 0 to the threshold, in percent of the whole."""
    return float(100 * np.clip(1 - errors / threshold, 0, None).mean())
