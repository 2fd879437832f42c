"""Photos and analyzers that the tests share."""

from pathlib import Path

import pytest

import asmnet

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photos."""
    return ROOT / "examples" / "photos"


@pytest.fixture(scope="session")
def analyzer() -> asmnet.FaceAnalyzer:
    """One analyzer for all tests; it keeps no state."""
    return asmnet.FaceAnalyzer(threads=1)
