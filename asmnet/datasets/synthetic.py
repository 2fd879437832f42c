"""Reader of rendered faces: what ``asmnet-train synthesize`` wrote into ``DATA/synthetic``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from asmnet.datasets.records import LabelError, LabelledFace
from asmnet.datasets.splits import Split, part_of
from asmnet.schemes import IBUG_68, WFLW_98, LandmarkScheme

FOLDER, LABELS = "synthetic", "labels.npz"
_SHAPES = {"points68": (68, 2), "points98": (98, 2), "rotation": (3, 3)}


def read_synthetic(
    root: Path, split: Split, scheme: LandmarkScheme = IBUG_68, *, bare: bool = False
) -> list[LabelledFace]:
    """Rendered faces with exact rotations, split by picture, each of which is another person.

    Contour points follow the visible outline, as in 300W and WFLW. No picture is for testing.

    Args:
        root: of the data folders.
        split: which part.
        scheme: of the points.
        bare: leave out faces behind masks and dark glasses.

    Raises:
        LabelError: the label file is damaged.
    """
    folder = root / FOLDER
    if not (folder / LABELS).exists():
        return []
    labels = _arrays(folder / LABELS)
    points = labels["points98" if scheme == WFLW_98 else "points68"]
    return [
        LabelledFace(folder / "images" / name, shape, rotation, FOLDER, scheme)
        for name, shape, rotation, attributes in zip(
            labels["name"].tolist(), points, labels["rotation"], labels["attributes"], strict=True
        )
        if part_of(name) == split and not (bare and _covered(attributes))
    ]


def _covered(attributes: str) -> bool:
    person = json.loads(attributes)["person"]
    return bool(person["headwear"] == "mask" or person["glasses"] == "dark")


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path) as file:
            labels = {key: file[key] for key in ("name", "attributes", *_SHAPES)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise LabelError(f"{path}: expected what synthesize writes: {error}") from error
    for key, shape in _SHAPES.items():
        expected = (len(labels["name"]), *shape)
        if labels[key].shape != expected or not np.isfinite(labels[key]).all():
            raise LabelError(
                f"{path}: {key}: expected finite numbers of shape {expected}, "
                f"got {labels[key].shape}"
            )
        labels[key] = labels[key].astype(np.float64)
    return labels
