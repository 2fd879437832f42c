"""The format of asmnet-face: its input, and the maps that it puts out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import Candidates, FloatArray
from asmnet.image import ImageArray, on_canvas

STRIDES = (8, 16, 32)


def logit(probability: float) -> float:
    """Log odds of a probability."""
    if 0 < probability < 1:
        return math.log(probability / (1 - probability))
    return -math.inf if probability <= 0 else math.inf


def prepare(image: ImageArray, scale: float) -> tuple[NDArray[np.uint8], FloatArray]:
    """RGB (H, W, 3) to (1, h, w, 3) uint8, and the (2,) factors from image to input lengths."""
    canvas, factors = on_canvas(image, scale, multiple=STRIDES[-1])
    return canvas[None], factors


def decode(maps: Sequence[NDArray[np.float32]], min_score: float) -> Candidates:
    """The network's maps of one image to candidate faces in input pixels, before suppression.

    Args:
        maps: for each of ``STRIDES`` (1, 15, h, w): score logit, box centre offset (2) in strides
            from the cell's centre, log half side (2) in double strides, five key points (10) in
            double strides from the cell's centre. The map of small faces may follow.
        min_score: cells below are dropped before anything else is computed.

    Returns:
        boxes (k, 4) xyxy, scores (k,), key points (k, 5, 2).
    """
    # The sigmoid of all cells would take longer than all that follows.
    least = logit(min_score)
    boxes, scores, keypoints = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros((0, 5, 2))]
    for stride, output in zip(STRIDES, maps[: len(STRIDES)], strict=True):
        rows, columns = np.nonzero(output[0, 0] >= least)
        if not len(rows):
            continue
        raw = output[0, :, rows, columns].astype(np.float64)
        cell = (np.stack([columns, rows], axis=1) + 0.5) * stride
        middle = cell + raw[:, 1:3] * stride
        half = np.exp(np.clip(raw[:, 3:5], -6, 6)) * 2 * stride
        boxes.append(np.concatenate([middle - half, middle + half], axis=1))
        scores.append(1 / (1 + np.exp(-raw[:, 0])))
        keypoints.append(cell[:, None] + raw[:, 5:].reshape(-1, 5, 2) * 2 * stride)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(keypoints)


def small_face_logits(maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The last map of one image, (h, w): whether a cell holds a face that is too small to tell."""
    return np.asarray(maps[len(STRIDES)][0, 0])
