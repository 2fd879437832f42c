"""Spreads of points to probabilities: confidence of a point and presence of a face.

A network with the output "spread" says how far off it expects each point to be. Two logistic
curves, fitted on validation photos, turn that into what users read:

* confidence: the probability that a point lies within :data:`asmnet.evaluation.metrics.RADIUS`
  of its label, of log spread;
* presence: the probability that the crop holds a face, of the mean log spread of all points,
  against backgrounds and crops beside faces, both sides weighted alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from asmnet.datasets.augment import background_box, lost_box
from asmnet.datasets.records import LabelError
from asmnet.evaluation.logistic import logistic_regression
from asmnet.evaluation.metrics import RADIUS
from asmnet.geometry import CropTransform, FloatArray
from asmnet.image import ImageArray, crop_image, load_image
from asmnet.training.config import LandmarkConfig
from asmnet.training.landmarks.samples import background_photos, faces_to_fit, label_box
from asmnet.training.landmarks.validate import outputs_of

LOST_CROPS, BACKGROUND_CROPS = 2, 4


@dataclass(frozen=True)
class Calibration:
    """Offset and slope of each curve: sigmoid(offset + slope · log spread in crop sides)."""

    confidence: tuple[float, float]
    presence: tuple[float, float]


def calibrate(model: nn.Module, config: LandmarkConfig, data: Path) -> Calibration:
    """The curves for a trained network whose third output is the spread.

    Args:
        model: in evaluation mode, on the CPU.
        config: what it was trained with.
        data: root of the data folders, whose validation part is used.

    Raises:
        LabelError: there are no labelled validation photos.
    """
    size, margin = config.size, config.crop_margin

    def square(image: ImageArray, box: FloatArray) -> ImageArray:
        return crop_image(image, CropTransform.from_bbox(box, size, margin=margin))

    rng = np.random.default_rng(0)
    faces, points, empty = [], [], []
    scheme = config.layout
    for face in faces_to_fit(config, data, "val"):
        image, box = load_image(face.image), label_box(face.landmarks, scheme)
        for spread in (0.0, 0.06):  # the label's box, and one with a detector's errors
            shift = rng.normal(0, spread, 4) * np.tile(box[2:] - box[:2], 2)
            crop = CropTransform.from_bbox(box + shift, size, margin=margin)
            faces.append(crop_image(image, crop))
            points.append(crop.apply(face.landmarks) / size)
        empty += [square(image, lost_box(box, rng)) for _ in range(LOST_CROPS)]
    for path, boxes in background_photos(data, "val", open_only=config.open):
        if not len(boxes):
            photo = load_image(path)
            empty += [square(photo, background_box(photo, rng)) for _ in range(BACKGROUND_CROPS)]
    if not faces:
        raise LabelError(f"{data}: expected faces with {len(scheme)} points to validate, got none")
    predicted, _, spreads = outputs_of(model, np.stack(faces))
    errors = np.linalg.norm(predicted - np.array(points), axis=2)
    *_, empty_spreads = outputs_of(model, np.stack(empty))
    of_crops = np.log(np.concatenate([spreads, empty_spreads])).mean(axis=1)
    is_face = np.arange(len(of_crops)) < len(spreads)
    return Calibration(
        confidence=_curve(np.log(spreads).ravel(), (errors < RADIUS / margin).ravel()),
        presence=_curve(of_crops, is_face, balance=True),
    )


def _curve(
    values: FloatArray, labels: NDArray[np.bool_], *, balance: bool = False
) -> tuple[float, float]:
    """Offset and slope of a logistic curve of labels (n,) on values (n,)."""
    features = np.column_stack([np.ones(len(values)), values])
    # A trace of a pull to zero keeps the slope finite where a threshold parts the labels.
    ridge = (0.0, 2e-4 * len(values))
    offset, slope = logistic_regression(features, labels, ridge=ridge, balance=balance)
    return float(offset), float(slope)
