"""What a landmark network starts from: a run's weights, or those of an exported file.

The two networks need not be alike. Layers that the other has not, or in another shape, keep their
own weights; 68 points may start from 98, and narrow inverted bottlenecks from wide ones.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from asmnet.errors import InvalidInputError
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG
from asmnet.training.config import LandmarkConfig, read_landmark_config
from asmnet.training.loop import EpochDataset, average_weights, images_to_input
from asmnet.training.nets.build import network
from asmnet.weights import load_weights

# Samples that the statistics of an exported network's batch-norms are measured on.
MEASURED_SAMPLES = 512


def start_weights(config: LandmarkConfig, dataset: EpochDataset) -> dict[str, Tensor]:
    """The weights that a config's ``start`` names; none if it has no such.

    It is the folder of a run; or, if there is a ``start_config``, the config of the network in it,
    the name or path of exported weights, "asmnet-98-wide" for example. Of these weights only layers
    whose names begin with one of ``start_layers`` are taken, if the config has such.

    Args:
        config: of the training.
        dataset: its samples.

    Raises:
        InvalidInputError: the run has no weights, or the file holds another network.
        WeightsError: there is no such file.
    """
    if config.start is None:
        return {}
    if config.start_config is None:
        weights = average_weights(Path(config.start))
    else:
        weights = _exported(config.start, Path(config.start_config), config.size, dataset)
    layers = config.start_layers or ("",)
    return {name: value for name, value in weights.items() if name.startswith(layers)}


def _narrowed(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inverted bottlenecks with as many hidden channels as a network of its own has.

    Of each those channels are kept that send most to the block's output: the mean square of what
    leaves the depthwise convolution, as its batch-norm tells it, times that of the kernels that
    read it. The means of the others, which are constant, go into the last batch-norm.
    """
    normal = torch.special.ndtri((torch.arange(64) + 0.5) / 64)  # quantiles
    narrowed = {}
    for name in own:
        if not name.endswith("body.4.0.weight") or name not in weights:
            continue
        body, project = name.removesuffix("4.0.weight"), weights[name]
        count = own[name].shape[1]
        if project.shape[0] != own[name].shape[0] or project.shape[1] <= count:
            continue
        scale, offset = (weights[f"{body}2.1.{key}"] for key in ("weight", "bias"))
        sent = (offset[:, None] + scale[:, None] * normal).clamp(0, 6)
        power = sent.square().mean(dim=1) * project.square().sum(dim=(0, 2, 3))
        kept, dropped = power.argsort(descending=True).tensor_split([count])
        kept = kept.sort().values
        for layer in ("0.0", "0.1", "2.0", "2.1"):
            for key in ("weight", "bias", "running_mean", "running_var"):
                full = f"{body}{layer}.{key}"
                if full in weights:
                    narrowed[full] = weights[full][kept]
        narrowed[name] = project[:, kept]
        constant = project[:, dropped, 0, 0] @ sent[dropped].mean(dim=1)
        mean = f"{body}4.1.running_mean"
        narrowed[mean] = weights[mean] - constant
    return narrowed


def _exported(weights: str, config: Path, size: int, dataset: EpochDataset) -> dict[str, Tensor]:
    samples = [dataset[i][0] for i in range(min(MEASURED_SAMPLES, len(dataset)))]
    # Its convolutions do with the crops of this training, which may be smaller than its own.
    model = network(replace(read_landmark_config(config), size=size))
    return exported_weights(load_weights(weights), model, images_to_input(torch.stack(samples)))


