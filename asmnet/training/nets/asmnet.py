"""ASMNet, the network of the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from asmnet.training.nets.mobilenet_v2 import MobileNetBlocks


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
