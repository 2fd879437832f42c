"""Smaller files from an exported landmark or detection network: float16 storage, int8 arithmetic.

Each is written beside the file that it was made from and gets a manifest record of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from asmnet.evaluation.metrics import nme
from asmnet.geometry import FloatArray
from asmnet.image import ImageArray
from asmnet.training.config import LandmarkConfig
from asmnet.training.export.onnx_file import describe_file, store_float16
from asmnet.training.landmarks.samples import label_crops
from asmnet.weights import MANIFEST
from asmnet.weights.records import write_record

CALIBRATION_CROPS = 256
ACCURACY_CROPS = 1000


def export_float16(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes ``weights/NAME-fp16.onnx``: half the size, the same arithmetic. Returns its record."""
    model = onnx.load(folder / record["file"])
    store_float16(model)
    return _write(model, record, "fp16", folder)


def export_int8(
    record: dict[str, Any], config: LandmarkConfig, folder: Path, data: Path
) -> dict[str, Any]:
    """Writes ``weights/NAME-int8.onnx``, convolutions in 8 bits. Returns its record.

    The ranges of the activations come from crops of the training photos (static quantisation);
    weights have a scale a channel. Weights take 7 of the 8 bits, without which the sums overflow
    on processors that lack VNNI. Everything but convolutions, which do nearly all of the work,
    stays in float32: coordinates need more than 256 steps.
    """
    source = folder / record["file"]
    crops, _ = label_crops(data, "train", config, CALIBRATION_CROPS)
    with tempfile.TemporaryDirectory() as temporary:
        prepared, target = (Path(temporary) / name for name in ("prepared.onnx", "int8.onnx"))
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Crops(crops),
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(target)
    # Quantisation drops the metadata, which the package needs.
    metadata = {prop.key: prop.value for prop in onnx.load(source).metadata_props}
    helper.set_model_props(model, metadata)
    return _write(model, record, "int8", folder)


def accuracy(path: Path, config: LandmarkConfig, data: Path) -> float:
    """NME (%) of a file on the validation faces of 300W or WFLW in their label boxes."""
    crops, truth = label_crops(data, "val", config, ACCURACY_CROPS)
    return float(nme(_landmarks(path, crops), truth, config.layout).mean())


def _landmarks(path: Path, crops: ImageArray) -> FloatArray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    landmarks: Any = [session.run(["landmarks"], {"images": crop[None]})[0] for crop in crops]
    return np.concatenate(landmarks)


class _Crops(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Crops one by one, as the quantiser asks for them."""

    def __init__(self, crops: ImageArray) -> None:
        self._rest = iter(crops)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        crop = next(self._rest, None)
        return None if crop is None else {"images": crop[None]}


def _write(
    model: onnx.ModelProto, record: dict[str, Any], kind: str, folder: Path
) -> dict[str, Any]:
    onnx.checker.check_model(model)
    name = f"{record['name']}-{kind}"
    path = folder / "weights" / f"{name}.onnx"
    onnx.save(model, path)
    compressed = {**record, "name": name, **describe_file(path), "metrics": {}}
    write_record(compressed, folder / MANIFEST)
    return compressed
