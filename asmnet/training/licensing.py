"""What a run with ``open = true`` may read: only data and weights that anyone may use.

Its configs are checked before anything is read, and what was read is checked again and written
into the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asmnet.datasets.licences import (
    LICENCES,
    OPEN_TEACHERS,
    OPEN_WEIGHTS,
    require_open,
    sets_read,
    weights_licence,
)
from asmnet.datasets.pseudo_labels import LICENCE, ROLES
from asmnet.errors import InvalidInputError
from asmnet.training.config import Config, DetectorConfig, LandmarkConfig, VerifierConfig

READ = "licences.json"
"""The file of a run that lists the sets that it read, with their licences."""

# Sampling weights name whole sets; of those with parts only the open photos are read.
_OPEN_SETS = {"open", "crowds", *(name for name, record in LICENCES.items() if record.open)}


def check_config(config: Config) -> None:
    """Refuses an open config that names anything closed; lets others pass.

    Raises:
        InvalidInputError: a set, weights, or labels of a teacher that are not open, or of which
            nothing is known. The message names the key.
    """
    if not config.open:
        return
    if isinstance(config, LandmarkConfig):
        closed = [name for name in config.sampling_weights or {} if name not in _OPEN_SETS]
        if closed:
            raise InvalidInputError(
                f"sampling_weights: expected sets that an open config may read "
                f"({', '.join(sorted(_OPEN_SETS))}), got {', '.join(closed)}"
            )
        if config.teacher_labels is not None:
            _require_open_teacher(Path(config.teacher_labels))
    if isinstance(config, LandmarkConfig | VerifierConfig):
        _require_open_weights("detector", config.detector)
    if isinstance(config, DetectorConfig | VerifierConfig):
        _require_open_weights("labeller", config.labeller)
    if isinstance(config, VerifierConfig) or config.start is None:
        return
    if isinstance(config, LandmarkConfig) and config.start_config is not None:
        _require_open_weights("start", config.start)
    else:
        _require_open_run(Path(config.start))


def write_read(photos: Iterable[tuple[str, Path]], folder: Path, *, open_only: bool) -> None:
    """Writes the sets that a run reads into its folder; an open one may read open sets only.

    Args:
        photos: source and path of each, as `asmnet.datasets.licences.sets_read` takes them.
        folder: of the run; made if it is missing.
        open_only: whether the config is open.

    Raises:
        InvalidInputError: an open run that read a closed set.
    """
    read = sets_read(photos)
    if open_only:
        require_open(read)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{READ}.{os.getpid()}.tmp"  # processes that share a run write it each
    content = {"open": open_only, "sets": read}
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(folder / READ)


def read_open_run(folder: Path) -> list[dict[str, Any]]:
    """The sets that an open run read.

    Raises:
        InvalidInputError: the run is not there, or not open.
    """
    path = folder / READ
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sets = list(content["sets"])
        if content["open"] is not True:
            raise InvalidInputError(f"{folder}: expected a run of an open config, got a closed one")
        require_open(sets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"{folder}: expected a run of an open config with {READ}, got none: {error}"
        ) from error
    return sets


def _require_open_run(folder: Path) -> None:
    try:
        read_open_run(folder)
    except InvalidInputError as error:
        raise InvalidInputError(f"start: {error}") from error


def _require_open_weights(key: str, weights: str, licence: str | None = None) -> None:
    if licence is None:
        licence = weights_licence(weights)
    if licence not in OPEN_WEIGHTS:
        raise InvalidInputError(
            f"{key}: expected weights under {' or '.join(sorted(OPEN_WEIGHTS))} in an open config, "
            f"got {weights}: {licence or 'no record of a licence'}"
        )


def _require_open_teacher(path: Path) -> None:
    """Refuses labels unless all that made them is open, by what the file itself says of it."""
    try:
        with np.load(path) as labels:
            names, licences = (
                {role: str(labels[role + end]) for role in ROLES if role + end in labels}
                for end in ("", LICENCE)
            )
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"teacher_labels: expected a label file, got {path}: {error}"
        ) from error
    if "teacher" not in names:
        raise InvalidInputError(
            f"teacher_labels: expected a file that names its teacher in an open config, got {path}"
        )
    for role, weights in names.items():
        if weights not in OPEN_TEACHERS:
            _require_open_weights("teacher_labels", weights, licences.get(role))
