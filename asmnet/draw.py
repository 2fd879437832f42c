"""Overlays: points, contours, boxes and pose axes on a photo."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from asmnet._checks import instance, iterable
from asmnet.image import ChannelOrder, ImageArray, ImageSource, load_image
from asmnet.types import Face

# RGB
BOX = (70, 160, 255)
CONTOUR = (255, 255, 255)
POINT = (0, 230, 120)
OUTLINE = (0, 0, 0)  # of text, to be read on any photo
AXES = ((235, 60, 60), (60, 200, 60), (70, 110, 255))  # the subject's left, up, out of the face

# OpenCV's coordinates have 32 bits; a point beyond is not in the picture.
MAX_COORDINATE = 1e7

_SUBPIXEL_BITS = 4  # OpenCV draws at 1/16 pixel with coordinates as whole numbers


def draw_faces(
    image: ImageSource, faces: Iterable[Face], *, channel_order: ChannelOrder = "rgb"
) -> ImageArray:
    """A copy of the image with box, contours, points and pose axes of each face.

    Faces of a tracker have their number beside the box. Line widths grow with the face. Axes: red
    to the subject's left, green up, blue out of the face, drawn from the middle of the points.

    Args:
        image: see `asmnet.image.load_image`.
        faces: as `asmnet.detect` returns them.
        channel_order: of an array's colours, "rgb" or "bgr".

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the image cannot be used.
        InvalidInputError: ``faces`` are no `asmnet.Face` records, or a single one.
    """
    checked = [instance(face, "faces", Face) for face in iterable(faces, "faces")]
    canvas = load_image(image, channel_order=channel_order).copy()
    for face in checked:
        _draw_face(canvas, face)
    return canvas


def _draw_face(canvas: ImageArray, face: Face) -> None:
    size = float((face.bbox[2:] - face.bbox[:2]).max())
    width = max(1, round(size / 150))
    x0, y0, x1, y1 = face.bbox
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    for i in range(4):
        _line(canvas, corners[i - 1], corners[i], BOX, width)
    for start, end in face.scheme.edges:
        _line(canvas, face.landmarks[start], face.landmarks[end], CONTOUR, max(1, width // 2))
    for point in face.landmarks:
        centre = _fixed(point)
        radius = max(1.0, size / 110) * (1 << _SUBPIXEL_BITS)
        cv2.circle(canvas, centre, round(radius), POINT, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
    if face.track_id is not None:
        scale = max(0.5, size / 200)
        corner = np.array([x1 + 2 * width, y0 + 20 * scale])
        x, y = (round(float(v)) for v in np.clip(corner, -MAX_COORDINATE, MAX_COORDINATE))
        for colour, thickness in ((OUTLINE, 4 * width), (CONTOUR, width)):
            cv2.putText(
                canvas, str(face.track_id), (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour,
                thickness, cv2.LINE_AA,
            )  # fmt: skip
    origin = face.landmarks.mean(axis=0)
    for axis, colour in zip(face.pose.rotation.T, AXES, strict=True):
        # The camera's y points up, the image's down.
        tip = origin + axis[:2] * [1, -1] * size / 2
        _line(canvas, origin, tip, colour, 2 * width)


def _line(
    canvas: ImageArray, start: np.ndarray, end: np.ndarray, colour: tuple[int, ...], width: int
) -> None:
    cv2.line(canvas, _fixed(start), _fixed(end), colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    # OpenCV counts from the centre of the first pixel.
    x, y = np.clip(point - 0.5, -MAX_COORDINATE, MAX_COORDINATE) * (1 << _SUBPIXEL_BITS)
    return round(float(x)), round(float(y))
