"""Logistic regression, of what turns scores and spreads into probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from asmnet.geometry import FloatArray


def logistic_regression(
    features: FloatArray, labels: ArrayLike, *, ridge: ArrayLike = 1.0, balance: bool = False
) -> FloatArray:
    """Weights (m,) of the log odds of a label of 1, by Newton's method.

    Args:
        features: (n, m) numbers; a column of ones for an offset.
        labels: (n,) 1 or 0.
        ridge: half of it times a weight's square is added to the summed cross entropy; one for all
            weights, or (m,). It keeps weights finite where a threshold parts the labels.
        balance: both labels count alike, however often they occur.
    """
    truth = np.asarray(labels, dtype=np.float64)
    counts = np.ones(len(truth))
    if balance:
        counts = np.where(truth > 0, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    pull = np.broadcast_to(np.asarray(ridge, dtype=np.float64), features.shape[1:])

    def cost(weights: FloatArray) -> float:
        logits = features @ weights
        entropy = np.logaddexp(0, logits) - truth * logits
        return float((counts * entropy).sum() + 0.5 * (pull * weights**2).sum())

    weights = np.zeros(features.shape[1])
    for _ in range(100):
        probability = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        gradient = features.T @ (counts * (probability - truth)) + pull * weights
        spread = counts * probability * (1 - probability)
        curvature = (features * spread[:, None]).T @ features + np.diag(pull)
        step = np.linalg.solve(curvature, gradient)
        # Far from the solution a whole step may overshoot.
        before, size = cost(weights), 1.0
        while cost(weights - size * step) > before and size > 1e-6:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return np.asarray(weights)
