"""Videos with exact labels, made from labelled photos: known motion, light, noise, covers, cuts.

A scene is a stack of layers. Each layer is a picture that a path moves through the frame, and the
labels go through the same transform as the pixels, so they are exact to a few hundredths of a
pixel (OpenCV's warp rounds to 1/32). What a photo cannot give is missing: faces are rigid and turn
in the image plane only.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from asmnet.datasets.records import LabelledFace
from asmnet.datasets.splits import Split, read_300w, read_backgrounds
from asmnet.errors import InvalidInputError
from asmnet.geometry import FloatArray, points_box
from asmnet.image import ImageArray, load_image

from .metrics import TruthFace

WIDTH, HEIGHT, FPS = 640, 480, 30
# Share of the frame's time in which the shutter is open: moving faces are blurred.
SHUTTER = 0.5
FACE = 160.0  # longer side of most faces in the frame, in pixels

Path2D = Callable[[float], tuple[float, float, float, float]]
"""Time in frames to x, y of the picture's anchor, its side in the frame, and degrees clockwise."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels that can be placed in a frame.

    Attributes:
        pixels: (H, W, 3) RGB.
        alpha: (H, W) float32 0-1, what of the pixels is there; None is all of them, and beyond
            the border the border's own colours, so such a picture fills the frame.
        anchor: (2,) point of the picture that a path moves, in its pixels.
        side: length in its pixels that a path's side refers to: the longer side of the face's box.
        landmarks: (68, 2) in its pixels; None without a face.
    """

    pixels: ImageArray
    alpha: FloatArray | None
    anchor: FloatArray
    side: float
    landmarks: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture on its path, from frame ``start`` until before frame ``stop``."""

    picture: Picture
    path: Path2D
    start: int = 0
    stop: int = 1_000_000
    person: int = 0

    def matrix(self, time: float) -> FloatArray:
        """(2, 3): the picture's pixels to the frame's, from their corners, at a time in frames."""
        x, y, side, angle = self.path(time)
        scale = side / self.picture.side
        cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
        linear = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([linear, [x, y] - linear @ self.picture.anchor])


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame, its time, and the faces that are inside of it, visible or covered."""

    image: ImageArray
    seconds: float
    faces: list[TruthFace]


@dataclass(frozen=True, eq=False)
class Scene:
    """A few seconds of video, the same ones each time that it is played.

    Attributes:
        name: one of ``SCENES``.
        length: number of frames.
        layers: from back to front.
        people: how many there are over the whole scene.
        at_once: the most of them in one frame.
        still: faces stay where they are.
        noise: standard deviation of the sensor's noise, fresh in each frame, of 0-255.
        quality: of the JPEG that each frame passes through, by its number; None leaves it out.
        gain: factors of red, green and blue by the frame's number.
        seed: of the noise.
    """

    name: str
    length: int
    layers: tuple[Layer, ...]
    people: int = 1
    at_once: int = 1
    still: bool = False
    noise: float = 2.0
    quality: Callable[[int], int | None] = lambda _: 85
    gain: Callable[[int], FloatArray] | None = None
    seed: int = 0

    def frames(self) -> Iterator[VideoFrame]:
        """Renders the frames, 640 × 480 at 30 a second."""
        rng = np.random.default_rng([self.seed, crc32(self.name.encode())])
        for t in range(self.length):
            yield VideoFrame(self._expose(t, rng), t / FPS, self.faces(t))

    def faces(self, t: int) -> list[TruthFace]:
        """The truth of a frame: the faces that are inside of it, visible or covered."""
        faces = []
        layers = self._at(t)
        for i, layer in enumerate(layers):
            if layer.picture.landmarks is None:
                continue
            matrix = layer.matrix(t)
            points = layer.picture.landmarks @ matrix[:, :2].T + matrix[:, 2]
            x0, y0, x1, y1 = points_box(points)
            if x1 <= 0 or y1 <= 0 or x0 >= WIDTH or y0 >= HEIGHT:
                continue
            seen = ((points >= 0) & (points < [WIDTH, HEIGHT])).all(axis=1)
            for front in layers[i + 1 :]:
                seen &= ~_covers(front, points, t)
            faces.append(TruthFace(layer.person, points, bool(seen.mean() >= 0.5)))
        return faces

    def _at(self, t: int) -> list[Layer]:
        return [layer for layer in self.layers if layer.start <= t < layer.stop]

    def _expose(self, t: int, rng: np.random.Generator) -> ImageArray:
        """What the camera sees while its shutter is open, around the frame's time."""
        layers = self._at(t)
        steps = _exposure_steps(layers, t)
        times = t + SHUTTER * ((np.arange(steps) + 0.5) / steps - 0.5)
        light = np.mean([_compose(layers, time) for time in times], axis=0, dtype=np.float32)
        if self.gain is not None:
            light = light * self.gain(t).astype(np.float32)
        # Grey noise: the JPEG would halve the resolution of colour's anyway.
        light += self.noise * rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32)
        image = np.rint(np.clip(light, 0, 255)).astype(np.uint8)
        quality = self.quality(t)
        if quality is not None:
            bgr = image[:, :, ::-1]  # JPEG weighs the colours, so their order matters
            _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
            decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
            image = np.ascontiguousarray(decoded[:, :, ::-1])
        return image


