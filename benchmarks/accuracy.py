"""asmnet's landmarks and others' on the same photos: ``python benchmarks/accuracy.py --data DATA``.

Photos, labels and rules are those of ``asmnet-train evaluate landmarks``; docs/accuracy.md says
what the figures mean. The others come with ``pip install "asmnet[bench]"``, weights included.
"""

import argparse
import importlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from tqdm import tqdm
from tracking.mesh import draw_dots, mesh_points

import asmnet
from asmnet.commands.outputs import parse_with_outputs
from asmnet.datasets.records import LabelledFace
from asmnet.datasets.splits import Split, read_300w
from asmnet.draw import POINT
from asmnet.evaluation.landmarks import matching, matching_box, predict
from asmnet.evaluation.metrics import area_under_curve, failure_rate, nme, residuals
from asmnet.evaluation.report import COLUMNS as SHEET_COLUMNS
from asmnet.evaluation.report import face_tile, markdown_rows, sheet, write_picture
from asmnet.geometry import FloatArray, points_box
from asmnet.image import ImageArray, load_image
from asmnet.schemes import IBUG_68
from asmnet.weights import load_weights

LABEL_BOX = "the label's"
MOST_FACES = 10  # in a photo, for systems that want to know

# dlib's predictor was trained on the boxes of dlib's detector: squares, so much wider than the root
# of the area of the tight box of the 68 points, and so much above it (means of validation photos).
DLIB_SIDE, DLIB_RISE = 1.04, 0.09

INSTALL = 'pip install "asmnet[bench]", or leave the system out with --systems'

T = TypeVar("T")
Points = FloatArray | None
Row = dict[str, Any]


@dataclass(frozen=True)
class System:
    """What is measured.

    Attributes:
        name: of the networks.
        box: whose box the landmarks start from.
        megabytes: of its weights on disk.
        points: takes an RGB image and the label's xyxy box; gives (68, 2) points of the face that
            is there, or None. A system with a detector uses the box only to tell which face is
            meant.
        own_points: its points are others than 300W's, which a mean offset can make up for in part.
    """

    name: str
    box: str
    megabytes: float
    points: Callable[[ImageArray, FloatArray], Points]
    own_points: bool = False


def asmnet_systems(weights: str) -> list[System]:
    """Networks of ours, by name or path, in the label's box and in our detector's."""
    landmarker = asmnet.FaceLandmarker(weights, threads=1)
    detector = asmnet.FaceDetector(threads=1)

    def in_label_box(image: ImageArray, box: FloatArray) -> Points:
        return landmarker.predict(image, box[None])[0].to_68().landmarks

    def in_detection(image: ImageArray, box: FloatArray) -> Points:
        detection = matching(detector.detect(image), box)
        if detection is None:
            return None
        return predict(landmarker, image, detection).to_68().landmarks

    megabytes = len(load_weights(weights)) / 1e6
    with_detector = megabytes + len(load_weights("asmnet-face")) / 1e6
    return [
        System(weights, LABEL_BOX, megabytes, in_label_box),
        System(weights, "asmnet-face's", with_detector, in_detection),
    ]


def dlib_systems() -> list[System]:
    """The regression trees of dlib, with its HOG detector, whose weights are code, and without."""
    dlib = _imported("dlib")
    path = _folder("face_recognition_models") / "models" / "shape_predictor_68_face_landmarks.dat"
    predictor, hog = dlib.shape_predictor(str(path)), dlib.get_frontal_face_detector()
    detector = asmnet.FaceDetector(threads=1)

    def in_rectangle(image: ImageArray, rectangle: Any) -> FloatArray:
        # dlib counts from the first pixel's centre, we from its corner.
        return np.array([(p.x, p.y) for p in predictor(image, rectangle).parts()]) + 0.5

    def in_box(image: ImageArray, box: FloatArray) -> FloatArray:
        left, top, right, bottom = (round(side) for side in box.tolist())
        # Its last column and row are part of a rectangle.
        return in_rectangle(image, dlib.rectangle(left, top, right - 1, bottom - 1))

    def in_hog_box(image: ImageArray, box: FloatArray) -> Points:
        upsampled = 1  # as in dlib's examples: faces from 40 pixels on
        return _of_face([in_rectangle(image, r) for r in hog(image, upsampled)], box)

    def in_detection(image: ImageArray, box: FloatArray) -> Points:
        detection = matching(detector.detect(image), box)
        if detection is None:
            return None
        first, last = detection.bbox.reshape(2, 2)
        size = np.sqrt((last - first).prod())
        centre = (first + last) / 2 - [0, DLIB_RISE * size]
        half = DLIB_SIDE / 2 * size
        return in_box(image, np.concatenate([centre - half, centre + half]))

    megabytes = path.stat().st_size / 1e6
    with_detector = megabytes + len(load_weights("asmnet-face")) / 1e6
    return [
        System("dlib", "its HOG detector's", megabytes, in_hog_box),
        System("dlib", LABEL_BOX, megabytes, in_box),
        System("dlib", "asmnet-face's, fitted to dlib's", with_detector, in_detection),
    ]


def mediapipe_systems() -> list[System]:
    """MediaPipe's Face Mesh, without and with its refinement of eyes and lips."""
    face_mesh = _imported("mediapipe.python.solutions.face_mesh")
    modules = _folder("mediapipe") / "modules"

    def system(name: str, file: str, *, refine: bool) -> System:
        mesh = face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=MOST_FACES, refine_landmarks=refine
        )

        def points(image: ImageArray, box: FloatArray) -> Points:
            found = mesh.process(image).multi_face_landmarks or []
            size = image.shape[1::-1]
            return _of_face([mesh_points(face.landmark) * size for face in found], box)

        files = ("face_detection/face_detection_short_range.tflite", f"face_landmark/{file}")
        megabytes = sum((modules / file).stat().st_size for file in files) / 1e6
        return System(name, "its detector's", megabytes, points, own_points=True)

    return [
        system("MediaPipe, 468 points", "face_landmark.tflite", refine=False),
        system("MediaPipe, 478 points", "face_landmark_with_attention.tflite", refine=True),
    ]


