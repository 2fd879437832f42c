"""Scores landmark networks from the labels' boxes and from the detector's. Needs no torch.

A face is found when a detection overlaps its label box, the tight box of its 68 points, by an IoU
of at least 0.5. A lost face counts as a failure, and as the largest error in areas under the curve.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from asmnet.datasets.formats import (
    read_300vw,
    read_300w_lp_files,
    read_300w_test,
    read_aflw2000,
    read_wflw,
)
from asmnet.datasets.records import LabelError, LabelledFace
from asmnet.detector import FaceDetector
from asmnet.evaluation.metrics import Norm, area_under_curve, failure_rate, nme
from asmnet.evaluation.report import face_tile
from asmnet.geometry import FloatArray, box_iou, geodesic_degrees, points_box, rotation_to_euler
from asmnet.image import ImageArray, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG, LandmarkScheme
from asmnet.types import Detection, Face

Figures: TypeAlias = dict[str, float]
Sample: TypeAlias = tuple[ImageArray, LabelledFace]

FOUND_IOU = 0.5
WORST = 24
UNKNOWN = np.full((3, 3), np.nan)  # a rotation without a label, or of a lost face


@dataclass(frozen=True)
class TestSet:
    """A test set as a user downloads it.

    Attributes:
        title: how tables call it.
        samples: reads it from its folder, photo by photo.
        norm: what its errors are divided by.
        limits: its thresholds in percent for failures and the area under the curve.
    """

    title: str
    samples: Callable[[Path], Iterator[Sample]]
    norm: Norm = "ocular"
    limits: tuple[int, ...] = (10,)


def _photos(faces: Iterable[LabelledFace]) -> Iterator[Sample]:
    for face in faces:
        yield load_image(face.image), face


def _video_frames(folder: Path) -> Iterator[Sample]:
    for video in read_300vw(folder, "test"):
        yield from video.frames()


SETS = {
    "300w": TestSet("300W", lambda folder: _photos(read_300w_test(folder)), limits=(10, 8)),
    "wflw": TestSet("WFLW", lambda folder: _photos(read_wflw(folder, "test"))),
    "aflw2000": TestSet("AFLW2000-3D", lambda folder: _photos(read_aflw2000(folder)), norm="box"),
    "300w_lp": TestSet("300W-LP", lambda folder: _photos(read_300w_lp_files(folder)), norm="box"),
    "300vw": TestSet("300VW", _video_frames, limits=(10, 8)),
}
"""Test sets by the name of their folder under the data root."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Predictions for n faces of a test set, beside their labels.

    Attributes:
        scheme: the layout that both sides were brought to, N points.
        norm: what errors are divided by.
        truth, by_label, by_detector: (n, N, 2) image pixels; of the label, and of the network in
            the label's box and in the detector's, NaN where that found no face.
        rotations, label_rotations, detector_rotations: (n, 3, 3), likewise; NaN without a label.
        subsets: the names of the subsets of each face.
        worst: tiles of the faces with the largest errors from the label's box, worst first.
    """

    scheme: LandmarkScheme
    norm: Norm
    truth: FloatArray
    by_label: FloatArray
    by_detector: FloatArray
    rotations: FloatArray
    label_rotations: FloatArray
    detector_rotations: FloatArray
    subsets: list[frozenset[str]]
    worst: list[ImageArray]

    def subset(self, name: str) -> NDArray[np.bool_]:
        """(n,) whether a face belongs to a subset."""
        return np.array([name in names for names in self.subsets])

    @property
    def found(self) -> NDArray[np.bool_]:
        """(n,) whether the detector found the face."""
        return np.isfinite(self.by_detector[:, 0, 0])

    def label_errors(self) -> FloatArray:
        """(n,) NME in percent from the label's box."""
        return nme(self.by_label, self.truth, self.scheme, norm=self.norm)

    def detector_errors(self) -> FloatArray:
        """(n,) NME in percent from the detector's box; infinite for a lost face."""
        errors = nme(self.by_detector, self.truth, self.scheme, norm=self.norm)
        return np.where(self.found, errors, np.inf)


