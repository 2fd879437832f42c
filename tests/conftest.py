"""Photos and analyzers that the tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub
from made_sets import data, data_98  # noqa: F401 - fixtures
from made_weights import open_family  # noqa: F401 - fixture

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


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """An empty hub on loopback."""
    hub = FakeHub()
    yield hub
    hub.close()
