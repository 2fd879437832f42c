"""``asmnet batch``: the faces of any number of photos as one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from asmnet.batch import FORMATS, BatchOptions, Progress, run_batch, state_path
from asmnet.commands.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    add_face_options,
    positive,
)
from asmnet.commands.progress import ProgressDisplay
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
        epilog="Exit code: 0 all files done; 1 some failed, their rows tell why, or the run could "
        "not go on; 2 wrong use; 130 interrupted.",
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
    parser.add_argument(
        "--resume", action="store_true", help="go on with a run that was stopped, or begin one"
    )
    parser.add_argument(
        "--crops", type=Path, metavar="DIR", help="write each face upright, as DIR/FILE-FACE.jpg"
    )
    parser.add_argument(
        "--crop-size", type=positive, default=112, metavar="N", help="pixels a side (112)"
    )
    add_face_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the batch and shows how far it is."""
    try:
        last = _run(options)
    except InvalidInputError as error:
        print(f"asmnet: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("asmnet: interrupted; the same command with --resume goes on", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (AsmnetError, OSError) as error:
        print(f"asmnet: {error}", file=sys.stderr)
        if state_path(options.out).exists():
            print("asmnet: stopped; the same command with --resume goes on", file=sys.stderr)
        return EXIT_FAILED
    if last is None:
        print(f"{options.out} is complete already")
        return EXIT_OK
    print(f"{options.out}: {last.faces} faces in {last.files} files")
    if last.failed:
        print(f"asmnet: {last.failed} failed; their rows tell why", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def _run(options: argparse.Namespace) -> Progress | None:
    source = Path(options.source)
    if options.crops is not None:
        _check_crops(options.crops, source)
    files = image_files(options.source)
    steps = run_batch(
        files,
        options.out,
        BatchOptions(
            landmarks=options.landmarks,
            min_score=options.min_score,
            max_faces=options.max_faces,
            crops=options.crops,
            crops_root=source if source.is_dir() else Path(),
            crop_size=options.crop_size,
        ),
        workers=options.workers,
        resume=options.resume,
    )
    last = None
    with closing(steps):
        for last in _shown(steps, options.source):  # noqa: B007  the last one is the result
            pass
    return last


def _check_crops(crops: Path, source: Path) -> None:
    """Crops among the photos would become photos of the run."""
    root, parts = split_pattern(str(source))
    deep = source.is_dir() or "**" in parts
    if deep and crops.resolve().is_relative_to(root.resolve()):
        raise InvalidInputError(f"--crops: expected a folder outside of {root}, got {crops}")


def _shown(steps: Iterable[Progress], source: str) -> Iterator[Progress]:
    """Passes the steps on and shows them."""
    steps = iter(steps)
    first = next(steps, None)
    if first is None:
        return
    yield first
    with closing(ProgressDisplay("images", _count(source), first.files)) as display:
        for progress in steps:
            display.update(progress.files, faces=progress.faces, failed=progress.failed)
            yield progress


def _count(source: str) -> int | None:
    """How many files there are, in a pass of its own; None for a stream that has only one."""
    path = Path(source)
    if source == STANDARD_INPUT or (path.exists() and not (path.is_dir() or path.is_file())):
        return None
    return sum(1 for _ in image_files(source))
