"""Whole videos are whole, whatever their count of frames says, and cut ones are cut."""

import os
import re
import subprocess

import numpy as np
import pytest

import asmnet.commands.progress
from asmnet.cli import main
from asmnet.containers import is_cut, shown_seconds
from asmnet.errors import VideoError
from asmnet.video import VideoReader, VideoWriter

CODECS = {
    "mp4": "libx264", "mov": "libx264", "mkv": "libx264", "ts": "libx264", "flv": "libx264",
    "avi": "mpeg4", "webm": "libvpx",
}  # fmt: skip
PICTURE = "testsrc=size=64x48:rate=25:duration=8"
SPARSE = "select='if(lt(t,2),1,not(mod(n,10)))'"  # 25 frames a second, after 2 s only 2.5


@pytest.fixture(scope="module")
def ffmpeg():
    """Runs FFmpeg, which is in a wheel."""
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()

    def run(*arguments):
        command = [program, "-v", "error", "-y", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)
        return arguments[-1]

    return run


def encoder(suffix, *extra):
    quick = ["-deadline", "realtime", "-cpu-used", "8"] if suffix == "webm" else []
    return ["-c:v", CODECS[suffix], "-g", "50", "-pix_fmt", "yuv420p", *quick, *extra]


def frames(path):
    with VideoReader(path) as video:
        return sum(1 for _ in video)


@pytest.fixture(scope="module")
def whole(ffmpeg, tmp_path_factory):
    """An MP4 of 200 frames with its header at the end."""
    path = tmp_path_factory.mktemp("whole") / "whole.mp4"
    return ffmpeg("-f", "lavfi", "-i", PICTURE, *encoder("mp4"), path)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_trimmed_copy_is_whole(ffmpeg, whole, tmp_path, suffix):
    """It begins with the key frame before, which MP4 does not show."""
    path = tmp_path / f"trimmed.{suffix}"
    ffmpeg("-ss", "3.1", "-i", whole, "-t", "3", "-c", "copy", path)
    assert 70 <= frames(path) <= 110
    assert main(["track", str(path), "--json", str(tmp_path / "f.jsonl"), "--threads", "1"]) == 0


@pytest.mark.parametrize("suffix", CODECS)
def test_a_variable_rate_is_whole(ffmpeg, tmp_path, suffix):
    path = tmp_path / f"variable.{suffix}"
    ffmpeg("-f", "lavfi", "-i", PICTURE, "-vf", SPARSE, "-fps_mode", "vfr", *encoder(suffix), path)
    assert frames(path) == 65


@pytest.mark.parametrize("suffix", CODECS)
def test_a_longer_sound_is_no_missing_picture(ffmpeg, tmp_path, suffix):
    path = tmp_path / f"sound.{suffix}"
    sound = {"webm": "libvorbis", "avi": "mp3"}.get(suffix, "aac")
    ffmpeg("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", "sine=duration=12",
           *encoder(suffix, "-c:a", sound, "-ar", "44100"), path)  # fmt: skip
    assert frames(path) == 200


