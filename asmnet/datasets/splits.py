"""Readers of the data folders, and how they are cut into training, validation and test parts.

The root that every command takes as ``--data`` holds the folders ``300w``, ``300w_lp_ibug``,
``youtube_faces``, ``pointing04``, ``helen_unlabelled`` and ``backgrounds``; a set whose folder is
missing is left out. 300W is read as its authors ship it (a ``.pts`` file beside each photo), and
so is Pointing'04 where its folder has no ``labels.csv``. :mod:`asmnet.datasets.formats` has the
other authors' formats.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np

from asmnet.datasets.formats import read_pointing04_files
from asmnet.datasets.records import (
    LabelledFace,
    PointingPose,
    centred_box,
    finite_numbers,
    photo_beside,
    read_pts,
)
from asmnet.geometry import FloatArray, euler_to_rotation, rotation_to_euler

Split = Literal["train", "val", "test"]

# One photo or person in TRAIN_PARTS goes to the validation part.
TRAIN_PARTS = 12

# Pointing'04: the data's rules keep people 9–15 for testing; of the rest one validates.
POINTING_VAL_PERSON, POINTING_FIRST_TEST_PERSON = 8, 9


def part_of(group: str) -> Split:
    """The part of a group (photo or person): "val" for one in ``TRAIN_PARTS``, else "train".

    By a checksum of the name, so that adding files moves nothing.
    """
    return "val" if crc32(group.encode()) % TRAIN_PARTS == 0 else "train"


def read_300w(root: Path, split: Split) -> list[LabelledFace]:
    """300W under ``root/300w``; "test" is the common test set (Helen and LFPW test photos)."""
    folders = {
        "test": ("helen/testset", "lfpw/testset"),
        "train": ("afw", "helen/trainset", "lfpw/trainset"),
        "val": ("afw", "helen/trainset", "lfpw/trainset"),
    }[split]
    rotations = _rotations(root / "300w")
    faces = []
    for folder in folders:
        for path in sorted((root / "300w" / folder).glob("*.pts")):
            # AFW and LFPW's faces of one photo share the name up to the last number.
            photo = re.sub(r"_\d+$", "", path.stem) if folder == "afw" else path.stem
            if split != "test" and part_of(photo) != split:
                continue
            name = f"{folder}/{path.stem}"
            faces.append(
                LabelledFace(photo_beside(path), read_pts(path), rotations.get(name), "300w")
            )
    return faces


def read_300w_lp(root: Path, split: Split) -> list[LabelledFace]:
    """300W-LP's IBUG part, split by the photo it was warped from; visible outline."""
    folder = root / "300w_lp_ibug"
    rotations = _rotations(folder)
    faces = []
    for path in sorted(folder.glob("*.pts")):
        photo = path.stem.rsplit("_", 1)[0].removesuffix("_1").removesuffix("_2")
        if part_of(photo) == split:
            image = path.with_suffix(".jpg")
            rotation = rotations.get(image.name, rotations.get(path.stem))
            faces.append(LabelledFace(image, read_pts(path), rotation, "300w_lp_ibug"))
    return faces


def read_youtube_faces(root: Path, split: Split) -> list[LabelledFace]:
    """Video frames with pseudo-labels of 68 points, split by person."""
    folder = root / "youtube_faces"
    if not folder.exists():
        return []
    rotations = _rotations(folder)
    faces = []
    path = folder / "landmarks68.csv"
    with path.open(newline="") as file:
        reader = csv.reader(file)
        for row in reader:
            if row[0] == "file" or part_of(youtube_person(row[0])) != split:
                continue
            points = np.array(finite_numbers(row[1:], 136, path, reader.line_num)).reshape(68, 2)
            image = folder / "images" / row[0]
            faces.append(LabelledFace(image, points, rotations.get(row[0]), "youtube_faces"))
    return faces


def youtube_person(file: str) -> str:
    """Who is on a frame of ``youtube_faces``: its name is Name_Name_NN.jpg."""
    return file.rsplit("_", 1)[0]


def read_pointing04(root: Path, split: Split) -> list[PointingPose]:
    """Pointing'04; people 9–15 are the test part.

    From ``labels.csv`` and ``images/``, or, without the former, from the authors' own files.
    """
    folder = root / "pointing04"
    poses = (
        _pointing_csv(folder) if (folder / "labels.csv").exists() else read_pointing04_files(folder)
    )
    return [pose for pose in poses if _pointing_part(pose.person) == split]


def _pointing_part(person: int) -> Split:
    if person >= POINTING_FIRST_TEST_PERSON:
        return "test"
    return "val" if person == POINTING_VAL_PERSON else "train"


def _pointing_csv(folder: Path) -> list[PointingPose]:
    poses, path = [], folder / "labels.csv"
    columns = ("person", "tilt_deg", "pan_deg", "box_cx", "box_cy", "box_w", "box_h")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            values = [row[column] or "" for column in columns]
            person, tilt, pan, *box = finite_numbers(values, 7, path, reader.line_num)
            image = folder / "images" / row["file"]
            poses.append(PointingPose(image, int(person), tilt, pan, centred_box(*box)))
    return poses


