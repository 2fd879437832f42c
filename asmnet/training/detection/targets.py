"""What the detector is to say of a mosaic: candidate cells of each face, and cells to leave out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asmnet.geometry import FloatArray
from asmnet.training.nets.face_detector import STRIDES

# Face sizes (square root of the box area, input pixels) that the cells of a stride may take.
SIZE_RANGES = {8: (0.0, 80.0), 16: (24.0, 200.0), 32: (64.0, np.inf)}
# Cells so close to the box's centre may take it: in units of its sides, but at least in strides.
CENTRE_PART, CENTRE_STRIDES = 0.25, 1.0
# Smaller faces are neither face nor background.
MIN_FACE = 5.0
# Smaller ones are worth a zoomed pass, from the least that can be told from noise.
CLOSER_RANGE = (2.5, 22.0)
MAX_FACES, MAX_PAIRS = 128, 1024


class Targets(NamedTuple):
    """Arrays of fixed shapes, so that mosaics stack; A is the number of cells, stride 8 first.

    Attributes:
        background: (A,) 1 where a cell that no face takes is background, 0 where it is left out.
        pairs: (MAX_PAIRS, 2) cell and face that may go together, -1 where there are no more.
        boxes: (MAX_FACES, 4) xyxy.
        keypoints: (MAX_FACES, 10), NaN where not known.
        closer: (A8,) for each cell of stride 8: 1 a face too small to be sure of, 0 none,
            -1 left out.
    """

    background: NDArray[np.uint8]
    pairs: NDArray[np.int32]
    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    closer: NDArray[np.int8]


def cells(size: int) -> tuple[FloatArray, FloatArray]:
    """Centres (A, 2) and strides (A,) of all output cells of a square input, stride 8 first."""
    centres, strides = [], []
    for stride in STRIDES:
        axis = (np.arange(size // stride) + 0.5) * stride
        x, y = np.meshgrid(axis, axis)
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full(x.size, float(stride)))
    return np.concatenate(centres), np.concatenate(strides)


def targets(boxes: FloatArray, keypoints: FloatArray, ignored: FloatArray, size: int) -> Targets:
    """The targets of a square mosaic.

    Args:
        boxes: (n, 4) xyxy of the faces.
        keypoints: (n, 5, 2), NaN where not known.
        ignored: (m, 4) xyxy.
        size: the mosaic's side in pixels.
    """
    count = sum((size // stride) ** 2 for stride in STRIDES)
    background = np.ones(count, np.uint8)
    closer = np.zeros((size // 8, size // 8), np.int8)
    out_boxes = np.zeros((MAX_FACES, 4), np.float32)
    out_keypoints = np.full((MAX_FACES, 10), np.nan, np.float32)
    pairs = np.full((MAX_PAIRS, 2), -1, np.int32)
    extents = boxes[:, 2:] - boxes[:, :2]
    usable = extents.max(axis=1, initial=0) >= MIN_FACE
    for box in np.concatenate([ignored, boxes[~usable]]):
        _fill_inside(background, closer, box, size)
    found: list[NDArray[np.int32]] = []
    faces = np.nonzero(usable)[0][:MAX_FACES]
    for row, i in enumerate(faces):
        out_boxes[row], out_keypoints[row] = boxes[i], keypoints[i].ravel()
        first = 0
        for stride in STRIDES:
            side = size // stride
            low, high = SIZE_RANGES[stride]
            if low <= np.sqrt(extents[i].prod()) <= high:
                reach = np.maximum(CENTRE_PART * extents[i], CENTRE_STRIDES * stride)
                index = _cells_near(boxes[i], reach, stride, side)
                found.append(np.stack([first + index, np.full(len(index), row)], axis=1))
            first += side * side
    if found:
        together = np.concatenate(found)[:MAX_PAIRS]
        pairs[: len(together)] = together
    for box, extent in zip(boxes, extents, strict=True):
        if CLOSER_RANGE[0] <= extent.max() < CLOSER_RANGE[1]:
            index = _cells_near(box, np.full(2, 6.0), 8, size // 8)
            closer.ravel()[index] = 1
    return Targets(background, pairs, out_boxes, out_keypoints, closer.ravel())


def _cells_near(box: FloatArray, reach: FloatArray, stride: int, side: int) -> NDArray[np.int32]:
    """Indices of a stride's cells whose centres are within ``reach`` (2,) of a box's centre."""
    middle = (box[:2] + box[2:]) / 2
    low = np.clip(np.ceil((middle - reach) / stride - 0.5), 0, side).astype(int)
    high = np.clip(np.floor((middle + reach) / stride - 0.5) + 1, 0, side).astype(int)
    rows, columns = np.arange(low[1], high[1]), np.arange(low[0], high[0])
    return (rows[:, None] * side + columns).ravel().astype(np.int32)


def _fill_inside(
    background: NDArray[np.uint8], closer: NDArray[np.int8], box: FloatArray, size: int
) -> None:
    """Leaves out the cells whose centres a box holds, one at least for each stride."""
    first = 0
    reach = (box[2:] - box[:2]) / 2
    for stride in STRIDES:
        side = size // stride
        index = _cells_near(box, np.maximum(reach, 0.5 * stride), stride, side)
        background[first + index] = 0
        if stride == 8:
            closer.ravel()[index] = -1
        first += side * side
