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
from torch.nn import functional
from torch.utils.data import Dataset

from asmnet.datasets.augment import (
    background_box,
    lost_box,
    occlude,
    photometric,
    sheared,
    shifted_box,
)
from asmnet.datasets.faces import MAIN_SETS, labelled_faces, main_faces
from asmnet.datasets.records import LabelError, LabelledFace, PointingPose
from asmnet.datasets.splits import (
    Split,
    ellipse,
    pointing_rotations,
    read_backgrounds,
)
from asmnet.detector import FaceDetector
from asmnet.errors import InvalidInputError
from asmnet.evaluation.metrics import nme
from asmnet.geometry import (
    CropTransform,
    FloatArray,
    box_iou,
    mirrored_rotation,
    points_box,
    roll_matrix,
    rotation_to_euler,
    upright_angle,
)
from asmnet.image import ImageArray, crop_image, load_image
from asmnet.schemes import IBUG_68, SCHEMES, WFLW_TO_IBUG, LandmarkScheme
from asmnet.training.landmarks.asm import ActiveShapeModel
from asmnet.training.loop import Schedule, fit, images_to_input
from asmnet.training.nets.models import LandmarkModel, landmark_model
from asmnet.training.transfer import start_from, start_weights

# Share of each set in the samples: first, and for the last epochs, when the human labels of 300W
# or WFLW matter more than variety. Helen's photos without labels come with a teacher's.
EARLY_MIXTURE = {
    "300w": 0.5, "wflw": 0.5, "300w_lp_ibug": 0.17, "youtube_faces": 0.18, "pointing04": 0.15,
    "helen_unlabelled": 0.25,
}  # fmt: skip
LATE_MIXTURE = {
    "300w": 0.72, "wflw": 0.72, "300w_lp_ibug": 0.1, "youtube_faces": 0.06, "pointing04": 0.12,
    "helen_unlabelled": 0.2,
}  # fmt: skip


# Training photos are cut to a square of so many box sides around the face, which is shrunk to at
# most so many pixels: less than twice what a crop of 112 pixels shows of it.
SURROUNDINGS = 2.5
LARGEST_SIDE = 192

