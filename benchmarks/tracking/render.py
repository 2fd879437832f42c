"""Clips with exact labels: pictures that paths move through the frames.

A clip is a stack of layers. Each layer is a picture that a path moves through the frame, and the
labels go through the same transform as the pixels, so they are exact to a few hundredths of a
pixel (OpenCV's warp rounds to 1/32).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import FloatArray, points_box
from asmnet.image import ImageArray

from .metrics import TruthFace

WIDTH, HEIGHT, FPS = 640, 480, 30
# Share of the frame's time in which the shutter is open: moving faces are blurred.
SHUTTER = 0.5
FACE = 160.0  # longer side of most faces in the frame, in pixels

Path2D = Callable[[float], tuple[float, float, float, float]]
"""Time in frames to x, y of the picture's anchor, its side in the frame, and degrees clockwise."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels that can be placed in a frame.

    Attributes:
        pixels: (H, W, 3) RGB.
        alpha: (H, W) float32 0-1, what of the pixels is there; None is all of them, and beyond
            the border the border's own colours, so such a picture fills the frame.
        anchor: (2,) point of the picture that a path moves, in its pixels.
        side: length in its pixels that a path's side refers to: the longer side of the face's box.
        landmarks: (68, 2) in its pixels; None without a face.
    """

    pixels: ImageArray
    alpha: FloatArray | None
    anchor: FloatArray
    side: float
    landmarks: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture on its path, from frame ``start`` until before frame ``stop``."""

    picture: Picture
    path: Path2D
    start: int = 0
    stop: int = 1_000_000
    person: int = 0

    def matrix(self, time: float) -> FloatArray:
        """(2, 3): the picture's pixels to the frame's, from their corners, at a time in frames."""
        x, y, side, angle = self.path(time)
        scale = side / self.picture.side
        cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
        linear = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([linear, [x, y] - linear @ self.picture.anchor])


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame, its time, and the faces that are inside of it, visible or covered."""

    image: ImageArray
    seconds: float
    faces: list[TruthFace]


@dataclass(frozen=True, eq=False)
class Clip:
    """A few seconds of video, the same ones each time that it is played.

    Attributes:
        name: one of ``CLIPS``.
        length: number of frames.
        layers: from back to front.
        people: how many there are over the whole clip.
        at_once: the most of them in one frame.
        still: faces stay where they are.
        noise: standard deviation of the sensor's noise, fresh in each frame, of 0-255.
        quality: of the JPEG that each frame passes through, by its number; None leaves it out.
        gain: factors of red, green and blue by the frame's number.
        seed: of the noise.
    """

    name: str
    length: int
    layers: tuple[Layer, ...]
    people: int = 1
    at_once: int = 1
    still: bool = False
    noise: float = 2.0
    quality: Callable[[int], int | None] = lambda _: 85
    gain: Callable[[int], FloatArray] | None = None
    seed: int = 0

    def frames(self) -> Iterator[VideoFrame]:
        """Renders the frames, 640 × 480 at 30 a second."""
        rng = np.random.default_rng([self.seed, crc32(self.name.encode())])
        for t in range(self.length):
            yield VideoFrame(self._expose(t, rng), t / FPS, self.faces(t))

    def faces(self, t: int) -> list[TruthFace]:
        """The truth of a frame: the faces that are inside of it, visible or covered."""
        faces = []
        layers = self._at(t)
        for i, layer in enumerate(layers):
            if layer.picture.landmarks is None:
                continue
            matrix = layer.matrix(t)
            points = layer.picture.landmarks @ matrix[:, :2].T + matrix[:, 2]
            x0, y0, x1, y1 = points_box(points)
            if x1 <= 0 or y1 <= 0 or x0 >= WIDTH or y0 >= HEIGHT:
                continue
            seen = ((points >= 0) & (points < [WIDTH, HEIGHT])).all(axis=1)
            for front in layers[i + 1 :]:
                seen &= ~_covers(front, points, t)
            faces.append(TruthFace(layer.person, points, bool(seen.mean() >= 0.5)))
        return faces

    def _at(self, t: int) -> list[Layer]:
        return [layer for layer in self.layers if layer.start <= t < layer.stop]

    def _expose(self, t: int, rng: np.random.Generator) -> ImageArray:
        """What the camera sees while its shutter is open, around the frame's time."""
        layers = self._at(t)
        steps = _exposure_steps(layers, t)
        times = t + SHUTTER * ((np.arange(steps) + 0.5) / steps - 0.5)
        light = np.mean([_compose(layers, time) for time in times], axis=0, dtype=np.float32)
        if self.gain is not None:
            light = light * self.gain(t).astype(np.float32)
        # Grey noise: the JPEG would halve the resolution of colour's anyway.
        light += self.noise * rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32)
        image = np.rint(np.clip(light, 0, 255)).astype(np.uint8)
        quality = self.quality(t)
        if quality is not None:
            bgr = image[:, :, ::-1]  # JPEG weighs the colours, so their order matters
            _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
            decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
            image = np.ascontiguousarray(decoded[:, :, ::-1])
        return image


def _exposure_steps(layers: list[Layer], t: int) -> int:
    """1 to 8 moments of an exposure, one for every two pixels of the fastest motion."""
    corners = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]], dtype=np.float64)
    longest = 0.0
    for layer in layers:
        before, after = (layer.matrix(t + d * SHUTTER / 2) for d in (-1, 1))
        at = (corners - before[:, 2]) @ np.linalg.inv(before[:, :2]).T
        moved = at @ after[:, :2].T + after[:, 2] - corners
        longest = max(longest, float(np.linalg.norm(moved, axis=1).max()))
    return int(np.clip(np.ceil(longest / 2), 1, 8))


def _compose(layers: list[Layer], time: float) -> FloatArray:
    """(480, 640, 3) float32 0-255: the layers at one moment."""
    canvas = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for layer in layers:
        picture, matrix = layer.picture, layer.matrix(time)
        if picture.alpha is None:
            canvas = _warp(picture.pixels, matrix, border=cv2.BORDER_REPLICATE).astype(np.float32)
            continue
        alpha = _warp(picture.alpha, matrix)[:, :, None]
        pixels = _warp(picture.pixels, matrix, border=cv2.BORDER_REPLICATE)
        canvas += alpha * (pixels - canvas)
    return canvas


def _warp(
    image: NDArray[Any], matrix: FloatArray, border: int = cv2.BORDER_CONSTANT
) -> NDArray[Any]:
    # OpenCV counts from the centre of the first pixel, half a pixel inside of the corner.
    offset = matrix[:, 2] + matrix[:, :2] @ [0.5, 0.5] - 0.5
    matrix = np.column_stack([matrix[:, :2], offset])
    return np.asarray(
        cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border)
    )


def _covers(layer: Layer, points: FloatArray, t: int) -> NDArray[np.bool_]:
    """(n,) whether the layer hides what lies at the points of the frame."""
    if layer.picture.alpha is None:
        return np.ones(len(points), dtype=bool)
    matrix = layer.matrix(t)
    at = np.floor((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T).astype(int)
    height, width = layer.picture.alpha.shape
    inside = ((at >= 0) & (at < [width, height])).all(axis=1)
    columns, rows = np.clip(at, 0, [width - 1, height - 1]).T
    return np.asarray(inside & (layer.picture.alpha[rows, columns] > 0.5))
