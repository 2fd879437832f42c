"""Photos with all their faces, for the detector: readers, splits, and labels from points.

The root that every command takes as ``--data`` holds one folder a set; a set whose folder is
missing is left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np

from asmnet import yunet
from asmnet.datasets.licences import is_open
from asmnet.datasets.splits import (
    part_of,
    read_300w,
    read_300w_lp,
    read_pointing04,
    read_youtube_faces,
)
from asmnet.datasets.synthetic import read_synthetic
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray
from asmnet.landmarker import FaceLandmarker
from asmnet.schemes import IBUG_68

Part = Literal["train", "val"]

# One photo in so many of the sets with several faces a photo validates.
CROWD_PARTS = 5
# FG-NET's people whose number leaves 1 when divided by this validate.
FGNET_PARTS = 4
# A teacher's boxes below this score are neither face nor background.
SURE_SCORE = 0.6
# Teacher boxes from this side on (pixels) are replaced by the tight box of a landmark network's
# points, where that network is this sure of the face and agrees on the place.
REFINED_SIDE, REFINED_PRESENCE, REFINED_IOU = 24.0, 0.8, 0.5


@dataclass(frozen=True, eq=False)
class DetectionPhoto:
    """A photo with all its known faces.

    Attributes:
        image: path of the photo.
        source: name of the folder it came from, for example "300w".
        outlines: one (k, 2) array a face; its tight box is the face's box, also after a rotation.
        keypoints: (n, 5, 2) right and left eye, nose, right and left mouth corner; NaN where they
            are not known.
        ignored: (m, 4) xyxy boxes that are neither face nor background.
        refinable: whether boxes come from a teacher or are drawn by hand, so that points of a
            landmark network may better them.
    """

    image: Path
    source: str
    outlines: list[FloatArray]
    keypoints: FloatArray
    ignored: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))
    refinable: bool = False


def crowd_part(name: str) -> Part:
    """The part of a photo of ``crowds`` or ``facemask``, by a checksum of its file's name."""
    return "val" if crc32(name.encode()) % CROWD_PARTS == 0 else "train"


def read_crowds(root: Path, part: Part, *, open_only: bool = False) -> list[DetectionPhoto]:
    """Ordinary photos with several faces, and hard negatives, labelled by a teacher.

    With ``open_only`` those alone whose licence in ``sources.csv`` is open.
    """
    folder = root / "crowds"
    sure, unsure = _rows(folder / "faces.csv"), _rows(folder / "faces_low.csv")
    photos = []
    for path in sorted((folder / "images").glob("*.jpg")) if folder.exists() else []:
        if crowd_part(path.name) != part or (open_only and not is_open("crowds", path)):
            continue
        rows = sure.get(path.name, np.zeros((0, 15)))
        ignored = unsure.get(path.name, np.zeros((0, 15)))
        photos.append(
            DetectionPhoto(
                path,
                "crowds",
                [ellipse(box) for box in tight_boxes(rows[:, :4])],
                rows[:, 4:14].reshape(-1, 5, 2),
                corners(ignored[:, :4]),
                refinable=True,
            )
        )
    return photos


def read_open_backgrounds(root: Path, part: Part) -> list[Path]:
    """Open photos without a face: those of ``crowds``."""
    photos = read_crowds(root, part, open_only=True)
    return [photo.image for photo in photos if not photo.outlines and not len(photo.ignored)]