@pytest.mark.parametrize("suffix", [*CODECS, "fragments.mp4"])
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_a_cut_file_is_told(ffmpeg, tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    flags = {"mp4": "+faststart", "mov": "+faststart", "fragments.mp4": "frag_keyframe+empty_moov"}
    extra = ["-movflags", flags[suffix]] if suffix in flags else []
    ffmpeg("-f", "lavfi", "-i", PICTURE, *encoder(suffix.split(".")[-1], *extra), path)
    assert frames(path) == 200
    assert not is_cut(path)
    os.truncate(path, int(path.stat().st_size * share))
    if suffix == "ts":  # is a stream, which may end anywhere
        assert frames(path) < 200
        return
    with pytest.raises(VideoError, match=r"broke off after \d+ of \d+ frames"):
        frames(path)


def test_a_hole_is_told(ffmpeg, tmp_path):
    """As a download leaves it that makes room first."""
    path = tmp_path / "hole.mp4"
    ffmpeg("-f", "lavfi", "-i", PICTURE, *encoder("mp4", "-movflags", "+faststart"), path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size * 6 // 10)
        file.write(bytes(size - size * 6 // 10))
    with pytest.raises(VideoError, match=r"broke off after \d+ of 200 frames"):
        frames(path)


def test_progress_goes_by_time(ffmpeg, tmp_path, monkeypatch, capsys):
    """A total of frames that was estimated from the rate would be thrice too large."""
    path = tmp_path / "variable.mkv"
    ffmpeg("-f", "lavfi", "-i", PICTURE, "-vf", SPARSE, "-fps_mode", "vfr", *encoder("mkv"), path)
    monkeypatch.setattr(asmnet.commands.progress, "LINE_SECONDS", 0)
    assert main(["track", str(path), "--threads", "1"]) == 0
    lines = re.findall(r"^(\d+) of (\d+) frames", capsys.readouterr().err, re.MULTILINE)
    done, total = (list(map(int, column)) for column in zip(*lines, strict=True))
    assert total[0] == pytest.approx(200, rel=0.1)
    assert total == sorted(total, reverse=True)
    assert done[-1] == total[-1] == 65


def test_progress_beyond_what_was_announced(monkeypatch, capsys):
    monkeypatch.setattr(asmnet.commands.progress, "LINE_SECONDS", 0)
    display = asmnet.commands.progress.ProgressDisplay("images", 10)
    display.update(9, faces=0)
    display.update(11, faces=0)
    display.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("9 of 10 images")
    assert second.startswith("11 of ? images")


def boxes(*parts):
    """A box of MP4 from its kind and contents."""
    kind, *contents = parts
    content = b"".join(contents)
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def movie(edits=b"", version=0, wide=4):
    unit = bytes([version, 0, 0, 0]) + bytes(8 if wide == 4 else 16) + (1000).to_bytes(4, "big")
    track = (
        bytes([version, 0, 0, 0]) + bytes(16 if wide == 4 else 24) + (5000).to_bytes(wide, "big")
    )
    handler = bytes(8) + b"vide"
    return boxes(b"ftyp", b"isom") + boxes(
        b"moov",
        boxes(b"mvhd", unit),
        boxes(b"trak", boxes(b"tkhd", track), edits, boxes(b"mdia", boxes(b"hdlr", handler))),
    )


def edit_list(*edits):
    content = b"".join(
        length.to_bytes(4, "big") + start.to_bytes(4, "big", signed=True) + b"\0\1\0\0"
        for length, start in edits
    )
    return boxes(b"edts", boxes(b"elst", bytes(4), len(edits).to_bytes(4, "big"), content))


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (movie(), 5),
        (movie(version=1, wide=8), 5),
        (movie(edit_list((2000, 500))), 2),
        (movie(edit_list((1000, -1), (2000, 500), (500, 9000))), 2.5),
        (boxes(b"moov", boxes(b"mvex", b"")), None),
        (boxes(b"moov", boxes(b"mvhd", b"")), None),
        (boxes(b"ftyp", b""), None),
        (b"", None),
    ],
)
def test_seconds_that_are_shown(tmp_path, content, seconds):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert shown_seconds(path) == seconds
    assert not is_cut(path)


def test_long_and_open_boxes(tmp_path):
    path = tmp_path / "x.mp4"
    head = boxes(b"ftyp", b"")
    for size, cut in ((24, False), (25, True)):  # 64 bits of length
        path.write_bytes(head + b"\0\0\0\1mdat" + size.to_bytes(8, "big") + bytes(8))
        assert is_cut(path) is cut
    path.write_bytes(head + b"\0\0\0\0mdat" + bytes(8))  # until the end
    assert not is_cut(path)
    path.write_bytes(head + b"no box, but what a camera left behind")
    assert not is_cut(path)


def test_live_matroska_has_no_end(tmp_path):
    path = tmp_path / "x.mkv"
    for size, cut in ((b"\x01" + b"\xff" * 7, False), (b"\x88", True), (b"\x84", False)):
        path.write_bytes(b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67" + size + bytes(4))
        assert is_cut(path) is cut


def test_nonsense_says_nothing(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x"
    video = tmp_path / "x.mp4"
    with VideoWriter(video, 10) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    good = np.frombuffer(video.read_bytes(), np.uint8)
    starts = (
        b"\x1a\x45\xdf\xa3",
        b"RIFF\0\0\0\0AVI ",
        b"FLV",
        b"\0\0\0\x08moov",
        bytes(good[:4000]),
    )
    for _ in range(100):
        for start in starts:
            content = bytearray(start + rng.bytes(int(rng.integers(0, 60))))
            for place in rng.integers(0, len(content), 3):
                content[place] = rng.integers(256)
            path.write_bytes(content[: rng.integers(1, len(content) + 1)])
            assert is_cut(path) in (True, False)
            seconds = shown_seconds(path)
            assert seconds is None or seconds >= 0
