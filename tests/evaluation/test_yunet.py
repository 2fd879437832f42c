"""The detector with a tiny network that has YuNet's inputs and outputs, but known answers."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from asmnet import FaceDetector  # noqa: E402
from asmnet.errors import InvalidInputError, WeightsError  # noqa: E402
from asmnet.yunet import OUTPUTS, STRIDES, TO_TIGHT  # noqa: E402

WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def network(side=640):
    """Constant outputs: one sure face in cell (5, 3) of stride 16, a fainter one beside it."""
    values = {
        f"{kind}_{stride}": np.zeros((1, (640 // stride) ** 2, width), np.float32)
        for kind, width in WIDTHS.items()
        for stride in STRIDES
    }
    for column, sureness in ((5, 0.9), (6, 0.7)):
        cell = 3 * 40 + column
        values["cls_16"][0, cell] = values["obj_16"][0, cell] = sureness
        values["bbox_16"][0, cell] = [0.5, 0.25, np.log(4), np.log(5)]
        values["kps_16"][0, cell] = np.arange(10) / 10
    tensor = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node(
                "Constant", [], [name], value=onnx.numpy_helper.from_array(values[name])
            )
            for name in OUTPUTS
        ],
        "yunet",
        [onnx.helper.make_tensor_value_info("input", tensor, [1, 3, side, side])],
        [
            onnx.helper.make_tensor_value_info(name, tensor, list(values[name].shape))
            for name in OUTPUTS
        ],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.fixture
def path(tmp_path):
    onnx.save(network(), tmp_path / "any name.onnx")
    return tmp_path / "any name.onnx"


@pytest.mark.parametrize(("size", "scale"), [(640, 1), (320, 2)])
def test_a_file_with_yunet_s_outputs_is_used_as_yunet(path, size, scale):
    detector = FaceDetector(path, input_size=size, threads=1)
    (face,) = detector.detect(np.zeros((640, 480, 3), np.uint8))
    expected = np.array([56, 12, 56, 12]) + TO_TIGHT * [64, 80, 64, 80]
    assert face.bbox == pytest.approx(scale * expected)
    assert face.score == pytest.approx(0.9)
    keypoints = (np.array([5, 3]) + np.arange(10).reshape(5, 2) / 10) * 16
    assert face.keypoints == pytest.approx(scale * keypoints)


def test_its_input_ends_at_640(path):
    with pytest.raises(InvalidInputError, match="at most 640"):
        FaceDetector(path, input_size=672)


def test_another_input_is_refused(tmp_path):
    onnx.save(network(side=320), tmp_path / "small.onnx")
    with pytest.raises(WeightsError, match="expected YuNet's input"):
        FaceDetector(tmp_path / "small.onnx")
