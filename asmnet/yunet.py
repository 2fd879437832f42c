"""YuNet's format: OpenCV's face detector, usable in place of ours.

Wu et al.: YuNet: A Tiny Millisecond-level Face Detector, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import Candidates, FloatArray
from asmnet.image import ImageArray, on_canvas

STRIDES = (8, 16, 32)
SIDE = 640
OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)
# YuNet's box reaches from chin to hairline. This part of it is the box of the 68 points
# (brows to chin): means over the 300W training faces, standard deviation 3–5 % of the box.
TO_TIGHT = np.array([-0.008, 0.245, 1.024, 1.005])


def prepare(image: ImageArray, scale: float) -> tuple[NDArray[np.float32], FloatArray]:
    """RGB (H, W, 3) to (1, 3, 640, 640) float32 BGR 0–255, and the (2,) factors to its lengths.

    The photo lies in the top left corner of the network's fixed square.
    """
    canvas, factors = on_canvas(image, scale, multiple=SIDE)
    return canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32), factors


def decode(outputs: Sequence[NDArray[np.float32]], min_score: float) -> Candidates:
    """YuNet's outputs for one image to candidate faces in input pixels, before suppression.

    Args:
        outputs: in the order of ``OUTPUTS``. For each stride, over its cells row by row:
            class and object probability (1, k, 1), box (1, k, 4) as centre offset from the cell's
            corner and log size in strides, five key points (1, k, 10) likewise.
        min_score: cells whose geometric mean of the two probabilities is below are dropped.

    Returns:
        boxes (k, 4) xyxy from brows to chin as ours, scores (k,), key points (k, 5, 2).
    """
    named = dict(zip(OUTPUTS, outputs, strict=True))
    boxes, scores, keypoints = [], [], []
    for stride in STRIDES:
        cls, obj = (np.clip(named[f"{kind}_{stride}"][0, :, 0], 0, 1) for kind in ("cls", "obj"))
        score = np.sqrt(cls.astype(np.float64) * obj)
        (index,) = np.nonzero(score >= min_score)
        corner = np.stack([index % (SIDE // stride), index // (SIDE // stride)], axis=1)
        box = named[f"bbox_{stride}"][0, index].astype(np.float64)
        centre = (corner + box[:, :2]) * stride
        size = np.exp(np.clip(box[:, 2:], -6, 6)) * stride
        boxes.append(np.tile(centre - size / 2, 2) + TO_TIGHT * np.tile(size, 2))
        scores.append(score[index])
        offsets = named[f"kps_{stride}"][0, index].astype(np.float64).reshape(-1, 5, 2)
        keypoints.append((corner[:, None] + offsets) * stride)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(keypoints)


def full_sides(boxes: FloatArray) -> FloatArray:
    """(n,) longer sides of the boxes that YuNet drew, from the tight boxes (n, 4) made of them."""
    extents = (boxes[:, 2:] - boxes[:, :2]) / (TO_TIGHT[2:] - TO_TIGHT[:2])
    return np.asarray(extents.max(axis=1, initial=0))
