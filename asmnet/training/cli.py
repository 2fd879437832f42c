"""``asmnet-train``: train, export and score the models of this package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from asmnet.weights import PACKAGE


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``asmnet-train``. Returns the exit code."""
    options = _parser().parse_args(argv)
    result: int = options.run(options)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asmnet-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="train the model of a config file")
    fit.add_argument("config", type=Path, help="a file of configs/")
    fit.add_argument("--data", type=Path, required=True, help="root of the data folders")
    fit.add_argument("--out", type=Path, help="folder of the run (default: runs/CONFIG)")
    fit.add_argument("--resume", action="store_true", help="go on from the run's last epoch")
    fit.set_defaults(run=_fit)

    export = commands.add_parser("export", help="write a run's ONNX file and manifest record")
    export.add_argument("config", type=Path, help="the config file of the run")
    export.add_argument("--run", type=Path, dest="folder", help="default: runs/CONFIG")
    export.add_argument(
        "--out", type=Path, default=PACKAGE, help="holds weights/ and the manifest (the package)"
    )
    export.set_defaults(run=_export)

    evaluate = commands.add_parser("evaluate", help="score the bundled weights on the test sets")
    evaluate.add_argument("what", choices=("detector", "landmarks"))
    evaluate.add_argument("--data", type=Path, required=True, help="root of the data folders")
    evaluate.add_argument("--weights", help="a name or an ONNX file (default: the bundled ones)")
    evaluate.add_argument("--yunet", type=Path, help="YuNet's ONNX file, scored beside ours")
    evaluate.add_argument("--json", type=Path, help="write the figures there too")
    evaluate.add_argument("--update-manifest", action="store_true", help="store the figures")
    evaluate.add_argument("--sheet", type=Path, help="draw a contact sheet of 24 test photos")
    evaluate.set_defaults(run=_evaluate)
    return parser


def _read(config: Path) -> dict[str, Any]:
    return tomllib.loads(config.read_text(encoding="utf-8"))


def _fit(options: argparse.Namespace) -> int:
    from asmnet.training.loop import Schedule

    config = _read(options.config)
    folder = options.out or Path("runs") / options.config.stem
    schedule = Schedule(**config["schedule"])
    if config["task"] == "detection":
        from asmnet.training.detection import fit_detector

        fit_detector(config, schedule, options.data, folder, resume=options.resume)
    else:
        from asmnet.training.landmarks import fit_landmarks

        fit_landmarks(config, schedule, options.data, folder, resume=options.resume)
    return 0


def _export(options: argparse.Namespace) -> int:
    from asmnet.training.export import export

    name = options.config.stem
    run = options.folder or Path("runs") / name
    record = export(_read(options.config), run, name, options.out)
    print(f"{record['file']}: {record['parameters']} parameters, {record['bytes']} bytes")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from asmnet.training import evaluate

    return evaluate.run(options)


if __name__ == "__main__":
    sys.exit(main())
