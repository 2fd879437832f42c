"""``asmnet-train``: train, export and score the models of this package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from asmnet.errors import AsmnetError
from asmnet.weights import HUB_SCHEME, PACKAGE


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``asmnet-train``. Returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except AsmnetError as error:
        print(f"asmnet-train: {error}", file=sys.stderr)
        return 1
    return code


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

    publish = commands.add_parser("publish", help="put exported weights on a Hugging Face hub")
    publish.add_argument("folder", type=Path, help="what `export --out` wrote")
    publish.add_argument("repo", metavar="ORG/REPO", help="made if it is not there")
    publish.add_argument("--private", action="store_true", help="make the repository private")
    publish.add_argument(
        "--dry-run", action="store_true", help="check the files and write FOLDER/README.md only"
    )
    publish.set_defaults(run=_publish)
    return parser


def _read(config: Path) -> dict[str, Any]:
    # Imported here because publishing needs nothing of the training extra.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

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


def _publish(options: argparse.Namespace) -> int:
    from asmnet.training.publish import CARD, publish

    commit = publish(options.folder, options.repo, private=options.private, dry_run=options.dry_run)
    print(f"{options.folder / CARD}: written")
    if commit is not None:
        print(f"published: {HUB_SCHEME}{options.repo}@{commit}#NAME")
    return 0


if __name__ == "__main__":
    sys.exit(main())
