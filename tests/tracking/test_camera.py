"""How the camera has moved, and that tracks go with it."""

import cv2
import numpy as np
import pytest

from asmnet import FaceTracker
from asmnet.image import load_image, warp
from asmnet.tracking.camera import CameraMotion


def window(photo, x: float, y: float, scale: float = 0.5):
    """480 x 360 pixels of the photo, scaled, whose corner lies at (x, y)."""
    return warp(photo, np.array([[scale, 0, -x], [0, scale, -y]]), (480, 360))


@pytest.fixture(scope="module")
def crew(photos):
    return cv2.resize(load_image(photos / "apollo11_crew.jpg"), (1440, 1110))


@pytest.mark.parametrize("moved", [(0, 0), (7.5, -4), (-23, 11)])
def test_a_shift_of_the_frame_is_measured_in_its_pixels(crew, moved):
    camera = CameraMotion()
    assert not camera.shift(window(crew, 60, 40)).any()  # nothing to compare it with
    seen = camera.shift(window(crew, 60 - moved[0], 40 - moved[1]))
    np.testing.assert_allclose(seen, moved, atol=1.5)


def test_what_cannot_be_compared_has_not_moved(crew):
    camera = CameraMotion()
    camera.shift(window(crew, 60, 40))
    noise = np.random.default_rng(0).integers(0, 256, (360, 480, 3), dtype=np.uint8)
    assert not camera.shift(noise).any()
    assert not camera.shift(noise[:200]).any()  # another size
    camera.restart()
    assert not camera.shift(noise[:200]).any()


def test_small_faces_are_followed_in_a_trembling_hand(crew, monkeypatch):
    scale = 0.3
    middle = (np.array(crew.shape[1::-1]) * scale - [480, 360]) / 2
    places = middle + np.random.default_rng(4).uniform(-26, 26, (16, 2))

    def followed() -> float:
        tracker = FaceTracker(threads=1, detect_every=100)
        frames = [window(crew, x, y, scale) for x, y in places]
        return np.mean([len(tracker.update(f, t / 30)) for t, f in enumerate(frames)])

    with_motion = followed()
    monkeypatch.setattr(CameraMotion, "shift", lambda *_: np.zeros(2))
    assert with_motion > 2.7
    assert followed() < 2.4
