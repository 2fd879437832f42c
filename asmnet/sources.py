"""Names of image files, one after the other: from a folder, a list or a pattern."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from asmnet.errors import InvalidInputError
from asmnet.image import image_suffixes

STANDARD_INPUT = "-"


def image_files(source: str, left_out: Counter[str] | None = None) -> Iterator[str]:
    """The files that ``source`` means, in an order that does not change from run to run.

    Names are never collected: memory does not grow with them, but for the names of one folder.
    A folder below that cannot be read is given out by its name, so that reading it tells why.

    Args:
        source: one of

            - a folder: its files with an image's suffix (`asmnet.image.image_suffixes`) and those
              of all folders below. In each folder the files come first, then the folders, sorted;
              hidden ones, and folders that are links, are left out.
            - a file with a path on each line, or "-" for standard input. Relative paths start at
              the current folder.
            - a pattern with ``*``, ``?``, ``[…]``, and at most one ``**`` for any number of
              folders: all files that match, hidden ones left out.
        left_out: counts the other files of a folder by their suffix, "" for none, as they are
            passed.

    Raises:
        InvalidInputError: none of them, or nothing matches the pattern's fixed part.
    """
    if source == STANDARD_INPUT:
        return _lines(sys.stdin.fileno())
    path = Path(source)
    if path.is_dir():
        return _in_folder(path, Counter() if left_out is None else left_out)
    if path.exists():
        if path.suffix.lower() in image_suffixes():
            raise InvalidInputError(
                f"{source}: expected a folder, a list of paths or a pattern, got an image; "
                "`asmnet detect` takes single photos"
            )
        return _lines(path)
    root, parts = split_pattern(source)
    if not parts or not root.is_dir():
        raise InvalidInputError(f"{source}: no such folder, list of paths or pattern")
    if parts.count("**") > 1:
        raise InvalidInputError(f"{source}: expected at most one ** in a pattern")
    return _matching(root, parts)


def split_pattern(pattern: str) -> tuple[Path, list[str]]:
    """The folder before the first wildcard, and the parts from there on; no parts without one."""
    parts = Path(pattern).parts
    first = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return Path(*parts[:first]), list(parts[first:])


def _lines(file: Path | int) -> Iterator[str]:
    # Bytes, because a name on Linux need not be UTF-8. Standard input is not ours to close.
    with open(file, "rb", closefd=isinstance(file, Path)) as lines:
        for line in lines:
            name = line.rstrip(b"\r\n")
            if name:
                yield os.fsdecode(name)


# The walks keep a list of what is still to do and do not call themselves: folders may be nested
# deeper than Python's calls may be.


def _in_folder(folder: Path, left_out: Counter[str]) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        entries = _entries(folder)
        if entries is None:
            yield str(folder)
            continue
        files, folders = entries
        for name in files:
            suffix = Path(name).suffix.lower()
            if suffix in image_suffixes():
                yield str(folder / name)
            else:
                left_out[suffix] += 1
        waiting += [folder / name for name in reversed(folders)]


def _matching(folder: Path, parts: list[str]) -> Iterator[str]:
    waiting = [(folder, parts)]
    while waiting:
        folder, parts = waiting.pop()
        part, rest = parts[0], parts[1:]
        entries = _entries(folder, hidden=part.startswith("."))
        if entries is None:
            yield str(folder)
            continue
        files, folders = entries
        below = reversed(folders)
        if part == "**":
            # No folder in its place, or one of these and perhaps more below. A last ** is all
            # files. The last of the list comes first.
            waiting += [(folder / name, parts) for name in below]
            waiting.append((folder, rest or ["*"]))
        elif rest:
            waiting += [(folder / name, rest) for name in below if fnmatch(name, part)]
        else:
            yield from (str(folder / name) for name in files if fnmatch(name, part))


def _entries(folder: Path, *, hidden: bool = False) -> tuple[list[str], list[str]] | None:
    """Sorted names of a folder's files and of its folders; None if it cannot be read."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not hidden:
                    continue
                if not _is_folder(entry):
                    files.append(entry.name)
                elif not entry.is_symlink():  # a link may lead back to a folder above it
                    folders.append(entry.name)
    except OSError:
        return None
    return sorted(files), sorted(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for one
        return False
