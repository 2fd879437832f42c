"""Many files to one table of faces: worker processes, and a journal to go on from."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict
from functools import partial
from itertools import chain, islice
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from asmnet._checks import (
    flag,
    instance,
    iterable,
    path_name,
    positive_int,
    probability,
    shown,
)
from asmnet._version import __version__
from asmnet.analyzer import check_landmarks, check_max_faces
from asmnet.batch.journal import Journal, Progress
from asmnet.batch.lock import locked
from asmnet.batch.worker import BatchOptions, analyze, start_worker
from asmnet.detector import check_input_size
from asmnet.errors import AsmnetError, InvalidInputError
from asmnet.pool import map_in_order
from asmnet.rows import arrow_schema
from asmnet.weights import find_family, load_weights

FORMATS = (".parquet", ".jsonl", ".csv")
# Files that a worker takes at a time, and how many such chunks may wait for each worker: enough
# to stay busy while one of them has a huge photo, whose rows all others have to wait for.
CHUNK_SIZE = 4
CHUNKS_AHEAD = 8
MAX_CROP_SIZE = 16384

_MAIN_GUARD = (
    'a script must call it under `if __name__ == "__main__":`, because each worker imports the '
    "script; a frozen program must begin with `multiprocessing.freeze_support()`"
)


def run_batch(
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: BatchOptions,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
) -> Generator[Progress, None, None]:
    """Writes a row for each face of each file to ``out``; works while it is iterated.

    Closing it, or an exception, leaves a state to go on from. The memory does not grow with the
    number of files. Workers are new processes that import the main module, so a script that calls
    this needs ``if __name__ == "__main__":``.

    Args:
        files: paths of images. To resume, the same ones in the same order; there may be more at
            the end.
        out: the table, .parquet, .jsonl or .csv; it appears when all is done, and ``OUT.done``
            beside it, which tells a later run what the table was made of.
        options: what decides the rows.
        workers: processes.
        resume: go on where an earlier run of the same files and options stopped; begin if there
            was none. A finished table gets the rows of the files that are more.
        overwrite: begin anew, whatever is there: the table is replaced at the end, an unfinished
            run at once.

    Yields:
        The progress at the start, not zero if resumed, and after every few files.

    Raises:
        InvalidInputError: no list of paths; an unknown suffix or folder; an option out of its
            range; pyarrow is missing; another run writes to ``out``; ``out``, an unfinished run
            or crops are there already, and neither ``resume`` nor ``overwrite`` is set; or, to
            resume, other files or options than before.
        WeightsError: the weights cannot be used.
        AsmnetError: a worker was killed, or could not start.
        OSError: a list, a folder or an output cannot be read or written.
    """
    # What CPython itself looks at before it starts a process; by then the journal would be open.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise AsmnetError(f"run_batch: called by the import of the main module: {_MAIN_GUARD}")
    names, out = _names(files), Path(_path(out, "out"))
    _check(out)
    options = _checked(options)
    workers = positive_int(workers, "workers", most=1024)
    resume, overwrite = flag(resume, "resume"), flag(overwrite, "overwrite")
    if resume and overwrite:
        raise InvalidInputError("expected resume or overwrite, got both")
    with locked(out):
        journal = Journal(out, _settings(options), resume=resume, overwrite=overwrite)
        if options.crops is not None:
            _prepare_crops(options.crops, used=overwrite or not journal.is_new)
        journal.skip_done(names)
        if journal.is_done:
            more = next(names, None)
            if more is None:
                yield journal.progress
                return
            names = chain([more], names)
        journal.open()
        with closing(journal):
            yield journal.progress
            yield from _work(journal, names, options, workers)
            journal.finish(options.landmarks)


def _work(
    journal: Journal, names: Iterator[str], options: BatchOptions, workers: int
) -> Iterator[Progress]:
    """Gives the files to the workers and their rows to the journal."""
    _start_tracker()
    context = multiprocessing.get_context("spawn")
    started = context.RawValue("b", 0)
    pool = ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=(started,))
    chunks = map_in_order(
        pool, partial(analyze, options), _chunks(names), window=CHUNKS_AHEAD * workers
    )
    with closing(chunks):
        try:
            for chunk in chunks:
                journal.append(chunk)
                yield journal.progress
        except BrokenProcessPool as error:
            if not started.value:
                raise AsmnetError(
                    f"the worker processes ended before they began to work: {_MAIN_GUARD}. What "
                    "they say themselves stands above"
                ) from error
            raise AsmnetError(
                "a worker process was killed, perhaps for want of memory, soon after file "
                f"{journal.progress.files}"
            ) from error
        finally:
            journal.save()


def _start_tracker() -> None:
    """Starts the process that multiprocessing keeps for its locks, so that SIGHUP spares it.

    It ends with this process, but a closed terminal would end it before, and it is missed then.
    """
    if sys.platform == "win32":
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check(out: Path) -> None:
    """What can be wrong is told before the work."""
    if out.suffix not in FORMATS:
        raise InvalidInputError(f"{out}: expected a name that ends in {', '.join(FORMATS)}")
    if not os.path.isdir(out.parent):  # noqa: PTH112  Path.is_dir raises where it may not look
        raise InvalidInputError(f"{out}: there is no folder {out.parent}")
    if out.suffix == ".parquet":
        arrow_schema()  # pyarrow is missed now, not after hours


def _checked(options: BatchOptions) -> BatchOptions:
    """The options in plain numbers and paths, which JSON can take."""
    instance(options, "options", BatchOptions)
    size, crops, pixels = options.input_size, options.crops, options.max_pixels
    return BatchOptions(
        landmarks=check_landmarks(options.landmarks),
        weights=find_family(options.weights).name,
        min_score=probability(options.min_score, "min_score"),
        max_faces=check_max_faces(options.max_faces),
        input_size=None if size is None else check_input_size(size),
        tiles=flag(options.tiles, "tiles"),
        crops=None if crops is None else Path(_path(crops, "crops")),
        crops_root=Path(_path(options.crops_root, "crops_root")),
        crop_size=positive_int(options.crop_size, "crop_size", most=MAX_CROP_SIZE),
        max_pixels=None if pixels is None else positive_int(pixels, "max_pixels", most=sys.maxsize),
    )


def _names(files: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """The paths as strings; InvalidInputError for a single one, whose letters are no paths."""
    if path_name(files) is not None or isinstance(files, bytes | bytearray):
        raise InvalidInputError(
            f"files: expected an iterable of paths, got a single one ({shown(files)}); put it "
            "into a list"
        )
    return (_path(file, "files") for file in iterable(files, "files"))


def _path(value: str | os.PathLike[str], name: str) -> str:
    path = path_name(value)
    if path is None:
        raise InvalidInputError(f"{name}: expected a path, got {shown(value)}")
    return path


def _settings(options: BatchOptions) -> dict[str, Any]:
    """What must be the same to go on, as JSON has it."""
    family = find_family(options.weights)
    weights = {
        "detector": family.detector,
        "verifier": family.verifier,
        "landmarker": family.landmarker(options.landmarks),
    }
    return {
        "asmnet": __version__,
        **{name: hashlib.sha256(load_weights(file)).hexdigest() for name, file in weights.items()},
        **asdict(options),
        "crops": None if options.crops is None else str(options.crops),
        "crops_root": str(options.crops_root),
    }


def _prepare_crops(folder: Path, *, used: bool) -> None:
    """Makes the folder; there may be something in it if it may be ``used``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except (OSError, ValueError) as error:  # ValueError: a NUL
        raise InvalidInputError(f"crops: cannot make the folder: {error}") from error
    if not empty and not used:
        raise InvalidInputError(
            f"{folder}: expected a new or empty folder for the crops; choose another, or write "
            "over what is there with --overwrite"
        )


def _chunks(names: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(names, CHUNK_SIZE)):
        yield chunk
