"""Videos in and out: times, ends and errors."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

import asmnet.video
from asmnet.errors import AsmnetError, InvalidInputError, VideoError
from asmnet.video import LONGEST_PAUSE, VideoReader, VideoWriter, read_video, show_frame

GREYS = [20, 60, 100, 140, 180, 220]


def grey(value):
    return np.full((48, 64, 3), value, np.uint8)


def greys(path):
    """The grey level of each frame, which tells the frames apart."""
    return [round(float(frame.image.mean()), -1) for frame in read_video(path)]


@pytest.fixture
def variable(tmp_path):
    """A GIF whose frames begin at 0, 0.1, 0.14, 0.18, 0.5 and 0.6 s."""
    path = tmp_path / "variable.gif"
    first, *others = [Image.fromarray(grey(value)) for value in GREYS]
    first.save(path, save_all=True, append_images=others, duration=[100, 40, 40, 320, 100, 100])
    return path


def broken(path, frames=30):
    """An AVI that ends in the middle; its header announces all frames."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "out.mp4"
    red = np.zeros((49, 65, 3), np.uint8)  # an odd size
    red[:, :, 0] = 200
    with VideoWriter(path, 25) as writer:
        for i in range(5):
            writer.write(red, i / 25)
    with VideoReader(path) as video:
        assert (video.rate, video.length) == (25, 5)
        frames = list(video)
        assert video.frames == 5
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert frames[0].image.shape == (48, 64, 3)  # MPEG-4 has even sides
    assert frames[0].image.dtype == np.uint8
    assert np.abs(frames[0].image.mean(axis=(0, 1)) - [200, 0, 0]).max() < 12


def test_variable_times_are_read(variable):
    number, time, image = next(read_video(variable))
    assert (number, time, image.shape) == (0, 0.0, (48, 64, 3))
    times = [frame.time for frame in read_video(variable)]
    assert times == pytest.approx([0, 0.1, 0.14, 0.18, 0.5, 0.6])


def test_the_output_keeps_variable_times(variable, tmp_path):
    out = tmp_path / "out.mp4"
    with VideoWriter(out, 25) as writer:
        for frame in read_video(variable):
            writer.write(frame.image, frame.time)
    # A frame for each 0.04 s, repeated until the next is due.
    expected = [20] * 2 + [60] * 2 + [100] + [140] * 7 + [180] * 3 + [220]
    assert len(expected) == writer.frames == 16
    assert np.abs(np.subtract(greys(out), expected)).max() <= 10


def test_too_many_frames_for_the_rate_are_left_out(tmp_path):
    out = tmp_path / "out.mp4"
    with VideoWriter(out, 10) as writer:
        for i in range(40):
            writer.write(grey(100), i / 40)
    assert writer.frames in (10, 11)


def test_a_long_pause_is_cut(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 2) as writer:
        for time in (0.0, 0.5, 1e6, 1e6 + 0.5):
            writer.write(grey(100), time)
    assert writer.frames == 2 + LONGEST_PAUSE * 2 + 2


class FakeCapture:
    """A capture whose times are strange."""

    def __init__(self, times, rate=10.0, count=0.0):
        self.times, self.rate, self.count = iter(times), rate, count
        self.time = 0.0

    def isOpened(self):  # noqa: N802
        return True

    def read(self):
        self.time = next(self.times, None)
        return self.time is not None, grey(100)

    def get(self, what):
        return {
            cv2.CAP_PROP_POS_MSEC: self.time,
            cv2.CAP_PROP_FPS: self.rate,
            cv2.CAP_PROP_FRAME_COUNT: self.count,
        }[what]

    def release(self):
        self.times = None


@pytest.fixture
def capture(monkeypatch):
    def use(*arguments, **options):
        fake = FakeCapture(*arguments, **options)
        monkeypatch.setattr(asmnet.video.cv2, "VideoCapture", lambda _: fake)
        return fake

    return use


def test_times_always_increase(capture):
    fake = capture([-40.0, 40.0, 40.0, 0.0, 500.0, float("nan")])
    times = [frame.time for frame in read_video("rtsp://somewhere")]
    assert times == pytest.approx([0, 0.04, 0.14, 0.24, 0.5, 0.6])
    assert fake.times is None  # closed


@pytest.mark.parametrize("rate", [0.0, -1.0, 90000.0, float("nan")])
def test_an_impossible_rate(capture, rate):
    capture([], rate=rate)
    assert VideoReader("rtsp://somewhere").rate == 30