# 300W's labels lie so far to the right of where a network trained with mirrored photos puts its
# points, in outer-eye distances: the same offset in the mirror image, so no such network can learn
# it (docs/accuracy.md). Measured on the training photos.
LABEL_OFFSETS = {"300w": 0.009}


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
        tilt: in-plane turn in degrees, from the key points.
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
        late_hardness: float,
        length: int,
        seed: int,
        scheme: LandmarkScheme = IBUG_68,
        mixture: dict[str, float] | None = None,
        shear: float = 0.0,
        wide_boxes: float | None = None,
        label_offset: float | None = None,
        empty_share: float = 0.0,
        backgrounds: Sequence[ImageArray] = (),
    ) -> None:
        """Takes what to crop and how.

        Args:
            sets: the faces of each set.
            textures: photos whose pieces cover parts of the faces.
            size: side of the crops in pixels.
            margin: side of the crops in units of the box's longer side.
            late_epoch: from here on the shares of the sets are ``LATE_MIXTURE``.
            hardness: factor of the shares of large turns, box errors and occlusions.
            late_hardness: the same from ``late_epoch`` on.
            length: samples in an epoch.
            seed: of every random choice.
            scheme: of the points.
            mixture: share of each set in the samples, all the time.
            shear: rows are pushed sideways by up to this many pixels a row.
            wide_boxes: share of boxes that are far off, 0.2 times the hardness unless given.
            label_offset: all labels, and those of mirrored photos too, are moved to lie so far to
                the right of symmetric ones, in outer-eye distances; see ``LABEL_OFFSETS``.
            empty_share: of the samples hold no face.
            backgrounds: photos without faces, for those.
        """
        self.sets, self.textures, self.size, self.margin = sets, textures, size, margin
        self.length, self.seed, self.epoch, self.scheme = length, seed, 0, scheme
        self.late_epoch, self.hardness, self.late_hardness = late_epoch, hardness, late_hardness
        self.mixture = mixture
        self.shear, self.empty_share, self.backgrounds = shear, empty_share, backgrounds
        self.wide_boxes, self.label_offset = wide_boxes, label_offset

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """One sample.

        Image (S, S, 3) uint8, landmarks and smoothed (N, 2) in crop sides, 1 where these are
        known, rotation (3, 3), 1 where there is a face.
        """
        rng = np.random.default_rng([self.seed, self.epoch, index])
        present = not (self.empty_share and rng.random() < self.empty_share)
        if present:
            image, landmarks, smoothed, rotation = self.sample(self._face(rng), rng)
        else:
            image, landmarks, smoothed, rotation = self.empty(rng), None, None, np.eye(3)
        labelled = landmarks is not None
        if landmarks is None or smoothed is None:
            landmarks = smoothed = np.zeros((len(self.scheme), 2))
        arrays = (
            landmarks / self.size, smoothed / self.size, np.array(labelled),
            rotation, np.array(present),
        )  # fmt: skip
        return (torch.from_numpy(image), *(torch.from_numpy(a.astype(np.float32)) for a in arrays))

    def _face(self, rng: np.random.Generator) -> TrainingFace:
        mixture = self.mixture
        if mixture is None:
            mixture = EARLY_MIXTURE if self.epoch < self.late_epoch else LATE_MIXTURE
        shares = np.array([mixture[name] for name in self.sets])
        faces = list(self.sets.values())[rng.choice(len(shares), p=shares / shares.sum())]
        return faces[rng.integers(len(faces))]

    def empty(self, rng: np.random.Generator) -> ImageArray:
        """A crop of a background, or one beside a face: what a tracker sees that has lost it."""
        if self.backgrounds and rng.random() < 0.5:
            photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
            box = background_box(photo, rng)
        else:
            face = self._face(rng)
            photo, box = face.image, lost_box(points_box(face.outline), rng)
        crop = CropTransform.from_bbox(box, self.size, margin=self.margin, angle=rng.normal(0, 12))
        return photometric(crop_image(photo, crop), rng)

    def sample(
        self, face: TrainingFace, rng: np.random.Generator
    ) -> tuple[ImageArray, FloatArray | None, FloatArray | None, FloatArray]:
        """One augmented crop with landmarks in crop pixels and the rotation seen in the crop."""
        hardness = self.hardness if self.epoch < self.late_epoch else self.late_hardness
        transform, turn = self._random_crop(face, hardness, rng)
        if self.shear:
            transform = sheared(transform, rng, most=self.shear)
        image = crop_image(face.image, transform)
        if rng.random() < 0.25 * hardness and self.textures:
            box = points_box(transform.apply(face.outline))
            occlude(image, box, self.textures[rng.integers(len(self.textures))], rng)
        image = photometric(image, rng)
        rotation: FloatArray = roll_matrix(turn) @ face.rotation
        mirrored = rng.random() < 0.5
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            rotation = mirrored_rotation(rotation)
        points = [
            None
            if shape is None
            else self._in_crop(shape, face.source, transform, mirrored=mirrored)
            for shape in (face.landmarks, face.smoothed)
        ]
        return image, points[0], points[1], rotation

    def _random_crop(
        self, face: TrainingFace, hardness: float, rng: np.random.Generator
    ) -> tuple[CropTransform, float]:
        """The crop that inference would make of the photo turned by a random angle, with errors.

        Returns the transform from the photo to the crop and the face's clockwise turn between them.
        """
        photo_turn = rng.uniform(-60, 60) if rng.random() < 0.2 * hardness else rng.normal(0, 12)
        turn = np.asarray(cv2.getRotationMatrix2D((0, 0), -photo_turn, 1.0), dtype=np.float64)
        turned = CropTransform(turn, self.size)
        box = points_box(turned.apply(face.outline))
        extent = box[2:] - box[:2]
        draw = rng.random()
        if draw < 0.6:  # the detector's own error on this photo
            box = box + face.offset * np.tile(extent, 2)
        elif draw < 0.75:  # boxes with the forehead, as many other detectors draw them
            box = box - np.array([0, rng.uniform(0.15, 0.4) * extent[1], 0, 0])
        wide = 0.2 * hardness if self.wide_boxes is None else self.wide_boxes
        spread = (0.12, 0.15) if rng.random() < wide else (0.03, 0.06)
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, spread[0], size=2) * extent
        half = (box[2:] - box[:2]) / 2 * np.exp(rng.normal(0, spread[1], size=2))
        box = np.concatenate([centre - half, centre + half])
        # With key points the crop is turned upright, up to their error; without, it is not.
        upright = photo_turn + face.tilt + rng.normal(0, 4) if rng.random() < 0.6 else 0.0
        if upright == 0.0 and abs(photo_turn) > 40:
            upright = photo_turn + rng.normal(0, 10)
        crop = CropTransform.from_bbox(box, self.size, margin=self.margin, angle=upright)
        full = np.vstack([turned.matrix, [0, 0, 1]])
        return CropTransform(crop.matrix @ full, self.size), photo_turn - upright

    def _in_crop(
        self, points: FloatArray, source: str, transform: CropTransform, *, mirrored: bool
    ) -> FloatArray:
        points = transform.apply(points)
        offset = LABEL_OFFSETS.get(source, 0.0)
        if mirrored:
            points, offset = self.scheme.mirrored(points, self.size), -offset
        if self.label_offset is not None:
            right, left = points[list(self.scheme.eye_corners)]
            points[:, 0] += (self.label_offset - offset) * np.linalg.norm(left - right)
        return points


