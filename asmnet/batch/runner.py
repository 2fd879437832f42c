"""Many files to one table of faces: by worker processes, with a journal to go on from.

Rows first go to a journal beside the table. ``OUT.partial`` holds them as JSON Lines, and
``OUT.state`` tells how many files and how many of its bytes count. The state is replaced about
once a second, after the journal has reached the disk, so a run that was killed goes on from there:
what the journal has beyond is cut off and done again. At the end the journal becomes the table.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from asmnet._version import __version__
from asmnet.align import aligned_crop
from asmnet.analyzer import FaceAnalyzer
from asmnet.detector import DEFAULT_MIN_SCORE
from asmnet.errors import AsmnetError, ImageError, InvalidInputError
from asmnet.image import load_image
from asmnet.pool import map_in_order
from asmnet.rows import (
    Row,
    arrow_schema,
    error_row,
    face_rows,
    read_jsonl,
    to_jsonl,
    write_csv,
    write_parquet,
)
from asmnet.weights import load_weights

FORMATS = (".parquet", ".jsonl", ".csv")
# Files that a worker takes at a time, and how many such portions may wait for each worker: enough
# to stay busy while one of them has a huge photo, whose rows all others have to wait for.
PORTION = 4
PORTIONS_AHEAD = 8
SAVE_SECONDS = 1.0


@dataclass(frozen=True)
class BatchOptions:
    """What decides the rows of a file.

    Attributes:
        landmarks: 68 or 98 points.
        min_score: 0–1, faces below are left out.
        max_faces: keep only so many of the best of each photo; None keeps all.
        crops: folder for the aligned crops ``FILE-FACE.jpg``; None writes none.
        crops_root: FILE is the path from this folder on, or the whole path of a file outside.
        crop_size: side of the crops in pixels.
    """

    landmarks: int = 68
    min_score: float = DEFAULT_MIN_SCORE
    max_faces: int | None = None
    crops: Path | None = None
    crops_root: Path = field(default_factory=Path)
    crop_size: int = 112


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        files: that are done, the failed ones among them.
        faces: rows of faces.
        failed: files with an error, which is a row each.
        bytes: of the journal that hold just these rows.
        names: SHA-256 over the names of the files, each with the digest before it.
    """

    files: int = 0
    faces: int = 0
    failed: int = 0
    bytes: int = 0
    names: str = ""

    def after(self, portion: _Portion) -> Progress:
        """With one more portion."""
        return Progress(
            self.files + len(portion.files),
            self.faces + portion.faces,
            self.failed + portion.failed,
            self.bytes + len(portion.rows),
            _digest(self.names, portion.files),
        )


@dataclass(frozen=True)
class _Portion:
    """Files and what a worker made of them; ``rows`` is JSON Lines."""

    files: list[str]
    rows: bytes
    faces: int
    failed: int


