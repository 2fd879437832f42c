import numpy as np
import pytest

torch = pytest.importorskip("torch")

from asmnet.facemaps import decode as decode_with_numpy  # noqa: E402
from asmnet.training.detection.loss import Batch, chosen, decode, detection_loss, flatten  # noqa: E402
from asmnet.training.detection.targets import cells, targets  # noqa: E402
from asmnet.training.nets.face_detector import STRIDES, FaceDetectorNet  # noqa: E402

NOTHING = np.zeros((0, 4))


def points_of(boxes):
    return np.repeat((boxes[:, None, :2] + boxes[:, None, 2:]) / 2, 5, axis=1)


def test_a_small_face_may_go_to_the_cells_at_its_centre_and_is_worth_a_zoomed_pass():
    boxes = np.array([[100.0, 60, 112, 74]])
    found = targets(boxes, points_of(boxes), NOTHING, 320)
    pairs = found.pairs[found.pairs[:, 0] >= 0]
    centres, strides = cells(320)
    assert set(strides[pairs[:, 0]]) == {8}
    assert (abs(centres[pairs[:, 0]] - [106, 67]) <= 8).all()
    assert len(pairs) == 4
    assert found.closer.reshape(40, 40)[8, 13] == 1
    assert found.background.all()


def test_a_large_face_goes_to_coarse_cells_and_needs_no_zoomed_pass():
    boxes = np.array([[20.0, 20, 280, 300]])
    found = targets(boxes, points_of(boxes), NOTHING, 320)
    _, strides = cells(320)
    assert set(strides[found.pairs[found.pairs[:, 0] >= 0][:, 0]]) == {32}
    assert not found.closer.any()


def test_ignored_places_are_neither_face_nor_background():
    found = targets(NOTHING, np.zeros((0, 5, 2)), np.array([[64.0, 64, 96, 96]]), 320)
    centres, _ = cells(320)
    left_out = centres[found.background == 0]
    assert ((left_out > 64) & (left_out < 96)).all()
    assert (found.closer.reshape(40, 40)[8:12, 8:12] == -1).all()
    assert (found.pairs == -1).all()


def test_a_face_too_small_for_a_box_is_still_worth_a_zoomed_pass():
    boxes = np.array([[50.0, 50, 54, 54]])
    found = targets(boxes, points_of(boxes), NOTHING, 320)
    assert (found.pairs == -1).all()
    assert found.closer.max() == 1
    assert not found.background.all()


def test_the_two_decoders_agree():
    size = 64
    maps = tuple(torch.randn(1, 15, size // s, size // s) for s in STRIDES)
    small = torch.zeros(1, 1, 8, 8)
    centres, strides = (torch.from_numpy(v).float() for v in cells(size))
    raw, _ = flatten((*maps, small))
    boxes, keypoints = decode(raw[0], centres, strides)
    expected, scores, points = decode_with_numpy([m.numpy() for m in (*maps, small)], 0.0)
    assert scores == pytest.approx(raw[0, :, 0].sigmoid().numpy(), abs=1e-6)
    assert boxes.numpy() == pytest.approx(expected, abs=1e-3)
    assert keypoints.numpy() == pytest.approx(points.reshape(-1, 10), abs=1e-3)


def test_the_best_cells_take_a_face_and_a_cell_takes_one():
    mosaic, face = torch.zeros(5, dtype=torch.long), torch.tensor([0, 0, 0, 1, 1])
    cell = torch.tensor([3, 4, 5, 5, 9])
    iou = torch.tensor([0.9, 0.2, 0.95, 0.5, 0.1])
    taken = chosen(mosaic, cell, face, iou=iou, logits=torch.zeros(5), cells_a_mosaic=100)
    # Face 0 has two cells (0.9 + 0.2 + 0.95 is 2); face 1 wants cell 5 too, which fits it worse.
    assert taken.tolist() == [True, False, True, False, False]


def test_a_network_learns_one_face():
    torch.manual_seed(0)
    model = FaceDetectorNet()
    image = torch.rand(2, 3, 64, 64)
    boxes = np.array([[20.0, 16, 44, 40]])
    one = targets(boxes, points_of(boxes), NOTHING, 64)
    batch = [torch.from_numpy(np.stack([v, v])) for v in one]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        parts = detection_loss(model(image), Batch(*batch, torch.ones(2)), size=64, score_floor=0.6)
        loss = sum(parts.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert parts["box"] < 0.2
    raw, _ = flatten(model(image))
    centres, strides = (torch.from_numpy(v).float() for v in cells(64))
    best = raw[0, :, 0].argmax()
    found, _ = decode(raw[0], centres, strides)
    assert found[best].detach().numpy() == pytest.approx(boxes[0], abs=3)


def test_a_mosaic_without_faces_has_a_finite_loss():
    empty = targets(NOTHING, np.zeros((0, 5, 2)), NOTHING, 64)
    batch = [torch.from_numpy(np.asarray(v)[None]) for v in empty]
    outputs = FaceDetectorNet()(torch.rand(1, 3, 64, 64))
    parts = detection_loss(outputs, Batch(*batch, torch.ones(1)), size=64, score_floor=0.6)
    assert all(torch.isfinite(value) for value in parts.values())
    assert parts["box"] == parts["keypoints"] == 0


def test_the_network_is_small():
    assert sum(p.numel() for p in FaceDetectorNet().parameters()) < 100_000
