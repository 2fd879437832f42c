"""What the tracking benchmark shows: known motion, light, noise, covers, cuts.

What a photo cannot give is missing: faces are rigid and turn in the image plane only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asmnet.datasets.records import LabelledFace
from asmnet.geometry import FloatArray
from asmnet.image import ImageArray, load_image

from .pictures import (
    background_picture,
    head_picture,
    patch_picture,
    photo_picture,
)
from .render import FACE, FPS, WIDTH, Clip, Layer, Path2D, Picture

CLIPS = (
    "still", "light", "compression", "pan", "zoom", "turn", "shake", "fast", "occluder", "cut",
    "crossing", "enter", "empty",
)  # fmt: skip
"""Names of the clips, in the order of `make_clips`."""


def make_clips(
    faces: Sequence[LabelledFace], backgrounds: Sequence[Path], index: int
) -> list[Clip]:
    """The clips of one photo, which is ``faces[index]``; where more people are needed, others."""
    count = len(faces)
    subject, second, third = (
        photo_picture(faces[(index + step) % count]) for step in (0, count // 3, 2 * count // 3)
    )
    images = [load_image(backgrounds[(4 * index + i) % len(backgrounds)]) for i in range(4)]
    clips = [
        *_one_face(subject),
        _shake(subject, index),
        _fast(subject),
        _occluder(subject, images[0], images[1]),
        _cut(subject, second, third),
        _crossing(head_picture(subject), head_picture(second), images[0]),
        _enter(head_picture(subject), head_picture(second), images[1]),
        _empty(images),
    ]
    return [replace(clip, seed=index) for clip in clips]


def _one_face(subject: Picture) -> list[Clip]:
    """Clips of one smooth motion, or of none."""

    def clip(name: str, length: int, path: Path2D) -> Clip:
        return Clip(name, length, (Layer(subject, path),))

    resting = clip("", 90, lambda _: (320, 250, FACE, 0))
    resting = replace(resting, still=True)
    return [
        replace(resting, name="still", noise=5.0),
        replace(resting, name="light", length=120, gain=_changing_light),
        replace(resting, name="compression", quality=lambda t: 40 if t % 2 else 20),
        clip("pan", 120, lambda t: (320 + 170 * _wave(t, 120), 245 + 25 * _wave(t, 60), FACE, 0)),
        clip("zoom", 120, lambda t: (320, 250, 150 * np.exp(0.31 * _wave(t, 90)), 0)),
        clip("turn", 120, lambda t: (320, 245, FACE, 40 * _wave(t, 120))),
    ]


def _wave(t: float, period: float) -> float:
    return float(np.sin(2 * np.pi * t / period))


def _step(t: float, start: float, frames: float) -> float:
    """0 before ``start``, 1 from ``frames`` later on, smooth between."""
    s = min(max((t - start) / frames, 0.0), 1.0)
    return s * s * (3 - 2 * s)


def _changing_light(t: int) -> FloatArray:
    """Brightness and colour go up and down; from frame 60 to 80 somebody switches a lamp off."""
    brightness = np.exp(0.45 * _wave(t, 50)) * (0.35 if 60 <= t < 80 else 1.0)
    tint = 0.15 * _wave(t, 80)
    return np.asarray(brightness * np.array([1 + tint, 1.0, 1 - tint]))


def _shake(subject: Picture, seed: int) -> Clip:
    """A camera held by a walker: position and angle drift and tremble, the faster the less."""
    rng = np.random.default_rng(seed)
    hertz = np.geomspace(0.3, 9, 16)
    phases = rng.uniform(0, 2 * np.pi, (3, 16))
    amplitudes = np.array([7.0, 7.0, 1.5])[:, None] * hertz[0] ** 0.5 / hertz**0.5

    def path(t: float) -> tuple[float, float, float, float]:
        x, y, angle = (amplitudes * np.sin(2 * np.pi * hertz * t / FPS + phases)).sum(axis=1)
        return 320 + x, 250 + y, FACE, angle

    return Clip("shake", 120, (Layer(subject, path),))


def _fast(subject: Picture) -> Clip:
    """Sudden moves of half a face within five frames, and a rest after each."""
    stops = FACE * np.array([[0, 0], [0.5, 0], [0, 0], [-0.5, 0], [-0.5, 0.4], [0, 0.4], [0, 0]])

    def path(t: float) -> tuple[float, float, float, float]:
        x, y = stops[0]
        for i, (dx, dy) in enumerate(np.diff(stops, axis=0)):
            done = _step(t, 20 + 20 * i, 5)
            x, y = x + done * dx, y + done * dy
        return 320 + x, 230 + y, FACE, 0

    return Clip("fast", 145, (Layer(subject, path),))


def _occluder(subject: Picture, bar: ImageArray, board: ImageArray) -> Clip:
    """A bar passes before the face; then a board covers all of it for a second."""

    def face(t: float) -> tuple[float, float, float, float]:
        return 320 + 25 * _wave(t, 100), 250, FACE, 0

    def bar_path(t: float) -> tuple[float, float, float, float]:
        return 130 + 6 * t, 260, 1.6 * FACE, 10

    def board_path(t: float) -> tuple[float, float, float, float]:
        there, away = _step(t, 70, 12), _step(t, 112, 12)
        return -200 + 520 * there + 640 * away, 240, 2.4 * FACE, 0

    layers = (
        Layer(subject, face),
        Layer(patch_picture(bar, 0.2), bar_path, stop=70),
        Layer(patch_picture(board, 1.3), board_path, start=70, stop=125),
    )
    return Clip("occluder", 160, layers)


def _cut(*people: Picture) -> Clip:
    """Every 35 frames another person at another place; in the end the first one again."""
    places = ((220, 230, 150.0), (440, 240, 180.0), (230, 270, 130.0))

    def shot(number: int) -> Layer:
        person = number % len(people)
        x, y, side = places[person]
        return Layer(
            people[person],
            lambda t: (x + 15 * _wave(t, 80), y, side, 0),
            start=35 * number,
            stop=35 * (number + 1),
            person=person,
        )

    shots = tuple(shot(number) for number in range(len(people) + 1))
    return Clip("cut", 35 * len(shots), shots, people=len(people))


def _crossing(front: Picture, behind: Picture, background: ImageArray) -> Clip:
    """Two people pass each other and come back; one goes before the other."""
    layers = (
        _backdrop(background),
        Layer(behind, lambda t: (320 - 180 * _wave(t + 40, 160), 225, 120, 0), person=1),
        Layer(front, lambda t: (320 + 180 * _wave(t + 40, 160), 255, 135, 0), person=0),
    )
    return Clip("crossing", 160, layers, people=2, at_once=2)


def _enter(leaving: Picture, entering: Picture, background: ImageArray) -> Clip:
    """One person leaves the frame to the left, and another enters from the right."""
    layers = (
        _backdrop(background),
        Layer(leaving, lambda t: (320 - 480 * _step(t, 15, 45), 240, FACE, 0), stop=60),
        Layer(
            entering,
            lambda t: (820 - 480 * _step(t, 75, 45), 250, FACE, 0),
            start=75,
            person=1,
        ),
    )
    return Clip("enter", 150, layers, people=2)


def _empty(backgrounds: Sequence[ImageArray]) -> Clip:
    """No face, 30 frames of each background."""
    layers = tuple(
        _backdrop(image, start=30 * i, stop=30 * (i + 1)) for i, image in enumerate(backgrounds)
    )
    return Clip("empty", 30 * len(backgrounds), layers, people=0)


def _backdrop(image: ImageArray, start: int = 0, stop: int = 1_000_000) -> Layer:
    """A background that sways a little."""

    def path(t: float) -> tuple[float, float, float, float]:
        return 320 + 15 * _wave(t, 90), 240, 1.1 * WIDTH, 0

    return Layer(background_picture(image), path, start, stop)
