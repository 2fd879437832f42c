"""Scores and spreads to probabilities."""

import numpy as np
import pytest

from asmnet.evaluation.logistic import logistic_regression


def with_offset(values):
    return np.column_stack([np.ones(len(values)), values])


def test_it_finds_the_weights_that_made_the_labels():
    rng = np.random.default_rng(0)
    features = with_offset(rng.normal(0, 2, (20_000, 2)))
    weights = np.array([0.3, 1.5, -0.7])
    labels = rng.random(20_000) < 1 / (1 + np.exp(-features @ weights))
    assert logistic_regression(features, labels) == pytest.approx(weights, abs=0.08)


def test_balanced_labels_count_alike():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(-1, 1, 9000), rng.normal(1, 1, 1000)])
    labels = np.arange(10000) < 9000
    found = logistic_regression(with_offset(values), labels, balance=True)
    # Two equal bell curves: the odds at x are exp(-2 x), and even in the middle.
    assert found == pytest.approx((0, -2), abs=0.15)
    assert logistic_regression(with_offset(values), labels)[0] == pytest.approx(np.log(9), abs=0.15)


@pytest.mark.parametrize("distance", [1, 300])
def test_parted_labels_keep_the_slope_finite(distance):
    values = distance * np.array([0.0, 1, 4, 5])
    features, labels = with_offset(values), [True, True, False, False]
    offset, slope = logistic_regression(features, labels, ridge=(0, 8e-4))
    assert -100 < slope < 0
    assert -offset / slope == pytest.approx(2.5 * distance, abs=0.1 * distance)


def test_the_ridge_is_of_each_weight():
    features, labels = with_offset(np.array([0.0, 1, 2, 3])), [False, True, False, True]
    free = logistic_regression(features, labels, ridge=0)
    held = logistic_regression(features, labels, ridge=(0, 1e6))
    assert free[1] > 0.1
    assert held == pytest.approx((0, 0), abs=1e-5)
