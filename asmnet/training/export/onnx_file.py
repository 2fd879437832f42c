"""Trained model to ONNX file, with a check that both give the same numbers.

Every exported network takes (n, H, W, 3) uint8 RGB; scaling to 0–1 is part of the graph.
"""

from __future__ import annotations

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from asmnet.datasets.detection import read_crowds, read_single_faces
from asmnet.datasets.records import LabelError
from asmnet.errors import AsmnetError, InvalidInputError
from asmnet.evaluation.verification import fitted_weights
from asmnet.image import ImageArray, letterbox, load_image
from asmnet.schemes import WFLW_98
from asmnet.training.config import Config, DetectorConfig, LandmarkConfig, VerifierConfig
from asmnet.training.export.calibration import Calibration, calibrate
from asmnet.training.export.correction import corrected
from asmnet.training.landmarks.samples import label_crops
from asmnet.training.licensing import read_open_run
from asmnet.training.loop import load_average
from asmnet.training.nets.blocks import LandmarkModel
from asmnet.training.nets.build import network
from asmnet.training.nets.count import count_multiply_adds, count_parameters
from asmnet.training.nets.face_detector import STRIDES
from asmnet.training.provenance import config_name, git_commit, run_facts
from asmnet.verifier import SCORE_WEIGHTS
from asmnet.weights import MANIFEST
from asmnet.weights.records import write_record

OPSET = 17
PARITY_CROPS = 32


class ParityError(AsmnetError):
    """The exported file and the trained model disagree."""


