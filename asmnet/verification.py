"""Is it a face? The detector's score and the landmark network's presence, weighed together.

The detector sees a face small and among everything else, the landmark network sees it large and
alone. Where both can tell, the two know more than either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from asmnet.geometry import FloatArray, non_maximum_suppression, points_box
from asmnet.image import ImageArray
from asmnet.landmarker import FaceLandmarker
from asmnet.types import Detection, Face

DEFAULT_MIN_SCORE = 0.7
"""Faces of a lower score are left out; chosen on validation photos (docs/accuracy.md)."""

CANDIDATE_SCORE = 0.5
"""The detector's score from which on a place is looked at by the landmark network."""
SURE_SCORE = 0.8
"""The detector's score from which on it is looked at closely at once."""

# Faces whose points' boxes overlap more are one face.
SAME_FACE_IOU = 0.5
# The log odds that a place is a face: weights of the logits of score and presence and of the face's
# smallness, and a constant. Fitted by `asmnet-train verification` on training photos.
WEIGHTS = (2.42, 0.41, 0.83, -0.45)
# Smallness is 0 from this side of a face on, in pixels, and 1 at half of it; at most the second.
LARGE_SIDE, MAX_SMALLNESS = 28.0, 2.0
MAX_LOGIT = 6.0


def verified(
    found: Sequence[Detection],
    landmarker: FaceLandmarker,
    pixels: ImageArray,
    min_score: float,
) -> list[Face]:
    """The detections with landmarks, and with the chance that each is a face as score; best first.

    Args:
        found: what a detector found in the image.
        landmarker: where it cannot tell presence the detector's scores stay.
        pixels: the image, RGB.
        min_score: 0–1, faces of a lower chance are left out.
    """
    found = _likely(found, landmarker, pixels, min_score)
    boxes, keypoints = _arrays(found)
    faces = landmarker.predict(pixels, boxes, keypoints=keypoints)
    scores = np.array([d.score for d in found])
    presences = [face.presence for face in faces if face.presence is not None]
    if len(presences) == len(faces):
        scores = face_probability(scores, np.array(presences), longer_sides(boxes))
    # A face that was found twice has the same points twice.
    places = np.array([points_box(face.landmarks) for face in faces]).reshape(-1, 4)
    kept = non_maximum_suppression(places, scores, SAME_FACE_IOU)
    return [replace(faces[i], score=float(scores[i])) for i in kept if scores[i] >= min_score]


def _likely(
    found: Sequence[Detection],
    landmarker: FaceLandmarker,
    pixels: ImageArray,
    min_score: float,
) -> list[Detection]:
    """Without the doubtful detections in which a quick look sees no face."""
    doubtful = [d for d in found if d.score < SURE_SCORE]
    boxes, keypoints = _arrays(doubtful)
    presences = landmarker.presences(pixels, boxes, keypoints=keypoints)
    if presences is None:
        return list(found)
    scores = np.array([d.score for d in doubtful])
    chances = face_probability(scores, presences, longer_sides(boxes))
    likely = [d for d, chance in zip(doubtful, chances, strict=True) if chance >= min_score]
    return [d for d in found if d.score >= SURE_SCORE] + likely


def _arrays(found: Sequence[Detection]) -> tuple[FloatArray, FloatArray]:
    """Boxes (n, 4) and key points (n, 5, 2)."""
    boxes = np.array([d.bbox for d in found], dtype=np.float64).reshape(-1, 4)
    return boxes, np.array([d.keypoints for d in found], dtype=np.float64).reshape(-1, 5, 2)


def longer_sides(boxes: FloatArray) -> FloatArray:
    """(n,) of (n, 4) xyxy boxes."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0))


def face_probability(scores: FloatArray, presences: FloatArray, sides: FloatArray) -> FloatArray:
    """The chance (n,) that each place is a face, 0 to 1.

    Args:
        scores: (n,) of the detector.
        presences: (n,) of the landmark network.
        sides: (n,) longer sides of the boxes in pixels.
    """
    return np.asarray(1 / (1 + np.exp(-features(scores, presences, sides) @ WEIGHTS)))


def features(scores: FloatArray, presences: FloatArray, sides: FloatArray) -> FloatArray:
    """What `WEIGHTS` weigh, (n, 4)."""
    smallness = np.log2(LARGE_SIDE / np.maximum(sides, 1))
    return np.stack(
        [
            logit(scores),
            logit(presences),
            np.clip(smallness, 0, MAX_SMALLNESS),
            np.ones(len(scores)),
        ],
        axis=1,
    )


def logit(probabilities: FloatArray) -> FloatArray:
    """Log odds, within ±`MAX_LOGIT`."""
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.asarray(np.clip(np.log(clipped / (1 - clipped)), -MAX_LOGIT, MAX_LOGIT))
