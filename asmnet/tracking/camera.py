"""How the camera has moved from one frame to the next, by phase correlation."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import FloatArray
from asmnet.image import ImageArray, thumbnail

# Width of the reduced frames that are compared, in pixels; a grid of so many pixels of the frame
# is averaged for each of theirs, in each direction.
WIDTH, SAMPLES = 96, 2
# The peak of the correlation, 0-1, below which the frames have too little in common.
LEAST_PEAK = 0.15


class CameraMotion:
    """The shift of a stream's frames against each other, most of the picture taken together."""

    def __init__(self) -> None:
        """Starts before the first frame."""
        self._last: NDArray[np.float32] | None = None
        self._window: NDArray[np.float32] | None = None

    def restart(self) -> None:
        """Forgets the last frame."""
        self._last = None

    def shift(self, image: ImageArray) -> FloatArray:
        """(2,) pixels by which what stands still has moved since the last frame; 0 if unknown.

        Args:
            image: (H, W, 3) RGB, the next frame.
        """
        height, width = image.shape[:2]
        size = (WIDTH, max(round(WIDTH * height / width), 8))
        green = image[..., 1]  # close to grey
        small = thumbnail(green, size, SAMPLES).astype(np.float32)
        last, self._last = self._last, small
        if last is None or last.shape != small.shape:
            self._window = np.asarray(cv2.createHanningWindow(size, cv2.CV_32F), np.float32)
            return np.zeros(2)
        moved, peak = cv2.phaseCorrelate(last, small, self._window)
        if peak < LEAST_PEAK:
            return np.zeros(2)
        return np.asarray(np.array(moved) * [width / size[0], height / size[1]])
