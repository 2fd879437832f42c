"""The kinds of detectors that can be used, and how to tell which one a file holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmnet import facemaps, yunet
from asmnet.errors import WeightsError
from asmnet.geometry import Candidates, FloatArray
from asmnet.image import ImageArray
from asmnet.session import OnnxSession, Weights

MAX_INPUT_SIZE = 16384  # pixels; more does not fit into memories

FIRST_SIDE = 320
"""The photo's longer side in the first pass, in pixels."""


@dataclass(frozen=True)
class Format:
    """How a kind of network is used; a new kind is one more of these and a way to tell it.

    Attributes:
        prepare: image and scale to the network's input and the (2,) factors to it.
        decode: outputs and threshold to candidates in input pixels.
        small_faces: outputs to the logits (h, w) that say where to look closer; None where a
            network does not tell.
        first_side: longer side of the first pass.
        max_input_size: longer side of the finest pass.
    """

    prepare: Callable[[ImageArray, float], tuple[NDArray[Any], FloatArray]]
    decode: Callable[[Sequence[NDArray[np.float32]], float], Candidates]
    small_faces: Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]] | None
    first_side: int
    max_input_size: int


ASMNET = Format(
    facemaps.prepare, facemaps.decode, facemaps.small_face_logits, FIRST_SIDE, MAX_INPUT_SIZE
)
YUNET = Format(yunet.prepare, yunet.decode, None, yunet.SIDE, yunet.SIDE)


def format_of(session: OnnxSession, weights: Weights) -> Format:
    """The format of a loaded file: by its outputs' names, so that a path needs no name."""
    if session.output_names != yunet.OUTPUTS:
        session.require_task("detection")
        count, expected = len(session.output_names), len(facemaps.STRIDES) + 1
        if count != expected:
            raise WeightsError(
                f"{weights}: expected {expected} outputs, got {count}: "
                "detectors of asmnet before 0.7 are of another format"
            )
        return ASMNET
    shape = [1, 3, yunet.SIDE, yunet.SIDE]
    if list(session.input_shape) != shape:
        raise WeightsError(f"{weights}: expected YuNet's input {shape}, got {session.input_shape}")
    return YUNET
