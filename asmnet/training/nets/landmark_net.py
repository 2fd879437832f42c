"""asmnet-68 and -98."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from asmnet.training.nets.blocks import (
    InvertedResidual,
    LandmarkModel,
    conv_bn,
    initialise,
    rotation_from_6d,
    separable,
)
from asmnet.training.nets.heads import HEADS


@dataclass(frozen=True)
class Trunk:
    """What sets one trunk of :class:`LandmarkNet` apart from another.

    Attributes:
        expansions: of the inverted bottlenecks at strides 4, 8 and 16, each time of the first one
            and of the others.
        activation: of the inverted bottlenecks.
    """

    expansions: tuple[tuple[float, float], ...]
    activation: type[nn.Module]


# The hidden channels of "quick" are multiples of 16, as ONNX Runtime's fast convolutions need them.
TRUNKS = {
    "wide": Trunk(((2, 3), (3, 3), (4, 4)), nn.ReLU6),
    "quick": Trunk(((2, 2.5), (2.5, 2), (3, 3.5)), nn.ReLU),
}


class LandmarkNet(LandmarkModel):
    """asmnet-68 and -98: features of three depths fused top-down, and a map for each point.

    ASMNet's idea with positions kept: its trunk of inverted bottlenecks, leaner, and several
    depths joined; but the maps at strides 4, 8 and 16 are added from coarse to fine (Lin et al.
    2017) where ASMNet pools them away. A point is the mean of its map's softmax (integral
    regression, Sun et al. 2018), and the map's standard deviation says how sure it is. The head's
    pose, six numbers (Zhou et al. 2019), is read off the pooled features and the points, as ATPN
    fuses both.
    """

    EXTRAS = ("spread",)

    def __init__(
        self,
        points: int,
        size: int,
        dropout: float,
        *,
        width: float = 1.0,
        head: str = "maps",
        trunk: str = "wide",
    ) -> None:
        """Builds the network.

        Args:
            points: how many.
            size: side of the crops in pixels.
            dropout: of the pose's features.
            width: factor of all channels, which are then rounded to multiples of 8.
            head: one of :data:`asmnet.training.nets.heads.HEADS`.
            trunk: one of :data:`TRUNKS`; "quick" has fewer multiply-adds than "wide".
        """
        super().__init__()
        c16, c24, c32, c64, c96, c128 = (
            max(8, 8 * round(c * width / 8)) for c in (16, 24, 32, 64, 96, 128)
        )
        widths, fused = (c32, c64, c128), c64
        (first4, expand4), (first8, expand8), (first16, expand16) = TRUNKS[trunk].expansions
        block = partial(InvertedResidual, activation=TRUNKS[trunk].activation)
        self.stem = nn.Sequential(conv_bn(3, c16, 3, 2), nn.ReLU(inplace=True), separable(c16, c24))
        self.stage4 = nn.Sequential(
            block(c24, c32, 2, first4), *(block(c32, c32, 1, expand4) for _ in range(2))
        )
        self.stage8 = nn.Sequential(
            block(c32, c64, 2, first8), *(block(c64, c64, 1, expand8) for _ in range(4))
        )
        self.stage16 = nn.Sequential(
            block(c64, c96, 2, first16),
            *(block(c96, c96, 1, expand16) for _ in range(3)),
            block(c96, c128, 1, expand16),
        )
        make_head, level = HEADS[head]
        fuse = level < len(widths) - 1
        self.lateral = nn.ModuleList(conv_bn(c, fused) for c in widths[level:] if fuse)
        self.smooth = nn.ModuleList(separable(fused, fused) for _ in widths[level + 1 :])
        # From shallow to deep, as in ATPN, where the finest map is not fused itself.
        self.shortcut = separable(c32, fused, stride=2) if level == 1 else None
        self.head = make_head(points, fused if fuse else c128, size // (4 << level))
        self.dropout = nn.Dropout(dropout)
        self.pose_hidden = nn.Linear(sum(widths) + 2 * points, 64)
        self.pose_head = nn.Linear(64, 6)
        initialise(self)
        nn.init.normal_(self.pose_head.weight, std=0.01)
        self.pose_head.bias.data = torch.tensor([1.0, 0, 0, 0, 1, 0])  # the frontal pose

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, H, W) to landmarks, rotations and spreads, as :meth:`read` gives them."""
        return self.read(self.features(images))

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, H, W) to the trunk's maps at strides 4, 8 and 16."""
        c4 = self.stage4(self.stem(images))
        c8 = self.stage8(c4)
        return c4, c8, self.stage16(c8)

    def read(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The trunk's maps to landmarks, rotations and spreads.

        Landmarks (n, N, 2) and spreads (n, N) are in units of the crop's side; rotations are
        (n, 3, 3).
        """
        c4, c8, c16 = maps
        fused = self.lateral[-1](c16) if self.lateral else c16
        finer = zip(self.lateral[-2::-1], (c8, c4), self.smooth, strict=False)
        for lateral, features, smooth in finer:
            fused = functional.interpolate(fused, scale_factor=2.0) + lateral(features)
            if self.shortcut is not None:
                fused = fused + self.shortcut(c4)
            fused = smooth(functional.relu(fused))
        landmarks, spread = self.head(fused)
        # ONNX Runtime reads this from its own layout of the maps, and a mean from a copy of them.
        pooled = [functional.adaptive_avg_pool2d(c, 1).flatten(1) for c in maps]
        shape = 4 * (landmarks - landmarks.mean(dim=1, keepdim=True)).flatten(1)
        features = self.dropout(torch.cat([*pooled, shape], dim=1))
        pose = self.pose_head(functional.relu(self.pose_hidden(features)))
        return landmarks, rotation_from_6d(pose.float()), spread
