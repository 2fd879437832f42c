"""``asmnet-train``: train, export and score the models of this package."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from asmnet.commands.options import positive
from asmnet.commands.outputs import OutputCheck, add_overwrite_option, check_outputs
from asmnet.datasets.credits import CREDITS, credits_of
from asmnet.datasets.pseudo_labels import DETECTOR, FOLDERS, OPEN_FOLDER
from asmnet.errors import AsmnetError, InvalidInputError
from asmnet.pose3d import FACE3D
from asmnet.schemes import IBUG_68, WFLW_98
from asmnet.training.config import DetectorConfig, LandmarkConfig, VerifierConfig, read_config
from asmnet.training.licensing import check_config
from asmnet.training.provenance import recorded
from asmnet.training.rebuild import run, steps
from asmnet.weights import HUB_SCHEME, MANIFEST, PACKAGE
from asmnet.weights.records import read_records

# What a run leaves in its folder.
RUN_FILES = ("checkpoint.pt", "best.pt", "log.csv", "curve.png", "shapes.npz", "run.json")


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``asmnet-train``. Returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except (AsmnetError, OSError) as error:
        print(f"asmnet-train: {error}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asmnet-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="train the model of a config file")
    fit.add_argument("config", type=Path, help="a file of configs/")
    fit.add_argument("--data", type=Path, required=True, help="root of the data folders")
    fit.add_argument("--out", type=Path, help="folder of the run (default: runs/CONFIG[-seedN])")
    fit.add_argument("--seed", type=int, metavar="N", help="in place of the config's seed")
    fit.add_argument("--start", metavar="RUN", help="in place of the config's start")
    fit.add_argument("--teacher-labels", metavar="FILE", help="in place of the config's")
    again = fit.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from the run's last epoch")
    add_overwrite_option(again)
    fit.set_defaults(run=_fit)

    rebuild = commands.add_parser(
        "rebuild", help="print the commands that make a shipped weight from the data"
    )
    rebuild.add_argument("name", help="of the weight, for example asmnet-68")
    rebuild.add_argument("--data", type=Path, default=Path("DATA"), help="root of the data folders")
    rebuild.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    rebuild.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    rebuild.add_argument("--run", action="store_true", dest="perform", help="perform them too")
    rebuild.set_defaults(run=_rebuild)

    export = commands.add_parser("export", help="write a run's ONNX file and manifest record")
    export.add_argument("config", type=Path, help="the config file of the run")
    export.add_argument("--run", type=Path, dest="folder", help="default: runs/CONFIG[-seedN]")
    export.add_argument("--seed", type=int, metavar="N", help="of the run; ends the name too")
    export.add_argument(
        "--best", action="store_true", help="the best validated epoch, not the last"
    )
    export.add_argument(
        "--data", type=Path, help="check and calibrate the network on validation photos of this"
    )
    export.add_argument("--fp16", action="store_true", help="also NAME-fp16, half the size")
    export.add_argument(
        "--int8", action="store_true", help="also NAME-int8, calibrated on training photos"
    )
    export.add_argument(
        "--out", type=Path, default=PACKAGE, help="holds weights/ and the manifest (the package)"
    )
    add_overwrite_option(export)
    export.set_defaults(run=_export)

    synthesize = commands.add_parser("synthesize", help="render labelled faces (needs Blender)")
    synthesize.add_argument(
        "--data", type=Path, required=True, help="root with makehuman/ and hdri/"
    )
    synthesize.add_argument("--out", type=Path, required=True, help="the folder to fill")
    synthesize.add_argument("--count", type=positive, required=True, help="of pictures")
    synthesize.add_argument("--seed", type=int, default=1, help="of all of them (default: 1)")
    synthesize.add_argument("--size", type=positive, default=160, help="side in pixels")
    synthesize.add_argument("--samples", type=positive, default=8, help="of each pixel")
    synthesize.add_argument("--masks", action="store_true", help="also what is seen at each pixel")
    synthesize.add_argument("--processes", type=positive, default=1, help="to render with")
    synthesize.add_argument("--resume", action="store_true", help="go on in a folder of before")
    synthesize.set_defaults(run=_synthesize)

    label = commands.add_parser("label", help="label unlabelled photos with a trained network")
    label.add_argument("weights", help="a name or an ONNX file, with confidence and presence")
    label.add_argument("--data", type=Path, required=True, help="root of the data folders")
    label.add_argument(
        "--detector", default=DETECTOR, metavar="NAME", help=f"finds the faces ({DETECTOR})"
    )
    label.add_argument(
        "--sets", nargs="+", choices=(*FOLDERS, OPEN_FOLDER), default=FOLDERS,
        help=f"whose photos ({' and '.join(FOLDERS)})",
    )  # fmt: skip
    label.add_argument("--out", type=Path, required=True, help="the .npz file for a config")
    add_overwrite_option(label)
    label.set_defaults(run=_label)

    mesh = commands.add_parser(
        "mesh-labels", help="label open photos with MediaPipe's face mesh (needs MediaPipe)"
    )
    mesh.add_argument("--data", type=Path, required=True, help="root of the data folders")
    mesh.add_argument("--points", type=int, choices=(68, 98), default=68, help="of the layout")
    mesh.add_argument("--out", type=Path, required=True, help="the .npz file for a config")
    add_overwrite_option(mesh)
    mesh.set_defaults(run=_mesh_labels)

    count = commands.add_parser("count", help="parameters and multiply-adds of configs' networks")
    count.add_argument("configs", type=Path, nargs="+", metavar="CONFIG")
    count.set_defaults(run=_count)

    asm = commands.add_parser("asm", help="draw an Active Shape Model")
    asm.add_argument("--data", type=Path, required=True, help="root of the data folders")
    asm.add_argument("--out", type=Path, required=True, help="the picture, for example asm.png")
    asm.add_argument("--model", type=Path, help="a run's shapes.npz (default: a new one)")
    asm.add_argument("--aligned", action="store_true", help="align the shapes of a new one")
    add_overwrite_option(asm)
    asm.set_defaults(run=_asm)

    table = commands.add_parser("table", help="compare exported landmark networks on 300W")
    table.add_argument("folder", type=Path, help="what `export --out` wrote")
    table.add_argument("--data", type=Path, required=True, help="root of the data folders")
    table.add_argument(
        "--split",
        choices=("test", "val"),
        default="test",
        help="part of 300W; what is compared to choose belongs on val",
    )
    table.set_defaults(run=_table)

    evaluate = commands.add_parser("evaluate", help="score weights on test sets")
    evaluate.add_argument("what", choices=("detector", "landmarks", "pose", "robustness"))
    evaluate.add_argument("--data", type=Path, required=True, help="root of the data folders")
    evaluate.add_argument("--weights", help="a name or an ONNX file (default: the bundled ones)")
    evaluate.add_argument(
        "--set", choices=("300w", "wflw", "aflw2000", "300w_lp", "300vw"),
        help="with landmarks: only this set, DATA/SET as its authors ship it, with its subsets; of "
        "300W the challenging part (300w/ibug) too, whose photos are those of 300W-LP's IBUG part",
    )  # fmt: skip
    evaluate.add_argument("--pupil", action="store_true", help="add inter-pupil NME")
    evaluate.add_argument("--yunet", type=Path, help="YuNet's ONNX file, scored beside ours")
    evaluate.add_argument("--json", type=Path, help="write the figures there too")
    evaluate.add_argument(
        "--report", type=Path, metavar="DIR",
        help="write figures.json and table.md there; of landmarks also ced.png, "
        "error_per_point.png and worst.png (24 faces), of robustness reliability.png",
    )  # fmt: skip
    evaluate.add_argument("--update-manifest", action="store_true", help="store the figures")
    evaluate.add_argument(
        "--sheet", type=Path,
        help="draw a contact sheet: 24 test photos, or with detector the validation photos of "
        "crowds with most errors: found is green, missed red, false yellow",
    )  # fmt: skip
    add_overwrite_option(evaluate)
    evaluate.set_defaults(run=_evaluate)

    verification = commands.add_parser(
        "verification", help="fit how the scores of detector and verifier are weighed"
    )
    verification.add_argument("--data", type=Path, required=True, help="root of the data folders")
    verification.set_defaults(run=_verification)

    face3d = commands.add_parser("face3d", help="make the package's 3-D face from ICT-FaceKit's")
    face3d.add_argument("--data", type=Path, required=True, help="root with ict_face68/")
    face3d.add_argument("--out", type=Path, default=FACE3D, help="default: the package's own")
    add_overwrite_option(face3d)
    face3d.set_defaults(run=_face3d)

    credit = commands.add_parser("credits", help="write who made what open weights learnt from")
    credit.add_argument("--data", type=Path, required=True, help="root of the data folders")
    credit.add_argument(
        "--out", type=Path, default=PACKAGE / "weights" / CREDITS, help="default: the package's own"
    )
    add_overwrite_option(credit)
    credit.set_defaults(run=_credits)

    publish = commands.add_parser("publish", help="put exported weights on a Hugging Face hub")
    publish.add_argument("folder", type=Path, help="what `export --out` wrote")
    publish.add_argument("repo", metavar="ORG/REPO", help="made if it is not there")
    publish.add_argument("--private", action="store_true", help="make the repository private")
    publish.add_argument(
        "--dry-run", action="store_true", help="check the files and write FOLDER/README.md only"
    )
    publish.set_defaults(run=_publish)
    return parser


def _run_name(options: argparse.Namespace) -> str:
    """The config's name; runs with a seed of their own lie beside each other."""
    name: str = options.config.stem
    return name if options.seed is None else f"{name}-seed{options.seed}"


