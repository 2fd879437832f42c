"""FaceAnalyzer and detect: image in, faces with landmarks and pose out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from asmnet.detector import DEFAULT_MIN_SCORE, FaceDetector
from asmnet.errors import InvalidInputError
from asmnet.image import ChannelOrder, ImageSource, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.session import Weights
from asmnet.types import Face

LANDMARK_COUNTS = (68, 98)


class FaceAnalyzer:
    """The detector followed by the landmarker; keeps no state between images.

    One instance may be shared by many threads.
    """

    def __init__(
        self,
        *,
        landmarks: int = 68,
        detector: Weights = "asmnet-face",
        landmarker: Weights | None = None,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        """Loads both networks.

        Args:
            landmarks: 68 or 98 points; chooses the landmarker "asmnet-68" or "asmnet-98".
            detector: name or path of the detector's weights.
            landmarker: name or path of the landmarker's weights, instead of ``landmarks``.
            threads: threads of one run; None lets ONNX Runtime choose.
            providers: ONNX Runtime's execution providers, best first; None is the CPU.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: weights or a provider cannot be used.
        """
        if landmarks not in LANDMARK_COUNTS:
            raise InvalidInputError(f"landmarks: expected 68 or 98, got {landmarks!r}")
        self._detector = FaceDetector(detector, threads=threads, providers=providers)
        self._landmarker = FaceLandmarker(
            f"asmnet-{landmarks}" if landmarker is None else landmarker,
            threads=threads,
            providers=providers,
        )

    def detect(
        self,
        image: ImageSource,
        *,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
    ) -> list[Face]:
        """The faces of one image, best score first; an empty list where there are none.

        Args:
            image: see :func:`asmnet.image.load_image`.
            channel_order: of an array's colours, "rgb" or "bgr".
            min_score: 0–1, faces below are not returned.
            max_faces: keep only so many of the best; None keeps all.

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: an option out of its range.
        """
        if max_faces is not None and (not isinstance(max_faces, int) or max_faces < 1):
            raise InvalidInputError(
                f"max_faces: expected a positive int or None, got {max_faces!r}"
            )
        pixels = load_image(image, channel_order=channel_order)
        found = self._detector.detect(pixels, min_score=min_score)[:max_faces]
        faces = self._landmarker.predict(
            pixels,
            np.array([d.bbox for d in found]),
            keypoints=np.array([d.keypoints for d in found]),
        )
        return [replace(face, score=d.score) for face, d in zip(faces, found, strict=True)]

    def detect_batch(
        self,
        images: Iterable[ImageSource],
        *,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
    ) -> list[list[Face]]:
        """:meth:`detect` for each image, in their order."""
        return [
            self.detect(
                image, channel_order=channel_order, min_score=min_score, max_faces=max_faces
            )
            for image in images
        ]


def detect(
    image: ImageSource,
    *,
    landmarks: int = 68,
    channel_order: ChannelOrder = "rgb",
    min_score: float = DEFAULT_MIN_SCORE,
    max_faces: int | None = None,
) -> list[Face]:
    """Faces, landmarks and head pose of one image, best score first; ``[]`` without a face.

    The networks are loaded at the first call and kept. For other weights, threads or providers
    make a :class:`FaceAnalyzer`.

    Args:
        image: a path, the bytes of an image file, a PIL image, or an array (H, W), (H, W, 3) or
            (H, W, 4) of uint8, uint16 or float in 0–1.
        landmarks: 68 or 98 points.
        channel_order: of an array's colours, "rgb" or "bgr" (OpenCV's).
        min_score: 0–1, faces below are not returned.
        max_faces: keep only so many of the best; None keeps all.

    Raises:
        ImageError: the image cannot be used.
        InvalidInputError: an option out of its range.
        WeightsError: the weights cannot be used.
    """
    return _analyzer(landmarks).detect(
        image, channel_order=channel_order, min_score=min_score, max_faces=max_faces
    )


@lru_cache(maxsize=len(LANDMARK_COUNTS))
def _analyzer(landmarks: int) -> FaceAnalyzer:
    return FaceAnalyzer(landmarks=landmarks)