def fit_shape_model(
    faces: Sequence[LabelledFace], kept_variance: float, *, aligned: bool
) -> ActiveShapeModel:
    """The Active Shape Model of labelled faces, in the frame of :func:`shape_in_frame`."""
    shapes = np.array([shape_in_frame(face.landmarks, aligned=aligned) for face in faces])
    return ActiveShapeModel.fit(shapes, kept_variance, aligned=aligned)


def shape_in_frame(points: FloatArray, *, aligned: bool) -> FloatArray:
    """Image points (N, 2) in the frame of a shape model.

    An aligned model brings shapes into a frame itself. A raw one gets them in units of their box,
    as ASMNet's gets them in units of a crop that is stretched to a square.
    """
    return points if aligned else _in_box(points)


def smooth_landmarks(model: ActiveShapeModel, points: FloatArray) -> FloatArray:
    """Image points (N, 2) as the shape model sees them, in image pixels again.

    Done once a face, before the crops: a crop turns, scales and moves the points and their
    smoothed copies alike, so each step of the training finds both in its batch.
    """
    (smoothed,) = model.project(shape_in_frame(points, aligned=model.aligned)[None])
    if not model.aligned:
        box = points_box(points)
        smoothed = smoothed * (box[2:] - box[:2]) + box[:2]
    return np.asarray(smoothed)


def load_faces(
    labelled: Sequence[LabelledFace],
    data: Path,
    split: Split,
    detector: FaceDetector,
    model: ActiveShapeModel,
) -> dict[str, list[TrainingFace]]:
    """The training faces of every set: labelled ones, and Pointing'04's of a part."""
    sets: dict[str, list[TrainingFace]] = {name: [] for name in EARLY_MIXTURE}
    for face in labelled:
        sets[face.source].append(_labelled_face(face, model, detector))
    for pose, rotation in zip(*pointing_rotations(data, split), strict=True):
        ready = _pointing_face(pose, rotation, detector)
        if ready is not None:
            sets["pointing04"].append(ready)
    return {name: faces for name, faces in sets.items() if faces}


