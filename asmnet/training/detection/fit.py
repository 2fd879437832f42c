"""What the face detector learns from: mosaics, targets and losses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from tqdm import tqdm

from asmnet.datasets.augment import occlude, photometric, shrink_by_half
from asmnet.datasets.splits import read_backgrounds, read_detection
from asmnet.geometry import FloatArray, box_iou, non_maximum_suppression, points_box
from asmnet.image import ImageArray, letterbox, load_image
from asmnet.training.config import DetectorConfig
from asmnet.training.loop import fit, images_to_input, load_average
from asmnet.training.nets.blocks import initialise
from asmnet.training.nets.face_detector import FaceDetectorNet

# Face sizes (square root of the box area, input pixels) that each stride is responsible for.
SIZE_RANGES = {8: (0.0, 64.0), 16: (40.0, 150.0), 32: (96.0, float("inf"))}
CENTRE_PART = 0.22  # cells this close to the box's centre (units of its sides) are positive
MIN_FACE = 9.0  # smaller faces are neither face nor background
MIRROR = np.array([1, 0, 2, 4, 3])  # key points after a mirror


@dataclass(frozen=True, eq=False)
class Scene:
    """A training picture: image (S, S, 3) and what is in it."""

    image: ImageArray
    boxes: FloatArray  # (n, 4) xyxy
    keypoints: FloatArray  # (n, 5, 2)
    usable: NDArray[np.bool_]  # (n,) False: ignored, too small or mostly cut off


class SceneDataset(Dataset[tuple[Tensor, ...]]):
    """Endless random scenes; item ``i`` of an epoch depends on seed, epoch and ``i`` only."""

    def __init__(
        self,
        root: Path,
        *,
        size: int,
        turned_share: float,
        largest_turn: float,
        profile_weight: float,
        background_share: float,
        length: int,
        seed: int,
    ) -> None:
        self.size, self.length, self.seed, self.epoch = size, length, seed, 0
        self.turned_share, self.background_share = turned_share, background_share
        self.largest_turn = largest_turn
        self.hard: list[ImageArray] = []
        self.photos = read_detection(root, "train")
        self.images = [load_image(photo.image) for photo in self.photos]
        self.backgrounds = [
            _without_faces(load_image(path), boxes)
            for path, boxes in read_backgrounds(root, "train")
        ]
        # 300W photos carry human labels and the most variety: draw them twice as often.
        weight = {"300w": 2.0, "300w_lp_ibug": profile_weight, "pointing04": profile_weight}
        weights = np.array([weight.get(photo.source, 1.0) for photo in self.photos])
        self.weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        scene = self.scene(np.random.default_rng([self.seed, self.epoch, index]))
        return (torch.from_numpy(scene.image), *assign(scene, self.size))

    def scene(self, rng: np.random.Generator) -> Scene:
        """One scene: a photo, a mosaic of four, or background only."""
        size = self.size
        kind = rng.random()
        canvas = self._backdrop(rng)
        boxes, keypoints, usable = [], [], []
        if kind < self.background_share:
            tiles = []
        elif rng.random() < 0.5:
            tiles = [(0, 0, size, size)]
            face_sizes = (22.0, 1.05 * size)
        else:
            cx, cy = rng.integers(int(0.3 * size), int(0.7 * size), size=2)
            tiles = [(0, 0, cx, cy), (cx, 0, size, cy), (0, cy, cx, size), (cx, cy, size, size)]
            face_sizes = (10.0, 0.5 * size)
        # Background patches with straight edges: else an edge alone would announce a face.
        for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.4 else 0):
            patch = self._backdrop(rng)
            scale, angle = rng.uniform(0.05, 0.5), rng.normal(0, 20)
            turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, scale)
            shift = rng.uniform(-0.5, 0.5, size=2) * size
            matrix = np.column_stack([turn[:, :2], turn[:, 2] + shift])
            _warp(patch, matrix, 1.0, canvas, keep_backdrop=True)
        if not tiles and self.hard:
            for _ in range(int(rng.integers(2, 9))):
                self._paste_hard(canvas, rng)
        for x0, y0, x1, y1 in tiles:
            if len(tiles) > 1 and rng.random() < 0.1:
                continue
            tile = canvas[y0:y1, x0:x1]
            corner = np.array([x0, y0])
            for outline, points, visible in self._paste(tile, face_sizes, rng):
                boxes.append(points_box(outline + corner))
                keypoints.append(points + corner)
                usable.append(visible)
        scene = Scene(
            photometric(canvas, rng),
            np.array(boxes).reshape(-1, 4),
            np.array(keypoints).reshape(-1, 5, 2),
            np.array(usable, dtype=bool),
        )
        return _mirror(scene) if rng.random() < 0.5 else scene

    def _backdrop(self, rng: np.random.Generator) -> ImageArray:
        size = self.size
        if rng.random() < 0.35:
            colour = rng.integers(0, 256, size=3) * (rng.random() < 0.5)
            return np.full((size, size, 3), colour, dtype=np.uint8)
        photo = self.backgrounds[rng.integers(len(self.backgrounds))]
        height, width = photo.shape[:2]
        side = int(rng.uniform(0.3, 1.0) * min(height, width))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        return np.asarray(cv2.resize(photo[top : top + side, left : left + side], (size, size)))

    def _paste_hard(self, canvas: ImageArray, rng: np.random.Generator) -> None:
        """Draws a patch that once looked like a face, at a random size and place."""
        patch = self.hard[rng.integers(len(self.hard))]
        middle = np.array(patch.shape[1::-1]) / 2
        scale = np.exp(rng.uniform(*np.log([24.0, 300.0]))) / max(patch.shape[:2])
        patch, shrink = _shrunk(patch, scale)
        turn = cv2.getRotationMatrix2D(middle.tolist(), rng.normal(0, 15), scale)
        shift = rng.uniform(0, self.size, size=2) - middle
        matrix = np.column_stack([turn[:, :2], turn[:, 2] + shift])
        _warp(patch, matrix, shrink, canvas, keep_backdrop=True)

    def _paste(
        self, tile: ImageArray, face_sizes: tuple[float, float], rng: np.random.Generator
    ) -> list[tuple[FloatArray, FloatArray, bool]]:
        """Warps a random photo into the tile so that one of its faces gets a random size."""
        index = rng.choice(len(self.photos), p=self.weights)
        photo, image = self.photos[index], self.images[index]
        height, width = tile.shape[:2]
        box = points_box(photo.outlines[rng.integers(len(photo.outlines))])
        wanted = np.exp(rng.uniform(*np.log(face_sizes)))
        scale = min(wanted / (box[2:] - box[:2]).max(), 3.0)
        image, shrink = _shrunk(image, scale)
        most = self.largest_turn
        angle = np.radians(
            rng.uniform(-most, most) if rng.random() < self.turned_share else rng.normal(0, 8)
        )
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        place = rng.uniform([0.1 * width, 0.1 * height], [0.9 * width, 0.9 * height])
        if rng.random() < 0.8:  # mostly, move a face that would be cut off inside
            half = min(scale * (box[2:] - box[:2]).max(), width, height) / 2
            place = np.clip(place, half, np.array([width, height]) - half)
        matrix = np.column_stack([linear, place - linear @ (box[:2] + box[2:]) / 2])
        _warp(image, matrix, shrink, tile, keep_backdrop=rng.random() < 0.7)
        faces = []
        for points, keypoints in zip(photo.outlines, photo.keypoints, strict=True):
            outline = _affine(matrix, points)
            whole = points_box(outline)
            outline = np.clip(outline, 0, [width - 1, height - 1])
            inside = points_box(outline)
            visible = (inside[2:] - inside[:2]).prod() / (whole[2:] - whole[:2]).prod()
            if visible < 0.05:
                continue
            usable = bool(visible > 0.6 and (whole[2:] - whole[:2]).max() >= MIN_FACE)
            if usable and rng.random() < 0.15:
                texture = self.backgrounds[rng.integers(len(self.backgrounds))]
                occlude(tile, inside, texture, rng)
            faces.append((outline, _affine(matrix, keypoints), usable))
        return faces


def _shrunk(image: ImageArray, scale: float) -> tuple[ImageArray, float]:
    """The image halved as often as a warp by ``scale`` leaves a factor of at least about 1/2.

    Halving averages where the warp alone would skip thin lines. Returns the total factor too.
    """
    shrink = 1.0
    while scale / shrink < 0.5 and min(image.shape[:2]) > 8:
        image, shrink = shrink_by_half(image), shrink / 2
    return image, shrink


def _warp(
    image: ImageArray, matrix: FloatArray, shrink: float, tile: ImageArray, *, keep_backdrop: bool
) -> None:
    """Draws a photo, already shrunk by ``shrink``, into the tile; ``matrix`` is for full size."""
    # A pixel u of the shrunk photo lies at (u + 1/2) / shrink - 1/2 in the full one.
    full = np.column_stack(
        [matrix[:, :2] / shrink, _affine(matrix, np.full(2, 0.5 / shrink - 0.5))]
    )
    size = tile.shape[1::-1]
    if not keep_backdrop:
        tile[:] = cv2.warpAffine(image, full, size)
        return
    layer = cv2.warpAffine(image, full, size)
    covered = cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), full, size) == 255
    tile[covered] = layer[covered]


def _affine(matrix: FloatArray, points: FloatArray) -> FloatArray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _mirror(scene: Scene) -> Scene:
    width = scene.image.shape[1]
    boxes = scene.boxes.copy()
    boxes[:, [0, 2]] = width - 1 - scene.boxes[:, [2, 0]]
    keypoints = scene.keypoints[:, MIRROR].copy()
    keypoints[:, :, 0] = width - 1 - keypoints[:, :, 0]
    return Scene(np.ascontiguousarray(scene.image[:, ::-1]), boxes, keypoints, scene.usable)


def _without_faces(image: ImageArray, boxes: FloatArray) -> ImageArray:
    """Paints the mean colour over the faces of a background photo."""
    for x0, y0, x1, y1 in boxes.round().astype(int):
        image[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = image.mean(axis=(0, 1))
    return image


def cells(size: int) -> tuple[FloatArray, FloatArray]:
    """Centres (A, 2) and strides (A,) of all output cells of a square input, stride 8 first."""
    centres, strides = [], []
    for stride in FaceDetectorNet.STRIDES:
        axis = (np.arange(size // stride) + 0.5) * stride
        x, y = np.meshgrid(axis, axis)
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full(x.size, float(stride)))
    return np.concatenate(centres), np.concatenate(strides)


def assign(scene: Scene, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Targets of every cell: label (A,) 1 face, 0 background, -1 ignored; box (A, 4); (A, 10).

    A face belongs to the cells at its centre on the strides of its size; where two faces claim
    a cell the smaller one gets it.
    """
    centres, strides = cells(size)
    labels = np.zeros(len(centres), dtype=np.int64)
    boxes = np.zeros((len(centres), 4), dtype=np.float32)
    keypoints = np.zeros((len(centres), 10), dtype=np.float32)
    areas = (scene.boxes[:, 2:] - scene.boxes[:, :2]).prod(axis=1)
    ranges = np.array([SIZE_RANGES[int(s)] for s in FaceDetectorNet.STRIDES])
    low, high = np.repeat(ranges, [(size // s) ** 2 for s in FaceDetectorNet.STRIDES], axis=0).T
    for i in np.argsort(-areas):
        box = scene.boxes[i]
        extent = box[2:] - box[:2]
        if not scene.usable[i]:
            inside = ((centres >= box[:2]) & (centres <= box[2:])).all(axis=1)
            labels[inside & (labels == 0)] = -1
            continue
        reach = np.maximum(CENTRE_PART * extent, 0.75 * strides[:, None])
        near = (np.abs(centres - (box[:2] + box[2:]) / 2) <= reach).all(axis=1)
        face_size = np.sqrt(areas[i])
        chosen = near & (low <= face_size) & (face_size <= high)
        labels[chosen] = 1
        boxes[chosen] = box
        keypoints[chosen] = scene.keypoints[i].ravel()
    return torch.from_numpy(labels), torch.from_numpy(boxes), torch.from_numpy(keypoints)


def flatten(outputs: tuple[Tensor, ...]) -> Tensor:
    """Maps (n, 15, h, w) of the three strides to (n, A, 15), in the order of :func:`cells`."""
    return torch.cat([x.flatten(2) for x in outputs], dim=2).transpose(1, 2)


def decode(raw: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Raw (..., A, 15) to boxes (..., A, 4) xyxy and key points (..., A, 10) in input pixels.

    The same formula as ``asmnet.detector.decode``; a test compares the two.
    """
    strides = strides[:, None]
    middle = centres + raw[..., 1:3] * strides
    half = raw[..., 3:5].clamp(-6, 6).exp() * 2 * strides
    boxes = torch.cat([middle - half, middle + half], dim=-1)
    keypoints = centres.repeat(1, 5) + raw[..., 5:15] * 2 * strides
    return boxes, keypoints


def detection_loss(
    outputs: tuple[Tensor, ...],
    labels: Tensor,
    boxes: Tensor,
    keypoints: Tensor,
    *,
    size: int,
    score_floor: float,
    negative_weight: float,
) -> dict[str, Tensor]:
    """Score, box and key-point losses, each a mean per positive cell.

    Score: quality focal loss (Li et al. 2020): the target of a face's cell is the IoU of the
    predicted box, so that the score also tells how good the box is; ``score_floor`` lifts the
    targets to floor + (1 - floor) · IoU, as the boxes of small faces never overlap as well;
    ``negative_weight`` multiplies the loss of background cells.
    Box: generalised IoU.
    """
    raw = flatten(outputs).float()
    centres, strides = (torch.from_numpy(v).float().to(raw.device) for v in cells(size))
    positive = labels == 1
    count = positive.sum().clamp(min=1)
    predicted_boxes, predicted_points = decode(raw, centres, strides)
    predicted, truth = predicted_boxes[positive], boxes[positive]
    iou, giou = _iou_giou(predicted, truth)
    target = torch.zeros_like(raw[..., 0])
    target[positive] = score_floor + (1 - score_floor) * iou.detach().clamp(min=0.2)
    probability = raw[..., 0].sigmoid()
    weight = (target - probability).abs().detach().square() * (labels >= 0)
    weight = torch.where(labels == 0, negative_weight * weight, weight)
    score = functional.binary_cross_entropy_with_logits(raw[..., 0], target, reduction="none")
    extent = (truth[:, 2:] - truth[:, :2]).mean(dim=1, keepdim=True)
    points = functional.smooth_l1_loss(
        predicted_points[positive] / extent,
        keypoints[positive] / extent,
        beta=0.05,
        reduction="sum",
    )
    return {
        "score": (score * weight).sum() / count,
        "box": 2 * (1 - giou).sum() / count,
        "keypoints": 0.3 * points / count,
    }


def _iou_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    intersection = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(
        min=0
    )
    inter = intersection.prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - inter
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(dim=1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def fit_detector(config: DetectorConfig, data: Path, folder: Path, *, resume: bool) -> nn.Module:
    """Trains asmnet-face, from the config's ``start`` if given.

    See :func:`asmnet.training.loop.fit`.
    """
    size, schedule = config.size, config.schedule
    torch.manual_seed(schedule.seed)
    model: nn.Module = FaceDetectorNet()
    initialise(model)
    if config.start is not None:
        model = load_average(model, Path(config.start))
    dataset = SceneDataset(
        data,
        size=size,
        turned_share=config.turned_share,
        largest_turn=config.largest_turn,
        profile_weight=config.profile_weight,
        background_share=config.background_share,
        length=schedule.samples,
        seed=schedule.seed,
    )
    if config.mine_negatives:
        dataset.hard = mine_negatives(model.eval(), dataset, size)
    validation = validation_scenes(data, size)

    def losses(model: nn.Module, batch: tuple[Tensor, ...], _: float) -> dict[str, Tensor]:
        images, labels, boxes, keypoints = batch
        return detection_loss(
            model(images_to_input(images)),
            labels,
            boxes,
            keypoints,
            size=size,
            score_floor=config.score_floor,
            negative_weight=config.negative_weight,
        )

    return fit(
        model,
        dataset,
        losses,
        lambda m: validate(m, validation),
        schedule=schedule,
        folder=folder,
        resume=resume,
        validate_every=3,
    )


@torch.inference_mode()
def mine_negatives(model: nn.Module, dataset: SceneDataset, size: int) -> list[ImageArray]:
    """Patches of the training photos, twice the box's side, in which the model sees a false face.

    Best scores above 0.6 are left out: many of them are faces that nobody labelled.
    """
    known = [np.array([points_box(o) for o in p.outlines]).reshape(-1, 4) for p in dataset.photos]
    known += [np.zeros((0, 4))] * len(dataset.backgrounds)
    centres, strides = (torch.from_numpy(v).float() for v in cells(size))
    patches = []
    images = tqdm(dataset.images + dataset.backgrounds, desc="mining negatives")
    for image, faces in zip(images, known, strict=True):
        pixels, scale = letterbox(image, size, multiple=size)
        raw = flatten(model(images_to_input(torch.from_numpy(pixels)[None])))[0]
        scores = raw[:, 0].sigmoid().double().numpy()
        boxes = decode(raw, centres, strides)[0].double().numpy() / np.tile(scale, 2)
        likely = scores > 0.25
        boxes, scores = boxes[likely], scores[likely]
        kept = non_maximum_suppression(boxes, scores, 0.3)
        for box in boxes[kept][scores[kept] < 0.6]:
            if (box_iou(box[None], faces) > 0.02).any():
                continue
            side = 2 * (box[2:] - box[:2]).max()
            left, top = np.maximum((box[:2] + box[2:] - side) / 2, 0).astype(int)
            right, bottom = ((box[:2] + box[2:] + side) / 2).astype(int)
            patches.append(image[top:bottom, left:right])
    return patches


def validation_scenes(data: Path, size: int) -> list[Scene]:
    """Every second validation photo with faces, letterboxed, and all validation backgrounds."""
    scenes = []
    for photo in read_detection(data, "val")[::2]:
        image, scale = letterbox(load_image(photo.image), size, multiple=size)
        boxes = np.array([points_box(o * scale) for o in photo.outlines])
        usable = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= 2 * MIN_FACE
        scenes.append(Scene(image, boxes, photo.keypoints * scale, usable))
    for path, known in read_backgrounds(data, "val"):
        image, _ = letterbox(_without_faces(load_image(path), known), size, multiple=size)
        scenes.append(Scene(image, np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0, dtype=bool)))
    return scenes


@torch.inference_mode()
def validate(model: nn.Module, scenes: list[Scene]) -> dict[str, float]:
    """Recall at IoU 0.5 and mean IoU of the found at score 0.5; the score of the best false face.

    ``false_score``: the 96th percentile over background photos of the best score on each, that
    is the threshold at which two photos in fifty show a false face.
    """
    found, ious, faces, false_scores = 0, 0.0, 0, []
    device = next(model.parameters()).device
    for scene in scenes:
        size = scene.image.shape[0]
        centres, strides = (torch.from_numpy(v).float() for v in cells(size))
        image = torch.from_numpy(scene.image)[None].to(device)
        raw = flatten(model(images_to_input(image)))[0].cpu()
        boxes, _ = decode(raw, centres, strides)
        scores = raw[:, 0].sigmoid()
        if not len(scene.boxes):
            false_scores.append(scores.max().item())
            continue
        overlaps = box_iou(scene.boxes[scene.usable], boxes[scores > 0.5].double().numpy())
        best = overlaps.max(axis=1, initial=0)
        faces += len(best)
        found += int((best > 0.5).sum())
        ious += float(best[best > 0.5].sum())
    return {
        "recall": found / faces,
        "iou": ious / max(found, 1),
        "false_score": float(np.percentile(false_scores, 96)),
    }
