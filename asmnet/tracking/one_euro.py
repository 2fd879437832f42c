"""Smoothing over time: the One Euro filter on points and on rotations.

Casiez, Roussel and Vogel, "1 € Filter" (CHI 2012): a low-pass filter whose cutoff rises with speed,
so that what keeps still is calm and what moves fast does not lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet._checks import number
from asmnet.geometry import FloatArray
from asmnet.schemes import LandmarkScheme

ComplexArray = NDArray[np.complex128]
Number = TypeVar("Number", float, FloatArray)

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


def smoothing_factor(cutoff: Number, step: float) -> Number:
    """Share of the new value in an exponential filter: cutoff in Hz, step in seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


class FaceFilter:
    """One Euro filter of one face's points and rotation.

    The motion that all points share and the motion within the face have cutoffs of their own: the
    first is known precisely, because every point tells it, and opens all points together; the
    second opens for an eye, the mouth or another part as a whole, so that a blink passes while the
    rest keeps still. The rotation goes along the shortest rotation to each new one.

    Cutoffs follow speeds: low-passed velocities, less what noise alone would give. Noise turns
    around from frame to frame and motion does not, so differences of velocities tell its level,
    whatever camera and size of face: differences of white noise have three times the energy of its
    velocities.
    """

    def __init__(self, options: Smoothing, scheme: LandmarkScheme) -> None:
        """Starts empty: the first face passes as it is."""
        self._options = options
        points, groups = len(scheme), len(scheme.groups)
        # Velocities in one vector: of each point with all others, of each within the face, and of
        # the rotation. Which of them make which speed: those of groups, of all, of the rotation.
        self._members = np.zeros((2 * points + 3, groups + 2))
        for column, indices in enumerate(scheme.groups.values()):
            self._members[points + indices, column] = 1
        self._members[:points, groups] = 1
        self._members[2 * points :, groups + 1] = 1
        # How much is taken for noise. Nothing of the common motion: it is known well, and the
        # tremble of a camera in a hand looks like noise.
        self._margins = np.array(groups * [2.0] + [0.0, 1.0])
        self._raw: tuple[ComplexArray, FloatArray] | None = None
        self._last: ComplexArray | None = None
        self._slow: ComplexArray = np.zeros(2 * points + 3, dtype=np.complex128)
        self._noise = np.zeros(groups + 2)

    def __call__(
        self,
        landmarks: FloatArray,
        rotation: FloatArray,
        step: float,
        confidence: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Points (N, 2) and rotation (3, 3), ``step`` seconds after the last ones, smoothed.

        A point with little ``confidence`` (N,) counts less and follows more slowly.
        """
        # In the plane a similarity transform is a division of complex numbers.
        points = np.array(landmarks, dtype=np.float64).view(np.complex128)[:, 0]
        rotation = np.asarray(rotation, dtype=np.float64)
        count = len(points)
        if self._raw is None:
            self._raw = points, rotation
            self._smooth = points, rotation
            return _coordinates(points), rotation
        weights = np.ones(count)
        if confidence is not None:
            np.minimum(np.maximum(confidence, MIN_CONFIDENCE), 1.0, out=weights)
        size = max(np.ptp(points.real), np.ptp(points.imag), 1e-6)
        before = np.stack([self._raw[0], self._smooth[0]])
        common, local = _split(points - before, before, weights / weights.sum())
        velocity = np.concatenate(
            [
                common[0] / (size * step),
                local[0] / (size * step),
                _rotation_vector(self._raw[1], rotation) / step,
            ]
        )
        *parts, together, turning = self._speeds(velocity, weights, step).tolist()
        options = self._options
        common_share = smoothing_factor(options.min_cutoff + options.beta * together, step)
        groups = self._members[count : 2 * count, : len(parts)]
        local_cutoff = options.min_cutoff + options.local_beta * (groups @ parts)
        local_share = smoothing_factor(local_cutoff * weights, step)
        share = smoothing_factor(options.min_cutoff + options.rotation_beta * turning, step)
        part = share * _rotation_vector(self._smooth[1], rotation)
        self._smooth = (
            self._smooth[0] + common_share * common[1] + local_share * local[1],
            np.asarray(cv2.Rodrigues(part)[0] @ self._smooth[1], dtype=np.float64),
        )
        self._raw = points, rotation
        return _coordinates(self._smooth[0]), self._smooth[1]

    def _speeds(self, velocity: ComplexArray, weights: FloatArray, step: float) -> FloatArray:
        """Speeds for the cutoffs: of each group within the face, of all points, of the rotation."""
        count = len(weights)
        members = self._members.copy()
        members[: 2 * count] *= np.concatenate([weights, weights])[:, None]
        members[:, :-1] /= members[:, :-1].sum(axis=0)
        share = smoothing_factor(self._options.speed_cutoff, step)
        self._slow = self._slow + share * (velocity - self._slow)
        change = np.zeros_like(velocity) if self._last is None else velocity - self._last
        signals = np.stack([change, self._slow])
        energy, slow_energy = (signals.real**2 + signals.imag**2) @ members
        if self._last is not None:
            part = smoothing_factor(NOISE_CUTOFF, step)
            self._noise = self._noise + part * (energy / 3 - self._noise)
        self._last = velocity
        # What of the noise's energy passes the filter; never all of it, as at low frame rates
        # speech looks like noise.
        passing = np.minimum(self._margins * share**2 / (2 - share), 0.5)
        return np.asarray(np.sqrt(np.maximum(slow_energy - passing * self._noise, 0)))


def _coordinates(points: ComplexArray) -> FloatArray:
    """Complex points (N,) as (N, 2)."""
    return points.view(np.float64).reshape(-1, 2)


def _rotation_vector(start: FloatArray, end: FloatArray) -> NDArray[np.float64]:
    """(3,) axis times angle of the shortest rotation that takes one rotation to the other."""
    return np.asarray(cv2.Rodrigues(end @ start.T)[0], dtype=np.float64).ravel()


def _split(
    moves: ComplexArray, points: ComplexArray, shares: FloatArray
) -> tuple[ComplexArray, ComplexArray]:
    """Moves (..., N) of points into what a similarity transform explains, and the rest.

    The transform is the least-squares one; the shares (N,) of the points add up to 1.
    """
    arms = points - (points @ shares)[..., None]
    spread = np.maximum((arms.real**2 + arms.imag**2) @ shares, np.finfo(np.float64).tiny)
    factor = (arms.conj() * moves) @ shares / spread
    common = (moves @ shares)[..., None] + factor[..., None] * arms
    return common, moves - common
