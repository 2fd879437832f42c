"""Scores weights on the test sets through the code that users call. Needs no torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from tqdm import tqdm

from asmnet.detector import FaceDetector
from asmnet.draw import draw_faces
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.schemes import IBUG_68
from asmnet.training.augment import shrink_by_half
from asmnet.training.datasets import (
    LabelledFace,
    PointingPose,
    read_300w,
    read_backgrounds,
    read_pointing04,
)
from asmnet.training.manifest import read_record, write_record
from asmnet.training.metrics import area_under_curve, failure_rate, nme
from asmnet.training.timing import best_ms
from asmnet.types import Detection
from asmnet.weights import MANIFEST, PACKAGE, load_weights

Detect = Callable[[ImageArray], FloatArray]  # RGB to (n, 4) boxes, best first

FOUND_IOU = 0.5
CANVAS = 320
YUNET_MIN_SCORE = 0.6
Figures = dict[str, float]


def run(options: argparse.Namespace) -> int:
    """``asmnet-train evaluate``; returns the exit code."""
    if options.what == "detector":
        name = options.weights or "asmnet-face"
        tables = {name: detector_figures(_ours(FaceDetector(name)), options.data)}
        if options.yunet is not None:
            tables["YuNet"] = detector_figures(_yunet(options.yunet), options.data)
        times = detector_times(name, options.yunet)
        for system, ms in times.items():
            tables[system]["ms at 320 x 320, one thread"] = ms
            tables[system]["time, ratio to ours"] = ms / times[name]
    else:
        name = options.weights or "asmnet-68"
        tables = {name: landmark_figures(name, options.data)}
    print(_markdown(tables))
    if options.json is not None:
        options.json.write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")
    if options.sheet is not None:
        sheet = contact_sheet(options.data)
        cv2.imwrite(str(options.sheet), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if options.update_manifest:
        yunet = " --yunet YUNET.onnx" if options.yunet is not None else ""
        command = f"asmnet-train evaluate {options.what} --data DATA{yunet}"
        _store(name, tables[name], command)
    return 0


def detector_figures(detect: Detect, data: Path) -> Figures:
    """Recall over sets, face sizes and turns, and false faces."""
    faces = read_300w(data, "test")
    figures: Figures = {}
    best = [_best_iou(detect(load_image(f.image)), _box(f)) for f in tqdm(faces, "300W common")]
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


def landmark_figures(name: str, data: Path) -> Figures:
    """300W common with label and detector boxes, and pose on Pointing'04 people 09-15."""
    landmarker, detector = FaceLandmarker(name, threads=1), FaceDetector()
    by_label, by_detector, truths, found_truths = [], [], [], []
    faces = read_300w(data, "test")
    for face in tqdm(faces, "300W common"):
        image, truth = load_image(face.image), face.landmarks
        by_label.append(landmarker.predict(image, _box(face)[None])[0].landmarks)
        truths.append(truth)
        detection = _matching(detector.detect(image), _box(face))
        if detection is not None:
            by_detector.append(_predict(landmarker, image, detection).landmarks)
            found_truths.append(truth)
    errors = nme(np.array(by_label), np.array(truths), IBUG_68)
    figures: Figures = {
        "300W common, label box, NME %": float(errors.mean()),
        "300W common, label box, median %": float(np.median(errors)),
        "300W common, label box, FR@10 %": failure_rate(errors),
        "300W common, label box, AUC@10 %": area_under_curve(errors),
    }
    errors = nme(np.array(by_detector), np.array(found_truths), IBUG_68)
    lost = len(faces) - len(errors)
    with_lost = np.concatenate([errors, np.full(lost, np.inf)])
    figures |= {
        "300W common, detector box, lost of 554": lost,
        "300W common, detector box, NME % of the found": float(errors.mean()),
        "300W common, detector box, FR@10 % with the lost": failure_rate(with_lost),
    }
    for group, points in IBUG_68.groups.items():
        distances = np.array(by_label)[:, points] - np.array(truths)[:, points]
        ocular = np.linalg.norm(np.array(truths)[:, 36] - np.array(truths)[:, 45], axis=1)
        error = np.linalg.norm(distances, axis=2).mean(axis=1) / ocular
        figures[f"300W common, label box, {group}, NME %"] = float(100 * error.mean())
    tilt, pan, middle = [], [], []
    poses = read_pointing04(data, "test")
    for pose in tqdm(poses, "Pointing'04"):
        image = load_image(pose.image)
        detections = detector.detect(image)
        if detections:
            predicted = _predict(landmarker, image, detections[0]).pose
            tilt.append(abs(predicted.pitch - pose.tilt))
            pan.append(abs(predicted.yaw - pose.pan))
            middle.append(abs(pose.pan) <= 60 and abs(pose.tilt) <= 30)
    chosen = np.array(middle)
    figures |= {
        "Pointing'04 09-15, |pan| <= 60, |tilt| <= 30, tilt MAE °": float(
            np.array(tilt)[chosen].mean()
        ),
        "Pointing'04 09-15, |pan| <= 60, |tilt| <= 30, pan MAE °": float(
            np.array(pan)[chosen].mean()
        ),
        "Pointing'04 09-15, all poses, tilt MAE °": float(np.mean(tilt)),
        "Pointing'04 09-15, all poses, pan MAE °": float(np.mean(pan)),
        "Pointing'04 09-15, all poses, without a face": len(poses) - len(tilt),
    }
    photo = load_image(faces[0].image)
    box = _box(faces[0])[None]
    figures["ms for one face, one thread, crop included"] = best_ms(
        {"": lambda: landmarker.predict(photo, box)}, rounds=100
    )[""]
    return figures


