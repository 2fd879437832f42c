"""Random changes of RGB uint8 arrays, and boxes without a face, with an explicit generator."""

from __future__ import annotations

import cv2
import numpy as np

from asmnet.geometry import CropTransform, FloatArray
from asmnet.image import ImageArray

# A box that is off its face by this many of its longer sides, or more, has lost it. By how far it
# may be off and still hold it is the error of the boxes in training, mostly below 0.3.
LOST_SHIFT = 0.7


def photometric(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Light, colour, blur, noise and JPEG as cameras and codecs make them. Returns a new array."""
    image = _light(image, rng)
    if rng.random() < 0.15:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if rng.random() < 0.15:
        image = _blur(image, rng)
    if rng.random() < 0.15:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(2, 16)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = int(rng.integers(15, 80))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image


def sheared(transform: CropTransform, rng: np.random.Generator, *, most: float) -> CropTransform:
    """The same crop with its rows pushed sideways, in proportion to their distance from the middle.

    Faces differ, lenses and frames distort. The push is up to ``most`` pixels a row, to either
    side; the crop's middle stays, areas too. The head's rotation is left as it is: at 0.1 a right
    angle becomes 84° or 96°, which no pose explains.
    """
    slope = rng.uniform(-most, most)
    shear = np.array([[1.0, slope], [0.0, 1.0]])
    middle = np.full(2, transform.size / 2)
    linear = shear @ transform.matrix[:, :2]
    offset = shear @ (transform.matrix[:, 2] - middle) + middle
    return CropTransform(np.column_stack([linear, offset]), transform.size)


def shrink_by_half(image: ImageArray) -> ImageArray:
    """Half the width and height; each pixel is the mean of four."""
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _light(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Contrast, brightness, gamma and white balance as one table per channel; then saturation."""
    ramp = np.linspace(0, 1, 256)
    table = np.empty((1, 256, 3), dtype=np.uint8)
    gamma = np.exp(rng.normal(0, 0.3))
    contrast, brightness = np.exp(rng.normal(0, 0.25)), rng.normal(0, 0.1)
    for channel in range(3):
        gain = np.exp(rng.normal(0, 0.08))
        curve = (ramp**gamma * gain - 0.5) * contrast + 0.5 + brightness
        table[0, :, channel] = np.clip(curve * 255, 0, 255)
    image = np.asarray(cv2.LUT(image, table), dtype=np.uint8)
    if rng.random() < 0.4:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        amount = rng.uniform(0.3, 1.6)
        image = np.asarray(cv2.addWeighted(image, amount, grey, 1 - amount, 0), dtype=np.uint8)
    if rng.random() < 0.05:
        image = np.ascontiguousarray(image[:, :, ::-1])
    return image


def _blur(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    size = min(image.shape[:2])
    if rng.random() < 0.5:  # seen from far: few pixels, enlarged
        factor = rng.uniform(0.4, 0.9)
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    sigma = rng.uniform(0.4, 0.006 * size + 0.4)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))


def occlude(
    image: ImageArray, box: FloatArray, texture: ImageArray, rng: np.random.Generator
) -> None:
    """Covers up to about half of a box, in place, with a colour or a piece of ``texture``."""
    x0, y0, x1, y1 = box
    width, height = (rng.uniform(0.2, 0.7, size=2) * [x1 - x0, y1 - y0]).astype(int)
    left = int(rng.uniform(x0 - width / 2, x1 - width / 2))
    top = int(rng.uniform(y0 - height / 2, y1 - height / 2))
    left, top = max(left, 0), max(top, 0)
    target = image[top : top + height, left : left + width]
    if target.size == 0:
        return
    if rng.random() < 0.4:
        target[:] = rng.integers(0, 256, size=3)
        return
    side = min(texture.shape[:2])
    row = int(rng.integers(0, texture.shape[0] - side // 2))
    column = int(rng.integers(0, texture.shape[1] - side // 2))
    piece = texture[row : row + side // 2, column : column + side // 2]
    target[:] = cv2.resize(piece, target.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def background_box(photo: ImageArray, rng: np.random.Generator) -> FloatArray:
    """A square (4,) xyxy inside of a photo, between 0.2 and 0.9 of its shorter side."""
    extent = np.array(photo.shape[1::-1])
    side = rng.uniform(0.2, 0.9) * extent.min()
    corner = rng.uniform(0, extent - side)
    return np.concatenate([corner, corner + side])


def lost_box(box: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A face's box (4,) xyxy that has slipped off it, by up to 1.5 of its longer sides."""
    direction, distance = rng.uniform(0, 2 * np.pi), rng.uniform(LOST_SHIFT, 1.5)
    return shifted_box(box, distance * np.array([np.cos(direction), np.sin(direction)]))


def shifted_box(box: FloatArray, shift: FloatArray) -> FloatArray:
    """An xyxy box moved by ``shift`` (2,) in units of its longer side."""
    return np.asarray(box + np.tile(shift * (box[2:] - box[:2]).max(), 2))
