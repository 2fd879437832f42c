"""How many CPUs this process may use: in a container or under taskset not all of the machine's."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cpu_count(root: Path = Path("/")) -> int:
    """The CPUs of the process's affinity, at most the quota of its control groups, rounded up.

    ``root`` is where ``proc`` and ``sys`` are.
    """
    try:
        quotas = [math.ceil(quota) for quota in _quotas(root)]
    except ValueError:  # files of another form than Linux's
        quotas = []
    return max(1, min([_affinity(), *quotas]))


def _affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """CPUs that each control group of the process may use, those that limit it."""
    own: dict[str, str] = {}  # the group for each controller; "" is that of version 2
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, place = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), place))
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        _, _, _, top, folder, *_ = mount.split()
        kind, _, options = system.split(maxsplit=2)
        if kind == "cgroup2":
            controller, read = "", _quota
        elif kind == "cgroup" and "cpu" in options.split(","):
            controller, read = "cpu", _quota_v1
        else:
            continue
        if controller not in own:
            continue
        # A group's limits hold for all below it. A container may see its own group as the top, and
        # still be told its place on the host.
        group, above = PurePosixPath(own[controller]), PurePosixPath(top)
        below = group.relative_to(above) if group.is_relative_to(above) else PurePosixPath()
        for path in (below, *below.parents):
            quota = read(root / folder.lstrip("/") / path)
            if quota is not None:
                yield quota


def _quota(folder: Path) -> float | None:
    """Of a group of version 2: "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    for line in _lines(folder / "cpu.max"):
        quota, period = line.split()
        return None if quota == "max" else int(quota) / int(period)
    return None


def _quota_v1(folder: Path) -> float | None:
    """Of a group of version 1; a quota of -1 is none."""
    for quota in _lines(folder / "cpu.cfs_quota_us"):
        for period in _lines(folder / "cpu.cfs_period_us"):
            return int(quota) / int(period) if int(quota) > 0 else None
    return None


def _lines(path: Path) -> list[str]:
    """Of a file of the kernel; none where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
