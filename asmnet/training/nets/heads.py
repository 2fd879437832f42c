"""Ways to read points off a map of features: asmnet-68's own, and those it was compared with.

Each head takes a map (n, channels, side, side) that shows the whole crop, and gives landmarks
(n, N, 2) and spreads (n, N), both in units of the crop's side. `configs/ablation/` trains a network
with each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class MapHead(nn.Module):
    """A map a point, whose softmax's mean is the point (integral regression, Sun et al. 2018).

    The softmax's standard deviation is the spread.
    """

    def __init__(self, points: int, channels: int, side: int) -> None:
        super().__init__()
        self.shape = (-1, points, side**2)
        self.maps = nn.Conv2d(channels, points, 1)
        nn.init.normal_(self.maps.weight, std=0.01)
        self.cells: Tensor
        self.register_buffer("cells", cells(side), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks and spreads."""
        # Few small operations matter in so small a net: a shape that is known beforehand needs no
        # others to find it, and one product gives all moments of a map.
        share = self.maps(features).float().reshape(self.shape).softmax(dim=2)
        moments = share @ self.cells
        landmarks = moments[:, :, :2]
        return landmarks, _deviation(moments[:, :, 2] - landmarks.square().sum(dim=2))


class PixelInPixelHead(nn.Module):
    """A coarse map a point, and offsets from each of its cells (PIPNet, Jin et al. 2021).

    PIPNet takes the best cell and its offset; here the mean over the softmax is taken, which one
    loss of the points can train.
    """

    def __init__(self, points: int, channels: int, side: int) -> None:
        super().__init__()
        self.points = points
        self.maps = nn.Conv2d(channels, 3 * points, 1)
        nn.init.normal_(self.maps.weight, std=0.01)
        self.cells: Tensor
        self.register_buffer("cells", cells(side), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks and spreads."""
        maps = self.maps(features).float().flatten(2).unflatten(1, (3, self.points))
        share, offsets = maps[:, 0].softmax(dim=2), maps[:, 1:]
        moments = share @ self.cells
        landmarks = moments[:, :, :2] + (share[:, None] * offsets).sum(dim=3).transpose(1, 2)
        return landmarks, _deviation(moments[:, :, 2] - moments[:, :, :2].square().sum(dim=2))


class SimCCHead(nn.Module):
    """Two distributions a point, over fine columns and fine rows (SimCC, Li et al. 2022)."""

    BINS = 224  # half a pixel each where the crop has 112

    def __init__(self, points: int, channels: int, side: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, points, 1)
        self.axes = nn.ModuleList(nn.Linear(side**2, self.BINS) for _ in range(2))
        self.places: Tensor  # (BINS, 2), each with its square
        places = (torch.arange(self.BINS) + 0.5) / self.BINS
        self.register_buffer(
            "places", torch.stack([places, places.square()], dim=1), persistent=False
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks and spreads."""
        maps = self.maps(features).flatten(2)
        # A product for each axis: ONNX Runtime is slow with one of four dimensions by a vector.
        moments = [axis(maps).float().softmax(dim=2) @ self.places for axis in self.axes]
        landmarks, squares = torch.stack(moments, dim=2).unbind(dim=3)
        return landmarks, _deviation((squares - landmarks.square()).sum(dim=2))


class FlatHead(nn.Module):
    """Few channels, flattened, and a linear layer (as in PFLD and ATPN)."""

    CHANNELS = 16

    def __init__(self, points: int, channels: int, side: int) -> None:
        super().__init__()
        self.points = points
        self.reduce = nn.Conv2d(channels, self.CHANNELS, 1)
        self.linear = nn.Linear(self.CHANNELS * side**2, 3 * points)
        nn.init.normal_(self.linear.weight, std=0.01)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks and spreads."""
        values = self.linear(self.reduce(features).flatten(1)).float()
        places = values.unflatten(1, (3, self.points))
        landmarks = 0.5 + places[:, :2].transpose(1, 2)
        return landmarks, 0.02 * functional.softplus(places[:, 2]) + 1e-3


def cells(side: int) -> Tensor:
    """(side², 3): x, y and x² + y² of the centres of a map's cells, in units of its side."""
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y, x.square() + y.square()], dim=2).flatten(0, 1)


# By name: the head, and the level of the trunk's maps that it reads: 0 the finest, stride 4, to 2,
# stride 16; finer ones are fused with the coarser.
HEADS: dict[str, tuple[type[nn.Module], int]] = {
    "maps": (MapHead, 0),
    "coarse-maps": (MapHead, 1),
    "pixel-in-pixel": (PixelInPixelHead, 1),
    "simcc": (SimCCHead, 2),
    "fused-simcc": (SimCCHead, 1),
    "flat": (FlatHead, 2),
}


def _deviation(variance: Tensor) -> Tensor:
    return variance.clamp(min=1e-6).sqrt()
