"""Random crops of faces, and of what holds none."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from asmnet.datasets.augment import (
    background_box,
    lost_box,
    occlude,
    photometric,
    sheared,
)
from asmnet.geometry import (
    CropTransform,
    FloatArray,
    mirrored_rotation,
    points_box,
    roll_matrix,
)
from asmnet.image import ImageArray, crop_image
from asmnet.schemes import IBUG_68, LandmarkScheme
from asmnet.training.landmarks.samples import (
    EARLY_SAMPLING_WEIGHTS,
    LATE_SAMPLING_WEIGHTS,
    TrainingFace,
)

# 300W's labels lie so far to the right of where a network trained with mirrored photos puts its
# points, in outer-eye distances: the same offset in the mirror image, so no such network can learn
# it (docs/accuracy.md). Measured on the training photos.
LABEL_OFFSETS = {"300w": 0.009}


class CropDataset(Dataset[tuple[Tensor, ...]]):
    """Random crops; item ``i`` of an epoch depends on seed, epoch and ``i`` only."""

    def __init__(
        self,
        sets: dict[str, list[TrainingFace]],
        textures: list[ImageArray],
        *,
        size: int,
        margin: float,
        late_epoch: int,
        augmentation_strength: float,
        late_augmentation_strength: float,
        length: int,
        seed: int,
        scheme: LandmarkScheme = IBUG_68,
        sampling_weights: dict[str, float] | None = None,
        shear: float = 0.0,
        wide_boxes: float | None = None,
        label_offset: float | None = None,
        empty_share: float = 0.0,
        backgrounds: Sequence[ImageArray] = (),
    ) -> None:
        """Takes what to crop and how.

        Args:
            sets: the faces of each set.
            textures: photos whose pieces cover parts of the faces.
            size: side of the crops in pixels.
            margin: side of the crops in units of the box's longer side.
            late_epoch: from here on the shares of the sets are ``LATE_SAMPLING_WEIGHTS``.
            augmentation_strength: factor of the shares of large in-plane rotations, box errors
                and occlusions.
            late_augmentation_strength: the same from ``late_epoch`` on.
            length: samples in an epoch.
            seed: of every random choice.
            scheme: of the points.
            sampling_weights: share of each set in the samples, all the time.
            shear: rows are pushed sideways by up to this many pixels a row.
            wide_boxes: share of boxes that are far off, 0.2 times the augmentation strength
                unless given.
            label_offset: all labels, and those of mirrored photos too, are moved to lie so far to
                the right of symmetric ones, in outer-eye distances; see ``LABEL_OFFSETS``.
            empty_share: of the samples hold no face.
            backgrounds: photos without faces, for those.
        """
        self.sets, self.textures, self.size, self.margin = sets, textures, size, margin
        self.length, self.seed, self.epoch, self.scheme = length, seed, 0, scheme
        self.late_epoch = late_epoch
        self.augmentation_strength = augmentation_strength
        self.late_augmentation_strength = late_augmentation_strength
        self.sampling_weights = sampling_weights
        self.shear, self.empty_share, self.backgrounds = shear, empty_share, backgrounds
        self.wide_boxes, self.label_offset = wide_boxes, label_offset

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """One sample.

        Image (S, S, 3) uint8, landmarks and smoothed (N, 2) in crop sides, 1 where these are
        known, rotation (3, 3), 1 where there is a face.
        """
        rng = np.random.default_rng([self.seed, self.epoch, index])
        present = not (self.empty_share and rng.random() < self.empty_share)
        if present:
            image, landmarks, smoothed, rotation = self.sample(self._face(rng), rng)
        else:
            image, landmarks, smoothed, rotation = self.empty(rng), None, None, np.eye(3)
        labelled = landmarks is not None
        if landmarks is None or smoothed is None:
            landmarks = smoothed = np.zeros((len(self.scheme), 2))
        arrays = (
            landmarks / self.size, smoothed / self.size, np.array(labelled),
            rotation, np.array(present),
        )  # fmt: skip
        return (torch.from_numpy(image), *(torch.from_numpy(a.astype(np.float32)) for a in arrays))

    def _face(self, rng: np.random.Generator) -> TrainingFace:
        weights = self.sampling_weights
        if weights is None:
            early = self.epoch < self.late_epoch
            weights = EARLY_SAMPLING_WEIGHTS if early else LATE_SAMPLING_WEIGHTS
        shares = np.array([weights[name] for name in self.sets])
        faces = list(self.sets.values())[rng.choice(len(shares), p=shares / shares.sum())]
        return faces[rng.integers(len(faces))]

    def empty(self, rng: np.random.Generator) -> ImageArray:
        """A crop of a background, or one beside a face: what a tracker sees that has lost it."""
        if self.backgrounds and rng.random() < 0.5:
            photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
            box = background_box(photo, rng)
        else:
            face = self._face(rng)
            photo, box = face.image, lost_box(points_box(face.outline), rng)
        crop = CropTransform.from_bbox(box, self.size, margin=self.margin, angle=rng.normal(0, 12))
        return photometric(crop_image(photo, crop), rng)

    def sample(
        self, face: TrainingFace, rng: np.random.Generator
    ) -> tuple[ImageArray, FloatArray | None, FloatArray | None, FloatArray]:
        """One augmented crop with landmarks in crop pixels and the rotation seen in the crop."""
        early = self.epoch < self.late_epoch
        strength = self.augmentation_strength if early else self.late_augmentation_strength
        transform, angle = self._random_crop(face, strength, rng)
        if self.shear:
            transform = sheared(transform, rng, most=self.shear)
        image = crop_image(face.image, transform)
        if rng.random() < 0.25 * strength and self.textures:
            box = points_box(transform.apply(face.outline))
            occlude(image, box, self.textures[rng.integers(len(self.textures))], rng)
        image = photometric(image, rng)
        rotation: FloatArray = roll_matrix(angle) @ face.rotation
        mirrored = rng.random() < 0.5
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            rotation = mirrored_rotation(rotation)
        points = [
            None
            if shape is None
            else self._in_crop(shape, face.source, transform, mirrored=mirrored)
            for shape in (face.landmarks, face.smoothed)
        ]
        return image, points[0], points[1], rotation

    def _random_crop(
        self, face: TrainingFace, strength: float, rng: np.random.Generator
    ) -> tuple[CropTransform, float]:
        """The crop that inference would make of the photo rotated by a random angle, with errors.

        Returns the transform from the photo to the crop, and the degrees by which the face is
        rotated clockwise between them.
        """
        photo_angle = rng.uniform(-60, 60) if rng.random() < 0.2 * strength else rng.normal(0, 12)
        matrix = np.asarray(cv2.getRotationMatrix2D((0, 0), -photo_angle, 1.0), dtype=np.float64)
        rotated = CropTransform(matrix, self.size)
        box = points_box(rotated.apply(face.outline))
        extent = box[2:] - box[:2]
        draw = rng.random()
        if draw < 0.6:  # the detector's own error on this photo
            box = box + face.offset * np.tile(extent, 2)
        elif draw < 0.75:  # boxes with the forehead, as many other detectors draw them
            box = box - np.array([0, rng.uniform(0.15, 0.4) * extent[1], 0, 0])
        wide = 0.2 * strength if self.wide_boxes is None else self.wide_boxes
        spread = (0.12, 0.15) if rng.random() < wide else (0.03, 0.06)
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, spread[0], size=2) * extent
        half = (box[2:] - box[:2]) / 2 * np.exp(rng.normal(0, spread[1], size=2))
        box = np.concatenate([centre - half, centre + half])
        # With key points the crop is turned upright, up to their error; without, it is not.
        upright = photo_angle + face.tilt + rng.normal(0, 4) if rng.random() < 0.6 else 0.0
        if upright == 0.0 and abs(photo_angle) > 40:
            upright = photo_angle + rng.normal(0, 10)
        crop = CropTransform.from_bbox(box, self.size, margin=self.margin, angle=upright)
        full = np.vstack([rotated.matrix, [0, 0, 1]])
        return CropTransform(crop.matrix @ full, self.size), photo_angle - upright

    def _in_crop(
        self, points: FloatArray, source: str, transform: CropTransform, *, mirrored: bool
    ) -> FloatArray:
        points = transform.apply(points)
        offset = LABEL_OFFSETS.get(source, 0.0)
        if mirrored:
            points, offset = self.scheme.mirrored(points, self.size), -offset
        if self.label_offset is not None:
            right, left = points[list(self.scheme.eye_corners)]
            points[:, 0] += (self.label_offset - offset) * np.linalg.norm(left - right)
        return points
