"""asmnet-face: the face detector's network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from asmnet.training.nets.blocks import conv_bn

STRIDES = (8, 16, 32)
OUTPUTS = 1 + 4 + 10


class Separable(nn.Module):
    """Depthwise then pointwise convolution with batch-norm and ReLU, and a shortcut if it fits.

    ONNX Runtime computes the shortcut's sum and the last ReLU within the pointwise convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = conv_bn(inputs, inputs, kernel, stride, groups=inputs)
        self.pointwise = conv_bn(inputs, outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        y: Tensor = self.pointwise(functional.relu(self.depthwise(x)))
        return functional.relu(x + y if self.shortcut else y)


class Channels(NamedTuple):
    """Channels at strides 4 to 32 and of the fused maps; further blocks at stride 4."""

    stride4: int
    stride8: int
    stride16: int
    stride32: int
    fused: int
    blocks4: int


NARROW = Channels(24, 48, 64, 96, 48, blocks4=0)
WIDE = Channels(32, 64, 96, 128, 64, blocks4=1)


class FaceDetectorNet(nn.Module):
    """An anchor-free, fully convolutional face detector.

    The stem goes down to stride 4 in two cheap steps; most of the work is done at stride 8, where
    small faces are; top-down fusion brings what is around them. The outputs:

    - for each of ``STRIDES`` (n, 15, H / stride, W / stride): the score's logit, the box and five
      key points, decoded by ``asmnet.facemaps.decode``;
    - (n, 1, H / 8, W / 8): the logit that a face lies here that is too small to be told for sure
      at this resolution. It says where a zoomed pass pays.
    """

    def __init__(self, channels: Channels = NARROW) -> None:
        super().__init__()
        c4, c8, c16, c32, fused = channels[:5]
        self.stem = nn.Sequential(
            conv_bn(3, 16, 3, 2),
            nn.ReLU(inplace=True),
            Separable(16, c4, stride=2),
            *(Separable(c4, c4) for _ in range(channels.blocks4)),
        )
        self.stage8 = nn.Sequential(
            Separable(c4, c8, stride=2), *(Separable(c8, c8) for _ in range(3))
        )
        self.stage16 = nn.Sequential(
            Separable(c8, c16, stride=2), *(Separable(c16, c16) for _ in range(3))
        )
        # 5×5 kernels: a face that fills the photo must fit the receptive field.
        self.stage32 = nn.Sequential(
            Separable(c16, c32, stride=2), *(Separable(c32, c32, 5) for _ in range(2))
        )
        self.lateral = nn.ModuleList(
            nn.Sequential(conv_bn(inputs, fused), nn.ReLU(inplace=True))
            for inputs in (c8, c16, c32)
        )
        self.smooth = nn.ModuleList(Separable(fused, fused) for _ in STRIDES)
        self.head = nn.ModuleList(nn.Conv2d(fused, OUTPUTS, 1) for _ in STRIDES)
        self.small_faces = nn.Conv2d(fused, 1, 1)
        for layer in (*self.head, self.small_faces):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            # Start as if one cell in a hundred held a face (RetinaNet, section 4.1).
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            layer.bias.data[0] = -4.6

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, H, W), H and W multiples of 32, to the maps above."""
        c8 = self.stage8(self.stem(images))
        c16 = self.stage16(c8)
        c32 = self.stage32(c16)
        top = self.lateral[2](c32)
        middle = self.lateral[1](c16) + functional.interpolate(top, scale_factor=2.0)
        bottom = self.lateral[0](c8) + functional.interpolate(middle, scale_factor=2.0)
        maps = [smooth(x) for smooth, x in zip(self.smooth, (bottom, middle, top), strict=True)]
        outputs = [head(x) for head, x in zip(self.head, maps, strict=True)]
        return (*outputs, self.small_faces(maps[0]))


@torch.no_grad()
def load_narrower(model: FaceDetectorNet, weights: dict[str, Tensor]) -> None:
    """Gives a network, new so far, the weights of the same or a narrower one; it sees the same.

    The channels that are more feed nothing to those that were there, and a block that is more adds
    nothing to its shortcut, until training lets them (Net2Net, Chen et al. 2016).
    """
    for name, own in model.state_dict().items():
        given = weights.get(name)
        if given is None:
            if "pointwise.1" in name and name.endswith(("weight", "bias")):
                own.zero_()
        elif given.shape == own.shape:
            own.copy_(given)
        else:
            if given.dim() == 4:
                own[: given.shape[0], given.shape[1] :] = 0
            own[tuple(slice(n) for n in given.shape)] = given
