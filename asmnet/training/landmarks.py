"""What the landmark network learns from: crops, targets and the ASM-assisted loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from asmnet.detector import FaceDetector
from asmnet.geometry import (
    CropTransform,
    FloatArray,
    box_iou,
    points_box,
    roll_matrix,
    rotation_to_euler,
    upright_angle,
)
from asmnet.image import ImageArray, crop_image, load_image
from asmnet.schemes import IBUG_68
from asmnet.training.asm import ActiveShapeModel
from asmnet.training.augment import occlude, photometric
from asmnet.training.datasets import (
    LabelError,
    LabelledFace,
    PointingPose,
    Split,
    ellipse,
    pointing_rotations,
    read_300w,
    read_300w_lp,
    read_backgrounds,
    read_youtube_faces,
)
from asmnet.training.loop import Schedule, fit, images_to_input, load_average
from asmnet.training.metrics import nme
from asmnet.training.models import ASMNet, LandmarkNet

# Share of each set in the samples: first, and for the last epochs, when the human labels of 300W
# matter more than variety.
EARLY_MIXTURE = {"300w": 0.5, "300w_lp_ibug": 0.17, "youtube_faces": 0.18, "pointing04": 0.15}
LATE_MIXTURE = {"300w": 0.72, "300w_lp_ibug": 0.1, "youtube_faces": 0.06, "pointing04": 0.12}


@dataclass(frozen=True, eq=False)
class TrainingFace:
    """A face ready for cropping.

    Attributes:
        image: RGB photo.
        outline: (k, 2) points whose tight box is the label box: the 68 points where labelled.
        landmarks: (68, 2), or None.
        smoothed: (68, 2) the landmarks as the Active Shape Model sees them, or None.
        rotation: (3, 3) head rotation.
        offset: (4,) detector box minus label box, in units of the label box's sides.
        tilt: in-plane turn in degrees, from the key points.
    """

    image: ImageArray
    outline: FloatArray
    landmarks: FloatArray | None
    smoothed: FloatArray | None
    rotation: FloatArray
    offset: FloatArray
    tilt: float


class CropDataset(Dataset[tuple[Tensor, ...]]):
    """Random crops; item ``i`` of an epoch depends on seed, epoch and ``i`` only."""

    def __init__(
        self,
        sets: dict[str, list[TrainingFace]],
        textures: list[ImageArray],
        *,
        size: int,
        margin: float,
        late_epoch: int,
        hardness: float,
        length: int,
        seed: int,
    ) -> None:
        self.sets, self.textures, self.size, self.margin = sets, textures, size, margin
        self.length, self.seed, self.epoch = length, seed, 0
        self.late_epoch, self.hardness = late_epoch, hardness

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Image (S, S, 3) uint8, landmarks and smoothed (68, 2) in crop sides, weight, rotation."""
        rng = np.random.default_rng([self.seed, self.epoch, index])
        mixture = EARLY_MIXTURE if self.epoch < self.late_epoch else LATE_MIXTURE
        shares = np.array([mixture[name] for name in self.sets])
        faces = list(self.sets.values())[rng.choice(len(shares), p=shares / shares.sum())]
        image, landmarks, smoothed, rotation = self.sample(faces[rng.integers(len(faces))], rng)
        weight = float(landmarks is not None)
        if landmarks is None or smoothed is None:
            landmarks = smoothed = np.zeros((len(IBUG_68), 2))
        arrays = (landmarks / self.size, smoothed / self.size, np.array(weight), rotation)
        return (torch.from_numpy(image), *(torch.from_numpy(a.astype(np.float32)) for a in arrays))

    def sample(
        self, face: TrainingFace, rng: np.random.Generator
    ) -> tuple[ImageArray, FloatArray | None, FloatArray | None, FloatArray]:
        """One augmented crop with landmarks in crop pixels and the rotation seen in the crop."""
        transform, turn = _random_crop(face, self.size, self.margin, self.hardness, rng)
        image = crop_image(face.image, transform)
        if rng.random() < 0.25 * self.hardness:
            box = points_box(transform.apply(face.outline))
            occlude(image, box, self.textures[rng.integers(len(self.textures))], rng)
        image = photometric(image, rng)
        rotation = roll_matrix(turn) @ face.rotation
        mirrored = rng.random() < 0.5
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            rotation = rotation * np.outer([-1, 1, 1], [-1, 1, 1])
        points = [
            None if shape is None else transform.apply(shape)
            for shape in (face.landmarks, face.smoothed)
        ]
        if mirrored:
            points = [None if shape is None else _mirror(shape, self.size) for shape in points]
        return image, points[0], points[1], rotation


