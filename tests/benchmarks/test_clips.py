"""Labels lie where the pixels are, and each clip shows what it is named after."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tracking.clips import CLIPS, make_clips
from tracking.pictures import face_photos, faceless_photos, patch_picture
from tracking.render import FACE, HEIGHT, WIDTH, Clip, Layer, Picture

from asmnet.errors import InvalidInputError
from asmnet.geometry import points_box

DOT = np.array([70.3, 55.8])


def dot_picture(alpha=None):
    """A white blob on black whose centre is the label of every point."""
    y, x = np.indices((120, 150)) + 0.5
    blob = 255 * np.exp(-((x - DOT[0]) ** 2 + (y - DOT[1]) ** 2) / (2 * 3.0**2))
    pixels = np.repeat(np.rint(blob).astype(np.uint8)[:, :, None], 3, axis=2)
    return Picture(pixels, alpha, np.array([60.0, 60.0]), 50.0, np.tile(DOT, (68, 1)))


def clean(layers, length=1):
    return Clip("dot", length, layers, noise=0, quality=lambda _: None)


def centroid(image):
    weight = image[:, :, 0].astype(float)
    y, x = np.indices(weight.shape) + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("alpha", [None, np.ones((120, 150), np.float32)])
@pytest.mark.parametrize("place", [(320, 240, 50, 0), (301.37, 222.81, 81, 25), (90, 400, 40, -70)])
def test_pixels_land_where_the_label_says(place, alpha):
    (frame,) = clean((Layer(dot_picture(alpha), lambda _: place),)).frames()
    assert frame.image.shape == (HEIGHT, WIDTH, 3)
    assert centroid(frame.image) == pytest.approx(frame.faces[0].landmarks[0], abs=0.05)


def test_the_blur_of_a_motion_is_centred_on_its_label():
    frames = list(
        clean(
            (Layer(dot_picture(), lambda t: (200 + 25 * t, 240 - 9.5 * t, 60, 3 * t)),), 4
        ).frames()
    )
    for frame in frames:
        assert centroid(frame.image) == pytest.approx(frame.faces[0].landmarks[0], abs=0.05)
    assert frames[0].image.max() < 250  # smeared
    assert [frame.seconds for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30, 0.1])


def test_a_patch_hides_pixels_and_truth():
    patch = patch_picture(np.full((40, 60, 3), 9, np.uint8), 1.0)
    face = Layer(dot_picture(), lambda _: (320, 240, 50, 0))
    covered, beside = (
        next(clean((face, Layer(patch, lambda _, x=x: (x, 240, 60, 0)))).frames())
        for x in (330, 430)
    )
    assert covered.image[240 - 20 : 240 + 10, 320 : 320 + 20].max() == 9
    assert [f.visible for f in covered.faces] == [False]
    assert [f.visible for f in beside.faces] == [True]


def test_a_face_outside_of_the_frame_is_no_truth():
    clip = clean((Layer(dot_picture(), lambda _: (-100, 240, 50, 0)),))
    assert clip.faces(0) == []


@pytest.fixture(scope="module")
def clips(data):
    faces, backgrounds = face_photos(data, "train"), faceless_photos(data, "train")
    return {clip.name: clip for clip in make_clips(faces, backgrounds, 1)}


def presence(clip):
    """(T, P) 0 not in the frame, 1 covered, 2 visible."""
    table = np.zeros((clip.length, clip.people), dtype=int)
    for t in range(clip.length):
        for face in clip.faces(t):
            table[t, face.person] = 1 + face.visible
    return table


def path(clip):
    """(T, 2) of the only person's centre."""
    return np.array([clip.faces(t)[0].landmarks.mean(axis=0) for t in range(clip.length)])


def test_every_clip_is_made_in_order(clips):
    assert tuple(clips) == CLIPS


@pytest.mark.parametrize("name", CLIPS)
def test_visible_people_are_no_more_than_announced(clips, name):
    table = presence(clips[name])
    assert (table > 0).sum(axis=1).max(initial=0) <= clips[name].at_once
    assert (table == 2).any(axis=0).all()


@pytest.mark.parametrize("name", ["still", "light", "compression"])
def test_resting_faces_rest(clips, name):
    assert clips[name].still
    assert np.ptp(path(clips[name]), axis=0) == pytest.approx(0)


def test_a_video_plays_twice_alike_and_its_noise_is_fresh(clips):
    short = replace(clips["still"], length=2)
    first, second = (list(short.frames()) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0].image, first[1].image)


def test_light_changes_and_pixels_with_it(clips):
    clip = replace(clips["light"], length=62)
    means = [frame.image.mean() for frame in clip.frames()]
    assert max(means) > 2 * means[60]


def test_jpeg_quality_alternates(clips):
    assert [clips["compression"].quality(t) for t in range(3)] == [20, 40, 20]


def test_fast_moves_half_a_face_in_five_frames_and_rests(clips):
    steps = np.linalg.norm(np.diff(path(clips["fast"]), axis=0), axis=1)
    moved = np.convolve(steps, np.ones(5), "valid")
    assert moved.max() == pytest.approx(FACE / 2)
    assert (steps == 0).sum() > len(steps) / 2


def test_the_board_covers_the_face_for_a_second_and_goes(clips):
    (column,) = presence(clips["occluder"]).T
    covered = 70 + np.flatnonzero(column[70:] == 1)
    assert 30 <= len(covered) <= 60
    assert (np.diff(covered) == 1).all()
    assert (column[:20] == 2).all()
    assert (column[-20:] == 2).all()


def test_a_cut_changes_the_person(clips):
    table = presence(clips["cut"])
    assert ((table == 2).sum(axis=1) == 1).all()
    assert table.argmax(axis=1)[[34, 35, 70, 105]].tolist() == [0, 1, 2, 0]


def test_one_of_two_passes_before_the_other(clips):
    front, behind = presence(clips["crossing"]).T
    assert (front == 2).all()
    assert 10 < (behind == 1).sum() < 60
    assert (behind[[0, 80, -1]] == 2).all()


def test_one_leaves_before_the_other_enters(clips):
    table = presence(clips["enter"])
    last, first = np.flatnonzero(table[:, 0])[-1], np.flatnonzero(table[:, 1])[0]
    assert first - last > 5
    assert table[[0, -1]].tolist() == [[2, 0], [0, 2]]


def test_faces_are_of_the_promised_size(clips):
    for name in CLIPS[:-1]:
        for t in (0, 30, 60):
            for face in clips[name].faces(t):
                box = points_box(face.landmarks)
                assert 105 < (box[2:] - box[:2]).max() < 230, name


def test_photos_with_other_faces_are_left_out(data, tmp_path):
    shutil.copytree(data / "300w", tmp_path / "300w")
    before = face_photos(tmp_path, "train")
    table = tmp_path / "300w" / "faces.csv"
    lines = table.read_text().splitlines()
    name = before[0].image.relative_to(tmp_path / "300w").with_suffix("").as_posix()
    lines += [line for line in lines if line.startswith(f"{name},")]
    table.write_text("\n".join(lines) + "\n")
    after = face_photos(tmp_path, "train")
    assert [face.image for face in after] == [face.image for face in before[1:]]


def test_too_few_photos_say_so(tmp_path):
    (tmp_path / "300w").mkdir()
    with pytest.raises(InvalidInputError, match="at least 3 photos of one whole face for val"):
        face_photos(tmp_path, "val")
    with pytest.raises(InvalidInputError, match="at least 4 photos without faces for val, got 0"):
        faceless_photos(tmp_path, "val")
