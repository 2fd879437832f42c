"""Following many small faces: ``python -m benchmarks.tracking.crowds --data DATA``.

Clips are made by moving over the validation photos of ``crowds``: a pan, a zoom and a shaking hand,
two seconds each. Faces are the photos' labels; those count that are at least 16 pixels long, the
teacher's box taken, and whole inside of the frame.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from tqdm import tqdm

from asmnet import FaceTracker
from asmnet.commands.outputs import parse_with_outputs
from asmnet.datasets.detection import DetectionPhoto, read_crowds
from asmnet.evaluation.report import markdown
from asmnet.geometry import FloatArray, box_iou, match_greedily, points_box
from asmnet.image import ImageArray, load_image, warp
from asmnet.yunet import full_sides

FPS, SECONDS = 30, 2
WIDTH, HEIGHT = 640, 480
LEAST_SIDE = 16.0
MATCH_IOU = 0.3
# Clips of fewer faces say nothing of crowds.
LEAST_FACES = 3

Motion = Callable[[float], tuple[float, float, float]]
"""Seconds to a shift in parts of the room that there is (-1 to 1), x and y, and a zoom."""


def pan(t: float) -> tuple[float, float, float]:
    """From one side to the other in two seconds."""
    return t - 1, 0.3 * (t - 1), 1.25


def zoom(t: float) -> tuple[float, float, float]:
    """Closer and back."""
    return 0.2, 0.0, 1.3 + 0.2 * float(np.sin(np.pi * t))


def shake(t: float) -> tuple[float, float, float]:
    """A hand that trembles."""
    hertz, phases = np.array([0.7, 1.9, 4.1]), np.array([[0.0, 2, 4], [1, 3, 5]])
    x, y = (0.25 * np.sin(2 * np.pi * hertz * t + phases) / hertz).sum(axis=1)
    return float(x), float(y), 1.25


MOTIONS: dict[str, Motion] = {"pan": pan, "zoom": zoom, "shake": shake}


@dataclass(frozen=True, eq=False)
class Result:
    """What became of the labelled faces of a clip.

    Attributes:
        seen: (T, n) whether a face is there and large enough.
        tracks: (T, n) the number that it was followed by, -1 where it was not.
        seconds: (T,) of CPU time of each frame.
        false: (T,) boxes beside labels.
    """

    seen: FloatArray
    tracks: FloatArray
    seconds: FloatArray
    false: FloatArray


def frames(pixels: ImageArray, motion: Motion) -> Iterator[tuple[ImageArray, FloatArray]]:
    """The clip's frames, each with the (2, 3) matrix from the photo to it."""
    height, width = pixels.shape[:2]
    for number in range(FPS * SECONDS):
        x, y, closer = motion(number / FPS)
        # The photo's longer side is the frame's where the zoom is 1.
        scale = closer * WIDTH / max(height, width)
        shown = np.array([WIDTH, HEIGHT]) / scale
        room = np.maximum(np.array([width, height]) - shown, 0) / 2
        middle = np.array([width, height]) / 2 + room * [x, y]
        offset = np.array([WIDTH, HEIGHT]) / 2 - scale * middle
        matrix = np.column_stack([scale * np.eye(2), offset])
        yield warp(pixels, matrix, (WIDTH, HEIGHT)), matrix


def follow(tracker: FaceTracker, photo: DetectionPhoto, motion: Motion) -> Result:
    """One clip."""
    tracker.reset()
    labels = np.array([points_box(o) for o in photo.outlines])
    rows = []
    for number, (image, matrix) in enumerate(frames(load_image(photo.image), motion)):
        started = process_time()
        faces = tracker.update(image, number / FPS)
        seconds = process_time() - started
        boxes = (labels.reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]).reshape(-1, 4)
        inside = ((boxes >= 0) & (boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT])).all(axis=1)
        found = np.array([face.bbox for face in faces], np.float64).reshape(-1, 4)
        overlaps = box_iou(boxes, found)
        numbers = np.full(len(labels), -1)
        for i, j in match_greedily(overlaps, MATCH_IOU).items():
            numbers[i] = faces[j].track_id
        ignored = photo.ignored.reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
        known = np.concatenate([boxes, ignored.reshape(-1, 4)])
        false = int((box_iou(found, known).max(axis=1, initial=0) == 0).sum())
        rows.append((inside & (full_sides(boxes) >= LEAST_SIDE), numbers, seconds, false))
    return Result(*(np.array(column) for column in zip(*rows, strict=True)))


def figures(results: Sequence[Result]) -> dict[str, float]:
    """Of all clips together."""
    followed, numbers, waits, false = [], [], [], []
    for result in results:
        there = result.tracks >= 0
        late = result.seen[FPS:]
        followed.append(there[FPS:][late])
        for person in range(result.seen.shape[1]):
            seen = result.seen[:, person]
            if not seen[: FPS // 2].all():
                continue
            hits = np.flatnonzero(seen & there[:, person])
            if len(hits):
                waits.append(float(hits[0]))
                numbers.append(len(set(result.tracks[there[:, person], person].tolist())))
        false.append(result.false)
    return {
        "faces": sum(int(r.seen.any(axis=0).sum()) for r in results),
        "followed after a second, %": 100 * float(np.concatenate(followed).mean()),
        "numbers a face": float(np.mean(numbers)),
        "frames until found, 90th percentile": float(np.percentile(waits, 90)),
        "boxes beside labels a frame": float(np.concatenate(false).mean()),
    }


def times(results: Sequence[Result]) -> dict[str, float]:
    """Of all frames together, apart from the figures: these depend on the machine."""
    milliseconds = 1000 * np.concatenate([result.seconds for result in results])
    return {
        "ms a frame, mean": float(milliseconds.mean()),
        "ms a frame, 99th percentile": float(np.percentile(milliseconds, 99)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures of each motion and of all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tracking.crowds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with crowds")
    parser.add_argument("--photos", type=int, default=30, help="of which clips are made")
    parser.add_argument("--json", type=Path, help="write the figures, without the times")
    options = parse_with_outputs(parser, ["json"], arguments)
    cv2.setNumThreads(1)
    photos = [p for p in read_crowds(options.data, "val") if len(p.outlines) >= LEAST_FACES]
    chosen = np.linspace(0, len(photos) - 1, min(options.photos, len(photos))).round().astype(int)
    tracker = FaceTracker(threads=1)
    results: dict[str, list[Result]] = {name: [] for name in MOTIONS}
    for index in tqdm(chosen, "photos"):
        for name, motion in MOTIONS.items():
            results[name].append(follow(tracker, photos[index], motion))
    results["all"] = [result for part in results.values() for result in part]
    table = {name: figures(part) for name, part in results.items()}
    took = {name: times(part) for name, part in results.items()}
    print(markdown({name: table[name] | took[name] for name in results}))
    if options.json is not None:
        content = {"photos": len(chosen), "figures": table}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