def _random_crop(
    face: TrainingFace, size: int, margin: float, hardness: float, rng: np.random.Generator
) -> tuple[CropTransform, float]:
    """The crop that inference would make of the photo turned by a random angle, with errors.

    Returns the transform from the photo to the crop and the face's clockwise turn between them.
    """
    photo_turn = rng.uniform(-60, 60) if rng.random() < 0.2 * hardness else rng.normal(0, 12)
    turn = np.asarray(cv2.getRotationMatrix2D((0, 0), -photo_turn, 1.0), dtype=np.float64)
    turned = CropTransform(turn, size)
    box = points_box(turned.apply(face.outline))
    extent = box[2:] - box[:2]
    draw = rng.random()
    if draw < 0.6:  # the detector's own error on this photo
        box = box + face.offset * np.tile(extent, 2)
    elif draw < 0.75:  # boxes with the forehead, as many other detectors draw them
        box = box - np.array([0, rng.uniform(0.15, 0.4) * extent[1], 0, 0])
    spread = (0.12, 0.15) if rng.random() < 0.2 * hardness else (0.03, 0.06)
    centre = (box[:2] + box[2:]) / 2 + rng.normal(0, spread[0], size=2) * extent
    half = (box[2:] - box[:2]) / 2 * np.exp(rng.normal(0, spread[1], size=2))
    box = np.concatenate([centre - half, centre + half])
    # With key points the crop is turned upright, up to their error; without, it is not.
    upright = photo_turn + face.tilt + rng.normal(0, 4) if rng.random() < 0.6 else 0.0
    if upright == 0.0 and abs(photo_turn) > 40:
        upright = photo_turn + rng.normal(0, 10)
    crop = CropTransform.from_bbox(box, size, margin=margin, angle=upright)
    full = np.vstack([turned.matrix, [0, 0, 1]])
    return CropTransform(crop.matrix @ full, size), photo_turn - upright


def _mirror(points: FloatArray, size: int) -> FloatArray:
    return np.stack([size - points[:, 0], points[:, 1]], axis=1)[IBUG_68.flip]


def load_faces(
    data: Path, split: Split, detector: FaceDetector, kept_variance: float
) -> tuple[dict[str, list[TrainingFace]], FloatArray]:
    """The training faces of every set, and the mean 68 points in units of the label box."""
    labelled = [
        face
        for face in read_300w(data, split)
        + read_300w_lp(data, split)
        + read_youtube_faces(data, split)
        if face.rotation is not None
    ]
    if not labelled:
        raise LabelError(f"{data}: expected faces with points and rotations under 300w, got none")
    shapes = np.array([_in_box(face.landmarks) for face in labelled])
    model = ActiveShapeModel.fit(shapes, kept_variance)
    sets: dict[str, list[TrainingFace]] = {name: [] for name in EARLY_MIXTURE}
    for face, smoothed in zip(labelled, model.project(shapes), strict=True):
        sets[face.source].append(_labelled_face(face, smoothed, detector))
    for pose, rotation in zip(*pointing_rotations(data, split), strict=True):
        ready = _pointing_face(pose, rotation, detector)
        if ready is not None:
            sets["pointing04"].append(ready)
    present = {name: faces for name, faces in sets.items() if faces}
    return present, model.mean.reshape(-1, 2)


def _in_box(points: FloatArray) -> FloatArray:
    box = points_box(points)
    return np.asarray((points - box[:2]) / (box[2:] - box[:2]))


def _labelled_face(
    face: LabelledFace, smoothed: FloatArray, detector: FaceDetector
) -> TrainingFace:
    image, points = load_image(face.image), face.landmarks
    assert face.rotation is not None
    box = points_box(points)
    extent = box[2:] - box[:2]
    offset = np.zeros(4)
    found = detector.detect(image)
    if found:
        overlaps = box_iou(box[None], np.array([d.bbox for d in found]))[0]
        if overlaps.max() > 0.4:
            offset = (found[int(overlaps.argmax())].bbox - box) / np.tile(extent, 2)
    tilt = upright_angle(IBUG_68.keypoints @ points)
    return TrainingFace(
        image, points, points, smoothed * extent + box[:2], face.rotation, offset, tilt
    )


def _pointing_face(
    pose: PointingPose, rotation: FloatArray, detector: FaceDetector
) -> TrainingFace | None:
    image = load_image(pose.image)
    found = detector.detect(image)
    if not found:
        return None
    outline = ellipse(found[0].bbox.astype(np.float64))
    tilt = upright_angle(found[0].keypoints)
    return TrainingFace(image, outline, None, None, rotation, np.zeros(4), tilt)


