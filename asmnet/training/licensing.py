"""What a run with ``open = true`` may read: only data and weights that anyone may use.

Its configs are checked before anything is read, and what was read is checked again and written
into the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asmnet.datasets.licences import LICENCES, OPEN_TEACHERS, OPEN_WEIGHTS, require_open, sets_read
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.training.config import Config, DetectorConfig, LandmarkConfig, VerifierConfig
from asmnet.training.provenance import RUN, note, read_run
from asmnet.weights import MANIFEST, find_record, is_named, manifest
from asmnet.weights.records import read_records

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
    """Notes the sets that a run reads, and their licences; an open one may read open sets only.

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
    note(folder, open=open_only, licences=read)


def read_open_run(folder: Path) -> list[dict[str, Any]]:
    """The sets that an open run read.

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
    return sets


def _require_open_run(folder: Path) -> None:
    try:
        read_open_run(folder)
    except InvalidInputError as error:
        raise InvalidInputError(f"start: {error}") from error


def _require_open_weights(key: str, weights: str) -> None:
    licence = _licence(weights)
    if licence not in OPEN_WEIGHTS:
        raise InvalidInputError(
            f"{key}: expected weights under {' or '.join(sorted(OPEN_WEIGHTS))} in an open config, "
            f"got {weights}: {licence or 'no record of a licence'}"
        )


def _licence(weights: str) -> str | None:
    """The licence of named weights, or of a file that a manifest knows by its hash."""
    if is_named(weights):
        return find_record(weights).license
    path = Path(weights)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    known = {record.sha256: record.license for record in manifest().values()}
    beside = path.resolve().parents[1] / MANIFEST
    if beside.exists():
        known |= {r["sha256"]: r["license"] for r in read_records(beside)}
    return known.get(digest)


def _require_open_teacher(path: Path) -> None:
    try:
        with np.load(path) as labels:
            teacher, detector = (
                str(labels[key]) if key in labels else None for key in ("teacher", "detector")
            )
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"teacher_labels: expected a label file, got {path}: {error}"
        ) from error
    if teacher is None:
        raise InvalidInputError(
            f"teacher_labels: expected a file that names its teacher in an open config, got {path}"
        )
    for weights in (teacher, detector):
        if weights is not None and weights not in OPEN_TEACHERS:
            _require_open_weights("teacher_labels", weights)
