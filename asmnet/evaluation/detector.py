"""Scores face detectors: recall by set, size, rotation; false faces; run times. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from tqdm import tqdm

from asmnet.analyzer import FaceAnalyzer
from asmnet.datasets.augment import shrink_by_half
from asmnet.datasets.detection import DetectionPhoto, read_crowds, read_facemask
from asmnet.datasets.records import LabelledFace, PointingPose
from asmnet.datasets.splits import read_300w, read_backgrounds, read_pointing04
from asmnet.detector import FaceDetector
from asmnet.evaluation.boxes import (
    REFERENCE_SIDE,
    SIZE_CLASSES,
    PhotoBoxes,
    face_scores,
    recalls,
)
from asmnet.evaluation.landmarks import FOUND_IOU, Figures
from asmnet.evaluation.report import photo_tile, sheet
from asmnet.evaluation.timing import best_ms
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray, load_image, on_canvas, warp
from asmnet.types import Detection, Face
from asmnet.weights import family_of, load_weights
from asmnet.yunet import full_sides

Detect = Callable[[ImageArray], Sequence[Detection | Face]]  # RGB to faces, best first

CANVAS = 320
DETECT = "asmnet.detect"
YUNET_MIN_SCORE = 0.6
# Without its verifier the detector is scored at as many false faces as YuNet has at 640.
ALONE_MIN_SCORE = 0.75
CROWD_IOU = 0.3
GROUP_SIDE = 1280  # longer side of the group photo that is timed


def detector_tables(name: str, data: Path, yunet: Path | None) -> dict[str, Figures]:
    """The figures of a detector alone, of `asmnet.detect`, and of YuNet at both usual sizes."""
    alone = FaceDetector(name, verifier=None, min_score=ALONE_MIN_SCORE, threads=1)
    analyzer = FaceAnalyzer(weights=family_of(name).name, detector=name, threads=1)
    tables = {
        name: detector_figures(alone.detect, data),
        DETECT: detector_figures(analyzer.detect, data),
    }
    if yunet is not None:
        for side in (320, 640):
            peer = FaceDetector(
                yunet, input_size=side, min_score=YUNET_MIN_SCORE, rotated_retry=False
            )
            tables[f"YuNet {side}"] = detector_figures(peer.detect, data)
    for system, figures in detector_times(name, data, yunet).items():
        tables[system] |= figures
    return tables


def detector_figures(detect: Detect, data: Path) -> Figures:
    """Recall over sets, face sizes and in-plane rotations, and false faces."""
    return crowd_figures(detect, data) | single_figures(detect, data)


def crowd_figures(detect: Detect, data: Path) -> Figures:
    """Recall and false faces on ordinary photos; sizes are in a photo whose longer side is 640."""
    figures: Figures = {}
    crowds = read_crowds(data, "val")
    if crowds:
        shown = photo_boxes(detect, crowds, "crowds")
        (large, middle, small), false = recalls(shown, min_iou=CROWD_IOU, min_score=0.0)
        figures["crowds validation, faces from 32 px on, recall %"] = large
        figures["crowds validation, 16 to 32 px, recall %"] = middle
        figures["crowds validation, 8 to 16 px, recall %"] = small
        figures["crowds validation, false faces in 100 photos"] = 100 * false / len(shown)
    masks = read_facemask(data, "val")
    if masks:
        shown = photo_boxes(detect, masks, "facemask")
        (large, middle, small), false = recalls(
            shown, min_iou=None, min_score=0.0, classes=(32.0, 16.0, 0.0)
        )
        figures["facemask validation, faces from 32 px on, recall %"] = large
        figures["facemask validation, 16 to 32 px, recall %"] = middle
        figures["facemask validation, below 16 px, recall %"] = small
        figures["facemask validation, boxes beside labels in 100 photos"] = 100 * false / len(shown)
    return figures


def single_figures(detect: Detect, data: Path) -> Figures:
    """Recall on photos of single faces by set, size and rotation; false faces where none is."""
    figures: Figures = {}
    faces = read_300w(data, "test")
    best = [
        _best_iou(detect(load_image(f.image)), points_box(f.landmarks))
        for f in tqdm(faces, "300W common")
    ]
    figures["300W common, recall %"] = _recall(best)
    figures["300W common, mean IoU of the found"] = float(np.mean([b for b in best if b >= 0.5]))
    found: dict[str, list[bool]] = {"all": [], "profile": []}
    for pose in tqdm(read_pointing04(data, "test"), "Pointing'04"):
        hit = _same_face(_boxes(detect(load_image(pose.image))), pose)
        found["all"].append(hit)
        if abs(pose.pan) >= 75:
            found["profile"].append(hit)
    figures["Pointing'04 09-15, found %"] = 100 * float(np.mean(found["all"]))
    if found["profile"]:
        figures["Pointing'04 09-15, |pan| >= 75, found %"] = 100 * float(np.mean(found["profile"]))
    for size in (16, 24, 48, 192, 300):
        best = [_placed_iou(detect, face, size, 0.0) for face in tqdm(faces, f"{size} px")]
        figures[f"300W common, faces of {size} px in 320, recall %"] = _recall(best)
    for angle in (30, 60, 90, 180):
        best = [_placed_iou(detect, face, 110, angle) for face in tqdm(faces, f"turned {angle}°")]
        lost = sum(b < FOUND_IOU for b in best)
        figures[f"300W common, turned {angle}°, lost of {len(faces)}"] = float(lost)
    false, count = 0, 0
    for path, known in tqdm(read_backgrounds(data, "test"), "backgrounds"):
        boxes = _boxes(detect(load_image(path)))
        if len(known) and len(boxes):
            boxes = boxes[box_iou(boxes, known).max(axis=1) < 0.2]
        false, count = false + len(boxes), count + 1
    for photo in (p for p in read_crowds(data, "val") if not len(p.outlines)):
        shown = photo_boxes(detect, [photo])
        false, count = false + recalls(shown, min_iou=CROWD_IOU, min_score=0.0)[1], count + 1
    figures["hard negatives and held-out backgrounds, false faces in 100 photos"] = (
        100 * false / max(count, 1)
    )
    return figures


def photo_boxes(
    detect: Detect, photos: Sequence[DetectionPhoto], title: str | None = None
) -> list[PhotoBoxes]:
    """What is found in photos, beside what is there."""
    shown = []
    for photo in tqdm(photos, title, disable=title is None):
        pixels = load_image(photo.image)
        found = detect(pixels)
        scores = np.array([face.score for face in found])
        shown.append(compared(photo, pixels, _boxes(found), scores))
    return shown


def compared(
    photo: DetectionPhoto, pixels: ImageArray, found: FloatArray, scores: FloatArray
) -> PhotoBoxes:
    """Found boxes beside a photo's labels; sizes are those of the teacher's or manual boxes."""
    faces = np.array([points_box(o) for o in photo.outlines]).reshape(-1, 4)
    by_people = photo.source == "facemask"
    sides = (faces[:, 2:] - faces[:, :2]).max(axis=1, initial=0) if by_people else full_sides(faces)
    sides = sides * REFERENCE_SIDE / max(pixels.shape[:2])
    return PhotoBoxes(found, scores, faces, sides, photo.ignored)


def crowd_sheet(detect: Detect, data: Path, count: int = 12) -> ImageArray | None:
    """Those validation photos of ``crowds`` where most is missed or false, side by side."""
    tiles = []
    for photo in read_crowds(data, "val"):
        pixels = load_image(photo.image)
        (shown,) = photo_boxes(detect, [photo])
        hits, false = face_scores(shown, min_iou=CROWD_IOU)
        wrong = len(false) + int((~np.isfinite(hits) & (shown.sides >= SIZE_CLASSES[-1])).sum())
        tiles.append((wrong, photo_tile(pixels, shown, hits)))
    tiles.sort(key=lambda tile: -tile[0])
    return sheet([tile for _, tile in tiles[:count]], columns=4) if tiles else None


def detector_times(name: str, data: Path, yunet: Path | None) -> dict[str, Figures]:
    """Milliseconds, one thread: the bare networks at 320 × 320; whole calls on a group photo.

    The group photo is the validation photo of ``crowds`` with the median number of faces from 16
    pixels on, enlarged to 1280; YuNet sees it at 640, as large as its sides are.
    """
    noise = np.random.default_rng(0).integers(0, 256, (CANVAS, CANVAS, 3), dtype=np.uint8)
    ours = ort_session(load_weights(name))
    networks: dict[str, Callable[[], object]] = {
        name: lambda: ours.run(None, {"images": noise[None]})
    }
    whole: dict[str, Callable[[], object]] = {}
    group = group_photo(data)
    if group is not None:
        detector = FaceDetector(name, threads=1)
        whole[name] = lambda: detector.detect(group)
    if yunet is not None:
        theirs = ort_session(any_size(yunet))
        source = theirs.get_inputs()[0].name

        small = yunet_input(noise, CANVAS)
        networks["YuNet 320"] = lambda: theirs.run(None, {source: small})
        if group is not None:
            whole["YuNet 640"] = lambda: theirs.run(
                None, {source: yunet_input(group, REFERENCE_SIDE)}
            )
    times: dict[str, Figures] = {}
    for what, calls in (("network at 320", networks), ("group photo of 1280", whole)):
        for system, ms in best_ms(calls, rounds=100).items():
            times.setdefault(system, {})[f"ms, {what}, one thread"] = ms
    return times


def group_photo(data: Path) -> ImageArray | None:
    """A validation photo of ``crowds`` with a usual number of faces, its longer side 1280."""
    photos = [photo for photo in read_crowds(data, "val") if len(photo.outlines) > 1]
    if not photos:
        return None
    photos.sort(key=lambda photo: (len(photo.outlines), photo.image.name))
    pixels = load_image(photos[len(photos) // 2].image)
    return on_canvas(pixels, GROUP_SIDE / max(pixels.shape[:2]), multiple=1)[0]


def any_size(yunet: Path) -> bytes:
    """YuNet's file without its fixed input of 640 × 640, which its operators do not need."""
    model = onnx.load(yunet)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    content: bytes = model.SerializeToString()
    return content


