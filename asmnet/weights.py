"""Which weights exist, where they lie, and that they are what the manifest says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from asmnet.errors import ChecksumError, WeightsNotFoundError

PACKAGE = Path(__file__).parent
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class WeightsRecord:
    """One entry of ``weights_manifest.json``.

    Attributes:
        name: what the API calls it, for example "asmnet-68".
        task: "detection" or "landmarks".
        file: path relative to the package.
        sha256: of the file, hexadecimal.
        bytes: size of the file.
        input: "name", "shape" and "dtype" of the network's input.
        scheme: name of the landmark layout; None for a detector.
        parameters: number of trained parameters.
        license: of the weights, as distinct from the code's.
        training_data: sets that the weights were trained on.
        training_config: file in the repository that made them.
        metrics: measured figures, each with "value" and the "command" that prints it.
    """

    name: str
    task: str
    file: str
    sha256: str
    bytes: int
    input: Mapping[str, Any]
    scheme: str | None
    parameters: int
    license: str
    training_data: tuple[str, ...]
    training_config: str
    metrics: Mapping[str, Any]


@cache
def manifest() -> Mapping[str, WeightsRecord]:
    """The bundled weights by name, from ``weights_manifest.json`` in the package."""
    content = json.loads((PACKAGE / "weights_manifest.json").read_text(encoding="utf-8"))
    records = [
        WeightsRecord(**{**entry, "training_data": tuple(entry["training_data"])})
        for entry in content["weights"]
    ]
    return {record.name: record for record in records}


def load_weights(weights: str | os.PathLike[str]) -> bytes:
    """The bytes of an ONNX file, by manifest name or by path.

    A named file is checked against the manifest's SHA-256 each time. A path is taken as it is:
    the caller answers for it. Nothing is ever downloaded here.

    Raises:
        WeightsNotFoundError: neither a name in the manifest nor a file.
        ChecksumError: the file of a name is not the one that was released.
    """
    record = manifest().get(str(weights))
    path = Path(weights) if record is None else PACKAGE / record.file
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        names = ", ".join(manifest())
        raise WeightsNotFoundError(
            f"weights: expected one of {names}, or the path of an ONNX file; got {str(weights)!r}"
        ) from error
    if record is not None:
        digest = hashlib.sha256(content).hexdigest()
        if digest != record.sha256:
            raise ChecksumError(
                f"{path}: expected sha256 {record.sha256} ({record.bytes} bytes), got {digest} "
                f"({len(content)} bytes). The file is damaged or was replaced: reinstall with "
                "`pip install --force-reinstall asmnet`, or pass the path of your own file"
            )
    return content
