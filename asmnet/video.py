"""Videos in and out: the only module that touches OpenCV's captures, writers and windows."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np

from asmnet._checks import instance, number, path_name, shown, whole_number
from asmnet.containers import is_cut, shown_seconds
from asmnet.errors import InvalidInputError, VideoError
from asmnet.image import ImageArray

VideoSource = str | os.PathLike[str] | int

# Where a file or camera does not tell its frames a second, or tells what no video has.
DEFAULT_RATE, MIN_RATE, MAX_RATE = 30.0, 1e-3, 240.0
# What is missing at the end must be more than the larger of these to be told: a count of frames,
# and a share of them. Containers count a few frames that no decoder shows.
MISSING_FRAMES, MISSING_SHARE = 2, 0.05
# Seconds: a longer pause of the input is cut to this in the output.
LONGEST_PAUSE = 10.0


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        number: its place, from 0.
        time: seconds since the beginning; always more than the last frame's.
        image: (H, W, 3) uint8 RGB.
    """

    number: int
    time: float
    image: ImageArray


class VideoReader:
    """An iterator over a video's frames; use it in ``with``, or close it.

    Times are the file's own, so a variable frame rate is kept; a frame without a usable time comes
    one frame at ``rate`` after the last. A camera's times are the clock's.

    Attributes:
        rate: frames a second, as the file or camera says; of variable rates an average.
        length: about how many frames there are, as OpenCV estimates from what the file announces;
            None for cameras and endless streams.
        duration: about how many seconds, likewise.
        frames: how many were read.
    """

    def __init__(self, source: VideoSource) -> None:
        """Opens the video.

        Args:
            source: path of a file, a URL that OpenCV can open, or a camera's number.

        Raises:
            VideoError: no such file or camera, not a video, or a name that is not UTF-8.
            InvalidInputError: neither a path nor a number from 0 on.
        """
        camera, self._name = _camera_or_name(source)
        self._is_camera = camera is not None
        self._path: Path | None = None
        if camera is not None:
            self._capture = cv2.VideoCapture(camera)
        elif "://" in self._name:
            self._capture = cv2.VideoCapture(self._name)
        elif os.path.isfile(self._name):  # noqa: PTH113  Path.is_file raises for some names
            # Absolute, because FFmpeg takes what is before a colon for a protocol.
            self._path = Path(self._name).absolute()
            self._capture = cv2.VideoCapture(str(self._path))
        else:
            raise VideoError(f"{self._name}: no such file")
        if not self._capture.isOpened():
            kind = "a camera of this number" if self._is_camera else "a video"
            raise VideoError(f"{self._name}: expected {kind}, but OpenCV cannot open it")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= MAX_RATE else DEFAULT_RATE
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = count if count > 0 and not self._is_camera else None
        self.duration = None if self.length is None else self.length / self.rate
        # Of an MP4 that was cut out of another one, OpenCV counts frames that are not shown.
        self._shown = None if self._path is None else shown_seconds(self._path)
        if self._shown:
            self.duration = self._shown
        self.frames = 0
        self._started = self._time = 0.0

    def __iter__(self) -> VideoReader:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            VideoError: there is no frame at all, or the file broke off: it lacks its end, or
                frames that it holds cannot be read. The frames before were given.
        """
        good, image = self._capture.read()
        if not good:
            self._check_end()
            raise StopIteration
        if self._is_camera:
            now = time.monotonic()
            if not self.frames:
                self._started = now
            at = now - self._started
        else:
            at = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self.frames and not at > self._time:
            at = self._time + 1 / self.rate
        self._time = max(at, 0.0)
        self.frames += 1
        pixels = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return Frame(self.frames - 1, self._time, pixels)

    def _check_end(self) -> None:
        if not self.frames:
            raise VideoError(f"{self._name}: expected a video, got no frame")
        if self._is_camera:
            raise VideoError(f"{self._name}: gave no more frames after {self.frames}")
        if self._is_broken():
            raise VideoError(
                f"{self._name}: broke off after {self.frames} of {self.length} frames, "
                f"at {self._time:.2f} s"
            )

    def _is_broken(self) -> bool:
        """Whether the file holds, or held once, clearly more than was read.

        Few frames alone do not tell: a variable rate has fewer than the container's rate promises,
        and a sound that goes on longer than the pictures promises more.
        """
        if self.length is None or self.duration is None:
            return False
        allowed = max(MISSING_FRAMES, MISSING_SHARE * self.length)
        few = self.length - self.frames > allowed
        short = self.duration - (self._time + 1 / self.rate) > allowed / self.rate
        if self._path is None:  # the connection may be lost
            return few and short
        # MP4 knows how many frames there are and how long they are shown.
        unread = self._shown is not None and few and short
        return unread or ((few or short) and is_cut(self._path))

    def close(self) -> None:
        """Closes the file or camera."""
        self._capture.release()

    def __enter__(self) -> VideoReader:  # noqa: PYI034  Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _camera_or_name(source: VideoSource) -> tuple[int | None, str]:
    """The number of a camera, and what the source is called."""
    if isinstance(source, Integral):  # a bool is refused there
        camera = whole_number(source, "source", least=0, most=2**31 - 1)
        return camera, f"camera {camera}"
    name = path_name(source)
    if name is None:
        raise InvalidInputError(
            f"source: expected a path, a URL or a camera's number, got {shown(source)}"
        )
    return None, _checked_name(name)


def _checked_name(name: str) -> str:
    """The name, if OpenCV can take it: others end the process, or mean another file."""
    try:
        good = b"\0" not in name.encode("utf-8")
    except UnicodeEncodeError:
        good = False
    if not good:
        raise VideoError(f"{name!r}: expected a name in UTF-8, without NUL; rename the file")
    return name


def read_video(source: VideoSource) -> Generator[Frame, None, None]:
    """The frames of a video, one after the other: number, time in seconds, RGB image.

    >>> for number, time, image in read_video("video.mp4"):  # doctest: +SKIP
    ...     print(number, time, image.shape)

    Raises:
        VideoError: no such file or camera, not a video, a name that is not UTF-8, or, after its
            last frame, a file that broke off.
    """
    with VideoReader(source) as video:
        yield from video


class VideoWriter:
    """Writes an MP4 file (MPEG-4 video, no sound); use it in ``with``, or close it.

    The file has a constant rate, and keeps the input's timing: a frame is repeated until the next
    one is due, and one that comes sooner than the rate allows is left out. A pause beyond
    ``LONGEST_PAUSE`` is cut to it. Sides are even: an odd last row or column is left out.

    Attributes:
        frames: how many the file has.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float) -> None:
        """Begins; the file appears with the first frame.

        Args:
            path: a name that ends in .mp4; a file of that name is overwritten.
            rate: frames a second.

        Raises:
            InvalidInputError: another ending, or no usable rate.
            VideoError: there is no such folder, or the name is not UTF-8.
        """
        name = path_name(path)
        if name is None or Path(name).suffix.lower() != ".mp4":
            raise InvalidInputError(f"expected a name that ends in .mp4, got {shown(path)}")
        self._path = Path(_checked_name(name))
        expected = f"{MIN_RATE} to {MAX_RATE:.0f} frames/s"
        self._rate = number(rate, "rate", expected, least=MIN_RATE, most=MAX_RATE)
        if not os.path.isdir(self._path.parent):  # noqa: PTH112  it raises for some names
            raise VideoError(f"{path}: there is no folder {self._path.parent}")
        self._writer: cv2.VideoWriter | None = None
        self._start = 0.0
        self._last: ImageArray | None = None
        self.frames = 0

    def write(self, image: ImageArray, time: float) -> None:
        """Adds an RGB frame (H, W, 3) uint8, all of one size, at its time in seconds.

        Raises:
            InvalidInputError: no such frame, one of another size, or no time.
            VideoError: the file cannot be written.
        """
        time = number(time, "time", "a number of seconds")
        image = np.ascontiguousarray(instance(image, "image", np.ndarray))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise InvalidInputError(
                f"image: expected (H, W, 3) of uint8, got {image.shape} of {image.dtype}"
            )
        size = (image.shape[1], image.shape[0])
        if self._writer is None or self._last is None:
            self._writer = cv2.VideoWriter(
                str(self._path.absolute()), cv2.VideoWriter.fourcc(*"mp4v"), self._rate, size
            )
            if not self._writer.isOpened():
                raise VideoError(f"{self._path}: cannot be written")
            self._start = time
        elif image.shape != self._last.shape:
            raise InvalidInputError(
                f"{self._path}: expected frames of shape {self._last.shape}, got {image.shape}"
            )
        due = round((time - self._start) * self._rate)
        longest = round(LONGEST_PAUSE * self._rate)
        if due - self.frames > longest:
            self._start += (due - self.frames - longest) / self._rate
            due = self.frames + longest
        picture = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), dtype=np.uint8)
        if due >= self.frames:
            while self.frames < due and self._last is not None:
                self._writer.write(self._last)
                self.frames += 1
            self._writer.write(picture)
            self.frames += 1
        self._last = picture

    def close(self) -> None:
        """Finishes the file.

        Raises:
            VideoError: the file has not what was written, for example on a full disk.
        """
        if self._writer is None or not self._writer.isOpened():
            return
        self._writer.release()
        # OpenCV's writer does not tell of errors; what it counts is exact or nearly so.
        check = cv2.VideoCapture(str(self._path))
        count = int(check.get(cv2.CAP_PROP_FRAME_COUNT)) if check.isOpened() else 0
        check.release()
        if not count or self.frames - count > MISSING_FRAMES:
            raise VideoError(
                f"{self._path}: expected {self.frames} frames in it, got {count}; is the disk full?"
            )

    def __enter__(self) -> VideoWriter:  # noqa: PYI034
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except VideoError:
            # Not in place of the error that ended the block.
            if error is None:
                raise


def show_frame(title: str, image: ImageArray) -> bool:
    """Shows an RGB image in a window; False when the user pressed q or Escape there.

    Raises:
        VideoError: OpenCV is installed without windows.
    """
    try:
        cv2.imshow(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
    except cv2.error as error:
        raise VideoError(
            "this OpenCV cannot show windows: on a machine with a screen, install opencv-python "
            "in place of opencv-python-headless"
        ) from error
    return key not in (ord("q"), 27)
