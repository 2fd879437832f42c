"""Hooks of the documentation's build: the model cards come from the manifest."""

from __future__ import annotations

from typing import Any

from asmnet.evaluation.model_card import facts
from asmnet.weights import manifest

MARK = "<!-- cards -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts a card for each of the manifest's weights in place of the mark."""
    lines: list[str] = []
    for record in manifest().values():
        lines += [*facts(record), ""]
        if record.source is not None:
            command = f"asmnet weights download {record.name}"
            origin = f"{record.source.repo} at commit `{record.source.revision}`"
            lines += [f"Not in the package: `{command}` fetches it from {origin}.", ""]
    return markdown.replace(MARK, "\n".join(lines))
