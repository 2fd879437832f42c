"""Scores what users do to a landmark network: other boxes, turned photos, covered mouths, no face.

Also whether confidence and presence mean what they say. 300W common; needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from tqdm import tqdm

from asmnet.datasets.augment import background_box, lost_box
from asmnet.datasets.splits import Split, read_300w, read_backgrounds
from asmnet.detector import FaceDetector
from asmnet.errors import InvalidInputError
from asmnet.evaluation.landmarks import Figures, matching, predict
from asmnet.evaluation.metrics import RADIUS, nme
from asmnet.geometry import CropTransform, FloatArray, points_box
from asmnet.image import ImageArray, crop_image, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.types import Face
from asmnet.weights import family_of

TITLE = "300W common"
BOX_ERROR = 0.15
ROTATIONS = (30, 60)
COVER_BORDER = 0.03  # of the box's longer side, around the mouth
BACKGROUND_CROPS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Points' confidences and whether they were right, both (n,)."""

    confidence: FloatArray
    right: NDArray[np.bool_]

    def bins(self, count: int = 10) -> list[tuple[float, float, int]]:
        """Mean confidence, share of right points and number, of equal steps of confidence."""
        bins = np.minimum((self.confidence * count).astype(int), count - 1)
        return [
            (float(self.confidence[m].mean()), float(self.right[m].mean()), int(m.sum()))
            for m in (bins == i for i in range(count))
            if m.any()
        ]

    def expected_error(self) -> float:
        """Mean gap between confidence and share of right points over the bins, 0–1."""
        gaps = [n * abs(confidence - right) for confidence, right, n in self.bins()]
        return sum(gaps) / len(self.right)


def robustness_figures(
    name: str, data: Path, split: Split = "test"
) -> tuple[Figures, Reliability | None]:
    """Figures of the landmark network ``name``, and its confidences if it gives any.

    * Box errors: the label's box moved by up to ±15 % of its sides and scaled by up to ±15 %.
    * Turned: the photo is turned in its plane, and the box is the detector's.
    * Covered mouth: a flat patch of random colour over the mouth's points; the fall of their mean
      confidence.
    * Presence: faces in the label's box, against squares of backgrounds and boxes beside faces, all
      crops together for precision and recall.

    Raises:
        InvalidInputError: no labelled photos.
    """
    landmarker = FaceLandmarker(name, threads=1)
    detector = FaceDetector(family_of(name).name)
    rng = np.random.default_rng(0)
    errors: dict[str, list[float]] = {}
    lost = dict.fromkeys(ROTATIONS, 0)
    confidences, right, falls, present, beside = [], [], [], [], []

    def note(what: str, face: Face, truth: FloatArray) -> None:
        error = nme(face.to_68().landmarks[None], truth[None], labels.scheme)[0]
        errors.setdefault(what, []).append(float(error))

    for labels in tqdm(read_300w(data, split), TITLE):
        image, truth = load_image(labels.image), labels.landmarks
        box = points_box(truth)
        boxes = np.array([box, _disturbed(box, rng), lost_box(box, rng)])
        face, other, off = landmarker.predict(image, boxes)
        note("box as labelled", face, truth)
        note("box ±15 %", other, truth)
        for angle in ROTATIONS:
            turned, points = _turned(image, truth, angle)
            detection = matching(detector.detect(turned), points_box(points))
            if detection is None:
                lost[angle] += 1
            else:
                note(f"turned by {angle}°", predict(landmarker, turned, detection), points)
        if face.presence is not None and off.presence is not None:
            present.append(face.presence)
            beside.append(off.presence)
        if face.confidence is not None:
            distances = np.linalg.norm(face.to_68().landmarks - truth, axis=1)
            confidences.append(_confidence(face))
            right.append(distances < RADIUS * (box[2:] - box[:2]).max())
            mouth = np.concatenate([labels.scheme.groups[g] for g in ("outer_lip", "inner_lip")])
            covered = _covered(image, points_box(truth[mouth]), box, rng)
            (hidden,) = landmarker.predict(covered, boxes[:1])
            falls.append((_confidence(face) - _confidence(hidden))[mouth].mean())
    if not errors:
        raise InvalidInputError(f"{data}: expected labelled photos under 300w, got none")
    figures = {f"{TITLE}, {what}, NME %": float(np.mean(e)) for what, e in errors.items()}
    figures |= {f"{TITLE}, turned by {angle}°, lost": count for angle, count in lost.items()}
    if present:
        empty = _background_presences(landmarker, data, split, rng)
        figures["presence, faces against backgrounds, AUC"] = roc_area(present, empty)
        figures["presence, faces against boxes beside them, AUC"] = roc_area(present, beside)
        kept, false = (np.array(values) >= 0.5 for values in (present, empty + beside))
        figures["presence ≥ 0.5, recall %"] = 100 * float(kept.mean())
        figures["presence ≥ 0.5, precision %"] = 100 * float(
            kept.sum() / max(kept.sum() + false.sum(), 1)
        )
    if not confidences:
        return figures, None
    reliability = Reliability(np.concatenate(confidences), np.concatenate(right))
    figures["confidence, mean"] = float(reliability.confidence.mean())
    figures["confidence, share of right points"] = float(reliability.right.mean())
    figures["confidence, mean gap to that by tenths"] = reliability.expected_error()
    figures["confidence, fall of a covered mouth's points"] = float(np.mean(falls))
    return figures, reliability


def roc_area(positives: list[float], negatives: list[float]) -> float:
    """Area under the ROC curve: the probability that a positive's value exceeds a negative's."""
    n, m = len(positives), len(negatives)
    ranks = rankdata([*positives, *negatives])
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def _confidence(face: Face) -> FloatArray:
    confidence = face.to_68().confidence
    assert confidence is not None
    return confidence.astype(np.float64)


def _disturbed(box: FloatArray, rng: np.random.Generator) -> FloatArray:
    extent = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2 + rng.uniform(-BOX_ERROR, BOX_ERROR, 2) * extent
    half = extent / 2 * rng.uniform(1 - BOX_ERROR, 1 + BOX_ERROR)
    return np.concatenate([centre - half, centre + half])


def _turned(image: ImageArray, points: FloatArray, degrees: float) -> tuple[ImageArray, FloatArray]:
    """The photo turned about its centre on a canvas that holds all of it."""
    extent = np.array(image.shape[1::-1], dtype=np.float64)
    side = int(np.ceil(np.linalg.norm(extent)))
    box = np.concatenate([extent - side, extent + side]) / 2
    crop = CropTransform.from_bbox(box, side, margin=1.0, angle=degrees)
    return crop_image(image, crop), crop.apply(points)


def _covered(
    image: ImageArray, part: FloatArray, box: FloatArray, rng: np.random.Generator
) -> ImageArray:
    """A copy with a flat patch of random colour over a part of a face."""
    border = COVER_BORDER * (box[2:] - box[:2]).max()
    x0, y0 = np.maximum(part[:2] - border, 0).astype(int)
    x1, y1 = np.maximum(part[2:] + border, 0).astype(int)
    image = image.copy()
    image[y0:y1, x0:x1] = rng.integers(0, 256, 3)
    return image


def _background_presences(
    landmarker: FaceLandmarker, data: Path, split: Split, rng: np.random.Generator
) -> list[float]:
    presences: list[float] = []
    for path, faces in read_backgrounds(data, split):
        if not len(faces):
            photo = load_image(path)
            boxes = [background_box(photo, rng) for _ in range(BACKGROUND_CROPS)]
            found = landmarker.predict(photo, boxes)
            presences += [face.presence for face in found if face.presence is not None]
    return presences
