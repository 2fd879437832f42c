"""The table of ASMNet's paper for exported networks: size, error by seed, time. Needs no torch."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asmnet.datasets.splits import Split, read_300w
from asmnet.errors import InvalidInputError
from asmnet.evaluation.metrics import nme
from asmnet.evaluation.timing import best_ms
from asmnet.geometry import points_box
from asmnet.image import load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.schemes import IBUG_68
from asmnet.weights import MANIFEST
from asmnet.weights.records import read_records

HEADER = (
    "| network | input | parameters | multiply-adds | NME % by seed | mean ± spread | ms |",
    "|---|--:|--:|--:|---|--:|--:|",
)


def paper_table(folder: Path, data: Path, split: Split = "test") -> str:
    """A Markdown table of the landmark networks under ``folder``, best error first.

    Networks whose names differ in ``-seedN`` only share a row. NME: a part of 300W, its common test
    set unless told, with label boxes, inter-ocular; the spread is the standard deviation over the
    seeds. Time: one face with its crop, one thread, the best of many, the networks taking turns.

    Raises:
        InvalidInputError: no landmark networks, or no photos of the part.
    """
    records = [r for r in read_records(folder / MANIFEST) if r["task"] == "landmarks"]
    faces = read_300w(data, split)
    if not records or not faces:
        raise InvalidInputError(
            f"expected landmark networks in {folder} and {split} photos in {data}/300w, "
            f"got {len(records)} and {len(faces)}"
        )
    landmarkers = {r["name"]: FaceLandmarker(folder / r["file"], threads=1) for r in records}
    predictions: dict[str, list[Any]] = defaultdict(list)
    for face in tqdm(faces, f"300W {split}"):
        image, box = load_image(face.image), points_box(face.landmarks)[None]
        for name, landmarker in landmarkers.items():
            predictions[name].append(landmarker.predict(image, box)[0].landmarks)
    truth = np.array([face.landmarks for face in faces])
    errors = {name: nme(np.array(p), truth, IBUG_68).mean() for name, p in predictions.items()}
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        rows[re.sub(r"-seed\d+", "", record["name"])].append(record)
    photo, box = load_image(faces[0].image), points_box(truth[:1])
    times = best_ms(
        {
            row: partial(landmarkers[seeds[0]["name"]].predict, photo, box)
            for row, seeds in rows.items()
        }
    )
    lines = []
    for row, seeds in rows.items():
        values = [float(errors[record["name"]]) for record in seeds]
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        size = seeds[0]["input"]["shape"][1]
        work = seeds[0].get("multiply_adds")  # older exports have none
        text = (
            f"| {row} | {size} × {size} | {seeds[0]['parameters']:,} "
            f"| {'' if work is None else f'{work:,}'} | {', '.join(f'{v:.2f}' for v in values)} "
            f"| {np.mean(values):.2f}{spread} | {times[row]:.2f} |"
        )
        lines.append((np.mean(values), text))
    return "\n".join([*HEADER, *(text for _, text in sorted(lines))])
