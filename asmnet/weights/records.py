"""Which weights exist: the records of a manifest, and where their files lie on this machine."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from asmnet.errors import ChecksumError, WeightsError

PACKAGE = Path(__file__).parents[1]
MANIFEST = "weights_manifest.json"
SCHEMA_VERSION = 1
COMMIT = re.compile(r"[0-9a-f]{40}")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_FIELDS: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "task": (str,),
    "file": (str,),
    "sha256": (str,),
    "bytes": (int,),
    "input": (dict,),
    "scheme": (str, type(None)),
    "parameters": (int,),
    "license": (str,),
    "training_data": (list,),
    "training_config": (str, type(None)),
    "metrics": (dict,),
}
# What each entry of a list that a record may lack has to tell.
_LISTS: Mapping[str, Mapping[str, type]] = {
    "data_sets": {"name": str, "licence": str, "evidence": str, "photos": int},
    "teachers": {"name": str, "licence": str, "role": str},
}


@dataclass(frozen=True)
class Source:
    """A repository of a hub at one commit.

    Attributes:
        repo: "org/name".
        revision: the full commit, 40 hexadecimal digits.
    """

    repo: str
    revision: str


@dataclass(frozen=True)
class WeightsRecord:
    """One entry of a ``weights_manifest.json``.

    Attributes:
        name: what the API calls it, for example "asmnet-68".
        task: "detection", "verification" or "landmarks".
        file: path relative to the package, or to the repository of ``source``.
        sha256: of the file, hexadecimal.
        bytes: size of the file.
        input: "name", "shape" and "dtype" of the network's input.
        scheme: name of the landmark layout; None for a detector.
        parameters: number of trained parameters.
        license: of the weights, as distinct from the code's.
        training_data: sets that the weights were trained on.
        training_config: file in the repository that made them; None for weights made elsewhere.
        metrics: measured figures, each with "value" and the "command" that prints it.
        source: where to download the file; None for bundled weights.
        data_sets: of open weights the sets again: "name", "licence", "evidence", "photos", their
            number, and in most "sha256" of their names.
        teachers: of open weights the networks that they learnt from: "name", "licence", "role".
    """

    name: str
    task: str
    file: str
    sha256: str
    bytes: int
    input: Mapping[str, Any]
    scheme: str | None
    parameters: int
    license: str
    training_data: tuple[str, ...]
    training_config: str | None
    metrics: Mapping[str, Any]
    source: Source | None = None
    data_sets: tuple[Mapping[str, Any], ...] = ()
    teachers: tuple[Mapping[str, Any], ...] = ()

    @property
    def short_license(self) -> str:
        """The licence without what explains it."""
        return self.license.partition(":")[0]

    @property
    def path(self) -> Path:
        """Where the file lies on this machine, if it is there."""
        if self.source is None:
            return PACKAGE / self.file
        return cache_folder() / f"{self.sha256}.onnx"


def cache_folder() -> Path:
    """Where downloaded weights lie: ``ASMNET_CACHE``, or the platform's usual place.

    Raises:
        WeightsError: the place is in a home folder that does not exist, as in some containers.
    """
    windows = sys.platform == "win32"
    chosen = os.environ.get("ASMNET_CACHE")
    base = os.environ.get("LOCALAPPDATA" if windows else "XDG_CACHE_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser()
        if not base:
            base = str(Path.home() / ("AppData/Local" if windows else ".cache"))
    except RuntimeError as error:
        got = repr(chosen) if chosen else "no home folder to put it into"
        raise WeightsError(
            f"ASMNET_CACHE: expected a folder for downloaded weights, got {got}. Set it to one"
        ) from error
    return Path(base) / "asmnet"


@cache
def manifest() -> Mapping[str, WeightsRecord]:
    """The weights that the package knows by name: bundled ones, and ones to download.

    Raises:
        WeightsError: the package lacks its data files.
    """
    return parse_manifest(manifest_text(), str(PACKAGE / MANIFEST))


def manifest_text() -> str:
    """The package's own manifest; WeightsError without it."""
    path = PACKAGE / MANIFEST
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path}: the file is lost: reinstall with `pip install --force-reinstall asmnet`; for "
            "a frozen program call PyInstaller with `--collect-data asmnet`"
        ) from error


