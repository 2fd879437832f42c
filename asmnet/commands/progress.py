"""How far a long command is: a bar on a terminal, else a line on standard error now and then."""

from __future__ import annotations

import sys
import time

# Without a terminal there is a line after so many seconds.
LINE_SECONDS = 30


class ProgressDisplay:
    """A bar, or lines; ``close`` ends it."""

    def __init__(self, unit: str, total: int | None, done: int = 0) -> None:
        """Starts at ``done`` of ``total`` units, "images" for example; None: nobody knows."""
        from tqdm import tqdm  # comes with huggingface-hub; only the command lines need it

        self._unit, self._total, self._first, self._done = unit, total, done, done
        self._started = self._shown = time.monotonic()
        # disable=None: nothing without a terminal.
        self._bar = tqdm(total=total, initial=done, unit=f" {unit}", disable=None)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()

    def update(self, done: int, *, share: float | None = None, **counts: int) -> None:
        """Shows that ``done`` units are done, and what was counted in them.

        ``share`` is the part of the work that is done, 0-1, where it is better known than the
        total, which then follows from it.
        """
        if share is not None and share > 0:
            self._total = round(done / min(share, 1.0))
        elif self._total is not None and done > self._total:
            self._total = None  # who announced it was wrong
        self._bar.total = self._total
        self._bar.set_postfix(counts, refresh=False)
        self._bar.update(done - self._done)
        self._done = done
        now = time.monotonic()
        if not self._bar.disable or now - self._shown < LINE_SECONDS:
            return
        self._shown, rate = now, (done - self._first) / (now - self._started)
        left = "?"
        if self._total is not None and rate > 0:
            left = self._bar.format_interval((self._total - done) / rate)
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        print(
            f"{done} of {self._total or '?'} {self._unit}, {rate:.1f} {self._unit}/s, "
            f"{left} left, {listed}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
