"""``asmnet track``: the faces of a video or camera, each with its number."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import IO, Any

from asmnet.commands.console import complain, printable
from asmnet.commands.options import (
    EXIT_FAILED,
    EXIT_NO_READER,
    EXIT_OK,
    EXIT_USAGE,
    add_face_options,
    add_threads_option,
    detector_of,
    positive,
)
from asmnet.commands.outputs import OutputCheck, add_overwrite_option, open_output
from asmnet.commands.progress import ProgressDisplay
from asmnet.commands.signals import exit_code
from asmnet.draw import draw_faces
from asmnet.errors import AsmnetError, InvalidInputError, VideoError
from asmnet.image import ImageArray
from asmnet.pool import map_in_order
from asmnet.tracking.one_euro import Smoothing
from asmnet.tracking.tracker import FaceTracker
from asmnet.types import Face
from asmnet.video import Frame, VideoReader, VideoWriter, show_frame

# Frames that may wait between reading, tracking and writing.
AHEAD = 4


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser of ``asmnet``."""
    parser = commands.add_parser(
        "track",
        help="follow the faces of a video or camera",
        description="Follows faces from frame to frame: each keeps its number, and its points are "
        "smoothed over time.",
        epilog="A line of JSON is one frame: its number, its time in seconds, and its faces. The "
        "MP4 has no sound and keeps the input's timing at a constant rate. Exit code: 0 the video "
        "ended; 1 it broke off or a file failed, and what was done until then is kept; 2 wrong "
        "use, or an output is there already; 130 interrupted (143 by SIGTERM), and what was done "
        "until then is kept.",
    )
    parser.add_argument(
        "source", metavar="VIDEO|CAMERA", help="a video file, or the number of a camera"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write an MP4 with faces drawn")
    parser.add_argument(
        "--json", metavar="FILE", help='write JSON Lines, one a frame; "-": standard output'
    )
    parser.add_argument(
        "--show", action="store_true",
        help="show the frames in a window, until q or Escape; needs opencv-python with windows",
    )  # fmt: skip
    add_face_options(parser)
    parser.add_argument(
        "--detect-every", type=positive, default=30, metavar="N",
        help="look for new faces every N frames (30)",
    )  # fmt: skip
    parser.add_argument(
        "--no-smoothing", action="store_true", help="points as the network has them"
    )
    add_threads_option(parser)
    add_overwrite_option(parser)
    parser.set_defaults(run=run)


@dataclass
class _Progress:
    """How far a run came, and what ended the video before its end."""

    frames: int = 0
    seconds: float = 0.0
    faces: int = 0
    error: VideoError | None = None


def run(options: argparse.Namespace) -> int:
    """Tracks, and says how far it came however it ends."""
    progress, started = _Progress(), time.monotonic()
    code = EXIT_OK
    try:
        _run(options, progress)
    except InvalidInputError as error:
        complain(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt as interrupt:
        complain("interrupted")
        code = exit_code(interrupt)
    except BrokenPipeError:
        code = EXIT_NO_READER
    except (AsmnetError, OSError) as error:
        complain(str(error))
        code = EXIT_FAILED
    rate = progress.frames / (time.monotonic() - started)
    summary = (
        f"{printable(options.source)}: {progress.frames} frames, {progress.faces} faces, "
        f"{rate:.1f} frames/s"
    )
    if options.json == "-":
        complain(summary)
    else:
        print(summary)
    return code


def _run(options: argparse.Namespace, progress: _Progress) -> None:
    source = int(options.source) if options.source.isdecimal() else options.source
    outputs = OutputCheck([options.source], overwrite=options.overwrite)
    if options.out is not None:
        outputs.check("--out", options.out)
    if options.json not in (None, "-"):
        outputs.check("--json", Path(options.json))
    plain = options.input_size is None and not options.tiles
    tracker = FaceTracker(
        landmarks=options.landmarks,
        min_score=options.min_score,
        max_faces=options.max_faces,
        smoothing=None if options.no_smoothing else Smoothing(),
        detect_every=options.detect_every,
        weights=options.weights,
        detector=None if plain else detector_of(options, options.threads),
        threads=options.threads,
    )
    with ExitStack() as files:
        video = files.enter_context(VideoReader(source))
        out = None
        if options.out is not None:
            out = files.enter_context(VideoWriter(options.out, video.rate))
        lines: IO[bytes] | None = None
        if options.json not in (None, "-"):
            lines = files.enter_context(
                open_output(Path(options.json), overwrite=options.overwrite, keep=True)
            )

        def write(result: tuple[Frame, list[Face]]) -> ImageArray | None:
            frame, faces = result
            numbers = [face.track_id for face in faces if face.track_id is not None]
            drawn = None
            if out is not None or options.show:
                drawn = draw_faces(frame.image, faces)
            if out is not None and drawn is not None:
                out.write(drawn, frame.time)
            if options.json is not None:
                record: dict[str, Any] = {"frame": frame.number, "time": frame.time}
                record["faces"] = [face.to_dict() for face in faces]
                _write_line(json.dumps(record) + "\n", lines)
            progress.frames += 1
            progress.seconds = frame.time + 1 / video.rate
            progress.faces = max(progress.faces, *(number + 1 for number in numbers), 0)
            return drawn

        # One thread reads and one draws and writes, while this one runs the networks.
        frames = map_in_order(
            ThreadPoolExecutor(1), lambda reader: next(reader, None), repeat(video), window=AHEAD
        )
        results = _tracked(frames, tracker, progress)
        written = map_in_order(ThreadPoolExecutor(1), write, results, window=AHEAD)
        display = ProgressDisplay("frames", video.length)
        with closing(frames), closing(results), closing(written), closing(display):
            for drawn in written:
                share = progress.seconds / video.duration if video.duration else None
                display.update(progress.frames, share=share, faces=progress.faces)
                if drawn is not None and options.show and not show_frame("asmnet", drawn):
                    break
            else:
                display.update(progress.frames, share=1.0, faces=progress.faces)
    # Only now, after all that came before it is written.
    if progress.error is not None:
        raise progress.error


def _write_line(line: str, file: IO[bytes] | None) -> None:
    """To a file, or to standard output."""
    try:
        if file is None:
            sys.stdout.write(line)
        else:
            file.write(line.encode("ascii"))
    except OSError as error:  # which does not say of which file
        raise OSError(error.errno, error.strerror, "--json") from error


def _tracked(
    frames: Iterable[Frame | None], tracker: FaceTracker, progress: _Progress
) -> Generator[tuple[Frame, list[Face]], None, None]:
    """The frames with their faces, until the video ends or breaks off."""
    try:
        for frame in frames:
            if frame is None:
                return
            yield frame, tracker.update(frame.image, frame.time)
    except VideoError as error:
        progress.error = error
