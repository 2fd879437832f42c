"""Points of MediaPipe's face mesh in 300W's order, and dots to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from asmnet.geometry import FloatArray
from asmnet.image import ImageArray

# Points of MediaPipe's face mesh (468) for 300W's 68, in their order. The mesh has no jaw line:
# those are the points of its oval that come nearest on validation photos.
MESH_68 = np.array([
    127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
])  # fmt: skip


def mesh_points(landmarks: Sequence[Any]) -> FloatArray:
    """300W's 68 points of the mesh of a face: (68, 2), 0-1 of the frame."""
    return np.array([(landmarks[i].x, landmarks[i].y) for i in MESH_68])


def draw_dots(
    image: ImageArray, points: FloatArray, colour: tuple[int, ...], radius: float
) -> None:
    """Draws (n, 2) points into an RGB image."""
    bits = 4  # OpenCV takes sixteenths of a pixel, counted from the first pixel's centre
    for x, y in np.rint((np.asarray(points) - 0.5) * 2**bits).astype(int).tolist():
        cv2.circle(image, (x, y), round(radius * 2**bits), colour, cv2.FILLED, cv2.LINE_AA, bits)