def label_crops(
    data: Path, split: Split, config: dict[str, Any], limit: int
) -> tuple[ImageArray, FloatArray]:
    """Crops around the label boxes of 300W, or of WFLW, with their points in crop pixels.

    (n, S, S, 3) and (n, N, 2) in the config's scheme; at most ``limit``, evenly spread over the
    set.
    """
    scheme = scheme_of(config)
    faces = main_faces(data, split, scheme)
    if not faces:
        raise LabelError(f"{data}: expected labelled photos under 300w or wflw, got none")
    faces = faces[:: -(-len(faces) // limit)]
    crops, points = [], []
    for face in faces:
        box = label_box(face.landmarks, scheme)
        crop = CropTransform.from_bbox(box, config["size"], margin=config["crop_margin"])
        crops.append(crop_image(load_image(face.image), crop))
        points.append(crop.apply(face.landmarks))
    return np.stack(crops), np.array(points)


def label_box(points: FloatArray, scheme: LandmarkScheme) -> FloatArray:
    """The tight box (4,) of the 68 points: what a box is everywhere."""
    return points_box(_outline(points, scheme))


def scheme_of(config: dict[str, Any]) -> LandmarkScheme:
    """The layout of the points that a config trains: its ``scheme``, or 300W's.

    Raises:
        InvalidInputError: no such layout.
    """
    name = config.get("scheme", IBUG_68.name)
    if name not in SCHEMES:
        raise InvalidInputError(f"scheme: expected one of {', '.join(SCHEMES)}, got {name!r}")
    return SCHEMES[name]


def _in_box(points: FloatArray) -> FloatArray:
    box = points_box(points)
    return np.asarray((points - box[:2]) / (box[2:] - box[:2]))


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
    return points if scheme is IBUG_68 else np.asarray(WFLW_TO_IBUG @ points)


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


def landmark_losses(
    model: nn.Module,
    batch: tuple[Tensor, ...],
    progress: float,
    *,
    alphas: Sequence[float],
    pose_weight: float,
    point_loss: str,
) -> dict[str, Tensor]:
    """The ASM-assisted loss, the pose loss, and the losses of the network's extra outputs.

    The points' loss is :func:`asm_assisted`, with α from ``alphas`` in equal parts of the
    training: the paper's 2, 1, 0.5 in its thirds; none means no ASM term. The pose error is the
    angle between the rotations in radians, where the paper squares the errors of three angles.
    A spread is fitted as the scale of a Laplace distribution of the errors (negative
    log-likelihood), so that it tells how far off a point will be; it does not move the points.
    A presence is fitted by cross-entropy. Crops without a face count for the presence only.
    """
    assert isinstance(model, LandmarkModel)
    images, landmarks, smoothed, labelled, rotation, present = batch
    predicted, predicted_rotation, *rest = model(images_to_input(images))
    extras = dict(zip(model.EXTRAS, rest, strict=True))
    alpha = alphas[min(int(len(alphas) * progress), len(alphas) - 1)] if alphas else 0.0
    side = images.shape[1]
    points = asm_assisted(
        side * (predicted - landmarks), side * (predicted - smoothed), alpha, point_loss
    )
    cosine = ((predicted_rotation * rotation).sum(dim=(1, 2)) - 1) / 2
    # Below acos' infinite slope at 1.
    angle = torch.acos(cosine.clamp(-1 + 1e-4, 1 - 1e-4))
    parts = {
        "points": _mean_of(points, labelled),
        "pose": pose_weight * _mean_of(angle, present),
    }
    if "spread" in extras:
        error = (predicted - landmarks).detach().norm(dim=2)
        likelihood = error / extras["spread"] + extras["spread"].log()
        parts["spread"] = _mean_of(likelihood.mean(dim=1), labelled)
    if "presence" in extras:
        parts["presence"] = functional.binary_cross_entropy_with_logits(extras["presence"], present)
    return parts


def asm_assisted(to_labels: Tensor, to_shape: Tensor, alpha: float, point_loss: str) -> Tensor:
    """The ASM-assisted loss (ASMNet, section 3.3) of each face: (n,).

    Args:
        to_labels: (n, N, 2) errors to the labels in pixels of the crop.
        to_shape: the same to the labels as the Active Shape Model sees them.
        alpha: weight of the latter.
        point_loss: "square" is the paper's own, the mean squared distance of the points plus
            ``alpha`` times that to the smoothed ones. Up to a constant this is 1 + α times the
            square to one target between the two, which moves from the smoothed shape towards the
            labels as α falls. "wing" takes the wing loss (Feng et al. 2018) instead, over 1 + α
            so that the step size does not change with α.

    Raises:
        InvalidInputError: another ``point_loss``.
    """
    if point_loss == "square":
        labels, shape = (e.square().sum(dim=2).mean(dim=1) for e in (to_labels, to_shape))
        return labels + alpha * shape
    if point_loss == "wing":
        labels, shape = (wing(e).mean(dim=(1, 2)) for e in (to_labels, to_shape))
        return (labels + alpha * shape) / (1 + alpha)
    raise InvalidInputError(f"point_loss: expected wing or square, got {point_loss!r}")


def _mean_of(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


def wing(error: Tensor, width: float = 10.0, curvature: float = 2.0) -> Tensor:
    """Wing loss (Feng et al. 2018, eq. 5) of an error in pixels."""
    magnitude = error.abs()
    constant = width - width * float(np.log(1 + width / curvature))
    return torch.where(
        magnitude < width, width * torch.log1p(magnitude / curvature), magnitude - constant
    )


@torch.inference_mode()
def validate(
    model: nn.Module,
    sets: dict[str, list[TrainingFace]],
    *,
    size: int,
    margin: float,
    scheme: LandmarkScheme = IBUG_68,
) -> dict[str, float]:
    """NME (%) with label and detector boxes on 300W and WFLW, and the pose error (°) of each set.

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
        if name in MAIN_SETS:
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


def fit_landmarks(
    config: dict[str, Any], schedule: Schedule, data: Path, folder: Path, *, resume: bool
) -> nn.Module:
    """Trains a landmark network; see :func:`asmnet.training.loop.fit`.

    The run's folder gets ``shapes.npz`` too, the Active Shape Model.
    """
    size, margin, scheme = config["size"], config["crop_margin"], scheme_of(config)
    detector = FaceDetector(config["detector"])
    teacher = Path(config["teacher_labels"]) if "teacher_labels" in config else None
    labelled = labelled_faces(data, "train", scheme=scheme, teacher_labels=teacher)
    # A teacher's faces have shapes that a network has smoothed already.
    human = [face for face in labelled if face.source != "helen_unlabelled"]
    shapes = fit_shape_model(
        human, config["kept_variance"], aligned=config.get("aligned_shapes", False)
    )
    folder.mkdir(parents=True, exist_ok=True)
    shapes.save(folder / "shapes.npz")
    sets = load_faces(labelled, data, "train", detector, shapes)
    mixture = config.get("mixture")
    if mixture is not None:
        sets = {name: faces for name, faces in sets.items() if name in mixture}
    validation_faces = labelled_faces(data, "val", scheme=scheme)
    validation = load_faces(validation_faces, data, "val", detector, shapes)
    photos = [(load_image(path), boxes) for path, boxes in read_backgrounds(data, "train")]
    torch.manual_seed(schedule.seed)
    # The mean shape in a crop around its box, whose longer side is 1 / margin of the crop's.
    mean = np.mean([_in_box(face.landmarks) for face in labelled], axis=0)
    mean_in_crop = torch.from_numpy((mean - 0.5) / margin + 0.5).float()
    model: nn.Module = landmark_model(config, mean_in_crop)
    only = tuple(config.get("only", [""]))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(only)

    def losses(model: nn.Module, batch: tuple[Tensor, ...], progress: float) -> dict[str, Tensor]:
        for name, layer in model.named_modules():  # of frozen layers batch-norms must not drift
            if name:
                layer.train(name.startswith((*only, "dropout")))
        return landmark_losses(
            model,
            batch,
            progress,
            alphas=config["alphas"],
            pose_weight=config["pose_weight"],
            point_loss=config.get("point_loss", "wing"),
        )

    dataset = CropDataset(
        sets,
        [image for image, _ in photos],
        size=size,
        margin=margin,
        late_epoch=config["late_epoch"],
        hardness=config["hardness"],
        late_hardness=config["late_hardness"],
        length=schedule.samples,
        seed=schedule.seed,
        scheme=scheme,
        mixture=mixture,
        shear=config.get("shear", 0.0),
        wide_boxes=config.get("wide_boxes"),
        label_offset=config.get("label_offset"),
        empty_share=config.get("empty_share", 0.0),
        backgrounds=[image for image, boxes in photos if not len(boxes)],
    )
    if "start" in config:
        start_from(model, start_weights(config, dataset))
    return fit(
        model,
        dataset,
        losses,
        lambda m: validate(m, validation, size=size, margin=margin, scheme=scheme),
        schedule=schedule,
        folder=folder,
        resume=resume,
        validate_every=5,
        best_figure="nme_label",
    )