def _exposure_steps(layers: list[Layer], t: int) -> int:
    """1 to 8 moments of an exposure, one for every two pixels of the fastest motion."""
    corners = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]], dtype=np.float64)
    longest = 0.0
    for layer in layers:
        before, after = (layer.matrix(t + d * SHUTTER / 2) for d in (-1, 1))
        at = (corners - before[:, 2]) @ np.linalg.inv(before[:, :2]).T
        moved = at @ after[:, :2].T + after[:, 2] - corners
        longest = max(longest, float(np.linalg.norm(moved, axis=1).max()))
    return int(np.clip(np.ceil(longest / 2), 1, 8))


def _compose(layers: list[Layer], time: float) -> FloatArray:
    """(480, 640, 3) float32 0-255: the layers at one moment."""
    canvas = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for layer in layers:
        picture, matrix = layer.picture, layer.matrix(time)
        if picture.alpha is None:
            canvas = _warp(picture.pixels, matrix, border=cv2.BORDER_REPLICATE).astype(np.float32)
            continue
        alpha = _warp(picture.alpha, matrix)[:, :, None]
        pixels = _warp(picture.pixels, matrix, border=cv2.BORDER_REPLICATE)
        canvas += alpha * (pixels - canvas)
    return canvas


def _warp(
    image: NDArray[Any], matrix: FloatArray, border: int = cv2.BORDER_CONSTANT
) -> NDArray[Any]:
    # OpenCV counts from the centre of the first pixel, half a pixel inside of the corner.
    offset = matrix[:, 2] + matrix[:, :2] @ [0.5, 0.5] - 0.5
    matrix = np.column_stack([matrix[:, :2], offset])
    return np.asarray(
        cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border)
    )