def score(
    landmarker: FaceLandmarker,
    detector: FaceDetector,
    samples: Iterable[Sample],
    *,
    title: str,
    norm: Norm = "ocular",
) -> Scores:
    """Runs the networks over a set.

    98 points are mapped to 68 where only one of label and network has 98.

    Raises:
        LabelError: the set has no face.
    """
    rows: list[tuple[FloatArray, ...]] = []
    subsets: list[frozenset[str]] = []
    scheme = IBUG_68
    worst: list[tuple[float, int, ImageArray]] = []  # a heap, the smallest error first
    for image, face in tqdm(samples, title):
        points, scheme = _mapped_label(face, landmarker.scheme)
        box = points_box(face.landmarks if face.scheme == IBUG_68 else _to_68(face.landmarks))
        guess = landmarker.predict(image, box[None])[0]
        detection = matching(detector.detect(image), box)
        second = None if detection is None else predict(landmarker, image, detection)
        rows.append(
            (
                points,
                _points(guess, scheme),
                np.full(points.shape, np.nan) if second is None else _points(second, scheme),
                UNKNOWN if face.rotation is None else face.rotation,
                guess.pose.rotation,
                UNKNOWN if second is None else second.pose.rotation,
            )
        )
        subsets.append(face.subsets)
        error = float(nme(rows[-1][1][None], points[None], scheme, norm=norm)[0])
        if len(worst) < WORST or error > worst[0][0]:
            tile = face_tile(image, [guess], box, truth=points, text=f"{error:.1f} %")
            push = heapq.heappush if len(worst) < WORST else heapq.heapreplace
            push(worst, (error, len(rows), tile))
    if not rows:
        raise LabelError(f"{title}: expected labelled faces, got none")
    truth, by_label, by_detector, rotations, label_rotations, detector_rotations = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Scores(
        scheme=scheme,
        norm=norm,
        truth=truth,
        by_label=by_label,
        by_detector=by_detector,
        rotations=rotations,
        label_rotations=label_rotations,
        detector_rotations=detector_rotations,
        subsets=subsets,
        worst=[tile for *_, tile in sorted(worst, key=lambda entry: -entry[0])],
    )


def box_figures(
    scores: Scores,
    title: str,
    chosen: NDArray[np.bool_],
    *,
    limits: tuple[int, ...] = (10,),
    pupil: bool = False,
    lost: str = "lost",
) -> Figures:
    """NME, failures and areas of some faces from the label's and from the detector's box.

    Args:
        scores: of the whole set.
        title: begins the figures' names.
        chosen: (n,) which faces.
        limits: thresholds of failure in percent.
        pupil: NME over the distance of the pupils too.
        lost: what the count of lost faces is called.
    """
    errors, name = scores.label_errors()[chosen], f"{title}, label box"
    figures = {
        f"{name}, NME %": float(errors.mean()),
        f"{name}, median %": float(np.median(errors)),
    }
    for limit in limits:
        figures[f"{name}, FR@{limit} %"] = failure_rate(errors, limit)
        figures[f"{name}, AUC@{limit} %"] = area_under_curve(errors, limit)
    if pupil:
        figures[f"{name}, inter-pupil NME %"] = _pupil(scores, scores.by_label, chosen)
    errors, name = scores.detector_errors()[chosen], f"{title}, detector box"
    found = np.isfinite(errors)
    figures[f"{name}, {lost}"] = int((~found).sum())
    if found.any():
        figures[f"{name}, NME % of the found"] = float(errors[found].mean())
    for limit in limits:
        figures[f"{name}, FR@{limit} % with the lost"] = failure_rate(errors, limit)
    if pupil and found.any():
        of_found = _pupil(scores, scores.by_detector, chosen & scores.found)
        figures[f"{name}, inter-pupil NME % of the found"] = of_found
    return figures


def group_figures(scores: Scores, title: str, chosen: NDArray[np.bool_]) -> Figures:
    """NME of each part of the face from the label's box, and how far all points are shifted.

    The shifts are means of signed errors in percent of what NME is divided by: to the right and
    down. In mirrored photos a network without a side of its own would have the other sign.
    """
    truth = scores.truth[chosen]
    a_pixel_off = truth + np.array([1, 0])
    pixel = nme(a_pixel_off, truth, scores.scheme, norm=scores.norm)  # in percent, of each face
    shift = (scores.by_label[chosen] - truth).mean(axis=1)
    right, down = (shift * pixel[:, None]).mean(axis=0)
    parts = {
        f"{title}, label box, {group}, NME %": float(
            nme(
                scores.by_label[chosen], scores.truth[chosen], scores.scheme,
                points=points, norm=scores.norm,
            ).mean()
        )
        for group, points in scores.scheme.groups.items()
    }  # fmt: skip
    return parts | {
        f"{title}, label box, shift to the right %": float(right),
        f"{title}, label box, shift down %": float(down),
    }