def yunet_input(image: ImageArray, side: int) -> NDArray[np.float32]:
    """RGB to YuNet's (1, 3, h, w) BGR, the longer side scaled, no more black than is needed."""
    canvas, _ = on_canvas(image, side / max(image.shape[:2]), multiple=32)
    return np.ascontiguousarray(canvas[None, :, :, ::-1].transpose(0, 3, 1, 2), dtype=np.float32)


def ort_session(content: bytes) -> ort.InferenceSession:
    """A network on the CPU, one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _boxes(found: Sequence[Detection | Face]) -> FloatArray:
    return np.array([face.bbox for face in found], dtype=np.float64).reshape(-1, 4)


def _best_iou(found: Sequence[Detection | Face], truth: FloatArray) -> float:
    return float(box_iou(_boxes(found), truth[None]).max(initial=0))


def _recall(best: Iterable[float]) -> float:
    return 100 * float(np.mean([b >= FOUND_IOU for b in best]))


def _same_face(boxes: FloatArray, pose: PointingPose) -> bool:
    """Whether a detection and the label lie on each other.

    Pointing'04's boxes are smaller than the 68 points' and shifted towards the nose, so IoU says
    little; each box must hold the other's centre.
    """
    label = np.array(pose.box)
    middle = (label[:2] + label[2:]) / 2
    for box in boxes:
        centre = (box[:2] + box[2:]) / 2
        label_holds = (label[:2] < centre).all() and (centre < label[2:]).all()
        if label_holds and (box[:2] < middle).all() and (middle < box[2:]).all():
            return True
    return False


def _placed_iou(detect: Detect, face: LabelledFace, size: float, angle: float) -> float:
    """Best IoU after the photo is turned and scaled on a 320 canvas around the face."""
    image, points = load_image(face.image), face.landmarks
    box = points_box(points)
    scale = size / (box[2:] - box[:2]).max()
    while scale < 0.5:
        image = shrink_by_half(image)
        points, scale = points / 2, scale * 2
    box = points_box(points)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    linear = scale * np.array([[cos, -sin], [sin, cos]])
    offset = CANVAS / 2 - linear @ (box[:2] + box[2:]) / 2
    matrix = np.column_stack([linear, offset])
    canvas = warp(image, matrix, (CANVAS, CANVAS))
    placed = points @ linear.T + offset
    return _best_iou(detect(canvas), points_box(placed))