def start_from(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Gives a network the weights of another one, as far as the two are alike.

    Layers that the other has not, or in another shape, keep their own. Where a network of 68 points
    starts from one of 98, the maps of these are averaged as their points are, and the layer that
    reads the pose off the points reads the same off the 68.
    """
    own = model.state_dict()
    maps, hidden = "head.maps.weight", "pose_hidden.weight"
    if maps in weights and len(weights[maps]) == len(WFLW_98) and len(own[maps]) == len(IBUG_68):
        to_68 = torch.from_numpy(WFLW_TO_IBUG).float()
        to_98 = torch.linalg.pinv(to_68)
        for side in ("right", "left"):  # pupils, of which 68 points tell nothing, go with the eyes
            pupil, eye = (WFLW_98.groups[f"{side}_{part}"] for part in ("pupil", "eye"))
            to_98[pupil] = to_98[eye].mean(dim=0)
        for name in (maps, "head.maps.bias"):
            weights[name] = torch.einsum("mn,n...->m...", to_68, weights[name])
        first = 2 * len(WFLW_98)  # the points come last
        pooled, points = weights[hidden][:, :-first], weights[hidden][:, -first:]
        points = points.reshape(len(points), -1, 2)
        points = torch.einsum("hnk,nm->hmk", points, to_98).flatten(1)
        weights[hidden] = torch.cat([pooled, points], dim=1)
    weights = weights | _narrowed(weights, own)
    same = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    model.load_state_dict(own | same)


def exported_weights(content: bytes, model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The weights of an exported file by their names in its network, ready to be trained further.

    The export has folded each batch-norm into its convolution. Here it comes back: its statistics
    are those of the given images, and its scale and offset undo them, so that the network computes
    what the file does.

    Args:
        content: of the ONNX file.
        model: a network of the same build; it gets the weights too.
        images: (n, 3, S, S) from 0 to 1, like those that it will be trained on.

    Raises:
        InvalidInputError: the file holds another network.
    """
    graph = onnx.load_from_string(content).graph
    values = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    for node in graph.node:  # weights that are stored as float16
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].float()
    products = {n.output[0]: n.input[1] for n in graph.node if n.op_type == "MatMul"}
    for node in graph.node:  # linear layers of maps: a product, which lost its name, and a bias
        for product, bias in permutations(node.input) if node.op_type == "Add" else ():
            if bias in values and products.get(product) in values:
                values[bias.removesuffix("bias") + "weight"] = values[products[product]].T
    folded = [
        node.input
        for node in graph.node
        # Of the correction (asmnet.training.export.correction), which is fitted anew.
        if node.op_type == "Conv" and not node.input[1].endswith("components.weight")
    ]
    if not any(node.op_type == "Div" and folded[0][0] in node.output for node in graph.node):
        # Its first kernels take 0 to 255; before version 0.5 the image was divided.
        values[folded[0][1]] = values[folded[0][1]] * 255
    convolutions = _in_order(model, images[:1])
    shapes = [tuple(values[inputs[1]].shape) for inputs in folded]
    expected = [tuple(conv.weight.shape) for conv, _ in convolutions]
    if shapes != expected:
        raise InvalidInputError(
            f"expected a file with the convolutions {expected}, got one with {shapes}"
        )
    hooks = []
    with torch.no_grad():
        for (conv, norm), inputs in zip(convolutions, folded, strict=True):
            conv.weight.copy_(values[inputs[1]])
            bias = values[inputs[2]]
            if norm is None:
                assert conv.bias is not None
                conv.bias.copy_(bias)
            else:
                hooks.append(norm.register_forward_pre_hook(_measured(bias)))
        known = {name for layers in convolutions for name in _names(model, layers)}
        for name, own in model.state_dict().items():
            if name in known:
                continue
            same = (v for k, v in values.items() if k.endswith(f".{name}") and v.shape == own.shape)
            value = next(same, None)
            if value is None:
                raise InvalidInputError(f"expected a file with {name} {tuple(own.shape)}, got none")
            own.copy_(value)
        model.eval()
        model(images)
    for hook in hooks:
        hook.remove()
    return model.state_dict()


def _names(model: nn.Module, layers: tuple[nn.Module | None, ...]) -> list[str]:
    """The names in a network of what some of its layers hold."""
    return [
        f"{name}.{key}"
        for name, module in model.named_modules()
        if any(module is layer for layer in layers)
        for key in module.state_dict()
    ]


def _measured(bias: Tensor) -> Any:
    """A hook that makes a batch-norm add ``bias`` only, with its input's statistics in it."""

    def hook(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)

    return hook


def _in_order(model: nn.Module, image: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """The convolutions in the order of their use, each with the batch-norm that follows it."""
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d | None]] = []

    def hook(layer: nn.Module, *_: object) -> None:
        if isinstance(layer, nn.Conv2d):
            found.append((layer, None))
        elif isinstance(layer, nn.BatchNorm2d):
            found[-1] = (found[-1][0], layer)

    hooks = [m.register_forward_hook(hook) for m in model.modules()]
    with torch.inference_mode():
        model.eval()(image)
    for handle in hooks:
        handle.remove()
    return found
