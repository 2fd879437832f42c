"""Measures of a face that follow from its points."""

from __future__ import annotations

import numpy as np

from asmnet._checks import instance
from asmnet.geometry import FloatArray
from asmnet.types import Face


def eye_openness(face: Face) -> tuple[float, float]:
    """Eye aspect ratio of the right and of the left eye (the subject's).

    Mean distance of the lids over the distance of the corners: Soukupová and Čech, "Real-Time Eye
    Blink Detection using Facial Landmarks" (2016), eq. 1. About 0.3 for an open eye, below 0.2
    while it blinks; it differs from person to person and shrinks when the head turns up or down.

    Raises:
        InvalidInputError: no `asmnet.Face`.
    """
    instance(face, "face", Face)
    right, left = (face.landmarks[face.scheme.groups[eye]] for eye in ("right_eye", "left_eye"))
    return _aspect_ratio(right), _aspect_ratio(left)


def mouth_openness(face: Face) -> float:
    """The same ratio for the inner outline of the lips: 0 while the mouth is closed."""
    instance(face, "face", Face)
    return _aspect_ratio(face.landmarks[face.scheme.groups["inner_lip"]])


def _aspect_ratio(outline: FloatArray) -> float:
    """(2k, 2) points from one corner along the upper line to the other corner and back."""
    half = len(outline) // 2
    upper, lower = outline[1:half], outline[:half:-1]
    opening = np.linalg.norm(upper - lower, axis=1).mean()
    width = np.linalg.norm(outline[half] - outline[0])
    return float(opening / width) if width else 0.0
