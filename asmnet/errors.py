"""Every error that asmnet raises on purpose.

AsmnetError
├── ImageError            the image cannot be used
│   ├── ImageNotFoundError    (also FileNotFoundError)
│   ├── ImageDecodeError      not an image, truncated, empty, a folder
│   ├── ImageTooLargeError    more pixels than the limit, or than the memory holds
│   └── InvalidImageError     (also ValueError) wrong shape, dtype or values
├── InvalidInputError     (also ValueError) boxes, options, thresholds
├── VideoError            (also OSError) a video or camera cannot be read, or a video not written
└── WeightsError          the model file cannot be used
    ├── WeightsNotFoundError  (also FileNotFoundError)
    ├── WeightsDownloadError  no network, no such repository, not logged in, disk full
    ├── ChecksumError         the file is not the one the manifest describes
    └── ProviderError         ONNX Runtime lacks the asked execution provider

Catch ``AsmnetError`` to catch them all. Messages say what was expected and what came.
"""

from __future__ import annotations


class AsmnetError(Exception):
    """Base of every error of this package."""


class ImageError(AsmnetError):
    """The image cannot be used."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """No file at the given path."""


class ImageDecodeError(ImageError):
    """The file or bytes are not a complete image of a known format."""


class ImageTooLargeError(ImageError):
    """More pixels than ``PIL.Image.MAX_IMAGE_PIXELS``, or than the memory holds."""


class InvalidImageError(ImageError, ValueError):
    """An array of a wrong shape, dtype or range, or an object that is no image."""


class InvalidInputError(AsmnetError, ValueError):
    """An argument other than the image is wrong: boxes, key points, options."""


class VideoError(AsmnetError, OSError):
    """A video or camera cannot be read or broke off, or a video cannot be written."""


class WeightsError(AsmnetError):
    """A model file cannot be used."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """No weights of that name on this machine, and no file at that path."""


class WeightsDownloadError(WeightsError):
    """Weights could not be fetched from a hub, or not be stored in the cache."""


class ChecksumError(WeightsError):
    """The weights file differs from the one that the manifest describes."""


class ProviderError(WeightsError):
    """ONNX Runtime on this machine lacks an execution provider that was asked for."""
