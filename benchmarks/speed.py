"""Times of the whole call and of its parts on this machine, one thread: ``make bench``.

Machines are noisy: the candidates take turns, the fastest of many rounds counts, and only ratios
within one run say anything. ``--yunet FILE`` puts OpenCV's YuNet beside ours at the same size.
``--files`` times large JPEG files instead, of which decoding is most of the work.
``--face-mesh FILE`` puts MediaPipe's face mesh beside our networks alone, as LiteRT runs it
(``pip install "asmnet[bench]"``; the file is face_landmark.tflite of the package mediapipe 0.10).
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import asmnet
from asmnet.commands.outputs import parse_with_outputs
from asmnet.evaluation.report import markdown_rows
from asmnet.evaluation.timing import best_ms
from asmnet.image import load_image
from asmnet.session import OnnxSession

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
PHOTO, CREW = PHOTOS / "astronaut.png", PHOTOS / "apollo11_crew.jpg"
# Phones' photos of 12 and 48 megapixels, and the rounds that their times take part in.
FILES, FILE_ROUNDS = ((4032, 3024), (8064, 6048)), 5
NETWORKS = ("asmnet-68", "asmnet-98", "asmnet-98-wide", "asmnet-68-lite", "asmnet-paper-68")


Row = dict[str, str | float]


def calls(yunet: Path | None) -> dict[str, Callable[[], object]]:
    """What users call, on one photo."""
    image = load_image(PHOTO)
    detector = asmnet.FaceDetector(threads=1)
    landmarker = asmnet.FaceLandmarker(threads=1)
    lite = asmnet.FaceLandmarker("asmnet-68-lite", threads=1)
    points98 = asmnet.FaceLandmarker("asmnet-98", threads=1)
    analyzer = asmnet.FaceAnalyzer(threads=1)
    (face,) = detector.detect(image)
    candidates: dict[str, Callable[[], object]] = {
        "FaceAnalyzer.detect, 512 x 512, one face": lambda: analyzer.detect(image),
        "FaceDetector.detect": lambda: detector.detect(image),
        "FaceLandmarker.predict, one face": lambda: landmarker.predict(image, [face.bbox]),
        "the same with asmnet-98": lambda: points98.predict(image, [face.bbox]),
        "the same with asmnet-68-lite": lambda: lite.predict(image, [face.bbox]),
    }
    if yunet is not None:
        cv2.setNumThreads(1)
        network = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.6, 0.3)
        small = cv2.resize(image[:, :, ::-1], (320, 320), interpolation=cv2.INTER_AREA)
        candidates["YuNet in OpenCV, 320, already resized"] = lambda: network.detect(small)
    return candidates


def networks(face_mesh: Path | None) -> dict[str, Callable[[], object]]:
    """The landmark networks alone, one crop."""
    candidates = {name: _onnx(name) for name in NETWORKS}
    return (
        candidates if face_mesh is None else {"face mesh, LiteRT": _tflite(face_mesh)} | candidates
    )


def _onnx(name: str) -> Callable[[], object]:
    session = OnnxSession(name, threads=1, providers=None)
    shape = (1, *(int(side) for side in session.input_shape[1:]))
    crop = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return lambda: session.run(crop)


def _tflite(path: Path) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter  # here: only for this comparison

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    crop = np.random.default_rng(0).random(source["shape"], dtype=np.float32)

    def run() -> None:
        interpreter.set_tensor(source["index"], crop)
        interpreter.invoke()

    return run


def large_photo(size: tuple[int, int]) -> bytes:
    """A JPEG file of so many pixels, with the grain that real ones have."""
    with Image.open(CREW) as image:
        pixels = np.array(image.resize(size, Image.Resampling.BICUBIC))
    grain = np.random.default_rng(0).integers(-6, 7, (1008, 1008, 3), dtype=np.int16)
    for rows in range(0, size[1], 1008):
        for columns in range(0, size[0], 1008):
            part = pixels[rows : rows + 1008, columns : columns + 1008]
            part[:] = np.clip(part + grain, 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def files(photo: bytes) -> dict[str, Callable[[], object]]:
    """What decoding costs, and what the detector saves of it."""
    cv2.setNumThreads(1)
    detector = asmnet.FaceDetector(threads=1)
    portraits = asmnet.FaceDetector(input_size=320, threads=1)
    analyzer = asmnet.FaceAnalyzer(threads=1)
    return {
        "load_image": lambda: load_image(photo),
        "FaceAnalyzer.detect": lambda: analyzer.detect(photo),
        "FaceDetector.detect of load_image": lambda: detector.detect(load_image(photo)),
        "FaceDetector.detect": lambda: detector.detect(photo),
        "FaceDetector(input_size=320).detect": lambda: portraits.detect(photo),
    }


def timed(
    title: str, candidates: dict[str, Callable[[], object]], rounds: int, prefix: str = ""
) -> list[Row]:
    """Prints and returns a row for each candidate, with its ratio to the first."""
    times = best_ms(candidates, rounds=rounds)
    first = next(iter(times.values()))
    rows: list[Row] = [
        {title: name, f"{prefix}ms": ms, f"{prefix}of the first": ms / first}
        for name, ms in times.items()
    ]
    print(markdown_rows(rows), end="\n\n")
    return rows


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file")
    parser.add_argument("--face-mesh", type=Path, help="the mesh's .tflite file")
    parser.add_argument("--files", action="store_true", help="only large JPEG files")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the tables")
    options = parse_with_outputs(parser, ["json"], inputs=["yunet", "face_mesh"])
    tables = {}
    if options.files:
        columns = []
        for width, height in FILES:
            candidates = files(large_photo((width, height)))
            rounds = min(options.rounds, FILE_ROUNDS)
            prefix = f"{width * height / 1e6:.0f} megapixels, "
            columns.append(timed("call", candidates, rounds, prefix))
        tables["files"] = [
            {name: value for row in rows for name, value in row.items()}
            for rows in zip(*columns, strict=True)
        ]
    else:
        tables["calls"] = timed("call", calls(options.yunet), options.rounds)
        networks_alone = networks(options.face_mesh)
        tables["networks"] = timed("network alone, one face", networks_alone, options.rounds)
    if options.json is not None:
        text = json.dumps(tables, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
