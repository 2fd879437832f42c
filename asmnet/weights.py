"""Which weights exist, where they lie, and that they are what their manifest says.

Weights are named by a manifest name ("asmnet-68"), by a path, or by a reference to a repository of
a Hugging Face hub (``hf://org/repo[@revision]#name``) that holds a ``weights_manifest.json``.
Bundled weights lie in the package, all others in the cache folder::

    SHA256.onnx                   a verified file
    manifests/ORG--REPO@COMMIT.json   a repository's manifest at a commit
    refs/ORG--REPO@REVISION       the commit that a branch or tag meant when it was downloaded

The folder may be read-only, and may be copied to a machine without a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard
from urllib.parse import quote

from asmnet.errors import ChecksumError, WeightsError, WeightsNotFoundError

PACKAGE = Path(__file__).parent
MANIFEST = "weights_manifest.json"
SCHEMA_VERSION = 1
HUB_SCHEME = "hf://"
DEFAULT_REVISION = "main"

_REFERENCE = re.compile(
    rf"{HUB_SCHEME}(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?#(?P<name>[\w.-]+)", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
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
        task: "detection" or "landmarks".
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

    @property
    def path(self) -> Path:
        """Where the file lies on this machine, if it is there."""
        if self.source is None:
            return PACKAGE / self.file
        return cache_folder() / f"{self.sha256}.onnx"


@dataclass(frozen=True)
class HubReference:
    """The parts of ``hf://org/repo[@revision]#name``.

    Attributes:
        repo: "org/repo".
        revision: a commit, branch or tag; "main" where the reference names none.
        name: of a weight in the repository's manifest.
    """

    repo: str
    revision: str
    name: str

    @classmethod
    def parse(cls, text: str) -> HubReference:
        """Takes a reference apart; WeightsError where it has another form."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise WeightsError(
                f"weights: expected {HUB_SCHEME}org/repo[@revision]#name, got {text!r}"
            )
        return cls(match["repo"], match["revision"] or DEFAULT_REVISION, match["name"])

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit, which never moves."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def ref_path(self) -> Path:
        """The cache's note of the commit that the branch or tag meant."""
        name = f"{self.repo.replace('/', '--')}@{quote(self.revision, safe='')}"
        return cache_folder() / "refs" / name

    def cached_commit(self) -> str | None:
        """The commit that the revision means on this machine; None if it was never downloaded."""
        if self.is_pinned:
            return self.revision
        commit = (_read_cached(self.ref_path) or "").strip()
        return commit if _COMMIT.fullmatch(commit) else None


