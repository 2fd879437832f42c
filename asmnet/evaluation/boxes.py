"""Found boxes against labelled photos: recall by face size, false faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import FloatArray, box_iou

# Lower ends of the classes of face size: the longer side in a photo whose longer side is 640.
REFERENCE_SIDE = 640
SIZE_CLASSES = (32.0, 16.0, 8.0)


@dataclass(frozen=True, eq=False)
class PhotoBoxes:
    """What a detector found in a photo, and what is there.

    Attributes:
        found: (k, 4) xyxy, best score first.
        scores: (k,).
        faces: (n, 4) xyxy of the labels.
        sides: (n,) their longer sides in a photo whose own longer side is `REFERENCE_SIDE`.
        ignored: (m, 4) xyxy of what counts neither as found nor as false.
    """

    found: FloatArray
    scores: FloatArray
    faces: FloatArray
    sides: FloatArray
    ignored: FloatArray


def face_scores(photo: PhotoBoxes, *, min_iou: float | None) -> tuple[FloatArray, FloatArray]:
    """The score at which each face is found (n,), -inf where never; scores of false boxes (f,).

    Each box finds one face, each face is found once, best score first. A face is found by a box
    of at least ``min_iou``; with None by one whose centre lies in the label, as people draw
    boxes in many ways.
    """
    hits = np.full(len(photo.faces), -np.inf)
    false = []
    fits = _fits(photo.found, photo.faces, min_iou)
    spared = _overlaps(photo.found, photo.ignored) | (fits.max(axis=1, initial=0) > 0)
    for i in np.argsort(-photo.scores, kind="stable"):
        free = np.where(np.isneginf(hits), fits[i], 0.0)
        if free.max(initial=0) > 0:
            hits[free.argmax()] = photo.scores[i]
        elif not spared[i]:
            false.append(photo.scores[i])
    return hits, np.array(false)


def recalls(
    photos: Sequence[PhotoBoxes],
    *,
    min_iou: float | None,
    min_score: float,
    classes: tuple[float, ...] = SIZE_CLASSES,
) -> tuple[list[float], int]:
    """The part found in % of the faces of each class of size, and the number of false boxes.

    Args:
        photos: found and labelled boxes.
        min_iou: see `face_scores`.
        min_score: boxes below do not count.
        classes: falling lower ends of the classes, in pixels of a photo whose longer side is
            `REFERENCE_SIDE`; smaller faces do not count.
    """
    hits, sizes, false = [], [], 0
    for photo in photos:
        found, wrong = face_scores(photo, min_iou=min_iou)
        false += int((wrong >= min_score).sum())
        hits.append(found >= min_score)
        sizes.append(photo.sides)
    hit, size = np.concatenate(hits), np.concatenate(sizes)
    parts = []
    for low, high in zip(classes, (np.inf, *classes[:-1]), strict=True):
        inside = (low <= size) & (size < high)
        parts.append(100 * float(hit[inside].mean()) if inside.any() else float("nan"))
    return parts, false


def score_for_false(photos: Sequence[PhotoBoxes], *, min_iou: float | None, false: int) -> float:
    """The lowest score at which no more than so many false boxes are left."""
    wrong = np.concatenate([face_scores(photo, min_iou=min_iou)[1] for photo in photos])
    wrong = np.sort(wrong)[::-1]
    return float(np.nextafter(wrong[false], np.inf)) if len(wrong) > false else 0.0


def _fits(found: FloatArray, faces: FloatArray, min_iou: float | None) -> FloatArray:
    """(k, n) how well a box fits a face, 0 where it does not find it."""
    overlap = box_iou(found, faces)
    if min_iou is not None:
        return np.where(overlap >= min_iou, overlap, 0.0)
    centres = (found[:, None, :2] + found[:, None, 2:]) / 2
    inside = ((centres >= faces[:, :2]) & (centres <= faces[:, 2:])).all(axis=2)
    return np.where(inside, 0.01 + overlap, 0.0)


def _overlaps(found: FloatArray, ignored: FloatArray) -> NDArray[np.bool_]:
    """(k,) whether a box's centre lies in an ignored box, or the other way round."""
    if not len(found) or not len(ignored):
        return np.zeros(len(found), dtype=bool)
    a = (found[:, :2] + found[:, 2:]) / 2
    b = (ignored[:, :2] + ignored[:, 2:]) / 2
    a_in = ((a[:, None] >= ignored[:, :2]) & (a[:, None] <= ignored[:, 2:])).all(axis=2)
    b_in = ((b >= found[:, None, :2]) & (b <= found[:, None, 2:])).all(axis=2)
    return np.asarray(np.logical_or(a_in, b_in).any(axis=1), dtype=bool)
