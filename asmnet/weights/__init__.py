"""Which weights exist, where they lie, and that they are what their manifest says."""

from __future__ import annotations

import os
from pathlib import Path

from asmnet._checks import path_name, shown
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.weights.cache import (
    DEFAULT_REVISION,
    HUB_SCHEME,
    HubReference,
    cached_references,
    find_record,
    is_named,
    manifest_path,
    read_file,
    read_verified,
)
from asmnet.weights.family import (
    Family,
    choose_detector,
    choose_landmarker,
    families,
    family_of,
    find_family,
)
from asmnet.weights.records import (
    MANIFEST,
    PACKAGE,
    SCHEMA_VERSION,
    Source,
    WeightsRecord,
    cache_folder,
    check_content,
    manifest,
    parse_manifest,
)

__all__ = [
    "DEFAULT_REVISION",
    "HUB_SCHEME",
    "MANIFEST",
    "PACKAGE",
    "SCHEMA_VERSION",
    "Family",
    "HubReference",
    "Source",
    "WeightsRecord",
    "cache_folder",
    "cached_references",
    "check_content",
    "choose_detector",
    "choose_landmarker",
    "families",
    "family_of",
    "find_family",
    "find_record",
    "is_named",
    "load_weights",
    "manifest",
    "manifest_path",
    "parse_manifest",
    "read_verified",
]


def load_weights(weights: str | os.PathLike[str], *, download: bool = False) -> bytes:
    """The bytes of an ONNX file, by manifest name, hub reference or path.

    A named file is checked against its manifest's SHA-256 each time. A path is taken as it is: the
    caller answers for it. A string that is a manifest's name is never taken as a path.

    Args:
        weights: what to load.
        download: whether named weights that are not on this machine, or damaged there, may be
            downloaded. Without it nothing ever touches the network.

    Raises:
        WeightsNotFoundError: neither known nor a file, or not downloaded yet.
        WeightsDownloadError: the download failed.
        ChecksumError: the file of a name is not the one that was released.
        WeightsError: the file or a manifest cannot be read.
        InvalidInputError: neither a string nor a path.
    """
    if not is_named(weights):
        path = path_name(weights)
        if path is None:
            raise InvalidInputError(
                f"weights: expected a name, a hub reference or a path, got {shown(weights)}"
            )
        return read_file(Path(path))
    try:
        return read_verified(find_record(weights), weights)
    except WeightsError:
        bundled = weights in manifest() and manifest()[weights].source is None
        if not download or bundled:
            raise
    from asmnet.weights.hub import download_weights  # late: only downloads need what it imports

    return read_verified(download_weights(weights).record, weights)
