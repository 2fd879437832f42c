"""FaceVerifier: a close look at the places that a detector took for faces.

A detector must look everywhere, so each place gets little of its work. A second network sees the
few places that are left, each alone and enlarged, tells faces from what only looks like one from
afar, and draws the box anew (a cascade: Viola & Jones 2001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from asmnet.errors import WeightsError
from asmnet.geometry import Candidates, FloatArray, crop_matrices
from asmnet.image import ImageArray, crop_images
from asmnet.session import OnnxSession, RuntimeOptions, Weights
from asmnet.weights import find_family

if TYPE_CHECKING:
    from typing_extensions import Unpack

# The log odds that a place is a face: weights of the logits of the detector's and the verifier's
# score and of the face's smallness, and a constant. Fitted by `asmnet-train verification`; a file
# that was exported with weights of its own has them in its metadata.
WEIGHTS = (1.35, 0.67, 0.25, -2.37)
SCORE_WEIGHTS = "score_weights"  # in the metadata: numbers with commas between
# Smallness is 0 from this side of a face on, in pixels, and 1 at half of it; at most the second.
LARGE_SIDE, MAX_SMALLNESS = 28.0, 2.0
MAX_LOGIT = 6.0
# So many crops are looked at together: more would only take memory.
BATCH = 64


class FaceVerifier:
    """Tells which boxes show a face, and draws them anew.

    One instance may be shared by many threads.

    Attributes:
        score_weights: of the file, or `WEIGHTS`; see `face_probability`.
    """

    def __init__(self, weights: Weights | None = None, **runtime: Unpack[RuntimeOptions]) -> None:
        """Loads the network.

        Args:
            weights: a name in the manifest, ``hf://org/repo[@revision]#name``, or the path of
                an ONNX file that ``asmnet-train export`` wrote; None is the default family's.
            **runtime: threads, providers, session_options, download: see `asmnet.RuntimeOptions`.

        Raises:
            WeightsError: the weights or a provider cannot be used.
        """
        weights = find_family().verifier if weights is None else weights
        self._session = OnnxSession(weights, **runtime)
        self._session.require_task("verification")
        self._size, self._margin = self._session.crop_format()
        own = self._session.metadata.get(SCORE_WEIGHTS)
        self.score_weights = WEIGHTS if own is None else _numbers(own, weights)

    def look(self, pixels: ImageArray, boxes: FloatArray) -> Candidates:
        """New boxes (n, 4) xyxy, scores (n,) from 0 to 1 and key points (n, 5, 2), in pixels.

        Args:
            pixels: (H, W, 3) RGB.
            boxes: (n, 4) xyxy in its pixels.
        """
        crops = crop_matrices(boxes, self._size, margin=self._margin)
        looks = [
            self._session.run(crop_images(pixels, crops[start : start + BATCH], self._size))
            for start in range(0, len(boxes), BATCH)
        ]
        if not looks:
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
        scores, corners, keypoints = (
            np.concatenate(outputs).astype(np.float64) for outputs in zip(*looks, strict=True)
        )
        # Upright crops: one scale and one offset each.
        scale, offset = crops[:, 0, 0, None, None], crops[:, None, :, 2]
        return (
            ((corners.reshape(-1, 2, 2) - offset) / scale).reshape(-1, 4),
            scores,
            (keypoints - offset) / scale,
        )


def face_probability(
    scores: FloatArray,
    verified: FloatArray,
    sides: FloatArray,
    weights: tuple[float, ...] = WEIGHTS,
) -> FloatArray:
    """The probability (n,) that each place is a face, 0 to 1.

    Args:
        scores: (n,) of the detector.
        verified: (n,) of the verifier.
        sides: (n,) longer sides of the boxes in pixels.
        weights: of the `features`.
    """
    return np.asarray(1 / (1 + np.exp(-features(scores, verified, sides) @ weights)))


def features(scores: FloatArray, verified: FloatArray, sides: FloatArray) -> FloatArray:
    """What `WEIGHTS` weigh, (n, 4)."""
    smallness = np.log2(LARGE_SIDE / np.maximum(sides, 1))
    return np.stack(
        [
            logit(scores),
            logit(verified),
            np.clip(smallness, 0, MAX_SMALLNESS),
            np.ones(len(scores)),
        ],
        axis=1,
    )


def _numbers(text: str, weights: Weights) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != len(WEIGHTS) or not np.isfinite(numbers).all():
        raise WeightsError(
            f"{weights}: expected {len(WEIGHTS)} numbers as metadata {SCORE_WEIGHTS}, got {text!r}"
        )
    return numbers


def logit(probabilities: FloatArray) -> FloatArray:
    """Log odds, within ±`MAX_LOGIT`."""
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.asarray(np.clip(np.log(clipped / (1 - clipped)), -MAX_LOGIT, MAX_LOGIT))
