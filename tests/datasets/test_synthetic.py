"""Rendered faces as records."""

import json

import numpy as np
import pytest

from asmnet.datasets.records import LabelError
from asmnet.datasets.synthetic import read_synthetic
from asmnet.schemes import IBUG_68, WFLW_98

WORN = [
    {"headwear": "none", "glasses": "none"},
    {"headwear": "mask", "glasses": "none"},
    {"headwear": "cap", "glasses": "clear"},
    {"headwear": "none", "glasses": "dark"},
]


def write_labels(root, **changes) -> None:
    count = 40
    (root / "synthetic").mkdir(exist_ok=True)
    arrays = {
        "name": np.array([f"{i:08}.jpg" for i in range(count)]),
        "points68": np.arange(count * 136.0).reshape(count, 68, 2),
        "points98": np.arange(count * 196.0).reshape(count, 98, 2),
        "rotation": np.tile(np.eye(3), (count, 1, 1)),
        "attributes": np.array([json.dumps({"person": WORN[i % 4]}) for i in range(count)]),
    }
    np.savez(root / "synthetic" / "labels.npz", **(arrays | changes))


@pytest.mark.parametrize(("scheme", "count"), [(IBUG_68, 68), (WFLW_98, 98)])
def test_faces_with_points_and_rotation(tmp_path, scheme, count):
    write_labels(tmp_path)
    parts = {part: read_synthetic(tmp_path, part, scheme) for part in ("train", "val", "test")}
    assert len(parts["train"]) + len(parts["val"]) == 40
    assert len(parts["val"]) in range(1, 10)
    assert parts["test"] == []
    face = parts["train"][0]
    assert face.image == tmp_path / "synthetic" / "images" / face.image.name
    assert face.landmarks.shape == (count, 2)
    assert face.landmarks[0, 0] == 2 * count * int(face.image.stem)
    assert (face.source, face.scheme) == ("synthetic", scheme)
    assert np.array_equal(face.rotation, np.eye(3))


def test_bare_faces_wear_no_mask_and_no_dark_glasses(tmp_path):
    write_labels(tmp_path)
    bare = [
        *read_synthetic(tmp_path, "train", bare=True),
        *read_synthetic(tmp_path, "val", bare=True),
    ]
    assert sorted(int(face.image.stem) for face in bare) == list(range(0, 40, 2))


def test_without_the_folder_there_are_none(tmp_path):
    assert read_synthetic(tmp_path, "train") == []


def test_damaged_labels_are_named(tmp_path):
    write_labels(tmp_path, points68=np.zeros((39, 68, 2)))
    with pytest.raises(LabelError, match=r"labels\.npz: points68: expected finite .*\(40, 68, 2\)"):
        read_synthetic(tmp_path, "train")
    write_labels(tmp_path, rotation=np.full((40, 3, 3), np.nan))
    with pytest.raises(LabelError, match="rotation: expected finite numbers"):
        read_synthetic(tmp_path, "train")
    (tmp_path / "synthetic" / "labels.npz").write_bytes(b"no archive")
    with pytest.raises(LabelError, match="expected what synthesize writes"):
        read_synthetic(tmp_path, "train")
