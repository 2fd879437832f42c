"""A package whose manifest has another family, made of copies of the first one's files."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from asmnet import analyzer, weights
from asmnet.weights import family, records

COPIES = {
    "asmnet-face": "asmnet-open-face",
    "asmnet-face-verifier": "asmnet-open-face-verifier",
    "asmnet-68": "asmnet-open-68",
}
FAMILY = {"detector": "asmnet-open-face", "verifier": "asmnet-open-face-verifier",
          "landmarks": "asmnet-open-68"}  # fmt: skip


def add_open_family(package: Path) -> None:
    """Puts three open weights and their family into a copy of a package's data."""
    path = package / weights.MANIFEST
    content = json.loads(path.read_text(encoding="utf-8"))
    known = {record["name"]: record for record in content["weights"]}
    for source, name in COPIES.items():
        file = package / "weights" / f"{name}.onnx"
        # An empty field that ONNX leaves out: the same network in other bytes.
        file.write_bytes((package / known[source]["file"]).read_bytes() + b"\x52\x00")
        known[name] = known[source] | {
            "name": name,
            "file": f"weights/{name}.onnx",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
            "license": "Apache-2.0",
            "training_data": ["open/fairface (CC BY 4.0)"],
        }
    content["weights"] = [known[name] for name in sorted(known)]
    content["families"]["open"] = FAMILY
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def open_family(tmp_path_factory, monkeypatch):
    """For the length of a test the package has the family "open"."""
    package = tmp_path_factory.mktemp("package")
    shutil.copytree(weights.PACKAGE / "weights", package / "weights")
    shutil.copy(weights.PACKAGE / weights.MANIFEST, package)
    add_open_family(package)
    monkeypatch.setattr(records, "PACKAGE", package)
    caches = (records.manifest, family.families, analyzer._analyzer)
    for cached in caches:
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()
