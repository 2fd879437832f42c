from dataclasses import replace

import numpy as np
from PIL import Image

import asmnet
from asmnet.draw import AXES, BOX


def test_each_thing_is_drawn(analyzer, photos):
    image = np.zeros((512, 512, 3), np.uint8)
    (face,) = analyzer.detect(photos / "astronaut.png")
    drawn = asmnet.draw_faces(image, [face])
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    pixels = drawn.reshape(-1, 3).astype(int)
    for colour in (BOX, *AXES):  # thin lines are blended with what lies below
        assert np.abs(pixels - colour).max(axis=1).min() < 60, colour
    for x, y in face.landmarks[27:36].round().astype(int):
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].max() > 100


def test_a_face_far_right_in_a_panorama_is_drawn(analyzer, photos):
    (face,) = analyzer.detect(photos / "astronaut.png")
    far = 110_000
    moved = replace(
        face,
        bbox=face.bbox + np.float32([far, 0, far, 0]),
        landmarks=face.landmarks + np.float32([far, 0]),
        track_id=3,
    )
    panorama = np.zeros((200, far + 400, 3), np.uint8)
    near = asmnet.draw_faces(panorama[:, :400], [replace(face, track_id=3)])
    drawn = asmnet.draw_faces(panorama, [moved])[:, far:]
    assert near.any(axis=2).sum() > 1000
    assert (drawn != near).any(axis=2).sum() < 300  # float32 rounds the far points


def test_the_number_of_a_tracked_face_is_drawn(analyzer, photos):
    image = np.full((512, 512, 3), 128, np.uint8)
    (face,) = analyzer.detect(photos / "astronaut.png")
    plain, first, second = (
        asmnet.draw_faces(image, [replace(face, track_id=number)]) for number in (None, 0, 17)
    )
    right, top = int(face.bbox[2]), int(face.bbox[1])
    for drawn in (first, second):
        changed = (drawn != plain).any(axis=2)
        assert changed[top - 5 : top + 30, right + 2 : right + 50].sum() > 30
        assert changed.sum() == changed[top - 5 : top + 30, right - 5 : right + 50].sum()
    assert (first != second).any()


def test_no_faces_give_a_copy():
    image = np.full((5, 6, 3), 7, np.uint8)
    drawn = asmnet.draw_faces(image, [])
    assert np.array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_bgr_and_grey_become_rgb():
    image = np.zeros((5, 6, 3), np.uint8)
    image[:, :, 0] = 200
    assert asmnet.draw_faces(image, [], channel_order="bgr")[0, 0].tolist() == [0, 0, 200]
    assert asmnet.draw_faces(Image.new("L", (6, 5)), []).shape == (5, 6, 3)


def test_faces_far_outside_do_no_harm():
    landmarker = asmnet.FaceLandmarker()
    image = np.zeros((50, 50, 3), np.uint8)
    faces = landmarker.predict(image, [[-9e5, -9e5, 9e5, 9e5], [2e5, 2e5, 3e5, 3e5]])
    assert asmnet.draw_faces(image, faces).shape == image.shape
