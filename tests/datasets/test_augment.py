"""Changes of the crop, with the generator that is given to them."""

import cv2
import numpy as np
import pytest

from asmnet.datasets.augment import photometric, sheared
from asmnet.geometry import CropTransform
from asmnet.image import crop_image

CROP = CropTransform.from_bbox(np.array([60.0, 50, 140, 150]), 112, margin=1.25, angle=20)


def test_shear_moves_rows_and_keeps_the_middle_and_areas():
    rng = np.random.default_rng(0)
    points = np.random.default_rng(1).uniform(40, 160, (50, 2))
    before, slopes = CROP.apply(points), []
    for _ in range(200):
        changed = sheared(CROP, rng, most=0.1)
        assert changed.invert(np.array([56.0, 56])) == pytest.approx(
            CROP.invert(np.array([56.0, 56]))
        )
        assert changed.scale == pytest.approx(CROP.scale)
        moved = changed.apply(points) - before
        assert moved[:, 1] == pytest.approx(0, abs=1e-9)
        slope = moved[:, 0] / (before[:, 1] - 56)
        assert slope == pytest.approx(slope[0])
        slopes.append(slope[0])
    assert -0.1 <= min(slopes) < -0.08
    assert 0.08 < max(slopes) <= 0.1


def test_pixels_move_with_the_points():
    image = np.zeros((200, 200, 3), np.uint8)
    points = np.array([[80.0, 70], [120, 75], [100, 130]])
    for x, y in points:
        cv2.circle(image, (round(x - 0.5), round(y - 0.5)), 3, (255, 255, 255), -1)
    transform = sheared(CROP, np.random.default_rng(3), most=0.3)
    crop = crop_image(image, transform)
    columns, rows = (transform.apply(points) - 0.5).round().astype(int).T
    assert (crop[rows, columns] > 200).all()


@pytest.mark.parametrize(
    "change", [photometric, lambda _, rng: sheared(CROP, rng, most=0.1).matrix]
)
def test_the_same_generator_gives_the_same_change(change):
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for seed in range(5):
        first, second = (change(image, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first, second)
