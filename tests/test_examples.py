"""Every example runs as a user would run it, and is short enough to read."""

import json
import os
import re
import runpy
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

import asmnet
from asmnet.image import load_image
from asmnet.weights import PACKAGE

EXAMPLES = Path(__file__).parents[1] / "examples"
BOX = ["181", "88", "268", "179"]  # of the astronaut's face


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def video(photos, tmp_path_factory):
    """A second of the astronaut moving slowly to the right."""
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    photo = cv2.cvtColor(load_image(photos / "astronaut.png"), cv2.COLOR_RGB2BGR)[:256, 64:384]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 256))
    for i in range(10):
        writer.write(cv2.warpAffine(photo, np.float64([[1, 0, 2 * i], [0, 1, 0]]), (320, 256)))
    writer.release()
    return path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_an_example_has_at_most_40_lines(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('"""')


def test_photo(photos, tmp_path):
    out = tmp_path / "out.jpg"
    text = run("photo.py", photos / "apollo11_crew.jpg", out)
    assert text.count("score") == 3
    assert load_image(out).shape == load_image(photos / "apollo11_crew.jpg").shape


def test_folder(photos, tmp_path):
    for name in ("astronaut.png", "apollo11_crew.jpg"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    lines = run("folder.py", tmp_path).splitlines()
    assert lines[0] == "apollo11_crew.jpg: 3 faces"
    assert lines[1] == "astronaut.png: 1 faces"
    assert lines[2].startswith("broken.jpg: ")


def test_video(video, tmp_path):
    out = tmp_path / "out.mp4"
    assert "10 frames written" in run("video.py", video, out)
    reader = cv2.VideoCapture(str(out))
    drawn = [reader.read()[1] for _ in range(10)]
    assert drawn[0].shape == (256, 320, 3)
    first = cv2.VideoCapture(str(video)).read()[1]
    assert np.abs(drawn[0].astype(int) - first).max() > 100  # the overlay


def test_track_video(video, tmp_path):
    out = tmp_path / "out.mp4"
    assert run("track_video.py", video, out) == "face 0: seen for 1.0 s\n"
    assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FRAME_COUNT) == 10


def test_own_boxes(photos):
    text = run("own_boxes.py", photos / "astronaut.png", *BOX)
    right = np.array(text.split("[")[1].split("]")[0].split(), dtype=float)
    assert np.abs(right - [204, 102]).max() < 5


def test_head_pose_overlay(photos, tmp_path):
    out = tmp_path / "out.png"
    run("head_pose_overlay.py", photos / "astronaut.png", out)
    changed = (load_image(out) != load_image(photos / "astronaut.png")).any(axis=2)
    assert 100 < changed.sum() < 5000


@pytest.fixture
def phone_photo(photos, tmp_path):
    """The astronaut as a phone stores it: lying on its side, with a note how to turn it."""
    path = tmp_path / "phone.jpg"
    with Image.open(photos / "astronaut.png") as image:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        image.convert("RGB").rotate(90).save(path, exif=exif, quality=98)
    with Image.open(path) as stored:
        assert np.abs(np.asarray(stored, int) - load_image(path)).mean() > 30
    return path


@pytest.mark.parametrize("name", ["head_pose_overlay.py", "photo.py"])
def test_pictures_of_a_phone_are_drawn_upright(photos, phone_photo, tmp_path, name):
    out, upright = tmp_path / "out.png", load_image(photos / "astronaut.png").astype(int)
    run(name, phone_photo, out)
    changed = (np.abs(load_image(out) - upright) > 60).any(axis=2)
    rows, columns = np.nonzero(changed)
    x0, y0, x1, y1 = map(int, BOX)
    inside = (columns > x0 - 60) & (columns < x1 + 60) & (rows > y0 - 60) & (rows < y1 + 60)
    assert inside.sum() > 100
    assert inside.mean() > 0.95


def test_boxes_on_a_phone_s_picture_are_upright_ones(photos, phone_photo):
    weights = PACKAGE / "weights" / "asmnet-68.onnx"
    for name, first in (("own_boxes.py", []), ("plain_onnxruntime.py", [weights])):
        lying, upright = (
            np.array(re.findall(r"-?\d+\.?\d*", run(name, *first, path, *BOX)), dtype=float)
            for path in (phone_photo, photos / "astronaut.png")
        )
        assert np.abs(lying - upright).max() < 3


def test_plain_onnxruntime_gives_our_points(photos):
    weights = PACKAGE / "weights" / "asmnet-68.onnx"
    text = run("plain_onnxruntime.py", weights, photos / "astronaut.png", *BOX)
    points = np.array([line.split() for line in text.splitlines()[:68]], dtype=float)
    (face,) = asmnet.FaceLandmarker().predict(photos / "astronaut.png", [list(map(float, BOX))])
    assert np.abs(points - face.landmarks).max() < 0.6


def test_blink_counter(video, monkeypatch, capsys):
    """The counting, on a script of openness: two blinks, noise and one eye do not count."""
    script = iter([0.3, 0.16, 0.18, 0.16, 0.3, 0.19, 0.3, 0.1, 0.25, 0.3])

    def openness(face):
        value = next(script)
        return value + 0.02, value - 0.02

    monkeypatch.setattr(asmnet, "eye_openness", openness)
    monkeypatch.setattr(sys, "argv", ["blink_counter.py", str(video)])
    runpy.run_path(str(EXAMPLES / "blink_counter.py"))
    assert capsys.readouterr().out.splitlines() == ["blink 1", "blink 2", "2 blinks"]


def test_blink_counter_on_open_eyes(video):
    assert run("blink_counter.py", video) == "0 blinks\n"


@pytest.fixture
def service():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=EXAMPLES, env=environment,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/openapi.json", timeout=5).close()  # noqa: S310 - ours
                break
            except urllib.error.URLError:
                assert server.poll() is None, server.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield url
        server.terminate()
        server.stderr.close()


def post(url, content):
    boundary = "boundary"
    head = 'Content-Disposition: form-data; name="file"; filename="a.jpg"'
    body = f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(f"{url}/faces", body, headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_service(service, photos):
    photo = (photos / "apollo11_crew.jpg").read_bytes()
    status, answer = post(service, photo)
    assert status == 200
    faces = [asmnet.Face.from_dict(values) for values in answer["faces"]]
    assert len(faces) == 3
    assert post(service, photo[:5000])[0] == 422  # cut off
    status, answer = post(service, b"no image")
    assert status == 422
    assert "image" in answer["detail"]
    assert post(service, b"\0" * 20_000_001)[0] == 413
    assert post(service, photo)[0] == 200  # still there
