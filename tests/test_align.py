"""Aligned crops, and the openness of eyes and mouth."""

from dataclasses import replace

import numpy as np
import pytest

import asmnet
from asmnet.align import ARCFACE_TEMPLATE


@pytest.fixture(scope="module")
def face(photos):
    return asmnet.detect(photos / "astronaut.png")[0]


def test_the_key_points_land_on_the_template(face):
    for size in (112, 200):
        transform = asmnet.align_transform(face, size=size)
        keypoints = transform.apply(face.scheme.keypoints @ face.landmarks)
        # A similarity cannot fit five points of a real face exactly.
        assert np.abs(keypoints - size * ARCFACE_TEMPLATE).max() < 0.07 * size


def test_the_transform_is_a_similarity_and_exact_where_it_can_be(face):
    transform = asmnet.align_transform(face)
    linear = transform.matrix[:, :2]
    assert np.allclose(linear @ linear.T, transform.scale**2 * np.eye(2))
    keypoints = face.scheme.keypoints @ face.landmarks
    own = asmnet.align_transform(face, size=50, template=keypoints / 50)
    assert np.allclose(own.matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_a_turned_photo_gives_the_same_crop(photos):
    photo = asmnet.image.load_image(photos / "astronaut.png")
    turned = np.ascontiguousarray(np.rot90(photo))
    face = asmnet.detect(photo)[0]
    x, y = face.landmarks.T
    # The face in the photo that was turned by 90° to the left.
    moved = replace(face, landmarks=np.stack([y, photo.shape[1] - x], axis=1))
    a, b = asmnet.aligned_crop(photo, face), asmnet.aligned_crop(turned, moved)
    assert a.shape == b.shape == (112, 112, 3)
    assert a.dtype == np.uint8
    assert np.abs(a.astype(int) - b).mean() < 0.5


def test_channel_order_and_outside(photos):
    photo = asmnet.image.load_image(photos / "astronaut.png")
    face = asmnet.detect(photo)[0]
    rgb = asmnet.aligned_crop(photo, face)
    assert np.array_equal(rgb, asmnet.aligned_crop(photo[:, :, ::-1], face, channel_order="bgr"))
    far = replace(face, landmarks=face.landmarks - 10_000)
    assert not asmnet.aligned_crop(photo, far).any()


@pytest.mark.parametrize("size", [0, -3, 1.5])
def test_a_bad_size(face, size):
    with pytest.raises(asmnet.InvalidInputError, match="size: expected a positive int"):
        asmnet.align_transform(face, size=size)


def test_a_bad_template_or_face(face):
    with pytest.raises(asmnet.InvalidInputError, match=r"shape \(5, 2\), got \(4, 2\)"):
        asmnet.align_transform(face, template=np.zeros((4, 2)))
    with pytest.raises(asmnet.InvalidInputError, match="got one place"):
        asmnet.align_transform(replace(face, landmarks=np.zeros((68, 2), np.float32)))


def with_outline(face, group, width, opening):
    """The face with a part opened: corners ``width`` apart, lids or lips ``opening``."""
    points = face.landmarks.copy()
    indices = face.scheme.groups[group]
    half = len(indices) // 2
    x = np.linspace(0, width, half + 1)
    points[indices[: half + 1]] = np.stack(
        [x, np.r_[0, np.full(half - 1, -opening / 2), 0]], axis=1
    )
    points[indices[half + 1 :]] = np.stack([x[-2:0:-1], np.full(half - 1, opening / 2)], axis=1)
    return replace(face, landmarks=points)


@pytest.mark.parametrize("scheme", [asmnet.IBUG_68, asmnet.WFLW_98])
def test_openness_is_opening_over_width(face, scheme):
    blank = replace(face, landmarks=np.zeros((len(scheme), 2), np.float32), scheme=scheme)
    opened = with_outline(with_outline(blank, "right_eye", 30, 9), "left_eye", 20, 1)
    assert asmnet.eye_openness(opened) == pytest.approx((0.3, 0.05))
    assert asmnet.mouth_openness(with_outline(blank, "inner_lip", 40, 20)) == pytest.approx(0.5)
    assert asmnet.mouth_openness(blank) == 0


def test_openness_on_photos(photos):
    for name in ("astronaut.png", "london_006_03.jpg", "london_130_03.jpg"):
        face = asmnet.detect(photos / name)[0]
        assert all(0.15 < ratio < 0.5 for ratio in asmnet.eye_openness(face))
    smiling = asmnet.detect(photos / "astronaut.png")[0]
    closed = asmnet.detect(photos / "london_006_03.jpg")[0]
    assert asmnet.mouth_openness(smiling) > asmnet.mouth_openness(closed)
