"""ATPN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from asmnet.errors import InvalidInputError
from asmnet.training.nets.blocks import (
    InvertedResidual,
    LandmarkModel,
    conv_bn,
    initialise,
    rotation_from_6d,
    separable,
)


class ATPN(LandmarkModel):
    """Alignment & Tracking & Pose Network (Xia et al. 2021, arXiv 2103.07615).

    The abstract fixes three ideas: a shortcut from shallow to deep features for alignment; a
    heatmap drawn from the predicted points and fused with features, for pose and tracking; a
    tracking head that says whether the crop still holds a face. All else is a choice made here:

    * The trunk: inverted bottlenecks to stride 16, narrower than MobileNetV2's, ReLU.
    * The shortcut: two separable convolutions of stride 2 take the map at stride 4 to the deep
      map's 7 × 7 cells (of a crop of 112), where the two are concatenated.
    * Alignment: the joined map, 48 channels, is flattened and not pooled, so that positions are
      kept; one linear layer gives offsets from the mean shape.
    * The heatmap: one channel at stride 8, the sum of a Gaussian a point with a deviation of
      0.75 cells, cut off at 1. It costs one matrix product, as a Gaussian is a product of one
      in x and one in y. No gradient runs through it: pose and tracking do not move the points.
    * Fusion: the heatmap is concatenated with the map at stride 8, taken to stride 16, and
      joined with the deep map. The pose, six numbers (Zhou et al. 2019), is linear in its mean.
    * Tracking: linear in the same mean and in the mean weighted by the heatmap, the attention.
    """

    EXTRAS = ("presence",)
    STRIDE = 16
    DEVIATION = 0.75  # of a point's Gaussian, in cells

    def __init__(self, mean_shape: Tensor, size: int, dropout: float) -> None:
        """``mean_shape`` (N, 2) in units of the crop's side, which is ``size`` pixels."""
        super().__init__()
        if size % self.STRIDE:
            raise InvalidInputError(f"size: expected a multiple of {self.STRIDE}, got {size}")
        shallow, middle, deep, joined, fused = 24, 48, 128, 48, 96
        self.stem = nn.Sequential(conv_bn(3, 16, 3, 2), nn.ReLU(inplace=True))
        self.stage4 = nn.Sequential(
            InvertedResidual(16, shallow, 2, 3), InvertedResidual(shallow, shallow, 1, 3)
        )
        self.stage8 = nn.Sequential(
            InvertedResidual(shallow, middle, 2, 4),
            *(InvertedResidual(middle, middle, 1, 4) for _ in range(3)),
        )
        self.stage16 = nn.Sequential(
            InvertedResidual(middle, 96, 2, 4),
            *(InvertedResidual(96, 96, 1, 4) for _ in range(3)),
            InvertedResidual(96, deep, 1, 4),
        )
        self.shortcut = nn.Sequential(
            separable(shallow, 32, stride=2), separable(32, joined, stride=2)
        )
        self.join = nn.Sequential(conv_bn(deep + joined, joined), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(dropout)
        self.landmark_head = nn.Linear(joined * (size // self.STRIDE) ** 2, mean_shape.numel())
        self.geometry = separable(middle + 1, 64, stride=2)
        self.fuse = nn.Sequential(conv_bn(64 + deep, fused), nn.ReLU(inplace=True))
        self.pose_head = nn.Linear(fused, 6)
        self.presence_head = nn.Linear(2 * fused, 1)
        self.mean_shape: Tensor
        self.register_buffer("mean_shape", mean_shape)
        initialise(self)
        for head in (self.landmark_head, self.pose_head, self.presence_head):
            nn.init.normal_(head.weight, std=0.01)
            head.bias.data.zero_()
        self.pose_head.bias.data = torch.tensor([1.0, 0, 0, 0, 1, 0])  # the frontal pose

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, H, W) to landmarks (n, N, 2), rotations (n, 3, 3) and presence (n,), a logit."""
        c4 = self.stage4(self.stem(images))
        c8 = self.stage8(c4)
        c16 = self.stage16(c8)
        joined = self.dropout(self.join(torch.cat([c16, self.shortcut(c4)], dim=1)).flatten(1))
        offsets = self.landmark_head(joined).float().view(-1, *self.mean_shape.shape)
        landmarks = self.mean_shape + offsets
        heat = draw_heatmap(landmarks.detach(), c8.shape[2], self.DEVIATION)
        geometry = self.geometry(torch.cat([c8, heat.to(c8.dtype)], dim=1))
        fused = self.fuse(torch.cat([geometry, c16], dim=1))
        attention = functional.avg_pool2d(heat, 2)
        total = attention.sum(dim=(2, 3)).clamp(min=1e-3)  # of points outside of the crop: none
        attended = (fused * attention).sum(dim=(2, 3)) / total
        mean = fused.mean(dim=(2, 3))
        rotation = rotation_from_6d(self.pose_head(self.dropout(mean)).float())
        presence = self.presence_head(torch.cat([mean, attended.to(mean.dtype)], dim=1))
        return landmarks, rotation, presence.float().squeeze(1)


def draw_heatmap(landmarks: Tensor, cells: int, deviation: float) -> Tensor:
    """Points (n, N, 2) in units of the crop's side to one map (n, 1, cells, cells) from 0 to 1.

    The sum of the points' Gaussians, cut off at 1; ``deviation`` is in cells.
    """
    centres = torch.arange(cells, device=landmarks.device) + 0.5
    along = torch.exp(-(((landmarks[..., None] * cells - centres) / deviation) ** 2) / 2)
    heat = along[:, :, 1].transpose(1, 2) @ along[:, :, 0]
    return heat.clamp(max=1)[:, None]
