"""Nothing is written or sent that was not asked for, not even by a library underneath."""

import os
import platform
import signal
import subprocess
import sys

import pytest

# ONNX Runtime looks up its events host about ten seconds after its start.
LONG_ENOUGH = 12

# A socket of any kind, opened by Python or by a library, ends a process that has run this: the
# kernel is told by a filter of four instructions (load the system call's number; compare; kill;
# allow).
NO_SOCKETS = """
import ctypes, platform

class Rule(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte),
                ("value", ctypes.c_uint32)]

class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.POINTER(Rule))]

number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
rules = (Rule * 4)(Rule(0x20, 0, 0, 0), Rule(0x15, 0, 1, number), Rule(0x06, 0, 0, 0x80000000),
                   Rule(0x06, 0, 0, 0x7FFF0000))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(Filter(4, rules)), 0, 0):
    raise SystemExit(77)
"""


@pytest.fixture
def alone(tmp_path):
    """Runs code in a process with an empty home and nothing else in its environment."""
    for folder in ("home", "work", "temporary"):
        (tmp_path / folder).mkdir()

    def run(code, **variables):
        environment = {
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path / "temporary"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        }
        return subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path / "work",
                              capture_output=True, text=True, check=False)  # fmt: skip

    return run


def left(folder):
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_analysing_writes_no_file(alone, photos, tmp_path):
    photo = str(photos / "astronaut.png")
    done = alone(f"import asmnet; print(len(asmnet.detect({photo!r})))")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert left(tmp_path) == []


@pytest.mark.parametrize("command", [["--version"], ["weights", "list"]])
def test_commands_write_no_file(alone, tmp_path, command):
    done = alone(f"from asmnet.cli import main; main({command!r})")
    assert done.returncode == 0, done.stderr
    assert left(tmp_path) == []


def test_a_process_opens_no_socket_as_long_as_it_lives(alone, photos):
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the kernel's filter of system calls needs Linux on x86-64 or ARM64")
    guarded = alone(NO_SOCKETS + "import socket; socket.socket()")
    if guarded.returncode == 77:
        pytest.skip("this kernel or container allows no filter of system calls (seccomp)")
    assert guarded.returncode == -signal.SIGSYS, "the guard has to see a socket"
    photo = str(photos / "astronaut.png")
    done = alone(
        f"{NO_SOCKETS}\nimport asmnet, time; print(len(asmnet.detect({photo!r})), flush=True)\n"
        f"time.sleep({LONG_ENOUGH})"
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_a_choice_of_the_user_stays(alone):
    code = "import asmnet, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert alone(code).stdout == "1\n"
    assert alone(code, ORT_DISABLE_TELEMETRY="0").stdout == "0\n"
