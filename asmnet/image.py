"""Everything becomes RGB uint8 here: the only module that knows file formats and colour order."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from asmnet._checks import one_of, path_name
from asmnet.errors import (
    ImageDecodeError,
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageError,
)
from asmnet.geometry import CropTransform, FloatArray

ImageArray = NDArray[np.uint8]
ImageSource = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
ChannelOrder = Literal["rgb", "bgr"]

# How a picture is turned upright, by the orientation that EXIF gives it.
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NOTES = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")

# What Pillow knows by name only, or draws with another program: no photos are lost with them.
_NO_PICTURES = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")

# Sides below this are not halved: a last row that comes twice would be seen.
THIN_SIDE = 32


def load_image(source: ImageSource, *, channel_order: ChannelOrder = "rgb") -> ImageArray:
    """Any accepted image as a C-contiguous (H, W, 3) uint8 RGB array.

    Args:
        source: a path, the bytes of an image file, a PIL image, or an array of shape (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4) and of dtype uint8, uint16 (0–65535) or float
            (0–1). EXIF orientation is applied to files and PIL images. Transparency is dropped.
            A file may be of any format that Pillow reads, and HEIC with the extra
            ``asmnet[heic]``.
        channel_order: "rgb" or "bgr", the order of the colours in an array; ignored for files
            and PIL images, which know their own.

    Raises:
        ImageNotFoundError: there is no such file.
        ImageDecodeError: the file is a folder, empty, truncated or no image.
        ImageTooLargeError: the header announces more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``
            (raise that limit to accept such files), or they do not fit into the memory.
        InvalidImageError: an array of a wrong shape, dtype or range, or no image at all.
        InvalidInputError: an unknown ``channel_order``.
    """
    check_channel_order(channel_order)
    if isinstance(source, np.ndarray):
        return _from_array(np.asarray(source), channel_order)
    if isinstance(source, Image.Image):
        name = f"PIL image of mode {source.mode}"
        with _our_errors(name):
            return _from_pil(source, name)
    pixels, _ = _from_file(*_contents(source))
    return pixels


def load_reduced(
    source: ImageSource, longer_side: int, *, channel_order: ChannelOrder = "rgb"
) -> tuple[ImageArray, int]:
    """`load_image`, but smaller where that saves time and memory.

    JPEG files are decoded at a half, a quarter or an eighth of their size, as long as
    ``longer_side`` pixels of the longer side remain. All else is loaded as it is.

    Returns:
        The image, and how many pixels of the source, in each direction, are one of it: points
        times this factor are points of the source.

    Raises:
        ImageError: as `load_image`; the limit concerns the source's pixels.
        InvalidInputError: an unknown ``channel_order``.
    """
    if isinstance(source, np.ndarray | Image.Image):
        return load_image(source, channel_order=channel_order), 1
    return _from_file(*_contents(source), longer_side=longer_side)


def check_channel_order(channel_order: ChannelOrder) -> None:
    """Raises InvalidInputError unless it is "rgb" or "bgr"."""
    one_of(channel_order, "channel_order", ("rgb", "bgr"))


def crop_image(image: ImageArray, transform: CropTransform) -> ImageArray:
    """The square crop (size, size, 3) of an RGB image; outside of the image is black.

    Strong shrinking is done in two steps, an area average and then the warp: bilinear sampling
    alone would skip pixels and alias on faces much larger than the crop.
    """
    (crop,) = crop_images(image, transform.matrix[None], transform.size)
    return np.asarray(crop)


def crop_images(image: ImageArray, matrices: FloatArray, size: int) -> ImageArray:
    """The crops (n, size, size, 3) that (n, 2, 3) matrices describe, as of `crop_image`."""
    crops = np.empty((len(matrices), size, size, 3), dtype=np.uint8)
    for crop, matrix in zip(crops, matrices.tolist(), strict=True):
        _crop_into(crop, image, matrix)
    return crops


def _crop_into(crop: ImageArray, image: ImageArray, matrix: list[list[float]]) -> None:
    # Plain numbers: this runs for each face, and arrays of four are slow.
    size = len(crop)
    (a, b, u), (c, d, v) = matrix
    determinant = a * d - b * c
    step = max(int(1 / math.sqrt(determinant)), 1)
    # The part of the image that is seen: OpenCV 4 warps nothing wider than 32,767 pixels. Without
    # shrinking, bilinear sampling reads a pixel beyond.
    reach = 1 if step == 1 else 0
    corners = [(-u, -v), (size - u, -v), (-u, size - v), (size - u, size - v)]
    across = [(d * x - b * y) / determinant for x, y in corners]
    down = [(a * y - c * x) / determinant for x, y in corners]
    height, width = image.shape[:2]
    x0, x1 = (min(max(n, 0), width) for n in _span(across, reach))
    y0, y1 = (min(max(n, 0), height) for n in _span(down, reach))
    columns, rows = (x1 - x0) // step, (y1 - y0) // step
    if columns < 1 or rows < 1:
        crop[:] = 0
        return
    region = _reduced(image[y0 : y0 + rows * step, x0 : x0 + columns * step], step)
    # A point p of the region lies at (x0, y0) + step · p in the image.
    _warp_into(
        crop,
        region,
        (a * step, b * step, a * x0 + b * y0 + u),
        (c * step, d * step, c * x0 + d * y0 + v),
    )


def _reduced(image: ImageArray, step: int) -> ImageArray:
    """Means over squares of ``step`` pixels, which is a divisor of both sides.

    OpenCV halves four times as fast as it takes any other means.
    """
    while step % 2 == 0:
        image, step = halved(image), step // 2
    if step == 1:
        return image
    return _scaled(image, image.shape[1] // step, image.shape[0] // step, cv2.INTER_AREA)


def halved(image: ImageArray) -> ImageArray:
    """Each pixel is the mean of four; a last row or column without a partner comes twice."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.asarray(
            cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8
        )
    return _scaled(image, (width + 1) // 2, (height + 1) // 2, cv2.INTER_AREA)


def _span(values: list[float], reach: int) -> tuple[int, int]:
    """Whole numbers from below the least to above the greatest."""
    return math.floor(min(values)) - reach, math.ceil(max(values)) + reach


def warp(image: ImageArray, matrix: FloatArray, size: tuple[int, int]) -> ImageArray:
    """An RGB image through an affine map, bilinear; what lies outside of the image is black.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3), from coordinates of the image to those of the result; both begin at the
            corner of the first pixel.
        size: width and height of the result.
    """
    width, height = size
    warped = np.empty((height, width, 3), dtype=np.uint8)
    _warp_into(warped, image, *matrix.tolist())
    return warped


def _warp_into(
    out: ImageArray, image: ImageArray, across: Sequence[float], down: Sequence[float]
) -> None:
    """`warp` by the rows of the matrix into an array that is there."""
    # OpenCV counts from the centre of the first pixel, half a pixel inside of the corner.
    (a, b, u), (c, d, v) = across, down
    centred = np.array([[a, b, u + ((a + b) / 2 - 0.5)], [c, d, v + ((c + d) / 2 - 0.5)]])
    cv2.warpAffine(image, centred, out.shape[1::-1], dst=out, flags=cv2.INTER_LINEAR)


def letterbox(
    image: ImageArray, size: int, *, multiple: int
) -> tuple[ImageArray, NDArray[np.float64]]:
    """Scales an RGB image so that its longer side is ``size``; keeps the aspect.

    Returns the canvas of `on_canvas` and (2,) factors from image to canvas lengths, x and y.
    """
    return on_canvas(image, size / max(image.shape[:2]), multiple=multiple)


def on_canvas(
    image: ImageArray, scale: float, *, multiple: int
) -> tuple[ImageArray, NDArray[np.float64]]:
    """Scales an RGB image by a factor, rounded to whole pixels.

    The image lies in the top left corner of a black canvas whose sides are the next multiples of
    ``multiple``. Returns the canvas and (2,) factors from image to canvas lengths, x and y.
    """
    height, width = image.shape[:2]
    new_width, new_height = max(round(width * scale), 1), max(round(height * scale), 1)
    step = 1
    while scale <= 0.5 and min(image.shape[:2]) >= THIN_SIDE:
        image, scale, step = halved(image), 2 * scale, 2 * step
    height, width = image.shape[:2]
    canvas = np.zeros(
        (-(-new_height // multiple) * multiple, -(-new_width // multiple) * multiple, 3), np.uint8
    )
    canvas[:new_height, :new_width] = _resized(image, new_width, new_height)
    return canvas, np.array([new_width / (step * width), new_height / (step * height)])


def thumbnail(image: ImageArray, size: tuple[int, int], samples: int) -> ImageArray:
    """A tiny picture from a grid of the image's pixels: all of them would take longer.

    Args:
        image: (H, W) or (H, W, 3).
        size: width and height of the result.
        samples: so many of the image's pixels are averaged for each, in each direction.
    """
    rows, columns = (
        max(n // (samples * m), 1) for n, m in zip(image.shape[:2], size[::-1], strict=True)
    )
    grid = np.ascontiguousarray(image[::rows, ::columns])
    return _scaled(grid, *size, cv2.INTER_AREA)


def _resized(image: ImageArray, width: int, height: int) -> ImageArray:
    """Enlarged bilinearly; shrunk by means over areas, or nearly so.

    OpenCV's means over areas that are no whole numbers of pixels take three times as long as to
    enlarge the image to twice the size that is wanted, and to halve it.
    """
    old_height, old_width = image.shape[:2]
    if (old_height, old_width) == (height, width):
        return image
    method = cv2.INTER_AREA
    if old_height <= height and old_width <= width:
        method = cv2.INTER_LINEAR
    elif old_height <= 2 * height and old_width <= 2 * width:
        image = _scaled(image, 2 * width, 2 * height, cv2.INTER_LINEAR)
    return _scaled(image, width, height, method)


def _scaled(image: ImageArray, width: int, height: int, method: int) -> ImageArray:
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


@contextmanager
def pixel_limit(pixels: int | None) -> Iterator[None]:
    """Makes this the limit of `load_image` in the block, in all threads; None keeps Pillow's."""
    before = Image.MAX_IMAGE_PIXELS
    if pixels is not None:
        Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes, with their dots, of the files that `load_image` can decode here."""
    Image.init()
    _register_heif()
    return frozenset(
        suffix
        for suffix, form in Image.registered_extensions().items()
        # MPO, a JPEG with more than one picture, is opened as JPEG.
        if (form in Image.OPEN or form == "MPO") and form not in _NO_PICTURES
    )


@cache
def _register_heif() -> bool:
    """Lets Pillow read HEIC if pillow-heif is installed, and tells whether it is."""
    try:
        import pillow_heif  # the extra asmnet[heic]
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _contents(source: Any) -> tuple[bytes, str]:
    """What is in a file, and a name for it."""
    if isinstance(source, bytes | bytearray):
        return bytes(source), f"{len(source)} bytes"
    path = path_name(source)
    if path is not None:
        return _read(Path(path)), path
    raise InvalidImageError(
        f"expected a path, bytes, a PIL image or a NumPy array, got {type(source).__name__}"
    )


def _read(path: Path) -> bytes:
    if os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where a folder may not be read
        raise ImageDecodeError(f"{path}: expected an image file, got a folder")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageNotFoundError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise ImageDecodeError(f"{path}: cannot be read: {error}") from error
    except MemoryError as error:
        raise ImageTooLargeError(f"{path}: too little memory for the file") from error


def _from_file(data: bytes, name: str, *, longer_side: int | None = None) -> tuple[ImageArray, int]:
    """The image and its factor; a ``longer_side`` allows to reduce it."""
    if not data:
        raise ImageDecodeError(f"{name}: expected an image, got an empty file")
    try:
        return _decode(data, name, longer_side)
    except ImageDecodeError:
        picture = _without_notes(data)
        if picture is None:
            raise
        return _decode(picture, name, longer_side)


def _decode(data: bytes, name: str, longer_side: int | None) -> tuple[ImageArray, int]:
    hint = ""
    if data[4:8] == b"ftyp" and not _register_heif():  # the container of HEIC, AVIF and videos
        hint = "; if it is HEIC, `pip install asmnet[heic]`"
    with _our_errors(name, hint), Image.open(io.BytesIO(data)) as image:
        # Between one and two times its limit Pillow only warns; here that is an error.
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise Image.DecompressionBombError(f"got {image.width} x {image.height}")
        factor = 1 if longer_side is None else _reduce(image, longer_side)
        return _from_pil(image, name), factor


def _reduce(image: Image.Image, longer_side: int) -> int:
    """Has a JPEG decoded smaller by a factor, which is returned."""
    if image.format not in ("JPEG", "MPO"):
        return 1
    for factor in (8, 4, 2):
        enough = max(image.size) >= factor * longer_side and min(image.size) >= factor
        # A last pixel that is a part of one would come first in a picture that is turned.
        whole = all(side % factor == 0 for side in image.size) or _turn(image) is None
        if enough and whole:
            image.draft(None, (image.width // factor, image.height // factor))
            return factor
    return 1


@contextmanager
def _our_errors(name: str, hint: str = "") -> Iterator[None]:
    """Whatever decoding raises becomes an ImageError: Pillow's plugins let through all kinds."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(
            f"{name}: expected at most {Image.MAX_IMAGE_PIXELS} pixels "
            f"(raise PIL.Image.MAX_IMAGE_PIXELS, or --max-pixels of the command): {error}"
        ) from error
    except MemoryError as error:
        raise ImageTooLargeError(f"{name}: too little memory for its pixels") from error
    except UnidentifiedImageError as error:
        raise ImageDecodeError(f"{name}: expected an image, got an unknown format{hint}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageDecodeError(f"{name}: truncated or broken image: {reason}") from error


def _without_notes(data: bytes) -> bytes | None:
    """A PNG without texts and colour profile, or None if it has none or is no PNG.

    Pillow refuses a whole picture for a text that is too long.
    """
    if not data.startswith(_PNG_SIGNATURE):
        return None
    start, kept = len(_PNG_SIGNATURE), [_PNG_SIGNATURE]
    while start + 8 <= len(data):
        end = start + int.from_bytes(data[start : start + 4], "big") + 12
        if data[start + 4 : start + 8] not in _PNG_NOTES:
            kept.append(data[start:end])
        start = end
    picture = b"".join(kept)
    return picture if len(picture) < len(data) else None


def _from_pil(image: Image.Image, name: str) -> ImageArray:
    if image.mode in ("I", "F"):
        raise InvalidImageError(
            f"{name}: 32-bit pixels have no fixed range; expected 8 or 16 bits a channel. "
            "Convert it to a float array in 0-1 first"
        )
    image = _upright(image)
    if image.mode.startswith("I;16"):
        return _from_array(np.asarray(image, dtype=np.uint16), "rgb")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its orientation says."""
    image.load()  # TIFF turns its picture by itself and then forgets the orientation
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to turn the picture upright, None if it is.

    The orientation alone is read: the rest of EXIF may be odd in a good photo, and EXIF that
    cannot be read says nothing.
    """
    with suppress(Exception):
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return None


def _from_array(array: NDArray[Any], channel_order: ChannelOrder) -> ImageArray:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise InvalidImageError(
            "expected an array of shape (H, W), (H, W, 3) or (H, W, 4) with at least one pixel, "
            f"got {array.shape}"
        )
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3]
    if array.dtype.newbyteorder("=") == np.uint16:
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
