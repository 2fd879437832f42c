"""Hooks of the documentation's build: what the pages take from manifest, parsers and root."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asmnet import cli
from asmnet.evaluation.model_card import facts
from asmnet.training import cli as training_cli
from asmnet.weights import manifest

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent
FILE = re.compile(r"<!-- file: (\w+\.md) -->")
CARDS, COMMANDS = "<!-- cards -->", "<!-- commands -->"


# Of the browser's side: the page, its modules, and what `make web-files` puts beside them.
WEB_FOLDERS = ("web/page", "web/src", "web/vendor")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page that the page "Try it" shows."""
    from mkdocs.exceptions import PluginError  # the tests of this module have no MkDocs
    from mkdocs.structure.files import File

    for folder in WEB_FOLDERS:
        if not (ROOT / folder).is_dir():
            raise PluginError(f"{folder}: expected a folder; `make web-files` fills web/vendor")
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file():
                name = path.relative_to(ROOT).as_posix()
                files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts weights' cards, commands' helps and files of the repository's root at their marks."""
    markdown = FILE.sub(lambda mark: root_file(mark[1]), markdown)
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(helps()))
    return markdown.replace(CARDS, "\n".join(cards())) if CARDS in markdown else markdown


def root_file(name: str) -> str:
    """A file without its title; its links into docs/ are relative to that folder."""
    text = (ROOT / name).read_text(encoding="utf-8").partition("\n")[2]
    return text.replace("](docs/", "](")


def cards() -> list[str]:
    """A model card for each weight."""
    lines: list[str] = []
    for record in manifest().values():
        lines += [*facts(record), ""]
        if record.source is not None:
            command = f"asmnet weights download {record.name}"
            origin = f"{record.source.repo} at commit `{record.source.revision}`"
            lines += [f"Not in the package: `{command}` fetches it from {origin}.", ""]
    return lines


def helps() -> list[str]:
    """The help of each command and of its subcommands."""
    os.environ["COLUMNS"] = "90"  # argparse folds its lines there
    lines = []
    for program in (cli, training_cli):
        for parser in parsers(program._parser()):
            lines += [f"## {parser.prog}", "", "```text", parser.format_help().rstrip(), "```", ""]
    return lines


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)
