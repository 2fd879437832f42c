"""Fits how the detector's score and presence are weighed together: `asmnet.verification`.

Needs no torch. Candidates of training photos are faces or not by their labels; a logistic
regression tells the chance.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asmnet.datasets.detection import DetectionPhoto, Part, read_crowds, read_facemask
from asmnet.datasets.splits import read_backgrounds
from asmnet.detector import FaceDetector
from asmnet.evaluation.boxes import face_scores
from asmnet.evaluation.detector import CROWD_IOU, compared
from asmnet.geometry import FloatArray
from asmnet.image import ImageArray, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.types import Detection
from asmnet.verification import CANDIDATE_SCORE, features, longer_sides

# Every so many of the photos serve.
PHOTO_STEP = 3


def fitted_weights(data: Path, part: Part = "train") -> FloatArray:
    """``WEIGHTS`` of `asmnet.verification` from the photos of a part.

    Args:
        data: root of the data folders.
        part: of the photos.
    """
    *columns, is_face = candidates(data, part).T
    return logistic_regression(features(*columns), is_face)


def candidates(data: Path, part: Part) -> FloatArray:
    """Rows (k, 4): score, presence, side in pixels, 1 for a face and 0 for none."""
    rows = []
    for photo in tqdm(labelled_photos(data, part)[::PHOTO_STEP], "photos"):
        pixels = load_image(photo.image)
        for detection, presence in _presences(pixels):
            box = detection.bbox[None].astype(np.float64)
            shown = compared(photo, pixels, box, np.array([detection.score]))
            hits, false = face_scores(shown, min_iou=CROWD_IOU)
            hit = bool(np.isfinite(hits).any())
            if hit or len(false):
                rows.append((detection.score, presence, longer_sides(box).item(), float(hit)))
    return np.array(rows).reshape(-1, 4)


def labelled_photos(data: Path, part: Part) -> list[DetectionPhoto]:
    """Ordinary photos, and natural photos whose few known faces do not count."""
    nothing = np.zeros((0, 5, 2))
    natural = [
        DetectionPhoto(path, "backgrounds", [], nothing, known)
        for path, known in read_backgrounds(data, part)
    ]
    return read_crowds(data, part) + read_facemask(data, part) + natural


def _presences(pixels: ImageArray) -> list[tuple[Detection, float]]:
    """Candidates of an image, with their presence."""
    detector, landmarker = _networks()
    found = detector.detect(pixels, min_score=CANDIDATE_SCORE)
    presences = landmarker.presences(
        pixels,
        np.array([d.bbox for d in found]),
        keypoints=np.array([d.keypoints for d in found]),
    )
    assert presences is not None
    return list(zip(found, presences.tolist(), strict=True))


@cache
def _networks() -> tuple[FaceDetector, FaceLandmarker]:
    return FaceDetector(threads=1, rotated_retry=False), FaceLandmarker(threads=1)


def logistic_regression(features: FloatArray, labels: FloatArray, ridge: float = 1.0) -> FloatArray:
    """Weights (m,) of the log odds of a label of 1, from (n, m) features, by Newton's method."""
    weights = np.zeros(features.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        gradient = features.T @ (chance - labels) + ridge * weights
        curvature = (features * (chance * (1 - chance))[:, None]).T @ features
        step = np.linalg.solve(curvature + ridge * np.eye(len(weights)), gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights)
