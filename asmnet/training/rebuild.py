"""The stages that made a weight, as commands in their order, read off the configs themselves.

A config names what it needs: ``start``, the run or the weights that it begins with, and
``teacher_labels``, which are called ``labels-CONFIG.npz`` after the network that wrote them, or
``labels-mesh.npz``.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from asmnet.datasets.pseudo_labels import OPEN_FOLDER
from asmnet.errors import InvalidInputError
from asmnet.training.config import Config, LandmarkConfig, read_config
from asmnet.weights import manifest

LABELS = "labels-"
# Labels of open photos come from MediaPipe's mesh, by a map that is learnt on so many renders.
MESH, RENDERS = "labels-mesh.npz", 2494


@dataclass(frozen=True)
class Step:
    """A command of a rebuild.

    Attributes:
        command: of ``asmnet-train``, and its options.
        output: the file that it makes; None of ``fit``, which goes on where it stopped.
        notes: what the config's first comment says, of ``fit``.
    """

    command: tuple[str, ...]
    output: Path | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([*self.notes, shlex.join(("asmnet-train", *self.command))])


def steps(name: str, data: Path, configs: Path, runs: Path) -> list[Step]:
    """The commands that make a weight from nothing but data and, for boxes, a detector.

    Args:
        name: of a bundled weight.
        data: root of the data folders.
        configs: the folder of config files.
        runs: gets the runs, labels, and under ``rebuilt/`` the weights.

    Raises:
        InvalidInputError: no such weight, or one that was not made here; no such config; or configs
            that need each other.
    """
    record = manifest().get(name)
    if record is None or record.training_config is None:
        known = [known for known, r in manifest().items() if r.training_config is not None]
        raise InvalidInputError(f"expected one of {', '.join(known)}, got {name!r}")
    path = configs / Path(record.training_config).relative_to("configs")
    made: dict[tuple[str, ...], Step] = {}
    _Graph(data, configs, runs, made).export(path, ())
    return list(made.values())


def run(planned: list[Step]) -> None:
    """Performs the commands; what is there already is not made again.

    Raises:
        InvalidInputError: a command failed; the ones before it are done.
    """
    for step in planned:
        print(step, flush=True)
        if step.output is not None and step.output.exists():
            print(f"# {step.output} is there already")
            continue
        command = [sys.executable, "-m", "asmnet.training.cli", *step.command]
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own command
        if code != 0:
            raise InvalidInputError(f"{shlex.join(step.command)}: ended with exit code {code}")


@dataclass(frozen=True)
class _Graph:
    """Adds commands to ``made``, each after those that it needs."""

    data: Path
    configs: Path
    runs: Path
    made: dict[tuple[str, ...], Step]

    def export(self, path: Path, above: tuple[Path, ...]) -> Path:
        """The file of a config's network."""
        self.fit(path, above)
        out = self.runs / "rebuilt"
        file = out / "weights" / f"{path.stem}.onnx"
        options = ("--run", str(self.runs / path.stem), "--data", str(self.data), "--out", str(out))
        self._add(Step(("export", str(path), *options), file))
        return file

    def fit(self, path: Path, above: tuple[Path, ...]) -> None:
        if path in above:
            raise InvalidInputError(f"{path}: expected configs in an order, got one that needs it")
        above = (*above, path)
        config = read_config(path)
        options = ["--data", str(self.data), "--out", str(self.runs / path.stem), "--resume"]
        start = self._start(config, above)
        if start is not None:
            options += ["--start", str(start)]
        labels = getattr(config, "teacher_labels", None)
        if labels is not None:
            labels = self._labels(Path(labels), path, above, _open_options(config))
            options += ["--teacher-labels", str(labels)]
        self._add(Step(("fit", str(path), *options), notes=_notes(path)))

    def _start(self, config: Config, above: tuple[Path, ...]) -> Path | None:
        start, exported = (getattr(config, key, None) for key in ("start", "start_config"))
        if start is None:
            return None
        if exported is not None:
            return self.export(self.configs / Path(exported).relative_to("configs"), above)
        name = Path(start).name
        self.fit(self.configs / f"{name}.toml", above)
        return self.runs / name

    def _labels(
        self, labels: Path, path: Path, above: tuple[Path, ...], options: tuple[str, ...]
    ) -> Path:
        if not labels.stem.startswith(LABELS):
            expected = f"{LABELS}CONFIG.npz"
            raise InvalidInputError(f"{path}: teacher_labels: expected {expected}, got {labels}")
        out = self.runs / labels.name
        if labels.name == MESH:
            where = ("--data", str(self.data), "--out")
            pictures = self.data / "synthetic"
            render = ("synthesize", *where, str(pictures), "--count", str(RENDERS), "--resume")
            self._add(Step(render, pictures / "labels.npz"))
            self._add(Step(("mesh-labels", *where, str(out)), out))
            return out
        weights = self.export(self.configs / f"{labels.stem.removeprefix(LABELS)}.toml", above)
        options = ("--data", str(self.data), "--out", str(out), *options)
        self._add(Step(("label", str(weights), *options), out))
        return out

    def _add(self, step: Step) -> None:
        self.made.setdefault(step.command, step)


def _open_options(config: Config) -> tuple[str, ...]:
    """What a teacher may look at, and by which boxes, where its labels are for an open config."""
    if not (config.open and isinstance(config, LandmarkConfig)):
        return ()
    return ("--detector", config.detector, "--sets", OPEN_FOLDER)


def _notes(path: Path) -> tuple[str, ...]:
    """The comment that a config begins with."""
    notes = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        notes.append(line)
    return tuple(notes)
