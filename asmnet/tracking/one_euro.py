"""Smoothing over time: the One Euro filter on points and on rotations.

Casiez, Roussel and Vogel, "1 € Filter" (CHI 2012): a low-pass filter whose cutoff rises with speed,
so that what keeps still is calm and what moves fast does not lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet._checks import number
from asmnet.geometry import FloatArray, points_box, similarity
from asmnet.schemes import LandmarkScheme

# A point without any confidence still follows slowly, or a wrong shape would stay for ever.
MIN_CONFIDENCE = 0.1
# Hz: how fast the estimate of the noise follows.
NOISE_CUTOFF = 0.5


@dataclass(frozen=True)
class Smoothing:
    """How a tracked face is smoothed: each cutoff is ``min_cutoff`` plus a factor times a speed.

    Speeds of points are in face sizes a second; the size is the longer side of the points' box.

    Attributes:
        min_cutoff: Hz, of a face that keeps still; lower is calmer.
        beta: Hz for each face size a second of the motion that all points share (shift, rotation in
            the image plane, scale); higher lags less.
        local_beta: the same of what moves within the face: lids, lips, the change of shape when
            the head turns.
        rotation_beta: Hz for each radian a second of the head's rotation.
        speed_cutoff: Hz, of the low-pass filter on the speeds themselves.
    """

    min_cutoff: float = 1.0
    beta: float = 80.0
    local_beta: float = 120.0
    rotation_beta: float = 40.0
    speed_cutoff: float = 6.0

    def __post_init__(self) -> None:
        for field in fields(self):
            cutoff = field.name.endswith("cutoff")
            kind, least = ("positive", math.ulp(0.0)) if cutoff else ("non-negative", 0.0)
            value = number(getattr(self, field.name), field.name, f"a {kind} number", least=least)
            object.__setattr__(self, field.name, value)


def smoothing_factor(cutoff: FloatArray | float, step: float) -> FloatArray:
    """Share of the new value in an exponential filter: cutoff in Hz, step in seconds."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step)))


class PointsFilter:
    """One Euro filter of one face's points.

    The motion that all points share and the motion within the face have filters of their own: the
    first is known precisely, because every point tells it, and opens all points together; the
    second opens for an eye, the mouth or another part as a whole, so that a blink passes while the
    rest keeps still.
    """

    def __init__(self, options: Smoothing, scheme: LandmarkScheme) -> None:
        """Starts empty: the first points pass as they are."""
        self._options = options
        # Nothing of the common motion is taken for noise: it is known well, and the tremble of a
        # camera in a hand looks like noise.
        margins = np.append(np.full(len(scheme.groups), 2.0), 0.0)
        self._speed = _Speed(options.speed_cutoff, margins)
        # (N, groups) memberships: to average over groups and to give the result back to points.
        self._member = np.zeros((len(scheme), len(scheme.groups)))
        for column, indices in enumerate(scheme.groups.values()):
            self._member[indices, column] = 1
        self._raw: FloatArray | None = None

    def __call__(
        self, points: FloatArray, step: float, confidence: FloatArray | None = None
    ) -> FloatArray:
        """(N, 2) points, ``step`` seconds after the last ones, to smoothed points.

        A point with little ``confidence`` (N,) counts less and follows more slowly.
        """
        points = np.asarray(points, dtype=np.float64)
        if self._raw is None:
            self._raw = self._smooth = points
            return points
        weights = np.ones(len(points))
        if confidence is not None:
            weights = np.clip(confidence, MIN_CONFIDENCE, 1.0).astype(np.float64)
        options, member = self._options, self._member * weights[:, None]
        box = points_box(points)
        size = max(float((box[2:] - box[:2]).max()), 1e-6)

        def energy(velocity: FloatArray) -> FloatArray:
            common, local = (velocity**2).sum(axis=2)
            return np.append(local @ member / member.sum(axis=0), common @ weights / weights.sum())

        moves = _split(points - self._raw, self._raw, weights)
        *parts, common = self._speed(moves / (size * step), step, energy)
        common_cutoff = options.min_cutoff + options.beta * common
        local_cutoff = options.min_cutoff + options.local_beta * (self._member @ parts)
        ahead = _split(points - self._smooth, self._smooth, weights)
        self._smooth = (
            self._smooth
            + smoothing_factor(common_cutoff, step) * ahead[0]
            + smoothing_factor(local_cutoff * weights, step)[:, None] * ahead[1]
        )
        self._raw = points
        return self._smooth


class RotationFilter:
    """One Euro filter of one head's rotation, along the shortest rotation to each new one."""

    def __init__(self, options: Smoothing) -> None:
        """Starts empty: the first rotation passes as it is."""
        self._options = options
        self._speed = _Speed(options.speed_cutoff, 1.0)
        self._raw: FloatArray | None = None

    def __call__(self, rotation: FloatArray, step: float) -> FloatArray:
        """(3, 3) rotation, ``step`` seconds after the last one, to a smoothed rotation."""
        rotation = np.asarray(rotation, dtype=np.float64)
        if self._raw is None:
            self._raw = self._smooth = rotation
            return rotation
        velocity = _rotation_vector(self._raw, rotation) / step
        speed = self._speed(velocity, step, lambda v: np.square(v).sum())
        cutoff = self._options.min_cutoff + self._options.rotation_beta * speed
        part = smoothing_factor(cutoff, step) * _rotation_vector(self._smooth, rotation)
        self._smooth = cv2.Rodrigues(part)[0] @ self._smooth
        self._raw = rotation
        return self._smooth


class _Speed:
    """Speeds for the cutoffs: low-passed velocities, less what noise alone would give.

    Noise turns around from frame to frame and motion does not, so differences of velocities tell
    its level, whatever camera and size of face: differences of white noise have three times the
    energy of its velocities. ``margins``, one for all or one for each speed, multiply it.
    """

    def __init__(self, cutoff: float, margins: FloatArray | float) -> None:
        self._cutoff, self._margins = cutoff, margins
        self._last: FloatArray | None = None
        self._slow: FloatArray | float = 0.0
        self._noise: FloatArray | float = 0.0

    def __call__(
        self, velocity: FloatArray, step: float, energy: Callable[[FloatArray], FloatArray]
    ) -> FloatArray:
        """``energy`` takes a velocity to its mean square, one for each part with its own speed."""
        share = float(smoothing_factor(self._cutoff, step))
        self._slow = self._slow + share * (velocity - self._slow)
        if self._last is not None:
            noise = energy(velocity - self._last) / 3
            self._noise = self._noise + smoothing_factor(NOISE_CUTOFF, step) * (noise - self._noise)
        self._last = velocity
        # What of the noise's energy passes the filter; never all of it, as at low frame rates
        # speech looks like noise.
        passing = np.minimum(self._margins * share**2 / (2 - share), 0.5)
        return np.asarray(np.sqrt(np.maximum(energy(self._slow) - passing * self._noise, 0)))


def _rotation_vector(start: FloatArray, end: FloatArray) -> NDArray[np.float64]:
    """(3,) axis times angle of the shortest rotation that takes one rotation to the other."""
    return np.asarray(cv2.Rodrigues(end @ start.T)[0], dtype=np.float64).ravel()


def _split(moves: FloatArray, points: FloatArray, weights: FloatArray) -> FloatArray:
    """Moves (N, 2) of points into (2, N, 2): what a similarity transform explains, and the rest.

    The transform is the least-squares one.
    """
    matrix = similarity(points, points + moves, weights)
    common = points @ matrix[:, :2].T + matrix[:, 2] - points
    return np.stack([common, moves - common])
