"""Trains the face detector, and tells how good it is on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from asmnet.datasets.detection import DetectionPhoto, read_crowds
from asmnet.evaluation.boxes import REFERENCE_SIDE, recalls, score_for_false
from asmnet.evaluation.detector import compared
from asmnet.geometry import FloatArray, box_iou, non_maximum_suppression
from asmnet.image import ImageArray, letterbox, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.training.config import DetectorConfig
from asmnet.training.detection.loss import Batch, decode, detection_loss, flatten
from asmnet.training.detection.material import PHOTO_SETS, Material, Photo, pyramid
from asmnet.training.detection.mosaics import MosaicDataset
from asmnet.training.detection.targets import cells
from asmnet.training.licensing import write_read
from asmnet.training.loop import average_weights, fit, images_to_input
from asmnet.training.nets.blocks import initialise
from asmnet.training.nets.build import network
from asmnet.training.nets.face_detector import FaceDetectorNet, load_narrower

NMS_IOU = 0.4
# Recall is told at the score at which so many boxes a photo are false.
FALSE_A_PHOTO = 0.15
# A face is missed that has no box of this score, if it is so large when the photo is 640 wide.
MISSED_SCORE, MISSED_SIDE = 0.7, 14.0


def fit_detector(config: DetectorConfig, data: Path, folder: Path, *, resume: bool) -> nn.Module:
    """Trains asmnet-face, from the run ``config.start`` if given.

    See `asmnet.training.loop.fit`.
    """
    schedule = config.schedule
    torch.manual_seed(schedule.seed)
    model = network(config)
    assert isinstance(model, FaceDetectorNet)
    initialise(model)
    if config.start is not None:
        load_narrower(model, average_weights(Path(config.start)))
    labeller = FaceLandmarker(config.labeller, threads=1)
    material = Material.load(data, labeller, open_only=config.open)
    validation = read_crowds(data, "val", open_only=config.open)
    read = [*material.read, *((photo.source, photo.image) for photo in validation)]
    write_read(read, folder, config)
    dataset = MosaicDataset(
        material, config.mosaics, size=config.size, length=schedule.samples, seed=schedule.seed
    )
    if config.mine:
        material.hard = mine_negatives(model.eval(), material)
        material.missed = mine_missed(model, material)
    pictures = [load_image(photo.image) for photo in validation]

    def losses(model: nn.Module, batch: tuple[Tensor, ...], _: float) -> dict[str, Tensor]:
        images, *targets = batch
        return detection_loss(
            model(images_to_input(images)),
            Batch(*targets),
            size=config.size,
            score_floor=config.score_floor,
        )

    return fit(
        model,
        dataset,
        losses,
        lambda m: validate(m, validation, pictures),
        schedule=schedule,
        folder=folder,
        resume=resume,
        validate_every=config.validate_every,
    )


@torch.inference_mode()
def find(
    model: nn.Module, image: ImageArray, side: int, min_score: float
) -> tuple[FloatArray, FloatArray]:
    """Boxes (k, 4) xyxy in the image's pixels and scores (k,); its longer side is scaled."""
    pixels, scale = letterbox(image, side, multiple=side)
    centres, strides = (torch.from_numpy(v).float() for v in cells(side))
    device = next(model.parameters()).device
    raw = flatten(model(images_to_input(torch.from_numpy(pixels)[None].to(device))))[0][0].cpu()
    scores = raw[:, 0].sigmoid()
    likely = scores >= min_score
    boxes = decode(raw[likely], centres[likely], strides[likely])[0].double().numpy()
    found, confidence = boxes / np.tile(scale, 2), scores[likely].double().numpy()
    kept = non_maximum_suppression(found, confidence, NMS_IOU)
    return found[kept], confidence[kept]


def validate(
    model: nn.Module, photos: list[DetectionPhoto], pictures: list[ImageArray]
) -> dict[str, float]:
    """Recall of the network alone at 640, in %, by the faces' size (32, 16, 8 pixels and more).

    At the score at which `FALSE_A_PHOTO` boxes a photo are false; the score is told as well.
    Nothing is told where there are no photos.
    """
    if not photos:
        return {}
    scored = []
    for photo, picture in zip(photos, pictures, strict=True):
        found, scores = find(model, picture, REFERENCE_SIDE, 0.1)
        scored.append(compared(photo, picture, found, scores))
    false = round(FALSE_A_PHOTO * len(photos))
    score = score_for_false(scored, min_iou=0.3, false=false)
    parts, _ = recalls(scored, min_iou=0.3, min_score=score)
    return {"recall32": parts[0], "recall16": parts[1], "recall8": parts[2], "score_at": score}


def mine_negatives(model: nn.Module, material: Material) -> list[list[ImageArray]]:
    """Patches of photos without faces, twice the box's side, in which the model sees one."""
    patches = []
    for photo in tqdm(material.empty, desc="mining negatives"):
        image = photo.levels[0]
        for side in (320, 640):
            boxes, scores = find(model, image, side, 0.2)
            for box in boxes[scores < 0.8]:
                reach = (box[2:] - box[:2]).max()
                left, top = np.maximum((box[:2] + box[2:]) / 2 - reach, 0).astype(int)
                right, bottom = ((box[:2] + box[2:]) / 2 + reach).astype(int)
                patch = image[top:bottom, left:right]
                if min(patch.shape[:2]) >= 8:
                    patches.append(pyramid(patch))
    return patches


def mine_missed(model: nn.Module, material: Material) -> list[tuple[Photo, int]]:
    """The faces of whole photos that the model misses where they are large enough to be found."""
    missed = []
    photos = [p for name in PHOTO_SETS for p in material.photos.get(name, [])]
    for photo in tqdm(photos, desc="mining missed faces"):
        image, boxes = photo.levels[0], photo.boxes()
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) * REFERENCE_SIDE / max(image.shape[:2])
        found, scores = find(model, image, REFERENCE_SIDE, MISSED_SCORE)
        overlap = box_iou(boxes, found[scores >= MISSED_SCORE]).max(axis=1, initial=0)
        at = np.flatnonzero((overlap < 0.3) & (sides >= MISSED_SIDE))
        missed += [(photo, int(i)) for i in at]
    return missed
