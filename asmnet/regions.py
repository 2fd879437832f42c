"""Where to look: parts of an image that are worth a zoomed pass, and tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import FloatArray

Region = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of an image."""

# A cell of the map of small faces from which on a zoomed pass is taken, and how many cells around
# it are looked at: a face of the largest size that the map tells of is then seen whole.
CLOSER_SCORE = 0.3
CLOSER_CELLS = 3
# Where zoomed passes would see more of what was looked at than this, one sees all of it.
WHOLE_PART = 0.7


def closer_regions(
    small_faces: NDArray[np.float32], stride: int, factors: FloatArray, region: Region
) -> list[Region]:
    """The parts of the image where faces may hide that are too small to tell.

    Args:
        small_faces: (h, w) logits.
        stride: pixels of the look from one of them to the next.
        factors: (2,) from image to look.
        region: of the image, that was looked at.

    Returns:
        Rectangles around such places that do not overlap, or all of ``region`` if that is hardly
        more.
    """
    (x0, y0, x1, y1) = region
    width, height = np.ceil((np.array([x1, y1]) - (x0, y0)) * factors / stride).astype(int)
    # Beside the image there is only the black of the canvas.
    hot = small_faces[:height, :width] > np.log(CLOSER_SCORE / (1 - CLOSER_SCORE))
    if not hot.any():
        return []
    extent = 2 * CLOSER_CELLS + 1
    near = cv2.dilate(hot.astype(np.uint8), np.ones((extent, extent), np.uint8))
    cells = _apart([tuple(box[:4]) for box in cv2.connectedComponentsWithStats(near)[2][1:]])
    if sum(w * h for _, _, w, h in cells) > WHOLE_PART * near.size:
        return [region]
    step = stride / factors
    return [
        (
            x0 + int(left * step[0]),
            y0 + int(top * step[1]),
            min(x0 + math.ceil((left + w) * step[0]), x1),
            min(y0 + math.ceil((top + h) * step[1]), y1),
        )
        for left, top, w, h in cells
    ]


def _apart(boxes: list[Region]) -> list[Region]:
    """Boxes (x, y, width, height) of which those that overlap have become one around both."""
    apart: list[Region] = []
    for x, y, w, h in boxes:
        left, top, right, bottom = x, y, x + w, y + h
        while True:
            overlapping = [
                b
                for b in apart
                if b[0] < right and left < b[0] + b[2] and b[1] < bottom and top < b[1] + b[3]
            ]
            if not overlapping:
                break
            for b in overlapping:
                apart.remove(b)
                left, top = min(left, b[0]), min(top, b[1])
                right, bottom = max(right, b[0] + b[2]), max(bottom, b[1] + b[3])
        apart.append((left, top, right - left, bottom - top))
    return apart


def tiles(region: Region, side: int, overlap: int) -> Iterator[Region]:
    """Overlapping squares that cover a region; at the right and below they end with it."""
    x0, y0, x1, y1 = region

    def starts(first: int, last: int) -> range:
        return range(first, max(last - overlap, first + 1), side - overlap)

    for top in starts(y0, y1):
        for left in starts(x0, x1):
            yield left, top, min(left + side, x1), min(top + side, y1)
