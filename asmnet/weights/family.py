"""Families: the weights that go together, under the name that chooses all of them at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from asmnet._checks import shown
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.weights.records import MANIFEST, PACKAGE, WeightsRecord, manifest, manifest_text

Weights = str | os.PathLike[str]

VARIABLE = "ASMNET_WEIGHTS"
"""The environment variable that names the family of a whole process."""
DEFAULT = "research"

# Of each key of a family: the task of its weights, and their layout.
_KEYS = {
    "detector": ("detection", None),
    "verifier": ("verification", None),
    "landmarks": ("landmarks", "ibug68"),
    "landmarks_98": ("landmarks", "wflw98"),
}
_MAY_LACK = {"landmarks_98"}


@dataclass(frozen=True)
class Family:
    """Names of weights that were made to work together and stand under like terms.

    Attributes:
        name: for example "research".
        detector: finds faces.
        verifier: looks closely at what its detector found.
        landmarks: of 68 points.
        landmarks_98: of 98 points; None where there are none.
    """

    name: str
    detector: str
    verifier: str
    landmarks: str
    landmarks_98: str | None = None

    def landmarker(self, count: int) -> str:
        """The landmark weights of 68 or 98 points.

        Raises:
            InvalidInputError: the family has none of so many.
        """
        name = {68: self.landmarks, 98: self.landmarks_98}.get(count)
        if name is None:
            raise InvalidInputError(
                f"landmarks: expected 68 with the {self.name} weights, got {count}"
            )
        return name

    def __contains__(self, weights: object) -> bool:
        return weights in (self.detector, self.verifier, self.landmarks, self.landmarks_98)


@cache
def families() -> Mapping[str, Family]:
    """The families of the package's manifest by name.

    Raises:
        WeightsError: the manifest is lost or not usable.
    """
    return parse_families(manifest_text(), str(PACKAGE / MANIFEST), manifest())


def find_family(name: str | None = None) -> Family:
    """The family of that name; of None that of ``ASMNET_WEIGHTS``, or else "research".

    Raises:
        InvalidInputError: this version has no such family.
    """
    origin = "weights"
    if name is None:
        name, origin = os.environ.get(VARIABLE) or DEFAULT, VARIABLE
    if not isinstance(name, str) or name not in families():
        raise InvalidInputError(
            f"{origin}: expected a family of weights that this version has "
            f"({' or '.join(families())}), got {shown(name)}"
        )
    return families()[name]


def family_of(weights: object, default: Family | None = None) -> Family:
    """The family that named weights belong to; of all others the default, None: `find_family`'s."""
    if isinstance(weights, str):
        for family in families().values():
            if weights == family.name or weights in family:
                return family
    return find_family() if default is None else default


def choose_detector(
    weights: Weights | None, default: Family | None = None
) -> tuple[Weights, Weights]:
    """What to load as detector, and as its verifier.

    Args:
        weights: of the detector, or the name of a family; None is the default's.
        default: a family, that of `find_family` unless it is given.

    Raises:
        InvalidInputError: ``ASMNET_WEIGHTS`` names no family.
    """
    family = family_of(weights, default)
    if weights is None or (isinstance(weights, str) and weights == family.name):
        weights = family.detector
    return weights, family.verifier


def choose_landmarker(
    weights: Weights | None, default: Family | None = None, count: int = 68
) -> Weights:
    """What to load as landmarker; as `choose_detector`.

    Args:
        weights: of the landmarker, or the name of a family; None is the default's.
        default: a family, that of `find_family` unless it is given.
        count: of points, 68 or 98, where a family is meant.

    Raises:
        InvalidInputError: ``ASMNET_WEIGHTS`` names no family, or it has none of so many points.
    """
    family = family_of(weights, default)
    if weights is None or (isinstance(weights, str) and weights == family.name):
        return family.landmarker(count)
    return weights


def parse_families(
    content: str, origin: str, records: Mapping[str, WeightsRecord]
) -> dict[str, Family]:
    """The families of a manifest by name; none where it does not tell of any.

    Args:
        content: the JSON text of a good manifest.
        origin: where it came from, for messages.
        records: its weights.

    Raises:
        WeightsError: a key that is missing, or names no weights of its task and layout.
    """
    entries = json.loads(content).get("families", {})
    if not isinstance(entries, dict):
        raise WeightsError(f"{origin}: families: expected families by name, got {entries!r}")
    return {
        name: _parse_family(name, entry, f"{origin}: families: {name}", records)
        for name, entry in entries.items()
    }


def _parse_family(
    name: str, entry: Any, origin: str, records: Mapping[str, WeightsRecord]
) -> Family:
    if name in records:  # either would be meant where weights are wanted
        raise WeightsError(f"{origin}: expected a name that no weight has")
    if not isinstance(entry, dict):
        raise WeightsError(f"{origin}: expected a name of weights for each task, got {entry!r}")
    chosen: dict[str, str] = {}
    for key, kind in _KEYS.items():
        weights = entry.get(key)
        if weights is None and key in _MAY_LACK:
            continue
        record = records.get(weights) if isinstance(weights, str) else None
        if record is None or (record.task, record.scheme) != kind:
            expected = " of layout ".join(part for part in kind if part is not None)
            raise WeightsError(
                f"{origin}: {key}: expected the name of weights for {expected}, got {weights!r}"
            )
        chosen[key] = record.name
    return Family(name, **chosen)
