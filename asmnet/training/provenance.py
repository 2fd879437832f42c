"""What a run was made of: ``run.json`` in its folder, and the field "run" of a manifest's record.

The data are told by what was read: each file under the data folder that the process opened, by
set. Of labels the content is hashed, of photos name and size only, since there are gigabytes of
them: a photo that changed without changing its length goes unnoticed. What the training itself
notes, such as the licences of the sets, stands beside that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asmnet._version import __version__
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.training.config import Config
from asmnet.weights import load_weights

RUN = "run.json"
NOTED = ("open", "licences", "teachers")
"""What a training notes while it runs, see `asmnet.training.licensing.write_read`."""
# Of these the content is hashed; everything else is a photo.
LABELS = frozenset({".csv", ".json", ".mat", ".npz", ".pts", ".txt"})


@contextmanager
def recorded(config: Config, config_path: Path, data: Path, folder: Path) -> Iterator[None]:
    """Writes ``folder/run.json`` around a training: what it starts from, and then what it read.

    The data are known once they have been read, so they are written at the end, also of a training
    that was interrupted; in a run that was killed they are None until it is resumed. What a run
    that goes on had before, if that was something else, is kept under "earlier". Of processes that
    share a training the first one writes.

    Args:
        config: as resolved.
        config_path: its file.
        data: root of the data folders.
        folder: of the run; made if it is missing.
    """
    if not _writes():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN
    old = read_run(folder)
    record: dict[str, Any] = {
        "config_file": config_name(config_path),
        "config": {"task": config.task, **asdict(config)},
        "seed": config.schedule.seed,
        "commit": git_commit(config_path.parent),
        "versions": {"asmnet": __version__, "torch": version("torch")},
        "parents": parents(config),
        "data": None,
    }
    record = json.loads(json.dumps(record))  # tuples become lists, as in the file
    read = FilesRead(data)
    try:
        _write(path, record, old)
        yield
    finally:
        read.close()
        noted = {key: value for key, value in _read(path).items() if key in NOTED}
        _write(path, record | noted | {"data": read.sets()}, old)


def note(folder: Path, **facts: Any) -> None:
    """Puts `NOTED` facts into a run's file, which is made if it is missing.

    Of processes that share a training the first one writes.
    """
    if not _writes():
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN
    _replace(path, (read_run(folder) or {}) | facts)


def read_run(folder: Path) -> dict[str, Any] | None:
    """What ``run.json`` says; None for a run without one.

    Raises:
        InvalidInputError: it is damaged.
    """
    path = folder / RUN
    return _read(path) if path.exists() else None


def run_facts(folder: Path) -> dict[str, Any] | None:
    """What a manifest's record keeps of ``run.json``; None for a run without one.

    All but the config, which the record names already and the commit holds, and what is `NOTED`,
    of which the record has its licence and training data.
    """
    record = read_run(folder) or {}
    left_out = ("config", "config_file", *NOTED)
    return {key: value for key, value in record.items() if key not in left_out} or None


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{path}: expected JSON, got: {error}") from error
    if not isinstance(record, dict):
        raise InvalidInputError(f"{path}: expected an object, got {type(record).__name__}")
    return record


class FilesRead:
    """The files under a folder that this process opens, from now on until ``close``."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._paths: set[str] = set()
        self._open = True
        # The one place that no reader can go around; a hook stays until the process ends.
        sys.addaudithook(self._opened)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self._open and isinstance(arguments[0], str):
            path = os.path.realpath(arguments[0])
            if path.startswith(self._root + os.sep):
                self._paths.add(path)

    def close(self) -> None:
        """Forgets what is opened from now on."""
        self._open = False

    def sets(self) -> dict[str, dict[str, Any]]:
        """Number, bytes and hash of the files by the root's folders that they are in."""
        groups: dict[str, list[Path]] = {}
        for name in sorted(self._paths):
            path = Path(name)
            if path.is_file():
                groups.setdefault(path.relative_to(self._root).parts[0], []).append(path)
        return {name: _described(paths, Path(self._root)) for name, paths in groups.items()}


def _described(paths: list[Path], root: Path) -> dict[str, Any]:
    """The hash is of a line a file: name, size and, of labels, the content's hash."""
    digest, total = hashlib.sha256(), 0
    for path in paths:
        size = path.stat().st_size
        total += size
        content = _sha256(path.read_bytes()) if path.suffix.lower() in LABELS else "-"
        digest.update(f"{path.relative_to(root).as_posix()}\t{size}\t{content}\n".encode())
    return {"files": len(paths), "bytes": total, "sha256": digest.hexdigest()}


def parents(config: Config) -> list[dict[str, str | None]]:
    """What a training starts from and learns from besides photos: name and hash of each.

    A hash is None where there is no such file; reading it will say so.
    """
    found = []
    for role in ("start", "detector", "labeller", "teacher_labels"):
        name = getattr(config, role, None)  # not every task has all of them
        if name is None:
            continue
        path = Path(name)
        if role in ("detector", "labeller") or (
            getattr(config, "start_config", None) and role == "start"
        ):
            digest = _weights(name)
        else:
            digest = _file(path / "checkpoint.pt" if role == "start" else path)
        found.append({"role": role, "name": name, "sha256": digest})
    return found


def config_name(path: Path) -> str:
    """A config's file as the repository names it: from its folder ``configs`` on."""
    parts = path.resolve().parts
    if "configs" not in parts:
        return f"configs/{path.name}"
    return "/".join(parts[len(parts) - 1 - parts[::-1].index("configs") :])


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that holds a folder, "-dirty" if files were changed; or None."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    # Tags are left out, so that the answer is always a commit.
    answer = subprocess.run(  # noqa: S603 - fixed command, no shell
        [*command, "--exclude=*"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def _weights(name: str) -> str | None:
    try:
        return _sha256(load_weights(name))
    except WeightsError:
        return None


def _file(path: Path) -> str | None:
    return _sha256(path.read_bytes()) if path.is_file() else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, record: dict[str, Any], old: dict[str, Any] | None) -> None:
    """``record``, with what stood in the file before if that was something else."""
    if old is not None:
        before = {key: value for key, value in old.items() if key != "earlier"}
        known = all(
            record.get(key, value) == value or (key == "data" and value is None)
            for key, value in before.items()
        )
        earlier = [*old.get("earlier", ()), *([] if known else [before])]
        if earlier:
            record = record | {"earlier": earlier}
    _replace(path, record)


def _replace(path: Path, record: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    text = json.dumps(record, indent=2, ensure_ascii=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def _writes() -> bool:
    """Whether this is the first of the processes that share a training."""
    return os.environ.get("RANK", "0") == "0"
