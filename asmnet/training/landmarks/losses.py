"""The ASM-assisted loss, and those of the pose, the spread and the presence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from asmnet.errors import InvalidInputError
from asmnet.training.loop import images_to_input
from asmnet.training.nets.blocks import LandmarkModel


def landmark_losses(
    model: nn.Module,
    batch: tuple[Tensor, ...],
    progress: float,
    *,
    alphas: Sequence[float],
    pose_weight: float,
    point_loss: str,
) -> dict[str, Tensor]:
    """The ASM-assisted loss, the pose loss, and the losses of the network's extra outputs.

    The points' loss is :func:`asm_assisted`, with α from ``alphas`` in equal parts of the
    training: the paper's 2, 1, 0.5 in its thirds; none means no ASM term. The pose error is the
    angle between the rotations in radians, where the paper squares the errors of three angles.
    A spread is fitted as the scale of a Laplace distribution of the errors (negative
    log-likelihood), so that it tells how far off a point will be; it does not move the points.
    A presence is fitted by cross-entropy. Crops without a face count for the presence only.
    """
    assert isinstance(model, LandmarkModel)
    images, landmarks, smoothed, labelled, rotation, present = batch
    predicted, predicted_rotation, *rest = model(images_to_input(images))
    extras = dict(zip(model.EXTRAS, rest, strict=True))
    alpha = alphas[min(int(len(alphas) * progress), len(alphas) - 1)] if alphas else 0.0
    side = images.shape[1]
    points = asm_assisted(
        side * (predicted - landmarks), side * (predicted - smoothed), alpha, point_loss
    )
    cosine = ((predicted_rotation * rotation).sum(dim=(1, 2)) - 1) / 2
    # Below acos' infinite slope at 1.
    angle = torch.acos(cosine.clamp(-1 + 1e-4, 1 - 1e-4))
    parts = {
        "points": _mean_of(points, labelled),
        "pose": pose_weight * _mean_of(angle, present),
    }
    if "spread" in extras:
        error = (predicted - landmarks).detach().norm(dim=2)
        likelihood = error / extras["spread"] + extras["spread"].log()
        parts["spread"] = _mean_of(likelihood.mean(dim=1), labelled)
    if "presence" in extras:
        parts["presence"] = functional.binary_cross_entropy_with_logits(extras["presence"], present)
    return parts


def asm_assisted(to_labels: Tensor, to_shape: Tensor, alpha: float, point_loss: str) -> Tensor:
    """The ASM-assisted loss (ASMNet, section 3.3) of each face: (n,).

    Args:
        to_labels: (n, N, 2) errors to the labels in pixels of the crop.
        to_shape: the same to the labels as the Active Shape Model sees them.
        alpha: weight of the latter.
        point_loss: "square" is the paper's own, the mean squared distance of the points plus
            ``alpha`` times that to the smoothed ones. Up to a constant this is 1 + α times the
            square to one target between the two, which moves from the smoothed shape towards the
            labels as α falls. "wing" takes the wing loss (Feng et al. 2018) instead, over 1 + α
            so that the step size does not change with α.

    Raises:
        InvalidInputError: another ``point_loss``.
    """
    if point_loss == "square":
        labels, shape = (e.square().sum(dim=2).mean(dim=1) for e in (to_labels, to_shape))
        return labels + alpha * shape
    if point_loss == "wing":
        labels, shape = (wing(e).mean(dim=(1, 2)) for e in (to_labels, to_shape))
        return (labels + alpha * shape) / (1 + alpha)
    raise InvalidInputError(f"point_loss: expected wing or square, got {point_loss!r}")


def _mean_of(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


def wing(error: Tensor, width: float = 10.0, curvature: float = 2.0) -> Tensor:
    """Wing loss (Feng et al. 2018, eq. 5) of an error in pixels."""
    magnitude = error.abs()
    constant = width - width * float(np.log(1 + width / curvature))
    return torch.where(
        magnitude < width, width * torch.log1p(magnitude / curvature), magnitude - constant
    )
