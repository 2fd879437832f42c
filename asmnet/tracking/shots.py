"""Cuts of a video: which shot a frame belongs to, from tiny pictures of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet.image import ImageArray, thumbnail

WIDTH, HEIGHT = 32, 24
# So many pixels of the frame are averaged for one of the tiny picture, in each direction.
SAMPLES = 5
# A frame continues the present shot when so much of its tiny picture has stayed as it was, within
# so many grey levels: something that moves before a camera that stands is no cut, however large.
# Black is left out: it may be a border.
STAYED, SAME_GREY, BLACK = 0.25, 8, 16
# Or when its tiny picture correlates with a shot's last one by so much.
# Colour photos that have nothing to do with each other stay below in 19 of 20 cases; a shift by a
# tenth of the frame, a tenth of zoom, another light or noise stay far above.
ALIKE = 0.6
# The frame may have shifted by so many pixels of the tiny picture, an eighth of its sides.
SHIFT = (HEIGHT // 8, WIDTH // 8)
# Tiny pictures with a smaller spread of grey levels (black, fog) say nothing.
FLAT = 4.0
MAX_SHOTS = 4


class Shots:
    """Numbers the shots of a stream; a return to one of the last few gets its old number."""

    def __init__(self) -> None:
        """Starts before the first frame."""
        self._count = 0
        # Number and last tiny picture of each, the present shot at the end.
        self._known: list[tuple[int, NDArray[np.float32]]] = []

    def number(self, image: ImageArray) -> int:
        """The shot of the stream's next RGB frame (H, W, 3)."""
        small = thumbnail(image, (WIDTH, HEIGHT), SAMPLES).astype(np.float32)
        if self._known and _stayed(small, self._known[-1][1]):
            number, _ = self._known.pop()
        elif small.std(axis=(0, 1)).max() < FLAT:
            return self._known[-1][0] if self._known else self._count
        else:
            number = self._recognise(small)
        self._known = [*self._known[-MAX_SHOTS + 1 :], (number, small)]
        return number

    def _recognise(self, small: NDArray[np.float32]) -> int:
        """The number of a shot that looks alike, which is taken out of the known, or a new one."""
        # The present shot first: it needs no comparison with the others.
        for i in reversed(range(len(self._known))):
            if _likeness(small, self._known[i][1]) >= ALIKE:
                return self._known.pop(i)[0]
        self._count += 1
        return self._count


def _stayed(picture: NDArray[np.float32], last: NDArray[np.float32]) -> bool:
    lit = last.max(axis=2) >= BLACK
    same = np.abs(picture - last).max(axis=2) < SAME_GREY
    return bool((same & lit).sum() >= STAYED * max(int(lit.sum()), 1))


def _likeness(picture: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlation of two tiny pictures, at the shift where they agree best."""
    rows, columns = SHIFT
    middle = other[rows:-rows, columns:-columns]
    if middle.std(axis=(0, 1)).max() < FLAT:
        return 0.0
    return float(cv2.matchTemplate(picture, middle, cv2.TM_CCOEFF_NORMED).max())
