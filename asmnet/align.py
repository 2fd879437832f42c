"""Aligned crops: every face with its eyes, nose and mouth at the same places."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from asmnet._checks import finite_array, instance, positive_int
from asmnet.errors import InvalidInputError
from asmnet.geometry import CropTransform, similarity
from asmnet.image import ChannelOrder, ImageArray, ImageSource, crop_image, load_image
from asmnet.types import Face

ARCFACE_TEMPLATE = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
              [41.5493, 92.3655], [70.7299, 92.2041]]) + 0.5
) / 112  # fmt: skip
"""(5, 2) right and left eye, nose tip, right and left mouth corner, in units of the crop's side.

Where face recognition networks in ArcFace's tradition (Deng et al. 2019) expect them; published
for 112 pixels, counted from the first pixel's centre.
"""

MIN_TEMPLATE, MAX_TEMPLATE, MAX_SIZE = 1e-3, 1e3, 16384


def align_transform(
    face: Face, *, size: int = 112, template: ArrayLike = ARCFACE_TEMPLATE
) -> CropTransform:
    """The similarity transform from image pixels to the aligned crop's pixels.

    Least squares between the face's five key points and the template (Umeyama 1991): rotation, one
    scale and shift; never a mirror or a stretch. ``transform.apply(face.landmarks)`` gives the
    points in the crop, ``transform.invert`` takes them back.

    Args:
        face: as `asmnet.detect` returns it.
        size: side of the crop in pixels, 16384 at most.
        template: (5, 2) places of the key points in units of the crop's side.

    Raises:
        InvalidInputError: a template of another shape, a size out of its range, no
            `asmnet.Face`, or one whose points all coincide.
    """
    instance(face, "face", Face)
    target = finite_array(template, "template", (5, 2))
    if np.abs(target).max() > MAX_TEMPLATE or np.ptp(target, axis=0).max() < MIN_TEMPLATE:
        raise InvalidInputError(
            f"template: expected points within ±{MAX_TEMPLATE:.0f}, {MIN_TEMPLATE} at least apart"
        )
    size = positive_int(size, "size", most=MAX_SIZE)
    source = face.scheme.keypoints @ face.landmarks.astype(np.float64)
    if not np.ptp(source, axis=0).any():
        raise InvalidInputError("face: expected key points apart from each other, got one place")
    return CropTransform(similarity(source, size * target), size)


def aligned_crop(
    image: ImageSource,
    face: Face,
    *,
    size: int = 112,
    template: ArrayLike = ARCFACE_TEMPLATE,
    channel_order: ChannelOrder = "rgb",
) -> ImageArray:
    """The face turned upright and scaled to the template: (size, size, 3) uint8 RGB.

    What lies outside of the image is black.

    Args:
        image: the image that the face was found in; see `asmnet.image.load_image`.
        face: as `asmnet.detect` returns it.
        size: side of the crop in pixels.
        template: (5, 2) places of the key points in units of the crop's side.
        channel_order: of an array's colours, "rgb" or "bgr".

    Raises:
        ImageError: the image cannot be used.
        InvalidInputError: see `align_transform`.
    """
    transform = align_transform(face, size=size, template=template)
    return crop_image(load_image(image, channel_order=channel_order), transform)