def read_facemask(root: Path, part: Part) -> list[DetectionPhoto]:
    """Street photos, most faces with masks, manual boxes; no key points."""
    folder = root / "facemask"
    boxes: dict[str, list[list[float]]] = {}
    if folder.exists():
        with (folder / "boxes.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                box = [float(row[key]) for key in ("x0", "y0", "x1", "y1")]
                boxes.setdefault(row["file"], []).append(box)
    return [
        DetectionPhoto(
            folder / "images" / name,
            "facemask",
            [ellipse(np.array(box)) for box in rows],
            np.full((len(rows), 5, 2), np.nan),
            refinable=True,
        )
        for name, rows in sorted(boxes.items())
        if crowd_part(name) == part
    ]


def read_open(root: Path, part: Part) -> list[DetectionPhoto]:
    """Photos that anyone may use; the teacher's boxes are already tight."""
    return _tight_csv(root / "open", "open", "", part)


def read_utkface(root: Path, part: Part) -> list[DetectionPhoto]:
    """Heads of every age; the teacher's boxes are already tight."""
    return _tight_csv(root / "utkface", "utkface", "images/", part)


def read_fgnet(root: Path, part: Part) -> list[DetectionPhoto]:
    """FG-NET, split by person. Its 68 points mean others than iBUG's, their box is alike."""
    folder = root / "fgnet"
    if not folder.exists():
        return []
    with np.load(folder / "points.npz") as labels:
        names, people, points = labels["name"], labels["person"], labels["points"]
    return [
        DetectionPhoto(
            folder / "images" / str(name),
            "fgnet",
            [outline.astype(np.float64)],
            np.full((1, 5, 2), np.nan),
            refinable=True,
        )
        for name, person, outline in zip(names, people, points, strict=True)
        if (person % FGNET_PARTS == 1) == (part == "val")
    ]


def read_rendered(root: Path, part: Part) -> list[DetectionPhoto]:
    """Rendered faces, with the tight boxes and key points of their exact points."""
    return [
        DetectionPhoto(
            face.image, face.source, [face.landmarks], (IBUG_68.keypoints @ face.landmarks)[None]
        )
        for face in read_synthetic(root, part)
    ]


def read_single_faces(root: Path, part: Part) -> list[DetectionPhoto]:
    """Photos cut to one face's surroundings, with points; other faces in them from the teacher.

    300W, 300W-LP, YouTube Faces, Pointing'04 and Helen's photos without points.
    """
    photos = []
    for reader, name in (
        (read_300w, "300w"),
        (read_300w_lp, "300w_lp_ibug"),
        (read_youtube_faces, "youtube_faces"),
    ):
        found = _rows(root / name / "faces.csv")
        for face in reader(root, part):
            key = face.image.name
            if name == "300w":
                key = str(face.image.relative_to(root / name).with_suffix(""))
            photos.append(_labelled(name, face.image, found.get(key), face.landmarks))
    found = _rows(root / "pointing04" / "faces.csv")
    photos += [
        _labelled("pointing04", pose.image, found[pose.image.name])
        for pose in read_pointing04(root, part)
        if pose.image.name in found
    ]
    folder = root / "helen_unlabelled"
    photos += [
        _labelled("helen_unlabelled", folder / "images" / name, rows)
        for name, rows in sorted(_rows(folder / "faces.csv").items())
        if part_of(name) == part
    ]
    return photos


def refine(photo: DetectionPhoto, pixels: ImageArray, landmarker: FaceLandmarker) -> DetectionPhoto:
    """The photo with outlines and key points from a landmark network, where it is sure of a face.

    A teacher's box is not the tight box of the points. Where the network is not sure the label
    stays as it is.
    """
    if not photo.refinable or not photo.outlines:
        return photo
    boxes = np.array([points_box(outline) for outline in photo.outlines])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    (large,) = np.nonzero(sides >= REFINED_SIDE)
    if not len(large):
        return photo
    outlines, keypoints = list(photo.outlines), photo.keypoints.copy()
    known = np.isfinite(keypoints[large]).all()
    faces = landmarker.predict(pixels, boxes[large], keypoints=keypoints[large] if known else None)
    for i, face in zip(large, faces, strict=True):
        overlap = box_iou(points_box(face.landmarks)[None], boxes[i][None]).item()
        if face.presence is None or face.presence < REFINED_PRESENCE or overlap < REFINED_IOU:
            continue
        if photo.source not in ("fgnet", "facemask"):  # manual boxes and points stay
            outlines[i] = face.landmarks.astype(np.float64)
        keypoints[i] = IBUG_68.keypoints @ face.landmarks
    return DetectionPhoto(photo.image, photo.source, outlines, keypoints, photo.ignored)


def ellipse(box: FloatArray) -> FloatArray:
    """24 points of the ellipse that fills an xyxy box: a face outline that can be turned."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray((box[:2] + box[2:]) / 2 + circle * (box[2:] - box[:2]) / 2)


def corners(boxes: FloatArray) -> FloatArray:
    """(n, 4) boxes x, y, width, height as xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)


def tight_boxes(boxes: FloatArray) -> FloatArray:
    """(n, 4) YuNet boxes x, y, width, height as xyxy from brows to chin."""
    return np.asarray(np.tile(boxes[:, :2], 2) + yunet.TO_TIGHT * np.tile(boxes[:, 2:4], 2))


def _labelled(
    source: str, image: Path, found: FloatArray | None, landmarks: FloatArray | None = None
) -> DetectionPhoto:
    outlines, keypoints = [], []
    label_box = None
    if landmarks is not None:
        outlines.append(landmarks)
        keypoints.append(IBUG_68.keypoints @ landmarks)
        label_box = points_box(landmarks)
    for row in found if found is not None else ():
        x, y, w, h = row[:4]
        centre = np.array([x + w / 2, y + h / 2])
        if (
            label_box is not None
            and (centre > label_box[:2]).all()
            and (centre < label_box[2:]).all()
        ):
            continue  # the labelled face itself
        outlines.append(ellipse(tight_boxes(row[None, :4])[0]))
        keypoints.append(row[4:14].reshape(5, 2))
    return DetectionPhoto(image, source, outlines, np.array(keypoints).reshape(-1, 5, 2))


def _tight_csv(folder: Path, source: str, prefix: str, part: Part) -> list[DetectionPhoto]:
    """Photos of a ``faces.csv`` with tight xyxy boxes, five points and score as last columns."""
    rows: dict[str, list[list[float]]] = {}
    for name, values in _numbers(folder / "faces.csv"):
        rows.setdefault(name, []).append(values[-15:])
    photos = []
    for name, listed in sorted(rows.items()):
        if part_of(name) != part:
            continue
        faces = np.array(listed)
        sure = faces[:, 14] >= SURE_SCORE
        photos.append(
            DetectionPhoto(
                folder / (prefix + name),
                source,
                [ellipse(box) for box in faces[sure, :4]],
                faces[sure, 4:14].reshape(-1, 5, 2),
                faces[~sure, :4],
                refinable=True,
            )
        )
    return photos


def _rows(path: Path) -> dict[str, FloatArray]:
    """Rows of numbers by file name: x, y, w, h, ten key-point numbers if any, score."""
    rows: dict[str, list[list[float]]] = {}
    for name, values in _numbers(path):
        rows.setdefault(name, []).append(values)
    return {name: np.array(values) for name, values in rows.items()}


def _numbers(path: Path) -> Iterator[tuple[str, list[float]]]:
    if not path.exists():
        return
    with path.open(newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            yield row[0], [float(value) for value in row[1:]]
