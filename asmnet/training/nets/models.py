"""The networks. Each takes RGB as (n, 3, H, W) float32 from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from asmnet.errors import InvalidInputError
from asmnet.schemes import IBUG_68, SCHEMES
from asmnet.training.nets.heads import HEADS


def conv_bn(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, then batch-norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


def separable(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Depthwise then pointwise convolution (MobileNet's unit), both with batch-norm and ReLU."""
    return nn.Sequential(
        conv_bn(inputs, inputs, kernel, stride, groups=inputs),
        nn.ReLU(inplace=True),
        conv_bn(inputs, outputs),
        nn.ReLU(inplace=True),
    )


class FaceDetectorNet(nn.Module):
    """asmnet-face: an anchor-free, fully convolutional face detector.

    A depthwise-separable trunk, top-down fusion, and one small head for the maps at strides 8,
    16 and 32. The output for each stride is (n, 15, H / stride, W / stride): the score's logit,
    the box and five key points, decoded by ``asmnet.detector.decode``.
    """

    STRIDES = (8, 16, 32)
    OUTPUTS = 1 + 4 + 10

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16, 3, 2), nn.ReLU(inplace=True))
        self.stage4 = nn.Sequential(separable(16, 32, stride=2), separable(32, 32))
        self.stage8 = nn.Sequential(
            separable(32, 64, stride=2), *(separable(64, 64) for _ in range(3))
        )
        self.stage16 = nn.Sequential(
            separable(64, 96, stride=2), separable(96, 96), separable(96, 96)
        )
        # 5×5 kernels: a face that fills the photo must fit the receptive field.
        self.stage32 = nn.Sequential(
            separable(96, 128, stride=2), separable(128, 128, 5), separable(128, 128, 5)
        )
        width = 48
        self.lateral = nn.ModuleList(
            nn.Sequential(conv_bn(channels, width), nn.ReLU(inplace=True))
            for channels in (64, 96, 128)
        )
        self.smooth = nn.ModuleList(separable(width, width) for _ in range(3))
        heads = [
            nn.Sequential(separable(width, width), nn.Conv2d(width, self.OUTPUTS, 1))
            for _ in range(3)
        ]
        for head in heads:
            # Start as if one cell in a hundred held a face (RetinaNet, section 4.1).
            last = head[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            last.bias.data[0] = -4.6
        self.head = nn.ModuleList(heads)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, H, W), H and W multiples of 32, to a map for each of ``STRIDES``."""
        c8 = self.stage8(self.stage4(self.stem(images)))
        c16 = self.stage16(c8)
        c32 = self.stage32(c16)
        top = self.lateral[2](c32)
        middle = self.lateral[1](c16) + functional.interpolate(top, scale_factor=2.0)
        bottom = self.lateral[0](c8) + functional.interpolate(middle, scale_factor=2.0)
        maps = [smooth(x) for smooth, x in zip(self.smooth, (bottom, middle, top), strict=True)]
        return tuple(head(x) for head, x in zip(self.head, maps, strict=True))


def initialise(model: nn.Module) -> None:
    """He initialisation of every convolution that a batch-norm follows."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, depthwise convolution, linear projection, shortcut.

    ``activation`` is the paper's ReLU6 or plain ReLU, which ONNX Runtime computes within a
    convolution, where it does ReLU6 after it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: float,
        activation: type[nn.Module] = nn.ReLU6,
    ) -> None:
        super().__init__()
        hidden = round(inputs * expansion)
        expand = [conv_bn(inputs, hidden), activation(inplace=True)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            conv_bn(hidden, hidden, 3, stride, groups=hidden),
            activation(inplace=True),
            conv_bn(hidden, outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


class LandmarkModel(nn.Module):
    """A network for crops: (n, 3, H, W) to landmarks, rotations and the outputs that EXTRAS names.

    Landmarks (n, N, 2) are in units of the crop's side, rotations are (n, 3, 3). An extra is
    "spread", (n, N) standard deviations in units of the crop's side, or "presence", (n,) logits
    of the probability that the crop holds a face.
    """

    EXTRAS: ClassVar[tuple[str, ...]] = ()


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


class ASMNet(MobileNetBlocks):
    """ASMNet (Fard et al. 2021, arXiv 2103.00119): MobileNetV2's blocks 0–15 and two heads.

    The global means of six blocks' outputs (1, 3, 6, 10, 13, 15) are concatenated to 536
    features.
    """

    TAPS = (1, 3, 6, 10, 13, 15)

    def __init__(self, mean_shape: Tensor, dropout: float) -> None:
        """``mean_shape`` (N, 2) in units of the crop's side."""
        super().__init__(stages=6)
        self.add_heads(sum(self.widths[tap] for tap in self.TAPS), mean_shape, dropout)

    def features(self, images: Tensor) -> Tensor:
        """The global means of the taps: (n, 536)."""
        x = self.stem(images)
        taps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.TAPS:
                taps.append(x.mean(dim=(2, 3)))
        return torch.cat(taps, dim=1)


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


def landmark_model(config: dict[str, Any], mean_shape: Tensor) -> LandmarkModel:
    """The untrained network that a config's ``model`` names.

    ``mean_shape`` (N, 2) in units of the crop's side.

    Raises:
        InvalidInputError: no such network or head.
    """
    name, dropout = config["model"], config["dropout"]
    if name == "landmarknet":
        head = config.get("head", "maps")
        if head not in HEADS:
            raise InvalidInputError(f"head: expected one of {', '.join(HEADS)}, got {head!r}")
        trunk = config.get("trunk", "wide")
        if trunk not in TRUNKS:
            raise InvalidInputError(f"trunk: expected one of {', '.join(TRUNKS)}, got {trunk!r}")
        return LandmarkNet(
            len(mean_shape),
            config["size"],
            dropout,
            width=config.get("width", 1.0),
            head=head,
            trunk=trunk,
        )
    if name == "asmnet":
        return ASMNet(mean_shape, dropout)
    if name == "mobilenetv2":
        return MobileNetV2(mean_shape, dropout)
    if name == "atpn":
        return ATPN(mean_shape, config["size"], dropout)
    raise InvalidInputError(
        f"model: expected landmarknet, asmnet, mobilenetv2 or atpn, got {name!r}"
    )


def network(config: dict[str, Any]) -> nn.Module:
    """The untrained network of a config of either task: to load weights into, or to count."""
    if config["task"] == "detection":
        return FaceDetectorNet()
    points = len(SCHEMES[config.get("scheme", IBUG_68.name)])
    return landmark_model(config, torch.zeros(points, 2))


def rotation_from_6d(values: Tensor) -> Tensor:
    """(n, 6) to rotations (n, 3, 3): Gram-Schmidt on the first two columns (Zhou et al. 2019)."""
    a, b = values[:, :3], values[:, 3:]
    x = _unit(a)
    y = _unit(b - (x * b).sum(dim=1, keepdim=True) * x)
    # The cross product written out: ONNX has no operator for it.
    z = x[:, [1, 2, 0]] * y[:, [2, 0, 1]] - x[:, [2, 0, 1]] * y[:, [1, 2, 0]]
    return torch.stack([x, y, z], dim=2)


def _unit(vectors: Tensor) -> Tensor:
    length: Tensor = vectors.norm(dim=1, keepdim=True)
    return vectors / length.clamp(min=1e-12)