def cache_folder() -> Path:
    """Where downloaded weights lie: ``ASMNET_CACHE``, or the platform's usual place."""
    chosen = os.environ.get("ASMNET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "asmnet"


def manifest_path(source: Source) -> Path:
    """Where the cache keeps a repository's manifest."""
    return cache_folder() / "manifests" / f"{source.repo.replace('/', '--')}@{source.revision}.json"


@cache
def manifest() -> Mapping[str, WeightsRecord]:
    """The weights that the package knows by name: bundled ones, and ones to download."""
    path = PACKAGE / MANIFEST
    return parse_manifest(path.read_text(encoding="utf-8"), str(path))


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
    return WeightsRecord(
        **{**fields, "training_data": tuple(entry["training_data"]), "source": source}
    )


def _parse_source(entry: Any, origin: str) -> Source:
    repo, revision = (
        (entry.get("repo"), entry.get("revision")) if isinstance(entry, dict) else (None, None)
    )
    if not isinstance(repo, str) or not _COMMIT.fullmatch(str(revision)):
        raise WeightsError(f"{origin}: source: expected repo and a full commit, got {entry!r}")
    return Source(repo, str(revision))


def is_named(weights: str | os.PathLike[str]) -> TypeGuard[str]:
    """Whether this is a manifest name or a hub reference; everything else is a path."""
    return isinstance(weights, str) and (weights.startswith(HUB_SCHEME) or weights in manifest())


def find_record(name: str) -> WeightsRecord:
    """The record of a manifest name or hub reference, from what lies on this machine.

    Raises:
        WeightsNotFoundError: the name is unknown, or the reference was never downloaded.
        WeightsError: no reference, or the repository's manifest in the cache is damaged.
    """
    if not name.startswith(HUB_SCHEME):
        if name not in manifest():
            raise WeightsNotFoundError(f"weights: expected one of {_known()}; got {name!r}")
        return manifest()[name]
    reference = HubReference.parse(name)
    commit = reference.cached_commit()
    if commit is None:
        raise WeightsNotFoundError(_to_download(name))
    source = Source(reference.repo, commit)
    path = manifest_path(source)
    content = _read_cached(path)
    if content is None:
        raise WeightsNotFoundError(_to_download(name))
    records = parse_manifest(content, str(path), source)
    if reference.name not in records:
        raise WeightsNotFoundError(
            f"{name}: expected one of the repository's {', '.join(records)}, got {reference.name!r}"
        )
    return records[reference.name]


def check_content(record: WeightsRecord, content: bytes, origin: str, advice: str) -> None:
    """Compares a file's content with its record.

    Raises:
        ChecksumError: they differ; the message starts with ``origin`` and ends with ``advice``.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.sha256:
        raise ChecksumError(
            f"{origin}: expected sha256 {record.sha256} ({record.bytes} bytes), got {digest} "
            f"({len(content)} bytes). {advice}"
        )


def read_verified(record: WeightsRecord, name: str) -> bytes:
    """The bytes of a record's file on this machine, compared with the record.

    Args:
        record: what to read.
        name: manifest name or hub reference of the record, for messages.

    Raises:
        WeightsNotFoundError: not on this machine; the message names the command to get them.
        ChecksumError: the file is not the one that the record describes.
        WeightsError: it cannot be read.
    """
    path = record.path
    bundled = record.source is None
    reinstall = "reinstall with `pip install --force-reinstall asmnet`"
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        message = f"{path}: the file is lost: {reinstall}" if bundled else _to_download(name)
        raise WeightsNotFoundError(message) from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    cure = (
        f"{reinstall}, or pass the path of your own file"
        if bundled
        else f"get it again with `asmnet weights download {name}`"
    )
    check_content(record, content, str(path), f"The file is damaged or was replaced: {cure}")
    return content


def load_weights(weights: str | os.PathLike[str], *, download: bool = False) -> bytes:
    """The bytes of an ONNX file, by manifest name, hub reference or path.

    A named file is checked against its manifest's SHA-256 each time. A path is taken as it is: the
    caller answers for it. A string that is a manifest's name is never taken as a path.

    Args:
        weights: what to load.
        download: whether named weights that are not on this machine, or damaged there, may be
            downloaded. Without it nothing ever touches the network.

    Raises:
        WeightsNotFoundError: neither known nor a file, or not downloaded yet.
        WeightsDownloadError: the download failed.
        ChecksumError: the file of a name is not the one that was released.
        WeightsError: the file or a manifest cannot be read.
    """
    if not is_named(weights):
        return _read_file(Path(weights))
    try:
        return read_verified(find_record(weights), weights)
    except WeightsError:
        bundled = weights in manifest() and manifest()[weights].source is None
        if not download or bundled:
            raise
    # Imported here because it brings the hub's client, which nothing else needs.
    from asmnet.hub import download_weights

    return read_verified(download_weights(weights).record, weights)


def cached_references() -> list[str]:
    """``hf://org/repo@commit#name`` of each downloaded weight whose file is in the cache."""
    references = []
    for path in sorted((cache_folder() / "manifests").glob("*--*@*.json")):
        repo, commit = path.stem.rsplit("@", 1)
        source = Source(repo.replace("--", "/", 1), commit)
        records = parse_manifest(_read_cached(path) or "", str(path), source)
        references += [
            f"{HUB_SCHEME}{source.repo}@{commit}#{record.name}"
            for record in records.values()
            if record.path.exists()
        ]
    return references


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise WeightsNotFoundError(
            f"weights: expected one of {_known()}, or the path of an ONNX file; got {str(path)!r}"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error


def _read_cached(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error


def _known() -> str:
    return f"{', '.join(manifest())}, {HUB_SCHEME}org/repo[@revision]#name"


def _to_download(name: str) -> str:
    return (
        f"{name}: not on this machine. Get it with `asmnet weights download {name}`, or pass "
        f"download=True; without a network, copy another machine's cache folder and set "
        f"ASMNET_CACHE to it (now {cache_folder()})"
    )
