"""A linear correction of a trained network's points by all of them: a last, cheap shape model.

Each point is placed by its own map, so the errors of neighbours go together, and a shape tells much
about them. As an Active Shape Model draws a shape towards those it has seen, a ridge regression,
fitted on the training faces once the network is trained, moves the points by a linear function of
the whole shape. It is one matrix in the exported file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asmnet.geometry import CropTransform, FloatArray
from asmnet.image import crop_image, load_image
from asmnet.training.faces import main_faces
from asmnet.training.labels import LabelError
from asmnet.training.landmarks import label_box, outputs_of, scheme_of
from asmnet.training.models import LandmarkModel

# Spread of the boxes in which each face is seen, of their sides; and of their turns, in degrees.
BOX_SPREADS = (0.0, 0.04, 0.08)
TURN = 6.0


class CorrectedLandmarks(LandmarkModel):
    """A landmark network and the correction of its points."""

    def __init__(self, model: LandmarkModel, matrix: FloatArray, offset: FloatArray) -> None:
        """``matrix`` (2N, 2N) of shapes relative to their centres, ``offset`` (2N,)."""
        super().__init__()
        self.model = model
        self.correction = nn.Linear(*matrix.shape)
        self.correction.weight.data = torch.from_numpy(matrix.T).float()
        self.correction.bias.data = torch.from_numpy(offset).float()
        self.EXTRAS = model.EXTRAS  # type: ignore[misc]  # those of this network, not of a class

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As the network, with its points corrected."""
        landmarks, *others = self.model(images)
        shape = (landmarks - landmarks.mean(dim=1, keepdim=True)).flatten(1)
        return (landmarks + self.correction(shape).view_as(landmarks), *others)


def corrected(
    model: LandmarkModel, config: dict[str, Any], data: Path, ridge: float
) -> CorrectedLandmarks:
    """The network with a correction that is fitted on the training faces with people's labels.

    Args:
        model: in evaluation mode, on the CPU.
        config: what it was trained with.
        data: root of the data folders.
        ridge: how much the correction is held back, in squared sides of the crop.

    Raises:
        LabelError: there are no such faces.
    """
    size, margin, scheme = config["size"], config["crop_margin"], scheme_of(config)
    rng = np.random.default_rng(0)
    crops, points = [], []
    for face in main_faces(data, "train", scheme):
        image, box = load_image(face.image), label_box(face.landmarks, scheme)
        for spread in BOX_SPREADS:
            shift = rng.normal(0, spread, 4) * np.tile(box[2:] - box[:2], 2)
            turn = rng.normal(0, TURN) if spread else 0.0
            crop = CropTransform.from_bbox(box + shift, size, margin=margin, angle=turn)
            crops.append(crop_image(image, crop))
            points.append(crop.apply(face.landmarks) / size)
    if not crops:
        raise LabelError(f"{data}: expected faces with {len(scheme)} points to train on, got none")
    predicted = outputs_of(model, np.stack(crops))[0]
    shapes = (predicted - predicted.mean(axis=1, keepdims=True)).reshape(len(predicted), -1)
    errors = (np.array(points) - predicted).reshape(len(predicted), -1)
    mean = shapes.mean(axis=0)
    centred = shapes - mean
    matrix = np.linalg.solve(
        centred.T @ centred + ridge * np.eye(len(mean)), centred.T @ (errors - errors.mean(axis=0))
    )
    return CorrectedLandmarks(model, matrix, errors.mean(axis=0) - mean @ matrix).eval()
