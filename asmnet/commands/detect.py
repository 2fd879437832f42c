"""``asmnet detect``: faces of photo files as a table, JSON or pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from PIL import Image

from asmnet.analyzer import FaceAnalyzer
from asmnet.commands.console import complain, printable
from asmnet.commands.options import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    add_face_options,
    add_pixels_option,
    add_threads_option,
    detector_of,
)
from asmnet.commands.outputs import OutputCheck, add_overwrite_option, open_output
from asmnet.draw import draw_faces
from asmnet.errors import ImageError, InvalidInputError
from asmnet.guard import guarded
from asmnet.image import load_image, pixel_limit
from asmnet.types import Face
from asmnet.weights import find_family


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser of ``asmnet``."""
    parser = commands.add_parser(
        "detect",
        help="find the faces of photos",
        description="Prints a line for each face: file, score, box, and head pose in degrees.",
        epilog="pitch > 0 looks up; yaw > 0 turns the nose to the image's left; roll > 0 tilts "
        "clockwise. Exit code: 0 done, with faces or none; 1 a file failed; 2 wrong use, or an "
        "output is there already; 130 interrupted.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image files")
    add_face_options(parser)
    add_pixels_option(parser)
    add_threads_option(parser)
    parser.add_argument("--json", metavar="FILE", help='write all results; "-": standard output')
    parser.add_argument(
        "--draw", type=Path, metavar="DIR", help="write each photo with its faces drawn"
    )
    add_overwrite_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Analyses the files; a file that fails does not stop the others."""
    try:
        find_family(options.weights).landmarker(options.landmarks)  # before anything is made
        pictures = _check_outputs(options)
    except (InvalidInputError, OSError) as error:
        complain(str(error))
        return EXIT_USAGE
    analyzer = FaceAnalyzer(
        landmarks=options.landmarks,
        weights=options.weights,
        detector=detector_of(options, options.threads),
        threads=options.threads,
    )
    results: list[dict[str, Any]] = []
    failures: list[str] = []
    table = _Table(options)
    interrupt: KeyboardInterrupt | None = None
    try:
        for path, picture in zip(options.paths, pictures, strict=True):
            try:
                with guarded(path), pixel_limit(options.max_pixels):
                    image = load_image(path)
                    faces = analyzer.detect(
                        image, min_score=options.min_score, max_faces=options.max_faces
                    )
                    if picture is not None:
                        _save(draw_faces(image, faces), picture, overwrite=options.overwrite)
            except ImageError as error:
                failures.append(str(error) if path in str(error) else f"{path}: {error}")
                results.append({"file": path, "error": str(error)})
                table.add(path, ["failed"])
            else:
                results.append({"file": path, "faces": [face.to_dict() for face in faces]})
                table.add(path, [_row(face) for face in faces] or ["no face"])
            if table.error is not None and options.json is None and options.draw is None:
                break  # nobody would see what else there is
    except KeyboardInterrupt as error:
        interrupt = error  # the files until here are worth their JSON
    content = json.dumps(results, indent=2) + "\n"
    if options.json == "-":
        sys.stdout.write(content)
    elif options.json is not None:
        try:
            with open_output(Path(options.json), overwrite=options.overwrite) as file:
                file.write(content.encode("ascii"))
        except OSError as error:
            failures.append(f"--json: {error}")
    for failure in failures:
        complain(failure)
    if failures:
        complain(f"{len(failures)} failed")
    if interrupt is not None:
        raise interrupt
    if table.error is not None:
        raise table.error
    return EXIT_FAILED if failures else EXIT_OK


class _Table:
    """The lines for people.

    Attributes:
        error: why standard output takes no more of them; that need not stop the work.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        # With JSON on standard output the table would spoil it, and is of less account.
        self._file = sys.stderr if options.json == "-" else sys.stdout
        self._shown = True
        self._width = max(len(printable(path)) for path in options.paths)
        self.error: OSError | None = None
        self.add("file", [f"score  {'x0, y0, x1, y1':24}  pitch    yaw   roll"])

    def add(self, path: str, cells: list[str]) -> None:
        """Prints a line for each of the cells."""
        for cell in cells:
            if not self._shown:
                return
            try:
                print(f"{printable(path):{self._width}}  {cell}", file=self._file, flush=True)
            except OSError as error:
                self._shown = False
                if self._file is sys.stdout:
                    self.error = error


def _check_outputs(options: argparse.Namespace) -> Iterator[Path | None]:
    """The picture of each photo, after a check that no output destroys a file."""
    outputs = OutputCheck(options.paths, overwrite=options.overwrite)
    if options.json not in (None, "-"):
        outputs.check("--json", Path(options.json))
    if options.draw is None:
        return repeat(None, len(options.paths))
    pictures = list(_pictures(options.draw, options.paths))
    for picture in pictures:
        outputs.check("--draw", picture)
    try:
        options.draw.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--draw: cannot make the folder: {error}") from error
    return iter(pictures)


def _row(face: Face) -> str:
    box = ", ".join(f"{v:.0f}" for v in face.bbox)
    pose = face.pose
    return f"{face.score:5.2f}  {box:24}  {pose.pitch:5.0f}  {pose.yaw:5.0f}  {pose.roll:5.0f}"


def _pictures(folder: Path, sources: list[str]) -> Iterator[Path]:
    """``folder/NAME.jpg`` of each source, numbered where two have the same name."""
    taken: set[str] = set()
    for source in sources:
        name, number = Path(source).stem, 2
        while name.casefold() in taken:  # some disks know no upper case
            name, number = f"{Path(source).stem}-{number}", number + 1
        taken.add(name.casefold())
        yield folder / f"{name}.jpg"


def _save(image: Any, path: Path, *, overwrite: bool) -> None:
    with open_output(path, overwrite=overwrite) as file:
        Image.fromarray(image).save(file, "JPEG", quality=92)
