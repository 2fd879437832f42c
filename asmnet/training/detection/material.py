"""What training pictures of the detector are made of: photos in memory, with their faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from asmnet.datasets.augment import shrink_by_half
from asmnet.datasets.detection import (
    DetectionPhoto,
    Part,
    read_crowds,
    read_facemask,
    read_fgnet,
    read_open,
    read_rendered,
    read_single_faces,
    read_utkface,
    refine,
)
from asmnet.datasets.records import LabelError
from asmnet.datasets.splits import read_backgrounds
from asmnet.geometry import FloatArray, points_box
from asmnet.image import ImageArray, load_image
from asmnet.landmarker import FaceLandmarker

# How often a set is drawn: as a whole photo; as one of the photos of single faces; as a head that
# is cut out and pasted.
PHOTO_SETS = {
    "crowds": 0.62,
    "facemask": 0.18,
    "open": 0.1,
    "fgnet": 0.04,
    "helen_unlabelled": 0.06,
}
SINGLE_SETS = {
    "300w": 0.3,
    "300w_lp_ibug": 0.14,
    "pointing04": 0.18,
    "youtube_faces": 0.05,
    "helen_unlabelled": 0.08,
    "utkface": 0.1,
    "open": 0.1,
    "fgnet": 0.05,
    "synthetic": 0.15,
}
HEAD_SETS = {
    "utkface": 0.4,
    "300w": 0.2,
    "open": 0.2,
    "300w_lp_ibug": 0.1,
    "fgnet": 0.1,
    "synthetic": 0.2,
}


@dataclass(eq=False)
class Photo:
    """A photo in memory, halved again and again, with its labels."""

    labels: DetectionPhoto
    levels: list[ImageArray]

    @classmethod
    def load(cls, labels: DetectionPhoto, landmarker: FaceLandmarker) -> Photo:
        """Reads the picture and refines the labels by a landmark network."""
        pixels = load_image(labels.image)
        return cls(refine(labels, pixels, landmarker), pyramid(pixels))

    def boxes(self) -> FloatArray:
        """(n, 4) of its faces, in the photo's own pixels."""
        return np.array([points_box(o) for o in self.labels.outlines]).reshape(-1, 4)


def pyramid(pixels: ImageArray) -> list[ImageArray]:
    """The image and its halves: a warp alone would skip thin lines where it shrinks."""
    levels = [pixels]
    while min(levels[-1].shape[:2]) > 16:
        levels.append(shrink_by_half(levels[-1]))
    return levels


@dataclass(eq=False)
class Material:
    """What mosaics are made of.

    Attributes:
        photos: with faces, by set.
        empty: photos without a face.
        hard: patches that an earlier detector took for faces, each halved again and again.
        missed: photos with the number of a face that an earlier detector missed.
        read: set and path of every photo.
    """

    photos: dict[str, list[Photo]] = field(default_factory=dict)
    empty: list[Photo] = field(default_factory=list)
    hard: list[list[ImageArray]] = field(default_factory=list)
    missed: list[tuple[Photo, int]] = field(default_factory=list)
    read: list[tuple[str, Path]] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        root: Path,
        landmarker: FaceLandmarker,
        part: Part = "train",
        *,
        open_only: bool = False,
    ) -> Material:
        """Everything of a part below ``root``, or what is open; boxes refined by a network."""
        material = cls()
        readers: tuple[Callable[[Path, Part], list[DetectionPhoto]], ...] = (
            read_crowds,
            read_facemask,
            read_open,
            read_utkface,
            read_fgnet,
            read_single_faces,
        )
        if open_only:
            readers = (partial(read_crowds, open_only=True), read_open, read_rendered)
        for reader in readers:
            for labels in reader(root, part):
                photo = Photo.load(labels, landmarker)
                material.read.append((labels.source, labels.image))
                if labels.outlines:
                    material.photos.setdefault(labels.source, []).append(photo)
                else:
                    material.empty.append(photo)
        for path, boxes in [] if open_only else read_backgrounds(root, part):
            material.read.append(("backgrounds", path))
            pixels = without_faces(load_image(path), boxes)
            nothing = DetectionPhoto(path, "backgrounds", [], np.zeros((0, 5, 2)))
            material.empty.append(Photo(nothing, pyramid(pixels)))
        if not material.photos:
            raise LabelError(f"{root}: expected photos with faces for training, got none")
        return material

    def choose(self, shares: dict[str, float], rng: np.random.Generator) -> Photo:
        """A photo of a set that is there, sets by their share; of any set if none of them is."""
        names = [name for name in shares if name in self.photos] or sorted(self.photos)
        weights = np.array([shares.get(name, 1.0) for name in names])
        photos = self.photos[names[rng.choice(len(names), p=weights / weights.sum())]]
        return photos[rng.integers(len(photos))]


def without_faces(image: ImageArray, boxes: FloatArray) -> ImageArray:
    """Paints the mean colour over the faces of a background photo."""
    for x0, y0, x1, y1 in boxes.round().astype(int):
        image[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = image.mean(axis=(0, 1))
    return image
