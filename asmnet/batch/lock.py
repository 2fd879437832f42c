"""One run at a time may write to an output."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asmnet.errors import InvalidInputError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Behind the text, because what is locked here others cannot read.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


MARK = "asmnet batch"
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Holds ``OUT.lock``, which has the process id of the run.

    The system lets go of the lock when the process ends, however it does; the file that a killed
    run leaves is taken over. On a disk that knows no locks there is none.

    Raises:
        InvalidInputError: another run holds it, or a file of that name is none of ours.
    """
    path = out.with_name(out.name + ".lock")
    descriptor = _take(path, out)
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{MARK} {os.getpid()} {socket.gethostname()}\n".encode())
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open; the next run takes it over
            path.unlink()
        os.close(descriptor)


def _take(path: Path, out: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            taken = _try_lock(descriptor, path, out)
        except BaseException:
            os.close(descriptor)
            raise
        if taken:
            return descriptor
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path, out: Path) -> bool:
    """False if the run that held it has ended and removed the file meanwhile."""
    text = _read(descriptor)
    if text and not text.startswith(MARK):
        raise InvalidInputError(f"{path}: expected the lock of a run, got another file")
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _HELD:
            raise InvalidInputError(
                f"{out}: another run writes to it: {_holder(descriptor)}"
            ) from error
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1000).decode("utf-8", "replace")


def _holder(descriptor: int) -> str:
    for _ in range(20):  # it writes its id right after it has taken the lock
        pid, _, host = _read(descriptor).removeprefix(MARK).strip().partition(" ")
        if pid:
            return f"process {pid} on {host}"
        time.sleep(0.05)
    return "a process that does not tell its id"
