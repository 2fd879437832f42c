"""Downloads into the cache. Imports huggingface_hub, and only when something is to be fetched.

A file is fetched into a private folder inside the cache, compared with the manifest, and only then
renamed to its place: whatever happens on the way, the cache never holds a wrong or half a file.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asmnet.errors import (
    AsmnetError,
    ChecksumError,
    WeightsDownloadError,
    WeightsError,
    WeightsNotFoundError,
)
from asmnet.weights.cache import HUB_SCHEME, HubReference, find_record, manifest_path, read_verified
from asmnet.weights.records import (
    MANIFEST,
    Source,
    WeightsRecord,
    cache_folder,
    check_content,
    parse_manifest,
)

# A killed download leaves its folder behind. No download takes a day, so an older one is garbage.
# The prefix is nobody else's, should the cache be a folder with other things in it.
PRIVATE_PREFIX = ".asmnet-download-"
STALE_SECONDS = 24 * 3600
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_STORED = "Nothing was stored. Try again; if it stays so, tell the repository's owner"


@dataclass(frozen=True)
class Download:
    """What `download_weights` did.

    Attributes:
        record: of the weights.
        fetched: False if a verified file was there already.
        moved_from: the commit that the branch or tag meant before, if it has moved since.
    """

    record: WeightsRecord
    fetched: bool
    moved_from: str | None = None


def download_weights(weights: str) -> Download:
    """Fetches weights into the cache, unless a verified file is there.

    The manifest of a branch or tag is fetched each time: this is how one that has moved is noticed.

    Args:
        weights: a manifest name or ``hf://org/repo[@revision]#name``.

    Raises:
        WeightsNotFoundError: the name is unknown, or not in the repository's manifest.
        WeightsDownloadError: the hub or the disk refuses; the message says what to do.
        ChecksumError: the hub's file is not the one that the manifest describes.
        WeightsError: no reference, or the repository's manifest is not usable.
    """
    if not weights.startswith(HUB_SCHEME):
        record = find_record(weights)
        return Download(record, fetched=_obtain(weights, record))
    reference = HubReference.parse(weights)
    before = reference.cached_commit()
    with _private_folder() as folder:
        path, commit = _fetch(reference.repo, reference.revision, MANIFEST, folder)
        source = Source(reference.repo, commit)
        origin = f"{HUB_SCHEME}{source.repo}@{source.revision}, {MANIFEST}"
        records = parse_manifest(path.read_bytes().decode("utf-8", "replace"), origin, source)
        if reference.name not in records:
            raise WeightsNotFoundError(
                f"{origin}: expected one of {', '.join(records)}, got {reference.name!r}"
            )
        record = records[reference.name]
        # The note of the commit comes last: until then the machine goes on with what it had.
        fetched = _obtain(weights, record)
        _publish(path, manifest_path(source))
        if not reference.is_pinned:
            note = folder / "ref"
            _write(note, commit)
            _publish(note, reference.ref_path)
    return Download(record, fetched, before if before != commit else None)


def _obtain(name: str, record: WeightsRecord) -> bool:
    """Puts the file into the cache; False if it was there and is good."""
    source = record.source
    try:
        read_verified(record, name)
    except WeightsError:
        if source is None:  # bundled weights come with the package, not from a hub
            raise
    else:
        return False
    with _private_folder() as folder:
        path, _ = _fetch(source.repo, source.revision, record.file, folder, size=record.bytes)
        origin = f"{HUB_SCHEME}{source.repo}@{source.revision}, {record.file}"
        check_content(record, path.read_bytes(), origin, _NOT_STORED)
        _publish(path, record.path)
    return True


def _fetch(
    repo: str, revision: str, file: str, folder: Path, *, size: int | None = None
) -> tuple[Path, str]:
    """One file of a repository, unverified, and the commit that it is from."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    what = f"{HUB_SCHEME}{repo}@{revision}, {file}"
    with hub_errors(what, WeightsDownloadError):
        # Asked first because it fails at once where the download below would try for a minute.
        metadata = get_hf_file_metadata(hf_hub_url(repo, file, revision=revision))
        if metadata.commit_hash is None:
            raise WeightsDownloadError(
                f"{what}: expected the answer of a Hugging Face hub; check HF_ENDPOINT and proxies"
            )
        if size is not None and metadata.size not in (None, size):
            raise ChecksumError(
                f"{what}: expected {size} bytes, but the hub offers {metadata.size}. {_NOT_STORED}"
            )
        # Its own cache stays aside: a file there would be copied without a check.
        path = hf_hub_download(
            repo, file, revision=metadata.commit_hash, local_dir=folder, cache_dir=folder
        )
    return Path(path), metadata.commit_hash


@contextmanager
def hub_errors(what: str, raises: type[AsmnetError]) -> Iterator[None]:
    """Turns the hub client's errors into ``raises``, with what failed and what to do."""
    from huggingface_hub.utils import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # The base of all errors of the HTTP library, which differs between versions of the client.
    http_error: type[Exception] = HfHubHTTPError.__bases__[0]
    login = "log in with `hf auth login` or set HF_TOKEN"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise raises(
            f"{what}: HF_HUB_OFFLINE is set, so nothing is downloaded. Unset it, or copy the cache "
            "folder of a machine with a network and set ASMNET_CACHE to it"
        ) from error
    except GatedRepoError as error:
        raise raises(
            f"{what}: access must be asked for on the repository's page; then {login}"
        ) from error
    except RepositoryNotFoundError as error:
        raise raises(f"{what}: no such repository, or it is private: {login}") from error
    except RevisionNotFoundError as error:
        raise raises(f"{what}: the repository has no such branch, tag or commit") from error
    except LocalEntryNotFoundError as error:  # the client's word for a connection that failed
        raise raises(
            f"{what}: the hub cannot be reached, try again later: {_line(error.__cause__ or error)}"
        ) from error
    except EntryNotFoundError as error:
        raise raises(f"{what}: the repository has no such file at this revision") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        cure = f": {login}" if status in (401, 403) else ", try again later"
        raise raises(f"{what}: refused by the hub ({_line(error)}){cure}") from error
    except (OSError, RuntimeError, ValueError, http_error) as error:
        # RuntimeError and ValueError: uploads in threads, hf_xet, and answers of no hub.
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise raises(f"{what}: {_no_space(error)}") from error
        cause = error.__cause__ if isinstance(error, RuntimeError) else None
        raise raises(f"{what}: failed, try again later: {_line(cause or error)}") from error


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A new folder inside the cache, so that a rename out of it is atomic; removed at the end."""
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _remove_stale(cache)
        private = Path(tempfile.mkdtemp(prefix=PRIVATE_PREFIX, dir=cache))
    except OSError as error:
        raise WeightsDownloadError(_not_writable(cache, error)) from error
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _remove_stale(cache: Path) -> None:
    for folder in cache.glob(f"{PRIVATE_PREFIX}*"):
        try:
            age = time.time() - folder.stat().st_mtime
        except FileNotFoundError:  # another process has just finished with it
            continue
        if age > STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise WeightsDownloadError(_not_writable(path, error)) from error


def _publish(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)  # noqa: PTH105 - its atomicity is the point
    except OSError as error:
        raise WeightsDownloadError(_not_writable(target, error)) from error


def _not_writable(path: Path, error: OSError) -> str:
    if error.errno in _DISK_FULL:
        return f"{path}: {_no_space(error)}"
    return f"{path}: cannot be written: {error}. Set ASMNET_CACHE to a folder that can"


def _no_space(error: OSError) -> str:
    return f"no space to write it ({error}). Free some, or set ASMNET_CACHE to another disk"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