def read_backgrounds(root: Path, split: Split) -> list[tuple[Path, FloatArray]]:
    """Natural photos with the (n, 4) xyxy boxes of the few faces in them.

    Every fifth photo is kept for testing, so false faces are counted on unseen photos.
    """
    folder = root / "backgrounds"
    boxes = {name: rows[:, :4] for name, rows in _faces_csv(folder).items()}
    out = []
    for number, path in enumerate(sorted((folder / "images").glob("*.jpg"))):
        part = {0: "test", 1: "val"}.get(number % 10, "test" if number % 5 == 0 else "train")
        if part == split:
            known = boxes.get(path.name, np.zeros((0, 4)))
            out.append((path, np.concatenate([known[:, :2], known[:, :2] + known[:, 2:4]], axis=1)))
    return out


def pointing_rotations(root: Path, split: Split) -> tuple[list[PointingPose], list[FloatArray]]:
    """Pointing'04 photos with a head rotation for training.

    The labels say where people were told to point their heads: they carry an error of their own
    for each person and repeat it in all of his photos, the eyes do part of the work. The
    pseudo-labels look at the head but shrink large angles; stretched by the few numbers of
    :func:`_stretch_terms`, fitted on the training people, they do so less. The target is the mean
    of label and stretched pseudo-label for pitch; for yaw, where people differ more, that of the
    pseudo-label as it is and stretched, and beyond the middle range of the label too. Of the
    targets tried these carry over best to people who were left out (docs/training.md has the
    figures).
    """
    pseudo = _rotations(root / "pointing04")

    def seen(part: Split) -> tuple[list[PointingPose], FloatArray, FloatArray]:
        poses = [pose for pose in read_pointing04(root, part) if pose.image.name in pseudo]
        angles = [rotation_to_euler(pseudo[pose.image.name]) for pose in poses]
        told = [(pose.tilt, pose.pan) for pose in poses]
        return poses, np.array(angles).reshape(-1, 3), np.array(told).reshape(-1, 2)

    _, angles, told = seen("train")
    factors = [
        np.linalg.lstsq(terms, labels, rcond=None)[0]
        for terms, labels in zip(_stretch_terms(angles), told.T, strict=True)
    ]
    poses, angles, told = seen(split)
    pitch, yaw = (t @ f for t, f in zip(_stretch_terms(angles), factors, strict=True))
    tilt, pan = told.T
    middle = (abs(pan) <= 60) & (abs(tilt) <= 30)
    pitch = (pitch + tilt) / 2
    yaw = np.where(middle, (angles[:, 1] + yaw) / 2, (angles[:, 1] + yaw + pan) / 3)
    # Beyond 85° of yaw pitch and roll can hardly be told apart.
    yaw = np.clip(yaw, -85, 85)
    rotations = euler_to_rotation(np.stack([pitch, yaw, angles[:, 2]], axis=1))
    return poses, list(rotations)


def _stretch_terms(angles: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Terms of pitch (n, 2) and yaw (n, 3) that keep the frontal pose frontal, from (n, 3) °."""
    pitch, yaw = angles[:, 0] / 30, angles[:, 1] / 30
    return (
        np.stack([pitch, pitch * yaw**2], axis=1),
        np.stack([yaw, yaw**3, yaw * pitch**2], axis=1),
    )


def _faces_csv(folder: Path) -> dict[str, FloatArray]:
    """Rows of ``faces.csv`` by file name: x, y, w, h, ten key-point numbers if any, score."""
    if not (folder / "faces.csv").exists():
        return {}
    rows: dict[str, list[list[float]]] = defaultdict(list)
    path = folder / "faces.csv"
    with path.open(newline="") as file:
        reader = csv.reader(file)
        columns = len(next(reader)) - 1
        for row in reader:
            rows[row[0]].append(finite_numbers(row[1:], columns, path, reader.line_num))
    return {name: np.array(values) for name, values in rows.items()}


def pseudo_landmarks(folder: Path) -> dict[str, FloatArray]:
    """Pseudo-labels (98, 2) of a set by photo name, without those that are not finite."""
    labels = _pseudo_labels(folder, "landmarks98")
    return {name: points for name, points in labels.items() if np.isfinite(points).all()}


def _rotations(folder: Path) -> dict[str, FloatArray]:
    """Pseudo-label rotations by photo name."""
    return _pseudo_labels(folder, "rotation")


def _pseudo_labels(folder: Path, key: str) -> dict[str, FloatArray]:
    """An array of ``pseudo_labels.npz`` by photo name; none for a plain download of the set."""
    path = folder / "pseudo_labels.npz"
    if not path.exists():
        return {}
    with np.load(path) as labels:
        if key not in labels:
            return {}
        return dict(zip(labels["name"].tolist(), labels[key].astype(np.float64), strict=True))