OTHERS = {"dlib": dlib_systems, "mediapipe": mediapipe_systems}
DEFAULT = ("asmnet-68", "asmnet-98", "asmnet-68-lite", *OTHERS)


COLUMNS = (
    "system", "box", "NME % of the found", "median % of the found", "FR@10 % with the lost",
    "AUC@10 % with the lost", "lost", "MB",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each system and box."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with 300w")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--limit", type=int, help="only so many photos, evenly spread")
    parser.add_argument(
        "--systems", default=",".join(DEFAULT),
        help="comma-separated: dlib, mediapipe, or names or paths of weights of ours (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the figures")
    parser.add_argument("--sheet", type=Path, help="PNG of six photos: labels red, points green")
    options = parse_with_outputs(parser, ["json", "sheet"], arguments)
    cv2.setNumThreads(1)
    faces = _faces(options.data, options.split, options.limit)
    systems = [
        system
        for name in options.systems.split(",")
        for system in (OTHERS[name]() if name in OTHERS else asmnet_systems(name))
    ]
    predicted = _predicted(systems, faces)
    rows = []
    for system, points in zip(systems, predicted, strict=True):
        rows.append(_row(system.name, system, _errors(points, faces)))
        if system.own_points:
            known = _faces(options.data, "val", options.limit)
            offset = _mean_offset(_predicted([system], known)[0], known)
            name = f"{system.name}, without its mean offset on validation photos"
            rows.append(_row(name, system, _errors(points, faces, offset)))
    print(markdown_rows(rows))
    if options.json is not None:
        content = {"split": options.split, "photos": len(faces), "rows": rows}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.sheet is not None:
        write_picture(options.sheet, _sheet(systems, predicted, faces))


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SystemExit(f"{error}: {INSTALL}") from error


def _folder(package: str) -> Path:
    """Where a package lies, which is not imported: some need what newer Pythons do not have."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"No module named {package!r}: {INSTALL}")
    return Path(spec.origin).parent


def _of_face(candidates: Sequence[FloatArray], box: FloatArray) -> Points:
    """The points whose tight box overlaps the label's enough, and most."""
    best = matching_box([points_box(points) for points in candidates], box)
    return None if best is None else candidates[best]


def _faces(data: Path, split: Split, limit: int | None) -> list[LabelledFace]:
    faces = read_300w(data, split)
    if not faces:
        raise SystemExit(f"{data / '300w'}: expected photos with labels for {split}, got none")
    return faces if limit is None else _spread(faces, limit)


def _spread(values: Sequence[T], count: int) -> list[T]:
    chosen = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[i] for i in chosen]


def _predicted(systems: Sequence[System], faces: Sequence[LabelledFace]) -> FloatArray:
    """(systems, faces, 68, 2) points in image pixels; NaN where a face is lost."""
    predicted = np.full((len(systems), len(faces), len(IBUG_68), 2), np.nan)
    for i, face in enumerate(tqdm(faces)):
        image, box = load_image(face.image), points_box(face.landmarks)
        for j, system in enumerate(systems):
            points = system.points(image, box)
            if points is not None:
                predicted[j, i] = points
    return predicted


def _mean_offset(predicted: FloatArray, faces: Sequence[LabelledFace]) -> FloatArray:
    """(68, 2): where a system puts each point relative to the labels, in the face's own frame."""
    return np.nanmean(residuals(predicted, _truth(faces), IBUG_68), axis=0)


def _errors(
    predicted: FloatArray, faces: Sequence[LabelledFace], offset: FloatArray | None = None
) -> FloatArray:
    """(n,) NME in percent, of lost faces infinite."""
    if offset is None:
        errors = nme(predicted, _truth(faces), IBUG_68)
    else:
        left = residuals(predicted, _truth(faces), IBUG_68) - offset
        errors = 100 * np.linalg.norm(left, axis=-1).mean(axis=-1)
    return np.where(np.isnan(errors), np.inf, errors)


def _truth(faces: Sequence[LabelledFace]) -> FloatArray:
    return np.array([face.landmarks for face in faces])


def _row(name: str, system: System, errors: FloatArray) -> Row:
    found = errors[np.isfinite(errors)]
    mean, median = (found.mean(), np.median(found)) if len(found) else (np.nan, np.nan)
    figures = (
        float(mean), float(median), failure_rate(errors), area_under_curve(errors),
        len(errors) - len(found), system.megabytes,
    )  # fmt: skip
    return dict(zip(COLUMNS, (name, system.box, *figures), strict=True))


def _sheet(
    systems: Sequence[System], predicted: FloatArray, faces: Sequence[LabelledFace]
) -> ImageArray:
    """A row a system: six photos, evenly spread, with labels in red and its points in green."""
    tiles = []
    for system, points in zip(systems, predicted, strict=True):
        errors = _errors(points, faces)
        for i in _spread(range(len(faces)), SHEET_COLUMNS):
            image = load_image(faces[i].image).copy()
            text = f"lost: {system.name}"
            if np.isfinite(errors[i]):
                draw_dots(image, points[i], POINT, 2)
                text = f"{errors[i]:.1f} %: {system.name}"
            truth = faces[i].landmarks
            tiles.append(face_tile(image, [], points_box(truth), truth=truth, text=text))
    return sheet(tiles)


if __name__ == "__main__":
    main()
