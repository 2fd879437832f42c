"""The command ``asmnet``."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Sequence

from asmnet._version import __version__
from asmnet.commands import batch, detect, track, weights
from asmnet.commands.console import complain, safe_streams
from asmnet.commands.options import EXIT_FAILED, EXIT_NO_READER
from asmnet.commands.signals import ending_signals, exit_code
from asmnet.errors import AsmnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``asmnet``.

    Returns:
        0 when all was done; 1 when a part failed (the rest is still done) or nothing could start;
        128 and the number of the signal that ended it, 130 for Ctrl-C; 141 when the reader of
        standard output has gone. Wrong use ends with 2 by `SystemExit`, as argparse does.
    """
    multiprocessing.freeze_support()  # a frozen program starts itself for its workers
    with safe_streams(), ending_signals():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        try:
            options = _parser().parse_args(argv)
            code: int = options.run(options)
        finally:  # argparse exits after it has printed a help text
            sys.stdout.flush()
    except AsmnetError as error:
        complain(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt as interrupt:
        complain("interrupted")
        return exit_code(interrupt)
    except BrokenPipeError:
        return EXIT_NO_READER
    except OSError as error:
        # The commands tell of their files themselves.
        complain(f"standard output: {error}" if error.filename is None else str(error))
        return EXIT_FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asmnet", description="Faces, facial landmarks and head pose of photos and videos."
    )
    parser.add_argument("--version", action="version", version=f"asmnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    detect.add_parser(commands)
    batch.add_parser(commands)
    track.add_parser(commands)
    weights.add_parser(commands)
    return parser