def landmark_losses(
    model: nn.Module,
    batch: tuple[Tensor, ...],
    progress: float,
    alphas: Sequence[float],
    pose_weight: float,
) -> dict[str, Tensor]:
    """The ASM-assisted loss, the pose loss, and for LandmarkNet the loss of the spread.

    ASMNet, section 3.3: error to the labels plus α times the error to the labels as the shape
    model sees them, α = 2, 1, 0.5 in the thirds of the training (``alphas``), over 1 + α so that
    the step size does not change with α. The point error is the wing loss (Feng et al. 2018)
    instead of the paper's square; the pose error is the angle between the rotations. The spread
    is fitted as the scale of a Laplace distribution of the errors (negative log-likelihood), so
    that it tells how far off a point will be; it does not move the points.
    """
    images, landmarks, smoothed, weight, rotation = batch
    predicted, predicted_rotation, *spread = model(images_to_input(images))
    alpha = alphas[min(int(len(alphas) * progress), len(alphas) - 1)]
    side = images.shape[1]
    to_labels, to_shape = (
        wing(side * (predicted - target)).mean(dim=(1, 2)) for target in (landmarks, smoothed)
    )
    points = (to_labels + alpha * to_shape) / (1 + alpha)
    cosine = ((predicted_rotation * rotation).sum(dim=(1, 2)) - 1) / 2
    # Below acos' infinite slope at 1.
    angle = torch.acos(cosine.clamp(-1 + 1e-4, 1 - 1e-4))
    labelled = weight.sum().clamp(min=1)
    parts = {"points": (points * weight).sum() / labelled, "pose": pose_weight * angle.mean()}
    if spread:
        error = (predicted - landmarks).detach().norm(dim=2)
        likelihood = (error / spread[0] + spread[0].log()).mean(dim=1)
        parts["spread"] = (likelihood * weight).sum() / labelled
    return parts


def wing(error: Tensor, width: float = 10.0, curvature: float = 2.0) -> Tensor:
    """Wing loss (Feng et al. 2018, eq. 5) of an error in pixels."""
    magnitude = error.abs()
    constant = width - width * float(np.log(1 + width / curvature))
    return torch.where(
        magnitude < width, width * torch.log1p(magnitude / curvature), magnitude - constant
    )


@torch.inference_mode()
def validate(
    model: nn.Module, sets: dict[str, list[TrainingFace]], *, size: int, margin: float
) -> dict[str, float]:
    """NME (%) with label and detector boxes on 300W, and the pose error (°) of each set."""
    figures = {}
    for name, faces in sets.items():
        transforms = [_crop(face, size, margin, with_offset=True) for face in faces]
        landmarks, rotations = _run(model, faces, transforms)
        truth = rotation_to_euler(np.array([f.rotation for f in faces]))
        turned = [roll_matrix(f.tilt) @ r for f, r in zip(faces, rotations, strict=True)]
        errors = np.abs(rotation_to_euler(np.array(turned)) - truth)
        figures[f"pose_{name}"] = float(errors[:, :2].mean())
        if name == "300w":
            points = np.array([_points_of(f) for f in faces])
            mapped = np.array([t.invert(p) for t, p in zip(transforms, landmarks, strict=True)])
            figures["nme_detector"] = float(nme(mapped, points, IBUG_68).mean())
            transforms = [_crop(face, size, margin, with_offset=False) for face in faces]
            landmarks, _ = _run(model, faces, transforms)
            mapped = np.array([t.invert(p) for t, p in zip(transforms, landmarks, strict=True)])
            figures["nme_label"] = float(nme(mapped, points, IBUG_68).mean())
    return figures


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
) -> tuple[FloatArray, FloatArray]:
    crops = np.stack([crop_image(f.image, t) for f, t in zip(faces, transforms, strict=True)])
    size = crops.shape[1]
    outputs = [model(images_to_input(part)) for part in torch.split(torch.from_numpy(crops), 64)]
    landmarks, rotations = (torch.cat([o[i] for o in outputs]).double().numpy() for i in (0, 1))
    return landmarks * size, rotations


def landmark_model(config: dict[str, Any], mean_shape: Tensor) -> nn.Module:
    """The untrained network of a config; ``mean_shape`` (N, 2) in units of the crop's side."""
    if config["model"] == "asmnet":
        return ASMNet(mean_shape, dropout=config["dropout"])
    return LandmarkNet(len(mean_shape), dropout=config["dropout"])


def fit_landmarks(
    config: dict[str, Any], schedule: Schedule, data: Path, folder: Path, *, resume: bool
) -> nn.Module:
    """Trains asmnet-68; see :func:`asmnet.training.loop.fit`."""
    size, margin = config["size"], config["crop_margin"]
    detector = FaceDetector(config["detector"])
    sets, mean = load_faces(data, "train", detector, config["kept_variance"])
    validation, _ = load_faces(data, "val", detector, config["kept_variance"])
    textures = [load_image(path) for path, _ in read_backgrounds(data, "train")]
    torch.manual_seed(schedule.seed)
    # The mean shape in a crop around its box, whose longer side is 1 / margin of the crop's.
    mean_in_crop = torch.from_numpy((mean - 0.5) / margin + 0.5).float()
    model = landmark_model(config, mean_in_crop)
    if "start" in config:
        model = load_average(model, Path(config["start"]))
    dataset = CropDataset(
        sets,
        textures,
        size=size,
        margin=margin,
        late_epoch=config["late_epoch"],
        hardness=config["hardness"],
        length=schedule.samples,
        seed=schedule.seed,
    )
    return fit(
        model,
        dataset,
        lambda m, batch, progress: landmark_losses(
            m, batch, progress, config["alphas"], config["pose_weight"]
        ),
        lambda m: validate(m, validation, size=size, margin=margin),
        schedule=schedule,
        folder=folder,
        resume=resume,
        validate_every=5,
    )
