"""A linear correction of a trained network's points: a last, cheap shape model.

Each point is placed by its own map, so the errors of neighbours go together, and a shape tells much
about them. As an Active Shape Model draws a shape towards those it has seen, a ridge regression,
fitted on the training faces once the network is trained, moves the points by a linear function of
the whole shape, and of the deepest map with its channels reduced to their principal components. It
is two small matrices in the exported file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asmnet.datasets.records import LabelError
from asmnet.errors import InvalidInputError
from asmnet.geometry import CropTransform, FloatArray
from asmnet.image import crop_image, load_image
from asmnet.training.config import LandmarkConfig
from asmnet.training.landmarks.samples import faces_to_fit, label_box
from asmnet.training.landmarks.validate import outputs_of
from asmnet.training.nets.blocks import LandmarkModel
from asmnet.training.nets.landmark_net import LandmarkNet

# Spreads of the boxes in which each face is seen, of their sides; of their rotation, degrees.
BOX_SPREADS = (0.0, 0.04, 0.08)
ROTATION_SPREAD = 6.0

# How much the deep map's part is held back, for each crop; its components have a variance of 1.
DEEP_RIDGE = 2.0


class CorrectedLandmarks(LandmarkModel):
    """A landmark network and the correction of its points."""

    def __init__(
        self,
        model: LandmarkNet,
        matrix: FloatArray,
        offset: FloatArray,
        components: FloatArray | None = None,
    ) -> None:
        """Takes what was fitted.

        Args:
            model: the network.
            matrix: (2N + k · cells, 2N): of shapes relative to their centres, then of components.
            offset: (2N,).
            components: (k, channels) of its deepest map, if they have a part.
        """
        super().__init__()
        self.model = model
        self.components: nn.Conv2d | None = None
        if components is not None:
            self.components = nn.Conv2d(components.shape[1], len(components), 1, bias=False)
            self.components.weight.data = torch.from_numpy(components).float()[:, :, None, None]
        self.correction = nn.Linear(*matrix.shape)
        self.correction.weight.data = torch.from_numpy(matrix.T).float()
        self.correction.bias.data = torch.from_numpy(offset).float()
        self.EXTRAS = model.EXTRAS  # type: ignore[misc]  # those of this network, not of a class

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As the network, with its points corrected."""
        maps = self.model.features(images)
        landmarks, *others = self.model.read(maps)
        shape = (landmarks - landmarks.mean(dim=1, keepdim=True)).flatten(1)
        if self.components is not None:
            shape = torch.cat([shape, self.components(maps[-1]).flatten(1)], dim=1)
        return (landmarks + self.correction(shape).view_as(landmarks), *others)


class _Deep(nn.Module):
    """Landmarks and the deepest map of a network."""

    def __init__(self, model: LandmarkNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.model.features(images)
        return self.model.read(maps)[0], maps[-1]


def corrected(model: LandmarkModel, config: LandmarkConfig, data: Path) -> CorrectedLandmarks:
    """The network with a correction that is fitted on the training faces with manual labels.

    Args:
        model: in evaluation mode, on the CPU.
        config: what it was trained with. Its ``correction_ridge`` says how much the part of the
            shape is held back, in squared sides of the crop; ``correction_components``, if there,
            how many components of the deepest map have a part.
        data: root of the data folders.

    Raises:
        InvalidInputError: another network than :class:`LandmarkNet`.
        LabelError: there are no such faces.
    """
    if not isinstance(model, LandmarkNet):
        raise InvalidInputError(f"correction_ridge: expected model landmarknet, got {config.model}")
    size, margin, scheme = config.size, config.crop_margin, config.layout
    rng = np.random.default_rng(0)
    crops, points = [], []
    for face in faces_to_fit(config, data, "train"):
        image, box = load_image(face.image), label_box(face.landmarks, scheme)
        for spread in BOX_SPREADS:
            shift = rng.normal(0, spread, 4) * np.tile(box[2:] - box[:2], 2)
            angle = rng.normal(0, ROTATION_SPREAD) if spread else 0.0
            crop = CropTransform.from_bbox(box + shift, size, margin=margin, angle=angle)
            crops.append(crop_image(image, crop))
            points.append(crop.apply(face.landmarks) / size)
    if not crops:
        raise LabelError(f"{data}: expected faces with {len(scheme)} points to train on, got none")
    predicted, deep = outputs_of(_Deep(model), np.stack(crops))
    inputs = (predicted - predicted.mean(axis=1, keepdims=True)).reshape(len(predicted), -1)
    ridge = np.full(inputs.shape[1], config.correction_ridge)
    components = None
    if config.correction_components is not None:
        components = principal_components(deep, config.correction_components)
        parts = np.einsum("kc,nchw->nkhw", components, deep).reshape(len(deep), -1)
        inputs = np.concatenate([inputs, parts], axis=1)
        ridge = np.concatenate([ridge, np.full(parts.shape[1], DEEP_RIDGE * len(parts))])
    errors = (np.array(points) - predicted).reshape(len(predicted), -1)
    mean = inputs.mean(axis=0)
    centred = inputs - mean
    matrix = np.linalg.solve(
        centred.T @ centred + np.diag(ridge), centred.T @ (errors - errors.mean(axis=0))
    )
    offset = errors.mean(axis=0) - mean @ matrix
    return CorrectedLandmarks(model, matrix, offset, components).eval()


def principal_components(maps: FloatArray, count: int) -> FloatArray:
    """(count, channels) of the cells of maps (n, channels, h, w), scaled to a variance of 1."""
    cells = maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])
    variances, directions = np.linalg.eigh(np.cov(cells.T))
    return np.asarray((directions[:, -count:] / np.sqrt(variances[-count:])).T)
