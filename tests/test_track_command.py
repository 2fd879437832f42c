"""``asmnet track``: files are whole however a run ends."""

import json
import re
from itertools import islice

import cv2
import numpy as np
import pytest
from PIL import Image

import asmnet.commands.progress
import asmnet.commands.track
from asmnet import Face
from asmnet.cli import main
from asmnet.errors import VideoError
from asmnet.image import load_image
from asmnet.video import VideoReader, VideoWriter, read_video

FRAMES = 12


@pytest.fixture(scope="module")
def frames(photos):
    """The astronaut, moving slowly to the right."""
    photo = cv2.resize(load_image(photos / "astronaut.png"), (320, 320))[:200]
    return [
        cv2.warpAffine(photo, np.float64([[1, 0, 3 * i], [0, 1, 0]]), (320, 200))
        for i in range(FRAMES)
    ]


@pytest.fixture
def video(frames, tmp_path):
    path = tmp_path / "in.mp4"
    with VideoWriter(path, 10) as writer:
        for i, frame in enumerate(frames):
            writer.write(frame, i / 10)
    return path


def broken(frames, path):
    """An AVI that ends in the middle; its header announces all frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 200))
    for frame in frames:
        writer.write(frame[:, :, ::-1])
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


def track(source, *arguments):
    return main(["track", str(source), "--threads", "1", *map(str, arguments)])


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_video_and_lines(video, frames, tmp_path, capsys):
    out, lines = tmp_path / "out.mp4", tmp_path / "faces.jsonl"
    assert track(video, "--out", out, "--json", lines) == 0
    assert re.search(r"in\.mp4: 12 frames, 1 faces, \d+\.\d frames/s", capsys.readouterr().out)
    records = read(lines)
    assert [record["frame"] for record in records] == list(range(FRAMES))
    assert [record["time"] for record in records] == pytest.approx(np.arange(FRAMES) / 10)
    for record in records:
        (face,) = map(Face.from_dict, record["faces"])
        assert face.track_id == 0
    drawn = list(read_video(out))
    assert len(drawn) == FRAMES
    assert np.abs(drawn[5].image.astype(int) - frames[5]).max() > 100  # the overlay


def test_lines_to_standard_output_are_nothing_but_json(video, capsys):
    assert track(video, "--json", "-", "--no-smoothing", "--detect-every", "5") == 0
    captured = capsys.readouterr()
    assert len([json.loads(line) for line in captured.out.splitlines()]) == FRAMES
    assert "12 frames" in captured.err


def test_options_reach_the_tracker(video, tmp_path):
    smooth, raw, none = (tmp_path / name for name in ("smooth", "raw", "none"))
    assert track(video, "--json", smooth) == 0
    assert track(video, "--json", raw, "--no-smoothing", "--max-faces", "1") == 0
    assert track(video, "--json", none, "--min-score", "1") == 0
    first, other = (read(path)[0]["faces"][0]["landmarks"] for path in (smooth, raw))
    assert first == other
    assert read(smooth)[9] != read(raw)[9]
    assert all(record["faces"] == [] for record in read(none))


def test_progress_without_a_terminal_is_a_line_now_and_then(video, monkeypatch, capsys):
    monkeypatch.setattr(asmnet.commands.progress, "LINE_SECONDS", 0)
    assert track(video) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d+ of 12 frames, \d+\.\d frames/s, \d\d:\d\d left, 1 faces", first)


def test_a_broken_file_keeps_what_was_before(frames, tmp_path, capsys):
    source = broken(frames, tmp_path / "broken.avi")
    out, lines = tmp_path / "out.mp4", tmp_path / "faces.jsonl"
    assert track(source, "--out", out, "--json", lines) == 1
    captured = capsys.readouterr()
    done = int(re.search(r"broke off after (\d+) of 12 frames", captured.err)[1])
    assert 4 < done < FRAMES
    assert f"{done} frames, 1 faces" in captured.out
    assert len(read(lines)) == len(list(read_video(out))) == done


def test_ctrl_c_closes_the_files(video, tmp_path, monkeypatch, capsys):
    update = asmnet.FaceTracker.update

    def interrupted(self, frame, timestamp):
        if timestamp > 0.75:
            raise KeyboardInterrupt
        return update(self, frame, timestamp)

    monkeypatch.setattr(asmnet.FaceTracker, "update", interrupted)
    out, lines = tmp_path / "out.mp4", tmp_path / "faces.jsonl"
    assert track(video, "--out", out, "--json", lines) == 130
    captured = capsys.readouterr()
    assert "interrupted" in captured.err
    done = int(re.search(r"(\d+) frames", captured.out)[1])
    assert 4 <= done <= 8
    assert len(read(lines)) == len(list(read_video(out))) == done


def test_ctrl_c_while_reading(video, tmp_path, monkeypatch):
    class Interrupted(VideoReader):
        def __next__(self):
            if self.frames == 6:
                raise KeyboardInterrupt
            return super().__next__()

    monkeypatch.setattr(asmnet.commands.track, "VideoReader", Interrupted)
    lines = tmp_path / "faces.jsonl"
    assert track(video, "--json", lines) == 130
    assert 2 <= len(read(lines)) <= 6


def test_variable_rate(frames, tmp_path):
    source, lines, out = tmp_path / "in.gif", tmp_path / "faces.jsonl", tmp_path / "out.mp4"
    first, *others = [Image.fromarray(frame) for frame in frames[:4]]
    first.save(source, save_all=True, append_images=others, duration=[100, 40, 460, 100])
    assert track(source, "--json", lines, "--out", out) == 0
    times = [record["time"] for record in read(lines)]
    assert times == pytest.approx([0, 0.1, 0.14, 0.6])
    *_, last = read_video(out)
    assert last.time == pytest.approx(0.6, abs=0.15)


def test_no_face_is_no_error(tmp_path, capsys):
    path, lines = tmp_path / "black.mp4", tmp_path / "faces.jsonl"
    with VideoWriter(path, 10) as writer:
        for i in range(3):
            writer.write(np.zeros((64, 64, 3), np.uint8), i / 10)
    assert track(path, "--json", lines) == 0
    assert read(lines)[2] == {"frame": 2, "time": 0.2, "faces": []}
    assert "3 frames, 0 faces" in capsys.readouterr().out


def test_show(video, monkeypatch):
    shown = []

    def show(title, image):
        shown.append(image.shape)
        return len(shown) < 3  # then the user presses q

    monkeypatch.setattr(asmnet.commands.track, "show_frame", show)
    assert track(video, "--show") == 0
    assert shown == [(200, 320, 3)] * 3


def test_show_without_windows(video, tmp_path, monkeypatch, capsys):
    def show(*_):
        raise VideoError("no windows")

    monkeypatch.setattr(asmnet.commands.track, "show_frame", show)
    assert track(video, "--show", "--json", tmp_path / "faces.jsonl") == 1
    assert "no windows" in capsys.readouterr().err


def test_a_camera_is_a_number(frames, tmp_path, monkeypatch):
    class Camera:
        length, duration, rate = None, None, 10.0

        def __init__(self, source):
            assert source == 2
            self.frames = islice(read_video(tmp_path / "in.mp4"), 5)

        def __next__(self):
            return next(self.frames)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.frames = None

    with VideoWriter(tmp_path / "in.mp4", 10) as writer:
        for i, frame in enumerate(frames):
            writer.write(frame, i / 10)
    monkeypatch.setattr(asmnet.commands.track, "VideoReader", Camera)
    lines = tmp_path / "faces.jsonl"
    assert track(2, "--json", lines) == 0
    assert len(read(lines)) == 5


@pytest.mark.parametrize("kind", ["gone", "text", "folder"])
def test_no_video(tmp_path, capsys, kind):
    source = tmp_path / f"{kind}.mp4"
    if kind == "text":
        source.write_text("no video")
    elif kind == "folder":
        source.mkdir()
    lines = tmp_path / "faces.jsonl"
    assert track(source, "--json", lines) == 1
    assert source.name in capsys.readouterr().err
    assert not lines.exists()


def test_unwritable_outputs(video, tmp_path, capsys):
    assert track(video, "--json", tmp_path / "gone" / "faces.jsonl") == 1
    assert "faces.jsonl" in capsys.readouterr().err
    assert track(video, "--out", tmp_path / "gone" / "out.mp4") == 1
    assert "no folder" in capsys.readouterr().err


def test_wrong_use(video, tmp_path, capsys):
    before = video.read_bytes()
    for option in ("--out", "--json"):
        assert track(video, option, video) == 2
        assert "another file" in capsys.readouterr().err
    assert track(video, "--out", tmp_path / "out.avi") == 2
    assert ".mp4" in capsys.readouterr().err
    assert video.read_bytes() == before
    for arguments in (["--detect-every", "0"], ["--max-faces", "x"]):
        with pytest.raises(SystemExit, match="2"):
            track(video, *arguments)
