"""FaceDetector: where the faces are.

Two formats of networks are known: asmnet's own, and YuNet's (OpenCV's face detector). A format says
how a photo becomes the network's input and how its outputs become faces; the rest is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asmnet._checks import probability, whole_number
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.geometry import FloatArray, non_maximum_suppression
from asmnet.image import ChannelOrder, ImageArray, ImageSource, letterbox, load_image
from asmnet.session import OnnxSession, RuntimeOptions, Weights
from asmnet.types import Detection

if TYPE_CHECKING:
    from typing_extensions import Unpack

STRIDES = (8, 16, 32)
NMS_IOU = 0.4
MAX_INPUT_SIZE = 16384  # pixels; more does not fit into memories
DEFAULT_MIN_SCORE = 0.44
"""Faces below this score are left out; chosen on validation photos (docs/accuracy.md)."""

YUNET_SIDE = 640
YUNET_OUTPUTS = tuple(
    f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES
)
# YuNet's box reaches from chin to hairline. This part of it is the box of the 68 points
# (brows to chin): means over the 300W training faces, standard deviation 3–5 % of the box.
YUNET_TO_TIGHT = np.array([-0.008, 0.245, 1.024, 1.005])

# boxes (k, 4) xyxy, scores (k,), key points (k, 5, 2), all in the network's input pixels
Candidates = tuple[FloatArray, FloatArray, FloatArray]


class FaceDetector:
    """Finds faces with the bundled network asmnet-face, or with YuNet.

    One instance may be shared by many threads.
    """

    def __init__(
        self,
        weights: Weights = "asmnet-face",
        *,
        input_size: int = 320,
        min_score: float = DEFAULT_MIN_SCORE,
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads the network.

        Args:
            weights: a name in the manifest, ``hf://org/repo[@revision]#name``, or the path of
                an ONNX file: one of ours, or YuNet's.
            input_size: the image's longer side is scaled to this before detection, a multiple
                of 32 pixels. Faces are found from about 1/14 of the longer side on; 640 finds
                them half as large, at four times the cost. YuNet takes 640 at most, at the same
                cost for each size.
            min_score: 0–1, faces below are not returned.
            **runtime: threads, providers, session_options, download: see `asmnet.RuntimeOptions`.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: the weights or a provider cannot be used.
        """
        input_size = whole_number(input_size, "input_size", least=64, most=MAX_INPUT_SIZE)
        if input_size % 32:
            raise InvalidInputError(f"input_size: expected a multiple of 32, got {input_size}")
        self._min_score = probability(min_score, "min_score")
        self._session = OnnxSession(weights, **runtime)
        self._format = _format_of(self._session, weights)
        if input_size > self._format.max_input_size:
            raise InvalidInputError(
                f"input_size: expected at most {self._format.max_input_size} for {weights}, "
                f"got {input_size}"
            )
        self._input_size = input_size

    def detect(
        self,
        image: ImageSource,
        *,
        channel_order: ChannelOrder = "rgb",
        min_score: float | None = None,
    ) -> list[Detection]:
        """The faces of one image, best score first; an empty list where there are none.

        Args:
            image: see `asmnet.image.load_image`.
            channel_order: of an array's colours, "rgb" or "bgr".
            min_score: overrides the detector's own.

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: an option out of its range.
        """
        threshold = self._min_score if min_score is None else probability(min_score, "min_score")
        pixels = load_image(image, channel_order=channel_order)
        batch, scale = self._format.prepare(pixels, self._input_size)
        boxes, scores, keypoints = self._format.decode(self._session.run(batch), threshold)
        boxes, keypoints = boxes / np.tile(scale, 2), keypoints / scale
        return [
            Detection(
                boxes[i].astype(np.float32), float(scores[i]), keypoints[i].astype(np.float32)
            )
            for i in non_maximum_suppression(boxes, scores, NMS_IOU)
        ]


def prepare(image: ImageArray, input_size: int) -> tuple[NDArray[Any], FloatArray]:
    """RGB (H, W, 3) to (1, h, w, 3) uint8, and the (2,) factors from image to input lengths."""
    canvas, scale = letterbox(image, input_size, multiple=STRIDES[-1])
    return canvas[None], scale


def decode(maps: Sequence[NDArray[np.float32]], min_score: float) -> Candidates:
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


def prepare_yunet(image: ImageArray, input_size: int) -> tuple[NDArray[Any], FloatArray]:
    """RGB (H, W, 3) to (1, 3, 640, 640) float32 BGR 0–255, and the (2,) factors to its lengths.

    The photo fills ``input_size`` of the network's fixed square, from the top left corner.
    """
    canvas, scale = letterbox(image, input_size, multiple=YUNET_SIDE)
    return canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32), scale


def decode_yunet(outputs: Sequence[NDArray[np.float32]], min_score: float) -> Candidates:
    """YuNet's outputs for one image to candidate faces in input pixels, before suppression.

    Args:
        outputs: in the order of ``YUNET_OUTPUTS``. For each stride, over its cells row by row:
            class and object probability (1, k, 1), box (1, k, 4) as centre offset from the cell's
            corner and log size in strides, five key points (1, k, 10) likewise.
        min_score: cells whose geometric mean of the two probabilities is below are dropped.

    Returns:
        boxes (k, 4) xyxy from brows to chin as ours, scores (k,), key points (k, 5, 2).
    """
    named = dict(zip(YUNET_OUTPUTS, outputs, strict=True))
    boxes, scores, keypoints = [], [], []
    for stride in STRIDES:
        cls, obj = (np.clip(named[f"{kind}_{stride}"][0, :, 0], 0, 1) for kind in ("cls", "obj"))
        score = np.sqrt(cls.astype(np.float64) * obj)
        (index,) = np.nonzero(score >= min_score)
        corner = np.stack([index % (YUNET_SIDE // stride), index // (YUNET_SIDE // stride)], axis=1)
        box = named[f"bbox_{stride}"][0, index].astype(np.float64)
        centre = (corner + box[:, :2]) * stride
        size = np.exp(np.clip(box[:, 2:], -6, 6)) * stride
        boxes.append(np.tile(centre - size / 2, 2) + YUNET_TO_TIGHT * np.tile(size, 2))
        scores.append(score[index])
        offsets = named[f"kps_{stride}"][0, index].astype(np.float64).reshape(-1, 5, 2)
        keypoints.append((corner[:, None] + offsets) * stride)
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(keypoints)


@dataclass(frozen=True)
class _Format:
    """How a kind of network is used; a new kind is one more of these and a way to tell it."""

    prepare: Callable[[ImageArray, int], tuple[NDArray[Any], FloatArray]]
    decode: Callable[[Sequence[NDArray[np.float32]], float], Candidates]
    max_input_size: float


_ASMNET = _Format(prepare, decode, max_input_size=np.inf)
_YUNET = _Format(prepare_yunet, decode_yunet, max_input_size=YUNET_SIDE)


def _format_of(session: OnnxSession, weights: Weights) -> _Format:
    """The format of a loaded file: by its outputs' names, so that a path needs no name."""
    if session.output_names != YUNET_OUTPUTS:
        session.require_task("detection")
        return _ASMNET
    shape = [1, 3, YUNET_SIDE, YUNET_SIDE]
    if list(session.input_shape) != shape:
        raise WeightsError(f"{weights}: expected YuNet's input {shape}, got {session.input_shape}")
    return _YUNET