def parse_manifest(
    content: str, origin: str, source: Source | None = None
) -> dict[str, WeightsRecord]:
    """The records of a manifest by name.

    Args:
        content: the JSON text. Fields that this version does not know are ignored.
        origin: where it came from, for messages.
        source: the repository that records without a source of their own belong to.

    Raises:
        WeightsError: no JSON, another schema version, a field that is missing or of a wrong type,
            or a file outside of the manifest's folder.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise WeightsError(f"{origin}: expected a weights manifest in JSON: {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION or not isinstance(document.get("weights"), list):
        raise WeightsError(
            f"{origin}: expected a list of weights with schema_version {SCHEMA_VERSION}, got "
            f"schema_version {version!r}. A newer one needs a newer asmnet"
        )
    records: dict[str, WeightsRecord] = {}
    for number, entry in enumerate(document["weights"]):
        record = _parse_record(entry, f"{origin}: weights[{number}]", source)
        if record.name in records:
            raise WeightsError(f"{origin}: expected one record named {record.name!r}, got two")
        records[record.name] = record
    return records


def _parse_record(entry: Any, origin: str, source: Source | None) -> WeightsRecord:
    if not isinstance(entry, dict):
        raise WeightsError(f"{origin}: expected a record, got {entry!r}")
    for field, types in _FIELDS.items():
        if not isinstance(entry.get(field, ...), types):
            names = " or ".join(t.__name__ for t in types)
            got = repr(entry[field]) if field in entry else "none"
            raise WeightsError(f"{origin}: {field}: expected {names}, got {got}")
    # The name ends up in commands and the file in URLs: neither may leave its place.
    file = PurePosixPath(entry["file"])
    good = {
        "name": _NAME.fullmatch(entry["name"]),
        "sha256": _SHA256.fullmatch(entry["sha256"]),
        "file": not file.is_absolute() and ".." not in file.parts and not set("\\:") & {*str(file)},
        "metrics": all(
            isinstance(figure, dict) and isinstance(figure.get("value"), int | float)
            for figure in entry["metrics"].values()
        ),
    }
    for field, is_good in good.items():
        if not is_good:
            raise WeightsError(f"{origin}: {field}: not usable: {entry[field]!r}")
    own = entry.get("source")
    if own is not None:
        source = _parse_source(own, origin)
    fields = {field: entry[field] for field in _FIELDS}
    fields |= {"training_data": tuple(entry["training_data"]), "source": source}
    for field, keys in _LISTS.items():
        fields[field] = _parse_list(entry.get(field, []), keys, f"{origin}: {field}")
    return WeightsRecord(**fields)


def _parse_list(
    entries: Any, keys: Mapping[str, type], origin: str
) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(entries, list):
        raise WeightsError(f"{origin}: expected a list, got {entries!r}")
    for entry in entries:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(key), expected) for key, expected in keys.items()
        ):
            raise WeightsError(f"{origin}: expected {', '.join(keys)} of each, got {entry!r}")
    return tuple(entries)


def _parse_source(entry: Any, origin: str) -> Source:
    repo, revision = (
        (entry.get("repo"), entry.get("revision")) if isinstance(entry, dict) else (None, None)
    )
    if not isinstance(repo, str) or not COMMIT.fullmatch(str(revision)):
        raise WeightsError(f"{origin}: source: expected repo and a full commit, got {entry!r}")
    return Source(repo, str(revision))


def check_content(record: WeightsRecord, content: bytes, origin: str, advice: str) -> None:
    """Compares a file's content with its record.

    Raises:
        ChecksumError: they differ; the message starts with ``origin`` and ends with ``advice``.
    """
    import hashlib  # late: it loads OpenSSL, which is a twentieth of the time to import asmnet

    digest = hashlib.sha256(content).hexdigest()
    if digest != record.sha256:
        raise ChecksumError(
            f"{origin}: expected sha256 {record.sha256} ({record.bytes} bytes), got {digest} "
            f"({len(content)} bytes). {advice}"
        )


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records as plain JSON."""
    return list(_read(path)["weights"])


def read_record(path: Path, name: str) -> dict[str, Any]:
    """The record of that name as plain JSON; KeyError without one."""
    for record in read_records(path):
        if record["name"] == name:
            return record
    raise KeyError(name)


def write_record(record: dict[str, Any], path: Path) -> None:
    """Puts a record into a manifest, in place of the older one of that name."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "weights": []}
    if path.exists():
        content = _read(path)
    others = [r for r in content["weights"] if r["name"] != record["name"]]
    content["weights"] = sorted([*others, record], key=lambda r: str(r["name"]))
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
