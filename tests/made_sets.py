"""A small data folder in the formats of the real sets, made by the tests."""

from pathlib import Path

import numpy as np
import pytest
from made_data import FACE, shape_68, write_photo, write_pts

from asmnet.geometry import UPRIGHT_KEYPOINTS, euler_to_rotation
from asmnet.schemes import WFLW_TO_IBUG


def write_faces(folder: Path, names: list[str]) -> None:
    keypoints = (FACE[:2] + UPRIGHT_KEYPOINTS * FACE[2:]).ravel()
    row = ",".join(f"{v:.1f}" for v in (*FACE, *keypoints))
    header = "file,x,y,w,h," + ",".join(f"p{i}" for i in range(10)) + ",score"
    (folder / "faces.csv").write_text(
        "\n".join([header, *(f"{n},{row},0.9" for n in names)]) + "\n"
    )


def write_pseudo_labels(folder: Path, names: list[str]) -> None:
    rotation = np.tile(
        euler_to_rotation(np.array([5.0, -10, 3])).astype(np.float32), (len(names), 1, 1)
    )
    np.savez(folder / "pseudo_labels.npz", name=np.array(names), rotation=rotation)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """All sets, 16 labelled faces for training and a few for the other parts."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    folders = {"helen/trainset": 18, "lfpw/testset": 3, "afw": 4, "helen/testset": 2}
    names = []
    for folder, count in folders.items():
        for i in range(count):
            path = root / "300w" / folder / f"{folder[0]}{i}_1.jpg"
            write_photo(path, rng)
            write_pts(path.with_suffix(".pts"), shape_68(rng))
            names.append(f"{folder}/{path.stem}")
    write_faces(root / "300w", names)
    write_pseudo_labels(root / "300w", names)
    folder = root / "pointing04"
    rows, names = ["file,person,tilt_deg,pan_deg,box_cx,box_cy,box_w,box_h"], []
    for person in (1, 2, 8, 9):
        for tilt, pan in ((0, 0), (30, -60), (-60, 90)):
            name = f"person{person:02}{tilt:+}{pan:+}.jpg"
            write_photo(folder / "images" / name, rng)
            rows.append(f"{name},{person},{tilt},{pan},80,80,70,70")
            names.append(name)
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    write_faces(folder, names)
    write_pseudo_labels(folder, names)
    for i in range(12):
        write_photo(root / "backgrounds" / "images" / f"{i:02}.jpg", rng)
    return root


@pytest.fixture(scope="session")
def data_98(tmp_path_factory) -> Path:
    """300W with pseudo-labels of 98 points, and WFLW as its authors ship it."""
    root = tmp_path_factory.mktemp("data98")
    rng = np.random.default_rng(0)
    names, points = [], []
    to_98 = np.linalg.pinv(WFLW_TO_IBUG)
    for i in range(18):
        path = root / "300w" / "helen" / "trainset" / f"{i}.jpg"
        write_photo(path, rng)
        write_pts(path.with_suffix(".pts"), shape_68(rng))
        names.append(f"helen/trainset/{i}")
        points.append(to_98 @ shape_68(rng))
    np.savez(root / "300w" / "pseudo_labels.npz", name=np.array(names), landmarks98=points)
    lists = root / "wflw" / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    lines = []
    for i in range(18):
        name = f"{i}--Place/{i}.jpg"
        write_photo(root / "wflw" / "WFLW_images" / name, rng)
        numbers = " ".join(f"{v:.2f}" for v in (to_98 @ shape_68(rng)).ravel())
        lines.append(f"{numbers} 40 40 120 120 0 0 0 0 0 0 {name}")
    for part in ("train", "test"):
        (lists / f"list_98pt_rect_attr_{part}.txt").write_text("\n".join(lines) + "\n")
    for i in range(12):
        write_photo(root / "backgrounds" / "images" / f"{i:02}.jpg", rng)
    return root
