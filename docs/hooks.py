"""Hooks of the documentation's build: the model cards come from the manifest."""

from __future__ import annotations

from typing import Any

from asmnet.weights import WeightsRecord, manifest

MARK = "<!-- cards -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts a card for each of the manifest's weights in place of the mark."""
    if MARK not in markdown:
        return markdown
    return markdown.replace(MARK, "\n\n".join(card(record) for record in manifest().values()))


def card(record: WeightsRecord) -> str:
    """What the manifest says of one network, as Markdown."""
    source = record.source
    where = (
        "in the package"
        if source is None
        else f"[{source.repo}](https://huggingface.co/{source.repo}), commit `{source.revision}`; "
        f"`asmnet weights download {record.name}` fetches it"
    )
    made_by = f"`{record.training_config}`" if record.training_config else "its authors"
    rows = {
        "for": record.task + (f", layout `{record.scheme}`" if record.scheme else ""),
        "where": where,
        "file": f"{record.bytes:,} bytes, sha256 `{record.sha256[:16]}…`",
        "parameters": f"{record.parameters:,}",
        "input": f"`{record.input['name']}` {record.input['shape']} {record.input['dtype']}, "
        f"{record.input['colour']}",
        "licence": record.license,
        "trained on": "; ".join(record.training_data),
        "made by": made_by,
    }
    lines = [f"## {record.name}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    if record.metrics:
        lines += ["", "| measured | value |", "|---|---|"]
        for name, metric in record.metrics.items():
            escaped = name.replace("|", "\\|")
            lines.append(f"| {escaped} | {metric['value']:g} |")
        commands = sorted({metric["command"] for metric in record.metrics.values()})
        lines += ["", *(f"Printed by `{command}`." for command in commands)]
    return "\n".join(lines)