def contact_sheet(data: Path, columns: int = 6, rows: int = 4, side: int = 300) -> ImageArray:
    """Test photos, evenly spread, around their faces, drawn as the analyzer sees them."""
    detector, landmarker = FaceDetector(), FaceLandmarker()
    tiles = []
    faces = read_300w(data, "test")
    for face in faces[:: max(len(faces) // (columns * rows), 1)][: columns * rows]:
        image = load_image(face.image)
        drawn = draw_faces(image, [_predict(landmarker, image, d) for d in detector.detect(image)])
        box = _box(face)
        centre, half = (box[:2] + box[2:]) / 2, 0.8 * (box[2:] - box[:2]).max()
        scale = side / (2 * half)
        matrix = np.array([[scale, 0, side / 2 - scale * centre[0]],
                           [0, scale, side / 2 - scale * centre[1]]])  # fmt: skip
        tiles.append(cv2.warpAffine(drawn, matrix, (side, side)))
    tiles += [np.zeros((side, side, 3), np.uint8)] * (columns * rows - len(tiles))
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


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


def _box(face: LabelledFace) -> FloatArray:
    return points_box(face.landmarks)


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


def _matching(detections: list[Detection], truth: FloatArray) -> Detection | None:
    """The detection that overlaps the label most, or None below the IoU that counts as found."""
    if not detections:
        return None
    overlaps = box_iou(np.array([d.bbox for d in detections]), truth[None])[:, 0]
    return detections[int(overlaps.argmax())] if overlaps.max() >= FOUND_IOU else None


def _predict(landmarker: FaceLandmarker, image: ImageArray, detection: Detection) -> Any:
    return landmarker.predict(image, detection.bbox[None], keypoints=detection.keypoints[None])[0]


def _markdown(tables: dict[str, Figures]) -> str:
    names = list(dict.fromkeys(name for figures in tables.values() for name in figures))
    lines = ["| | " + " | ".join(tables) + " |", "|---" * (len(tables) + 1) + "|"]
    for name in names:
        cells = [f"{f[name]:.2f}" if name in f else "" for f in tables.values()]
        escaped = name.replace("|", "\\|")
        lines.append(f"| {escaped} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _store(name: str, figures: Figures, command: str) -> None:
    """Writes the figures, but not the times, into the manifest's record."""
    path = PACKAGE / MANIFEST
    record = read_record(path, name)
    record["metrics"] = {
        key: {"value": round(value, 3), "command": command}
        for key, value in figures.items()
        if not key.startswith(("ms", "time"))
    }
    write_record(record, path)
