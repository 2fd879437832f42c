"""Faces made of circles, and files in the formats of the real sets."""

from pathlib import Path

import cv2
import numpy as np

from asmnet.geometry import UPRIGHT_KEYPOINTS

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
