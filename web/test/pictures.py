"""Makes pictures, and what the installed asmnet finds in them: what the browser must find as well.

Usage: python pictures.py OUT [FOLDER]   FOLDER: photos of your own instead, to compare more of them
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from asmnet import FaceAnalyzer, FaceTracker
from asmnet.image import load_image
from asmnet.weights.family import families

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# The browser takes the open weights where there are some.
FAMILY = "open" if "open" in families() else "research"
CLIP_FRAMES, HIDDEN_FRAMES = 40, range(15, 21)


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def made() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """Name, picture and options of Pillow: each goes another way through the library."""
    known = {path.stem: Image.open(path) for path in pictures_of(PHOTOS)}
    astronaut, crew = known["astronaut"], known["apollo11_crew"]
    portraits = [known[name] for name in known if name.startswith("london")]
    yield "on-its-side.png", astronaut.transpose(Image.Transpose.ROTATE_90), {}
    yield "upside-down.png", portraits[3].transpose(Image.Transpose.ROTATE_180), {}
    yield "turned.png", astronaut.rotate(35, Image.Resampling.BICUBIC), {}
    orientation = Image.Exif()
    orientation[0x0112] = 6
    lying = portraits[0].transpose(Image.Transpose.ROTATE_90)
    yield "exif.jpg", lying, {"exif": orientation, "quality": 95}
    yield "small.png", astronaut.resize((110, 110), Image.Resampling.BOX), {}
    far = Image.new("RGB", (2200, 1500), (96, 110, 120))
    far.paste(crew.resize((310, 239), Image.Resampling.BOX), (1300, 700))
    far.paste(astronaut.resize((90, 90), Image.Resampling.BOX), (310, 240))
    yield "far-away.png", far, {}
    yield "twenty.png", group([*portraits, astronaut], 20), {}
    yield "cut-off.png", astronaut.crop((225, 60, 512, 400)), {}
    yield "grey.png", ImageOps.grayscale(portraits[1]), {}
    yield "palette.png", portraits[2].convert("P", palette=Image.Palette.ADAPTIVE), {}
    darker = [round(255 * (v / 255) ** 2.2 / 2) for v in range(256)]
    yield "dark.png", portraits[3].point(darker * 3), {}
    yield "blurred.png", crew.filter(ImageFilter.GaussianBlur(3)), {}
    yield "mirrored.webp", ImageOps.mirror(crew), {"lossless": True}
    yield "large.jpg", crew.resize((4960, 3828), Image.Resampling.BICUBIC), {"quality": 90}
    yield "no-face.png", landscape(), {}
    yield "fifty-megapixels.jpg", astronaut.resize((7100, 7100), Image.Resampling.BICUBIC), {}


def group(faces: list[Image.Image], count: int) -> Image.Image:
    """So many heads in rows of five."""
    canvas = Image.new("RGB", (5 * 200, -(-count // 5) * 200), (128, 128, 128))
    for i in range(count):
        head = faces[i % len(faces)].resize((200, 200), Image.Resampling.BOX)
        place = (i % 5 * 200, i // 5 * 200)
        canvas.paste(ImageOps.mirror(head) if i // len(faces) % 2 else head, place)
    return canvas


def landscape() -> Image.Image:
    """Hills under a sky, with grain."""
    rows, columns = np.mgrid[:480, :640]
    hills = rows > 300 + 40 * np.sin(columns / 90) + 15 * np.sin(columns / 23)
    colours = np.where(hills[..., None], (70, 110, 60), (150, 190, 230))
    grain = np.random.default_rng(7).normal(0, 12, colours.shape)
    return Image.fromarray((colours + grain).clip(0, 255).astype(np.uint8))


def clip() -> Iterator[Image.Image]:
    """Frames: a camera moves over the crew, and one face is hidden for a while.

    The faces are so large that no tracker measures the camera's motion for them.
    """
    crew = Image.open(PHOTOS / "apollo11_crew.jpg").resize((1736, 1340), Image.Resampling.BICUBIC)
    for i in range(CLIP_FRAMES):
        frame = crew.copy()
        if i in HIDDEN_FRAMES:
            frame.paste((70, 60, 50), (760, 160, 920, 370))
        yield frame.crop((180 + 5 * i, 80 + 2 * i, 1140 + 5 * i, 720 + 2 * i))


def main(out: Path, folder: Path | None) -> None:
    """Fills the folder ``out``."""
    shutil.rmtree(out, ignore_errors=True)
    pictures = out / "pictures"
    pictures.mkdir(parents=True)
    for path in pictures_of(folder or PHOTOS):
        shutil.copyfile(path, pictures / path.name)
    if folder is None:
        for name, picture, options in made():
            picture.save(pictures / name, **options)
    analyzer = FaceAnalyzer(weights=FAMILY)
    # As pixels: large JPEG files Python decodes smaller than they are, which no browser does.
    found = {
        path.name: [face.to_dict() for face in analyzer.detect(load_image(path))]
        for path in pictures_of(pictures)
    }
    (out / "pictures.json").write_text(json.dumps(found))
    print(f"{len(found)} pictures, {sum(map(len, found.values()))} faces, {FAMILY} weights")

    tracker = FaceTracker(weights=FAMILY)
    (out / "clip").mkdir()
    tracked, camera = [], io.BytesIO()
    for i, frame in enumerate(clip()):
        file = out / "clip" / f"{i}.jpg"
        frame.save(file, quality=90)
        camera.write(file.read_bytes())
        tracked.append([face.to_dict() for face in tracker.update(file, i / 30)])
    (out / "clip.json").write_text(json.dumps(tracked))
    # Chromium plays it as its camera.
    (out / "camera.mjpeg").write_bytes(camera.getvalue())
    (out / "notes.txt").write_text("No picture.\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
