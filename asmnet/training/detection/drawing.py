"""Draws photos into training pictures, and covers faces.

All coordinates begin at the corner of the first pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from asmnet.datasets.augment import occlude
from asmnet.geometry import FloatArray
from asmnet.image import ImageArray, warp
from asmnet.training.detection.material import Photo

MIRROR = np.array([1, 0, 2, 4, 3])  # key points after a mirror


def similarity(scale: float, degrees: float, source: FloatArray, target: FloatArray) -> FloatArray:
    """(2, 3) that scales and turns, and takes the point ``source`` to ``target``."""
    angle = np.radians(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, target - linear @ source])


def place(levels: Sequence[ImageArray], matrix: FloatArray, canvas: ImageArray) -> None:
    """Draws a photo into the canvas, in place; where the photo ends the canvas stays."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    level = int(np.clip(np.floor(np.log2(1 / scale) + 0.25), 0, len(levels) - 1))
    image = levels[level]
    factor = np.array(levels[0].shape[1::-1]) / image.shape[1::-1]
    matrix = np.column_stack([matrix[:, :2] * factor, matrix[:, 2]])
    size = canvas.shape[1::-1]
    layer = warp(image, matrix, size)
    # The covered part is a turned rectangle, a little smaller than the photo: no dark seam.
    height, width = image.shape[:2]
    edge = np.array(
        [[0.5, 0.5], [width - 0.5, 0.5], [width - 0.5, height - 0.5], [0.5, height - 0.5]]
    )
    corners = edge @ matrix[:, :2].T + matrix[:, 2] - 0.5
    inside = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.round(corners).astype(np.int32), 255)
    cv2.copyTo(layer, inside, canvas)


def clipped(box: FloatArray, region: FloatArray) -> FloatArray:
    """The part of an xyxy box that lies in another."""
    return np.concatenate([np.maximum(box[:2], region[:2]), np.minimum(box[2:], region[2:])])


def visible_part(box: FloatArray, region: FloatArray) -> float:
    """How much of a box's area lies in a region, 0 to 1."""
    inside = clipped(box, region)
    extent = np.maximum(inside[2:] - inside[:2], 0)
    return float(extent.prod() / max((box[2:] - box[:2]).prod(), 1e-9))


def cover_face(
    canvas: ImageArray, box: FloatArray, textures: Sequence[Photo],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Hides a part of a face, in place: by a texture or hand's colour, a mask, glasses."""
    if (box[2:] - box[:2]).max() < 10:
        return
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    kind = rng.random()
    if kind < 0.4:
        colour = rng.integers(0, 256, size=3)
        if rng.random() < 0.5:
            colour = np.array([230, 235, 240]) - rng.integers(0, 60)
        top = y0 + rng.uniform(0.4, 0.55) * height
        mask = [[x0, top], [(x0 + x1) / 2, top - 0.06 * height], [x1, top]]
        mask += [[x1 - 0.12 * width, y1 - 0.1 * height], [(x0 + x1) / 2, y1 + 0.04 * height]]
        mask += [[x0 + 0.12 * width, y1 - 0.1 * height]]
        cv2.fillPoly(canvas, [np.round(mask).astype(np.int32)], colour.tolist(), cv2.LINE_AA)
    elif kind < 0.55:
        colour = rng.integers(0, 60, size=3).tolist()
        y, radius = y0 + 0.22 * height, (0.2 * width, 0.14 * height)
        for x in (x0 + 0.28 * width, x1 - 0.28 * width):
            cv2.ellipse(canvas, ((x, y), (2 * radius[0], 2 * radius[1]), 0), colour, -1)
    elif textures:
        occlude(canvas, box, textures[int(rng.integers(len(textures)))].levels[0], rng)
