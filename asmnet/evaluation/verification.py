"""Fits how the scores of detector and verifier are weighed together: `asmnet.verifier`.

Needs no torch. Candidates are faces or not by the photos' labels; a logistic regression tells the
probability. The photos are validation photos, as both networks have seen the others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from asmnet.datasets.detection import DetectionPhoto, Part, read_crowds, read_facemask, read_open
from asmnet.datasets.splits import read_backgrounds
from asmnet.detector import CANDIDATE_SCORE, FaceDetector
from asmnet.errors import InvalidInputError
from asmnet.evaluation.boxes import face_scores
from asmnet.evaluation.detector import CROWD_IOU, compared
from asmnet.evaluation.logistic import logistic_regression
from asmnet.geometry import FloatArray, longer_sides
from asmnet.image import load_image
from asmnet.verifier import FaceVerifier, features
from asmnet.weights import family_of


def fitted_weights(
    data: Path,
    part: Part = "val",
    *,
    detector: str = "research",
    verifier: str | None = None,
    open_only: bool = False,
) -> FloatArray:
    """``WEIGHTS`` of `asmnet.verifier` from the photos of a part.

    Args:
        data: root of the data folders.
        part: of the photos.
        detector: name of a family or of weights, or a path.
        verifier: name or path; None is the one of the detector's family.
        open_only: no photos but open ones.

    Raises:
        InvalidInputError: the detector finds no faces there, or nothing else.
    """
    *columns, is_face = candidates(
        data, part, detector=detector, verifier=verifier, open_only=open_only
    ).T
    if not 0 < is_face.sum() < len(is_face):
        raise InvalidInputError(
            f"{data}: expected faces and false candidates in photos of the part {part!r}, got "
            f"{int(is_face.sum())} faces of {len(is_face)}"
        )
    return logistic_regression(features(*columns), is_face)


def candidates(
    data: Path, part: Part, *, detector: str, verifier: str | None, open_only: bool
) -> FloatArray:
    """Rows (k, 4): both scores, side in pixels, 1 for a face and 0 for none."""
    finder = FaceDetector(detector, threads=1, rotated_retry=False, verifier=None)
    judge = FaceVerifier(verifier or family_of(detector).verifier, threads=1)
    rows = []
    for photo in tqdm(labelled_photos(data, part, open_only=open_only), "photos"):
        pixels = load_image(photo.image)
        found = finder.detect(pixels, min_score=CANDIDATE_SCORE)
        boxes = np.array([d.bbox for d in found], dtype=np.float64).reshape(-1, 4)
        _, verified, _ = judge.look(pixels, boxes)
        for detection, box, score in zip(found, boxes, verified, strict=True):
            shown = compared(photo, pixels, box[None], np.array([detection.score]))
            hits, false = face_scores(shown, min_iou=CROWD_IOU)
            hit = bool(np.isfinite(hits).any())
            if hit or len(false):
                side = longer_sides(box[None]).item()
                rows.append((detection.score, score, side, float(hit)))
    return np.array(rows).reshape(-1, 4)


def labelled_photos(data: Path, part: Part, *, open_only: bool) -> list[DetectionPhoto]:
    """Ordinary photos, and natural photos whose few known faces do not count; or open ones."""
    if open_only:
        return read_crowds(data, part, open_only=True) + read_open(data, part)
    nothing = np.zeros((0, 5, 2))
    natural = [
        DetectionPhoto(path, "backgrounds", [], nothing, known)
        for path, known in read_backgrounds(data, part)
    ]
    return read_crowds(data, part) + read_facemask(data, part) + natural
