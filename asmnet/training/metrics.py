"""Accuracy figures as the field defines them, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmnet.schemes import LandmarkScheme

FloatArray = NDArray[np.floating[Any]]


def nme(predicted: FloatArray, truth: FloatArray, scheme: LandmarkScheme) -> FloatArray:
    """Normalised mean error of each face in percent: (n, N, 2) twice gives (n,).

    Mean point distance over the distance of the outer eye corners (inter-ocular, 300W's rule).
    """
    right, left = scheme.eye_corners
    ocular = np.linalg.norm(truth[:, right] - truth[:, left], axis=-1)
    distances = np.linalg.norm(predicted - truth, axis=-1).mean(axis=-1)
    return np.asarray(100 * distances / ocular)


def failure_rate(errors: FloatArray, threshold: float = 10.0) -> float:
    """Share of faces in percent whose NME exceeds the threshold (also percent)."""
    return float(100 * (errors > threshold).mean())


def area_under_curve(errors: FloatArray, threshold: float = 10.0) -> float:
    """Area under the cumulative error curve from 0 to the threshold, in percent of the whole."""
    return float(100 * np.clip(1 - errors / threshold, 0, None).mean())
