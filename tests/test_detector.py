import io

import numpy as np
import pytest
from PIL import Image

import asmnet
from asmnet.detector import unrotated
from asmnet.errors import InvalidInputError
from asmnet.facemaps import STRIDES, decode
from asmnet.image import load_image, load_reduced

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


def test_large_jpeg_files_are_decoded_no_larger_than_they_are_looked_at(photos, monkeypatch):
    """Of a phone: stored on its side, with an orientation."""
    with Image.open(photos / "astronaut.png") as image:
        upright = image.convert("RGB").crop((0, 0, 512, 320)).resize((2560, 1600))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    factors = []

    def load(*arguments, **options):
        pixels, factor = load_reduced(*arguments, **options)
        factors.append(factor)
        return pixels, factor

    monkeypatch.setattr("asmnet.detector.load_reduced", load)
    small = asmnet.FaceDetector(input_size=320, threads=1)
    (face,) = small.detect(file.getvalue())
    (same,) = small.detect(load_image(file.getvalue()))
    assert factors == [8, 1]
    assert iou(face.bbox, 5 * ASTRONAUT) > MIN_IOU
    assert np.abs(face.bbox - same.bbox).max() < 9  # of 450 pixels
    assert np.abs(face.keypoints - same.keypoints).max() < 5
    assert face.score == pytest.approx(same.score, abs=0.02)
    assert (face.bbox.dtype, face.keypoints.dtype) == (np.float32, np.float32)
    (face,) = asmnet.FaceDetector(threads=1).detect(file.getvalue())
    assert factors == [8, 1, 2]
    assert np.abs(face.bbox - same.bbox).max() < 10


def test_tiles_show_files_at_full_size(photos, tmp_path, monkeypatch):
    with Image.open(photos / "astronaut.png") as image:
        image.convert("RGB").resize((1400, 1400)).save(tmp_path / "a.jpg")
    monkeypatch.setattr("asmnet.detector.TILE_SIDE", 1400)
    shapes = []
    detector = asmnet.FaceDetector(input_size=320, tiles=True, threads=1)
    real = detector._session.run
    monkeypatch.setattr(detector._session, "run", lambda x: shapes.append(x.shape) or real(x))
    detector.detect(tmp_path / "a.jpg")
    assert shapes[1] == (1, 1408, 1408, 3)


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


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_lies_on_its_side_or_upside_down(detector, photos, turns):
    """Phones and scanners leave photos so; the place is that in the photo as it is."""
    upright = np.array(Image.open(photos / "london_006_03.jpg").convert("RGB"))
    height, width = upright.shape[:2]
    (face,) = detector.detect(upright)
    (found,) = detector.detect(np.ascontiguousarray(np.rot90(upright, turns)))
    back = unrotated(found.bbox.reshape(2, 2), turns, width, height)
    assert np.sort(back, axis=0).ravel() == pytest.approx(face.bbox, abs=4)
    points = unrotated(found.keypoints, turns, width, height)
    assert points == pytest.approx(face.keypoints, abs=8)


def test_without_the_retry_an_image_is_taken_as_it_is(photos):
    image = np.array(Image.open(photos / "astronaut.png").convert("RGB"))[::-1, ::-1].copy()
    upside_down = 512 - ASTRONAUT[[2, 3, 0, 1]]
    found = asmnet.FaceDetector(threads=1).detect(image)
    assert iou(found[0].bbox, upside_down) > MIN_IOU
    as_it_is = asmnet.FaceDetector(threads=1, rotated_retry=False).detect(image)
    assert not as_it_is or as_it_is[0].score < found[0].score - 0.05


def test_points_of_a_turned_image_go_back():
    image = np.zeros((4, 7), int)
    image[1, 5] = 1
    for turns in (1, 2, 3):
        (row,), (column,) = np.nonzero(np.rot90(image, turns))
        assert unrotated(np.array([column + 0.5, row + 0.5]), turns, 7, 4).tolist() == [5.5, 1.5]


def test_tiles_find_a_face_that_is_small_in_a_huge_photo(photos):
    image = np.full((3000, 4000, 3), (90, 120, 90), np.uint8)
    face = Image.open(photos / "astronaut.png").convert("RGB").resize((80, 80))
    image[1900:1980, 2700:2780] = np.array(face)
    assert asmnet.FaceDetector(threads=1).detect(image) == []
    (found,) = asmnet.FaceDetector(threads=1, tiles=True).detect(image)
    # The face is at 181–268, 88–179 of 512.
    expected = np.array([2700, 1900, 2700, 1900]) + ASTRONAUT * 80 / 512
    assert iou(found.bbox, expected) > MIN_IOU
