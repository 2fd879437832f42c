"""From a config to its untrained network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from asmnet.errors import InvalidInputError
from asmnet.schemes import IBUG_68, SCHEMES
from asmnet.training.nets.asmnet import ASMNet
from asmnet.training.nets.atpn import ATPN
from asmnet.training.nets.blocks import (
    LandmarkModel,
)
from asmnet.training.nets.face_detector import FaceDetectorNet
from asmnet.training.nets.heads import HEADS
from asmnet.training.nets.landmark_net import TRUNKS, LandmarkNet
from asmnet.training.nets.mobilenet_v2 import MobileNetV2


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
