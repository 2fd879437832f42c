"""Puts exported weights on a Hugging Face hub: model card, manifest and files. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from asmnet.datasets.credits import CREDITS
from asmnet.errors import AsmnetError
from asmnet.evaluation.model_card import MARK, model_card
from asmnet.weights import HUB_SCHEME, MANIFEST, check_content, parse_manifest
from asmnet.weights.hub import hub_errors

CARD = "README.md"


class PublishError(AsmnetError):
    """Weights cannot be published: something is wrong in the folder, or the hub refuses."""


def publish(folder: Path, repo: str, *, private: bool = False, dry_run: bool = False) -> str | None:
    """Writes ``folder/README.md`` and uploads it with manifest, weights and credits in one commit.

    A ``README.md`` that is there and was not made here is kept, and uploaded as it is.

    Args:
        folder: what ``asmnet-train export --out`` wrote: weights_manifest.json and weights/.
        repo: "org/repo"; it is made if it is not there.
        private: for a repository that is made; one that is there stays as it is.
        dry_run: check and write the card only; nothing touches the network.

    Returns:
        The commit that holds the weights, or None after a dry run.

    Raises:
        PublishError: a file is missing, the credits of open weights among them, or the hub
            refuses; the message says what to do.
        ChecksumError: a file is not the one that the manifest describes.
        WeightsError: the manifest is not usable.
    """
    manifest = _read(folder / MANIFEST)
    records = list(
        parse_manifest(manifest.decode("utf-8", "replace"), str(folder / MANIFEST)).values()
    )
    # The bytes that were checked are the bytes that go up.
    files = {MANIFEST: manifest}
    credit = f"weights/{CREDITS}"
    if (folder / credit).exists():
        files[credit] = _read(folder / credit)
    for record in records:
        if record.source is None:
            path = folder / record.file
            files[record.file] = _read(path)
            check_content(
                record, files[record.file], str(path), "Nothing was published: export again"
            )
    if not any(record.file in files for record in records):
        raise PublishError(f"{folder / MANIFEST}: expected at least one weight of this folder")
    if any(record.data_sets for record in records) and credit not in files:
        raise PublishError(
            f"{folder / credit}: expected who made what the open weights learnt from, got no file; "
            f"`asmnet-train credits --data DATA --out {folder / credit}` writes it"
        )
    if is_own_card(folder / CARD):
        files[CARD] = _read(folder / CARD)
    else:
        files[CARD] = model_card(repo, records).encode()
        (folder / CARD).write_bytes(files[CARD])
    if dry_run:
        return None

    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="asmnet")
    with hub_errors(f"{HUB_SCHEME}{repo}", PublishError):
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.create_commit(
            repo,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"Weights {', '.join(record.name for record in records)}",
        )
    return commit.oid


def is_own_card(path: Path) -> bool:
    """Whether there is a model card that somebody wrote, or took the mark of ours out of."""
    return path.exists() and MARK.encode() not in _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PublishError(f"{path}: cannot be read: {error}") from error
