"""The rows of an unfinished run, and how much of them counts.

``OUT.partial`` holds the rows as JSON Lines, and ``OUT.state`` tells how many files and how many
of its bytes count. The state is replaced about once a second, after the rows have reached the
disk, so a run that was killed goes on from there: what the rows have beyond is cut off and done
again. At the end the rows become the table, and the state becomes ``OUT.done``, by which a later
run knows what the table was made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from asmnet.errors import InvalidInputError
from asmnet.rows import read_csv, read_jsonl, read_parquet, to_jsonl, write_csv, write_parquet

SAVE_SECONDS = 1.0


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

    def after(self, chunk: Chunk) -> Progress:
        """With one more chunk."""
        return Progress(
            self.files + len(chunk.files),
            self.faces + chunk.faces,
            self.failed + chunk.failed,
            self.bytes + len(chunk.rows),
            _digest(self.names, chunk.files),
        )


@dataclass(frozen=True)
class Chunk:
    """Files and what a worker made of them; ``rows`` is JSON Lines."""

    files: list[str]
    rows: bytes
    faces: int
    failed: int


@dataclass(frozen=True)
class _State:
    """What a state file says.

    Attributes:
        settings: what decides the rows.
        progress: how far the run has come.
        overwrite: whether the table may take the place of a file.
        table: bytes of the finished table; None before.
    """

    settings: Mapping[str, Any]
    progress: Progress
    overwrite: bool
    table: int | None = None


def state_path(out: Path) -> Path:
    """The file that is there while a run to ``out`` is unfinished."""
    return out.with_name(out.name + ".state")


def run_files(out: Path) -> list[Path]:
    """All files that a run to ``out`` writes, but for crops."""
    endings = ("", ".partial", ".new", ".state", ".state.new", ".done", ".lock")
    return [out.with_name(out.name + ending) for ending in endings]


class Journal:
    """The files of a run to ``out``, which must be locked.

    Attributes:
        progress: how far the run has come.
        is_new: whether it begins, and does not go on.
        is_done: whether the table is there, with all files of ``progress``.
    """

    def __init__(
        self, out: Path, settings: Mapping[str, Any], *, resume: bool, overwrite: bool
    ) -> None:
        """Looks at what is there, and changes nothing but what a kill left half done.

        Raises:
            InvalidInputError: the run cannot begin or go on.
        """
        self._out, self._settings = out, settings
        self._rows_path = out.with_name(out.name + ".partial")
        self._new_path = out.with_name(out.name + ".new")
        self._done_path = out.with_name(out.name + ".done")
        self._state_path = state_path(out)
        state = None
        if resume:
            self._end_publishing()
            state = self._known_state()
        if state is None and not overwrite:
            self._check_free(resume=resume)
        if self._done_path.exists():
            self._load(self._done_path)  # it will be replaced, if it is ours
        self.is_new = state is None
        self.progress = Progress() if state is None else state.progress
        self.is_done = state is not None and state.table is not None
        self._overwrite = overwrite if state is None else state.overwrite

    def skip_done(self, names: Iterator[str]) -> None:
        """Takes the files that are done from ``names``, if they are those that were done."""
        if _digest("", islice(names, self.progress.files)) != self.progress.names:
            raise InvalidInputError(
                f"{self._out}: cannot resume: the list of files changed: its first "
                f"{self.progress.files} are not those that are done"
            )

    def open(self) -> None:
        """Prepares for more rows."""
        if self.is_new:  # only now, and only with --overwrite, are they there
            self._state_path.unlink(missing_ok=True)
            self._rows_path.unlink(missing_ok=True)
        if self.is_done:
            self._reopen()
        else:
            # Before the rows: rows without a state are none of ours.
            self._write_state()
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

    def append(self, chunk: Chunk) -> None:
        """Adds a chunk's rows, and saves when it is time."""
        self._rows.write(chunk.rows)
        # One assignment: an interrupt before it leaves rows that do not count, never half a count.
        self.progress = self.progress.after(chunk)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Makes the state on the disk the present one."""
        self._rows.flush()
        os.fsync(self._rows.fileno())
        self._write_state()

    def finish(self, points: int) -> None:
        """Turns the journal into the table.

        Raises:
            InvalidInputError: meanwhile another file has taken the table's place.
        """
        self._rows.close()
        if self._out.exists() and not self._overwrite:
            raise InvalidInputError(
                f"{self._out} was made by somebody else during the run; move it away and go on "
                "with --resume"
            )
        table = self._rows_path
        if self._out.suffix != ".jsonl":
            table, rows = self._new_path, read_jsonl(self._rows_path)
            if self._out.suffix == ".csv":
                write_csv(rows, table, points=points)
            else:
                write_parquet(rows, table)
        _sync(table)
        self._write_state(table=table.stat().st_size)
        table.replace(self._out)
        self._end_publishing()

    def _end_publishing(self) -> None:
        """Removes what is left after the table is in its place; a kill may come before."""
        if not self._state_path.exists():
            return
        state = self._load(self._state_path)
        table = self._rows_path if self._out.suffix == ".jsonl" else self._new_path
        if state.table is None or table.exists() or _size(self._out) != state.table:
            return
        self._rows_path.unlink(missing_ok=True)
        self._state_path.replace(self._done_path)

    def _known_state(self) -> _State | None:
        """The state to go on from; None if there is none."""
        if self._state_path.exists():
            # The table of a publication that did not come to its end is made again.
            state = replace(self._load(self._state_path), table=None)
        elif self._out.exists():
            if not self._done_path.exists():
                raise InvalidInputError(
                    f"{self._out} is there already, and nothing tells how it was made: there is "
                    f"no {self._done_path}. Remove it, choose another name, or replace it with "
                    "--overwrite"
                )
            state = self._load(self._done_path)
            if state.table != _size(self._out):
                raise InvalidInputError(
                    f"{self._out}: cannot resume: it was changed: expected {state.table} bytes, "
                    f"got {_size(self._out)}"
                )
        else:
            return None
        changed = [
            f"{name} {state.settings.get(name)!r} -> {value!r}"
            for name, value in self._settings.items()
            if state.settings.get(name) != value
        ]
        if changed:
            raise InvalidInputError(
                f"{self._out}: cannot resume: the options changed: {', '.join(changed)}"
            )
        return state

    def _check_free(self, *, resume: bool) -> None:
        """A run that begins finds no file in the place of one of its own."""
        if self._state_path.exists() and not resume:
            raise InvalidInputError(
                f"{self._out}: an unfinished run is there: go on with --resume, or begin again "
                "with --overwrite"
            )
        for path in (self._out, self._rows_path, self._new_path):
            if path.exists():
                raise InvalidInputError(
                    f"{path} is there already; remove it, choose another name, or replace it with "
                    "--overwrite"
                )

    def _reopen(self) -> None:
        """Makes the finished table rows again, to add to them; the table stays until the end."""
        if self._rows_path.exists() or self._new_path.exists():
            raise InvalidInputError(
                f"{self._out}: expected no files beside it, got {self._rows_path} or "
                f"{self._new_path}; remove them"
            )
        done, self.progress, self._overwrite = self.progress, Progress(), True
        self._write_state()  # a kill until the rows are there means all again
        if self._out.suffix == ".jsonl":
            shutil.copyfile(self._out, self._rows_path)
        else:
            rows = (read_csv if self._out.suffix == ".csv" else read_parquet)(self._out)
            with self._rows_path.open("wb") as file:
                for row in rows:
                    file.write(to_jsonl([row]))
        _sync(self._rows_path)
        self.progress = replace(done, bytes=self._rows_path.stat().st_size)

    def _write_state(self, table: int | None = None) -> None:
        state = _State(self._settings, self.progress, self._overwrite, table)
        new = self._state_path.with_name(self._state_path.name + ".new")
        new.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        _sync(new)
        new.replace(self._state_path)
        self._saved = time.monotonic()

    def _load(self, path: Path) -> _State:
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            return _State(**{**state, "progress": Progress(**state["progress"])})
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInputError(f"{path}: not the state of a run") from error

    def _cut(self) -> None:
        if self._rows_path.stat().st_size < self.progress.bytes:
            raise InvalidInputError(
                f"{self._rows_path}: expected at least {self.progress.bytes} bytes; rows are "
                f"lost. Begin again with --overwrite"
            )
        self._rows.truncate(self.progress.bytes)


def _digest(digest: str, names: Iterable[str]) -> str:
    for name in names:
        digest = hashlib.sha256(digest.encode() + os.fsencode(name)).hexdigest()
    return digest


def _sync(path: Path) -> None:
    """Puts the file's content on the disk, so that its new name never has half of it."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None
