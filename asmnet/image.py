"""Everything becomes RGB uint8 here: the only module that knows file formats and colour order."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from asmnet.errors import (
    ImageDecodeError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageError,
    InvalidInputError,
)
from asmnet.geometry import CropTransform

ImageArray = NDArray[np.uint8]
ImageSource = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
ChannelOrder = Literal["rgb", "bgr"]

# What Pillow raises for damaged or strange files, found by feeding its decoders broken input:
# besides OSError (truncated data) its format plugins let these through.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
    struct.error,
)


def load_image(source: ImageSource, *, channel_order: ChannelOrder = "rgb") -> ImageArray:
    """Any accepted image as a C-contiguous (H, W, 3) uint8 RGB array.

    Args:
        source: a path, the bytes of an image file, a PIL image, or an array of shape (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4) and of dtype uint8, uint16 (0–65535) or float
            (0–1). EXIF orientation is applied to files and PIL images. Transparency is dropped.
        channel_order: "rgb" or "bgr", the order of the colours in an array; ignored for files
            and PIL images, which know their own.

    Raises:
        ImageNotFoundError: there is no such file.
        ImageDecodeError: the file is a folder, empty, truncated or no image.
        ImageTooLargeError: the header announces more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``;
            raise that limit to accept such files.
        InvalidImageError: an array of a wrong shape, dtype or range, or no image at all.
        InvalidInputError: an unknown ``channel_order``.
    """
    if channel_order not in ("rgb", "bgr"):
        raise InvalidInputError(f'channel_order: expected "rgb" or "bgr", got {channel_order!r}')
    if isinstance(source, np.ndarray):
        return _from_array(source, channel_order)
    if isinstance(source, Image.Image):
        return _from_pil(source, name=f"PIL image of mode {source.mode}")
    if isinstance(source, bytes | bytearray):
        return _from_file(bytes(source), name=f"{len(source)} bytes")
    if isinstance(source, str | os.PathLike):
        return _from_file(_read(Path(source)), name=str(source))
    raise InvalidImageError(
        f"expected a path, bytes, a PIL image or a NumPy array, got {type(source).__name__}"
    )


def crop_image(image: ImageArray, transform: CropTransform) -> ImageArray:
    """The square crop (size, size, 3) of an RGB image; outside of the image is black.

    Strong shrinking is done in two steps, an area average and then the warp: bilinear sampling
    alone would skip pixels and alias on faces much larger than the crop.
    """
    matrix, size = transform.matrix, transform.size
    step = int(1 / transform.scale)
    if step >= 2:
        corners = transform.invert(np.array([[0, 0], [size, 0], [0, size], [size, size]]))
        height, width = image.shape[:2]
        x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, [width, height]).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, [width, height]).astype(int)
        columns, rows = (x1 - x0) // step, (y1 - y0) // step
        if columns < 1 or rows < 1:
            return np.zeros((size, size, 3), dtype=np.uint8)
        region = image[y0 : y0 + rows * step, x0 : x0 + columns * step]
        image = np.asarray(
            cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
        # A point u of the small image lies at (x0, y0) + step · u in the image.
        matrix = np.column_stack([matrix[:, :2] * step, transform.apply(np.array([x0, y0]))])
    # OpenCV counts from the centre of the first pixel, half a pixel inside of the corner.
    offset = matrix[:, 2] + matrix[:, :2] @ [0.5, 0.5] - 0.5
    matrix = np.column_stack([matrix[:, :2], offset])
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR))


def letterbox(
    image: ImageArray, size: int, *, multiple: int
) -> tuple[ImageArray, NDArray[np.float64]]:
    """Scales an RGB image so that its longer side is ``size``; keeps the aspect.

    The image lies in the top left corner of a black canvas whose sides are the next multiples of
    ``multiple``. Returns the canvas and (2,) factors from image to canvas lengths, x and y.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    new_width, new_height = max(round(width * scale), 1), max(round(height * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros(
        (-(-new_height // multiple) * multiple, -(-new_width // multiple) * multiple, 3), np.uint8
    )
    canvas[:new_height, :new_width] = cv2.resize(
        image, (new_width, new_height), interpolation=method
    )
    return canvas, np.array([new_width / width, new_height / height])


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ImageDecodeError(f"{path}: expected an image file, got a folder")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageNotFoundError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise ImageDecodeError(f"{path}: cannot be read: {error}") from error


def _from_file(data: bytes, name: str) -> ImageArray:
    if not data:
        raise ImageDecodeError(f"{name}: expected an image, got an empty file")
    try:
        image = Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(_too_large(name, str(error))) from error
    except UnidentifiedImageError as error:
        raise ImageDecodeError(f"{name}: expected an image, got an unknown format") from error
    except _DECODE_ERRORS as error:
        raise ImageDecodeError(f"{name}: broken image: {error}") from error
    with image:
        # Between one and two times its limit Pillow only warns; here that is an error.
        if (
            Image.MAX_IMAGE_PIXELS is not None
            and image.width * image.height > Image.MAX_IMAGE_PIXELS
        ):
            raise ImageTooLargeError(_too_large(name, f"got {image.width} x {image.height}"))
        return _from_pil(image, name)


def _too_large(name: str, got: str) -> str:
    return (
        f"{name}: expected at most {Image.MAX_IMAGE_PIXELS} pixels "
        f"(PIL.Image.MAX_IMAGE_PIXELS, which can be raised): {got}"
    )


def _from_pil(image: Image.Image, name: str) -> ImageArray:
    if image.mode in ("I", "F"):
        raise InvalidImageError(
            f"{name}: 32-bit pixels have no fixed range; expected 8 or 16 bits a channel. "
            "Convert it to a float array in 0-1 first"
        )
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            return _from_array(np.asarray(image, dtype=np.uint16), "rgb")
        return np.array(image.convert("RGB"))
    except _DECODE_ERRORS as error:
        raise ImageDecodeError(f"{name}: truncated or broken image: {error}") from error


def _from_array(array: NDArray[Any], channel_order: ChannelOrder) -> ImageArray:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise InvalidImageError(
            "expected an array of shape (H, W), (H, W, 3) or (H, W, 4) with at least one pixel, "
            f"got {array.shape}"
        )
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3]
    if array.dtype == np.uint16:
        array = array >> 8
    elif np.issubdtype(array.dtype, np.floating):
        # `not (… >= 0)` instead of `< 0`: comparisons with NaN are false.
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):
            raise InvalidImageError(f"expected floats from 0 to 1 without NaN, got {low} to {high}")
        array = np.rint(array * 255)
    elif array.dtype != np.uint8:
        raise InvalidImageError(f"expected dtype uint8, uint16 or float, got {array.dtype}")
    if channel_order == "bgr":
        array = array[:, :, ::-1]
    return np.ascontiguousarray(array, dtype=np.uint8)