def pose_figures(scores: Scores, title: str) -> Figures:
    """Mean absolute error of each angle, and of the rotation; nothing without labels."""
    figures: Figures = {}
    labelled = np.isfinite(scores.rotations[:, 0, 0])
    for name, rotations, chosen in (
        ("label box", scores.label_rotations, labelled),
        ("detector box, the found", scores.detector_rotations, labelled & scores.found),
    ):
        if chosen.any():
            errors = rotation_errors(rotations[chosen], scores.rotations[chosen])
            figures |= {f"{title}, {name}, {what}": value for what, value in errors.items()}
    return figures


def rotation_errors(rotations: FloatArray, truth: FloatArray) -> Figures:
    """Mean absolute errors in degrees between (n, 3, 3) rotations: of each angle and of all.

    Angles are subtracted as they are: 359° apart is no 1°.
    """
    pitch, yaw, roll = np.abs(rotation_to_euler(rotations) - rotation_to_euler(truth)).mean(axis=0)
    return {
        "pitch MAE °": float(pitch),
        "yaw MAE °": float(yaw),
        "roll MAE °": float(roll),
        "mean of the three °": float((pitch + yaw + roll) / 3),
        "geodesic °": float(geodesic_degrees(rotations, truth).mean()),
    }


def set_figures(scores: Scores, test_set: TestSet, *, pupil: bool = False) -> Figures:
    """The figures of a whole test set and of each of its subsets."""
    everything = np.ones(len(scores.truth), dtype=bool)
    title = test_set.title
    names = sorted(frozenset().union(*scores.subsets))
    if [*map(len, scores.subsets)] == [1] * len(everything) and len(names) == 1:
        title = f"{title} {names[0]}"  # the rest of the set is not there
        names = []
    if scores.scheme == IBUG_68 and title.startswith("WFLW"):
        title = f"{title} as 68 points"
    figures: Figures = {f"{title}, faces": len(everything)}
    figures |= box_figures(scores, title, everything, limits=test_set.limits, pupil=pupil)
    figures |= pose_figures(scores, title)
    for name in names:
        chosen, subset = scores.subset(name), f"{title} {name}"
        figures[f"{subset}, faces"] = int(chosen.sum())
        figures |= box_figures(scores, subset, chosen, limits=test_set.limits, pupil=pupil)
    return figures | group_figures(scores, title, everything)


def predict(landmarker: FaceLandmarker, image: ImageArray, detection: Detection) -> Face:
    """The face of a detection, turned upright by its key points as the analyzer does it."""
    keypoints = detection.keypoints[None]
    return landmarker.predict(image, detection.bbox[None], keypoints=keypoints)[0]


def matching(detections: list[Detection], truth: FloatArray) -> Detection | None:
    """The detection that overlaps the label most, or None below the IoU that counts as found."""
    best = matching_box([detection.bbox for detection in detections], truth)
    return None if best is None else detections[best]


def matching_box(boxes: Sequence[FloatArray], truth: FloatArray) -> int | None:
    """Which xyxy box overlaps the label's most, or None below the IoU that counts as found."""
    if not boxes:
        return None
    overlaps = box_iou(np.array(boxes), truth[None])[:, 0]
    return int(overlaps.argmax()) if overlaps.max() >= FOUND_IOU else None


def _to_68(points: FloatArray) -> FloatArray:
    return np.asarray(WFLW_TO_IBUG @ points)


def _mapped_label(face: LabelledFace, scheme: LandmarkScheme) -> tuple[FloatArray, LandmarkScheme]:
    if face.scheme == WFLW_98 and scheme != WFLW_98:
        return _to_68(face.landmarks), IBUG_68
    return face.landmarks, face.scheme


def _points(face: Face, scheme: LandmarkScheme) -> FloatArray:
    return face.landmarks if face.scheme == scheme else face.to_68().landmarks


def _pupil(scores: Scores, predicted: FloatArray, chosen: NDArray[np.bool_]) -> float:
    errors = nme(predicted[chosen], scores.truth[chosen], scores.scheme, norm="pupil")
    return float(errors.mean())
