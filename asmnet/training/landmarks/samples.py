"""The faces that a landmark network learns from, ready for cropping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asmnet.datasets.detection import ellipse, read_open_backgrounds
from asmnet.datasets.faces import main_faces
from asmnet.datasets.records import LabelError, LabelledFace, PointingPose
from asmnet.datasets.splits import (
    Split,
    pointing_rotations,
    read_backgrounds,
)
from asmnet.detector import FaceDetector
from asmnet.geometry import (
    CropTransform,
    FloatArray,
    box_iou,
    points_box,
    upright_angle,
)
from asmnet.image import ImageArray, crop_image, load_image
from asmnet.schemes import IBUG_68, WFLW_TO_IBUG, LandmarkScheme
from asmnet.training.config import LandmarkConfig
from asmnet.training.landmarks.asm import (
    ActiveShapeModel,
    smooth_landmarks,
)

# Share of each set in the samples: first, and for the last epochs, when the manual labels of 300W
# or WFLW matter more than variety. Helen's photos without labels come with a teacher's.
EARLY_SAMPLING_WEIGHTS = {
    "300w": 0.5, "wflw": 0.5, "300w_lp_ibug": 0.17, "youtube_faces": 0.18, "pointing04": 0.15,
    "helen_unlabelled": 0.25, "synthetic": 0.5, "open": 0.4, "crowds": 0.1,
}  # fmt: skip

LATE_SAMPLING_WEIGHTS = {
    "300w": 0.72, "wflw": 0.72, "300w_lp_ibug": 0.1, "youtube_faces": 0.06, "pointing04": 0.12,
    "helen_unlabelled": 0.2, "synthetic": 0.3, "open": 0.6, "crowds": 0.1,
}  # fmt: skip

# Training photos are cut to a square of so many box sides around the face, which is shrunk to at
# most so many pixels: less than twice what a crop of 112 pixels shows of it.
SURROUNDINGS = 2.5

LARGEST_SIDE = 192


@dataclass(frozen=True, eq=False)
class TrainingFace:
    """A face ready for cropping.

    Attributes:
        image: RGB photo.
        outline: (k, 2) points whose tight box is the label box: the 68 points where labelled.
        landmarks: (N, 2), or None.
        smoothed: (N, 2) the landmarks as the Active Shape Model sees them, or None.
        rotation: (3, 3) head rotation.
        offset: (4,) detector box minus label box, in units of the label box's sides.
        tilt: in-plane rotation in degrees, from the key points.
        source: the set, "300w" for example.
    """

    image: ImageArray
    outline: FloatArray
    landmarks: FloatArray | None
    smoothed: FloatArray | None
    rotation: FloatArray
    offset: FloatArray
    tilt: float
    source: str


def load_faces(
    labelled: Sequence[LabelledFace],
    data: Path,
    split: Split,
    detector: FaceDetector,
    model: ActiveShapeModel,
    *,
    open_only: bool = False,
) -> dict[str, list[TrainingFace]]:
    """The training faces of every set: labelled ones, and, unless open, Pointing'04's of a part."""
    sets: dict[str, list[TrainingFace]] = {name: [] for name in EARLY_SAMPLING_WEIGHTS}
    for face in labelled:
        sets[face.source].append(_labelled_face(face, model, detector))
    poses = ([], []) if open_only else pointing_rotations(data, split)
    for pose, rotation in zip(*poses, strict=True):
        ready = _pointing_face(pose, rotation, detector)
        if ready is not None:
            sets["pointing04"].append(ready)
    return {name: faces for name, faces in sets.items() if faces}


def faces_to_fit(config: LandmarkConfig, data: Path, split: Split) -> list[LabelledFace]:
    """The faces that a trained network's last constants are fitted or checked on.

    Manual labels; of an open config what it may read, real photos rather than rendered ones.
    """
    teacher = None if config.teacher_labels is None else Path(config.teacher_labels)
    return main_faces(data, split, config.layout, teacher_labels=teacher, open_only=config.open)


def background_photos(
    data: Path, split: Literal["train", "val"], *, open_only: bool
) -> list[tuple[Path, FloatArray]]:
    """Photos with the (n, 4) xyxy boxes of the few faces in them."""
    if open_only:
        return [(path, np.zeros((0, 4))) for path in read_open_backgrounds(data, split)]
    return read_backgrounds(data, split)


def label_crops(
    data: Path, split: Split, config: LandmarkConfig, limit: int
) -> tuple[ImageArray, FloatArray]:
    """Crops around the label boxes of `faces_to_fit`, with their points in crop pixels.

    (n, S, S, 3) and (n, N, 2) in the config's scheme; at most ``limit``, evenly spread over the
    set.
    """
    scheme = config.layout
    faces = faces_to_fit(config, data, split)
    if not faces:
        raise LabelError(f"{data}: expected labelled photos to validate on, got none")
    faces = faces[:: -(-len(faces) // limit)]
    crops, points = [], []
    for face in faces:
        box = label_box(face.landmarks, scheme)
        crop = CropTransform.from_bbox(box, config.size, margin=config.crop_margin)
        crops.append(crop_image(load_image(face.image), crop))
        points.append(crop.apply(face.landmarks))
    return np.stack(crops), np.array(points)


def label_box(points: FloatArray, scheme: LandmarkScheme) -> FloatArray:
    """The tight box (4,) of the 68 points: what a box is everywhere."""
    return points_box(_outline(points, scheme))


def _labelled_face(
    face: LabelledFace, model: ActiveShapeModel, detector: FaceDetector
) -> TrainingFace:
    image = load_image(face.image)
    assert face.rotation is not None
    box = label_box(face.landmarks, face.scheme)
    extent = box[2:] - box[:2]
    offset = np.zeros(4)
    found = detector.detect(image)
    if found:
        overlaps = box_iou(box[None], np.array([d.bbox for d in found]))[0]
        if overlaps.max() > 0.4:
            offset = (found[int(overlaps.argmax())].bbox - box) / np.tile(extent, 2)
    image, points = _surroundings(image, face.landmarks, box)
    tilt = upright_angle(face.scheme.keypoints @ points)
    smoothed = smooth_landmarks(model, points)
    outline = _outline(points, face.scheme)
    return TrainingFace(image, outline, points, smoothed, face.rotation, offset, tilt, face.source)


def _outline(points: FloatArray, scheme: LandmarkScheme) -> FloatArray:
    """The 68 points of labelled ones."""
    return points if scheme == IBUG_68 else np.asarray(WFLW_TO_IBUG @ points)


def _surroundings(
    image: ImageArray, points: FloatArray, box: FloatArray
) -> tuple[ImageArray, FloatArray]:
    """A photo's part around a face, not larger than training needs, and the points in it.

    All faces are kept in memory: full photos would take some ten gigabytes.
    """
    side = float((box[2:] - box[:2]).max())
    size = round(SURROUNDINGS * min(side, LARGEST_SIDE))
    if image.shape[0] * image.shape[1] <= 2 * size**2:
        return image, points
    crop = CropTransform.from_bbox(box, size, margin=SURROUNDINGS)
    return crop_image(image, crop), crop.apply(points)


def _pointing_face(
    pose: PointingPose, rotation: FloatArray, detector: FaceDetector
) -> TrainingFace | None:
    image = load_image(pose.image)
    found = detector.detect(image)
    if not found:
        return None
    outline = ellipse(found[0].bbox.astype(np.float64))
    tilt = upright_angle(found[0].keypoints)
    return TrainingFace(image, outline, None, None, rotation, np.zeros(4), tilt, "pointing04")
