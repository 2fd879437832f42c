"""The figures of docs/speed.md on this machine: ``python benchmarks/table.py --json NEW.json``.

Each figure is a ratio or a share of one run, one thread unless it says otherwise, the median of
rounds in which the candidates take turns. ``benchmarks/compare.py`` compares two such files.
MediaPipe is measured too where ``mediapipe`` 0.10 is installed.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from speed import CREW, FILES, PHOTO, PHOTOS, large_photo

import asmnet
from asmnet.commands.outputs import parse_with_outputs
from asmnet.evaluation.timing import median_ms
from asmnet.image import ImageArray, load_image
from asmnet.session import OnnxSession

Call = Callable[[], object]
Figures = dict[str, float]
FRAMES = 30


def scene(faces: int) -> ImageArray:
    """A picture of 640 x 480 with one, two or five faces."""
    names = ["london_037_03.jpg", "london_097_03.jpg", "london_006_03.jpg", "london_130_03.jpg"]
    portraits = [load_image(PHOTOS / names[i % len(names)]) for i in range(faces)]
    columns, rows = {1: (1, 1), 2: (2, 1)}.get(faces, (3, 2))
    width, height = 640 // columns, 480 // rows
    side = min(width, height)
    picture = np.full((480, 640, 3), 200, np.uint8)
    for i, portrait in enumerate(portraits):
        row, column = divmod(i, columns)
        y, x = row * height + (height - side) // 2, column * width + (width - side) // 2
        small = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
        picture[y : y + side, x : x + side] = small
    return picture


def frames(picture: ImageArray) -> list[ImageArray]:
    """The picture before a camera that sways."""
    shifts = [(4 * np.sin(t / 5), 3 * np.cos(t / 5) - 3) for t in range(FRAMES)]
    return [
        np.asarray(
            cv2.warpAffine(
                picture,
                np.array([[1, 0, x], [0, 1, y]]),
                (640, 480),
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )
        for x, y in shifts
    ]


def updates(images: Sequence[ImageArray]) -> Call:
    """A call that takes a tracker one frame on."""
    tracker, count = asmnet.FaceTracker(threads=1), 0

    def update() -> object:
        nonlocal count
        count += 1
        return tracker.update(images[count % len(images)], count / FRAMES)

    return update


def outside(call: Call, rounds: int) -> float:
    """The share of a call, 0-1, that is not spent in ONNX Runtime."""
    run, inside = OnnxSession.run, 0.0

    def timed(self: OnnxSession, images: Any) -> Any:
        nonlocal inside
        started = time.perf_counter()
        outputs = run(self, images)
        inside += time.perf_counter() - started
        return outputs

    shares = []
    OnnxSession.run = timed  # type: ignore[method-assign]
    try:
        for _ in range(rounds + FRAMES):
            inside, started = 0.0, time.perf_counter()
            call()
            shares.append(1 - inside / (time.perf_counter() - started))
    finally:
        OnnxSession.run = run  # type: ignore[method-assign]
    return statistics.median(shares[FRAMES:])


def shares(rounds: int) -> Figures:
    """What is left to Python and NumPy."""
    analyzer = asmnet.FaceAnalyzer(threads=1)
    one, crew = scene(1), load_image(CREW)
    calls: dict[str, Call] = {
        "detect, one face": lambda: analyzer.detect(one),
        "detect, group photo": lambda: analyzer.detect(crew),
    }
    calls |= {f"update, faces: {n}": updates(frames(scene(n))) for n in (1, 2, 5)}
    return {f"outside ONNX Runtime, {n}": outside(call, rounds) for n, call in calls.items()}


def mediapipe(rounds: int) -> Figures:
    """Beside MediaPipe's calls for a picture and for a stream."""
    if importlib.util.find_spec("mediapipe") is None:
        return {}
    from mediapipe.python.solutions.face_mesh import FaceMesh  # here: few have it

    figures, analyzer = {}, asmnet.FaceAnalyzer(threads=1)
    picture, still = scene(1), FaceMesh(static_image_mode=True)
    times = median_ms(
        {"ours": lambda: analyzer.detect(picture), "theirs": lambda: still.process(picture)},
        rounds=rounds,
    )
    figures["detect / MediaPipe's still call"] = times["ours"] / times["theirs"]
    for count in (1, 2, 5):
        images, mesh = frames(scene(count)), FaceMesh(max_num_faces=count)
        turn = iter(range(sys.maxsize))
        times = median_ms(
            {
                "ours": updates(images),
                "theirs": lambda m=mesh, i=images, t=turn: m.process(i[next(t) % FRAMES]),
            },
            rounds=rounds,
        )
        name = f"update / MediaPipe's tracking call, faces: {count}"
        figures[name] = times["ours"] / times["theirs"]
    return figures


