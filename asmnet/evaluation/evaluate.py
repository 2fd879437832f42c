"""``asmnet-train evaluate``: scores weights through the code that users call. Needs no torch."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from asmnet._checks import one_of
from asmnet.analyzer import FaceAnalyzer
from asmnet.commands.outputs import check_outputs
from asmnet.datasets.formats import read_300w_test
from asmnet.detector import FaceDetector
from asmnet.errors import InvalidInputError
from asmnet.evaluation.detector import DETECT, crowd_sheet, detector_tables
from asmnet.evaluation.landmarks import (
    SETS,
    WORST,
    Figures,
    Scores,
    box_figures,
    group_figures,
    predict,
    score,
    set_figures,
)
from asmnet.evaluation.metrics import nme
from asmnet.evaluation.pose import pointing_faces, pointing_figures, pose_tables
from asmnet.evaluation.report import (
    TABLES,
    draw_error_curves,
    draw_point_errors,
    draw_reliability,
    face_tile,
    markdown,
    sheet,
    write_picture,
    write_tables,
)
from asmnet.evaluation.robustness import robustness_figures
from asmnet.evaluation.timing import best_ms
from asmnet.geometry import points_box
from asmnet.image import ImageArray, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.weights import MANIFEST, PACKAGE, family_of
from asmnet.weights.records import read_record, read_records, write_record

BUNDLED = {
    "detector": "asmnet-face",
    "landmarks": "asmnet-68",
    "pose": "asmnet-68",
    "robustness": "asmnet-68",
}
# What a report has besides its tables.
PICTURES = {
    "landmarks": ("ced.png", "error_per_point.png", "worst.png"),
    "robustness": ("reliability.png",),
}
COMMON = "300W common"


def run(options: argparse.Namespace) -> int:
    """``asmnet-train evaluate``; returns the exit code."""
    name = options.weights or BUNDLED[options.what]
    if options.what != "landmarks" and (options.set is not None or options.pupil):
        raise InvalidInputError(f"--set, --pupil: expected with landmarks, got {options.what}")
    _check_outputs(options)
    scores = reliability = None
    if options.what == "detector":
        tables = detector_tables(name, options.data, options.yunet)
    elif options.what == "pose":
        tables = pose_tables(name, options.data)
    elif options.what == "robustness":
        figures, reliability = robustness_figures(name, options.data)
        tables = {name: figures}
    else:
        figures, scores = _landmarks(name, options.data, options.set, pupil=options.pupil)
        tables = {name: figures}
    print(markdown(tables))
    if options.json is not None:
        options.json.write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")
    if options.report is not None:
        write_tables(options.report, tables)
        if scores is not None:
            _draw_report(options.report, scores)
        if reliability is not None:
            draw_reliability(options.report / "reliability.png", reliability.bins())
    if options.sheet is not None:
        detector, landmarker = (
            (FaceDetector(name), FaceLandmarker(family_of(name).name))
            if options.what == "detector"
            else (FaceDetector(family_of(name).name), FaceLandmarker(name))
        )
        picture = None
        if options.what == "detector":
            analyzer = FaceAnalyzer(detector=detector, landmarker=landmarker)
            picture = crowd_sheet(analyzer.detect, options.data)
        if picture is None:
            picture = contact_sheet(options.data, detector, landmarker)
        write_picture(options.sheet, picture)
    if options.update_manifest:
        extra = f" --weights {options.weights}" if options.weights is not None else ""
        extra += f" --set {options.set}" if options.set is not None else ""
        extra += " --pupil" if options.pupil else ""
        extra += " --yunet YUNET.onnx" if options.yunet is not None else ""
        command = f"asmnet-train evaluate {options.what} --data DATA{extra}"
        _store(name, tables[name], command)
        if options.what == "detector":  # what users call has a verifier
            _store(family_of(name).verifier, tables[DETECT], command)
    return 0


def _check_outputs(options: argparse.Namespace) -> None:
    inputs = [path for path in (options.weights, options.yunet) if path is not None]
    outputs = check_outputs(options, ["json", "sheet"], inputs)
    if options.update_manifest:
        known = [record["name"] for record in read_records(PACKAGE / MANIFEST)]
        one_of(options.weights or BUNDLED[options.what], "--update-manifest", known)
    if options.report is not None:
        for name in (*TABLES, *PICTURES.get(options.what, ())):
            outputs.check("--report", options.report / name)


def _landmarks(
    name: str, data: Path, set_name: str | None, *, pupil: bool
) -> tuple[Figures, Scores]:
    if set_name is None:
        return landmark_figures(name, data, pupil=pupil)
    test_set = SETS[set_name]
    samples = test_set.samples(data / set_name)
    networks = (FaceLandmarker(name, threads=1), FaceDetector(family_of(name).name))
    scores = score(*networks, samples, title=test_set.title, norm=test_set.norm)
    return set_figures(scores, test_set, pupil=pupil), scores


def landmark_figures(name: str, data: Path, *, pupil: bool = False) -> tuple[Figures, Scores]:
    """300W common with label and detector boxes, Pointing'04's people 09-15, and the time."""
    landmarker = FaceLandmarker(name, threads=1)
    detector = FaceDetector(family_of(name).name)  # boxes as users of the weights have them
    faces = [face for face in read_300w_test(data / "300w") if "common" in face.subsets]
    samples = ((load_image(face.image), face) for face in faces)
    scores = score(landmarker, detector, samples, title=COMMON)
    every = scores.subset("common")
    figures = box_figures(scores, COMMON, every, pupil=pupil, lost="lost of 554")
    figures |= group_figures(scores, COMMON, every)
    poses = pointing_faces(landmarker, detector, data)
    if poses:
        figures |= pointing_figures(poses, lambda face: face.pose)
    photo, box = load_image(faces[0].image), points_box(faces[0].landmarks)[None]
    figures["ms for one face, one thread, crop included"] = best_ms(
        {"": lambda: landmarker.predict(photo, box)}, rounds=100
    )[""]
    return figures, scores


def contact_sheet(data: Path, detector: FaceDetector, landmarker: FaceLandmarker) -> ImageArray:
    """24 test photos of 300W, evenly spread, around their faces, as the networks see them."""
    faces = [face for face in read_300w_test(data / "300w") if "common" in face.subsets]
    tiles = []
    for face in faces[:: max(len(faces) // WORST, 1)][:WORST]:
        image = load_image(face.image)
        found = [predict(landmarker, image, d) for d in detector.detect(image)]
        tiles.append(face_tile(image, found, points_box(face.landmarks)))
    return sheet(tiles)


def _draw_report(folder: Path, scores: Scores) -> None:
    """Writes ced.png, error_per_point.png and worst.png."""
    by_label = scores.label_errors()
    curves = {"label box": by_label, "detector box": scores.detector_errors()}
    for name in sorted(frozenset[str]().union(*scores.subsets)):
        chosen = scores.subset(name)
        if not chosen.all():
            curves[f"label box, {name}"] = by_label[chosen]
    draw_error_curves(folder / "ced.png", curves)
    each = [
        nme(scores.by_label, scores.truth, scores.scheme, points=np.array([i]), norm=scores.norm)
        for i in range(len(scores.scheme))
    ]
    errors = np.array(each).mean(axis=1)
    draw_point_errors(folder / "error_per_point.png", scores.truth, errors, scores.scheme)
    write_picture(folder / "worst.png", sheet(scores.worst))


def _store(name: str, figures: Figures, command: str) -> None:
    """Writes the figures, but not the times, into the manifest's record.

    Figures of other commands stay; those that the same command once gave and no more gives go.
    """
    path = PACKAGE / MANIFEST
    record = read_record(path, name)
    kept = {k: v for k, v in record.get("metrics", {}).items() if v["command"] != command}
    record["metrics"] = kept | {
        key: {"value": round(value, 3), "command": command}
        for key, value in figures.items()
        if not key.startswith(("ms", "time"))
    }
    write_record(record, path)
