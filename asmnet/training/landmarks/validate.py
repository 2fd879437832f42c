"""The figures of a landmark network on the validation photos."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import nn

from asmnet.datasets.augment import (
    shifted_box,
)
from asmnet.datasets.faces import MAIN_SETS
from asmnet.evaluation.metrics import nme
from asmnet.geometry import (
    CropTransform,
    FloatArray,
    points_box,
    roll_matrix,
    rotation_to_euler,
)
from asmnet.image import ImageArray, crop_image
from asmnet.schemes import IBUG_68, LandmarkScheme
from asmnet.training.landmarks.samples import (
    TrainingFace,
)
from asmnet.training.loop import images_to_input
from asmnet.training.nets.blocks import LandmarkModel


@torch.inference_mode()
def validate(
    model: nn.Module,
    sets: dict[str, list[TrainingFace]],
    main: Collection[str] = MAIN_SETS,
    *,
    size: int,
    margin: float,
    scheme: LandmarkScheme = IBUG_68,
) -> dict[str, float]:
    """NME (%) with label and detector boxes on the main sets, and the pose error (°) of each set.

    With the output "presence" also its ``presence_error`` (%): how often it is wrong on the
    detector's boxes and, as often, on boxes that have lost the face to one side.
    """
    assert isinstance(model, LandmarkModel)
    figures = {}
    wrong = []
    by_label: list[FloatArray] = []
    by_detector: list[FloatArray] = []
    for name, faces in sets.items():
        transforms = [_crop(face, size, margin, with_offset=True) for face in faces]
        landmarks, rotations, *extras = _run(model, faces, transforms)
        truth = rotation_to_euler(np.array([f.rotation for f in faces]))
        turned = [roll_matrix(f.tilt) @ r for f, r in zip(faces, rotations, strict=True)]
        errors = np.abs(rotation_to_euler(np.array(turned)) - truth)
        figures[f"pose_{name}"] = float(errors[:, :2].mean())
        if name in main:
            by_detector.append(_errors(landmarks, transforms, faces, scheme))
            labels = [_crop(face, size, margin, with_offset=False) for face in faces]
            by_label.append(_errors(_run(model, faces, labels)[0], labels, faces, scheme))
        if "presence" in model.EXTRAS:
            at = model.EXTRAS.index("presence")
            lost = [_lost_crop(f, i, size, margin) for i, f in enumerate(faces)]
            wrong += [extras[at] <= 0, _run(model, faces, lost)[2 + at] > 0]
    if by_label:
        figures["nme_detector"] = float(np.concatenate(by_detector).mean())
        figures["nme_label"] = float(np.concatenate(by_label).mean())
    if wrong:
        figures["presence_error"] = 100 * float(np.concatenate(wrong).mean())
    return figures


def _errors(
    landmarks: FloatArray,
    crops: list[CropTransform],
    faces: list[TrainingFace],
    scheme: LandmarkScheme,
) -> FloatArray:
    """NME in percent of each face."""
    mapped = np.array([crop.invert(points) for crop, points in zip(crops, landmarks, strict=True)])
    return nme(mapped, np.array([_points_of(f) for f in faces]), scheme)


def _lost_crop(face: TrainingFace, number: int, size: int, margin: float) -> CropTransform:
    """A crop moved off its face by 0.9 to 1.5 sides, in a direction that its number gives."""
    angle, distance = 2.4 * number, 0.9 + 0.15 * (number % 5)  # 2.4: the golden angle
    shift = distance * np.array([np.cos(angle), np.sin(angle)])
    return CropTransform.from_bbox(
        shifted_box(points_box(face.outline), shift), size, margin=margin
    )


def _crop(face: TrainingFace, size: int, margin: float, *, with_offset: bool) -> CropTransform:
    """As in use: the detector's box turned upright, or the label box as it is."""
    box = points_box(face.outline)
    if with_offset:
        box = box + face.offset * np.tile(box[2:] - box[:2], 2)
    angle = face.tilt if with_offset else 0.0
    return CropTransform.from_bbox(box, size, margin=margin, angle=angle)


def _points_of(face: TrainingFace) -> FloatArray:
    assert face.landmarks is not None
    return face.landmarks


def _run(
    model: nn.Module, faces: list[TrainingFace], transforms: list[CropTransform]
) -> list[FloatArray]:
    """The network's outputs for one crop a face, the landmarks in pixels of the crop."""
    crops = np.stack([crop_image(f.image, t) for f, t in zip(faces, transforms, strict=True)])
    landmarks, *others = outputs_of(model, crops, next(model.parameters()).device)
    return [landmarks * crops.shape[1], *others]


@torch.inference_mode()
def outputs_of(
    model: nn.Module, crops: ImageArray, device: torch.device | str = "cpu"
) -> list[FloatArray]:
    """A network's outputs, as they are, for crops (n, S, S, 3) of uint8."""
    parts = torch.split(torch.from_numpy(crops), 64)
    batches = [model(images_to_input(part.to(device))) for part in parts]
    return [torch.cat(outputs).double().cpu().numpy() for outputs in zip(*batches, strict=True)]
