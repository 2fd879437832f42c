"""The command ``asmnet``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from asmnet._version import __version__
from asmnet.commands import batch, detect, track, weights
from asmnet.commands.options import EXIT_FAILED
from asmnet.errors import AsmnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``asmnet``.

    Returns:
        0 when all was done; 1 when a part failed (the rest is still done) or nothing could start;
        wrong use ends with 2 by `SystemExit`, as argparse does.
    """
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except AsmnetError as error:
        print(f"asmnet: {error}", file=sys.stderr)
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
