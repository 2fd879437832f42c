"""A small data folder in the formats of the real sets, made by the tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from asmnet.geometry import UPRIGHT_KEYPOINTS, euler_to_rotation

FACE = np.array([40.0, 40.0, 80.0, 80.0])  # left, top, width, height in each photo of 160 × 160


def shape_68(rng) -> np.ndarray:
    """68 points on circles where the parts of a face are, a little different each time."""

    def circle(centre, radius, count, start=0.0):
        angles = start + np.linspace(0, 2 * np.pi, count, endpoint=False)
        return np.array(centre) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    jaw = circle((0.5, 0.4), 0.55, 34, np.pi)[17::-1][:17]
    parts = [
        jaw,
        np.stack([np.linspace(0.15, 0.85, 10), np.full(10, 0.1)], axis=1),
        np.stack([np.full(4, 0.5), np.linspace(0.2, 0.45, 4)], axis=1),
        np.stack([np.linspace(0.4, 0.6, 5), np.full(5, 0.5)], axis=1),
        circle(UPRIGHT_KEYPOINTS[0], 0.08, 6, np.pi),
        circle(UPRIGHT_KEYPOINTS[1], 0.08, 6, np.pi),
        circle((0.5, 0.68), 0.18, 12, np.pi),
        circle((0.5, 0.68), 0.1, 8, np.pi),
    ]
    points = np.concatenate(parts) + rng.normal(0, 0.01, (68, 2))
    return FACE[:2] + points * FACE[2:]


def write_photo(path: Path, rng) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(image, (160, 160)))


def write_pts(path: Path, points: np.ndarray) -> None:
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    path.write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")


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
