"""MakeHuman's base mesh, its targets, and the assets that are fitted to it; NumPy only.

Axes of the mesh: x = the subject's left, y up, z to the front; 1 unit = 1 dm.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asmnet.datasets.records import LabelError
from asmnet.geometry import FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh of triangles and quads.

    Attributes:
        vertices: (n, 3).
        faces: (k, 4) numbers of vertices, the last one -1 in a triangle.
        uv: (k, 4, 2) texture coordinates of the faces' corners, v up.
        groups: (k,) names.
    """

    vertices: FloatArray
    faces: IntArray
    uv: FloatArray
    groups: NDArray[np.str_]


@cache
def read_obj(path: Path) -> Mesh:
    """A mesh of a Wavefront file.

    Raises:
        LabelError: the file is missing or broken.
    """
    vertices, coordinates, faces, uv, groups = [], [(0.0, 0.0)], [], [], []
    group = ""
    for number, line in enumerate(_lines(path), start=1):
        kind, *words = line.split() or [""]
        try:
            if kind == "v":
                vertices.append([float(w) for w in words[:3]])
            elif kind == "vt":
                coordinates.append((float(words[0]), float(words[1])))
            elif kind == "g":
                group = words[0] if words else ""
            elif kind == "f":
                corners = [w.split("/") for w in (*words, words[2])[:4]]
                face = [int(c[0]) - 1 for c in corners]
                faces.append(face if len(words) > 3 else [*face[:3], -1])
                uv.append([int(c[1]) if len(c) > 1 and c[1] else 0 for c in corners])
                groups.append(group)
        except (ValueError, IndexError) as error:
            raise LabelError(f"{path}, line {number}: expected a mesh, got {line!r:.80}") from error
    if not faces or max(max(face) for face in faces) >= len(vertices):
        raise LabelError(f"{path}: expected a mesh with faces of its own vertices")
    return Mesh(np.array(vertices), np.array(faces), np.array(coordinates)[uv], np.array(groups))


@cache
def read_target(path: Path) -> tuple[IntArray, FloatArray]:
    """The vertices (m,) that a target moves, and by how much (m, 3).

    Raises:
        LabelError: the file is missing or broken.
    """
    rows = [line for line in _lines(path) if not line.startswith("#")]
    try:
        table = np.array(" ".join(rows).split(), dtype=np.float64).reshape(-1, 4)
    except ValueError as error:
        raise LabelError(f"{path}: expected lines of a number and three offsets") from error
    return table[:, 0].astype(np.int64), table[:, 1:]


def deformed(base: FloatArray, folder: Path, weights: Mapping[str, float]) -> FloatArray:
    """The base mesh's vertices (n, 3) with targets added.

    Args:
        base: (n, 3).
        folder: with the targets.
        weights: by the target's name, its path in the folder without ``.target.gz``.
    """
    vertices = base.copy()
    for name, weight in weights.items():
        if weight:
            moved, offsets = read_target(folder / f"{name}.target.gz")
            vertices[moved] += weight * offsets
    return vertices


@dataclass(frozen=True, eq=False)
class Fit:
    """How an asset hangs on the base mesh: a ``.mhclo`` file.

    Attributes:
        corners: (n, 3) base vertices that each of its own vertices hangs on.
        weights: (n, 3) of the corners.
        offsets: (n, 3) in units of ``scales``.
        scales: for x, y and z two base vertices and their distance when the asset was made.
    """

    corners: IntArray
    weights: FloatArray
    offsets: FloatArray
    scales: tuple[tuple[int, int, float], ...]

    def place(self, base: FloatArray) -> FloatArray:
        """The asset's vertices (n, 3) on a deformed base mesh (m, 3)."""
        scale = [
            abs(base[a, axis] - base[b, axis]) / length
            for axis, (a, b, length) in enumerate(self.scales)
        ]
        points = np.einsum("nk,nkd->nd", self.weights, base[self.corners])
        return np.asarray(points + self.offsets * scale)


@cache
def read_fit(path: Path) -> Fit:
    """How an asset hangs on the base mesh.

    Raises:
        LabelError: the file is missing or broken.
    """
    scales = {"x_scale": (0, 1, 1.0), "y_scale": (0, 1, 1.0), "z_scale": (0, 1, 1.0)}
    rows: list[list[float]] = []
    listing = False
    for number, line in enumerate(_lines(path), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            if words[0] in scales:
                scales[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
            elif words[0] == "verts":
                listing = True
            elif words[0] == "delete_verts":
                break
            elif listing and words[0].isdigit():
                row = [float(word) for word in words]
                rows.append(row if len(row) == 9 else [row[0], 0, 1, 1, 0, 0, 0, 0, 0])
        except (ValueError, IndexError) as error:
            raise LabelError(f"{path}, line {number}: got {line!r:.80}") from error
    if not rows:
        raise LabelError(f"{path}: expected vertices after a line 'verts'")
    table = np.array(rows)
    return Fit(
        table[:, :3].astype(np.int64),
        table[:, 3:6],
        table[:, 6:],
        (scales["x_scale"], scales["y_scale"], scales["z_scale"]),
    )


def part(mesh: Mesh, chosen: NDArray[np.bool_]) -> tuple[Mesh, IntArray]:
    """Some faces of a mesh with the vertices that they use, and these vertices' old numbers."""
    faces = mesh.faces[chosen]
    used = np.unique(faces[faces >= 0])
    renumbered = np.searchsorted(used, faces.clip(0))
    renumbered[faces < 0] = -1
    return Mesh(mesh.vertices[used], renumbered, mesh.uv[chosen], mesh.groups[chosen]), used


def normals(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """(n, 3) unit normals of vertices, outwards where faces run counter-clockwise."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    sums = np.zeros_like(vertices)
    for i in range(4):
        real = faces[:, i] >= 0
        np.add.at(sums, faces[real, i], across[real])
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-12))


def edges_and_rim(faces: IntArray) -> tuple[IntArray, IntArray]:
    """The edges (m, 2) of faces, and the vertices on edges that only one face has."""
    pairs = np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)])
    triangles = faces[faces[:, 3] < 0]
    pairs = np.concatenate([pairs[(pairs >= 0).all(axis=1)], triangles[:, [2, 0]]])
    edges, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    return edges, np.unique(edges[counts == 1])


def smoothed(vertices: FloatArray, faces: IntArray, rounds: int) -> FloatArray:
    """Values at vertices (n, k), half-way to the mean of their neighbours', again and again.

    Their places, for example. Those at rims stay.
    """
    edges, rim = edges_and_rim(faces)
    both = np.concatenate([edges, edges[:, ::-1]])
    degree = np.bincount(both[:, 0], minlength=len(vertices)).clip(1)
    out = vertices.copy()
    for _ in range(rounds):
        mean = np.zeros_like(out)
        np.add.at(mean, both[:, 0], out[both[:, 1]])
        mean /= degree[:, None]
        mean[rim] = out[rim]
        out = (out + mean) / 2
    return out


def _lines(path: Path) -> list[str]:
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes()).decode().splitlines()
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, EOFError, ValueError) as error:
        raise LabelError(f"{path}: cannot be read: {error}") from error
