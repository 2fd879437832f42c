"""Terminals that cannot print a name, readers that go away, and full disks."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from asmnet.commands.console import printable
from asmnet.video import VideoWriter

ROOT = os.pathsep.join(sys.path)
needs_bytes = pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")


def run(*arguments, cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
    command = [sys.executable, "-m", "asmnet", *arguments]
    env = {**os.environ, "PYTHONPATH": ROOT, "PYTHONUNBUFFERED": "", **environment}
    return subprocess.run(command, cwd=cwd, env=env, stdout=stdout, stderr=stderr, check=False)


@pytest.fixture
def folder(tmp_path):
    for name in ("日本.png", "\x1b[31mred\n.png", os.fsdecode(b"\xff.png")):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    with VideoWriter(tmp_path / "日本.mp4", 10) as video:
        for i in range(300):
            video.write(np.zeros((48, 64, 3), np.uint8), i / 10)
    return tmp_path


@needs_bytes
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_names_that_the_terminal_cannot_print(folder, encoding):
    names = sorted(path.name for path in folder.glob("*.png"))
    done = run("detect", *names, "gone\r.png", "--json", "f.json", cwd=folder,
               PYTHONIOENCODING=encoding)  # fmt: skip
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    results = json.loads((folder / "f.json").read_text())
    assert [result["file"] for result in results] == [*names, "gone\r.png"]
    text = done.stdout.decode(encoding)
    assert "\\udcff.png" in text
    assert "\\x1b[31mred\\n.png" in text
    assert ("日本.png" in text) == (encoding == "utf-8")
    assert "gone\\r.png" in done.stderr.decode(encoding)
    for command in (["track", "日本.mp4"], ["batch", ".", "--out", "日本.jsonl", "--workers", "1"]):
        done = run(*command, cwd=folder, PYTHONIOENCODING=encoding)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
        assert b"faces" in done.stdout


COMMANDS = [
    ["--help"], ["--version"], ["weights", "list", "--json"], ["detect", "日本.png"],
    ["detect", "日本.png", "--json", "-"], ["track", "日本.mp4", "--json", "-"],
    ["track", "日本.mp4"],
]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="pipes")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone(folder, command):
    read, write = os.pipe()
    os.close(read)
    try:
        done = run(*command, cwd=folder, stdout=write)
    finally:
        os.close(write)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    assert b"Broken pipe" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")  # noqa: PTH110
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_output(folder, command):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run(*command, cwd=folder, stdout=full)
        assert done.returncode == 1
        assert b"No space left" in done.stderr
        assert b"Traceback" not in done.stderr
        # Whatever is said on standard error is not worth the work.
        done = run("detect", "gone.png", "日本.png", "--json", "-", cwd=folder, stderr=full)
        assert done.returncode == 1
        assert len(json.loads(done.stdout)) == 2


@pytest.mark.skipif(os.name == "nt", reason="a shell")
def test_closed_streams(folder):
    shell = f"{sys.executable} -m asmnet detect 日本.png gone.png --json f.json >&- 2>&-"
    env = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run(["/bin/sh", "-c", shell], cwd=folder, env=env, check=False)
    assert done.returncode == 1
    assert len(json.loads((folder / "f.json").read_text())) == 2


@pytest.mark.skipif(os.name == "nt", reason="pipes")
def test_a_table_that_nobody_reads_does_not_stop_the_rest(folder):
    read, write = os.pipe()
    os.close(read)
    try:
        done = run("detect", "日本.png", "日本.png", "--json", "f.json", cwd=folder, stdout=write)
    finally:
        os.close(write)
    assert done.returncode == 141
    assert len(json.loads((folder / "f.json").read_text())) == 2


def test_printable():
    assert printable("a b\u202fc\u00e9日") == "a b\u202fc\u00e9日"
    assert printable("\x1b\t\udcff\x85") == "\\x1b\\t\\udcff\\x85"
