"""YuNet's format: what goes in and what comes out."""

import numpy as np
import pytest

from asmnet import yunet


def yunet_outputs(sizes):
    """Zeros of YuNet's outputs by name: no face anywhere."""
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{kind}_{stride}": np.zeros((1, (640 // stride) ** 2, width), np.float32)
        for kind, width in widths.items()
        for stride in sizes
    }


def test_decode_of_one_written_out_cell_of_yunet():
    outputs = yunet_outputs(yunet.STRIDES)
    cell = 3 * 40 + 5  # row 3, column 5 at stride 16
    outputs["cls_16"][0, cell] = 0.9
    outputs["obj_16"][0, cell] = 1.6  # beyond 1, as rounding can give
    outputs["bbox_16"][0, cell] = [0.5, 0.25, np.log(4), np.log(5)]
    outputs["kps_16"][0, cell] = [0.5, -1] * 5
    outputs["cls_8"][0, 7] = outputs["obj_8"][0, 7] = 0.49
    boxes, scores, keypoints = yunet.decode([outputs[name] for name in yunet.OUTPUTS], 0.5)
    # Centre (88, 52), 64 wide, 80 high: from (56, 12); of that the part from brows to chin.
    expected = np.array([56, 12, 56, 12]) + yunet.TO_TIGHT * [64, 80, 64, 80]
    assert boxes == pytest.approx(expected[None])
    assert scores == pytest.approx([np.sqrt(0.9)])
    assert keypoints == pytest.approx(np.tile([88, 32], (1, 5, 1)))


def test_yunet_without_a_face():
    outputs = yunet_outputs(yunet.STRIDES)
    boxes, scores, keypoints = yunet.decode([outputs[name] for name in yunet.OUTPUTS], 0.5)
    assert (boxes.shape, scores.shape, keypoints.shape) == ((0, 4), (0,), (0, 5, 2))


@pytest.mark.parametrize("size", [64, 320, 640])
def test_yunet_s_input_is_bgr_planes_of_a_fixed_square(size):
    image = np.full((50, 100, 3), (255, 128, 7), np.uint8)
    batch, scale = yunet.prepare(image, size / 100)
    assert (batch.shape, batch.dtype) == ((1, 3, 640, 640), np.float32)
    assert batch[0, :, 0, 0].tolist() == [7, 128, 255]
    assert scale == pytest.approx(size / 100)
    assert batch[0, 0].sum() == 7 * size * size / 2


def test_the_longer_side_that_yunet_drew():
    drawn = np.array([10.0, 20, 30, 40])  # x, y, width, height
    tight = np.tile(drawn[:2], 2) + yunet.TO_TIGHT * np.tile(drawn[2:], 2)
    assert yunet.full_sides(tight[None]) == pytest.approx([40])
    assert yunet.full_sides(np.zeros((0, 4))).shape == (0,)
