"""What a run with ``open = true`` may read: only data and weights that anyone may use.

Its configs are checked before anything is read, and what was read is checked again and written
into the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asmnet.datasets.licences import (
    BOX_TEACHER,
    BOXED_SETS,
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
from asmnet.training.provenance import RUN, note, read_run
from asmnet.weights import is_named

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
    start = _start_run(config)
    if start is not None:
        _require_open_run(start)
    elif isinstance(config, LandmarkConfig) and config.start is not None:
        _require_open_weights("start", config.start)


def write_read(photos: Iterable[tuple[str, Path]], folder: Path, config: Config) -> None:
    """Notes the sets that a run reads, and their licences; an open one may read open sets only.

    Of an open run it writes as well what the run that it starts from has read, and its teachers.

    Args:
        photos: source and path of each, as `asmnet.datasets.licences.sets_read` takes them.
        folder: of the run; made if it is missing.
        config: of the run.

    Raises:
        InvalidInputError: an open run that read a closed set.
    """
    read = sets_read(photos)
    content: dict[str, Any] = {"open": config.open, "licences": read}
    if config.open:
        require_open(read)
        start = _start_run(config)
        if start is not None:
            known = {item["name"] for item in read}
            read += [item for item in read_open_run(start)["sets"] if item["name"] not in known]
        content["teachers"] = _teachers(config, read)
    note(folder, **content)


def read_open_run(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What an open run learnt from: "sets", and "teachers", none of them closed.

    Raises:
        InvalidInputError: the run is not there, or not open.
    """
    record = read_run(folder) or {}
    sets = record.get("licences")
    if record.get("open") is not True or not isinstance(sets, list):
        got = "none" if sets is None else "a closed one"
        raise InvalidInputError(
            f"{folder}: expected a run of an open config, which {RUN} tells, got {got}"
        )
    require_open(sets)
    return {"sets": sets, "teachers": list(record.get("teachers", ()))}


def _start_run(config: Config) -> Path | None:
    """The run that a config starts from, if it does and it is one."""
    start, exported = (getattr(config, key, None) for key in ("start", "start_config"))
    return None if start is None or exported is not None else Path(start)


def _teachers(config: Config, read: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """The networks that an open run learns from: role, name and licence of each."""
    roles: list[tuple[str, str, str | None]] = []
    if any(item["name"].startswith(BOXED_SETS) for item in read):
        roles.append(("boxes of the photos", BOX_TEACHER, None))
    if isinstance(config, LandmarkConfig) and config.teacher_labels is not None:
        names, licences = _made_by(Path(config.teacher_labels))
        roles += [(f"labels, {role}", names[role], licences.get(role)) for role in names]
    for key in ("detector", "labeller"):
        if hasattr(config, key):
            roles.append((key, getattr(config, key), None))
    if isinstance(config, LandmarkConfig) and config.start_config is not None:
        roles.append(("start", str(config.start), None))
    return [_teacher(*each) for each in roles]


def _teacher(role: str, weights: str, licence: str | None) -> dict[str, str]:
    known = OPEN_TEACHERS.get(weights)
    if known is not None:
        return {"role": role, "name": known.name, "licence": known.licence}
    name = weights if is_named(weights) else Path(weights).name
    return {"role": role, "name": name, "licence": licence or weights_licence(weights) or "unknown"}


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


def _made_by(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Names and licences by role, as far as a label file tells them."""
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
    return names, licences


def _require_open_teacher(path: Path) -> None:
    """Refuses labels unless all that made them is open."""
    names, licences = _made_by(path)
    if "teacher" not in names:
        raise InvalidInputError(
            f"teacher_labels: expected a file that names its teacher in an open config, got {path}"
        )
    for role, weights in names.items():
        if weights not in OPEN_TEACHERS:
            _require_open_weights("teacher_labels", weights, licences.get(role))
