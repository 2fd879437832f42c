"""FaceAnalyzer and detect: image in, faces with landmarks and pose out."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from asmnet.cpus import cpu_count
from asmnet.detector import DEFAULT_MIN_SCORE, FaceDetector, check_score
from asmnet.errors import ImageError, InvalidInputError
from asmnet.guard import guarded, without_frames
from asmnet.image import ChannelOrder, ImageSource, check_channel_order, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.pool import map_in_order
from asmnet.session import RuntimeOptions, Weights
from asmnet.types import Face

if TYPE_CHECKING:
    from typing_extensions import Unpack

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
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads both networks.

        Args:
            landmarks: 68 or 98 points; chooses the landmarker "asmnet-68" or "asmnet-98".
            detector: name, ``hf://`` reference or path of the detector's weights.
            landmarker: the same of the landmarker's weights, instead of ``landmarks``.
            **runtime: threads, providers, session_options, download: see `asmnet.RuntimeOptions`.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: weights or a provider cannot be used.
        """
        check_landmarks(landmarks)
        self._detector = FaceDetector(detector, **runtime)
        self._landmarker = FaceLandmarker(
            f"asmnet-{landmarks}" if landmarker is None else landmarker, **runtime
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
            image: see `asmnet.image.load_image`.
            channel_order: of an array's colours, "rgb" or "bgr".
            min_score: 0–1, faces below are not returned.
            max_faces: keep only so many of the best; None keeps all.

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: an option out of its range.
        """
        check_max_faces(max_faces)
        pixels = load_image(image, channel_order=channel_order)
        found = self._detector.detect(pixels, min_score=min_score)[:max_faces]
        faces = self._landmarker.predict(
            pixels,
            np.array([d.bbox for d in found]),
            keypoints=np.array([d.keypoints for d in found]),
        )
        return [replace(face, score=d.score) for face, d in zip(faces, found, strict=True)]

    @overload
    def detect_stream(
        self,
        images: Iterable[ImageSource],
        *,
        workers: int | None = None,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Generator[list[Face], None, None]: ...

    @overload
    def detect_stream(
        self,
        images: Iterable[ImageSource],
        *,
        workers: int | None = None,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
        on_error: Literal["return"],
    ) -> Generator[list[Face] | ImageError, None, None]: ...

    def detect_stream(
        self,
        images: Iterable[ImageSource],
        *,
        workers: int | None = None,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Generator[list[Face] | ImageError, None, None]:
        """`detect` for each image, several at once, results in their order.

        While one thread decodes, others run the networks, so every core is busy. For many images
        make the analyzer with ``threads=1``: a core an image wastes less than all cores on one.

        >>> analyzer = FaceAnalyzer(threads=1)  # doctest: +SKIP
        >>> for faces in analyzer.detect_stream(paths):  # doctest: +SKIP
        ...     print(len(faces))

        ``images`` may be endless: it is read as results are taken, at most ``2 * workers`` images
        ahead, and only ``workers`` files are decoded at a time. Closing the iterator stops the
        work.

        Args:
            images: see `asmnet.image.load_image`.
            workers: threads that each take an image; None is one for each CPU that the process may
                use.
            channel_order: of the arrays' colours, "rgb" or "bgr".
            min_score: 0–1, faces below are not returned.
            max_faces: keep only so many of the best; None keeps all.
            on_error: "raise" stops at the first image that cannot be used; "return" puts an
                `asmnet.ImageError` in the place of its faces and goes on, whatever the image
                raised, MemoryError included.

        Raises:
            ImageError: an image cannot be used, at its turn.
            InvalidInputError: an option out of its range.
        """
        if workers is None:
            workers = cpu_count()
        if not isinstance(workers, int) or workers < 1:
            raise InvalidInputError(f"workers: expected a positive int or None, got {workers!r}")
        if on_error not in ("raise", "return"):
            raise InvalidInputError(f'on_error: expected "raise" or "return", got {on_error!r}')
        # A wrong option is no image's fault.
        check_channel_order(channel_order)
        check_score(min_score)
        check_max_faces(max_faces)

        def one(image: ImageSource) -> list[Face]:
            return self.detect(
                image, channel_order=channel_order, min_score=min_score, max_faces=max_faces
            )

        def one_or_error(image: ImageSource) -> list[Face] | ImageError:
            try:
                with guarded(_name(image)):
                    return one(image)
            except ImageError as error:
                return without_frames(error)

        pool = ThreadPoolExecutor(workers, thread_name_prefix="asmnet")
        function = one if on_error == "raise" else one_or_error
        return map_in_order(pool, function, images, window=2 * workers)

    def detect_batch(
        self,
        images: Iterable[ImageSource],
        *,
        workers: int | None = None,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
    ) -> list[list[Face]]:
        """`detect_stream` as a list."""
        return list(
            self.detect_stream(
                images,
                workers=workers,
                channel_order=channel_order,
                min_score=min_score,
                max_faces=max_faces,
            )
        )


def _name(image: ImageSource) -> str:
    """What errors call an image."""
    if isinstance(image, str | os.PathLike):
        return os.fsdecode(image)
    if isinstance(image, np.ndarray):
        return f"image of shape {image.shape}"
    return f"image given as {type(image).__name__}"


def check_landmarks(landmarks: int) -> None:
    """Raises InvalidInputError unless there is a default landmarker of so many points."""
    if landmarks not in LANDMARK_COUNTS:
        raise InvalidInputError(f"landmarks: expected 68 or 98, got {landmarks!r}")


def check_max_faces(max_faces: int | None) -> None:
    """Raises InvalidInputError unless it is a positive int or None."""
    if max_faces is not None and (not isinstance(max_faces, int) or max_faces < 1):
        raise InvalidInputError(f"max_faces: expected a positive int or None, got {max_faces!r}")


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
    make a `FaceAnalyzer`.

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
