"""Labelled photos, heads cut out of them, backgrounds and patches, ready for a clip."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from asmnet.datasets.records import LabelledFace
from asmnet.datasets.splits import Split, read_300w, read_backgrounds
from asmnet.errors import InvalidInputError
from asmnet.geometry import points_box
from asmnet.image import ImageArray, load_image

from .render import HEIGHT, WIDTH, Picture


def face_photos(root: Path, split: Split) -> list[LabelledFace]:
    """300W's faces that a video can be made of.

    They lie inside of their photos, and are the only face there: 300W labels one face a photo, and
    nobody could tell a track of another one from a false track. ``300w/faces.csv``, if it is there,
    knows the others.

    Raises:
        InvalidInputError: there are fewer than three.
    """
    folder, known = root / "300w", Counter[str]()
    if (folder / "faces.csv").exists():
        with (folder / "faces.csv").open(newline="") as file:
            known = Counter(row["file"] for row in csv.DictReader(file))
    faces = []
    for face in read_300w(root, split):
        box = points_box(face.landmarks)
        height, width = load_image(face.image).shape[:2]
        margin = 0.25 * (box[2:] - box[:2]).max()
        inside = (box[:2] >= margin).all() and (box[2:] <= [width - margin, height - margin]).all()
        name = face.image.relative_to(folder).with_suffix("").as_posix()
        if inside and known[name] <= 1:
            faces.append(face)
    if len(faces) < 3:
        raise InvalidInputError(
            f"{folder}: expected at least 3 photos of one whole face for {split}, got {len(faces)}"
        )
    return faces


def faceless_photos(root: Path, split: Split) -> list[Path]:
    """Backgrounds without a known face.

    Raises:
        InvalidInputError: there are fewer than four.
    """
    paths = [path for path, boxes in read_backgrounds(root, split) if not len(boxes)]
    if len(paths) < 4:
        raise InvalidInputError(
            f"{root / 'backgrounds'}: expected at least 4 photos without faces for {split}, "
            f"got {len(paths)}"
        )
    return paths


def photo_picture(face: LabelledFace) -> Picture:
    """A labelled photo that fills a frame wherever its face goes.

    Beyond its borders the border's pixels go on, strongly blurred: a mirrored border would show
    pieces of faces.
    """
    image = load_image(face.image)
    height, width = image.shape[:2]
    pad = max(height, width)
    wide = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    small = cv2.resize(wide, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 3), wide.shape[1::-1])
    # The photo fades into its surroundings over its outermost pixels.
    rows, columns = (np.arange(n)[[0, -1], None] - np.arange(n) for n in (height, width))
    fade = np.minimum.outer(abs(rows).min(axis=0), abs(columns).min(axis=0))
    weight = np.zeros((*wide.shape[:2], 1), dtype=np.float32)
    weight[pad : pad + height, pad : pad + width, 0] = np.clip(fade / 12, 0, 1)
    landmarks = face.landmarks + pad
    box = points_box(landmarks)
    return Picture(
        pixels=np.rint(soft + weight * (wide.astype(np.float32) - soft)).astype(np.uint8),
        alpha=None,
        anchor=(box[:2] + box[2:]) / 2,
        side=float((box[2:] - box[:2]).max()),
        landmarks=landmarks,
    )


def head_picture(picture: Picture) -> Picture:
    """The head alone, an ellipse with a soft rim, to be put before a background."""
    assert picture.landmarks is not None
    box = points_box(picture.landmarks)
    width, height = box[2:] - box[:2]
    middle = picture.anchor - [0, 0.15 * height]  # the box begins at the brows
    axes = np.array([0.8 * width, 1.0 * height])
    corner = np.floor(middle - axes).astype(int)
    columns, rows = np.ceil(2 * axes).astype(int) + 1
    y, x = np.indices((rows, columns)) + 0.5
    radius = np.hypot((x + corner[0] - middle[0]) / axes[0], (y + corner[1] - middle[1]) / axes[1])
    area = slice(corner[1], corner[1] + rows), slice(corner[0], corner[0] + columns)
    return Picture(
        pixels=np.ascontiguousarray(picture.pixels[area]),
        alpha=np.clip((1 - radius) / 0.12, 0, 1).astype(np.float32),
        anchor=picture.anchor - corner,
        side=picture.side,
        landmarks=picture.landmarks - corner,
    )


def background_picture(image: ImageArray) -> Picture:
    """A photo, a little out of focus; its side is the part of its width that fills a frame."""
    height, width = image.shape[:2]
    return Picture(
        pixels=np.asarray(cv2.GaussianBlur(image, (0, 0), 1), dtype=np.uint8),
        alpha=None,
        anchor=np.array([width, height]) / 2,
        side=min(width, height * WIDTH / HEIGHT),
    )


def patch_picture(image: ImageArray, aspect: float) -> Picture:
    """The middle of a photo as a rectangle, ``aspect`` times as wide as high, to cover things."""
    height, width = image.shape[:2]
    rows = int(min(height, width / aspect))
    columns = int(rows * aspect)
    top, left = (height - rows) // 2, (width - columns) // 2
    alpha = np.zeros((rows, columns), dtype=np.float32)
    alpha[1:-1, 1:-1] = 1  # the warp makes a smooth edge of the step
    return Picture(
        pixels=np.ascontiguousarray(image[top : top + rows, left : left + columns]),
        alpha=alpha,
        anchor=np.array([columns, rows]) / 2,
        side=float(max(rows, columns)),
    )