def files(rounds: int) -> Figures:
    """Large JPEG files: the whole call beside the bare decode at full size."""
    analyzer, figures = asmnet.FaceAnalyzer(threads=1), {}
    for width, height in FILES:
        photo = large_photo((width, height))
        calls: dict[str, Call] = {
            "decode": lambda photo=photo: load_image(photo),
            "detect": lambda photo=photo: analyzer.detect(photo),
        }
        times = median_ms(calls, rounds=max(rounds // 10, 1))
        name = f"JPEG of {round(width * height / 1e6)} megapixels, detect / decode"
        figures[name] = times["detect"] / times["decode"]
    return figures


def _child(code: str) -> float:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603


def imports(rounds: int) -> Figures:
    """CPU time of the import beside that of what it needs."""
    code = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"
    pairs = [
        (_child(code.format("asmnet")), _child(code.format("numpy, cv2, onnxruntime")))
        for _ in range(max(rounds // 5, 1))
    ]
    return {"import / its dependencies": statistics.median(a / b for a, b in pairs)}


_RESIDENT = (
    "import os, sys, numpy as np; sys.path.insert(0, {folder!r}); import asmnet, speed\n"
    "def mb(): return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6\n"
    "a = asmnet.FaceAnalyzer(threads=1); a.detect(asmnet.image.load_image(speed.PHOTO))\n"
    "photo = asmnet.image.load_image(speed.CREW).repeat(3, 0).repeat(3, 1); b = mb()\n"
    "a.detect(photo); print(mb() / b)"
)


def memory() -> Figures:
    """Resident memory after a photo of 11 megapixels beside that before, photo and sessions in."""
    folder = str(Path(__file__).parent)
    return {"resident memory, after / before": _child(_RESIDENT.format(folder=folder))}


def more_faces(rounds: int) -> Figures:
    """What a further face costs in a photo, beside what the network takes for one more crop."""
    landmarker = asmnet.FaceLandmarker(threads=1)
    session = OnnxSession("asmnet-68", threads=1)
    size = int(session.metadata["input_size"])
    crops = np.zeros((50, size, size, 3), np.uint8)
    picture = load_image(PHOTO)
    boxes = np.tile([181.0, 88, 268, 179], (50, 1))
    times = median_ms(
        {
            "1": lambda: landmarker.predict(picture, boxes[:1]),
            "50": lambda: landmarker.predict(picture, boxes),
            "network 1": lambda: session.run(crops[:1]),
            "network 50": lambda: session.run(crops),
        },
        rounds=max(rounds // 5, 1),
    )
    ours, network = times["50"] - times["1"], times["network 50"] - times["network 1"]
    return {"one more face / one more crop": ours / network}


def threads(rounds: int) -> Figures:
    """Images a second of eight threads that share an analyzer, beside those of one."""
    analyzer, picture = asmnet.FaceAnalyzer(threads=1), scene(1)
    work = [picture] * 16

    def alone() -> None:
        for image in work:
            analyzer.detect(image)

    with ThreadPoolExecutor(8) as pool:
        calls = {"one": alone, "eight": lambda: list(pool.map(analyzer.detect, work))}
        times = median_ms(calls, rounds=max(rounds // 10, 1))
    return {"eight threads / one": times["one"] / times["eight"]}


ROWS: dict[str, Callable[[int], Figures]] = {
    "shares": shares,
    "mediapipe": mediapipe,
    "files": files,
    "imports": imports,
    "memory": lambda _: memory(),
    "faces": more_faces,
    "threads": threads,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures, and writes them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parse_with_outputs(parser, ["json"], arguments)
    cv2.setNumThreads(1)
    figures: Figures = {}
    for row in options.rows:
        for name, value in ROWS[row](options.rounds).items():
            figures[name] = float(value)
            print(f"{name:55} {value:6.2f}", flush=True)
    if options.json is not None:
        content = {"version": asmnet.__version__, "rounds": options.rounds, "figures": figures}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
