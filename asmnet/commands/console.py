"""Standard output and error, whatever they are connected to."""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def safe_streams() -> Iterator[None]:
    """Characters that a stream cannot encode are escaped in the block; no traceback at its end.

    At exit the interpreter writes what is left in the streams. Where that must fail, because the
    reader has gone or the disk is full, it goes nowhere instead: `cli.main` has told it by then.
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  a device
        # A stream that was closed by the parent is None.
        sys.stdout, sys.stderr = before[0] or nowhere, before[1] or nowhere
        streams = [
            (stream, stream.errors)
            for stream in (sys.stdout, sys.stderr)
            if isinstance(stream, io.TextIOWrapper)
        ]
        try:
            for stream, _ in streams:
                stream.reconfigure(errors="backslashreplace")
            yield
        finally:
            for stream, errors in streams:
                _restore(stream, errors)
            sys.stdout, sys.stderr = before


def complain(text: str) -> None:
    """A line on standard error; none if that cannot be written."""
    with suppress(OSError, ValueError):
        print(f"asmnet: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text with control characters, and bytes that are no UTF-8, spelled out in ASCII."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in ("Cc", "Cs")
        else character
        for character in text
    )


def _restore(stream: io.TextIOWrapper, errors: str | None) -> None:
    try:
        stream.reconfigure(errors=errors)  # which writes what is left
    except OSError:
        with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), stream.fileno())
