"""MobileNetV2 with ASMNet's two heads, the baseline of ASMNet's paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asmnet.training.nets.blocks import (
    InvertedResidual,
    LandmarkModel,
    conv_bn,
    initialise,
    rotation_from_6d,
)


class MobileNetBlocks(LandmarkModel):
    """MobileNetV2's stem and inverted bottlenecks, then two linear heads on pooled features.

    One head gives the landmarks as offsets from the mean shape, the other the head's pose as six
    numbers (Zhou et al. 2019), where ASMNet's authors regress three angles.
    """

    # (expansion, output channels, blocks, stride of the first): table 2 of Sandler et al. 2018.
    STAGES = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    )  # fmt: skip

    def __init__(self, stages: int) -> None:
        """``stages``: how many of ``STAGES``."""
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 32, 3, 2), nn.ReLU6(inplace=True))
        blocks: list[nn.Module] = []
        self.widths: list[int] = []
        channels = 32
        for expansion, outputs, count, stride in self.STAGES[:stages]:
            for i in range(count):
                first_stride = stride if i == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, first_stride, expansion))
                self.widths.append(outputs)
                channels = outputs
        self.blocks = nn.ModuleList(blocks)

    def add_heads(self, features: int, mean_shape: Tensor, dropout: float) -> None:
        """Adds the heads; ``mean_shape`` (N, 2) in units of the crop's side."""
        self.dropout = nn.Dropout(dropout)
        self.landmark_head = nn.Linear(features, mean_shape.numel())
        self.pose_head = nn.Linear(features, 6)
        self.mean_shape: Tensor
        self.register_buffer("mean_shape", mean_shape)
        initialise(self)
        for head in (self.landmark_head, self.pose_head):
            nn.init.normal_(head.weight, std=0.01)
        self.landmark_head.bias.data.zero_()
        self.pose_head.bias.data = torch.tensor([1.0, 0, 0, 0, 1, 0])  # the frontal pose

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) to the (n, features) that both heads read."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, H, W) to landmarks (n, N, 2) in units of the crop's side, rotations (n, 3, 3)."""
        features = self.dropout(self.features(images))
        offsets = self.landmark_head(features).float().view(-1, *self.mean_shape.shape)
        return self.mean_shape + offsets, rotation_from_6d(self.pose_head(features).float())


class MobileNetV2(MobileNetBlocks):
    """ASMNet's baseline: all of MobileNetV2 (Sandler et al. 2018) with ASMNet's two heads."""

    FEATURES = 1280

    def __init__(self, mean_shape: Tensor, dropout: float) -> None:
        """``mean_shape`` (N, 2) in units of the crop's side."""
        super().__init__(stages=7)
        self.last = nn.Sequential(conv_bn(self.widths[-1], self.FEATURES), nn.ReLU6(inplace=True))
        self.add_heads(self.FEATURES, mean_shape, dropout)

    def features(self, images: Tensor) -> Tensor:
        """The global mean of the last map: (n, 1280)."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        mean: Tensor = self.last(x).mean(dim=(2, 3))
        return mean
