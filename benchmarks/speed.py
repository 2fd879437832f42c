"""Times of the whole call and of its parts on this machine, one thread: ``make bench``.

Machines are noisy: the candidates take turns, the fastest of many rounds counts, and only ratios
within one run say anything. ``--yunet FILE`` puts OpenCV's YuNet beside ours at the same size.
"""

import argparse
from pathlib import Path

import cv2

import asmnet
from asmnet.image import load_image
from asmnet.training.timing import best_ms

PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "astronaut.png"


def main() -> None:
    """Prints one line for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    image = load_image(PHOTO)
    detector = asmnet.FaceDetector(threads=1)
    landmarker = asmnet.FaceLandmarker(threads=1)
    lite = asmnet.FaceLandmarker("asmnet-68-lite", threads=1)
    points98 = asmnet.FaceLandmarker("asmnet-98", threads=1)
    analyzer = asmnet.FaceAnalyzer(threads=1)
    (face,) = detector.detect(image)
    candidates = {
        "FaceAnalyzer.detect, 512 x 512, one face": lambda: analyzer.detect(image),
        "FaceDetector.detect, 320": lambda: detector.detect(image),
        "FaceLandmarker.predict, one face": lambda: landmarker.predict(image, [face.bbox]),
        "the same with asmnet-98": lambda: points98.predict(image, [face.bbox]),
        "the same with asmnet-68-lite": lambda: lite.predict(image, [face.bbox]),
    }
    if options.yunet is not None:
        cv2.setNumThreads(1)
        yunet = cv2.FaceDetectorYN.create(str(options.yunet), "", (320, 320), 0.6, 0.3)
        small = cv2.resize(image[:, :, ::-1], (320, 320), interpolation=cv2.INTER_AREA)
        candidates["YuNet in OpenCV, 320, already resized"] = lambda: yunet.detect(small)
    times = best_ms(candidates, rounds=options.rounds)
    first = next(iter(times.values()))
    print(f"{'':45} {'ms':>6}  of the whole")
    for name, ms in times.items():
        print(f"{name:45} {ms:6.2f}  {ms / first:.2f}")


if __name__ == "__main__":
    main()
