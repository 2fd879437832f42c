"""asmnet-face."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from asmnet.training.nets.blocks import (
    conv_bn,
    separable,
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
