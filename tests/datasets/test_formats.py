"""Small sets in their authors' formats, and what is said of broken ones."""

import re

import cv2
import numpy as np
import pytest

savemat = pytest.importorskip("scipy.io").savemat

from asmnet import WFLW_98  # noqa: E402
from asmnet.datasets.formats import (  # noqa: E402
    VIDEOS_300VW,
    read_300vw,
    read_300w_lp_files,
    read_300w_test,
    read_aflw2000,
    read_pointing04_files,
    read_wflw,
)
from asmnet.datasets.records import LabelError  # noqa: E402
from asmnet.datasets.splits import read_pointing04  # noqa: E402
from asmnet.geometry import rotation_to_euler  # noqa: E402

POINTS = np.random.default_rng(0).uniform(10, 90, (98, 2)).round(3)


def photo(path, side=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((side, side, 3), 90, np.uint8))


def pts(path, points=POINTS[:68]):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    path.write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")


def test_300w(tmp_path):
    for part in ("helen/testset", "lfpw/testset", "ibug", "helen/trainset"):
        photo(tmp_path / part / "1.png")
        pts(tmp_path / part / "1.pts")
    faces = read_300w_test(tmp_path)
    subsets = [sorted(face.subsets) for face in faces]
    assert subsets == [["common"], ["common"], ["challenging"]]
    assert faces[0].landmarks == pytest.approx(POINTS[:68])


def wflw_line(attributes="1 0 0 0 0 1", points=POINTS, name="51--Dresses/a_51.jpg"):
    return " ".join(f"{v:.6f}" for v in points.ravel()) + f" 10 10 90 90 {attributes} {name}"


def wflw(folder, *lines):
    path = folder / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    path.mkdir(parents=True)
    (path / "list_98pt_rect_attr_test.txt").write_text("\n".join(lines) + "\n")


def test_wflw(tmp_path):
    wflw(tmp_path, wflw_line(), wflw_line("0 0 0 0 0 0", name="0--Parade/two words.jpg"))
    first, second = read_wflw(tmp_path, "test")
    assert first.landmarks == pytest.approx(POINTS)
    assert first.scheme is WFLW_98
    assert first.subsets == {"pose", "blur"}
    assert first.image == tmp_path / "WFLW_images" / "51--Dresses" / "a_51.jpg"
    assert second.image.name == "two words.jpg"
    assert second.subsets == frozenset()
    with pytest.raises(LabelError, match=r"list_98pt_rect_attr_train.txt: cannot be read"):
        read_wflw(tmp_path, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (wflw_line("1 0 0 0 0"), "expected 206 finite numbers"),
        (wflw_line("1 0 2 0 0 1"), "expected attributes 0 or 1"),
        (wflw_line(points=POINTS * np.nan), "expected 206 finite numbers"),
        ("", "expected 206 finite numbers"),
    ],
)
def test_broken_wflw(tmp_path, line, message):
    wflw(tmp_path, wflw_line(), line, wflw_line())
    with pytest.raises(LabelError, match=f"list_98pt_rect_attr_test.txt, line 2: {message}"):
        read_wflw(tmp_path, "test")


def pose(pitch, yaw, roll):
    return np.radians([[pitch, yaw, roll, 0, 0, 0, 0]])


def test_aflw2000(tmp_path):
    for name, angles in (("image00002", (10, -35, 5)), ("image00004", (3, 101, 2))):
        photo(tmp_path / f"{name}.jpg")
        in_space = np.vstack([POINTS[:68].T, np.zeros(68)])
        savemat(
            tmp_path / f"{name}.mat",
            {"Pose_Para": pose(*angles), "pt3d_68": in_space, "pt2d": POINTS[:21].T},
        )
    near, far = read_aflw2000(tmp_path)
    assert near.landmarks == pytest.approx(POINTS[:68])
    assert rotation_to_euler(near.rotation) == pytest.approx([10, -35, 5])
    assert far.rotation is None  # the evaluation of the pose leaves it out


def lp(folder, name="HELEN_1_1_0", content=None, landmarks=None):
    photo(folder / "HELEN" / f"{name}.jpg")
    savemat(folder / "HELEN" / f"{name}.mat", content or {"Pose_Para": pose(-5, 60, 1)})
    (folder / "landmarks" / "HELEN").mkdir(parents=True, exist_ok=True)
    both = {"pts_2d": POINTS[:68], "pts_3d": POINTS[30:98]}
    savemat(folder / "landmarks" / "HELEN" / f"{name}_pts.mat", landmarks or both)


def test_300w_lp(tmp_path):
    lp(tmp_path)
    photo(tmp_path / "HELEN_Flip" / "HELEN_1_1_0.jpg")
    (face,) = read_300w_lp_files(tmp_path)
    assert face.landmarks == pytest.approx(POINTS[:68])
    assert rotation_to_euler(face.rotation) == pytest.approx([-5, 60, 1])
    assert face.subsets == {"HELEN"}
    (face,) = read_300w_lp_files(tmp_path, "pts_3d")
    assert face.landmarks == pytest.approx(POINTS[30:98])


