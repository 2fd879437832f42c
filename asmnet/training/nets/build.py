"""From a config to its untrained network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asmnet.training.config import Config, DetectorConfig, LandmarkConfig, VerifierConfig
from asmnet.training.nets.asmnet import ASMNet
from asmnet.training.nets.atpn import ATPN
from asmnet.training.nets.blocks import (
    LandmarkModel,
)
from asmnet.training.nets.face_detector import NARROW, WIDE, FaceDetectorNet
from asmnet.training.nets.face_verifier import FaceVerifierNet
from asmnet.training.nets.landmark_net import LandmarkNet
from asmnet.training.nets.mobilenet_v2 import MobileNetV2


def landmark_model(config: LandmarkConfig, mean_shape: Tensor) -> LandmarkModel:
    """The untrained network that a config's ``model`` names.

    ``mean_shape`` (N, 2) in units of the crop's side.
    """
    match config.model:
        case "asmnet-paper":
            return ASMNet(mean_shape, config.dropout)
        case "mobilenetv2":
            return MobileNetV2(mean_shape, config.dropout)
        case "atpn":
            return ATPN(mean_shape, config.size, config.dropout)
        case "landmarknet":
            return LandmarkNet(
                len(mean_shape),
                config.size,
                config.dropout,
                width=config.width,
                head=config.head,
                trunk=config.trunk,
            )


def network(config: Config) -> nn.Module:
    """The untrained network of a config of any task: to load weights into, or to count."""
    if isinstance(config, DetectorConfig):
        return FaceDetectorNet(WIDE if config.width == "wide" else NARROW)
    if isinstance(config, VerifierConfig):
        return FaceVerifierNet(config.size)
    return landmark_model(config, torch.zeros(len(config.layout), 2))
