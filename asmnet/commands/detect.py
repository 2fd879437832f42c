"""``asmnet detect``: faces of photo files as a table, JSON or pictures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from asmnet.analyzer import FaceAnalyzer
from asmnet.commands.options import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    add_face_options,
    add_threads_option,
)
from asmnet.draw import draw_faces
from asmnet.errors import ImageError
from asmnet.image import load_image
from asmnet.types import Face


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser of ``asmnet``."""
    parser = commands.add_parser(
        "detect",
        help="find the faces of photos",
        description="Prints a line for each face: file, score, box, and head pose in degrees.",
        epilog="pitch > 0 looks up; yaw > 0 turns the nose to the image's left; roll > 0 tilts "
        "clockwise. Exit code: 0 done, with faces or none; 1 a file failed; 2 wrong use.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image files")
    add_face_options(parser)
    add_threads_option(parser)
    parser.add_argument("--json", metavar="FILE", help='write all results; "-": standard output')
    parser.add_argument(
        "--draw", type=Path, metavar="DIR", help="write each photo with its faces drawn"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Analyses the files; a file that fails does not stop the others."""
    analyzer = FaceAnalyzer(landmarks=options.landmarks, threads=options.threads)
    results: list[dict[str, Any]] = []
    failures: list[str] = []
    taken: set[Path] = set()
    # With JSON on standard output the table would spoil it.
    table = sys.stderr if options.json == "-" else sys.stdout
    if options.draw is not None:
        try:
            options.draw.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"asmnet: --draw: cannot make the folder: {error}", file=sys.stderr)
            return EXIT_USAGE
    width = max(len(path) for path in options.paths)
    print(f"{'file':{width}}  score  {'x0, y0, x1, y1':24}  pitch    yaw   roll", file=table)
    for path in options.paths:
        try:
            image = load_image(path)
            faces = analyzer.detect(image, min_score=options.min_score, max_faces=options.max_faces)
            if options.draw is not None:
                _save(draw_faces(image, faces), _free_path(options.draw, Path(path), taken))
        except (ImageError, OSError) as error:
            failures.append(str(error) if path in str(error) else f"{path}: {error}")
            results.append({"file": path, "error": str(error)})
            print(f"{path:{width}}  failed", file=table, flush=True)
            continue
        results.append({"file": path, "faces": [face.to_dict() for face in faces]})
        for face in faces:
            print(f"{path:{width}}  {_row(face)}", file=table, flush=True)
        if not faces:
            print(f"{path:{width}}  no face", file=table, flush=True)
    if options.json == "-":
        print(json.dumps(results, indent=2))
    elif options.json is not None:
        try:
            Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            failures.append(f"--json: {error}")
    for failure in failures:
        print(f"asmnet: {failure}", file=sys.stderr)
    if failures:
        print(f"asmnet: {len(failures)} failed", file=sys.stderr)
    return EXIT_FAILED if failures else EXIT_OK


def _row(face: Face) -> str:
    box = ", ".join(f"{v:.0f}" for v in face.bbox)
    pose = face.pose
    return f"{face.score:5.2f}  {box:24}  {pose.pitch:5.0f}  {pose.yaw:5.0f}  {pose.roll:5.0f}"


def _free_path(folder: Path, source: Path, taken: set[Path]) -> Path:
    """``folder/NAME.jpg``, numbered where two sources of this run have the same name."""
    path, number = folder / f"{source.stem}.jpg", 2
    while path in taken:
        path, number = folder / f"{source.stem}-{number}.jpg", number + 1
    taken.add(path)
    return path


def _save(image: Any, path: Path) -> None:
    Image.fromarray(image).save(path, quality=92)