class _Detector(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = _of_bytes(model)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.model(_to_float(images))
        return outputs


class _Verifier(nn.Module):
    """Probabilities, and boxes and key points in pixels of the crop."""

    def __init__(self, model: nn.Module, size: int) -> None:
        super().__init__()
        self.model, self.size = _of_bytes(model), size

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits, boxes, keypoints = self.model(_to_float(images))
        return logits.sigmoid(), boxes * self.size, keypoints * self.size


class _Landmarker(nn.Module):
    """What users read: landmarks in pixels of the crop, and probabilities."""

    def __init__(self, model: LandmarkModel, size: int, calibration: Calibration | None) -> None:
        super().__init__()
        self.model, self.size = _of_bytes(model), size
        self.calibration = calibration
        spread = calibration is not None
        self.extras = ("confidence", "presence") if spread else model.EXTRAS

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        landmarks, rotation, *extras = self.model(_to_float(images))
        if self.calibration is not None:
            logs = extras[0].log()
            lines = ((self.calibration.confidence, logs), (self.calibration.presence, logs.mean(1)))
            extras = [offset + slope * values for (offset, slope), values in lines]
        return (landmarks * self.size, rotation, *(logit.sigmoid() for logit in extras))


def _of_bytes(model: nn.Module) -> nn.Module:
    """A copy of a network that takes 0 to 255: its first kernels are divided instead of images."""
    copy = deepcopy(model)
    first = next(m for m in copy.modules() if isinstance(m, nn.Conv2d))
    first.weight.data /= 255
    return copy


def _to_float(images: Tensor) -> Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) float, 0 to 255."""
    return images.permute(0, 3, 1, 2).float()


def export(
    config: Config,
    run: Path,
    name: str,
    folder: Path,
    *,
    config_path: Path,
    best: bool = False,
    data: Path | None = None,
) -> dict[str, Any]:
    """Writes ``folder/weights/NAME.onnx`` from a run's averaged model and its manifest record.

    Args:
        config: what the run was trained with; its ``storage`` may be "float16".
        run: its folder.
        name: of the weights.
        folder: gets the manifest and weights/.
        config_path: the config's file, named in the record.
        best: take the best validated epoch, not the last one.
        data: root of the data folders: compare the two networks on validation photos, not on
            noise. A network that tells its points' spread needs it: its confidence and presence
            are calibrated there, see :mod:`asmnet.training.export.calibration`. So does an open
            verifier: how its score and the detector's are weighed is fitted on open photos.

    Raises:
        ParityError: ONNX Runtime's results differ from PyTorch's.
        InvalidInputError: the run has no such weights, or ``data`` is needed.
    """
    size = config.size
    metadata = {"task": config.task, "training_config": config_name(config_path)}
    commit = git_commit(config_path.parent)
    if commit is not None:
        metadata["git_commit"] = commit
    model = load_average(network(config), run, best=best)
    dynamic: dict[str, dict[int, str]] = {"images": {0: "n"}}
    if isinstance(config, LandmarkConfig):
        assert isinstance(model, LandmarkModel)
        if config.correction_ridge is not None:
            if data is None:
                raise InvalidInputError(f"{name}: expected data to fit its correction on")
            model = corrected(model, config, data)
        calibration = None
        if "spread" in model.EXTRAS:
            if data is None:
                raise InvalidInputError(f"{name}: expected data to calibrate its confidence with")
            calibration = calibrate(model, config, data)
        landmarker = _Landmarker(model, size, calibration)
        wrapped: nn.Module = landmarker
        outputs = ["landmarks", "rotation", *landmarker.extras]
        dynamic |= {o: {0: "n"} for o in outputs}
        metadata |= {
            "scheme": config.scheme,
            "input_size": str(size),
            "crop_margin": str(config.crop_margin),
        }
    elif isinstance(config, VerifierConfig):
        wrapped = _Verifier(model, size)
        outputs = ["score", "box", "keypoints"]
        dynamic |= {o: {0: "n"} for o in outputs}
        metadata |= {"input_size": str(size), "crop_margin": str(config.crop_margin)}
    else:
        wrapped = _Detector(model)
        outputs = [f"stride{s}" for s in STRIDES]
        outputs.append("small_faces")
        dynamic["images"] |= {1: "height", 2: "width"}
        dynamic |= {o: {0: "n", 2: f"{o}_height", 3: f"{o}_width"} for o in outputs}
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    path = folder / "weights" / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        wrapped.eval(), (torch.from_numpy(noise),), str(path), dynamo=False, opset_version=OPSET,
        input_names=["images"], output_names=outputs, dynamic_axes=dynamic,
    )  # fmt: skip
    file = onnx.load(path)
    helper.set_model_props(file, metadata)
    if isinstance(config, LandmarkConfig) and config.storage == "float16":
        store_float16(file)
    onnx.save(file, path)
    if isinstance(config, VerifierConfig) and config.open:
        # The package's own were fitted on research sets, with networks that had seen them.
        if data is None:
            raise InvalidInputError(f"{name}: expected data to weigh its scores with")
        fitted = fitted_weights(data, detector=config.detector, verifier=str(path), open_only=True)
        metadata[SCORE_WEIGHTS] = ",".join(f"{weight:.3f}" for weight in fitted)
        helper.set_model_props(file, metadata)
        onnx.save(file, path)
    images = noise if data is None else _validation_images(config, data)
    for part in (images, images[:1]):  # the batch may have any size
        _check_parity(wrapped, torch.from_numpy(part), path)
    shape: list[int | str] = ["n", size, size, 3]
    if isinstance(config, DetectorConfig):
        shape[1:3] = ["height", "width"]
    record = {
        "name": name,
        "task": config.task,
        **describe_file(path),
        "input": {"name": "images", "shape": shape, "dtype": "uint8", "colour": "RGB 0-255"},
        "scheme": metadata.get("scheme"),
        "parameters": count_parameters(model),
        "multiply_adds": count_multiply_adds(model, size),
        "license": OPEN_LICENSE if config.open else LICENSE,
        "training_data": training_data(config),
        "training_config": metadata["training_config"],
        "metrics": {},
    }
    if config.open:
        record |= open_training_data(run)
    facts = run_facts(run)
    if facts is not None:
        record["run"] = facts
    write_record(record, folder / MANIFEST)
    return record


def store_float16(model: onnx.ModelProto) -> None:
    """Stores weights as float16, in place; a Cast makes each float32 again before its use.

    So it runs wherever the original does; ONNX Runtime does the casts once, when it loads the
    file. Single numbers and short vectors stay, and so does a tensor with a value that float16
    cannot hold.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def describe_file(path: Path) -> dict[str, Any]:
    """The fields of a manifest's record that tell of the file itself."""
    content = path.read_bytes()
    return {
        "file": f"weights/{path.name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }


def _validation_images(config: Config, data: Path) -> ImageArray:
    """What the network will see, (n, S, S, 3), of evenly spread validation photos."""
    size = config.size
    if isinstance(config, LandmarkConfig):
        return label_crops(data, "val", config, PARITY_CROPS)[0]
    photos = read_crowds(data, "val", open_only=config.open)
    if not photos and not config.open:
        photos = read_single_faces(data, "val")
    if not photos:
        raise LabelError(f"{data}: expected validation photos with faces, got none")
    photos = photos[:: -(-len(photos) // PARITY_CROPS)]
    return np.stack([letterbox(load_image(p.image), size, multiple=size)[0] for p in photos])


LICENSE = (
    "research use only: trained on 300W (iBUG) and other sets whose terms allow research only; "
    "the code's Apache-2.0 does not extend to these weights"
)
OPEN_LICENSE = "Apache-2.0"
TRAINING_DATA = {
    "detection": [
        "photos of groups, streets, meetings and stages from open repositories and research sets",
        "Face Mask Detection, manual boxes",
        "inter-faces (CC0), portraits of the US Congress (public domain), FairFace (CC BY 4.0)",
        "UTKFace, FG-NET, and 300W's training part (AFW, Helen, LFPW)",
        "300W-LP, IBUG part; YouTube Faces frames; Pointing'04, people 01-07; Helen photos",
        "BSDS500 natural photos as negatives",
        "boxes and key points of YuNet (MIT, trained on WIDER FACE) and of asmnet-68",
    ],
    "landmarks": [
        "300W training part (AFW, Helen, LFPW), manual labels",
        "300W-LP, IBUG part",
        "YouTube Faces frames, pseudo-labels",
        "Pointing'04, people 01-07, pan and tilt",
        "head rotations of 3DDFA_V2 as pseudo-labels",
        "BSDS500 natural photos as occluders",
    ],
}


def training_data(config: Config) -> list[str]:
    """What a config's network was trained on, as the package's own were."""
    if not isinstance(config, LandmarkConfig):
        return list(TRAINING_DATA["detection"])
    sources = list(TRAINING_DATA["landmarks"])
    if config.layout is WFLW_98:
        sources.append("98 points of WFLW-trained networks as pseudo-labels")
    if config.teacher_labels is not None:
        sources.append(
            "Helen training photos without points and video frames, labelled by earlier networks "
            "of this package, which had learnt 98 points of WFLW-trained networks too"
        )
    return sources


def open_training_data(run: Path) -> dict[str, Any]:
    """The fields of a record that tell what an open run learnt from: sets and teachers."""
    learnt = read_open_run(run)
    sets = [{key: value for key, value in s.items() if key != "open"} for s in learnt["sets"]]
    return {
        "training_data": [f"{s['name']} ({s['licence']}), {s['photos']} photos" for s in sets]
        + [f"{t['name']} ({t['licence']}): {t['role']}" for t in learnt["teachers"]],
        "data_sets": sets,
        "teachers": learnt["teachers"],
    }


def _check_parity(model: nn.Module, sample: Tensor, path: Path) -> None:
    with torch.inference_mode():
        expected: tuple[Tensor, ...] = model(sample)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual: list[Any] = session.run(None, {"images": sample.numpy()})
    for name, a, b in zip((o.name for o in session.get_outputs()), expected, actual, strict=True):
        difference = float(np.abs(a.numpy() - b).max())
        # A confidence is steep where a map is sharp: its variance is a difference of near numbers.
        limit = 3e-3 if name == "confidence" else 1e-3
        if difference > limit * max(1.0, float(np.abs(b).max())):
            raise ParityError(f"{path}: output {name} differs from the model by {difference}")
