"""Draws pictures of the documentation: `python docs/pictures.py` (needs matplotlib).

Those of docs/conventions.md; of docs/howto/video.md, whose videos are a camera's move over photos,
with noise; of docs/howto/migrate-mediapipe.md; and of docs/accuracy.md what is hard. With
`--data DATA` only those of docs/gallery.md, from `DATA/open/interfaces`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

import asmnet
from asmnet.geometry import CropTransform, FloatArray, euler_to_rotation
from asmnet.image import ImageArray, crop_image, load_image

DOCS = Path(__file__).parent
PHOTOS = DOCS.parent / "examples" / "photos"
PHOTO = PHOTOS / "london_037_03.jpg"
RATE = 30  # frames a second of the made videos
COLOURS = ("#0b84a5", "#ca472f", "#6f4e7c", "#9c6b00", "#2e8b57")
# Photos of docs/gallery.md: of many kinds of people, and all kinds of failures that the set has.
GOOD = (
    "001", "006", "010", "014", "015", "016", "021", "023", "026", "028", "030", "034",
    "037", "047", "048", "056", "058", "062", "065", "078", "079", "081", "093", "096",
)  # fmt: skip
FAILED = ("003", "019", "024", "055", "063", "071", "017", "008", "002", "018")


def to_98(points: FloatArray) -> FloatArray:
    """(68, 2) to WFLW's (98, 2) for a drawing: points in between are put between neighbours."""
    out = np.zeros((98, 2))
    out[0:33:2] = points[:17]
    out[1:32:2] = (points[:16] + points[1:17]) / 2
    thick = np.linalg.norm(points[36] - points[45]) * np.array([0, 0.035])
    out[33], out[34:38], out[41:37:-1] = points[17], points[18:22] - thick, points[18:22] + thick
    out[46], out[42:46], out[50:46:-1] = points[26], points[22:26] - thick, points[22:26] + thick
    out[51:60] = points[27:36]
    for first, eye in ((60, points[36:42]), (68, points[42:48])):
        out[[first, first + 4]] = eye[[0, 3]]
        out[first + 2], out[first + 6] = eye[1:3].mean(axis=0), eye[4:6].mean(axis=0)
        for target, near, far in ((1, 1, 0), (3, 2, 3), (5, 4, 3), (7, 5, 0)):
            out[first + target] = (2 * eye[near] + eye[far]) / 3
    out[76:96] = points[48:68]
    out[96], out[97] = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return out


