"""SIGTERM and SIGHUP end a command as Ctrl-C does."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import asmnet.commands.detect
from asmnet.batch.runner import CHUNK_SIZE
from asmnet.cli import main
from asmnet.commands.signals import Ended, ending_signals, exit_code
from asmnet.image import load_image
from asmnet.video import VideoReader, VideoWriter

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
ENDING = [signal.SIGTERM, signal.SIGHUP] if os.name != "nt" else []


def start(*arguments):
    command = [sys.executable, "-m", "asmnet", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(condition, process):
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end
        time.sleep(0.01)


def size(path):
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="module")
def video(photos, tmp_path_factory):
    """A minute of the astronaut."""
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    photo = cv2.resize(load_image(photos / "astronaut.png"), (320, 320))
    with VideoWriter(path, 30) as writer:
        for i in range(1800):
            writer.write(np.roll(photo, i % 40, axis=1), i / 30)
    return path


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_track_leaves_whole_files(video, tmp_path, number):
    out, lines = tmp_path / "out.mp4", tmp_path / "faces.jsonl"
    run = start("track", video, "--out", out, "--json", lines, "--threads", "1")
    wait_for(lambda: size(lines) > 50_000, run)
    run.send_signal(number)
    errors = run.communicate()[1]
    assert run.returncode == 128 + number
    assert "interrupted" in errors
    assert "Traceback" not in errors
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    with VideoReader(out) as drawn:
        assert 0 < len(records) == sum(1 for _ in drawn) < 1800


@pytest.mark.parametrize("to", [os.kill, os.killpg], ids=["parent", "group"])
@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_batch_goes_on_afterwards(photos, tmp_path, number, to):
    listing, out = tmp_path / "list.txt", tmp_path / "faces.jsonl"
    listing.write_text(f"{photos}/astronaut.png\n" * 2000)
    run = start("batch", listing, "--out", out, "--workers", "1")
    journal = Path(f"{out}.partial")
    wait_for(lambda: size(journal) > 20_000, run)
    to(run.pid, number)
    errors = run.communicate()[1]
    assert run.returncode == 128 + number
    assert errors.splitlines()[-1] == "asmnet: interrupted; the same command with --resume goes on"
    assert "Traceback" not in errors
    progress = json.loads(Path(f"{out}.state").read_text())["progress"]
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    # Rows that do not count yet are cut off when it goes on.
    assert 0 < progress["files"] <= len(rows) <= progress["files"] + CHUNK_SIZE
    assert not Path(f"{out}.lock").exists()


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_only_the_first_signal_counts():
    """The second may come while files are closed."""
    before = signal.getsignal(signal.SIGTERM)
    closed = []

    def work():
        with ending_signals():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGHUP)
                closed.append(True)

    with pytest.raises(Ended) as ended:
        work()
    assert exit_code(ended.value) == 143
    assert exit_code(KeyboardInterrupt()) == 130
    assert closed
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_leave_the_signals_alone(tmp_path):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["detect", str(tmp_path)])))
    thread.start()
    thread.join()
    assert codes == [1]


def test_detect_writes_what_it_has(photos, tmp_path, monkeypatch, capsys):
    real = asmnet.commands.detect.load_image

    def load(path):
        if path == "second":
            os.kill(os.getpid(), signal.SIGTERM)
        return real(path)

    monkeypatch.setattr(asmnet.commands.detect, "load_image", load)
    lines, first = tmp_path / "f.json", str(photos / "astronaut.png")
    assert main(["detect", first, "second", "third", "--json", str(lines)]) == 143
    assert [result["file"] for result in json.loads(lines.read_text())] == [first]
    assert "interrupted" in capsys.readouterr().err