def test_a_camera_has_the_time_of_the_clock(capture, monkeypatch):
    capture([0.0, 0.0, 0.0], count=-1.0)
    clock = iter([100.0, 100.03, 100.1])
    monkeypatch.setattr(asmnet.video.time, "monotonic", lambda: next(clock))
    with VideoReader(0) as video:
        assert video.length is None
        assert [next(video).time for _ in range(3)] == pytest.approx([0, 0.03, 0.1])
        with pytest.raises(VideoError, match="camera 0: gave no more frames after 3"):
            next(video)


def test_a_broken_file_tells_after_its_last_frame(tmp_path):
    with VideoReader(broken(tmp_path / "broken.avi")) as video:
        with pytest.raises(VideoError, match=r"broken\.avi: broke off after \d+ of 30 frames, at"):
            list(video)
        assert 10 <= video.frames < 20


def test_two_frames_less_than_announced_are_an_end(capture):
    capture([0.0, 100.0], count=4.0)
    assert len(list(read_video("rtsp://somewhere"))) == 2
    capture([0.0, 100.0], count=5.0)
    with pytest.raises(VideoError, match="2 of 5 frames"):
        list(read_video("rtsp://somewhere"))


def test_what_is_no_video(tmp_path, capture):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("text.mp4", "empty.mp4"):
        with pytest.raises(VideoError, match=f"{name}: expected a video"):
            VideoReader(tmp_path / name)
    with pytest.raises(VideoError, match="no such file") as caught:
        VideoReader(tmp_path / "gone.mp4")
    assert isinstance(caught.value, AsmnetError)
    assert isinstance(caught.value, OSError)
    with pytest.raises(VideoError, match="no such file"):
        VideoReader(tmp_path)
    with pytest.raises(VideoError, match="camera 99: expected a camera"):
        VideoReader(99)
    capture([])
    with pytest.raises(VideoError, match="got no frame"):
        list(read_video("rtsp://somewhere"))


def test_wrong_outputs(tmp_path):
    with pytest.raises(InvalidInputError, match=r"ends in \.mp4, got .*out\.avi"):
        VideoWriter(tmp_path / "out.avi", 25)
    with pytest.raises(InvalidInputError, match="rate"):
        VideoWriter(tmp_path / "out.mp4", 0)
    with pytest.raises(VideoError, match="no folder"):
        VideoWriter(tmp_path / "gone" / "out.mp4", 25)
    (tmp_path / "folder.mp4").mkdir()
    with (
        pytest.raises(VideoError, match="cannot be written"),
        VideoWriter(tmp_path / "folder.mp4", 25) as writer,
    ):
        writer.write(grey(100), 0.0)
    with VideoWriter(tmp_path / "out.mp4", 25) as writer:
        writer.write(grey(100), 0.0)
        with pytest.raises(InvalidInputError, match="expected frames of shape"):
            writer.write(grey(100)[1:], 1.0)
    assert greys(tmp_path / "out.mp4") == [100]


def test_nothing_written_is_no_file(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_all_frames_is_told(tmp_path, capture):
    writer = VideoWriter(tmp_path / "out.mp4", 5)
    writer.write(grey(100), 0.0)
    capture([], count=0.0)
    with pytest.raises(VideoError, match="disk full"):
        writer.close()
    writer.close()  # a second time does nothing


@pytest.mark.parametrize("name", [b"\xff.mp4", b"a\0b.mp4"])
def test_names_that_opencv_cannot_take(tmp_path, name):
    """It ends the process, or takes the name until the NUL for another file."""
    path = os.fspath(tmp_path) + "/" + os.fsdecode(name)
    with pytest.raises(VideoError, match="expected a name in UTF-8"):
        VideoReader(path)
    with pytest.raises(VideoError, match="expected a name in UTF-8"):
        VideoWriter(path, 25)
    with pytest.raises(VideoError, match="expected a name in UTF-8"):
        VideoReader(f"file://{path}")


@pytest.mark.skipif(os.name == "nt", reason="no name may have a colon")
def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoWriter("at 12:30.mp4", 10) as writer:
        writer.write(grey(100), 0.0)
    assert greys("at 12:30.mp4") == [100]


def test_no_window_is_told(monkeypatch):
    def imshow(*_):
        raise cv2.error("not implemented")

    monkeypatch.setattr(asmnet.video.cv2, "imshow", imshow)
    with pytest.raises(VideoError, match="opencv-python in place of opencv-python-headless"):
        show_frame("title", grey(100))


@pytest.mark.parametrize(("key", "goes_on"), [(-1, True), (ord("a"), True), (27, False)])
def test_a_window(monkeypatch, key, goes_on):
    monkeypatch.setattr(asmnet.video.cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(asmnet.video.cv2, "waitKey", lambda _: key)
    assert show_frame("title", grey(100)) is goes_on