def draw_layout(
    scheme: asmnet.LandmarkScheme,
    points: FloatArray,
    photo: ImageArray,
    numbers: Sequence[int] | None = None,
) -> Figure:
    """The numbered points over a faded photo; the numbers are their own unless given."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots()
    faded = (255 - (255 - photo.astype(float)) * 0.35).astype(np.uint8)
    axes.imshow(faded, extent=(0, 1, 1, 0))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(scheme.groups)}
    for start, end in scheme.edges:
        axes.plot(*points[[start, end]].T, color="0.45", linewidth=0.8)
    for name, indices in scheme.groups.items():
        axes.plot(*points[indices].T, ".", color=colours[name], markersize=7)
        for place, i in enumerate(indices):
            below = name == "inner_lip" and place > len(indices) // 2
            axes.annotate(
                str(i if numbers is None else numbers[i]), points[i],
                xytext=(0, -11 if below else 4), textcoords="offset points",
                ha="center", fontsize=9, color=colours[name], weight="bold",
            )  # fmt: skip
    axes.axis("off")
    return figure


def mesh_numbers() -> Sequence[int]:
    """Points of MediaPipe's mesh for 300W's 68, from the benchmark of tracking."""
    sys.path.append(str(DOCS.parent / "benchmarks"))
    from tracking.mesh import MESH_68

    return MESH_68.tolist()


def head() -> tuple[list[FloatArray], FloatArray]:
    """Lines of a simple head (x = the subject's left, y up, z out of the face), and its nose."""
    angle = np.linspace(0, 2 * np.pi, 60)
    lines = []
    for height in np.linspace(-0.8, 0.8, 7):
        radius = 0.75 * np.sqrt(1 - height**2)
        lines.append(
            np.stack([radius * np.cos(angle), 0 * angle + height, radius * np.sin(angle)], 1)
        )
    for turn in np.linspace(0, np.pi, 7)[:-1]:
        ring = np.stack([0.75 * np.cos(angle), np.sin(angle), 0 * angle], 1)
        lines.append(ring @ euler_to_rotation(np.array([0, np.degrees(turn), 0])).T)
    nose = np.array([[0, 0.15, 0.72], [0, -0.12, 1.0], [-0.12, -0.2, 0.72], [0.12, -0.2, 0.72]])
    return lines, nose


def draw_head(axes: Axes, pitch: float, yaw: float, roll: float, title: str) -> None:
    """A head turned by three angles in degrees, with its axes, as the viewer sees it."""
    rotation = euler_to_rotation(np.array([pitch, yaw, roll]))
    lines, nose = head()
    for line in lines:
        x, y, z = (line @ rotation.T).T
        axes.plot(
            np.where(z > 0, x, np.nan), np.where(z > 0, y, np.nan), color="0.6", linewidth=0.7
        )
    corners = nose @ rotation.T
    for a, b in ((0, 1), (1, 2), (1, 3), (2, 3)):
        axes.plot(*corners[[a, b], :2].T, color="0.2", linewidth=1.5)
    for eye in ([-0.28, 0.2, 0.68], [0.28, 0.2, 0.68]):
        x, y, z = rotation @ np.array(eye)
        if z > 0:
            axes.plot(x, y, "o", color="0.2", markersize=5)
    for axis, colour in zip(rotation.T, ("#eb3c3c", "#3cc83c", "#466eff"), strict=True):
        axes.annotate(
            "", 1.35 * axis[:2], (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 2.5}
        )
    axes.set(title=title, xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal")
    axes.axis("off")


def draw_poses() -> Figure:
    """What the signs of the three angles mean, as the viewer sees it."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    columns = figure.subplots(2, 3).T
    for column, name, signs in zip(
        columns,
        ("pitch", "yaw", "roll"),
        (("looks up", "looks down"), ("nose to image left", "nose to image right"),
         ("clockwise", "anticlockwise")),
        strict=True,
    ):  # fmt: skip
        for axes, sign, meaning in zip(column, (1, -1), signs, strict=True):
            angles = {"pitch": 0.0, "yaw": 0.0, "roll": 0.0} | {name: sign * 30.0}
            draw_head(axes, **angles, title=f"{name} {sign * 30:+d}°: {meaning}")
    return figure


def camera(
    photo: ImageArray, path: FloatArray, size: tuple[int, int], noise: float
) -> list[ImageArray]:
    """Frames (width, height) of a noisy camera over a photo: (n, 4) of x, y, zoom and roll (°)."""
    rng = np.random.default_rng(0)
    frames = []
    for x, y, zoom, roll in path:
        matrix = cv2.getRotationMatrix2D((x, y), roll, zoom)
        matrix[:, 2] += np.array(size) / 2 - [x, y]
        frame = cv2.warpAffine(photo, matrix, size, borderMode=cv2.BORDER_REFLECT)
        frame = frame + rng.normal(0, noise, frame.shape)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def sweep(frames: int) -> FloatArray:
    """A camera that goes over the crew of Apollo 11 and back: (frames, 4) for `camera`."""
    t = np.linspace(0, 2 * np.pi, frames, endpoint=False)
    return np.stack(
        [620 - 150 * np.cos(t), 330 + 20 * np.sin(t), 0.47 - 0.05 * np.cos(2 * t), 8 * np.sin(t)],
        axis=1,
    )


def tracked(frames: list[ImageArray], rate: float = RATE) -> list[ImageArray]:
    """The frames with their faces drawn."""
    tracker = asmnet.FaceTracker()
    return [
        asmnet.draw_faces(frame, tracker.update(frame, i / rate)) for i, frame in enumerate(frames)
    ]


def draw_strip(frames: list[ImageArray]) -> Image.Image:
    """A few frames in a row, from the first to the middle one."""
    chosen = [frames[i] for i in np.linspace(0, len(frames) // 2, 4).astype(int)]
    gap = np.full((len(chosen[0]), 6, 3), 255, np.uint8)
    parts = [part for frame in chosen for part in (frame, gap)]
    return Image.fromarray(np.concatenate(parts[:-1], axis=1))


def draw_animation(frames: list[ImageArray], path: Path) -> None:
    """A GIF of every third frame; few colours, the same in all, keep it small."""
    images = [Image.fromarray(frame) for frame in frames[::3]]
    palette = images[0].quantize(64)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    first.save(path, save_all=True, append_images=others, duration=3000 / RATE, loop=0)


def draw_smoothing() -> Figure:
    """The way of an eye corner: at rest, in a quick move, at rest; with and without smoothing."""
    time = np.arange(3 * RATE) / RATE
    x = 224 + 40 * np.clip((time - 1.4) / 0.2, 0, 1)
    path = np.stack([x, 0 * x + 140, 0 * x + 1, 0 * x], axis=1)
    frames = camera(load_image(PHOTOS / "astronaut.png"), path, (320, 256), noise=20)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    for smoothing, label, colour in (
        (None, "as the network gives it", "0.6"),
        (asmnet.Smoothing(), "smoothed", COLOURS[1]),
    ):
        tracker = asmnet.FaceTracker(smoothing=smoothing)
        corner = asmnet.IBUG_68.eye_corners[0]
        seen = [
            tracker.update(frame, t)[0].landmarks[corner, 0]
            for frame, t in zip(frames, time, strict=True)
        ]
        for part in axes:
            part.plot(time, seen, color=colour, linewidth=1.5, label=label)
    axes[0].set(title="Outer corner of the right eye", ylabel="x, pixels", xlabel="seconds")
    rest = [line.get_ydata()[:RATE] for line in axes[1].lines]
    middle = float(np.mean(rest))
    axes[1].set(
        title="the same, the first second", xlim=(0, 1), ylim=(middle - 0.8, middle + 0.8),
        xlabel="seconds",
    )  # fmt: skip
    axes[0].legend(frameon=False)
    return figure


def hard_views() -> dict[str, ImageArray]:
    """A photo of one face, 320 pixels square, made hard in several ways."""
    photo = load_image(PHOTOS / "astronaut.png")
    box = asmnet.detect(photo)[0].bbox.astype(np.float64)

    def view(margin: float = 2.2, angle: float = 0.0) -> ImageArray:
        return crop_image(photo, CropTransform.from_bbox(box, 320, margin=margin, angle=angle))

    plain, rng = view(), np.random.default_rng(0)
    mouth, half = plain.copy(), plain.copy()
    mouth[135:200, 95:225] = (70, 110, 160)
    half[60:260, 60:160] = (70, 110, 160)
    dark = plain * 0.05 + rng.normal(0, 6, plain.shape)
    return {
        "plain": plain,
        "turned by 45°": view(angle=45),
        "turned by 70°": view(angle=70),
        "upside down": view(angle=180),
        "mouth covered": mouth,
        "half covered": half,
        "out of focus": cv2.GaussianBlur(plain, (0, 0), 9),
        "dark and noisy": np.clip(dark, 0, 255).astype(np.uint8),
        "24 pixels": view(margin=320 / 24),
        "14 pixels": view(margin=320 / 14),
    }


def draw_hard() -> Figure:
    """What is found in :func:`hard_views`; points of low confidence are red."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    for axes, (name, view) in zip(figure.subplots(2, 5).flat, hard_views().items(), strict=True):
        lit = np.clip(view * 4.0, 0, 255).astype(np.uint8) if "dark" in name else view
        show(axes, name, lit, asmnet.detect(view))
        if "pixels" in name:
            axes.set(xlim=(110, 210), ylim=(210, 110))
    return figure


def show(
    axes: Axes, name: str, image: ImageArray, faces: list[asmnet.Face], *, dot: float = 3
) -> None:
    """An image with points, red where confidence is low, and the scores above it."""
    axes.imshow(image)
    for face in faces:
        assert face.confidence is not None
        colours = np.where(face.confidence >= 0.5, "#00e678", "#ff3030")
        axes.scatter(*face.landmarks.T, s=dot, c=colours.tolist())
    found = ", ".join(f"{face.score:.2f}" for face in faces) or "not found"
    axes.set_title(f"{name}: {found}", fontsize=9)
    axes.axis("off")


def draw_gallery(folder: Path, names: Sequence[str], columns: int) -> Figure:
    """A contact sheet of photos, named by their number, with what is found in them."""
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    for axes, name in zip(figure.subplots(rows, columns).flat, names, strict=True):
        image = load_image(folder / f"{name}.jpg")
        faces = asmnet.detect(image)
        show(axes, name, image, faces, dot=0.8)
        for x0, y0, x1, y1 in (face.bbox for face in faces):
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="#ffdc00"))
    return figure


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="draw those of docs/gallery.md from this folder")
    data = parser.parse_args().data
    if data is not None:
        for name, photos, columns in (("good", GOOD, 6), ("failed", FAILED, 5)):
            draw_gallery(data / "open" / "interfaces", photos, columns).savefig(
                DOCS / "images" / f"gallery_{name}.jpg", dpi=100, pil_kwargs={"quality": 82}
            )
        return
    photo = load_image(PHOTO)
    face = asmnet.detect(photo)[0]
    crop = CropTransform.from_bbox(face.bbox, 900, margin=1.25)
    points = crop.apply(face.landmarks) / 900
    image = crop_image(photo, crop)
    draw_layout(asmnet.IBUG_68, points, image).savefig(DOCS / "images" / "ibug68.png", dpi=90)
    draw_layout(asmnet.WFLW_98, to_98(points), image).savefig(
        DOCS / "images" / "wflw98.png", dpi=90
    )
    mesh = draw_layout(asmnet.IBUG_68, points, image, mesh_numbers())
    mesh.savefig(DOCS / "images" / "mesh68.png", dpi=90)
    draw_poses().savefig(DOCS / "images" / "pose_signs.png", dpi=90)
    crew = load_image(PHOTOS / "apollo11_crew.jpg")
    frames = tracked(camera(crew, sweep(3 * RATE), (320, 240), noise=2))
    draw_animation(frames, DOCS / "images" / "tracking.gif")
    draw_strip(frames).save(DOCS / "images" / "tracking_strip.jpg", quality=88)
    draw_smoothing().savefig(DOCS / "images" / "smoothing.png", dpi=90)
    draw_hard().savefig(DOCS / "images" / "hard.png", dpi=90)


if __name__ == "__main__":
    main()
