"""``asmnet batch``: the faces of any number of photos as one table."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import closing
from pathlib import Path

from asmnet.batch import FORMATS, BatchOptions, Progress, run_batch, run_files, state_path
from asmnet.commands.console import complain, printable
from asmnet.commands.options import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    add_face_options,
    add_pixels_option,
    positive,
)
from asmnet.commands.outputs import OutputCheck, add_overwrite_option
from asmnet.commands.progress import ProgressDisplay
from asmnet.commands.signals import exit_code
from asmnet.cpus import cpu_count
from asmnet.errors import AsmnetError, InvalidInputError
from asmnet.sources import STANDARD_INPUT, image_files, split_pattern


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser of ``asmnet``."""
    parser = commands.add_parser(
        "batch",
        help="write the faces of many photos to a table",
        description="Writes one row a face, and one with the error for each file that failed. "
        "The table appears when all is done; until then the rows are in OUT.partial, and a run "
        "that was stopped or killed goes on with --resume.",
        epilog="Exit code: 0 all files done; 1 some failed, their rows tell why, or there were "
        "none, or the run could not go on; 2 wrong use, or an output is there already; 130 "
        "interrupted (143 by SIGTERM).",
    )
    parser.add_argument(
        "source", metavar="DIR|LIST|GLOB",
        help="a folder, with all below it; a file with a path on each line, or - for standard "
        "input; or a quoted pattern such as 'photos/**/*.jpg'",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE",
        help=f"the table: a name that ends in {', '.join(FORMATS)}",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=positive, default=cpu_count(), metavar="N",
        help="processes (one for each CPU that it may use)",
    )  # fmt: skip
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true",
        help="go on with a run that was stopped, or begin one; a finished table gets the rows of "
        "photos that came after its own in the list",
    )  # fmt: skip
    add_overwrite_option(again)
    parser.add_argument(
        "--crops", type=Path, metavar="DIR", help="write each face upright, as DIR/FILE-FACE.jpg"
    )
    parser.add_argument(
        "--crop-size", type=positive, default=112, metavar="N", help="pixels a side (112)"
    )
    add_face_options(parser)
    add_pixels_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the batch and shows how far it is."""
    left_out: Counter[str] = Counter()
    instead = " in place of --overwrite" if options.overwrite else ""
    goes_on = f"the same command with --resume{instead} goes on"
    try:
        first, last = _run(options, left_out)
    except InvalidInputError as error:
        complain(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt as interrupt:
        complain(f"interrupted; {goes_on}")
        return exit_code(interrupt)
    except (AsmnetError, OSError) as error:
        complain(str(error))
        if state_path(options.out).exists():
            complain(f"stopped; {goes_on}")
        return EXIT_FAILED
    already = "complete already: " if options.resume and first is last and last.files else ""
    out = printable(str(options.out))
    print(f"{out}: {already}{last.faces} faces in {last.files} files")
    if left_out:
        complain(_told(left_out))
    if last.failed:
        complain(f"{last.failed} failed; their rows tell why")
    if not last.files:
        complain("no file was found to work on")
    return EXIT_FAILED if last.failed or not last.files else EXIT_OK


def _run(options: argparse.Namespace, left_out: Counter[str]) -> tuple[Progress, Progress]:
    """The progress at the beginning and at the end."""
    source = Path(options.source)
    if source.is_file():
        for path in run_files(options.out):
            OutputCheck([source], overwrite=True).check("--out", path)
    if options.crops is not None:
        _check_crops(options.crops, source)
    files = image_files(options.source, left_out)
    steps = run_batch(
        files,
        options.out,
        BatchOptions(
            landmarks=options.landmarks,
            weights=options.weights,
            min_score=options.min_score,
            max_faces=options.max_faces,
            input_size=options.input_size,
            tiles=options.tiles,
            crops=options.crops,
            crops_root=source if source.is_dir() else Path(),
            crop_size=options.crop_size,
            max_pixels=options.max_pixels,
        ),
        workers=options.workers,
        resume=options.resume,
        overwrite=options.overwrite,
    )
    with closing(steps):
        first = last = next(steps)
        with closing(ProgressDisplay("images", _count(options.source), first.files)) as display:
            for last in steps:
                display.update(last.files, faces=last.faces, failed=last.failed)
    return first, last


def _told(left_out: Counter[str]) -> str:
    """Which files of the folder were none of the run's."""
    kinds = ", ".join(
        f"{count} {printable(suffix) or 'without a suffix'}"
        for suffix, count in left_out.most_common()
    )
    hint = "; HEIC needs `pip install asmnet[heic]`" if {".heic", ".heif"} & set(left_out) else ""
    return f"left out, for their names are not those of images that can be read: {kinds}{hint}"


def _check_crops(crops: Path, source: Path) -> None:
    """Crops among the photos would become photos of the run."""
    root, parts = split_pattern(str(source))
    deep = source.is_dir() or "**" in parts
    if deep and crops.resolve().is_relative_to(root.resolve()):
        raise InvalidInputError(f"--crops: expected a folder outside of {root}, got {crops}")


def _count(source: str) -> int | None:
    """How many files there are, in a pass of its own; None for a stream that has only one."""
    path = Path(source)
    if source == STANDARD_INPUT or (path.exists() and not (path.is_dir() or path.is_file())):
        return None
    return sum(1 for _ in image_files(source))
