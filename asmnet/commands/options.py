"""Exit codes and option types that several commands share."""

from __future__ import annotations

import argparse

from PIL import Image

from asmnet.analyzer import LANDMARK_COUNTS
from asmnet.detector import DEFAULT_MIN_SCORE, DEFAULT_SIDE, FaceDetector, check_input_size
from asmnet.errors import InvalidInputError
from asmnet.weights import find_family
from asmnet.weights.family import DEFAULT, VARIABLE

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


def input_size(text: str) -> int:
    """A multiple of 32 pixels."""
    try:
        return check_input_size(int(text))
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def family(text: str) -> str:
    """The name of a family of weights."""
    try:
        return find_family(text).name
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def detector_of(options: argparse.Namespace, threads: int | None) -> FaceDetector:
    """The detector of ``--weights``, ``--input-size`` and ``--tiles``."""
    return FaceDetector(
        options.weights, input_size=options.input_size, tiles=options.tiles, threads=threads
    )


def add_face_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that decide which faces of a photo are returned, and with which points."""
    parser.add_argument(
        "--landmarks", type=int, choices=LANDMARK_COUNTS, default=68, help="points a face (68)"
    )
    parser.add_argument(
        "--weights", type=family, metavar="FAMILY",
        help="which weights, a family of `asmnet weights list`, such as research; also the "
        f"environment variable {VARIABLE} ({DEFAULT})",
    )  # fmt: skip
    parser.add_argument(
        "--min-score", type=score, default=DEFAULT_MIN_SCORE, metavar="S",
        help=f"leave out faces below this score, 0-1 ({DEFAULT_MIN_SCORE})",
    )  # fmt: skip
    parser.add_argument(
        "--max-faces", type=positive, metavar="N", help="keep the N best faces of each photo"
    )
    parser.add_argument(
        "--input-size", type=input_size, metavar="PX",
        help="longer side of the finest pass for small faces, a multiple of 32: 320 is the "
        f"quickest ({DEFAULT_SIDE}; videos 640)",
    )  # fmt: skip
    parser.add_argument(
        "--tiles", action="store_true",
        help="also look at all of the photo at full size, for small faces in huge photos",
    )  # fmt: skip


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
