"""What the networks share. Each takes RGB as (n, 3, H, W) float32 from 0 to 1."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


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


def initialise(model: nn.Module) -> None:
    """He initialisation of every convolution that a batch-norm follows."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


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
