"""asmnet-face-verifier: a close look at one place that may be a face."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asmnet.training.nets.blocks import conv_bn
from asmnet.training.nets.face_detector import Separable

OUTPUTS = 1 + 4 + 10


class FaceVerifierNet(nn.Module):
    """Whether a crop around a box shows a face, and where it is exactly.

    The second stage of a cascade (Viola & Jones 2001; the R-Net of MTCNN, Zhang et al. 2016): it
    sees the place alone and enlarged, with what is around it, and has more channels for it than a
    network that must look at every place.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.features = nn.Sequential(
            conv_bn(3, 16, 3, 2),
            nn.ReLU(inplace=True),
            Separable(16, 32),
            Separable(32, 64, stride=2),
            *(Separable(64, 64) for _ in range(2)),
            Separable(64, 128, stride=2),
            *(Separable(128, 128) for _ in range(2)),
            Separable(128, 192, stride=2),
            Separable(192, 192),
        )
        self.head = nn.Linear(192 * (size // 16) ** 2, OUTPUTS)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, S, S) crops to logits (n,), boxes (n, 4) xyxy and key points (n, 5, 2).

        Boxes and points are in units of the crop's side, from its corner.
        """
        raw = self.head(self.features(images).flatten(1)).float()
        middle = 0.5 + raw[:, 1:3]
        half = 0.25 * raw[:, 3:5].clamp(-2, 2).exp()
        boxes = torch.cat([middle - half, middle + half], dim=1)
        return raw[:, 0], boxes, 0.5 + raw[:, 5:].unflatten(1, (5, 2))
