"""From a name to verified bytes on this machine: the package and the cache.

Weights are named by a manifest name ("asmnet-68"), by a path, or by a reference to a repository of
a Hugging Face hub (``hf://org/repo[@revision]#name``) that holds a ``weights_manifest.json``.
Bundled weights lie in the package, all others in the cache folder::

    SHA256.onnx                   a verified file
    manifests/ORG--REPO@COMMIT.json   a repository's manifest at a commit
    refs/ORG--REPO@REVISION       the commit that a branch or tag meant when it was downloaded

The folder may be read-only, and may be copied to a machine without a network.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard
from urllib.parse import quote

from asmnet.errors import WeightsError, WeightsNotFoundError
from asmnet.weights.family import families
from asmnet.weights.records import (
    COMMIT,
    Source,
    WeightsRecord,
    cache_folder,
    check_content,
    manifest,
    parse_manifest,
)

HUB_SCHEME = "hf://"
DEFAULT_REVISION = "main"

_REFERENCE = re.compile(
    rf"{HUB_SCHEME}(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?#(?P<name>[\w.-]+)", re.ASCII
)


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
        return COMMIT.fullmatch(self.revision) is not None

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
        return commit if COMMIT.fullmatch(commit) else None


def manifest_path(source: Source) -> Path:
    """Where the cache keeps a repository's manifest."""
    return cache_folder() / "manifests" / f"{source.repo.replace('/', '--')}@{source.revision}.json"


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


def read_file(path: Path) -> bytes:
    """The bytes of a file of the user's own; WeightsNotFoundError where there is none."""
    try:
        return path.read_bytes()
    # ValueError: a NUL, or a character that no name can have.
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError) as error:
        raise WeightsNotFoundError(
            f"weights: expected one of {', '.join(families())}, {_known()}, or the path of an ONNX "
            f"file; got {str(path)!r}"
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
