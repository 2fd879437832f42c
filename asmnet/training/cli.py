"""``asmnet-train``: fit, export and evaluate the models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from asmnet.training.loop import Schedule


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``asmnet-train``. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="asmnet-train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="train the model of a config file")
    fit.add_argument("config", type=Path)
    fit.add_argument("--data", type=Path, required=True, help="root of the data folders")
    fit.add_argument("--out", type=Path, help="folder of the run (default: runs/CONFIG)")
    fit.add_argument("--resume", action="store_true", help="go on from the run's last epoch")
    options = parser.parse_args(argv)
    config = tomllib.loads(options.config.read_text())
    out = options.out or Path("runs") / options.config.stem
    schedule = Schedule(**config["schedule"])
    if config["task"] == "detection":
        from asmnet.training.detection import fit_detector

        fit_detector(config["size"], schedule, options.data, out, resume=options.resume)
    return 0


if __name__ == "__main__":
    sys.exit(main())
