"""Feeds damaged image files of every format to `load_image`: only an ImageError may come out.

What brings out anything else (another exception, a crash, a decoder that does not end) is written
to a folder, and the exit code is 1. Put the smallest such file into tests/corpus/, which the test
suite reads, and mend its kind.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import random
import secrets
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from fuzz.seeds import seeds

from asmnet.errors import ImageError
from asmnet.image import load_image, load_reduced

CORPUS = Path(__file__).parents[1] / "corpus"
MEMORY = 4 << 30  # bytes of address space: want of memory is a case, not the machine's end
LONGEST = 20  # seconds for one file
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args(argv)
    rng = random.Random(options.seed)  # noqa: S311  not for secrets
    report = _silence()
    files = seeds()
    files["corpus"] = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    os.dup2(report.fileno(), 2)
    print(f"seed {options.seed}: {sum(map(len, files.values()))} files", flush=True)
    end, runs, done = time.monotonic() + options.seconds, 0, 0
    spawn = multiprocessing.get_context("spawn")
    # A crash ends only the child, which left its last file behind.
    options.findings.mkdir(parents=True, exist_ok=True)
    last = options.findings / "last"
    while time.monotonic() < end:
        counter = spawn.Value("q", 0)
        arguments = (files, rng.randrange(2**32), end - time.monotonic(), last, counter)
        child = spawn.Process(target=_decode, args=arguments)
        child.start()
        child.join()
        runs, done = runs + 1, done + counter.value
        if child.exitcode:
            name = options.findings / f"crash-{options.seed}-{runs}"
            last.rename(name)
            print(f"{name}: the process ended with {child.exitcode}")
    last.unlink(missing_ok=True)
    found = sorted(options.findings.iterdir())
    print(f"{done} damaged files, {len(found)} findings in {options.findings}/")
    return 1 if found else 0


def _decode(
    files: dict[str, list[bytes]],
    seed: int,
    seconds: float,
    last: Path,
    counter: multiprocessing.sharedctypes.Synchronized,
) -> None:
    """The child: decodes until it is time, keeping each file on the disk while it is at it."""
    end, report = time.monotonic() + seconds, _silence()
    _limit_memory()
    rng = random.Random(seed)  # noqa: S311
    names, kinds = sorted(files), set()
    while time.monotonic() < end:
        data = damaged(rng.choice(files[rng.choice(names)]), rng, files)
        last.write_bytes(data)
        faulthandler.dump_traceback_later(LONGEST, exit=True, file=report)
        for load in (load_image, _load_reduced):
            error = _foreign_error(load, data)
            if error is None:
                continue
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = (type(error), where.filename, where.lineno)
            if kind not in kinds:
                kinds.add(kind)
                name = last.with_name(f"{type(error).__name__}-{seed}-{counter.value}")
                name.write_bytes(data)
                print("".join(traceback.format_exception(error)), file=report, flush=True)
        faulthandler.cancel_dump_traceback_later()
        counter.value += 1


def _silence() -> TextIO:
    """Keeps warnings and libtiff's messages off standard error; the reports go to the result."""
    warnings.simplefilter("ignore")
    report = os.fdopen(os.dup(2), "w")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    return report


def _load_reduced(data: bytes) -> object:
    return load_reduced(data, 4)


def _foreign_error(load: Callable[[bytes], object], data: bytes) -> BaseException | None:
    try:
        load(data)
    except ImageError:
        return None
    except BaseException as error:  # noqa: BLE001
        return error
    return None


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def damaged(data: bytes, rng: random.Random, files: dict[str, list[bytes]]) -> bytes:
    """The data after one to four changes, most of them near the beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        reach = len(changed) if rng.random() < 0.3 else min(len(changed), 256)
        if reach == 0:
            break
        at = rng.randrange(reach)
        length = min(rng.choice((1, 2, 4, 8, 64, 1024)), len(changed) - at)
        kind = rng.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at] = rng.randrange(256)
        elif kind in (2, 3):
            size = rng.choice((1, 2, 4))
            value = rng.choice(INTERESTING) & ((1 << 8 * size) - 1)
            changed[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))
        elif kind == 4:
            del changed[at : rng.choice((at + length, len(changed)))]
        elif kind == 5:
            changed[at:at] = changed[at : at + length]
        else:
            other = rng.choice(files[rng.choice(sorted(files))])
            start = rng.randrange(len(other))
            changed[at : at + length] = other[start : start + length]
    return bytes(changed)


if __name__ == "__main__":
    sys.exit(main())
