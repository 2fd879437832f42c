"""The verifier's crops: labels stay on what they label, and places are faces or not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_mosaics import BOX, brightest, dotted_photo  # noqa: E402

from asmnet.datasets.detection import DetectionPhoto  # noqa: E402
from asmnet.geometry import box_iou  # noqa: E402
from asmnet.training.detection import crops  # noqa: E402
from asmnet.training.detection.crops import CropDataset, Place, Places, find_places  # noqa: E402
from asmnet.training.detection.material import Material, Photo, pyramid  # noqa: E402
from asmnet.types import Detection  # noqa: E402


class FakeDetector:
    """Finds the same boxes everywhere."""

    def __init__(self, *found):
        self.found = found

    def detect(self, _, *, min_score):
        return [
            Detection(np.array(box, np.float32), score, np.zeros((5, 2), np.float32))
            for box, score in self.found
            if score >= min_score
        ]


def empty_photo():
    labels = DetectionPhoto(Path("empty.jpg"), "backgrounds", [], np.zeros((0, 5, 2)))
    return Photo(labels, pyramid(np.full((200, 200, 3), 90, np.uint8)))


@pytest.fixture
def material():
    return Material(photos={"crowds": [dotted_photo()]}, empty=[empty_photo()])


def test_a_dot_stays_on_its_label(monkeypatch, material):
    monkeypatch.setattr(crops, "photometric", lambda image, _: image)
    monkeypatch.setattr(crops, "OCCLUDED_SHARE", 0.0)
    monkeypatch.setattr(crops, "SMALLEST", 30.0)
    places = Places(
        hits=[(Place(material.photos["crowds"][0], BOX + np.array([3, -2, 6, 4]), 0), 0.9)]
    )
    dataset = CropDataset(material, places, size=96, margin=2.0, length=200, seed=0)
    offsets = []
    for i in range(len(dataset)):
        image, is_face, box, keypoints = (t.numpy() for t in dataset[i])
        if is_face:
            offsets.append(brightest(image, 96 * keypoints[0], 30) - 96 * keypoints[0])
            assert 0.3 < (box[2:] - box[:2]).max() < 0.9
        else:
            assert np.isnan(box).all()
    assert len(offsets) > 80
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.1
    assert np.abs(offsets).max() < 0.6


def test_candidates_become_hits_false_boxes_or_nothing(material):
    far, half_off = [5, 5, 40, 40], BOX + 20
    found = FakeDetector((BOX, 0.9), (far, 0.8), (half_off, 0.7), (far, 0.1))
    places = find_places(material, found, 0.2)
    assert [(p.box.tolist(), p.face, s) for p, s in places.hits] == [(BOX.tolist(), 0, 0.9)]
    # In the photo without a face, and in the other one the box that is far from its face.
    assert [p.box.tolist() for p, _ in places.false].count(far) == 2
    assert sorted(s for _, s in places.false) == [0.7, 0.8, 0.8, 0.9]


def test_a_missed_face_is_a_hit_of_score_0(material):
    places = find_places(material, FakeDetector(), 0.2)
    assert [(p.box.tolist(), p.face, s) for p, s in places.hits] == [(BOX.tolist(), 0, 0.0)]
    assert places.false == []


def test_what_is_ignored_and_where_not_all_is_labelled_nothing_is_false(material):
    ignored = np.array([[5.0, 5, 40, 40]])
    (photo,) = material.photos["crowds"]
    labels = photo.labels
    photo.labels = replace(labels, ignored=ignored)
    detector = FakeDetector(([5, 5, 40, 40], 0.9))
    assert len(find_places(material, detector, 0.2).false) == 1  # in the empty photo
    photo.labels = replace(labels, source="facemask")
    assert len(find_places(material, detector, 0.2).false) == 1


def test_places_without_a_face_keep_off_faces(material):
    dataset = CropDataset(material, Places(), size=48, margin=2.0, length=1, seed=0)
    rng = np.random.default_rng(0)
    empty = [p for p in (dataset.place(rng) for _ in range(300)) if p.face is None]
    beside = [p.box for p in empty if p.photo.labels.outlines]
    assert len(empty) > len(beside) > 10
    assert box_iou(np.array(beside), BOX[None]).max() < crops.FALSE_IOU
