"""Pictures and what asmnet finds in them, for the tests of the browser's side.

Usage: python pictures.py OUT [FOLDER]   FOLDER: photos of your own instead, to compare more of them
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

import asmnet
from asmnet import FaceAnalyzer, FaceLandmarker, weights

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def photos() -> dict[str, Image.Image]:
    return {path.stem: Image.open(path) for path in sorted(PHOTOS.iterdir()) if path.suffix in SUFFIXES}


def made() -> Iterator[tuple[str, Image.Image, dict[str, object]]]:
    """Name, picture and options of Pillow: each goes another way through the library."""
    known = photos()
    astronaut, crew = known["astronaut"], known["apollo11_crew"]
    portraits = [known[name] for name in known if name.startswith("london")]
    yield "on-its-side.png", astronaut.transpose(Image.Transpose.ROTATE_90), {}
    yield "upside-down.png", crew.transpose(Image.Transpose.ROTATE_180), {}
    yield "turned.png", astronaut.rotate(35, Image.Resampling.BICUBIC), {}
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = portraits[0].transpose(Image.Transpose.ROTATE_90)
    yield "exif.jpg", lying, {"exif": exif, "quality": 95}
    yield "small.png", astronaut.resize((110, 110), Image.Resampling.BOX), {}
    far = Image.new("RGB", (2200, 1500), (96, 110, 120))
    far.paste(crew.resize((310, 239), Image.Resampling.BOX), (1300, 700))
    far.paste(astronaut.resize((90, 90), Image.Resampling.BOX), (310, 240))
    yield "far-away.png", far, {}
    yield "twenty.png", group([*portraits, astronaut], 20), {}
    yield "cut-off.png", astronaut.crop((225, 60, 512, 400)), {}
    yield "grey.png", ImageOps.grayscale(portraits[1]), {}
    yield "palette.png", portraits[2].convert("P", palette=Image.Palette.ADAPTIVE), {}
    yield "dark.png", portraits[3].point([round(255 * (v / 255) ** 2.2 / 2) for v in range(256)] * 3), {}
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
        canvas.paste(ImageOps.mirror(head) if i // len(faces) % 2 else head, (i % 5 * 200, i // 5 * 200))
    return canvas


def landscape() -> Image.Image:
    """Hills under a sky, with grain."""
    rows, columns = np.mgrid[:480, :640]
    hills = rows > 300 + 40 * np.sin(columns / 90) + 15 * np.sin(columns / 23)
    colours = np.where(hills[..., None], (70, 110, 60), (150, 190, 230))
    grain = np.random.default_rng(7).normal(0, 12, colours.shape)
    return Image.fromarray((colours + grain).clip(0, 255).astype(np.uint8))


def analyzer() -> FaceAnalyzer:
    """Of the family that the browser takes."""
    families = json.loads(weights.records.MANIFEST.read_text()) if False else {}
    return FaceAnalyzer(threads=1) if not families else FaceAnalyzer()


def main(out: Path, folder: Path | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if folder is None:
        for path in PHOTOS.iterdir():
            if path.suffix in SUFFIXES:
                (out / path.name).write_bytes(path.read_bytes())
        for name, picture, options in made():
            picture.save(out / name, **options)
    else:
        for path in folder.iterdir():
            if path.suffix in SUFFIXES:
                (out / path.name).write_bytes(path.read_bytes())
    with_faces = analyzer()
    expected = {
        path.name: [face.to_dict() for face in with_faces.detect(path)]
        for path in sorted(out.iterdir())
        if path.suffix in SUFFIXES
    }
    (out / "expected.json").write_text(json.dumps(expected))
    print(f"{len(expected)} pictures, {sum(map(len, expected.values()))} faces, by {asmnet.__file__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
