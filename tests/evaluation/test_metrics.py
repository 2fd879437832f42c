"""Formulas against examples written out by hand."""

import numpy as np
import pytest

from asmnet.evaluation.metrics import area_under_curve, failure_rate, nme
from asmnet.schemes import IBUG_68
from asmnet.training.landmarks.asm import ActiveShapeModel


def test_nme_failures_and_area():
    truth = np.zeros((2, 68, 2))
    truth[:, 36] = [10, 0]
    truth[:, 45] = [60, 0]  # 50 pixels between the outer eye corners
    predicted = truth.copy()
    predicted[0] += [3, 4]  # each point 5 pixels off
    errors = nme(predicted, truth, IBUG_68)
    assert errors == pytest.approx([10, 0])
    assert failure_rate(np.array([10.0, 10.01, 3, np.inf])) == 50
    assert area_under_curve(np.array([0.0, 5, 10, np.inf])) == pytest.approx(37.5)


def test_nme_by_other_lengths_and_of_some_points():
    truth = np.zeros((1, 68, 2))
    truth[:, IBUG_68.groups["right_eye"]] = [20, 0]
    truth[:, IBUG_68.groups["left_eye"]] = [45, 0]  # 25 pixels between the eyes' centres
    truth[:, 36], truth[:, 45] = [8, 0], [57, 0]
    truth[:, 39], truth[:, 42] = [32, 0], [33, 0]
    truth[:, 8] = [0, 100]
    predicted = truth + np.array([3, 4])
    predicted[:, :17] = truth[:, :17]
    assert nme(predicted, truth, IBUG_68) == pytest.approx(100 * 5 / 49 * 51 / 68)
    pupil = nme(predicted, truth, IBUG_68, norm="pupil")
    assert pupil == pytest.approx(100 * 5 / 25 * 51 / 68)
    box = nme(predicted, truth, IBUG_68, norm="box")
    assert box == pytest.approx(100 * 5 / np.sqrt(57 * 100) * 51 / 68)
    assert nme(predicted, truth, IBUG_68, points=IBUG_68.groups["jaw"]) == 0
    lip = nme(predicted, truth, IBUG_68, points=IBUG_68.groups["inner_lip"])
    assert lip == pytest.approx(100 * 5 / 49)


def test_shape_model_of_a_line():
    """Shapes of one point that moves along (3, 4) / 5: one mode, and coefficients are clipped."""
    steps = np.array([-2.0, -1, 0, 1, 2])
    shapes = 1 + steps[:, None, None] * np.array([[[0.6, 0.8]]])
    model = ActiveShapeModel.fit(shapes, kept_variance=0.9)
    assert model.mean == pytest.approx([1, 1])
    assert np.abs(model.modes[:, 0]) == pytest.approx([0.6, 0.8])
    assert model.variances == pytest.approx([2.5])
    assert model.project(shapes) == pytest.approx(shapes)
    limit = 3 * np.sqrt(2.5)
    far = 1 + 100 * np.array([[[0.6, 0.8]]])
    assert model.project(far) == pytest.approx(1 + limit * np.array([[[0.6, 0.8]]]))
    aside = np.array([[[1 - 0.8, 1 + 0.6]]])  # off the line by one: only the mean is left
    assert model.project(aside) == pytest.approx(np.ones((1, 1, 2)))


def test_fewer_modes_keep_less_variance():
    shapes = np.random.default_rng(0).normal(size=(50, 4, 2)) * np.array([5.0, 1.0])
    counts = [ActiveShapeModel.fit(shapes, part).modes.shape[1] for part in (0.5, 0.9, 1.0)]
    assert counts == sorted(counts)
    assert counts[-1] == 8
