"""The networks. Each takes RGB as (n, 3, H, W) float32 from 0 to 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
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
        self.stage16 = nn.Sequential(separable(64, 96, stride=2), separable(96, 96), separable(96, 96))
        # 5×5 kernels: a face that fills the photo must fit the receptive field.
        self.stage32 = nn.Sequential(
            separable(96, 128, stride=2), separable(128, 128, 5), separable(128, 128, 5)
        )
        width = 48
        self.lateral = nn.ModuleList(
            nn.Sequential(conv_bn(channels, width), nn.ReLU(inplace=True)) for channels in (64, 96, 128)
        )
        self.smooth = nn.ModuleList(separable(width, width) for _ in range(3))
        self.head = nn.ModuleList(
            nn.Sequential(separable(width, width), nn.Conv2d(width, self.OUTPUTS, 1)) for _ in range(3)
        )
        for head in self.head:
            # Start as if one cell in a hundred held a face (RetinaNet, section 4.1).
            nn.init.zeros_(head[-1].weight)
            nn.init.zeros_(head[-1].bias)
            head[-1].bias.data[0] = -4.6

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
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

