"""Exit codes and option types that several commands share."""

from __future__ import annotations

import argparse

from PIL import Image

from asmnet.analyzer import LANDMARK_COUNTS
from asmnet.detector import DEFAULT_MIN_SCORE

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
# What shells report of a program that a closed pipe ended.
EXIT_NO_READER = 141


def score(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text}")
    return value


def add_face_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that decide which faces of a photo are returned, and with which points."""
    parser.add_argument(
        "--landmarks", type=int, choices=LANDMARK_COUNTS, default=68, help="points a face (68)"
    )
    parser.add_argument(
        "--min-score", type=score, default=DEFAULT_MIN_SCORE, metavar="S",
        help=f"leave out faces below this score, 0-1 ({DEFAULT_MIN_SCORE})",
    )  # fmt: skip
    parser.add_argument(
        "--max-faces", type=positive, metavar="N", help="keep the N best faces of each photo"
    )


def add_pixels_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--max-pixels``."""
    parser.add_argument(
        "--max-pixels", type=positive, metavar="N",
        help="refuse photos of more pixels, which may be made to fill the memory "
        f"({Image.MAX_IMAGE_PIXELS}, Pillow's limit)",
    )  # fmt: skip


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--threads``."""
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="threads of one run (all cores)"
    )
