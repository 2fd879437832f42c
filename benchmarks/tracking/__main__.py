"""Following faces through videos with exact labels: ``python -m benchmarks.tracking --data DATA``.

The videos are made from 300W's labelled photos (`clips.py`); the systems take turns clip by clip
on the very same frames. docs/tracking.md says what the figures mean.
``--mediapipe`` puts MediaPipe's face mesh beside ours (``pip install "asmnet[bench]"``);
``--hour`` watches the memory instead.
"""

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import asmnet
from asmnet.commands.outputs import parse_with_outputs
from asmnet.evaluation.report import markdown_rows, write_picture
from asmnet.geometry import FloatArray
from asmnet.image import ImageArray

from . import metrics
from .clips import CLIPS, make_clips
from .mesh import draw_dots
from .metrics import Followed, TrackedFace
from .pictures import face_photos, faceless_photos
from .render import FPS, Clip, VideoFrame
from .systems import (
    BASELINE,
    TRACKING,
    Detection,
    MediaPipe,
    System,
    Tracking,
)

GROUPS = {
    "resting": ("still", "light", "compression"),
    "moving": ("pan", "zoom", "turn", "shake"),
    "fast": ("fast",),
    "covered, cut": ("occluder", "cut"),
    "two people": ("crossing", "enter"),
    "nobody": ("empty",),
    "all": CLIPS,
}

# What is printed; the JSON has more.
COLUMNS = (
    "NME %", "NME without mean offset %", "flicker %", "lag frames", "id switches", "lost %",
    "found after, most", "detector ran %", "ms median",
)  # fmt: skip
COUNTS = {"id switches", "shared ids", "found after, most"}


@dataclass(frozen=True, eq=False)
class Trial:
    """One system on one clip: what it said, and what it cost, by frame."""

    clip: Clip
    followed: Followed
    wall: FloatArray
    cpu: FloatArray
    detections: int | None


Trials = Mapping[str, Sequence[Trial]]


def main() -> None:
    """Prints a row for each group of clips and each system."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tracking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with 300w, backgrounds")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--photos", type=int, default=10, help="of which videos are made")
    parser.add_argument("--clips", nargs="+", choices=CLIPS, default=CLIPS)
    parser.add_argument("--mediapipe", action="store_true", help="MediaPipe too")
    parser.add_argument("--one-core", action="store_true", help="keep to one core (Linux)")
    parser.add_argument("--json", type=Path, help="write all figures, for each clip too")
    parser.add_argument("--sheet", type=Path, help="PNG of frames, truth and predictions")
    parser.add_argument(
        "--hour", type=int, nargs="?", const=3600 * FPS, metavar="FRAMES",
        help="only follow so many frames (an hour) and print the memory in use",
    )  # fmt: skip
    options = parse_with_outputs(parser, ["json", "sheet"])
    if options.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        cv2.setNumThreads(1)  # its threads are there already, on all cores
    cv2.setNumThreads(1)
    faces = face_photos(options.data, options.split)
    backgrounds = faceless_photos(options.data, options.split)
    if options.hour is not None:
        _hour(make_clips(faces, backgrounds, 0), options.hour)
        return
    systems: list[System] = [
        Tracking(TRACKING), Tracking(f"{TRACKING}, not smoothed", smoothing=None),
        Tracking(f"{TRACKING}, asmnet-68-lite", landmarker="asmnet-68-lite"), Detection(),
        *([MediaPipe()] if options.mediapipe else []),
    ]  # fmt: skip
    trials: dict[str, list[Trial]] = defaultdict(list)
    drawn = []
    chosen = np.linspace(0, len(faces) - 1, min(options.photos, len(faces))).round().astype(int)
    for number, index in enumerate(chosen):
        print(f"photo {number + 1} of {len(chosen)}", file=sys.stderr)
        for clip in make_clips(faces, backgrounds, int(index)):
            if clip.name not in options.clips:
                continue
            frames = list(clip.frames())
            said = {}
            for system in systems:
                trial, said[system.name] = _run(system, clip, frames)
                trials[system.name].append(trial)
            if number == 0:
                drawn.append(_sheet_row(frames, said))
    figures = _figures(trials)
    rows = [
        {"clips": group, "system": system}
        | {name: values[name] for name in COLUMNS if name in values}
        for group in GROUPS
        for system, values in figures.get(group, {}).items()
    ]
    print(markdown_rows(rows))
    if options.json is not None:
        content = {"split": options.split, "photos": len(chosen), "rows": rows, "figures": figures}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.sheet is not None:
        write_picture(options.sheet, np.vstack(drawn))


def _run(
    system: System, clip: Clip, frames: Sequence[VideoFrame]
) -> tuple[Trial, list[list[TrackedFace]]]:
    step = system.start(max(clip.at_once, 1))
    before = system.detections
    said, times = [], []
    for frame in frames:
        started = time.perf_counter(), time.process_time()
        said.append(step(frame.image, frame.seconds))
        times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    # The first frame is left out: there networks allocate.
    wall, cpu = 1000 * np.array(times[1:]).T
    followed = metrics.follow([frame.faces for frame in frames], said, clip.people)
    detections = None if before is None else system.detections - before
    return Trial(clip, followed, wall, cpu, detections), said


def _figures(trials: Trials) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by group or clip, system and name; those that cannot be given are left out."""
    offsets = {name: _mean_offset(t.followed for t in each) for name, each in trials.items()}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for group, names in (GROUPS | {name: (name,) for name in CLIPS}).items():
        for system, each in trials.items():
            picked = [i for i, trial in enumerate(each) if trial.clip.name in names]
            if picked:
                values = _summary(
                    [each[i] for i in picked],
                    [trials[BASELINE][i] for i in picked],
                    offsets[system],
                )
                figures.setdefault(group, {})[system] = {
                    name: int(value) if name in COUNTS else float(value)
                    for name, value in values.items()
                    if np.isfinite(value)
                }
    return figures


