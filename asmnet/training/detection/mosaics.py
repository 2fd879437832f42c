"""Training pictures of the detector: photos at random scales, mosaics, pasted heads, negatives.

All coordinates begin at the corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from asmnet.datasets.augment import photometric
from asmnet.datasets.detection import DetectionPhoto
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray
from asmnet.training.config import MosaicOptions
from asmnet.training.detection.drawing import (
    MIRROR,
    clipped,
    cover_face,
    place,
    similarity,
    visible_part,
)
from asmnet.training.detection.material import (
    HEAD_SETS,
    PHOTO_SETS,
    SINGLE_SETS,
    Material,
    Photo,
)
from asmnet.training.detection.targets import Targets, targets

# Of the whole photos, those that show a face which an earlier detector missed.
MISSED_SHARE = 0.3
# A face of which less is inside of the mosaic is neither face nor background, or is not there.
USABLE_PART, VISIBLE_PART = 0.6, 0.05


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A training picture: image (S, S, 3) and what is in it.

    Attributes:
        image: RGB uint8.
        boxes: (n, 4) xyxy of the faces.
        keypoints: (n, 5, 2), NaN where not known.
        ignored: (m, 4) xyxy of what is neither face nor background.
        doubt: whether faces without a label are to be expected in the background.
    """

    image: ImageArray
    boxes: FloatArray
    keypoints: FloatArray
    ignored: FloatArray
    doubt: bool

    def mirrored(self) -> Mosaic:
        """Left and right exchanged."""
        width = self.image.shape[1]

        def mirror(boxes: FloatArray) -> FloatArray:
            return np.stack(
                [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1
            )

        keypoints = self.keypoints[:, MIRROR].copy()
        keypoints[:, :, 0] = width - keypoints[:, :, 0]
        image = np.ascontiguousarray(self.image[:, ::-1])
        return Mosaic(image, mirror(self.boxes), keypoints, mirror(self.ignored), self.doubt)


class _Labels:
    """Collects what is in a mosaic while it is drawn."""

    def __init__(self) -> None:
        self.boxes: list[FloatArray] = []
        self.keypoints: list[FloatArray] = []
        self.ignored: list[FloatArray] = []

    def add(self, photo: Photo, matrix: FloatArray, region: FloatArray) -> list[FloatArray]:
        """The faces of a photo that was drawn into ``region`` (4,) xyxy; returns usable boxes."""
        usable = []
        for outline, points in zip(photo.labels.outlines, photo.labels.keypoints, strict=True):
            box = points_box(outline @ matrix[:, :2].T + matrix[:, 2])
            part = visible_part(box, region)
            if part >= USABLE_PART:
                usable.append(box)
                self.boxes.append(box)
                self.keypoints.append(points @ matrix[:, :2].T + matrix[:, 2])
            elif part >= VISIBLE_PART:
                self.ignored.append(clipped(box, region))
        for box in photo.labels.ignored:
            square = box[[[0, 1], [2, 1], [2, 3], [0, 3]]]
            moved = points_box(square @ matrix[:, :2].T + matrix[:, 2])
            if visible_part(moved, region) > 0:
                self.ignored.append(clipped(moved, region))
        return usable

    def cover(self, box: FloatArray) -> bool:
        """Whether a box may be drawn over: it hides no face that is there."""
        others = np.array(self.boxes + self.ignored).reshape(-1, 4)
        return not (box_iou(box[None], others) > 0).any()

    def mosaic(self, image: ImageArray, *, doubt: bool) -> Mosaic:
        return Mosaic(
            image,
            np.array(self.boxes).reshape(-1, 4),
            np.array(self.keypoints).reshape(-1, 5, 2),
            np.array(self.ignored).reshape(-1, 4),
            doubt,
        )


class MosaicDataset(Dataset[tuple[Tensor, ...]]):
    """Endless random mosaics; item ``i`` of an epoch depends on seed, epoch and ``i`` only."""

    def __init__(
        self, material: Material, options: MosaicOptions, *, size: int, length: int, seed: int
    ) -> None:
        self.material, self.options, self.size = material, options, size
        self.length, self.seed, self.epoch = length, seed, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        mosaic = self.mosaic(np.random.default_rng([self.seed, self.epoch, index]))
        found: Targets = targets(mosaic.boxes, mosaic.keypoints, mosaic.ignored, self.size)
        weight = np.float32(0.8 if mosaic.doubt else 1.0 + (len(mosaic.boxes) == 0))
        return tuple(torch.from_numpy(np.asarray(a)) for a in (mosaic.image, *found, weight))

    def mosaic(self, rng: np.random.Generator) -> Mosaic:
        """One mosaic."""
        options, size = self.options, self.size
        canvas = self._backdrop(rng)
        labels = _Labels()
        kind, doubt = rng.random(), False
        if kind < options.photo_share:
            self._photo(canvas, labels, rng)
            doubt = True
        elif kind < options.photo_share + options.single_share:
            if rng.random() < 0.5:
                self._single(
                    canvas, np.array([0, 0, size, size]), (24.0, options.largest), labels, rng
                )
            else:
                x, y = rng.integers(int(0.3 * size), int(0.7 * size), size=2)
                for tile in ([0, 0, x, y], [x, 0, size, y], [0, y, x, size], [x, y, size, size]):
                    if rng.random() < 0.9:
                        self._single(canvas, np.array(tile), (10.0, 0.5 * size), labels, rng)
        else:
            self._patches(canvas, rng)
            if kind < options.photo_share + options.single_share + options.pasted_share:
                for _ in range(int(rng.integers(3, 16))):
                    self._head(canvas, labels, rng)
        image = photometric(canvas, rng)
        mosaic = labels.mosaic(image, doubt=doubt)
        return mosaic.mirrored() if rng.random() < 0.5 else mosaic

    def _degrees(self, rng: np.random.Generator) -> float:
        most = self.options.max_rotation
        turned = rng.random() < self.options.rotated_share
        return float(rng.uniform(-most, most) if turned else rng.normal(0, 8))

    def _backdrop(self, rng: np.random.Generator) -> ImageArray:
        """A piece of a photo without faces, or one colour, black mostly as beside a letterbox."""
        size, empty = self.size, self.material.empty
        if rng.random() < 0.4 or not empty:
            colour = rng.integers(0, 256, size=3) * (rng.random() < 0.4)
            return np.full((size, size, 3), colour, dtype=np.uint8)
        levels = empty[rng.integers(len(empty))].levels
        extent = np.array(levels[0].shape[1::-1])
        scale = max(size / extent.min(), np.exp(rng.uniform(np.log(0.4), np.log(1.6))))
        canvas = np.zeros((size, size, 3), np.uint8)
        room = np.maximum(extent - size / scale, 0)
        middle = rng.uniform(0, 1, size=2) * room + np.minimum(size / scale, extent) / 2
        place(levels, similarity(scale, 0, middle, np.full(2, size / 2)), canvas)
        return canvas

    def _photo(self, canvas: ImageArray, labels: _Labels, rng: np.random.Generator) -> None:
        """A whole photo, so that one of its faces has a random size at a random place."""
        options, size = self.options, self.size
        missed = self.material.missed
        if missed and rng.random() < MISSED_SHARE:
            photo, index = missed[rng.integers(len(missed))]
            boxes = photo.boxes()
        else:
            photo = self.material.choose(PHOTO_SETS, rng)
            boxes = photo.boxes()
            index = int(rng.integers(len(boxes)))
        box = boxes[index]
        side = (box[2:] - box[:2]).max()
        wanted = np.exp(rng.uniform(np.log(options.smallest), np.log(0.4 * size)))
        # Enlarged too much, pixels show; shrunk too much, the photo is a stamp.
        scale = float(np.clip(wanted / side, 0.3, 2.5))
        extent = np.array(photo.levels[0].shape[1::-1])
        scale = max(scale, rng.uniform(0.6, 1.2) * size / extent.max())
        middle = (box[:2] + box[2:]) / 2
        target = rng.uniform(0.08, 0.92, size=2) * size
        if rng.random() < 0.7:  # mostly, show as much of the photo as there is room for
            low, high = size - scale * (extent - middle), scale * middle
            target = np.clip(target, np.minimum(low, high), np.maximum(low, high))
            target = np.clip(target, 0, size)
        matrix = similarity(scale, self._degrees(rng), middle, target)
        place(photo.levels, matrix, canvas)
        region = np.array([0, 0, size, size])
        for found in labels.add(photo, matrix, region):
            self._cover(canvas, found, rng)

    def _single(
        self,
        canvas: ImageArray,
        tile: NDArray[Any],
        sides: tuple[float, float],
        labels: _Labels,
        rng: np.random.Generator,
    ) -> None:
        """A photo of a single face in a part (4,) xyxy of the canvas."""
        photo = self.material.choose(SINGLE_SETS, rng)
        x0, y0, x1, y1 = tile
        corner, extent = tile[:2].astype(float), (tile[2:] - tile[:2]).astype(float)
        boxes = photo.boxes()
        box = boxes[rng.integers(len(boxes))]
        side = (box[2:] - box[:2]).max()
        scale = min(np.exp(rng.uniform(*np.log(sides))) / side, 3.0)
        target = rng.uniform(0.1, 0.9, size=2) * extent
        if rng.random() < 0.8:  # mostly, move a face that would be cut off inside
            half = np.minimum(scale * side, extent) / 2
            target = np.clip(target, half, extent - half)
        matrix = similarity(scale, self._degrees(rng), (box[:2] + box[2:]) / 2, target)
        piece = np.ascontiguousarray(canvas[y0:y1, x0:x1])
        if rng.random() < 0.3:
            piece[:] = 0
        place(photo.levels, matrix, piece)
        canvas[y0:y1, x0:x1] = piece
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + corner])
        for found in labels.add(photo, matrix, tile.astype(float)):
            self._cover(canvas, found, rng)

    def _head(self, canvas: ImageArray, labels: _Labels, rng: np.random.Generator) -> None:
        """A head, cut out with a soft edge, pasted where none is."""
        options, size = self.options, self.size
        photo = self.material.choose(HEAD_SETS, rng)
        outline = photo.labels.outlines[0]
        box = points_box(outline)
        side = (box[2:] - box[:2]).max()
        wanted = np.exp(rng.uniform(np.log(options.smallest), np.log(60.0)))
        target = rng.uniform(0.03, 0.97, size=2) * size
        middle = (box[:2] + box[2:]) / 2
        matrix = similarity(wanted / side, self._degrees(rng), middle, target)
        moved = points_box(outline @ matrix[:, :2].T + matrix[:, 2])
        reach = (moved[2:] - moved[:2]) * 0.4
        if not labels.cover(np.concatenate([moved[:2] - reach, moved[2:] + reach])):
            return
        head = Photo(
            DetectionPhoto(photo.labels.image, "head", [outline], photo.labels.keypoints[:1]),
            photo.levels,
        )
        half = int(np.ceil(wanted * 1.1)) + 2
        x0, y0 = np.maximum((target - half).astype(int), 0)
        x1, y1 = np.minimum((target + half).astype(int) + 1, size)
        piece = np.ascontiguousarray(canvas[y0:y1, x0:x1])
        local = np.column_stack([matrix[:, :2], matrix[:, 2] - [x0, y0]])
        drawn = piece.copy()
        place(photo.levels, local, drawn)
        # An ellipse from the hair to the chin, upright as the head is.
        linear = matrix[:, :2] / (wanted / side)
        extent = box[2:] - box[:2]
        centre = local[:, :2] @ (middle - [0, 0.13 * extent[1]]) + local[:, 2]
        mask = np.zeros(piece.shape[:2], np.uint8)
        axes = np.maximum(extent * (wanted / side) * rng.uniform([0.5, 0.58], [0.72, 0.8]), 1)
        turn = float(np.degrees(np.arctan2(linear[1, 0], linear[0, 0])))
        cv2.ellipse(mask, (tuple(centre), tuple(2 * axes), turn), 255, -1)
        soft = cv2.GaussianBlur(mask, (0, 0), 0.04 * wanted + 0.3)
        alpha = soft[:, :, None].astype(np.float32) / 255
        canvas[y0:y1, x0:x1] = (piece + alpha * (drawn.astype(np.float32) - piece)).astype(np.uint8)
        labels.add(head, matrix, np.array([0, 0, size, size]))

    def _patches(self, canvas: ImageArray, rng: np.random.Generator) -> None:
        """Pieces with straight edges, else an edge alone would announce a face; false faces."""
        size = self.size
        for _ in range(int(rng.integers(0, 4))):
            patch = self._backdrop(rng)
            matrix = similarity(
                rng.uniform(0.05, 0.5),
                rng.normal(0, 20),
                np.full(2, size / 2),
                rng.uniform(0, size, 2),
            )
            place([patch], matrix, canvas)
        for _ in range(int(rng.integers(2, 9)) if self.material.hard else 0):
            levels = self.material.hard[rng.integers(len(self.material.hard))]
            extent = np.array(levels[0].shape[1::-1])
            scale = np.exp(rng.uniform(*np.log([14.0, 200.0]))) / extent.max()
            matrix = similarity(scale, rng.normal(0, 15), extent / 2, rng.uniform(0, size, size=2))
            place(levels, matrix, canvas)

    def _cover(self, canvas: ImageArray, box: FloatArray, rng: np.random.Generator) -> None:
        """Sometimes hides a part of a face."""
        if rng.random() < self.options.occluded_share:
            cover_face(canvas, box, self.material.empty, rng)
