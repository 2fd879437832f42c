"""Landmark layouts: what each point is, its mirror partner, and what to draw.

R and L are the subject's right and left; right_eye lies on the left of a frontal photo.
A scheme draws, mirrors and normalises, so that no other code asks how many points there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from asmnet._checks import mapping


class _Groups(Mapping[str, NDArray[np.intp]]):
    """A dict that cannot be changed; other than ``MappingProxyType`` it can be copied."""

    def __init__(self, groups: Mapping[str, NDArray[np.intp]]) -> None:
        self._groups = dict(groups)

    def __getitem__(self, name: str) -> NDArray[np.intp]:
        return self._groups[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __repr__(self) -> str:
        return repr(self._groups)


@dataclass(frozen=True, eq=False)
class LandmarkScheme:
    """A named order of facial landmarks; schemes of the same name are equal.

    Attributes:
        name: "ibug68" or "wflw98".
        groups: index arrays by the name of the part, for example
            ``face.landmarks[face.scheme.groups["left_eye"]]``; together they hold every point.
        closed: the groups whose outline returns to its first point.
        flip: (N,) the mirror order. In an image of width W, mirrored, x becomes W - x, then
            ``points[flip]``. It is its own inverse.
        eye_corners: the outer corners of right and left eye; their distance normalises errors.
    """

    name: str
    groups: Mapping[str, NDArray[np.intp]]
    closed: frozenset[str]
    flip: NDArray[np.intp]
    eye_corners: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", _Groups(mapping(self.groups, "groups")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LandmarkScheme) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        # A known scheme is the same object in every process and in every copy of a face.
        if SCHEMES.get(self.name) is self:
            return _known_scheme, (self.name,)
        return super().__reduce_ex__(protocol)

    def __len__(self) -> int:
        return len(self.flip)

    def __repr__(self) -> str:
        return f"LandmarkScheme({self.name!r}, {len(self)} points)"

    @cached_property
    def edges(self) -> NDArray[np.intp]:
        """(M, 2) pairs of points to join with lines."""
        pairs = [pair for group in self.groups.values() for pair in pairwise(group)]
        pairs += [(self.groups[name][-1], self.groups[name][0]) for name in sorted(self.closed)]
        return np.array(pairs, dtype=np.intp)

    def mirrored(self, points: NDArray[np.floating[Any]], width: float) -> NDArray[Any]:
        """Points (N, 2) of an image of this width in pixels as they lie in its mirror image."""
        return np.asarray((points * [-1, 1] + [width, 0])[self.flip])

    @cached_property
    def keypoints(self) -> NDArray[np.float64]:
        """(5, N) weights: ``keypoints @ landmarks`` gives the detector's five key points.

        Right and left eye centre (mean of the lids), nose tip, right and left mouth corner.
        """
        weights = np.zeros((5, len(self)))
        for row, name in enumerate(("right_eye", "left_eye")):
            weights[row, self.groups[name]] = 1 / len(self.groups[name])
        weights[2, self.groups["nose_bridge"][-1]] = 1
        outer_lip = self.groups["outer_lip"]
        weights[3, outer_lip[0]] = weights[4, outer_lip[len(outer_lip) // 2]] = 1
        return weights


def _indices(*parts: int | tuple[int, int]) -> NDArray[np.intp]:
    """Joins numbers and inclusive runs: ``_indices((16, 0), 26)`` is 16, 15, … 0, 26."""
    out: list[int] = []
    for part in parts:
        if isinstance(part, int):
            out.append(part)
        else:
            first, last = part
            step = 1 if last >= first else -1
            out.extend(range(first, last + step, step))
    return np.array(out, dtype=np.intp)


def _groups(**runs: tuple[int, int]) -> Mapping[str, NDArray[Any]]:
    return {name: _indices(run) for name, run in runs.items()}


IBUG_68 = LandmarkScheme(
    name="ibug68",
    groups=_groups(
        jaw=(0, 16),
        right_brow=(17, 21),
        left_brow=(22, 26),
        nose_bridge=(27, 30),
        nostrils=(31, 35),
        right_eye=(36, 41),
        left_eye=(42, 47),
        outer_lip=(48, 59),
        inner_lip=(60, 67),
    ),
    closed=frozenset({"right_eye", "left_eye", "outer_lip", "inner_lip"}),
    flip=_indices(
        (16, 0), (26, 17), (27, 30), (35, 31), (45, 42), 47, 46, (39, 36), 41, 40,
        (54, 48), (59, 55), (64, 60), 67, 66, 65,
    ),
    eye_corners=(36, 45),
)  # fmt: skip
"""The 68 points of 300W (iBUG)."""

WFLW_98 = LandmarkScheme(
    name="wflw98",
    groups=_groups(
        jaw=(0, 32),
        right_brow=(33, 41),
        left_brow=(42, 50),
        nose_bridge=(51, 54),
        nostrils=(55, 59),
        right_eye=(60, 67),
        left_eye=(68, 75),
        outer_lip=(76, 87),
        inner_lip=(88, 95),
        right_pupil=(96, 96),
        left_pupil=(97, 97),
    ),
    closed=frozenset(
        {"right_brow", "left_brow", "right_eye", "left_eye", "outer_lip", "inner_lip"}
    ),
    flip=_indices(
        (32, 0), (46, 42), (50, 47), (37, 33), (41, 38), (51, 54), (59, 55), (72, 68), (75, 73),
        (64, 60), (67, 65), (82, 76), (87, 83), (92, 88), (95, 93), 97, 96,
    ),
    eye_corners=(60, 72),
)  # fmt: skip
"""The 98 points of WFLW."""

SCHEMES: Mapping[str, LandmarkScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (IBUG_68, WFLW_98)}
)
"""Every scheme by its name, as the weights manifest names it."""


def _known_scheme(name: str) -> LandmarkScheme:
    return SCHEMES[name]


def _wflw_to_ibug() -> NDArray[np.float64]:
    lids = ((1, 2), (3, 2), (5, 6), (7, 6))  # at two thirds of the way from the second to the first
    # For each of the 68 points: {WFLW point: weight}.
    table: list[dict[int, float]] = [{2 * i: 1.0} for i in range(17)]
    # Brows: WFLW draws their outline, 300W their middle line; the outer tips are shared.
    table += [{33: 1.0}, *({34 + i: 0.5, 41 - i: 0.5} for i in range(4))]
    table += [*({42 + i: 0.5, 50 - i: 0.5} for i in range(4)), {46: 1.0}]
    table += [{51 + i: 1.0} for i in range(9)]
    for first in (60, 68):  # eyes: eight points become six
        upper_and_lower = [{first + a: 2 / 3, first + b: 1 / 3} for a, b in lids]
        table += [{first: 1.0}, *upper_and_lower[:2], {first + 4: 1.0}, *upper_and_lower[2:]]
    table += [{76 + i: 1.0} for i in range(20)]
    weights = np.zeros((68, 98))
    for row, sources in zip(weights, table, strict=True):
        row[list(sources)] = list(sources.values())
    return weights


WFLW_TO_IBUG = _wflw_to_ibug()
"""(68, 98) weights: ``WFLW_TO_IBUG @ landmarks`` takes WFLW's 98 points to 300W's 68.

The jaw's even points, nose and mouth are the same points; brows and lids are means of neighbours.
"""
