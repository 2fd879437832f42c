"""Active Shape Model: shapes as a mean plus a few modes of variation (Cootes et al. 1995)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asmnet.datasets.records import LabelledFace
from asmnet.geometry import FloatArray, points_box, similarity
from asmnet.schemes import IBUG_68

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMIT = 3.0  # of a coefficient, in standard deviations of its mode
_ROUNDS = 10  # of the alignment; the mean moves by less than 1e-6 after a few


@dataclass(frozen=True, eq=False)
class ActiveShapeModel:
    """PCA of shapes. A shape is S ≈ mean + modes · b with |b_i| ≤ 3 √variances_i.

    Attributes:
        mean: (2N,) mean shape, x0, y0, x1, y1, …
        modes: (2N, k) orthonormal columns, strongest first.
        variances: (k,) eigenvalues of the covariance.
        aligned: whether shapes are turned, scaled and moved onto the mean first (Procrustes), so
            that the modes tell of the form alone; a raw model takes shapes as they lie, as
            ASMNet's does.
    """

    mean: FloatArray
    modes: FloatArray
    variances: FloatArray
    aligned: bool = False

    @classmethod
    def fit(
        cls, shapes: FloatArray, kept_variance: float, *, aligned: bool = False
    ) -> ActiveShapeModel:
        """Learns from (m, N, 2) shapes; keeps the fewest modes with that part of the variance.

        A raw model needs all shapes in one frame, for example that of their boxes; an aligned one
        does not, as long as x and y have one unit.
        """
        flat = _align_all(shapes) if aligned else shapes.reshape(len(shapes), -1)
        mean = flat.mean(axis=0)
        _, singular, modes = np.linalg.svd(flat - mean, full_matrices=False)
        variances = singular**2 / (len(shapes) - 1)
        return cls(mean, modes.T, variances, aligned).keep(kept_variance)

    def keep(self, part: float) -> ActiveShapeModel:
        """The model with the fewest modes that hold that part (0–1) of this model's variance."""
        share = np.cumsum(self.variances) / self.variances.sum()
        count = int(np.searchsorted(share, part)) + 1
        return ActiveShapeModel(
            self.mean, self.modes[:, :count], self.variances[:count], self.aligned
        )

    def project(self, shapes: FloatArray) -> FloatArray:
        """The nearest plausible shapes: (m, N, 2) to (m, N, 2), coefficients clipped to ±3√λ."""
        if not self.aligned:
            return self._smooth(shapes)
        frames = similarity(shapes, self.mean.reshape(-1, 2))
        linear, shift = frames[:, :, :2].swapaxes(1, 2), frames[:, None, :, 2]
        return np.asarray((self._smooth(shapes @ linear + shift) - shift) @ np.linalg.inv(linear))

    def _smooth(self, shapes: FloatArray) -> FloatArray:
        limit = LIMIT * np.sqrt(self.variances)
        flat = shapes.reshape(len(shapes), -1)
        coefficients = np.clip((flat - self.mean) @ self.modes, -limit, limit)
        return np.asarray(self.mean + coefficients @ self.modes.T).reshape(shapes.shape)

    def save(self, path: Path) -> None:
        """Writes everything into one ``.npz`` file."""
        with path.open("wb") as file:  # a file, because for a path NumPy appends its own suffix
            np.savez(
                file, mean=self.mean, modes=self.modes, variances=self.variances,
                aligned=self.aligned,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> ActiveShapeModel:
        """Reads what :meth:`save` wrote."""
        with np.load(path) as file:
            return cls(file["mean"], file["modes"], file["variances"], bool(file["aligned"]))


def _align_all(shapes: FloatArray) -> FloatArray:
    """Generalised Procrustes analysis: (m, N, 2) to (m, 2N), around 0, of the mean's unit size."""
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    # Start from the mean as it lies, so that upright faces stay upright.
    mean = (shapes / np.linalg.norm(shapes, axis=(1, 2), keepdims=True)).mean(axis=0)
    for _ in range(_ROUNDS):
        mean = mean / np.linalg.norm(mean)
        aligned = shapes @ similarity(shapes, mean)[:, :, :2].swapaxes(1, 2)
        mean = aligned.mean(axis=0)
    return aligned.reshape(len(shapes), -1)


def fit_shape_model(
    faces: Sequence[LabelledFace], kept_variance: float, *, aligned: bool
) -> ActiveShapeModel:
    """The Active Shape Model of labelled faces, in the frame of :func:`shape_in_frame`."""
    shapes = np.array([shape_in_frame(face.landmarks, aligned=aligned) for face in faces])
    return ActiveShapeModel.fit(shapes, kept_variance, aligned=aligned)


def shape_in_frame(points: FloatArray, *, aligned: bool) -> FloatArray:
    """Image points (N, 2) in the frame of a shape model.

    An aligned model brings shapes into a frame itself. A raw one gets them in units of their box,
    as ASMNet's gets them in units of a crop that is stretched to a square.
    """
    return points if aligned else in_box(points)


def smooth_landmarks(model: ActiveShapeModel, points: FloatArray) -> FloatArray:
    """Image points (N, 2) as the shape model sees them, in image pixels again.

    Done once a face, before the crops: a crop turns, scales and moves the points and their
    smoothed copies alike, so each step of the training finds both in its batch.
    """
    (smoothed,) = model.project(shape_in_frame(points, aligned=model.aligned)[None])
    if not model.aligned:
        box = points_box(points)
        smoothed = smoothed * (box[2:] - box[:2]) + box[:2]
    return np.asarray(smoothed)


def in_box(points: FloatArray) -> FloatArray:
    """Image points (N, 2) in units of their box."""
    box = points_box(points)
    return np.asarray((points - box[:2]) / (box[2:] - box[:2]))


def telling_shape(model: ActiveShapeModel, shapes: Sequence[FloatArray]) -> FloatArray:
    """One of the (N, 2) shapes that 80 % of the variance hold badly: the 95th of a hundred."""
    smooth = model.keep(0.8).project(np.array(shapes))
    distances = [np.linalg.norm(a - b) / a.std() for a, b in zip(shapes, smooth, strict=True)]
    return shapes[int(np.argsort(distances)[int(0.95 * (len(shapes) - 1))])]


def draw_model(model: ActiveShapeModel, shape: FloatArray) -> Figure:
    """What the model does to shapes of 68 points.

    The first row shows ``shape`` (68, 2), in the frame of the training shapes, seen through 80,
    90, 97 % of the variance and all modes; below, the mean and the first four modes at ±3√λ.
    """
    from matplotlib.figure import Figure  # here: slow to import

    figure = Figure(figsize=(11, 6), layout="constrained")
    first, second = figure.subplots(2, 4)
    for axes, part in zip(first, (0.8, 0.9, 0.97, 1.0), strict=True):
        kept = model.keep(part)
        _draw_shape(axes, shape, "0.75")
        _draw_shape(axes, kept.project(shape[None])[0], "#0b84a5")
        axes.set_title(f"{part:.0%}: {len(kept.variances)} modes")
    mean = model.mean.reshape(-1, 2)
    for number, axes in enumerate(second[: len(model.variances)]):
        step = LIMIT * np.sqrt(model.variances[number]) * model.modes[:, number].reshape(-1, 2)
        _draw_shape(axes, mean, "0.75")
        for sign, colour in ((1, "#ca472f"), (-1, "#0b84a5")):
            _draw_shape(axes, mean + sign * step, colour)
        share = model.variances[number] / model.variances.sum()
        axes.set_title(f"mode {number + 1}, ±3√λ: {share:.0%}")
    for axes in figure.axes:
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.axis("off")
    return figure


def _draw_shape(axes: Axes, points: FloatArray, colour: str) -> None:
    for start, end in IBUG_68.edges:
        axes.plot(*points[[start, end]].T, color=colour, linewidth=1.2)
