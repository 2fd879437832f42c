"""Containers' quotas of both versions of control groups, from trees of files like the kernel's."""

import concurrent.futures
import os

import onnxruntime
import pytest

import asmnet
from asmnet import analyzer as analyzer_module
from asmnet import cpus, session
from asmnet.cli import _parser
from asmnet.commands import batch

V1_MOUNT = "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
V2_MOUNT = "41 31 0:38 {top} /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 16 CPUs, all of them in the process's affinity."""
    monkeypatch.setattr(cpus, "_affinity", lambda: 16)

    def make(cgroup, mountinfo, **files):
        for name, text in {
            "proc/self/cgroup": cgroup,
            "proc/self/mountinfo": mountinfo,
            **files,
        }.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("limit", "count"),
    [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1),
     ("9900000 100000", 16)],
)  # fmt: skip
def test_version_2(machine, limit, count):
    root = machine("0::/", V2_MOUNT.format(top="/"), **{"sys/fs/cgroup/cpu.max": limit})
    assert cpus.cpu_count(root) == count


@pytest.mark.parametrize(("quota", "count"), [("-1", 16), ("300000", 3), ("250000", 3)])
def test_version_1(machine, quota, count):
    """As Docker shows it: the group's place on the host, and the group itself at the top."""
    group = "sys/fs/cgroup/cpu,cpuacct"
    root = machine(
        "12:pids:/docker/abc\n4:cpu,cpuacct:/docker/abc",
        V1_MOUNT.format(top="/docker/abc"),
        **{f"{group}/cpu.cfs_quota_us": quota, f"{group}/cpu.cfs_period_us": "100000"},
    )
    assert cpus.cpu_count(root) == count


def test_a_limit_holds_for_the_groups_below(machine):
    root = machine(
        "0::/user.slice/service/worker", V2_MOUNT.format(top="/"),
        **{"sys/fs/cgroup/user.slice/cpu.max": "300000 100000",
           "sys/fs/cgroup/user.slice/service/worker/cpu.max": "800000 100000"},
    )  # fmt: skip
    assert cpus.cpu_count(root) == 3


def test_a_place_outside_of_what_is_mounted(machine):
    root = machine(
        "0::/kubepods/pod1", V2_MOUNT.format(top="/elsewhere"),
        **{"sys/fs/cgroup/cpu.max": "400000 100000"},
    )  # fmt: skip
    assert cpus.cpu_count(root) == 4


def test_both_versions_at_once(machine):
    root = machine(
        "4:cpu:/\n0::/", V2_MOUNT.format(top="/") + "\n" + V1_MOUNT.format(top="/"),
        **{"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
           "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"},
    )  # fmt: skip
    assert cpus.cpu_count(root) == 2


def test_another_system_has_no_such_files(tmp_path, monkeypatch):
    monkeypatch.setattr(cpus, "_affinity", lambda: 16)
    assert cpus.cpu_count(tmp_path) == 16


def test_files_of_another_form(machine):
    assert cpus.cpu_count(machine("what?", "ever")) == 16


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cpus.cpu_count() == 1
    finally:
        os.sched_setaffinity(0, before)


def threads_of(monkeypatch, allowed, **runtime):
    """What ONNX Runtime is told on a machine of 64 CPUs of which the process may use some."""
    told = []
    real = onnxruntime.InferenceSession

    def spy(content, options, **rest):
        told.append(options.intra_op_num_threads)
        return real(content, options, **rest)

    monkeypatch.setattr(session, "cpu_count", lambda: allowed)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    asmnet.FaceLandmarker(**runtime)
    return told


def test_no_more_threads_than_cpus_that_may_be_used(monkeypatch):
    assert threads_of(monkeypatch, 3) == [3]


def test_all_cpus_are_onnx_runtime_s_choice(monkeypatch):
    assert threads_of(monkeypatch, 64) == [0]


def test_given_threads_stay(monkeypatch):
    assert threads_of(monkeypatch, 3, threads=5) == [5]


def test_workers_are_as_many(monkeypatch, photos):
    asked = []
    real = concurrent.futures.ThreadPoolExecutor

    def spy(workers, **rest):
        asked.append(workers)
        return real(workers, **rest)

    monkeypatch.setattr(analyzer_module, "cpu_count", lambda: 3)
    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", spy)
    asmnet.FaceAnalyzer(threads=1).detect_batch([photos / "astronaut.png"])
    assert asked == [3]


def test_workers_of_a_batch_are_as_many(monkeypatch):
    monkeypatch.setattr(batch, "cpu_count", lambda: 3)
    assert _parser().parse_args(["batch", "photos", "--out", "a.csv"]).workers == 3
