"""Two files of ``benchmarks/table.py``: ``python benchmarks/compare.py OLD.json NEW.json``.

Exits with 1 where a figure is worse by more than the tolerance. Lower is better, but for threads.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

HIGHER_IS_BETTER = ("eight threads / one",)


def worsened(name: str, old: float, new: float) -> float:
    """By which factor a figure is worse; below 1 it is better."""
    return old / new if name in HIGHER_IS_BETTER else new / old


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.1, help="(%(default)s)")
    options = parser.parse_args(arguments)
    old, new = (
        json.loads(path.read_text(encoding="utf-8"))["figures"]
        for path in (options.old, options.new)
    )
    failed = False
    for name in dict.fromkeys([*old, *new]):
        if name not in old or name not in new:
            print(f"{name:55} only in {options.old if name in old else options.new}")
            continue
        factor = worsened(name, old[name], new[name])
        worse = factor > 1 + options.tolerance
        failed |= worse
        print(f"{name:55} {old[name]:6.2f} {new[name]:6.2f}{'  worse' if worse else ''}")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
