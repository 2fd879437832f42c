"""What an evaluation leaves behind: tables, curves and pictures of faces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from asmnet.draw import draw_faces
from asmnet.evaluation.boxes import REFERENCE_SIDE, PhotoBoxes
from asmnet.geometry import FloatArray, box_iou, points_box
from asmnet.image import ImageArray, letterbox, warp
from asmnet.schemes import LandmarkScheme
from asmnet.types import Face

LABEL = (255, 60, 60)  # RGB, of labelled points
# RGB of boxes that a detector found, missed, and drew where nobody is.
FOUND, MISSED, FALSE = (60, 220, 60), (255, 60, 60), (255, 230, 40)
TILE, COLUMNS = 300, 6
TABLES = ("figures.json", "table.md")


def markdown(tables: Mapping[str, Mapping[str, float]]) -> str:
    """A table with a column a system and a row a figure."""
    names = list(dict.fromkeys(name for figures in tables.values() for name in figures))
    lines = ["| | " + " | ".join(tables) + " |", "|---" * (len(tables) + 1) + "|"]
    for name in names:
        cells = [_cell(f[name]) if name in f else "" for f in tables.values()]
        escaped = name.replace("|", "\\|")
        lines.append(f"| {escaped} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown_rows(rows: Sequence[Mapping[str, float | str]]) -> str:
    """A table with the columns of its fullest row; floats have two decimals."""
    names = max((list(row) for row in rows), key=len)
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(_cell(row.get(name, "–")) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: float | str) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value}"


def write_tables(folder: Path, tables: Mapping[str, Mapping[str, float]]) -> None:
    """Writes the `TABLES`, ``figures.json`` and ``table.md``, into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(tables, indent=2, ensure_ascii=False)
    for name, text in zip(TABLES, (figures, markdown(tables)), strict=True):
        (folder / name).write_text(text + "\n", encoding="utf-8")


def draw_error_curves(path: Path, errors: Mapping[str, FloatArray], limit: float = 10.0) -> None:
    """The cumulative error curves: share of faces over their NME in percent.

    ``errors`` has (n,) NMEs by the name of the line; an infinite one is a lost face.
    """
    from matplotlib.figure import Figure  # here: slow to import

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in errors.items():
        steps = np.sort(values[values <= limit])
        share = 100 * np.arange(len(steps) + 1) / len(values)
        x, y = np.concatenate([[0], steps, [limit]]), np.append(share, share[-1])
        axes.step(x, y, where="post", label=name)
    axes.set(xlim=(0, limit), ylim=(0, 100), xlabel="NME %", ylabel="faces %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def draw_reliability(path: Path, bins: Sequence[tuple[float, float, int]]) -> None:
    """How often points of a confidence are right.

    ``bins`` has mean confidence, share of right points and number of points of each step.
    """
    from matplotlib.figure import Figure  # here: slow to import

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    confidence, right, count = np.array(bins).T
    axes.plot([0, 1], [0, 1], color="lightgrey", zorder=0)
    axes.scatter(confidence, right, s=8 + 400 * count / count.sum(), zorder=2)
    axes.plot(confidence, right, alpha=0.4)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="confidence", ylabel="share of points that are right")
    axes.set_title("Reliability; the dot's area is the share of the points", fontsize="medium")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def draw_point_errors(
    path: Path, truth: FloatArray, errors: FloatArray, scheme: LandmarkScheme
) -> None:
    """The mean error of each point, (N,) percent, at the mean of (n, N, 2) labelled faces."""
    from matplotlib.figure import Figure  # here: slow to import

    boxes = points_box(truth)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    mean = ((truth - boxes[:, None, :2]) / sides[:, None, None]).mean(axis=0)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    x, y = mean.T
    for edge in scheme.edges:
        axes.plot(x[edge], y[edge], color="lightgrey", zorder=0)
    dots = axes.scatter(x, y, c=errors, s=12 * errors + 8, cmap="viridis")
    figure.colorbar(dots, label="mean error %", shrink=0.8)
    axes.set(aspect="equal")
    axes.invert_yaxis()
    axes.axis("off")
    figure.savefig(path, dpi=120)


def face_tile(
    image: ImageArray,
    faces: list[Face],
    box: FloatArray,
    *,
    truth: FloatArray | None = None,
    text: str = "",
) -> ImageArray:
    """(300, 300, 3) RGB: the surroundings of an xyxy box, with faces drawn and labels in red."""
    centre, half = (box[:2] + box[2:]) / 2, 0.8 * (box[2:] - box[:2]).max()
    scale = TILE / (2 * half)
    offset = TILE / 2 - scale * centre
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    tile = warp(draw_faces(image, faces), matrix, (TILE, TILE))
    bits = 4  # OpenCV takes sixteenths of a pixel, counted from the first pixel's centre
    for x, y in () if truth is None else scale * truth + offset - 0.5:
        at = (round(float(x) * 2**bits), round(float(y) * 2**bits))
        cv2.circle(tile, at, 24, LABEL, cv2.FILLED, cv2.LINE_AA, bits)
    font = cv2.FONT_HERSHEY_SIMPLEX
    for colour, width in ((0, 5), (255, 2)):  # white with a dark rim: legible on any photo
        cv2.putText(tile, text, (8, TILE - 10), font, 0.7, (colour,) * 3, width, cv2.LINE_AA)
    return tile


def photo_tile(image: ImageArray, photo: PhotoBoxes, hits: FloatArray) -> ImageArray:
    """(640, 640, 3) RGB: a whole photo with what was found, missed (red) and is false (yellow).

    Args:
        image: RGB.
        photo: boxes in its pixels.
        hits: (n,) of `face_scores`: finite where a face was found.
    """
    tile, scale = letterbox(image, REFERENCE_SIDE, multiple=REFERENCE_SIDE)
    on_face = box_iou(photo.found, photo.faces).max(axis=1, initial=0) > 0
    drawn = [
        (FOUND, photo.found[on_face]),
        (FALSE, photo.found[~on_face]),
        (MISSED, photo.faces[~np.isfinite(hits)]),
    ]
    for colour, boxes in drawn:
        for x0, y0, x1, y1 in (boxes * np.tile(scale, 2)).round().astype(int).tolist():
            cv2.rectangle(tile, (x0, y0), (x1, y1), colour, 1)
    return tile


def sheet(tiles: list[ImageArray], columns: int = COLUMNS) -> ImageArray:
    """Tiles of one size side by side; black where the last row has no more."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def write_picture(path: Path, image: ImageArray) -> None:
    """Writes an RGB picture."""
    Image.fromarray(image).save(path)  # OpenCV tells nobody of a file that it cannot write
