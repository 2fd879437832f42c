"""What goes wrong with one image stays with that image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asmnet.errors import ImageError


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Makes any exception of the block, MemoryError included, an ImageError that names the image.

    Decoders raise whatever they like on broken files, so a list of types would never be complete.
    KeyboardInterrupt and SystemExit, which end the whole program, pass.
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"{name}: {type(error).__name__}: {error}") from error


def without_frames(error: ImageError) -> ImageError:
    """The error without its tracebacks, whose frames would keep the image in memory."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
