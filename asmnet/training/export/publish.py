"""Puts exported weights on a Hugging Face hub: model card, manifest and files. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asmnet.errors import AsmnetError
from asmnet.weights import HUB_SCHEME, MANIFEST, WeightsRecord, check_content, parse_manifest
from asmnet.weights.hub import hub_errors

CARD = "README.md"
_TAGS = {
    "detection": ["face-detection"],
    "landmarks": ["facial-landmarks", "head-pose-estimation"],
}
_CLASSES = {"detection": "FaceDetector", "landmarks": "FaceLandmarker"}


class PublishError(AsmnetError):
    """Weights cannot be published: something is wrong in the folder, or the hub refuses."""


def publish(folder: Path, repo: str, *, private: bool = False, dry_run: bool = False) -> str | None:
    """Writes ``folder/README.md`` and uploads it with the manifest and its weights, as one commit.

    Args:
        folder: what ``asmnet-train export --out`` wrote: weights_manifest.json and weights/.
        repo: "org/repo"; it is made if it is not there.
        private: for a repository that is made; one that is there stays as it is.
        dry_run: check and write the card only; nothing touches the network.

    Returns:
        The commit that holds the weights, or None after a dry run.

    Raises:
        PublishError: a file is missing, or the hub refuses; the message says what to do.
        ChecksumError: a file is not the one that the manifest describes.
        WeightsError: the manifest is not usable.
    """
    manifest = _read(folder / MANIFEST)
    records = list(
        parse_manifest(manifest.decode("utf-8", "replace"), str(folder / MANIFEST)).values()
    )
    # The bytes that were checked are the bytes that go up.
    files = {MANIFEST: manifest}
    for record in records:
        if record.source is None:
            path = folder / record.file
            files[record.file] = _read(path)
            check_content(
                record, files[record.file], str(path), "Nothing was published: export again"
            )
    if len(files) == 1:
        raise PublishError(f"{folder / MANIFEST}: expected at least one weight of this folder")
    card = model_card(repo, records)
    (folder / CARD).write_text(card, encoding="utf-8")
    files[CARD] = card.encode()
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


def model_card(repo: str, records: Sequence[WeightsRecord]) -> str:
    """The README.md of a repository: YAML for the hub, then a section for each weight."""
    tags = ["onnx", *dict.fromkeys(tag for r in records for tag in _TAGS.get(r.task, ()))]
    lines = [
        "---",
        "license: other",
        "library_name: asmnet",
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
        f"# {repo.rsplit('/', 1)[-1]}",
        "",
        "ONNX networks for [asmnet](https://pypi.org/project/asmnet/), which finds faces, facial",
        f"landmarks and head pose. `{MANIFEST}` names hash, licence, training data and figures of",
        "each; asmnet checks the hash at every load. **Each weight has its own licence, below.**",
    ]
    for record in records:
        lines += ["", *_section(repo, record)]
    return "\n".join(lines) + "\n"


def facts(record: WeightsRecord) -> list[str]:
    """What a manifest says of a weight, as lines of Markdown under a heading."""
    shape = ", ".join(str(side) for side in record.input.get("shape", ()))
    details = [record.input.get("dtype"), record.input.get("colour")]
    layout = f", layout {record.scheme}" if record.scheme is not None else ""
    lines = [
        f"## {record.name}",
        "",
        f"- Task: {record.task}{layout}",
        f"- Input: ({shape}) {', '.join(str(detail) for detail in details if detail)}",
        f"- Size: {record.bytes} bytes, {record.parameters} parameters; sha256 `{record.sha256}`",
        f"- Licence: {record.license}",
        "- Training data:",
        *(f"    - {name}" for name in record.training_data),
    ]
    if record.training_config is not None:
        lines.append(f"- Trained with `{record.training_config}`")
    if record.metrics:
        lines += ["", "| measured | value |", "|---|---|"]
        for name, figure in record.metrics.items():
            escaped = name.replace("|", "\\|")
            lines.append(f"| {escaped} | {figure['value']:g} |")
        commands = sorted({str(figure.get("command", "")) for figure in record.metrics.values()})
        lines += ["", *(f"Printed by `{command}`." for command in commands if command)]
    return lines


def _section(repo: str, record: WeightsRecord) -> list[str]:
    reference = f"{HUB_SCHEME}{repo}#{record.name}"
    call = _CLASSES.get(record.task)
    lines = [*facts(record), "", "```", f"asmnet weights download {reference}", "```"]
    if call is not None:
        lines += ["", "```python", "import asmnet", "", f'asmnet.{call}("{reference}")', "```"]
    return [*lines, "", "`@COMMIT` before the `#` pins it to one commit of this repository."]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PublishError(f"{path}: cannot be read: {error}") from error
