"""Trained model to ONNX file, with a check that both give the same numbers.

Every exported network takes (n, H, W, 3) uint8 RGB; scaling to 0–1 is part of the graph.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from asmnet.errors import AsmnetError
from asmnet.schemes import IBUG_68
from asmnet.training.landmarks import landmark_model
from asmnet.training.loop import images_to_input, load_average
from asmnet.training.manifest import write_record
from asmnet.training.models import FaceDetectorNet, count_parameters
from asmnet.weights import MANIFEST

OPSET = 17


class ParityError(AsmnetError):
    """The exported file and the trained model disagree."""


class _Detector(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.model(images_to_input(images))
        return outputs


class _Landmarker(nn.Module):
    """Landmarks, and spreads where the network has them, in pixels of the crop."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        landmarks, rotation, *spread = self.model(images_to_input(images))
        side = images.shape[1]
        return (landmarks * side, rotation, *(s * side for s in spread))


def export(config: dict[str, Any], run: Path, name: str, folder: Path) -> dict[str, Any]:
    """Writes ``folder/weights/NAME.onnx`` from a run's averaged model and its manifest record.

    Raises:
        ParityError: ONNX Runtime's results differ from PyTorch's.
    """
    size = config["size"]
    sample = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    )
    metadata = {"task": config["task"], "training_config": f"configs/{name}.toml"}
    dynamic: dict[str, dict[int, str]] = {"images": {0: "n"}}
    if config["task"] == "detection":
        model: nn.Module = load_average(FaceDetectorNet(), run)
        wrapped: nn.Module = _Detector(model)
        outputs = [f"stride{s}" for s in FaceDetectorNet.STRIDES]
        dynamic["images"] |= {1: "height", 2: "width"}
        dynamic |= {o: {0: "n", 2: f"{o}_height", 3: f"{o}_width"} for o in outputs}
    else:
        model = load_average(landmark_model(config, torch.zeros(len(IBUG_68), 2)), run)
        wrapped = _Landmarker(model)
        outputs = ["landmarks", "rotation", "spread"][: len(wrapped(sample))]
        dynamic |= {o: {0: "n"} for o in outputs}
        metadata |= {
            "scheme": IBUG_68.name,
            "input_size": str(size),
            "crop_margin": str(config["crop_margin"]),
        }
    path = folder / "weights" / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        wrapped.eval(), (sample,), str(path), dynamo=False, opset_version=OPSET,
        input_names=["images"], output_names=outputs, dynamic_axes=dynamic,
    )  # fmt: skip
    file = onnx.load(path)
    onnx.helper.set_model_props(file, metadata)
    onnx.save(file, path)
    _check_parity(wrapped, sample, path)
    content = path.read_bytes()
    shape: list[int | str] = ["n", size, size, 3] if config["task"] == "landmarks" else [
        "n", "height", "width", 3
    ]  # fmt: skip
    record = {
        "name": name,
        "task": config["task"],
        "file": f"weights/{path.name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "input": {"name": "images", "shape": shape, "dtype": "uint8", "colour": "RGB 0-255"},
        "scheme": metadata.get("scheme"),
        "parameters": count_parameters(model),
        "license": LICENSE,
        "training_data": TRAINING_DATA[config["task"]],
        "training_config": metadata["training_config"],
        "metrics": {},
    }
    write_record(record, folder / MANIFEST)
    return record


LICENSE = (
    "research use only: trained on 300W (iBUG) and other sets whose terms allow research only; "
    "the code's Apache-2.0 does not extend to these weights"
)
TRAINING_DATA = {
    "detection": [
        "300W training part (AFW, Helen, LFPW), human labels",
        "300W-LP, IBUG part",
        "YouTube Faces frames, machine-made points",
        "Pointing'04, people 01-07",
        "Helen training photos without points",
        "BSDS500 natural photos as negatives",
        "boxes and key points of YuNet (MIT) where no human label exists",
    ],
    "landmarks": [
        "300W training part (AFW, Helen, LFPW), human labels",
        "300W-LP, IBUG part",
        "YouTube Faces frames, machine-made points",
        "Pointing'04, people 01-07, pan and tilt",
        "head rotations of 3DDFA_V2 as pseudo-labels",
        "BSDS500 natural photos as occluders",
    ],
}


def _check_parity(model: nn.Module, sample: Tensor, path: Path) -> None:
    with torch.inference_mode():
        expected: tuple[Tensor, ...] = model(sample)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual: list[Any] = session.run(None, {"images": sample.numpy()})
    for name, a, b in zip((o.name for o in session.get_outputs()), expected, actual, strict=True):
        difference = float(np.abs(a.numpy() - b).max())
        if difference > 1e-3 * max(1.0, float(np.abs(b).max())):
            raise ParityError(f"{path}: output {name} differs from the model by {difference}")
