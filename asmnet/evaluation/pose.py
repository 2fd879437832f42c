"""Scores head poses: the network's own, and those of the 3-D face fitted to points. No torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from asmnet.datasets.records import LabelledFace, PointingPose
from asmnet.datasets.splits import read_300w, read_300w_lp, read_pointing04
from asmnet.detector import FaceDetector
from asmnet.evaluation.landmarks import Figures, predict, rotation_errors
from asmnet.geometry import FloatArray
from asmnet.image import load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.pose3d import head_pose_from_landmarks
from asmnet.types import Face, HeadPose
from asmnet.weights import family_of

FITTED = "3-D face fitted to points"


def pose_tables(name: str, data: Path) -> dict[str, Figures]:
    """Figures of the network ``name`` and of the fit of :mod:`asmnet.pose3d`.

    The fit to labelled points is compared with the pseudo-labels of the validation parts, which are
    a network's opinion: the figures say how far the two agree, not how right they are. On
    Pointing'04 both are scored against what people were told, the fit on the network's own points.
    """
    fitted: Figures = {}
    for title, faces in (
        ("300W validation", read_300w(data, "val")),
        ("300W-LP validation", read_300w_lp(data, "val")),
    ):
        fitted |= agreement_figures(title, faces)
    faces_of = pointing_faces(
        FaceLandmarker(name, threads=1), FaceDetector(family_of(name).name), data
    )
    own: Figures = {}
    if faces_of:
        own = pointing_figures(faces_of, lambda face: face.pose)
        fitted |= pointing_figures(
            faces_of, lambda face: head_pose_from_landmarks(face.landmarks, face.scheme)
        )
    return {name: own, FITTED: fitted}


def agreement_figures(title: str, faces: list[LabelledFace]) -> Figures:
    """How far the fit to the labelled points is from the rotations of the labels, in degrees."""
    known = [(face, face.rotation) for face in faces if face.rotation is not None]
    if not known:
        return {}
    rotations = [head_pose_from_landmarks(f.landmarks, f.scheme).rotation for f, _ in known]
    errors = rotation_errors(np.array(rotations), np.array([rotation for _, rotation in known]))
    figures: Figures = {f"{title}, faces": len(known)}
    return figures | {f"{title}, to pseudo-labels, {what}": v for what, v in errors.items()}


def pointing_faces(
    landmarker: FaceLandmarker, detector: FaceDetector, data: Path
) -> list[tuple[PointingPose, Face | None]]:
    """Pointing'04's test photos with the best detection's face, None where there is none."""
    faces: list[tuple[PointingPose, Face | None]] = []
    for pose in tqdm(read_pointing04(data, "test"), "Pointing'04"):
        image = load_image(pose.image)
        detections = detector.detect(image)
        faces.append((pose, predict(landmarker, image, detections[0]) if detections else None))
    return faces


def pointing_figures(
    faces: list[tuple[PointingPose, Face | None]], pose_of: Callable[[Face], HeadPose]
) -> Figures:
    """Mean absolute errors of pitch against tilt and of yaw against pan, in degrees."""
    found = [(told, pose_of(face)) for told, face in faces if face is not None]
    tilt = np.array([abs(pose.pitch - told.tilt) for told, pose in found])
    pan = np.array([abs(pose.yaw - told.pan) for told, pose in found])
    middle = np.array([abs(told.pan) <= 60 and abs(told.tilt) <= 30 for told, _ in found])
    figures: Figures = {}
    for name, chosen in (
        ("|pan| <= 60, |tilt| <= 30", middle),
        ("all poses", np.ones(len(found), dtype=bool)),
    ):
        if chosen.any():
            figures[f"Pointing'04 09-15, {name}, tilt MAE °"] = _mean(tilt, chosen)
            figures[f"Pointing'04 09-15, {name}, pan MAE °"] = _mean(pan, chosen)
    figures["Pointing'04 09-15, all poses, without a face"] = len(faces) - len(found)
    return figures


def _mean(values: FloatArray, chosen: NDArray[np.bool_]) -> float:
    return float(values[chosen].mean())
