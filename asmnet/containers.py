"""What a video file says about itself that OpenCV does not pass on.

The number of frames that OpenCV tells is of little use to know whether a file is whole: of MP4 it
counts the frames before a cut that are not shown, of others it is a duration times a rate. But most
containers hold their own length in bytes, and MP4 the seconds of each track.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# A header of more bytes is none.
MOST_HEADER_BYTES = 256 << 20
# What reading numbers brings where a header makes no sense.
_NONSENSE = (OSError, ValueError, IndexError, struct.error)
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut(path: Path) -> bool:
    """Whether the file ends before its container does; False where the container does not say.

    Known are MP4 and MOV, Matroska and WebM, AVI, and FLV. An MPEG transport stream has no end.
    """
    with suppress(*_NONSENSE), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if start[:4] == _EBML:
            return _matroska_end(file) > size
        if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
            return _riff_end(file, size) > size
        if start[:3] == b"FLV":
            return not _has_last_tag(file, size)
        if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return any(end > size for _, _, end in _boxes(file, 0, size))
    return False


def shown_seconds(path: Path) -> float | None:
    """How long the pictures of an MP4 or MOV file last, cuts regarded; None for other files."""
    with suppress(*_NONSENSE), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for kind, begin, end in _boxes(file, 0, size):
            if kind == b"moov" and end <= size and end - begin <= MOST_HEADER_BYTES:
                return _movie_seconds(file, begin, end)
    return None


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box of an MP4 file, until there is no box."""
    while begin + 8 <= end:
        file.seek(begin)
        length, kind = struct.unpack(">I4s", file.read(8))
        content = begin + 8
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
            content = begin + 16
        elif length == 0:
            length = end - begin
        if length < content - begin or not kind.isalnum():
            return
        yield kind, content, begin + length
        begin += length


def _movie_seconds(file: BinaryIO, begin: int, end: int) -> float | None:
    unit, tracks = 0, []
    for kind, *place in _boxes(file, begin, end):
        if kind == b"mvhd":
            unit = _number(file, place[0], {0: (12, 4), 1: (20, 4)})
        elif kind == b"mvex":
            return None  # fragments follow, whose times are not in the header
        elif kind == b"trak":
            boxes = {name: inside for name, *inside in _boxes(file, *place)}
            media = {name: inside for name, *inside in _boxes(file, *boxes.get(b"mdia", (0, 0)))}
            if _handler(file, media) == b"vide" and b"tkhd" in boxes:
                tracks.append(_track_length(file, boxes))
    return max(tracks) / unit if unit and tracks else None


def _handler(file: BinaryIO, media: dict[bytes, list[int]]) -> bytes:
    if b"hdlr" not in media:
        return b""
    file.seek(media[b"hdlr"][0] + 8)
    return file.read(4)


def _track_length(file: BinaryIO, boxes: dict[bytes, list[int]]) -> int:
    """In the movie's unit: what is shown of the track, or all of it without a list of edits."""
    for kind, begin, _ in _boxes(file, *boxes.get(b"edts", (0, 0))):
        if kind == b"elst":
            file.seek(begin)
            version = file.read(4)[0]
            count = int.from_bytes(file.read(4), "big")
            entry = struct.Struct(">QqI" if version else ">IiI")
            edits = entry.iter_unpack(file.read(entry.size * min(count, 10_000)))
            return sum(length for length, start, _ in edits if start >= 0)  # -1 is a wait
    return _number(file, boxes[b"tkhd"][0], {0: (20, 4), 1: (28, 8)})


def _number(file: BinaryIO, begin: int, places: dict[int, tuple[int, int]]) -> int:
    """A number of a box, whose offset and bytes depend on the box's version."""
    file.seek(begin)
    offset, length = places.get(file.read(1)[0], places[0])
    file.seek(begin + offset)
    return int.from_bytes(file.read(length), "big")


def _matroska_end(file: BinaryIO) -> int:
    file.seek(4)
    header = _vint(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    return _vint(file) + file.tell()


def _vint(file: BinaryIO) -> int:
    """A number of EBML; 0 for "unknown", which live streams have."""
    first = file.read(1)[0]
    more = 8 - first.bit_length()
    value = int.from_bytes(bytes([first & ((1 << (7 - more)) - 1)]) + file.read(more), "big")
    return 0 if value == (1 << 7 * (more + 1)) - 1 else value


def _riff_end(file: BinaryIO, size: int) -> int:
    """Of the last of the parts that a large AVI file has one after the other."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length in (0, 0xFFFFFFFF):
            break
        end += 8 + length
    return end


def _has_last_tag(file: BinaryIO, size: int) -> bool:
    """Each tag of FLV is followed by its length."""
    file.seek(max(size - 4, 0))
    length = int.from_bytes(file.read(4), "big")
    if length < 11 or length + 4 > size:
        return False
    file.seek(size - 4 - length)
    tag = file.read(4)
    return tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:], "big") == length - 11