def run_batch(
    files: Iterable[str],
    out: Path,
    options: BatchOptions,
    *,
    workers: int = 1,
    resume: bool = False,
) -> Generator[Progress, None, None]:
    """Writes a row for each face of each file to ``out``; works while it is iterated.

    Closing it, or an exception, leaves a state to go on from. The memory does not grow with the
    number of files. Workers are new processes that import the main module, so a script that calls
    this needs ``if __name__ == "__main__":``.

    Args:
        files: paths of images. To resume, the same ones in the same order; there may be more at
            the end.
        out: the table, .parquet, .jsonl or .csv; it appears when all is done.
        options: what decides the rows.
        workers: processes.
        resume: go on where an earlier run of the same files and options stopped; begin if there
            was none.

    Yields:
        The progress at the start, not zero if resumed, and after every few files. Nothing if
        ``out`` is there already and ``resume`` is set.

    Raises:
        InvalidInputError: an unknown suffix or folder; pyarrow is missing; ``out`` or an
            unfinished run is there already and ``resume`` is not set; or, to resume, other files
            or options than before.
        WeightsError: the weights cannot be used.
        AsmnetError: a worker was killed.
        OSError: a list, a folder or an output cannot be read or written.
    """
    if out.suffix not in FORMATS:
        raise InvalidInputError(f"{out}: expected a name that ends in {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise InvalidInputError(f"{out}: there is no folder {out.parent}")
    if out.suffix == ".parquet":
        arrow_schema()  # pyarrow is missed now, not after hours
    if out.exists():
        if resume:
            return
        raise InvalidInputError(f"{out} is there already; remove it or choose another name")
    settings = _settings(options)
    if options.crops is not None:
        options.crops.mkdir(parents=True, exist_ok=True)
    with closing(_Journal(out, settings, resume=resume)) as journal:
        names = iter(files)
        journal.skip_done(names)
        yield journal.progress
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        portions = map_in_order(
            pool, partial(_analyze, options), _portions(names), window=PORTIONS_AHEAD * workers
        )
        with closing(portions):
            try:
                for portion in portions:
                    journal.append(portion)
                    yield journal.progress
            except BrokenProcessPool as error:
                raise AsmnetError(
                    "a worker process was killed, perhaps for want of memory, soon after file "
                    f"{journal.progress.files}"
                ) from error
            finally:
                journal.save()
        journal.finish(options.landmarks)


def state_path(out: Path) -> Path:
    """The file that is there while a run to ``out`` is unfinished."""
    return out.with_name(out.name + ".state")


class _Journal:
    """The rows and the state of an unfinished run."""

    progress: Progress

    def __init__(self, out: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._out, self._settings = out, settings
        self._rows_path = out.with_name(out.name + ".partial")
        self._state_path = state_path(out)
        if not resume and (self._state_path.exists() or self._rows_path.exists()):
            raise InvalidInputError(
                f"{out}: an unfinished run is there: go on with --resume, or remove "
                f"{self._rows_path} and {self._state_path}"
            )
        self.progress = self._load() if self._state_path.exists() else Progress()
        self._rows = self._rows_path.open("ab")
        try:
            self._cut()
            self.save()
        except BaseException:
            self._rows.close()
            raise

    def close(self) -> None:
        """Leaves the files as they are."""
        self._rows.close()

    def skip_done(self, names: Iterator[str]) -> None:
        """Takes the files that are done from ``names``, if they are those that were done."""
        if _digest("", islice(names, self.progress.files)) != self.progress.names:
            raise InvalidInputError(
                f"{self._out}: cannot resume: the list of files changed: its first "
                f"{self.progress.files} are not those that are done"
            )

    def append(self, portion: _Portion) -> None:
        """Adds a portion's rows, and saves when it is time."""
        self._rows.write(portion.rows)
        # One assignment: an interrupt before it leaves rows that do not count, never half a count.
        self.progress = self.progress.after(portion)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Makes the state on the disk the present one."""
        self._rows.flush()
        os.fsync(self._rows.fileno())
        state = {"settings": self._settings, "progress": asdict(self.progress)}
        new = self._state_path.with_name(self._state_path.name + ".new")
        new.write_text(json.dumps(state, indent=1), encoding="utf-8")
        _replace(new, self._state_path)
        self._saved = time.monotonic()

    def finish(self, points: int) -> None:
        """Turns the journal into the table."""
        self._rows.close()
        if self._out.suffix == ".jsonl":
            self._rows_path.replace(self._out)
        else:
            new, rows = self._out.with_name(self._out.name + ".new"), read_jsonl(self._rows_path)
            if self._out.suffix == ".csv":
                write_csv(rows, new, points=points)
            else:
                write_parquet(rows, new)
            _replace(new, self._out)
            self._rows_path.unlink()
        self._state_path.unlink()

    def _load(self) -> Progress:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
            before, progress = dict(state["settings"]), Progress(**state["progress"])
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInputError(f"{self._state_path}: not the state of a run") from error
        changed = [
            f"{name} {before.get(name)!r} -> {value!r}"
            for name, value in self._settings.items()
            if before.get(name) != value
        ]
        if changed:
            raise InvalidInputError(
                f"{self._out}: cannot resume: the options changed: {', '.join(changed)}"
            )
        return progress

    def _cut(self) -> None:
        if self._rows_path.stat().st_size < self.progress.bytes:
            raise InvalidInputError(
                f"{self._rows_path}: expected at least {self.progress.bytes} bytes; rows are "
                f"lost. Remove it and {self._state_path} to begin again"
            )
        self._rows.truncate(self.progress.bytes)


def _settings(options: BatchOptions) -> dict[str, Any]:
    """What must be the same to go on, as JSON has it."""
    weights = {"detector": "asmnet-face", "landmarker": f"asmnet-{options.landmarks}"}
    return {
        "asmnet": __version__,
        **{name: hashlib.sha256(load_weights(file)).hexdigest() for name, file in weights.items()},
        **asdict(options),
        "crops": None if options.crops is None else str(options.crops),
        "crops_root": str(options.crops_root),
    }


def _digest(digest: str, names: Iterable[str]) -> str:
    for name in names:
        digest = hashlib.sha256(digest.encode() + os.fsencode(name)).hexdigest()
    return digest


def _replace(new: Path, path: Path) -> None:
    """Puts a file in the place of another, whole or not at all."""
    with new.open("r+b") as file:
        os.fsync(file.fileno())
    new.replace(path)


def _portions(names: Iterator[str]) -> Iterator[list[str]]:
    while portion := list(islice(names, PORTION)):
        yield portion


def _start_worker() -> None:
    """Prepares a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which saves
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)  # a thread has no other way to end its process


@cache
def _analyzer(landmarks: int) -> FaceAnalyzer:
    return FaceAnalyzer(landmarks=landmarks, threads=1)


def _analyze(options: BatchOptions, files: list[str]) -> _Portion:
    """A worker's task."""
    rows = [row for file in files for row in _file_rows(file, options)]
    failed = sum(row["error"] is not None for row in rows)
    return _Portion(files, to_jsonl(rows), len(rows) - failed, failed)


def _file_rows(file: str, options: BatchOptions) -> list[Row]:
    try:
        image = load_image(file)
        faces = _analyzer(options.landmarks).detect(
            image, min_score=options.min_score, max_faces=options.max_faces
        )
        if options.crops is not None:
            for index, face in enumerate(faces):
                crop = aligned_crop(image, face, size=options.crop_size)
                path = _crop_path(file, index, options.crops, options.crops_root)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(crop).save(path, quality=92)
    except (ImageError, OSError) as error:
        return [error_row(file, error)]
    return face_rows(file, faces)


def _crop_path(file: str, index: int, folder: Path, root: Path) -> Path:
    # Not Path.resolve, which would follow links, and two of them may lead to one file.
    path, root = (Path(os.path.abspath(p)) for p in (file, root))  # noqa: PTH100
    inside = path.relative_to(root if path.is_relative_to(root) else path.anchor)
    return folder / inside.with_name(f"{inside.name}-{index}.jpg")
