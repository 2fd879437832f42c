"""README.md as a package index can show it, with links that work. All else is in setup.cfg."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)")


def long_description(readme: str, source: str | None, version: str) -> str:
    """README.md for an index, which knows nothing of the files beside it.

    Args:
        readme: its Markdown.
        source: address of the repository, where pictures and links then lead to, as they are at the
            version's tag; None: pictures are left out and of links the words are kept.
        version: of the package.
    """

    def absolute(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        if source is None:
            return "" if picture else words
        view = "raw" if picture else "blob"
        return f"{picture}[{words}]({source}/{view}/v{version}/{target})"

    return LINK.sub(absolute, readme)


def source_address(setup_cfg: str) -> str | None:
    """The address named "Source" under project_urls; None as long as there is none."""
    config = ConfigParser()
    config.read_string(setup_cfg)
    for line in config["metadata"].get("project_urls", "").splitlines():
        name, _, address = line.partition("=")
        if name.strip() == "Source":
            return address.strip().rstrip("/")
    return None


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    version = re.findall('__version__ = "(.+)"', _text("asmnet/_version.py"))
    setup(
        long_description=long_description(
            _text("README.md"), source_address(_text("setup.cfg")), *version
        ),
        long_description_content_type="text/markdown",
    )
