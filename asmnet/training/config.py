"""What a file of ``configs/`` may say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from asmnet.errors import InvalidInputError
from asmnet.schemes import SCHEMES, LandmarkScheme
from asmnet.training.tables import parse, read_table

Model = Literal["landmarknet", "asmnet-paper", "mobilenetv2", "atpn"]
Head = Literal["maps", "coarse-maps", "pixel-in-pixel", "simcc", "fused-simcc", "flat"]


@dataclass(frozen=True)
class Schedule:
    """How to train: the ``[schedule]`` table.

    Attributes:
        epochs: passes of ``samples`` random training samples each.
        samples: samples in an epoch.
        batch: samples in a step.
        lr: peak learning rate of AdamW, after ``warmup`` steps, then a cosine to zero.
        warmup: steps of linear warm-up.
        weight_decay: decoupled weight decay.
        ema: decay of the moving average of the weights, which is what is exported.
        seed: of the initial weights and of every random sample.
        workers: processes that prepare samples.
        bfloat16: compute in mixed precision; on a CPU it depends on the network which is faster.
    """

    epochs: int
    samples: int
    batch: int
    lr: float
    warmup: int
    weight_decay: float
    ema: float
    seed: int = 1
    workers: int = 1
    bfloat16: bool = False


@dataclass(frozen=True)
class LandmarkConfig:
    """A config with ``task = "landmarks"``.

    Attributes:
        schedule: how long and how fast.
        model: which network; "asmnet-paper", "mobilenetv2" and "atpn" are the papers',
            "landmarknet" is what asmnet-68 and asmnet-98 are.
        late_epoch: from here on there are mostly manual labels, and
            ``late_augmentation_strength`` counts.
        augmentation_strength: factor of the shares of large in-plane rotations, box errors
            and occlusions.
        late_augmentation_strength: the same from ``late_epoch`` on.
        pose_weight: of the angle (radians) in the loss.
        scheme: name of the layout of the points.
        size: side of the crop in pixels.
        crop_margin: side of the crop in units of the box's longer side.
        width: factor of the channels of a landmarknet.
        head: of a landmarknet: what reads the points off the features.
        trunk: of a landmarknet; "quick" has fewer multiply-adds.
        dropout: of the pose's features; in the papers' networks of all.
        detector: its boxes are trained on.
        teacher_labels: file of ``asmnet-train label``; called ``labels-CONFIG.npz`` after the
            config of the network that wrote it, so that ``asmnet-train rebuild`` finds its way.
        start: folder of the run whose weights training begins with; or, with ``start_config``,
            name or path of exported weights.
        start_config: config of the network in the exported weights.
        start_layers: take only layers whose names start so; all if empty.
        only: train only layers whose names start so; all if empty.
        kept_variance: of the Active Shape Model, 0–1.
        aligned_shapes: whether the model's shapes are aligned first.
        alphas: weight of the ASM term in equal parts of the training; no term if empty.
        point_loss: of pixels.
        sampling_weights: share of each set in the samples, all the time.
        shear: rows are pushed sideways by up to so many pixels a row.
        wide_boxes: share of boxes that are far off; 0.2 times the augmentation
            strength unless given.
        label_offset: where labels lie to the right of symmetric ones, in eye distances.
        empty_share: of the samples hold no face, for the output "presence".
        correction_ridge: of the linear correction of the points at export; none unless given.
        correction_components: of the deepest map, which have a part in the correction.
        storage: of the exported weights; the arithmetic stays float32.
        open: reads only data and weights that anyone may use, and refuses all others.
    """

    schedule: Schedule
    model: Model
    late_epoch: int
    augmentation_strength: float
    late_augmentation_strength: float
    pose_weight: float
    scheme: Literal["ibug68", "wflw98"] = "ibug68"
    size: int = 112
    crop_margin: float = 1.25
    width: float = 1.0
    head: Head = "maps"
    trunk: Literal["wide", "quick"] = "wide"
    dropout: float = 0.1
    detector: str = "asmnet-face"
    teacher_labels: str | None = None
    start: str | None = None
    start_config: str | None = None
    start_layers: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    kept_variance: float = 0.97
    aligned_shapes: bool = False
    alphas: tuple[float, ...] = ()
    point_loss: Literal["wing", "square"] = "wing"
    sampling_weights: dict[str, float] | None = None
    shear: float = 0.0
    wide_boxes: float | None = None
    label_offset: float | None = None
    empty_share: float = 0.0
    correction_ridge: float | None = None
    correction_components: int | None = None
    storage: Literal["float32", "float16"] = "float32"
    open: bool = False

    task: ClassVar[str] = "landmarks"

    @property
    def layout(self) -> LandmarkScheme:
        """The layout that ``scheme`` names."""
        return SCHEMES[self.scheme]


@dataclass(frozen=True)
class MosaicOptions:
    """What the detector's training pictures are like: the ``[mosaics]`` table.

    Attributes:
        smallest: side of the smallest faces in pixels; sides are drawn log-uniformly.
        largest: side of the largest.
        rotated_share: of the photos are rotated in the plane by up to ±``max_rotation``, the
            others by little.
        max_rotation: degrees.
        photo_share: of the mosaics show a whole photo with its own surroundings.
        single_share: of the mosaics show one to four photos of single faces.
        pasted_share: of the mosaics show small heads pasted into photos without faces; the rest
            holds no face.
        occluded_share: of the faces are partly covered.
    """

    smallest: float = 6.0
    largest: float = 330.0
    rotated_share: float = 0.25
    max_rotation: float = 80.0
    photo_share: float = 0.5
    single_share: float = 0.26
    pasted_share: float = 0.12
    occluded_share: float = 0.15


@dataclass(frozen=True)
class DetectorConfig:
    """A config with ``task = "detection"``.

    Attributes:
        schedule: how long and how fast.
        mosaics: what is seen.
        width: of the network; "wide" takes 1.6 times as long as "narrow".
        size: side of the training mosaics in pixels, a multiple of 32.
        mine: show more of what the start run got wrong: patches that it took for faces, and faces
            that it missed.
        score_floor: a face's score is trained towards this plus the rest times its box's IoU.
        validate_every: epochs between two validations.
        start: folder of the run whose weights training begins with.
        labeller: name or path of the landmark network that refines a teacher's boxes.
        open: reads only data and weights that anyone may use, and refuses all others.
    """

    schedule: Schedule
    mosaics: MosaicOptions = MosaicOptions()
    width: Literal["narrow", "wide"] = "narrow"
    size: int = 320
    mine: bool = False
    score_floor: float = 0.6
    validate_every: int = 1
    start: str | None = None
    labeller: str = "asmnet-68"
    open: bool = False

    task: ClassVar[str] = "detection"


@dataclass(frozen=True)
class VerifierConfig:
    """A config with ``task = "verification"``.

    Attributes:
        schedule: how long and how fast.
        detector: name or path of the weights whose candidates are verified.
        candidate_score: the detector's score from which on a place is a candidate.
        size: side of the crop in pixels, a multiple of 16.
        crop_margin: side of the crop in units of the box's longer side.
        labeller: as of a detector.
        open: as of a detector.
    """

    schedule: Schedule
    detector: str = "asmnet-face"
    candidate_score: float = 0.2
    size: int = 64
    crop_margin: float = 2.5
    labeller: str = "asmnet-68"
    open: bool = False

    task: ClassVar[str] = "verification"


Config = LandmarkConfig | DetectorConfig | VerifierConfig
TASKS: dict[str, type[Config]] = {
    c.task: c for c in (LandmarkConfig, DetectorConfig, VerifierConfig)
}


def read_config(path: Path) -> Config:
    """The config of a file.

    Raises:
        InvalidInputError: a file that is not there or no TOML, another task, a key that is unknown
            or missing, or a value of a wrong type.
    """
    table = read_table(path)
    task = table.pop("task", None)
    if task not in TASKS:
        raise InvalidInputError(f"{path}: task: expected one of {', '.join(TASKS)}, got {task!r}")
    return parse(TASKS[task], table, str(path))


def read_landmark_config(path: Path) -> LandmarkConfig:
    """The same of a file whose task is "landmarks"; InvalidInputError for another."""
    config = read_config(path)
    if not isinstance(config, LandmarkConfig):
        raise InvalidInputError(f"{path}: task: expected landmarks, got {config.task}")
    return config
