"""FaceAnalyzer and detect: image in, faces with landmarks and pose out."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar, overload

import numpy as np
from PIL import Image

from asmnet._checks import iterable, one_of, path_name, positive_int, probability
from asmnet.cpus import cpu_count
from asmnet.detector import DEFAULT_MIN_SCORE, FaceDetector
from asmnet.errors import ImageError, InvalidInputError
from asmnet.geometry import non_maximum_suppression, points_box
from asmnet.guard import guarded, without_frames
from asmnet.image import (
    ChannelOrder,
    ImageArray,
    ImageSource,
    check_channel_order,
    load_image,
    load_reduced,
)
from asmnet.landmarker import FaceLandmarker
from asmnet.pool import map_in_order
from asmnet.session import RuntimeOptions, Weights, check_runtime
from asmnet.types import Detection, Face
from asmnet.weights import choose_detector, choose_landmarker, find_family

if TYPE_CHECKING:
    from typing_extensions import Unpack

LANDMARK_COUNTS = (68, 98)
Found = TypeVar("Found", Detection, Face)
# Faces whose points' boxes overlap more are one face.
SAME_FACE_IOU = 0.5


class FaceAnalyzer:
    """The detector followed by the landmarker; keeps no state between images.

    One instance may be shared by many threads.
    """

    def __init__(
        self,
        *,
        landmarks: int = 68,
        weights: str | None = None,
        detector: Weights | FaceDetector | None = None,
        landmarker: Weights | FaceLandmarker | None = None,
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads both networks, unless they are given loaded.

        Args:
            landmarks: 68 or 98 points.
            weights: the family of all weights that are not given below, for example "research";
                None is that of the environment variable ``ASMNET_WEIGHTS``, or "research".
            detector: name, ``hf://`` reference or path of the detector's weights, or a loaded
                detector, for example ``FaceDetector(input_size=2560)`` for smaller faces.
            landmarker: the same of the landmarker, instead of ``landmarks``.
            **runtime: of networks that are loaded here: threads, providers, session_options,
                download, see `asmnet.RuntimeOptions`.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: weights or a provider cannot be used.
        """
        check_runtime(**runtime)  # even where both networks are loaded already
        landmarks, family = check_landmarks(landmarks), find_family(weights)
        if not isinstance(detector, FaceDetector):
            detector, verifier = choose_detector(detector, family)
            detector = FaceDetector(detector, verifier=verifier, **runtime)
        if not isinstance(landmarker, FaceLandmarker):
            landmarker = FaceLandmarker(choose_landmarker(landmarker, family, landmarks), **runtime)
        self._detector, self._landmarker = detector, landmarker

    def detect(
        self,
        image: ImageSource,
        *,
        channel_order: ChannelOrder = "rgb",
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
    ) -> list[Face]:
        """The faces of one image, best score first; an empty list where there are none.

        JPEG files that are at least twice as large as the detector's finest pass are decoded at a
        half, a quarter or an eighth of their size; once more, larger, where that leaves less than
        two pixels for each of the landmarker's input. Points move by about a thousandth of the
        face. All results are in the file's pixels.

        Args:
            image: see `asmnet.image.load_image`.
            channel_order: of an array's colours, "rgb" or "bgr".
            min_score: 0–1, faces below are not returned.
            max_faces: keep only so many of the best; None keeps all.

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: an option out of its range.
        """
        min_score = probability(min_score, "min_score")
        max_faces = check_max_faces(max_faces)
        pixels, factor = self._detector.load(image, channel_order=channel_order)
        found = self._detector.detect(pixels, min_score=min_score)
        if factor > 1 and found:
            spare = self._landmarker.reduction(np.array([d.bbox for d in found]))
            if spare < 1:
                reduced, side = factor, math.ceil(max(pixels.shape[:2]) / spare)
                pixels, factor = load_reduced(image, side)
                found = [_scaled(detection, reduced // factor) for detection in found]
        faces = with_landmarks(found, self._landmarker, pixels, max_faces)
        return [_scaled(face, factor) for face in faces] if factor > 1 else faces

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
        ahead, and only ``workers`` files are decoded at a time. Arrays are copied and PIL images
        decoded when they are read, so a source may use one buffer for all of them. Closing the
        iterator stops the work. An error of the source comes after the results of the images
        before it.

        Args:
            images: an iterable of what `asmnet.image.load_image` takes.
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
        source = _source(images)
        workers = cpu_count() if workers is None else positive_int(workers, "workers", most=1024)
        one_of(on_error, "on_error", ("raise", "return"))
        # A wrong option is no image's fault.
        check_channel_order(channel_order)
        probability(min_score, "min_score")
        max_faces = check_max_faces(max_faces)

        def one(item: _Taken) -> list[Face]:
            image, order = item
            if isinstance(image, ImageError):
                raise image
            return self.detect(image, channel_order=order, min_score=min_score, max_faces=max_faces)

        def one_or_error(item: _Taken) -> list[Face] | ImageError:
            try:
                with guarded(_name(item[0])):
                    return one(item)
            except ImageError as error:
                return without_frames(error)

        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(workers, thread_name_prefix="asmnet")
        function = one if on_error == "raise" else one_or_error
        taken = (_take(image, channel_order) for image in source)
        return map_in_order(pool, function, taken, window=2 * workers)

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


def with_landmarks(
    found: Sequence[Detection],
    landmarker: FaceLandmarker,
    pixels: ImageArray,
    max_faces: int | None = None,
) -> list[Face]:
    """The detections, best score first, with landmarks; only the best where ``max_faces`` says so.

    Where two of them have the same points, as boxes on two parts of one face may, the better stays.
    """
    faces: list[Face] = []
    limit = len(found) if max_faces is None else max_faces
    taken = 0
    # In parts: a crowd's other faces cost nothing where the best few are wanted.
    while taken < len(found) and len(faces) < limit:
        part = found[taken : taken + limit - len(faces)]
        taken += len(part)
        faces = _without_doubles([*faces, *_predicted(part, landmarker, pixels)])
    return faces


def _predicted(
    found: Sequence[Detection], landmarker: FaceLandmarker, pixels: ImageArray
) -> list[Face]:
    boxes = np.array([d.bbox for d in found]).reshape(-1, 4)
    keypoints = np.array([d.keypoints for d in found]).reshape(-1, 5, 2)
    faces = landmarker.predict(pixels, boxes, keypoints=keypoints)
    return [replace(face, score=d.score) for face, d in zip(faces, found, strict=True)]


def _without_doubles(faces: list[Face]) -> list[Face]:
    places = np.array([points_box(face.landmarks) for face in faces])
    scores = np.array([face.score for face in faces], dtype=np.float64)
    return [faces[i] for i in non_maximum_suppression(places, scores, SAME_FACE_IOU)]


def _scaled(found: Found, factor: int) -> Found:
    """The same in an image that is so many times as large."""
    if isinstance(found, Face):
        return replace(found, bbox=factor * found.bbox, landmarks=factor * found.landmarks)
    return replace(found, bbox=factor * found.bbox, keypoints=factor * found.keypoints)


def _name(image: object) -> str:
    """What errors call an image."""
    if isinstance(image, np.ndarray):
        return f"image of shape {image.shape}"
    return path_name(image) or f"image given as {type(image).__name__}"


_Taken = tuple[ImageSource | ImageError, ChannelOrder]


def _source(images: Iterable[ImageSource]) -> Iterator[ImageSource]:
    """The images one by one; InvalidInputError for a single one, whose rows are no images."""
    single = isinstance(images, str | bytes | bytearray | os.PathLike | Image.Image)
    if single or (isinstance(images, np.ndarray) and images.ndim in (2, 3)):
        raise InvalidInputError(
            f"images: expected an iterable of images, got a single one ({type(images).__name__}); "
            "put it into a list"
        )
    return iterable(images, "images")


def _take(image: ImageSource, channel_order: ChannelOrder) -> _Taken:
    """An image that its owner may change as soon as the next one is asked for, as it is now."""
    try:
        with guarded(_name(image)):
            if isinstance(image, np.ndarray):
                return np.array(image), channel_order
            if isinstance(image, bytearray):
                return bytes(image), channel_order
            if isinstance(image, Image.Image):
                return load_image(image), "rgb"
            return image, channel_order
    except ImageError as error:
        return error, channel_order


def check_landmarks(landmarks: int) -> int:
    """So many points that there is a default landmarker of them, or InvalidInputError."""
    return one_of(landmarks, "landmarks", LANDMARK_COUNTS)


def check_max_faces(max_faces: int | None) -> int | None:
    """A positive int or None, or InvalidInputError."""
    return None if max_faces is None else positive_int(max_faces, "max_faces", most=sys.maxsize)


def detect(
    image: ImageSource,
    *,
    landmarks: int = 68,
    weights: str | None = None,
    channel_order: ChannelOrder = "rgb",
    min_score: float = DEFAULT_MIN_SCORE,
    max_faces: int | None = None,
) -> list[Face]:
    """Faces, landmarks and head pose of one image, best score first; ``[]`` without a face.

    The networks are loaded at the first call and kept. For weights of your own, threads or
    providers make a `FaceAnalyzer`.

    Args:
        image: a path, the bytes of an image file, a PIL image, or an array (H, W), (H, W, 3) or
            (H, W, 4) of uint8, uint16 or float in 0–1.
        landmarks: 68 or 98 points.
        weights: their family, for example "research"; None is that of the environment variable
            ``ASMNET_WEIGHTS``, or "research".
        channel_order: of an array's colours, "rgb" or "bgr" (OpenCV's).
        min_score: 0–1, faces below are not returned.
        max_faces: keep only so many of the best; None keeps all.

    Raises:
        ImageError: the image cannot be used.
        InvalidInputError: an option out of its range.
        WeightsError: the weights cannot be used.
    """
    return _analyzer(check_landmarks(landmarks), find_family(weights).name).detect(
        image, channel_order=channel_order, min_score=min_score, max_faces=max_faces
    )


@cache
def _analyzer(landmarks: int, weights: str) -> FaceAnalyzer:
    return FaceAnalyzer(landmarks=landmarks, weights=weights)
