"""Trains a landmark network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asmnet.datasets.faces import labelled_faces, main_sets
from asmnet.datasets.records import LabelledFace
from asmnet.datasets.splits import Split, read_pointing04
from asmnet.datasets.synthetic import FOLDER as SYNTHETIC
from asmnet.detector import FaceDetector
from asmnet.image import load_image
from asmnet.training.config import LandmarkConfig
from asmnet.training.landmarks.asm import (
    fit_shape_model,
    in_box,
)
from asmnet.training.landmarks.crops import CropDataset
from asmnet.training.landmarks.losses import landmark_losses
from asmnet.training.landmarks.samples import (
    background_photos,
    load_faces,
)
from asmnet.training.landmarks.validate import validate
from asmnet.training.licensing import write_read
from asmnet.training.loop import fit
from asmnet.training.nets.build import landmark_model
from asmnet.training.transfer import start_from, start_weights


def fit_landmarks(config: LandmarkConfig, data: Path, folder: Path, *, resume: bool) -> nn.Module:
    """Trains a landmark network; see :func:`asmnet.training.loop.fit`.

    The run's folder gets ``shapes.npz`` too, the Active Shape Model.
    """
    size, margin, scheme = config.size, config.crop_margin, config.layout
    schedule = config.schedule
    if config.open:  # the default verifier is not
        detector = FaceDetector(config.detector, verifier=None)
    else:
        detector = FaceDetector(config.detector)
    teacher = None if config.teacher_labels is None else Path(config.teacher_labels)
    parts: tuple[Split, Split] = ("train", "val")
    rendered = config.sampling_weights is not None and SYNTHETIC in config.sampling_weights

    def faces_of(part: Split) -> list[LabelledFace]:
        # A teacher's labels validate only where manual ones may not.
        labels = teacher if part == "train" or config.open else None
        options = {"rendered": rendered, "open_only": config.open}
        return labelled_faces(data, part, scheme=scheme, teacher_labels=labels, **options)

    labelled, validation_faces = map(faces_of, parts)
    backgrounds = background_photos(data, "train", open_only=config.open)
    read = [(face.source, face.image) for face in (*labelled, *validation_faces)]
    read += [("crowds" if config.open else "backgrounds", path) for path, _ in backgrounds]
    if not config.open:
        poses = (pose for part in parts for pose in read_pointing04(data, part))
        read += [("pointing04", pose.image) for pose in poses]
    write_read(read, folder, config)
    # A teacher's faces have shapes that a network has smoothed already.
    human = [face for face in labelled if face.source != "helen_unlabelled"]
    shapes = fit_shape_model(human, config.kept_variance, aligned=config.aligned_shapes)
    shapes.save(folder / "shapes.npz")
    sets = load_faces(labelled, data, "train", detector, shapes, open_only=config.open)
    weights = config.sampling_weights
    if weights is not None:
        sets = {name: faces for name, faces in sets.items() if name in weights}
    validation = load_faces(validation_faces, data, "val", detector, shapes, open_only=config.open)
    photos = [(load_image(path), boxes) for path, boxes in backgrounds]
    main = main_sets(validation, open_only=config.open)
    torch.manual_seed(schedule.seed)
    # The mean shape in a crop around its box, whose longer side is 1 / margin of the crop's.
    mean = np.mean([in_box(face.landmarks) for face in labelled], axis=0)
    mean_in_crop = torch.from_numpy((mean - 0.5) / margin + 0.5).float()
    model: nn.Module = landmark_model(config, mean_in_crop)
    only = config.only or ("",)
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
            alphas=config.alphas,
            pose_weight=config.pose_weight,
            point_loss=config.point_loss,
        )

    dataset = CropDataset(
        sets,
        [image for image, _ in photos],
        size=size,
        margin=margin,
        late_epoch=config.late_epoch,
        augmentation_strength=config.augmentation_strength,
        late_augmentation_strength=config.late_augmentation_strength,
        length=schedule.samples,
        seed=schedule.seed,
        scheme=scheme,
        sampling_weights=weights,
        shear=config.shear,
        wide_boxes=config.wide_boxes,
        label_offset=config.label_offset,
        empty_share=config.empty_share,
        backgrounds=[image for image, boxes in photos if not len(boxes)],
    )
    if config.start is not None:
        start_from(model, start_weights(config, dataset))
    return fit(
        model,
        dataset,
        losses,
        lambda m: validate(m, validation, main, size=size, margin=margin, scheme=scheme),
        schedule=schedule,
        folder=folder,
        resume=resume,
        validate_every=5,
        best_figure="nme_label",
    )
