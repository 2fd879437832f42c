"""Training crops of the verifier: places that a detector took for faces, and labelled faces.

All coordinates begin at the corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from asmnet.datasets.augment import photometric
from asmnet.detector import FaceDetector
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray
from asmnet.training.detection.drawing import MIRROR, cover_face, place, similarity
from asmnet.training.detection.material import PHOTO_SETS, SINGLE_SETS, Material, Photo

# Of the crops: the detector's own hits and its false boxes; labelled faces; the rest is random
# places, half of them beside a face.
HIT_SHARE, FALSE_SHARE, LABEL_SHARE = 0.25, 0.35, 0.28
# A box is a hit or false by its overlap with the labels; between the two it is neither.
HIT_IOU, FALSE_IOU = 0.4, 0.2
# Sides of faces in pixels of the source; smaller crops are enlarged.
SMALLEST, LARGEST = 6.0, 64.0
# Scores of the detector below which a hit is doubted, and from which on a false box is sure.
DOUBTED_SCORE, SURE_SCORE = 0.7, 0.5
ROTATED_SHARE, MAX_ROTATION = 0.3, 100.0
OCCLUDED_SHARE = 0.15
# Sets whose photos are labelled all over: what is not labelled there is no face.
COMPLETE_SETS = ("crowds",)


@dataclass(frozen=True, eq=False)
class Place:
    """A box (4,) xyxy in a photo, and the number of its face there; None for no face."""

    photo: Photo
    box: FloatArray
    face: int | None


@dataclass(eq=False)
class Places:
    """What a detector found in training photos, with its scores, 0–1.

    Attributes:
        hits: boxes of labelled faces, and those faces that were missed, of score 0.
        false: boxes where no face is.
    """

    hits: list[tuple[Place, float]] = field(default_factory=list)
    false: list[tuple[Place, float]] = field(default_factory=list)


def find_places(material: Material, detector: FaceDetector, min_score: float) -> Places:
    """Candidates of a detector in whole photos and in photos without a face."""
    places = Places()
    photos = [p for name in PHOTO_SETS for p in material.photos.get(name, [])]
    for photo in tqdm(photos, desc="candidates in photos"):
        faces = photo.boxes()
        found = detector.detect(photo.levels[0], min_score=min_score)
        boxes = np.array([d.bbox for d in found], np.float64).reshape(-1, 4)
        overlap = box_iou(boxes, faces)
        ignored = box_iou(boxes, photo.labels.ignored).max(axis=1, initial=0) > 0
        best = overlap.max(axis=1, initial=0)
        for i, detection in enumerate(found):
            if best[i] >= HIT_IOU:
                hit = Place(photo, boxes[i], int(overlap[i].argmax()))
                places.hits.append((hit, detection.score))
            elif best[i] < FALSE_IOU and not ignored[i] and photo.labels.source in COMPLETE_SETS:
                places.false.append((Place(photo, boxes[i], None), detection.score))
        missed = np.flatnonzero(overlap.max(axis=0, initial=0) < HIT_IOU)
        places.hits += [(Place(photo, faces[i], int(i)), 0.0) for i in missed]
    for photo in tqdm(material.empty, desc="candidates in photos without a face"):
        for detection in detector.detect(photo.levels[0], min_score=min_score):
            place_ = Place(photo, detection.bbox.astype(np.float64), None)
            places.false.append((place_, detection.score))
    return places


class CropDataset(Dataset[tuple[Tensor, ...]]):
    """Endless random crops; item ``i`` of an epoch depends on seed, epoch and ``i`` only.

    An item is the crop (S, S, 3) uint8, 1 or 0 for a face or none, its box (4,) and its key points
    (5, 2) in units of the crop's side, NaN where not known.
    """

    def __init__(
        self, material: Material, places: Places, *, size: int, margin: float, length: int,
        seed: int,
    ) -> None:  # fmt: skip
        self.material, self.size, self.margin = material, size, margin
        self.hits = [p for p, score in places.hits if score > 0]
        self.doubted = [p for p, score in places.hits if score < DOUBTED_SCORE]
        self.false = [p for p, _ in places.false]
        self.surest = [p for p, score in places.false if score >= SURE_SCORE]
        self.length, self.seed, self.epoch = length, seed, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        place_ = self.place(rng)
        image, box, keypoints = self.crop(place_, rng)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            box = np.array([1 - box[2], box[1], 1 - box[0], box[3]])
            keypoints = keypoints[MIRROR] * [-1, 1] + [1, 0]
        return (
            torch.from_numpy(image),
            torch.tensor(float(place_.face is not None)),
            torch.from_numpy(box.astype(np.float32)),
            torch.from_numpy(keypoints.astype(np.float32)),
        )

    def place(self, rng: np.random.Generator) -> Place:
        """A random place."""
        kind = rng.random()
        if kind < HIT_SHARE:
            options = self.doubted if self.doubted and rng.random() < 0.6 else self.hits
            if options:
                return options[rng.integers(len(options))]
        elif kind < HIT_SHARE + FALSE_SHARE:
            options = self.surest if self.surest and rng.random() < 0.5 else self.false
            if options:
                return options[rng.integers(len(options))]
        elif kind > HIT_SHARE + FALSE_SHARE + LABEL_SHARE:
            if rng.random() < 0.5 and self.material.empty:
                return _anywhere(self.material.empty[rng.integers(len(self.material.empty))], rng)
            found = _beside(self.material.choose(PHOTO_SETS, rng), rng)
            if found is not None:
                return found
        photo = self.material.choose(PHOTO_SETS if rng.random() < 0.6 else SINGLE_SETS, rng)
        boxes = photo.boxes()
        index = int(rng.integers(len(boxes)))
        return Place(photo, boxes[index], index)

    def crop(
        self, place_: Place, rng: np.random.Generator
    ) -> tuple[ImageArray, FloatArray, FloatArray]:
        """The picture of a place, a little off, and the face's box and key points in it."""
        photo, box = place_.photo, place_.box
        extent = box[2:] - box[:2]
        side = extent.max()
        middle = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.06, size=2) * extent
        region = side * self.margin * np.exp(rng.normal(0, 0.12))
        # So many pixels of the source it has, the place as it is or shrunk as from further away.
        longest = min(side, LARGEST)
        seen = longest
        if rng.random() < 0.5 and longest > SMALLEST:
            seen = np.exp(rng.uniform(np.log(SMALLEST), np.log(longest)))
        pixels = max(min(round(region * seen / side), self.size), 8)
        canvas = np.zeros((pixels, pixels, 3), np.uint8)
        turned = rng.random() < ROTATED_SHARE
        degrees = rng.uniform(-MAX_ROTATION, MAX_ROTATION) if turned else rng.normal(0, 6)
        matrix = similarity(pixels / region, degrees, middle, np.full(2, pixels / 2))
        place(photo.levels, matrix, canvas)
        face, keypoints = np.full(4, np.nan), np.full((5, 2), np.nan)
        if place_.face is not None:
            outline = photo.labels.outlines[place_.face]
            face = points_box(outline @ matrix[:, :2].T + matrix[:, 2])
            keypoints = photo.labels.keypoints[place_.face] @ matrix[:, :2].T + matrix[:, 2]
            if rng.random() < OCCLUDED_SHARE:
                cover_face(canvas, face, self.material.empty, rng)
        if pixels != self.size:
            canvas = np.asarray(
                cv2.resize(canvas, (self.size, self.size), interpolation=cv2.INTER_LINEAR),
                dtype=np.uint8,
            )
        return photometric(canvas, rng), face / pixels, keypoints / pixels


def _anywhere(photo: Photo, rng: np.random.Generator) -> Place:
    """A square in a photo without a face."""
    extent = np.array(photo.levels[0].shape[1::-1])
    side = np.exp(rng.uniform(np.log(SMALLEST), np.log(0.9 * extent.min())))
    corner = rng.uniform(0, extent - side)
    return Place(photo, np.concatenate([corner, corner + side]), None)


def _beside(photo: Photo, rng: np.random.Generator) -> Place | None:
    """A box that is too far off a face, or too large or small; None if it hits one all the same."""
    faces = photo.boxes()
    box = faces[rng.integers(len(faces))]
    extent = box[2:] - box[:2]
    middle = (box[:2] + box[2:]) / 2 + rng.uniform(-1.2, 1.2, size=2) * extent
    half = extent / 2 * np.exp(rng.normal(0, 0.7))
    moved = np.concatenate([middle - half, middle + half])
    others = np.concatenate([faces, photo.labels.ignored])
    if half.max() < 3 or box_iou(moved[None], others).max() >= FALSE_IOU:
        return None
    return Place(photo, moved, None)
