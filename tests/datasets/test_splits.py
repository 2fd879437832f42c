import csv

import numpy as np
import pytest

from asmnet.datasets.records import LabelError, read_pts
from asmnet.datasets.splits import (
    part_of,
    pointing_rotations,
    read_300w,
    read_backgrounds,
    read_pointing04,
    read_youtube_faces,
)
from asmnet.geometry import euler_to_rotation, rotation_to_euler


def test_300w_parts_are_disjoint_and_complete(data):
    parts = {split: {f.image for f in read_300w(data, split)} for split in ("train", "val", "test")}
    assert len(parts["test"]) == 5
    assert all("testset" in str(path) for path in parts["test"])
    assert len(parts["train"] | parts["val"]) == 22
    assert not parts["train"] & parts["val"]
    assert parts["val"]


def test_points_and_rotation_of_a_face(data):
    face = read_300w(data, "train")[0]
    assert face.landmarks.shape == (68, 2)
    assert rotation_to_euler(face.rotation) == pytest.approx([5, -10, 3], abs=1e-3)


def test_the_part_depends_on_the_name_only():
    assert part_of("anna") == part_of("anna")
    share = np.mean([part_of(f"person {i}") == "val" for i in range(2000)])
    assert 0.06 < share < 0.11


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n", "between lines"),
        ("{\n1 2\n3 x\n}\n", r"line 3: expected 2 finite numbers, got '3 x'"),
        ("{\n1 2 3\n}\n", "line 2: expected 2 finite numbers"),
        ("{\n1 2\n}\n", "line 3: expected 68 points, got 1"),
        ("{\n" + 67 * "1 2\n" + "nan 1\n}\n", "line 69: expected 2 finite numbers, got 'nan 1'"),
    ],
)
def test_a_broken_label_names_file_and_line(tmp_path, text, message):
    path = tmp_path / "face.pts"
    path.write_text(text)
    with pytest.raises(LabelError, match=message) as error:
        read_pts(path)
    assert "face.pts" in str(error.value)


def test_a_label_without_a_photo_is_named(tmp_path):
    folder = tmp_path / "300w" / "afw"
    folder.mkdir(parents=True)
    for i in range(30):  # some of them belong to the training part
        (folder / f"{i}.pts").write_text("{\n}\n")
    with pytest.raises(LabelError, match=r"\d+\.pts: expected a photo of that name beside it"):
        read_300w(tmp_path, "train")


@pytest.mark.parametrize(
    ("folder", "name", "text", "message"),
    [
        ("pointing04", "labels.csv",
         "file,person,tilt_deg,pan_deg,box_cx,box_cy,box_w,box_h\na.jpg,9,0,0,1,2,3,x\n",
         "labels.csv, line 2: expected 7 finite numbers"),
        ("pointing04", "labels.csv",
         "file,person,tilt_deg,pan_deg,box_cx,box_cy,box_w,box_h\na.jpg,9,0\n",
         "labels.csv, line 2: expected 7 finite numbers"),
        ("backgrounds", "faces.csv", "file,x,y,w,h,score\na.jpg,1,2,3,4,nan\n",
         "faces.csv, line 2: expected 5 finite numbers"),
        ("youtube_faces", "landmarks68.csv", "Anna_01.jpg,1,2,3\n",
         "landmarks68.csv, line 1: expected 136 finite numbers"),
    ],
)  # fmt: skip
def test_a_broken_row_names_file_and_line(tmp_path, folder, name, text, message):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / name).write_text(text)
    readers = {
        "pointing04": lambda: read_pointing04(tmp_path, "test"),
        "backgrounds": lambda: read_backgrounds(tmp_path, "test"),
        "youtube_faces": lambda: read_youtube_faces(tmp_path, part_of("Anna")),
    }
    with pytest.raises(LabelError, match=message):
        readers[folder]()


def test_pointing_people_and_signs(data):
    people = {
        split: {p.person for p in read_pointing04(data, split)}
        for split in ("train", "val", "test")
    }
    assert people == {"train": {1, 2}, "val": {8}, "test": {9}}
    pose = next(p for p in read_pointing04(data, "train") if p.pan == -60)
    assert (pose.tilt, pose.box) == (30, (45, 45, 115, 115))


def test_pointing_targets_lie_between_label_and_pseudo_label(data):
    """All made photos have one pseudo-label, so that its stretched angles are one constant."""
    poses, rotations = pointing_rotations(data, "train")
    pitch, yaw, roll = rotation_to_euler(np.array(rotations)).T
    tilt, pan = np.array([(pose.tilt, pose.pan) for pose in poses]).T
    assert 2 * pitch - tilt == pytest.approx(np.full(len(poses), 2 * pitch[0] - tilt[0]))
    # Yaw takes the label only where the head is turned far: at pan 0 and -60 with little tilt not.
    middle = (abs(pan) <= 60) & (abs(tilt) <= 30)
    assert yaw[middle] == pytest.approx(np.full(middle.sum(), yaw[middle][0]))
    constant = 2 * yaw[middle][0]  # pseudo-label and stretched pseudo-label
    assert 3 * yaw[~middle] - pan[~middle] == pytest.approx(np.full((~middle).sum(), constant))
    assert roll == pytest.approx(3)


def test_pointing_targets_stretch_a_shrunk_pseudo_label(data):
    folder = data / "pointing04"
    rows = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
    seen = [(float(r["tilt_deg"]) / 2, float(r["pan_deg"]) / 1.5, 0.0) for r in rows]
    rotations = euler_to_rotation(np.array(seen))
    np.savez(folder / "pseudo_labels.npz", name=[r["file"] for r in rows], rotation=rotations)
    poses, rotations = pointing_rotations(data, "val")
    for pose, rotation in zip(poses, rotations, strict=True):
        pitch, yaw, _ = rotation_to_euler(rotation)
        assert pitch == pytest.approx(pose.tilt, abs=1e-6)  # here the stretched one is the label
        if pose.pan == -60:
            assert yaw == pytest.approx((-40 - 60) / 2)
        if pose.pan == 90:
            assert yaw == pytest.approx((60 + 90 + 90) / 3)


def test_backgrounds_for_testing_are_never_trained_on(data):
    parts = [{path for path, _ in read_backgrounds(data, s)} for s in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12
    assert all(parts)


def test_missing_sets_are_left_out(tmp_path):
    assert read_300w(tmp_path, "train") == []
    assert read_youtube_faces(tmp_path, "train") == []
    assert read_pointing04(tmp_path, "train") == []