@pytest.mark.parametrize(
    ("content", "landmarks", "message"),
    [
        ({"Other": 1}, None, r"HELEN_1_1_0.mat: expected Pose_Para .* got none"),
        ({"Pose_Para": [[0, np.nan, 0, 0, 0, 0, 0]]}, None, "finite numbers in Pose_Para"),
        (None, {"pts_2d": POINTS}, r"_pts.mat: expected pts_2d .* got shape \(98, 2\)"),
        (None, {"pts_2d": "text"}, "_pts.mat: expected pts_2d with numbers"),
    ],
)
def test_broken_300w_lp(tmp_path, content, landmarks, message):
    lp(tmp_path, content=content, landmarks=landmarks)
    with pytest.raises(LabelError, match=message):
        read_300w_lp_files(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text" * 100, None])
def test_a_file_that_is_no_matlab_file(tmp_path, content):
    lp(tmp_path)
    path = tmp_path / "HELEN" / "HELEN_1_1_0.mat"
    path.write_bytes(path.read_bytes()[:150] if content is None else content)
    with pytest.raises(LabelError, match=r"HELEN_1_1_0\.mat: expected a MATLAB file"):
        read_300w_lp_files(tmp_path)


@pytest.fixture
def video(tmp_path):
    """Five frames, each brighter than the one before, with labels that move to the right."""
    folder = tmp_path / "300vw" / "410"
    folder.mkdir(parents=True)
    writer = cv2.VideoWriter(str(folder / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    for number in range(1, 6):
        writer.write(np.full((64, 64, 3), (40 * number, 0, 0), np.uint8))
        pts(folder / "annot" / f"{number:06}.pts", POINTS[:68] + number)
    writer.release()
    return folder


def test_300vw(video):
    (only,) = read_300vw(video.parent, "test")
    assert only.subsets == {"category 3"}
    frames = list(only.frames())
    assert len(frames) == 5
    for number, (image, face) in enumerate(frames, start=1):
        assert face.landmarks == pytest.approx(POINTS[:68] + number)
        assert image[..., 2].mean() == pytest.approx(40 * number, abs=6)  # blue comes last
    assert read_300vw(video.parent, "train") == []
    video.rename(video.with_name("001"))
    assert [v.subsets for v in read_300vw(video.parent, "train")] == [frozenset()]


def test_300vw_s_test_videos():
    assert [len(videos) for videos in VIDEOS_300VW.values()] == [31, 19, 14]


def test_broken_300vw(video):
    (only,) = read_300vw(video.parent, "test")
    (video / "annot" / "000003.pts").unlink()
    assert len(list(only.frames())) == 4
    pts(video / "annot" / "000009.pts")
    with pytest.raises(LabelError, match=r"000009.pts: .*vid.avi has 5 frames only"):
        list(only.frames())
    (video / "annot" / "000002.pts").write_text("{\n1 2\n1 x\n}\n")
    with pytest.raises(LabelError, match=r"000002\.pts, line 3: expected 2 finite numbers"):
        list(only.frames())


def pointing(folder, name="person09146+15-90", text="{name}.jpg\nFace\n\n192\n237\n126\n94\n"):
    part = folder / f"Person{name[6:8]}"
    photo(part / f"{name}.jpg")
    (part / f"{name}.txt").write_text(text.format(name=name))


def test_pointing04(tmp_path):
    folder = tmp_path / "pointing04"
    pointing(folder)
    pointing(folder, "person01100-90+0", "person01100-90+0.jpg Face 10 20 4 8")
    pointing(folder / "Front", "person01146+0+0")  # copies of the frontal photos
    front, other = read_pointing04_files(folder)
    assert (front.person, front.tilt, front.pan, front.box) == (1, -90, 0, (8, 16, 12, 24))
    assert (other.person, other.tilt, other.pan) == (9, 15, -90)
    assert other.box == (192 - 63, 237 - 47, 192 + 63, 237 + 47)
    assert other.image.exists()
    # The same people as with labels.csv are for testing.
    assert [p.person for p in read_pointing04(tmp_path, "test")] == [9]
    assert [p.person for p in read_pointing04(tmp_path, "train")] == [1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("person09146+15-90", "{name}.jpg\nFace\n192\n2x7\n", "line 4: expected 1 finite number"),
        ("person09146+15-90", "{name}.jpg\nFace\n192\n237\n126\n", "line 5: expected 'Face'"),
        ("person09146+15-90", "", "line 1: expected 'Face' and its box"),
        ("person09146", "Face 1 2 3 4", "expected a name like person01146"),
    ],
)
def test_broken_pointing04(tmp_path, name, text, message):
    pointing(tmp_path, name, text)
    with pytest.raises(LabelError, match=rf"{re.escape(name)}.txt.*{message}"):
        read_pointing04_files(tmp_path)
