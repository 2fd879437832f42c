"""Makes asmnet/face3d.npz, the 3-D face that :mod:`asmnet.pose3d` fits, from ICT-FaceKit's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asmnet.datasets.records import LabelError
from asmnet.geometry import FloatArray
from asmnet.schemes import IBUG_68

IDENTITY_MODES, EXPRESSION_MODES = 20, 15

# ICT-FaceKit's identity shapes are standard deviations; its expression shapes are whole movements,
# of which a face uses from none to all. As a standard deviation, 0.3 of each.
EXPRESSION_SPREAD = 0.3


def write_face3d(data: Path, target: Path) -> None:
    """Writes neutral (68, 3), identity (20, 68, 3) and expression (15, 68, 3), float32 cm.

    Args:
        data: root with ``ict_face68/ict_face68.npz``: neutral (68, 3), identity (n, 68, 3) and
            expression (m, 68, 3) offsets in cm; x = the subject's left, y up, z to the viewer.
        target: the file to write.

    Raises:
        LabelError: the file is missing or has other arrays.
    """
    source = data / "ict_face68" / "ict_face68.npz"
    if not source.exists():
        raise LabelError(f"{source}: no such file")
    with np.load(source) as values:
        shapes = {name: values[name].shape[-2:] for name in ("neutral", "identity", "expression")
                  if name in values}  # fmt: skip
        if len(shapes) != 3 or set(shapes.values()) != {(68, 3)}:
            raise LabelError(f"{source}: expected neutral, identity and expression, got {shapes}")
        neutral, identity, expression = (
            values[name].astype(np.float64) for name in ("neutral", "identity", "expression")
        )
    expressions = _modes(EXPRESSION_SPREAD * expression, EXPRESSION_MODES)
    with target.open("wb") as file:  # for a path NumPy appends its own suffix
        np.savez_compressed(
            file,
            neutral=_symmetric(neutral - neutral.mean(axis=0)).astype(np.float32),
            identity=_modes(identity, IDENTITY_MODES).astype(np.float32),
            expression=expressions.astype(np.float32),
        )


def _mirror(shapes: FloatArray) -> FloatArray:
    """Shapes or offsets (..., 68, 3) of the mirrored face."""
    return shapes[..., IBUG_68.flip, :] * [-1.0, 1.0, 1.0]


def _symmetric(shape: FloatArray) -> FloatArray:
    return np.asarray((shape + _mirror(shape)) / 2)


def _modes(offsets: FloatArray, count: int) -> FloatArray:
    """(count, 68, 3) principal components of (n, 68, 3) offsets, each one standard deviation long.

    The offsets are independent directions of variance 1, so their second moment is the covariance
    of the faces. They are taken together with their mirror images, each at half the variance:
    otherwise the photo of a face and its mirror image would not give mirrored poses.
    """
    both = np.concatenate([offsets, _mirror(offsets)]).reshape(2 * len(offsets), -1) / np.sqrt(2)
    _, lengths, directions = np.linalg.svd(both, full_matrices=False)
    return np.asarray((lengths[:count, None] * directions[:count]).reshape(-1, 68, 3))
