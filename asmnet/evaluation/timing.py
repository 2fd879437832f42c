"""Run times that survive a noisy machine: candidates take turns, and the best round counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def best_ms(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int = 60
) -> dict[str, float]:
    """Milliseconds of the fastest call of each candidate; compare them as ratios of one run."""
    best = dict.fromkeys(candidates, float("inf"))
    for run in candidates.values():
        run()  # the first call allocates
    for _ in range(rounds):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            best[name] = min(best[name], 1000 * (time.perf_counter() - started))
    return best
