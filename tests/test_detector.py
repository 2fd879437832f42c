import numpy as np
import pytest
from PIL import Image

import asmnet
from asmnet.detector import (
    STRIDES,
    YUNET_OUTPUTS,
    YUNET_TO_TIGHT,
    decode,
    decode_yunet,
    prepare_yunet,
)
from asmnet.errors import InvalidInputError

# Where the faces of the test photos are, read off the pictures by hand: xyxy, brows to chin.
ASTRONAUT = np.array([181, 88, 268, 179])
CREW_CENTRES = [(296, 345), (597, 180), (958, 375)]
MIN_IOU = 0.6


@pytest.fixture(scope="module")
def detector():
    return asmnet.FaceDetector(threads=1)


def iou(a, b):
    left_top, right_bottom = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = np.clip(right_bottom - left_top, 0, None).prod()
    return both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both)


def test_one_face(detector, photos):
    (face,) = detector.detect(photos / "astronaut.png")
    assert iou(face.bbox, ASTRONAUT) > MIN_IOU
    assert 0.5 <= face.score <= 1
    assert (face.bbox.shape, face.bbox.dtype) == ((4,), np.float32)
    assert (face.keypoints.shape, face.keypoints.dtype) == ((5, 2), np.float32)


def test_key_points_are_in_the_documented_order(detector, photos):
    (face,) = detector.detect(photos / "astronaut.png")
    right_eye, left_eye, nose, right_mouth, left_mouth = face.keypoints
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_three_faces_best_score_first(detector, photos):
    faces = detector.detect(photos / "apollo11_crew.jpg")
    assert len(faces) == 3
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    boxes = sorted((face.bbox for face in faces), key=lambda box: box[0])
    for box, (x, y) in zip(boxes, CREW_CENTRES, strict=True):
        assert box[0] < x < box[2]
        assert box[1] < y < box[3]


def test_a_smaller_photo_gives_the_same_place(detector, photos):
    image = Image.open(photos / "astronaut.png").convert("RGB")
    (full,) = detector.detect(image)
    (half,) = detector.detect(image.resize((256, 256)))
    assert half.bbox * 2 == pytest.approx(full.bbox, abs=6)


def test_larger_input_finds_smaller_faces(photos):
    image = Image.new("RGB", (1600, 1600), (90, 120, 90))
    image.paste(Image.open(photos / "astronaut.png").convert("RGB").resize((300, 300)), (900, 700))
    assert asmnet.FaceDetector(input_size=1280).detect(image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (64, 64, 3)])
def test_nothing_to_find(detector, shape):
    assert detector.detect(np.full(shape, 127, np.uint8)) == []


@pytest.mark.parametrize("size", [0, 31, 100, 320.0, "320", -32])
def test_bad_input_size(size):
    with pytest.raises(InvalidInputError, match="input_size: expected"):
        asmnet.FaceDetector(input_size=size)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), "high"])
def test_bad_score(detector, photos, score):
    with pytest.raises(InvalidInputError, match="min_score"):
        asmnet.FaceDetector(min_score=score)
    with pytest.raises(InvalidInputError, match="min_score"):
        detector.detect(photos / "astronaut.png", min_score=score)


def test_decode_of_one_written_out_cell():
    maps = [np.full((1, 15, 320 // s, 320 // s), -9, np.float32) for s in STRIDES]
    maps[1][0, :, 3, 5] = [2, 0.5, -0.5, np.log(2), 0, *[0.25] * 10]
    boxes, scores, keypoints = decode(maps, 0.5)
    # Cell (5, 3) at stride 16 has its centre at (88, 56); middle (96, 48), half sides 64 and 32.
    assert boxes == pytest.approx(np.array([[32, 16, 160, 80]]))
    assert scores == pytest.approx([1 / (1 + np.exp(-2))])
    assert keypoints == pytest.approx(np.tile([96, 64], (1, 5, 1)))


def yunet_outputs(sizes):
    """Zeros of YuNet's outputs by name: no face anywhere."""
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{kind}_{stride}": np.zeros((1, (640 // stride) ** 2, width), np.float32)
        for kind, width in widths.items()
        for stride in sizes
    }


def test_decode_of_one_written_out_cell_of_yunet():
    outputs = yunet_outputs(STRIDES)
    cell = 3 * 40 + 5  # row 3, column 5 at stride 16
    outputs["cls_16"][0, cell] = 0.9
    outputs["obj_16"][0, cell] = 1.6  # beyond 1, as rounding can give
    outputs["bbox_16"][0, cell] = [0.5, 0.25, np.log(4), np.log(5)]
    outputs["kps_16"][0, cell] = [0.5, -1] * 5
    outputs["cls_8"][0, 7] = outputs["obj_8"][0, 7] = 0.49
    boxes, scores, keypoints = decode_yunet([outputs[name] for name in YUNET_OUTPUTS], 0.5)
    # Centre (88, 52), 64 wide, 80 high: from (56, 12); of that the part from brows to chin.
    expected = np.array([56, 12, 56, 12]) + YUNET_TO_TIGHT * [64, 80, 64, 80]
    assert boxes == pytest.approx(expected[None])
    assert scores == pytest.approx([np.sqrt(0.9)])
    assert keypoints == pytest.approx(np.tile([88, 32], (1, 5, 1)))


def test_yunet_without_a_face():
    outputs = yunet_outputs(STRIDES)
    boxes, scores, keypoints = decode_yunet([outputs[name] for name in YUNET_OUTPUTS], 0.5)
    assert (boxes.shape, scores.shape, keypoints.shape) == ((0, 4), (0,), (0, 5, 2))


@pytest.mark.parametrize("size", [64, 320, 640])
def test_yunet_s_input_is_bgr_planes_of_a_fixed_square(size):
    image = np.full((50, 100, 3), (255, 128, 7), np.uint8)
    batch, scale = prepare_yunet(image, size)
    assert (batch.shape, batch.dtype) == ((1, 3, 640, 640), np.float32)
    assert batch[0, :, 0, 0].tolist() == [7, 128, 255]
    assert scale == pytest.approx(size / 100)
    assert batch[0, 0].sum() == 7 * size * size / 2