def _covers(layer: Layer, points: FloatArray, t: int) -> NDArray[np.bool_]:
    """(n,) whether the layer hides what lies at the points of the frame."""
    if layer.picture.alpha is None:
        return np.ones(len(points), dtype=bool)
    matrix = layer.matrix(t)
    at = np.floor((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T).astype(int)
    height, width = layer.picture.alpha.shape
    inside = ((at >= 0) & (at < [width, height])).all(axis=1)
    columns, rows = np.clip(at, 0, [width - 1, height - 1]).T
    return np.asarray(inside & (layer.picture.alpha[rows, columns] > 0.5))


def face_photos(root: Path, split: Split) -> list[LabelledFace]:
    """300W's faces that a video can be made of.

    They lie inside of their photos, and are the only face there: 300W labels one face a photo, and
    nobody could tell a track of another one from a false track. ``300w/faces.csv``, if it is there,
    knows the others.

    Raises:
        InvalidInputError: there are fewer than three.
    """
    folder, known = root / "300w", Counter[str]()
    if (folder / "faces.csv").exists():
        with (folder / "faces.csv").open(newline="") as file:
            known = Counter(row["file"] for row in csv.DictReader(file))
    faces = []
    for face in read_300w(root, split):
        box = points_box(face.landmarks)
        height, width = load_image(face.image).shape[:2]
        margin = 0.25 * (box[2:] - box[:2]).max()
        inside = (box[:2] >= margin).all() and (box[2:] <= [width - margin, height - margin]).all()
        name = face.image.relative_to(folder).with_suffix("").as_posix()
        if inside and known[name] <= 1:
            faces.append(face)
    if len(faces) < 3:
        raise InvalidInputError(
            f"{folder}: expected at least 3 photos of one whole face for {split}, got {len(faces)}"
        )
    return faces


def faceless_photos(root: Path, split: Split) -> list[Path]:
    """Backgrounds without a known face.

    Raises:
        InvalidInputError: there are fewer than four.
    """
    paths = [path for path, boxes in read_backgrounds(root, split) if not len(boxes)]
    if len(paths) < 4:
        raise InvalidInputError(
            f"{root / 'backgrounds'}: expected at least 4 photos without faces for {split}, "
            f"got {len(paths)}"
        )
    return paths


def photo_picture(face: LabelledFace) -> Picture:
    """A labelled photo that fills a frame wherever its face goes.

    Beyond its borders the border's pixels go on, strongly blurred: a mirrored border would show
    pieces of faces.
    """
    image = load_image(face.image)
    height, width = image.shape[:2]
    pad = max(height, width)
    wide = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    small = cv2.resize(wide, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 3), wide.shape[1::-1])
    # The photo fades into its surroundings over its outermost pixels.
    rows, columns = (np.arange(n)[[0, -1], None] - np.arange(n) for n in (height, width))
    fade = np.minimum.outer(abs(rows).min(axis=0), abs(columns).min(axis=0))
    weight = np.zeros((*wide.shape[:2], 1), dtype=np.float32)
    weight[pad : pad + height, pad : pad + width, 0] = np.clip(fade / 12, 0, 1)
    landmarks = face.landmarks + pad
    box = points_box(landmarks)
    return Picture(
        pixels=np.rint(soft + weight * (wide.astype(np.float32) - soft)).astype(np.uint8),
        alpha=None,
        anchor=(box[:2] + box[2:]) / 2,
        side=float((box[2:] - box[:2]).max()),
        landmarks=landmarks,
    )


def head_picture(picture: Picture) -> Picture:
    """The head alone, an ellipse with a soft rim, to be put before a background."""
    assert picture.landmarks is not None
    box = points_box(picture.landmarks)
    width, height = box[2:] - box[:2]
    middle = picture.anchor - [0, 0.15 * height]  # the box begins at the brows
    axes = np.array([0.8 * width, 1.0 * height])
    corner = np.floor(middle - axes).astype(int)
    columns, rows = np.ceil(2 * axes).astype(int) + 1
    y, x = np.indices((rows, columns)) + 0.5
    radius = np.hypot((x + corner[0] - middle[0]) / axes[0], (y + corner[1] - middle[1]) / axes[1])
    area = slice(corner[1], corner[1] + rows), slice(corner[0], corner[0] + columns)
    return Picture(
        pixels=np.ascontiguousarray(picture.pixels[area]),
        alpha=np.clip((1 - radius) / 0.12, 0, 1).astype(np.float32),
        anchor=picture.anchor - corner,
        side=picture.side,
        landmarks=picture.landmarks - corner,
    )


def background_picture(image: ImageArray) -> Picture:
    """A photo, a little out of focus; its side is the part of its width that fills a frame."""
    height, width = image.shape[:2]
    return Picture(
        pixels=np.asarray(cv2.GaussianBlur(image, (0, 0), 1), dtype=np.uint8),
        alpha=None,
        anchor=np.array([width, height]) / 2,
        side=min(width, height * WIDTH / HEIGHT),
    )


