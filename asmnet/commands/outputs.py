"""Where commands write: never over an input, nor, unless asked to, over a file that is there."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from asmnet.errors import InvalidInputError


def add_overwrite_option(parser: argparse._ActionsContainer) -> None:
    """Adds ``--overwrite``."""
    parser.add_argument(
        "--overwrite", action="store_true",
        help="replace files that are there already; an input is never replaced",
    )  # fmt: skip


class OutputCheck:
    """Tells before the work which outputs would destroy a file."""

    def __init__(
        self, inputs: Iterable[str | Path], *, overwrite: bool, folders: Iterable[Path] = ()
    ) -> None:
        """``inputs`` are files that must stay as they are, by whatever name or link.

        All files below ``folders`` are inputs, too.
        """
        self._inputs = {_identity(Path(path)) for path in inputs}
        self._folders = [folder.resolve() for folder in folders]
        self._overwrite = overwrite

    def check(self, option: str, path: Path) -> None:
        """Checks a file that ``option`` asks for, and that no other output may have.

        Raises:
            InvalidInputError: the file is an input or another output, or it is there already and
                may not be replaced.
        """
        identity = _identity(path)
        if identity in self._inputs or (path.is_file() and self._is_below(path)):
            raise InvalidInputError(
                f"{option}: expected another file than the inputs and the other outputs, got {path}"
            )
        if path.is_file() and not self._overwrite:
            raise InvalidInputError(
                f"{option}: {path} is there already; choose another name, or replace it with "
                "--overwrite"
            )
        if not path.exists() or path.is_file():  # a terminal or pipe may be used twice
            self._inputs.add(identity)

    def _is_below(self, path: Path) -> bool:
        return any(path.resolve().is_relative_to(folder) for folder in self._folders)


def check_outputs(
    options: argparse.Namespace, names: Iterable[str], inputs: Iterable[str | Path] = ()
) -> OutputCheck:
    """Checks the files of those options of ``names`` that were given; ``--data`` is an input, too.

    Raises:
        InvalidInputError: as `OutputCheck.check`.
    """
    folders = [options.data] if "data" in options else []
    outputs = OutputCheck(inputs, overwrite=options.overwrite, folders=folders)
    for name in names:
        path = getattr(options, name)
        if path is not None:
            outputs.check(f"--{name}", path)
    return outputs


def parse_with_outputs(
    parser: argparse.ArgumentParser,
    outputs: Iterable[str],
    arguments: Sequence[str] | None = None,
    *,
    inputs: Iterable[str] = (),
) -> argparse.Namespace:
    """The options of a command that has ``--overwrite``, its files to write checked.

    Wrong use ends the process with exit code 2, as argparse's own checks do.

    Args:
        parser: of the command, without ``--overwrite``.
        outputs: names of the options that are files to write.
        arguments: of the command line; None takes the process's.
        inputs: names of the options that are files to read.
    """
    add_overwrite_option(parser)
    options = parser.parse_args(arguments)
    read = (getattr(options, name) for name in inputs)
    try:
        check_outputs(options, outputs, [path for path in read if path is not None])
    except InvalidInputError as error:
        parser.error(str(error))
    return options


@contextmanager
def open_output(path: Path, *, overwrite: bool, keep: bool = False) -> Iterator[IO[bytes]]:
    """A file to write.

    One that was not there before is removed when the block fails, unless what it has until then
    is worth to ``keep``.

    Raises:
        FileExistsError: there is a file, even one that has just appeared, and not ``overwrite``.
    """
    new = not path.exists()
    # A pipe or a device is there already and holds nothing that could be lost.
    mode = "wb" if overwrite or not (new or path.is_file()) else "xb"
    try:
        with path.open(mode) as file:
            yield file
    except FileExistsError:
        raise
    except BaseException:
        if new and not keep:
            path.unlink(missing_ok=True)
        raise


def _identity(path: Path) -> object:
    """Equal for two names of one file, links and not yet existing files included."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL character
        return os.path.normcase(path.absolute())
    return status.st_dev, status.st_ino