def _fit(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    folder = options.out or Path("runs") / _run_name(options)
    if not options.resume and not options.overwrite:
        _check_new(folder)
    if options.seed is not None:
        config = replace(config, schedule=replace(config.schedule, seed=options.seed))
    for key in ("start", "teacher_labels"):
        value = getattr(options, key)
        if value is not None:
            if not hasattr(config, key):
                raise InvalidInputError(f"{key}: expected none for {config.task}, got {value!r}")
            config = replace(config, **{key: value})
    check_config(config)
    with recorded(config, options.config, options.data, folder):
        if isinstance(config, DetectorConfig):
            from asmnet.training.detection.fit import fit_detector

            fit_detector(config, options.data, folder, resume=options.resume)
        elif isinstance(config, VerifierConfig):
            from asmnet.training.detection.verifier import fit_verifier

            fit_verifier(config, options.data, folder, resume=options.resume)
        else:
            from asmnet.training.landmarks.fit import fit_landmarks

            fit_landmarks(config, options.data, folder, resume=options.resume)
    return 0


def _rebuild(options: argparse.Namespace) -> int:
    planned = steps(options.name, options.data, options.configs, options.runs)
    if options.perform:
        run(planned)
    else:
        print("\n\n".join(str(step) for step in planned))
    return 0


def _check_new(folder: Path) -> None:
    """A run that begins does not take the place of another one."""
    # Processes that share a training start at different moments, and the first one writes.
    if os.environ.get("RANK", "0") == "0" and any((folder / name).exists() for name in RUN_FILES):
        raise InvalidInputError(
            f"{folder}: a run is there already: go on with --resume, choose another folder with "
            "--out, or begin again with --overwrite"
        )


def _check_export(options: argparse.Namespace, name: str) -> None:
    """No file and no record of the manifest is lost that was there before."""
    kinds = {"": True, "-fp16": options.fp16, "-int8": options.int8}
    names = [f"{name}{kind}" for kind, wanted in kinds.items() if wanted]
    outputs = OutputCheck([options.config], overwrite=options.overwrite)
    for each in names:
        outputs.check("--out", options.out / "weights" / f"{each}.onnx")
    path = options.out / MANIFEST
    if path.exists() and not options.overwrite:
        for known in {record["name"] for record in read_records(path)} & set(names):
            raise InvalidInputError(
                f"--out: {path} has a record of {known} already; choose another folder, or "
                "replace it with --overwrite"
            )


def _export(options: argparse.Namespace) -> int:
    from asmnet.training.export.compress import accuracy, export_float16, export_int8
    from asmnet.training.export.onnx_file import export
    from asmnet.training.export.publish import publish

    if options.int8 and options.data is None:
        raise InvalidInputError("--int8 needs --data: it is calibrated on training photos")
    name, config = _run_name(options), read_config(options.config)
    if options.int8 and not isinstance(config, LandmarkConfig):
        raise InvalidInputError(f"--int8: expected a landmark network, got task {config.task!r}")
    _check_export(options, name)
    out, data = options.out, options.data
    run = options.folder or Path("runs") / name
    records = [
        export(config, run, name, out, config_path=options.config, best=options.best, data=data)
    ]
    if options.fp16:
        records.append(export_float16(records[0], out))
    if options.int8:
        assert isinstance(config, LandmarkConfig)
        records.append(export_int8(records[0], config, out, data))
    for record in records:
        line = f"{record['file']}: {record['parameters']} parameters, {record['bytes']} bytes"
        if data is not None and isinstance(config, LandmarkConfig):
            line += f", validation NME {accuracy(out / record['file'], config, data):.3f} %"
        print(line)
    if out.resolve() != PACKAGE:
        if config.open and data is not None:
            (out / "weights" / CREDITS).write_text(credits_of(data), encoding="utf-8")
        publish(out, f"ORG/{out.resolve().name}", dry_run=True)  # the model card
    return 0


def _synthesize(options: argparse.Namespace) -> int:
    from asmnet.synthetic.render import Settings, synthesize

    if options.seed < 0:
        raise InvalidInputError(f"--seed: expected a whole number from 0 on, got {options.seed}")
    count = synthesize(
        options.data,
        options.out,
        options.count,
        Settings(options.seed, options.size, options.samples, options.masks),
        processes=options.processes,
        resume=options.resume,
    )
    print(f"{options.out}: {count} pictures")
    return 0


def _label(options: argparse.Namespace) -> int:
    from asmnet.datasets.pseudo_labels import write_labels

    check_outputs(options, ["out"], [options.weights, options.detector])
    count = write_labels(
        options.weights,
        options.data,
        options.out,
        detector=options.detector,
        folders=options.sets,
    )
    print(f"{options.out}: {count} faces")
    return 0


def _mesh_labels(options: argparse.Namespace) -> int:
    from asmnet.datasets.mesh_labels import write_mesh_labels

    check_outputs(options, ["out"])
    scheme = {68: IBUG_68, 98: WFLW_98}[options.points]
    print("\n".join(write_mesh_labels(options.data, options.out, scheme)))
    return 0


def _count(options: argparse.Namespace) -> int:
    from asmnet.training.nets.count import table

    print(table({path.stem: read_config(path) for path in options.configs}))
    return 0


def _asm(options: argparse.Namespace) -> int:
    from asmnet.datasets.faces import labelled_faces
    from asmnet.training.landmarks.asm import (
        ActiveShapeModel,
        draw_model,
        fit_shape_model,
        shape_in_frame,
        telling_shape,
    )

    check_outputs(options, ["out"], [] if options.model is None else [options.model])
    faces = labelled_faces(options.data, "train")
    if options.model is None:
        model = fit_shape_model(faces, 1.0, aligned=options.aligned)
    else:
        model = ActiveShapeModel.load(options.model)
    shapes = [shape_in_frame(face.landmarks, aligned=model.aligned) for face in faces]
    figure = draw_model(model, telling_shape(model, shapes))
    # The format is named because without it a name that has no suffix gets one.
    figure.savefig(options.out, dpi=100, format=options.out.suffix[1:] or "png")
    print(f"{options.out}: written, {len(model.variances)} modes of {len(faces)} shapes")
    return 0


def _table(options: argparse.Namespace) -> int:
    from asmnet.evaluation.table import paper_table

    print(paper_table(options.folder, options.data, options.split))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from asmnet.evaluation import evaluate

    return evaluate.run(options)


def _verification(options: argparse.Namespace) -> int:
    from asmnet.evaluation.verification import fitted_weights

    print(f"WEIGHTS = ({', '.join(f'{w:.2f}' for w in fitted_weights(options.data))})")
    return 0


def _face3d(options: argparse.Namespace) -> int:
    from asmnet.datasets.face3d import write_face3d

    check_outputs(options, ["out"])
    write_face3d(options.data, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    return 0


def _credits(options: argparse.Namespace) -> int:
    check_outputs(options, ["out"])
    options.out.write_text(credits_of(options.data), encoding="utf-8")
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from asmnet.training.export.publish import CARD, is_own_card, publish

    commit = publish(options.folder, options.repo, private=options.private, dry_run=options.dry_run)
    kept = "kept, it is your own" if is_own_card(options.folder / CARD) else "written"
    print(f"{options.folder / CARD}: {kept}")
    if commit is not None:
        print(f"published: {HUB_SCHEME}{options.repo}@{commit}#NAME")
    return 0


if __name__ == "__main__":
    sys.exit(main())