def patch_picture(image: ImageArray, aspect: float) -> Picture:
    """The middle of a photo as a rectangle, ``aspect`` times as wide as high, to cover things."""
    height, width = image.shape[:2]
    rows = int(min(height, width / aspect))
    columns = int(rows * aspect)
    top, left = (height - rows) // 2, (width - columns) // 2
    alpha = np.zeros((rows, columns), dtype=np.float32)
    alpha[1:-1, 1:-1] = 1  # the warp makes a smooth edge of the step
    return Picture(
        pixels=np.ascontiguousarray(image[top : top + rows, left : left + columns]),
        alpha=alpha,
        anchor=np.array([columns, rows]) / 2,
        side=float(max(rows, columns)),
    )


SCENES = (
    "still", "light", "compression", "pan", "zoom", "turn", "shake", "fast", "occluder", "cut",
    "crossing", "enter", "empty",
)  # fmt: skip
"""Names of the scenes, in the order of `make_scenes`."""


def make_scenes(
    faces: Sequence[LabelledFace], backgrounds: Sequence[Path], index: int
) -> list[Scene]:
    """The scenes of one photo, which is ``faces[index]``; where more people are needed, others."""
    count = len(faces)
    subject, second, third = (
        photo_picture(faces[(index + step) % count]) for step in (0, count // 3, 2 * count // 3)
    )
    images = [load_image(backgrounds[(4 * index + i) % len(backgrounds)]) for i in range(4)]
    scenes = [
        *_one_face(subject),
        _shake(subject, index),
        _fast(subject),
        _occluder(subject, images[0], images[1]),
        _cut(subject, second, third),
        _crossing(head_picture(subject), head_picture(second), images[0]),
        _enter(head_picture(subject), head_picture(second), images[1]),
        _empty(images),
    ]
    return [replace(scene, seed=index) for scene in scenes]


def _one_face(subject: Picture) -> list[Scene]:
    """Scenes of one smooth motion, or of none."""

    def scene(name: str, length: int, path: Path2D) -> Scene:
        return Scene(name, length, (Layer(subject, path),))

    resting = scene("", 90, lambda _: (320, 250, FACE, 0))
    resting = replace(resting, still=True)
    return [
        replace(resting, name="still", noise=5.0),
        replace(resting, name="light", length=120, gain=_changing_light),
        replace(resting, name="compression", quality=lambda t: 40 if t % 2 else 20),
        scene("pan", 120, lambda t: (320 + 170 * _wave(t, 120), 245 + 25 * _wave(t, 60), FACE, 0)),
        scene("zoom", 120, lambda t: (320, 250, 150 * np.exp(0.31 * _wave(t, 90)), 0)),
        scene("turn", 120, lambda t: (320, 245, FACE, 40 * _wave(t, 120))),
    ]


def _wave(t: float, period: float) -> float:
    return float(np.sin(2 * np.pi * t / period))


def _step(t: float, start: float, frames: float) -> float:
    """0 before ``start``, 1 from ``frames`` later on, smooth between."""
    s = min(max((t - start) / frames, 0.0), 1.0)
    return s * s * (3 - 2 * s)


def _changing_light(t: int) -> FloatArray:
    """Brightness and colour go up and down; from frame 60 to 80 somebody switches a lamp off."""
    brightness = np.exp(0.45 * _wave(t, 50)) * (0.35 if 60 <= t < 80 else 1.0)
    tint = 0.15 * _wave(t, 80)
    return np.asarray(brightness * np.array([1 + tint, 1.0, 1 - tint]))


def _shake(subject: Picture, seed: int) -> Scene:
    """A camera held by a walker: position and angle drift and tremble, the faster the less."""
    rng = np.random.default_rng(seed)
    hertz = np.geomspace(0.3, 9, 16)
    phases = rng.uniform(0, 2 * np.pi, (3, 16))
    amplitudes = np.array([7.0, 7.0, 1.5])[:, None] * hertz[0] ** 0.5 / hertz**0.5

    def path(t: float) -> tuple[float, float, float, float]:
        x, y, angle = (amplitudes * np.sin(2 * np.pi * hertz * t / FPS + phases)).sum(axis=1)
        return 320 + x, 250 + y, FACE, angle

    return Scene("shake", 120, (Layer(subject, path),))


def _fast(subject: Picture) -> Scene:
    """Sudden moves of half a face within five frames, and a rest after each."""
    stops = FACE * np.array([[0, 0], [0.5, 0], [0, 0], [-0.5, 0], [-0.5, 0.4], [0, 0.4], [0, 0]])

    def path(t: float) -> tuple[float, float, float, float]:
        x, y = stops[0]
        for i, (dx, dy) in enumerate(np.diff(stops, axis=0)):
            done = _step(t, 20 + 20 * i, 5)
            x, y = x + done * dx, y + done * dy
        return 320 + x, 230 + y, FACE, 0

    return Scene("fast", 145, (Layer(subject, path),))


def _occluder(subject: Picture, bar: ImageArray, board: ImageArray) -> Scene:
    """A bar passes before the face; then a board covers all of it for a second."""

    def face(t: float) -> tuple[float, float, float, float]:
        return 320 + 25 * _wave(t, 100), 250, FACE, 0

    def bar_path(t: float) -> tuple[float, float, float, float]:
        return 130 + 6 * t, 260, 1.6 * FACE, 10

    def board_path(t: float) -> tuple[float, float, float, float]:
        there, away = _step(t, 70, 12), _step(t, 112, 12)
        return -200 + 520 * there + 640 * away, 240, 2.4 * FACE, 0

    layers = (
        Layer(subject, face),
        Layer(patch_picture(bar, 0.2), bar_path, stop=70),
        Layer(patch_picture(board, 1.3), board_path, start=70, stop=125),
    )
    return Scene("occluder", 160, layers)


def _cut(*people: Picture) -> Scene:
    """Every 35 frames another person at another place; in the end the first one again."""
    places = ((220, 230, 150.0), (440, 240, 180.0), (230, 270, 130.0))

    def shot(number: int) -> Layer:
        person = number % len(people)
        x, y, side = places[person]
        return Layer(
            people[person],
            lambda t: (x + 15 * _wave(t, 80), y, side, 0),
            start=35 * number,
            stop=35 * (number + 1),
            person=person,
        )

    shots = tuple(shot(number) for number in range(len(people) + 1))
    return Scene("cut", 35 * len(shots), shots, people=len(people))


def _crossing(front: Picture, behind: Picture, background: ImageArray) -> Scene:
    """Two people pass each other and come back; one goes before the other."""
    layers = (
        _backdrop(background),
        Layer(behind, lambda t: (320 - 180 * _wave(t + 40, 160), 225, 120, 0), person=1),
        Layer(front, lambda t: (320 + 180 * _wave(t + 40, 160), 255, 135, 0), person=0),
    )
    return Scene("crossing", 160, layers, people=2, at_once=2)


def _enter(leaving: Picture, entering: Picture, background: ImageArray) -> Scene:
    """One person leaves the frame to the left, and another enters from the right."""
    layers = (
        _backdrop(background),
        Layer(leaving, lambda t: (320 - 480 * _step(t, 15, 45), 240, FACE, 0), stop=60),
        Layer(
            entering,
            lambda t: (820 - 480 * _step(t, 75, 45), 250, FACE, 0),
            start=75,
            person=1,
        ),
    )
    return Scene("enter", 150, layers, people=2)


def _empty(backgrounds: Sequence[ImageArray]) -> Scene:
    """No face, 30 frames of each background."""
    layers = tuple(
        _backdrop(image, start=30 * i, stop=30 * (i + 1)) for i, image in enumerate(backgrounds)
    )
    return Scene("empty", 30 * len(backgrounds), layers, people=0)


def _backdrop(image: ImageArray, start: int = 0, stop: int = 1_000_000) -> Layer:
    """A background that sways a little."""

    def path(t: float) -> tuple[float, float, float, float]:
        return 320 + 15 * _wave(t, 90), 240, 1.1 * WIDTH, 0

    return Layer(background_picture(image), path, start, stop)
