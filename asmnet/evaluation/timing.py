"""Run times that survive a noisy machine: candidates take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def best_ms(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int = 60
) -> dict[str, float]:
    """Milliseconds of the fastest call of each candidate; compare them as ratios of one run."""
    return {name: min(times) for name, times in times_ms(candidates, rounds).items()}


def median_ms(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """The same of the median call, for what is not as quick each time."""
    return {name: median(times) for name, times in times_ms(candidates, rounds).items()}


def times_ms(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each candidate's calls, one a round."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()  # the first call allocates
    for _ in range(rounds):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - started))
    return times
