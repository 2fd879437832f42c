"""What a manifest says of weights, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asmnet.weights import HUB_SCHEME, MANIFEST, WeightsRecord

MARK = "<!-- Made by asmnet-train, which keeps a card without this line as it is. -->"
"""Stands in the cards that may be made anew."""

_TAGS = {
    "detection": ["face-detection"],
    "verification": ["face-detection"],
    "landmarks": ["facial-landmarks", "head-pose-estimation"],
}
_CALLS = {
    "detection": 'asmnet.FaceDetector("{}")',
    "verification": 'asmnet.FaceDetector(verifier="{}")',
    "landmarks": 'asmnet.FaceLandmarker("{}")',
}


def model_card(repo: str, records: Sequence[WeightsRecord]) -> str:
    """The README.md of a repository: YAML for the hub, then a section for each weight."""
    tags = ["onnx", *dict.fromkeys(tag for r in records for tag in _TAGS.get(r.task, ()))]
    all_open = {record.license for record in records} == {"Apache-2.0"}
    lines = [
        "---",
        f"license: {'apache-2.0' if all_open else 'other'}",
        "library_name: asmnet",
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
        MARK,
        "",
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
        *(f"    - {line}" for line in _training_data(record)),
    ]
    if record.teachers:
        lines.append("- Teachers:")
        lines += [f"    - {t['name']} ({t['licence']}): {t['role']}" for t in record.teachers]
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


def _training_data(record: WeightsRecord) -> Iterable[str]:
    """A line of each set: of open weights with number, evidence and hash."""
    if not record.data_sets:
        return record.training_data
    lines = []
    for item in record.data_sets:
        line = f"{item['name']}: {item['licence']} ({item['evidence']}), {item['photos']} photos"
        if "sha256" in item:
            line += f"; sha256 of their names `{item['sha256']}`"
        lines.append(line)
    return lines


def _section(repo: str, record: WeightsRecord) -> list[str]:
    reference = f"{HUB_SCHEME}{repo}#{record.name}"
    call = _CALLS.get(record.task)
    lines = [*facts(record), "", "```", f"asmnet weights download {reference}", "```"]
    if call is not None:
        lines += ["", "```python", "import asmnet", "", call.format(reference), "```"]
    return [*lines, "", "`@COMMIT` before the `#` pins it to one commit of this repository."]
