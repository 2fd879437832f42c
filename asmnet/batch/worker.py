"""What a worker process of a batch does with its photos."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
import threading
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from asmnet.align import aligned_crop
from asmnet.analyzer import FaceAnalyzer
from asmnet.batch.journal import Chunk
from asmnet.detector import DEFAULT_MIN_SCORE, FaceDetector
from asmnet.errors import ImageDecodeError, ImageError
from asmnet.guard import guarded
from asmnet.image import load_image, pixel_limit
from asmnet.rows import Row, error_row, face_rows, to_jsonl

# Seconds that a worker goes on after SIGTERM. One that was sent to all processes of a run reaches
# the parent as well, which ends its workers in order.
GRACE_SECONDS = 10.0
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class BatchOptions:
    """What decides the rows of a file.

    Attributes:
        landmarks: 68 or 98 points.
        weights: the family of the weights; None is that of the environment variable
            ``ASMNET_WEIGHTS``, or "research".
        min_score: 0–1, faces below are left out.
        max_faces: keep only so many of the best of each photo; None keeps all.
        input_size, tiles: see `asmnet.FaceDetector`.
        crops: folder for the aligned crops ``FILE-FACE.jpg``; None writes none.
        crops_root: FILE is the path from this folder on, or the whole path of a file outside.
        crop_size: side of the crops in pixels.
        max_pixels: files of more are refused; None is ``PIL.Image.MAX_IMAGE_PIXELS``.
    """

    landmarks: int = 68
    weights: str | None = None
    min_score: float = DEFAULT_MIN_SCORE
    max_faces: int | None = None
    input_size: int | None = None
    tiles: bool = False
    crops: Path | None = None
    crops_root: Path = field(default_factory=Path)
    crop_size: int = 112
    max_pixels: int | None = None


def start_worker(started: Any) -> None:
    """Prepares a worker process, and sets the shared value ``started``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which saves
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    started.value = True


def analyze(options: BatchOptions, files: list[str]) -> Chunk:
    """A worker's task.

    Raises:
        OSError: the disk of the crops is full, which no file is to blame for.
    """
    # What fails here fails for every file.
    analyzer = _analyzer(
        options.landmarks, options.weights, options.input_size, tiles=options.tiles
    )
    rows = [row for file in files for row in _file_rows(file, options, analyzer)]
    failed = sum(row["error"] is not None for row in rows)
    return Chunk(files, to_jsonl(rows), len(rows) - failed, failed)


@cache
def _analyzer(
    landmarks: int, weights: str | None, input_size: int | None, *, tiles: bool
) -> FaceAnalyzer:
    detector = FaceDetector(weights, input_size=input_size, tiles=tiles, threads=1)
    return FaceAnalyzer(landmarks=landmarks, weights=weights, detector=detector, threads=1)


def _file_rows(file: str, options: BatchOptions, analyzer: FaceAnalyzer) -> list[Row]:
    try:
        with guarded(file), pixel_limit(options.max_pixels):
            _check_kind(file)
            # Without crops a large file need not be decoded at full size.
            image = file if options.crops is None else load_image(file)
            faces = analyzer.detect(image, min_score=options.min_score, max_faces=options.max_faces)
            if options.crops is not None:
                for index, face in enumerate(faces):
                    crop = aligned_crop(image, face, size=options.crop_size)
                    _save(crop, _crop_path(file, index, options.crops, options.crops_root))
    except ImageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
            raise cause from None
        return [error_row(file, error)]
    return face_rows(file, faces)


def _check_kind(file: str) -> None:
    """A pipe would be waited for, for ever; and a folder comes here if it cannot be searched."""
    try:
        mode = Path(file).stat().st_mode
    except (OSError, ValueError):
        return  # reading it will tell
    if stat.S_ISDIR(mode):
        with os.scandir(file):  # its error is the one that the search met
            pass
    elif not stat.S_ISREG(mode):
        raise ImageDecodeError(f"{file}: expected an image file, got a pipe or device")


def _save(crop: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A new file, so that a link of that name is replaced and its target stays as it is.
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        Image.fromarray(crop).save(file, "JPEG", quality=92)


def _crop_path(file: str, index: int, folder: Path, root: Path) -> Path:
    if Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder)):
        raise ImageDecodeError(f"{file}: expected a photo outside of the folder of the crops")
    # Not Path.resolve, which would follow links, and two of them may lead to one file.
    path, root = (Path(os.path.abspath(p)) for p in (file, root))  # noqa: PTH100
    inside = path.relative_to(root if path.is_relative_to(root) else path.anchor)
    return folder / inside.with_name(f"{inside.name}-{index}.jpg")


def _end_later(*_: object) -> None:
    timer = threading.Timer(GRACE_SECONDS, os._exit, [1])
    timer.daemon = True
    timer.start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)  # a thread has no other way to end its process
