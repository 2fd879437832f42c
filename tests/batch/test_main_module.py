"""Workers import the main module, or are the frozen program again: who forgets that is told so."""

import multiprocessing
import subprocess
import sys

import pytest

import asmnet.cli

SCRIPT = """
from pathlib import Path
from asmnet.batch import BatchOptions, run_batch
{guard}list(run_batch([{photo!r}], Path({out!r}), BatchOptions()))
"""


@pytest.mark.parametrize("guard", ["", 'if __name__ == "__main__": '])
def test_a_script(photos, tmp_path, guard):
    script, out = tmp_path / "script.py", tmp_path / "faces.jsonl"
    photo = str(photos / "astronaut.png")
    script.write_text(SCRIPT.format(guard=guard, photo=photo, out=str(out)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    if guard:
        assert done.returncode == 0, done.stderr
        assert out.exists()
        return
    assert done.returncode == 1
    ours = [line for line in done.stderr.splitlines() if line.startswith("asmnet.errors.")]
    assert len(ours) == 2
    assert all('`if __name__ == "__main__":`' in line for line in ours)
    assert "the worker processes ended before they began to work" in ours[-1]
    assert "memory" not in done.stderr


def test_a_frozen_program_serves_its_workers(monkeypatch):
    """What PyInstaller's freeze_support looks for comes before our own arguments."""
    calls = []

    def freeze_support():
        calls.append(sys.argv[1:])
        raise SystemExit(0)

    monkeypatch.setattr(multiprocessing, "freeze_support", freeze_support)
    monkeypatch.setattr(sys, "argv", ["asmnet", "--multiprocessing-fork", "pipe_handle=5"])
    with pytest.raises(SystemExit, match="0"):
        asmnet.cli.main()
    assert calls == [["--multiprocessing-fork", "pipe_handle=5"]]
