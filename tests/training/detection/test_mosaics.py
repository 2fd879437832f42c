"""Labels stay on what they label, whatever is done to a photo."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_mosaics import brightest, dotted_photo  # noqa: E402

from asmnet.training.config import MosaicOptions  # noqa: E402
from asmnet.training.detection import mosaics  # noqa: E402
from asmnet.training.detection.material import (  # noqa: E402
    Material,
    pyramid,
    without_faces,
)
from asmnet.training.detection.mosaics import MosaicDataset  # noqa: E402


@pytest.mark.parametrize(
    ("kind", "set_name"),
    [("photo_share", "crowds"), ("single_share", "300w"), ("pasted_share", "utkface")],
)
def test_a_dot_stays_on_its_label(monkeypatch, kind, set_name):
    monkeypatch.setattr(mosaics, "photometric", lambda image, _: image)
    monkeypatch.setattr(MosaicDataset, "_patches", lambda *_: None)
    monkeypatch.setattr(MosaicDataset, "_backdrop", lambda *_: np.zeros((192, 192, 3), np.uint8))
    shares = dict.fromkeys(("photo_share", "single_share", "pasted_share"), 0.0) | {kind: 1.0}
    options = MosaicOptions(
        rotated_share=0.5, occluded_share=0.0, smallest=24.0, largest=60.0, **shares
    )
    material = Material(photos={set_name: [dotted_photo()]})
    dataset = MosaicDataset(material, options, size=192, length=1, seed=0)
    offsets = []
    for i in range(150):
        mosaic = dataset.mosaic(np.random.default_rng(i))
        for box, keypoints in zip(mosaic.boxes, mosaic.keypoints, strict=True):
            label, side = keypoints[0], (box[2:] - box[:2]).max()
            if (abs(label - 96) < 96 - 0.5 * side).all():  # the whole dot is in the mosaic
                offsets.append(brightest(mosaic.image, label, 0.5 * side) - label)
    assert len(offsets) > 20
    # Counting from pixel centres where a mirror or a turn counts from the corner costs half a one.
    assert np.abs(offsets).max() < 0.25


def test_a_mirrored_mirror_is_the_mosaic():
    mosaic = mosaics.Mosaic(
        np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8),
        np.array([[3.0, 4, 20, 30]]),
        np.arange(10.0).reshape(1, 5, 2),
        np.array([[40.0, 1, 50, 9]]),
        doubt=False,
    )
    mirrored = mosaic.mirrored()
    assert mirrored.boxes.tolist() == [[44, 4, 61, 30]]
    # The right eye of the mirror is the left eye of the mosaic.
    assert mirrored.keypoints[0, 0].tolist() == [64 - 2, 3]
    twice = mirrored.mirrored()
    for name in ("image", "boxes", "keypoints", "ignored"):
        assert np.array_equal(getattr(twice, name), getattr(mosaic, name))


def test_faces_cut_off_are_left_out_and_others_stay():
    labels = mosaics._Labels()
    photo = dotted_photo()
    region = np.array([0.0, 0, 100, 200])
    # 40 of 70 columns of the box are inside: too little to be a face, too much for background.
    assert labels.add(photo, np.eye(2, 3), region) == []
    assert [box.tolist() for box in labels.ignored] == [[60, 80, 100, 150]]
    assert len(labels.add(photo, np.eye(2, 3), np.array([0.0, 0, 120, 200]))) == 1


def test_mosaics_are_the_same_for_the_same_seed():
    material = Material(
        photos={"crowds": [dotted_photo()], "utkface": [dotted_photo()]},
        hard=[pyramid(np.full((80, 80, 3), 99, np.uint8))],
    )
    make = [
        MosaicDataset(material, MosaicOptions(), size=64, length=9, seed=seed)[4]
        for seed in (1, 1, 2)
    ]
    for a, b in zip(make[0], make[1], strict=True):
        assert np.array_equal(a, b, equal_nan=a.is_floating_point())
    assert not torch.equal(make[0][0], make[2][0])


def test_painted_faces_are_gone():
    image = np.zeros((20, 20, 3), np.uint8)
    image[5:10, 5:10] = 255
    assert without_faces(image, np.array([[5.0, 5, 10, 10]])).max() < 20
