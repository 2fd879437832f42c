"""FaceDetector: where the faces are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asmnet.errors import InvalidInputError
from asmnet.geometry import FloatArray, non_maximum_suppression
from asmnet.image import ChannelOrder, ImageSource, letterbox, load_image
from asmnet.session import OnnxSession, Weights
from asmnet.types import Detection

STRIDES = (8, 16, 32)
NMS_IOU = 0.4
DEFAULT_MIN_SCORE = 0.5


class FaceDetector:
    """Finds faces with the bundled network asmnet-face.

    One instance may be shared by many threads.
    """

    def __init__(
        self,
        weights: Weights = "asmnet-face",
        *,
        input_size: int = 320,
        min_score: float = DEFAULT_MIN_SCORE,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        """Loads the network.

        Args:
            weights: a name in the manifest, or the path of an ONNX file.
            input_size: the image's longer side is scaled to this before detection, a multiple
                of 32 pixels. Faces are found from about 1/14 of the longer side on; 640 finds
                them half as large, at four times the cost.
            min_score: 0–1, faces below are not returned.
            threads: threads of one run; None lets ONNX Runtime choose.
            providers: ONNX Runtime's execution providers, best first; None is the CPU.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: the weights or a provider cannot be used.
        """
        if not isinstance(input_size, int) or input_size < 64 or input_size % 32:
            raise InvalidInputError(
                f"input_size: expected a multiple of 32 from 64 on, got {input_size!r}"
            )
        self._session = OnnxSession(weights, task="detection", threads=threads, providers=providers)
        self._input_size = input_size
        self._min_score = check_score(min_score)

    def detect(
        self,
        image: ImageSource,
        *,
        channel_order: ChannelOrder = "rgb",
        min_score: float | None = None,
    ) -> list[Detection]:
        """The faces of one image, best score first; an empty list where there are none.

        Args:
            image: see :func:`asmnet.image.load_image`.
            channel_order: of an array's colours, "rgb" or "bgr".
            min_score: overrides the detector's own.

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: an option out of its range.
        """
        threshold = self._min_score if min_score is None else check_score(min_score)
        pixels = load_image(image, channel_order=channel_order)
        canvas, scale = letterbox(pixels, self._input_size, multiple=STRIDES[-1])
        boxes, scores, keypoints = decode(self._session.run(canvas[None]), threshold)
        boxes, keypoints = boxes / np.tile(scale, 2), keypoints / scale
        return [
            Detection(
                boxes[i].astype(np.float32), float(scores[i]), keypoints[i].astype(np.float32)
            )
            for i in non_maximum_suppression(boxes, scores, NMS_IOU)
        ]


def decode(
    maps: Sequence[NDArray[np.float32]], min_score: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The network's maps of one image to candidate faces in input pixels, before suppression.

    Args:
        maps: for each of ``STRIDES`` (1, 15, h, w): score logit, box centre offset (2) in strides
            from the cell's centre, log half side (2) in double strides, five key points (10) in
            double strides from the cell's centre.
        min_score: cells below are dropped before anything else is computed.

    Returns:
        boxes (k, 4) xyxy, scores (k,), key points (k, 5, 2).
    """
    boxes, scores, keypoints = [], [], []
    for stride, output in zip(STRIDES, maps, strict=True):
        score = 1 / (1 + np.exp(-output[0, 0].astype(np.float64)))
        rows, columns = np.nonzero(score >= min_score)
        raw = output[0, :, rows, columns].astype(np.float64)
        cell = (np.stack([columns, rows], axis=1) + 0.5) * stride
        middle = cell + raw[:, 1:3] * stride
        half = np.exp(np.clip(raw[:, 3:5], -6, 6)) * 2 * stride
        boxes.append(np.concatenate([middle - half, middle + half], axis=1))
        scores.append(score[rows, columns])
        keypoints.append(cell[:, None] + raw[:, 5:].reshape(-1, 5, 2) * 2 * stride)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(keypoints)


def check_score(min_score: float) -> float:
    """A threshold from 0 to 1, or InvalidInputError."""
    if not isinstance(min_score, int | float) or not 0 <= min_score <= 1:
        raise InvalidInputError(f"min_score: expected a number from 0 to 1, got {min_score!r}")
    return float(min_score)