def _mean_offset(followed: Iterable[Followed]) -> FloatArray:
    """(68, 2): where a system puts each point relative to the labels, on average."""
    each = np.concatenate([metrics.residuals(f).reshape(-1, 68, 2) for f in followed])
    found = each[~np.isnan(each[:, 0, 0])]
    return found.mean(axis=0) if len(found) else np.zeros((68, 2))


def _summary(
    trials: Sequence[Trial], baseline: Sequence[Trial], offset: FloatArray
) -> dict[str, float]:
    each = [trial.followed for trial in trials]
    frames = sum(len(f.false) for f in each)
    visible = sum(int(f.visible.sum()) for f in each)
    errors = _joined(metrics.frame_errors(f) for f in each)
    reference = _joined(metrics.frame_errors(trial.followed) for trial in baseline)
    both = ~np.isnan(errors) & ~np.isnan(reference)
    spreads = [metrics.spread(trial.followed) for trial in trials if trial.clip.still]
    lags = [metrics.lag(trial.followed) for trial in trials if trial.clip.name == "fast"]
    values = {
        "NME %": _mean(errors),
        "NME without mean offset %": _mean(_joined(metrics.frame_errors(f, offset) for f in each)),
        "NME of detection's": _mean(errors[both]) / _mean(reference[both]),
        "flicker %": _mean(_joined(metrics.flicker(f) for f in each)),
        "spread %": _mean(_joined(spreads)),
        "lag frames": _mean(_joined(lags)),
    }
    if any((f.tracks >= 0).any() for f in each):
        values["id switches"] = sum(metrics.id_switches(f) for f in each)
        values["shared ids"] = sum(metrics.shared_ids(f) for f in each)
    if visible:
        values["lost %"] = 100 * (1 - sum(int(f.found.sum()) for f in each) / visible)
        values["found after, most"] = max(max(metrics.frames_to_find(f), default=0) for f in each)
    values["false per 100"] = 100 * sum(int(f.false.sum()) for f in each) / frames
    runs = [trial.detections for trial in trials if trial.detections is not None]
    if runs:
        values["detector ran %"] = 100 * sum(runs) / frames
    wall, cpu = (np.concatenate([getattr(t, kind) for t in trials]) for kind in ("wall", "cpu"))
    reference_cpu = np.concatenate([t.cpu for t in baseline]).mean()
    return values | {
        "ms median": np.median(wall), "ms mean": wall.mean(), "CPU ms mean": cpu.mean(),
        "CPU of detection's": cpu.mean() / reference_cpu,
    }  # fmt: skip


def _joined(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0), *(part.ravel() for part in parts)])


def _mean(values: FloatArray) -> float:
    """The mean of the numbers among the values; NaN when there is none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


# RGB: the truth, and the systems that are drawn over it.
VISIBLE, COVERED = (255, 60, 60), (120, 120, 120)
DRAWN = {TRACKING: (0, 230, 120), MediaPipe.name: (70, 160, 255)}


def _sheet_row(
    frames: Sequence[VideoFrame], said: Mapping[str, Sequence[Sequence[TrackedFace]]]
) -> ImageArray:
    """Eight frames, half as large: truth red (covered: grey), tracking green, MediaPipe blue."""
    tiles = []
    for t in np.linspace(2, len(frames) - 3, 8).astype(int):
        tile = frames[t].image.copy()
        for face in frames[t].faces:
            draw_dots(tile, face.landmarks, VISIBLE if face.visible else COVERED, 2.5)
        for name, colour in DRAWN.items():
            for face in said[name][t] if name in said else ():
                draw_dots(tile, face.landmarks, colour, 1.5)
        tiles.append(cv2.resize(tile, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return np.hstack(tiles)


def _hour(clips: Sequence[Clip], count: int) -> None:
    """Follows two crossing people for ``count`` frames and prints the memory in use (Linux)."""
    clip = next(clip for clip in clips if clip.name == "crossing")
    images = [frame.image for frame in clip.frames()]
    tracker = asmnet.FaceTracker(threads=1)
    for t in range(count):
        tracker.update(images[t % len(images)], t / FPS)
        # The first loop is left out: buffers and caches are filled there.
        if t in (len(images), count // 2, count - 1):
            print(f"frame {t}: {_resident_mb():.1f} MB resident", flush=True)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
