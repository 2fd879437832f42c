"""Trains the verifier, which looks closely at what the detector took for faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from asmnet.detector import FaceDetector
from asmnet.geometry import CropTransform
from asmnet.image import crop_image
from asmnet.landmarker import FaceLandmarker
from asmnet.training.config import VerifierConfig
from asmnet.training.detection.crops import CropDataset, Places, find_places
from asmnet.training.detection.loss import iou_giou
from asmnet.training.detection.material import Material
from asmnet.training.licensing import write_read
from asmnet.training.loop import fit, images_to_input
from asmnet.training.nets.blocks import initialise
from asmnet.training.nets.build import network

# Validation tells the recall at which so many of the detector's false boxes pass.
FALSE_PARTS = (0.01, 0.05)
# Crops that are looked at together outside of training.
CHUNK = 512


def fit_verifier(config: VerifierConfig, data: Path, folder: Path, *, resume: bool) -> nn.Module:
    """Trains asmnet-face-verifier; see `asmnet.training.loop.fit`."""
    schedule = config.schedule
    torch.manual_seed(schedule.seed)
    model = network(config)
    initialise(model)
    labeller = FaceLandmarker(config.labeller, threads=1)
    detector = FaceDetector(config.detector, threads=1, rotated_retry=False, verifier=None)
    material = Material.load(data, labeller, open_only=config.open)
    places = find_places(material, detector, config.candidate_score)
    held_out = Material.load(data, labeller, "val", open_only=config.open)
    write_read([*material.read, *held_out.read], folder, config)
    crops = validation_crops(find_places(held_out, detector, config.candidate_score), config)
    del held_out
    dataset = CropDataset(
        material,
        places,
        size=config.size,
        margin=config.crop_margin,
        length=schedule.samples,
        seed=schedule.seed,
    )
    return fit(
        model,
        dataset,
        lambda m, batch, _: verification_loss(m(images_to_input(batch[0])), *batch[1:]),
        lambda m: validate(m, *crops),
        schedule=schedule,
        folder=folder,
        resume=resume,
    )


def verification_loss(
    outputs: tuple[Tensor, ...], is_face: Tensor, boxes: Tensor, keypoints: Tensor
) -> dict[str, Tensor]:
    """Losses of the score (cross entropy), the box (generalised IoU) and the key points.

    The last two are means over the faces; key points count in units of the face's side.
    """
    logits, found, points = outputs
    face = is_face > 0
    count = face.sum().clamp(min=1)
    _, giou = iou_giou(found[face], boxes[face])
    extent = (boxes[face, 2:] - boxes[face, :2]).mean(dim=1)[:, None, None]
    wanted = keypoints[face]
    distance = functional.smooth_l1_loss(
        points[face] / extent, wanted.nan_to_num() / extent, beta=0.05, reduction="none"
    )
    return {
        "score": functional.binary_cross_entropy_with_logits(logits, is_face),
        "box": 0.3 * (1 - giou).sum() / count,
        "keypoints": 0.1 * (distance * wanted.isfinite()).sum() / count,
    }


def validation_crops(places: Places, config: VerifierConfig) -> tuple[Tensor, Tensor, Tensor]:
    """The detector's hits and false boxes as inference sees them.

    Crops (n, S, S, 3) uint8, 1 or 0 for a face or none (n,), boxes (n, 4) in units of the crop.
    """
    found = [place for place, score in (*places.hits, *places.false) if score > 0]
    crops = np.zeros((len(found), config.size, config.size, 3), np.uint8)
    boxes = np.full((len(found), 4), np.nan, np.float32)
    for crop, box, place in zip(crops, boxes, found, strict=True):
        transform = CropTransform.from_bbox(place.box, config.size, margin=config.crop_margin)
        crop[:] = crop_image(place.photo.levels[0], transform)
        if place.face is not None:
            corners = place.photo.boxes()[place.face].reshape(2, 2)
            box[:] = transform.apply(corners).ravel() / config.size
    labels = torch.tensor([float(place.face is not None) for place in found])
    return torch.from_numpy(crops), labels, torch.from_numpy(boxes)


@torch.inference_mode()
def validate(model: nn.Module, crops: Tensor, labels: Tensor, boxes: Tensor) -> dict[str, float]:
    """Recall in % of the detector's hits where `FALSE_PARTS` of its false boxes pass; boxes' IoU.

    Nothing is told where there are no crops of both kinds.
    """
    face = labels > 0
    if not face.any() or face.all():
        return {}
    device = next(model.parameters()).device
    logits, found = [], []
    for part in torch.split(crops, CHUNK):
        outputs = model(images_to_input(part.to(device)))
        logits.append(outputs[0].cpu())
        found.append(outputs[1].cpu())
    scores = torch.cat(logits)
    iou, _ = iou_giou(torch.cat(found)[face], boxes[face])
    figures = {"iou": float(iou.mean())}
    for share in FALSE_PARTS:
        limit = torch.quantile(scores[~face], 1 - share)
        figures[f"recall_at_{share:g}"] = 100 * float((scores[face] > limit).float().mean())
    return figures
