"""Recall of face detectors on ordinary photos over the time that they take, one thread.

    python benchmarks/detectors.py --data DATA --yunet YUNET.onnx --out docs/images/detectors.png

Needs the training extra (matplotlib, onnx) and the validation photos of ``crowds``. Times are means
over the photos, on this machine, whole calls, which do not look for photos on their side, as YuNet
does not; YuNet's are of its network alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from asmnet import FaceDetector
from asmnet.commands.outputs import parse_with_outputs
from asmnet.datasets.detection import DetectionPhoto, read_crowds
from asmnet.evaluation.boxes import recalls
from asmnet.evaluation.detector import (
    ALONE_MIN_SCORE,
    CROWD_IOU,
    YUNET_MIN_SCORE,
    Detect,
    any_size,
    compared,
    ort_session,
    yunet_input,
)
from asmnet.image import ImageArray, load_image

CLASSES = (32.0, 16.0, 8.0)
SIZES = (320, 480, 640, 960, 1280)
ROUNDS = 3  # the quickest counts


def main() -> None:
    """Measures and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path)
    options = parse_with_outputs(parser, ["json", "out"])
    photos = read_crowds(options.data, "val")
    pictures = [load_image(photo.image) for photo in photos]
    lines: dict[str, list[dict[str, float]]] = {"detector alone": [], "with its verifier": []}
    for size in SIZES:
        alone = FaceDetector(
            input_size=size, verifier=None, min_score=ALONE_MIN_SCORE, rotated_retry=False,
            threads=1,
        )  # fmt: skip
        both = FaceDetector(input_size=size, rotated_retry=False, threads=1)
        for name, detector in zip(lines, (alone, both), strict=True):
            lines[name].append({"size": size} | measured(detector.detect, photos, pictures))
    if options.yunet is not None:
        session = ort_session(any_size(options.yunet))
        source = session.get_inputs()[0].name
        lines["YuNet"] = []
        for size in (320, 640):
            peer = FaceDetector(
                options.yunet, input_size=size, min_score=YUNET_MIN_SCORE, rotated_retry=False,
                threads=1,
            )  # fmt: skip
            figures = measured(peer.detect, photos, pictures)
            inputs = [yunet_input(picture, size) for picture in pictures]
            seconds = np.inf
            for _ in range(ROUNDS):
                started = time.perf_counter()
                for blob in inputs:
                    session.run(None, {source: blob})
                seconds = min(seconds, time.perf_counter() - started)
            figures["ms"] = 1000 * seconds / len(pictures)
            lines["YuNet"].append({"size": size} | figures)
    print(json.dumps(lines, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")
    if options.out is not None:
        draw(lines, options.out)


def measured(
    detect: Detect, photos: Sequence[DetectionPhoto], pictures: Sequence[ImageArray]
) -> dict[str, float]:
    """Recall in % by size, false faces in 100 photos, milliseconds a photo."""
    shown, seconds = [], np.inf
    for _ in range(ROUNDS):
        started = time.perf_counter()
        found = [detect(picture) for picture in pictures]
        seconds = min(seconds, time.perf_counter() - started)
    for photo, picture, faces in zip(photos, pictures, found, strict=True):
        boxes = np.array([face.bbox for face in faces], dtype=np.float64).reshape(-1, 4)
        shown.append(compared(photo, picture, boxes, np.array([face.score for face in faces])))
    parts, false = recalls(shown, min_iou=CROWD_IOU, min_score=0.0, classes=CLASSES)
    return {
        **{f"recall from {low:.0f} px": part for low, part in zip(CLASSES, parts, strict=True)},
        "false in 100 photos": 100 * false / len(photos),
        "ms": 1000 * seconds / len(photos),
    }


def draw(lines: dict[str, list[dict[str, float]]], path: Path) -> None:
    """One panel a class of size, a line a detector, a point an input size."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    titles = ["faces from 32 px", "16 to 32 px", "8 to 16 px"]
    figure, axes = plt.subplots(1, len(CLASSES), figsize=(12, 4), sharey=True)
    for i, axis in enumerate(axes):
        for name, points in lines.items():
            x = [point["ms"] for point in points]
            y = [point[f"recall from {CLASSES[i]:.0f} px"] for point in points]
            axis.plot(x, y, "s--" if name == "YuNet" else "o-", label=name)
            for point, at_x, at_y in zip(points, x, y, strict=True):
                axis.annotate(f"{point['size']:.0f}", (at_x, at_y), fontsize=8)
        axis.set_xscale("log")
        axis.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
        axis.minorticks_off()
        axis.set_xlabel("ms a photo, one thread")
        axis.set_title(titles[i])
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("found, %")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
