"""How large the networks of config files are: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from asmnet.training.config import Config
from asmnet.training.nets.build import network


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_multiply_adds(model: nn.Module, size: int) -> int:
    """Multiplications with their additions in the convolutions and linear layers, for one image.

    Args:
        model: takes (1, 3, size, size).
        size: side of the input in pixels.

    Papers often call twice this number FLOPs; batch-norm, which an export folds into the
    convolutions, and activations are left out, as is usual.
    """
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    return int(counter.get_total_flops()) // 2


def table(configs: Mapping[str, Config]) -> str:
    """A Markdown table with a row a config, named by its key."""
    lines = ["| config | input | parameters | multiply-adds |", "|---|--:|--:|--:|"]
    for name, config in configs.items():
        model, size = network(config), config.size
        cells = f"{count_parameters(model):,} | {count_multiply_adds(model, size):,}"
        lines.append(f"| {name} | {size} × {size} | {cells} |")
    return "\n".join(lines)
