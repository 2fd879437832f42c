"""A made photo for tests of training pictures: labels are followed by a dot."""

from pathlib import Path

import numpy as np

from asmnet.datasets.detection import DetectionPhoto, ellipse
from asmnet.training.detection.material import Photo, pyramid

SIDE = 200
DOT = np.array([90.0, 120.0])  # where the five key points of the made face are
BOX = np.array([60.0, 80.0, 130.0, 150.0])


def dotted_photo() -> Photo:
    """A dark photo with a bright round dot, whose middle is each key point of its one face."""
    centres = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=2) + 0.5
    distance = np.linalg.norm(centres - DOT, axis=2)
    image = np.repeat((235 * np.exp(-((distance / 9) ** 2)) + 20)[..., None], 3, axis=2)
    labels = DetectionPhoto(
        Path("made.jpg"), "crowds", [ellipse(BOX)], np.tile(DOT, (1, 5, 1)), np.zeros((0, 4))
    )
    return Photo(labels, pyramid(image.astype(np.uint8)))


def brightest(image, place, reach) -> np.ndarray:
    """The middle of the light near a place, counted from the corner."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    light = np.clip(image[:, :, 0].astype(float) - 60, 0, None)
    light[np.hypot(x - place[0], y - place[1]) > reach] = 0
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()
