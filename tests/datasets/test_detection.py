"""Readers of the detector's sets, on files in their formats."""

import numpy as np
import pytest
from PIL import Image

from asmnet import FaceLandmarker
from asmnet.datasets.detection import (
    crowd_part,
    ellipse,
    read_crowds,
    read_facemask,
    read_fgnet,
    read_open,
    read_single_faces,
    read_utkface,
    refine,
    tight_boxes,
)
from asmnet.datasets.splits import read_300w
from asmnet.geometry import points_box
from asmnet.image import load_image

POINTS = "a,b,c,d,e,f,g,h,i,j"
NUMBERS = ",".join(str(n) for n in range(1, 11))


@pytest.fixture
def root(tmp_path):
    for folder in ("crowds", "facemask", "utkface", "fgnet"):
        (tmp_path / folder / "images").mkdir(parents=True)
    crowds = tmp_path / "crowds"
    for i in range(20):
        Image.new("RGB", (64, 48)).save(crowds / "images" / f"{i}.jpg")
    header = f"file,x,y,w,h,{POINTS},score\n"
    (crowds / "faces.csv").write_text(header + f"3.jpg,10,20,10,20,{NUMBERS},0.9\n")
    (crowds / "faces_low.csv").write_text(header + f"3.jpg,30,20,4,5,{NUMBERS},0.4\n")
    masks = "file,label,x0,y0,x1,y1\n" + "".join(f"{i}.png,with_mask,1,2,3,4\n" for i in range(20))
    (tmp_path / "facemask" / "boxes.csv").write_text(masks)
    rows = "".join(
        f"{i}.jpg,34,0,1,1,2,30,40,{NUMBERS},{0.9 if i % 2 else 0.5}\n" for i in range(20)
    )
    header = f"file,age,sex,race,x0,y0,x1,y1,{POINTS},score\n"
    (tmp_path / "utkface" / "faces.csv").write_text(header + rows)
    np.savez(
        tmp_path / "fgnet" / "points.npz",
        name=np.array(["001a02.jpg", "002a03.jpg", "003a04.jpg"]),
        person=np.array([1, 2, 3]),
        points=np.arange(3 * 68 * 2, dtype=np.float32).reshape(3, 68, 2),
    )
    return tmp_path


def test_crowds_have_faces_places_to_ignore_and_negatives(root):
    photos = {p.image.name: p for part in ("train", "val") for p in read_crowds(root, part)}
    assert len(photos) == 20
    shown = photos["3.jpg"]
    # From YuNet's box 10, 20, 10 wide, 20 high to its part from brows to chin.
    assert points_box(shown.outlines[0]) == pytest.approx([9.92, 24.9, 20.24, 40.1])
    assert shown.keypoints.tolist() == [[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]]
    assert shown.ignored.tolist() == [[30, 20, 34, 25]]
    assert photos["4.jpg"].outlines == []
    assert photos["4.jpg"].keypoints.shape == (0, 5, 2)


@pytest.mark.parametrize("reader", [read_crowds, read_facemask, read_utkface, read_fgnet])
def test_no_photo_is_in_both_parts(root, reader):
    parts = [{photo.image.name for photo in reader(root, part)} for part in ("train", "val")]
    assert parts[0]
    assert not parts[0] & parts[1]


def test_about_one_photo_in_five_validates():
    parts = [crowd_part(f"{i}.jpg") for i in range(1000)]
    assert 150 < parts.count("val") < 250


def test_masks_have_no_key_points(root):
    photos = read_facemask(root, "train")
    assert np.isnan(photos[0].keypoints).all()
    assert points_box(photos[0].outlines[0]) == pytest.approx([1, 2, 3, 4])


def test_teacher_s_unsure_faces_are_ignored(root):
    photos = read_utkface(root, "train") + read_utkface(root, "val")
    assert {len(photo.outlines) for photo in photos} == {0, 1}
    for photo in photos:
        assert len(photo.outlines) + len(photo.ignored) == 1


def test_people_of_fgnet_are_split(root):
    assert [p.image.name for p in read_fgnet(root, "val")] == ["001a02.jpg"]
    assert [p.outlines[0].shape for p in read_fgnet(root, "train")] == [(68, 2)] * 2


def test_missing_sets_are_left_out(tmp_path):
    for reader in (read_crowds, read_facemask, read_open, read_utkface, read_fgnet):
        assert reader(tmp_path, "train") == []


def test_a_landmark_network_betters_a_teacher_s_box(root, photos):
    path = photos / "astronaut.png"
    (photo,) = (p for part in ("train", "val") for p in read_crowds(root, part) if p.outlines)
    rough = np.array([175.0, 95, 280, 190])
    keypoints = np.array([[[205, 106], [246, 105], [226, 128], [209, 146], [244, 146]]], float)
    object.__setattr__(photo, "outlines", [ellipse(rough)])
    object.__setattr__(photo, "keypoints", keypoints)
    better = refine(photo, load_image(path), FaceLandmarker(threads=1))
    assert better.outlines[0].shape == (68, 2)
    assert points_box(better.outlines[0]) == pytest.approx([181, 88, 268, 179], abs=8)


def test_where_no_face_is_seen_a_label_stays(root):
    (photo,) = (p for part in ("train", "val") for p in read_crowds(root, part) if p.outlines)
    object.__setattr__(photo, "outlines", [ellipse(np.array([100.0, 100, 180, 190]))])
    same = refine(photo, np.full((300, 300, 3), 90, np.uint8), FaceLandmarker(threads=1))
    assert np.array_equal(same.outlines[0], photo.outlines[0])


def test_tight_boxes_of_none():
    assert tight_boxes(np.zeros((0, 4))).shape == (0, 4)


def test_detection_takes_the_label_once_and_no_test_photo(data):
    photos = read_single_faces(data, "train")
    assert len(photos) == len(read_300w(data, "train")) + 6
    assert all(len(photo.outlines) == 1 for photo in photos)
    assert not any("testset" in str(p.image) or "person09" in str(p.image) for p in photos)
    assert photos[0].outlines[0].shape == (68, 2)


def test_ellipse_fills_its_box():
    box = np.array([10.0, 20, 40, 90])
    assert points_box(ellipse(box)) == pytest.approx(box)
