"""Scores face detectors: recall by set, size and turn, false faces, run times. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from tqdm import tqdm

from asmnet.datasets.augment import shrink_by_half
from asmnet.datasets.records import LabelledFace, PointingPose
from asmnet.datasets.splits import read_300w, read_backgrounds, read_pointing04
from asmnet.detector import FaceDetector
from asmnet.evaluation.landmarks import FOUND_IOU, Figures
from asmnet.evaluation.timing import best_ms
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray, load_image
from asmnet.weights import load_weights

Detect = Callable[[ImageArray], FloatArray]  # RGB to (n, 4) boxes, best first

CANVAS = 320
YUNET_MIN_SCORE = 0.6


def detector_tables(name: str, data: Path, yunet: Path | None) -> dict[str, Figures]:
    """The figures of a detector and, beside them, YuNet's."""
    tables = {name: detector_figures(_ours(FaceDetector(name)), data)}
    if yunet is not None:
        tables["YuNet"] = detector_figures(_yunet(yunet), data)
    times = detector_times(name, yunet)
    for system, ms in times.items():
        tables[system]["ms at 320 x 320, one thread"] = ms
        tables[system]["time, ratio to ours"] = ms / times[name]
    return tables


def detector_figures(detect: Detect, data: Path) -> Figures:
    """Recall over sets, face sizes and turns, and false faces."""
    faces = read_300w(data, "test")
    figures: Figures = {}
    best = [
        _best_iou(detect(load_image(f.image)), points_box(f.landmarks))
        for f in tqdm(faces, "300W common")
    ]
    figures["300W common, recall %"] = _recall(best)
    figures["300W common, mean IoU of the found"] = float(np.mean([b for b in best if b >= 0.5]))
    found: dict[str, list[bool]] = {"all": [], "profile": []}
    for pose in tqdm(read_pointing04(data, "test"), "Pointing'04"):
        hit = _same_face(detect(load_image(pose.image)), pose)
        found["all"].append(hit)
        if abs(pose.pan) >= 75:
            found["profile"].append(hit)
    figures["Pointing'04 09-15, found %"] = 100 * float(np.mean(found["all"]))
    if found["profile"]:
        figures["Pointing'04 09-15, |pan| >= 75, found %"] = 100 * float(np.mean(found["profile"]))
    for size in (24, 32, 48, 96, 192, 300):
        best = [_placed_iou(detect, face, size, 0.0) for face in tqdm(faces, f"{size} px")]
        figures[f"300W common, faces of {size} px in 320, recall %"] = _recall(best)
    for angle in (15, 30, 45):
        best = [
            _placed_iou(detect, face, 110, sign * angle)
            for face in tqdm(faces, f"turned {angle}°")
            for sign in (-1, 1)
        ]
        figures[f"300W common, turned ±{angle}°, recall %"] = _recall(best)
    false = 0
    photos = read_backgrounds(data, "test")
    for path, known in tqdm(photos, "backgrounds"):
        boxes = detect(load_image(path))
        if len(known) and len(boxes):
            boxes = boxes[box_iou(boxes, known).max(axis=1) < 0.2]
        false += len(boxes)
    figures["held-out backgrounds, false faces in 50 photos"] = 50 * false / len(photos)
    return figures


def detector_times(name: str, yunet: Path | None) -> dict[str, float]:
    """Milliseconds of the bare networks at 320 × 320, one thread, ONNX Runtime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    ours = ort.InferenceSession(load_weights(name), options, providers=["CPUExecutionProvider"])
    photo = np.random.default_rng(0).integers(0, 256, (1, CANVAS, CANVAS, 3), dtype=np.uint8)
    candidates: dict[str, Callable[[], object]] = {name: lambda: ours.run(None, {"images": photo})}
    if yunet is not None:
        model = onnx.load(yunet)
        for axis in (2, 3):  # the file fixes 640 × 640, its operators do not
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = CANVAS
        del model.graph.value_info[:]
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        theirs = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        blob = np.ascontiguousarray(photo.transpose(0, 3, 1, 2), dtype=np.float32)
        candidates["YuNet"] = lambda: theirs.run(None, {theirs.get_inputs()[0].name: blob})
    return best_ms(candidates, rounds=200)


def _ours(detector: FaceDetector) -> Detect:
    return lambda image: np.array([d.bbox for d in detector.detect(image)]).reshape(-1, 4)


def _yunet(path: Path) -> Detect:
    """YuNet through OpenCV, the longer side scaled to 320 as ours is."""
    model = cv2.FaceDetectorYN.create(str(path), "", (CANVAS, CANVAS), YUNET_MIN_SCORE, 0.3)

    def detect(image: ImageArray) -> FloatArray:
        height, width = image.shape[:2]
        scale = CANVAS / max(height, width)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        model.setInputSize(size)
        _, rows = model.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if rows is None:
            return np.zeros((0, 4))
        rows = rows[np.argsort(-rows[:, -1])] / scale
        return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)

    return detect


def _best_iou(boxes: FloatArray, truth: FloatArray) -> float:
    return float(box_iou(boxes, truth[None]).max(initial=0))


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
        points, scale = (points + 0.5) / 2 - 0.5, scale * 2
    box = points_box(points)
    matrix = cv2.getRotationMatrix2D(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), -angle, scale)
    shift = CANVAS / 2 - (box[:2] + box[2:]) / 2
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + shift])
    canvas = np.asarray(cv2.warpAffine(image, matrix, (CANVAS, CANVAS)), dtype=np.uint8)
    placed = points @ matrix[:, :2].T + matrix[:, 2]
    return _best_iou(detect(canvas), points_box(placed))
