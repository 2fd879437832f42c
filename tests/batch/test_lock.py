"""One run at a time."""

import os
import subprocess
import sys

import pytest

from asmnet.batch.lock import MARK, locked
from asmnet.batch.runner import BatchOptions, run_batch
from asmnet.cli import main
from asmnet.errors import InvalidInputError

HOLD = """
import os, sys
from pathlib import Path
from asmnet.batch.lock import locked
with locked(Path(sys.argv[1])):
    print(os.getpid(), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of faces.jsonl."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "faces.jsonl")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert int(process.stdout.readline()) == process.pid
        yield process
        process.kill()


def test_a_second_run_is_refused_with_the_process_id_of_the_first(holder, photos, tmp_path, capsys):
    out = tmp_path / "faces.jsonl"
    for option in ([], ["--resume"], ["--overwrite"]):
        assert main(["batch", str(photos), "--out", str(out), *option]) == 2
        assert f"another run writes to it: process {holder.pid} on " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["faces.jsonl.lock"]
    holder.communicate(b"\n")
    assert list(tmp_path.iterdir()) == []
    with locked(out):
        assert (tmp_path / "faces.jsonl.lock").read_text().split()[2] == str(os.getpid())


def test_the_lock_of_a_killed_run_is_no_obstacle(holder, tmp_path):
    holder.kill()
    holder.wait()
    out = tmp_path / "faces.jsonl"
    assert f"{MARK} {holder.pid} " in (tmp_path / "faces.jsonl.lock").read_text()
    assert list(run_batch([], out, BatchOptions(), resume=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.jsonl", "faces.jsonl.done"]


def test_a_lock_that_is_removed_while_it_is_waited_for(tmp_path, monkeypatch):
    """The first run ends between the second's opening the file and locking it."""
    import asmnet.batch.lock

    out, path = tmp_path / "faces.jsonl", tmp_path / "faces.jsonl.lock"
    real, calls = asmnet.batch.lock._lock, []

    def lock(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            path.unlink()
        real(descriptor)

    monkeypatch.setattr(asmnet.batch.lock, "_lock", lock)
    with locked(out), pytest.raises(InvalidInputError, match=str(os.getpid())), locked(out):
        pass
    assert len(calls) == 3


def test_a_disk_without_locks(tmp_path, monkeypatch):
    import errno

    import asmnet.batch.lock

    def lock(_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(asmnet.batch.lock, "_lock", lock)
    with locked(tmp_path / "faces.jsonl"):
        pass


def test_a_file_of_that_name_stays(tmp_path):
    path = tmp_path / "faces.jsonl.lock"
    path.write_text("mine")
    with pytest.raises(InvalidInputError, match="expected the lock of a run"):
        list(run_batch([], tmp_path / "faces.jsonl", BatchOptions()))
    assert path.read_text() == "mine"
