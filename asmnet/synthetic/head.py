"""A person's head as meshes in the world, ready to be rendered; NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asmnet.geometry import FloatArray
from asmnet.synthetic.identity import ORIGINS, UNITS, Person
from asmnet.synthetic.labels import SIDES, Landmarks, closure_that_meets
from asmnet.synthetic.mesh import (
    IntArray,
    Mesh,
    deformed,
    edges_and_rim,
    normals,
    part,
    read_fit,
    read_obj,
    smoothed,
)

# The body below this height of the base mesh is never in the picture.
LOWEST = 4.9
WIDEST = 2.6
# Where an iris texture has its middle, and how far its edge is from there.
IRIS_UV, IRIS_RADIUS = np.array([0.703, 0.705]), 0.114
# The neck bends between these two planes of the base mesh, which rise towards the back: the jaw,
# which hangs before the neck, turns with the head.
NECK = (5.35, 6.35)
NECK_SLOPE = 0.75


@dataclass(frozen=True, eq=False)
class Piece:
    """An object of the scene.

    Attributes:
        name: what it is, which also tells its material.
        mesh: its shape in the world; axes as the base mesh's.
        texture: the file, where it has one.
    """

    name: str
    mesh: Mesh
    texture: Path | None = None


@dataclass(frozen=True, eq=False)
class Head:
    """A head with everything on it, upright and looking along z, its middle at the origin.

    Attributes:
        vertices: (n, 3) of the whole deformed base mesh.
        skin: its visible part, to be subdivided.
        numbers: base mesh's numbers of the skin's vertices.
        pieces: everything else.
        beard: (k,) 0–1, how much of a beard grows at each of the skin's vertices.
        collar: (faces,) whether a face of the skin is covered with cloth.
        pupils: (2, 3) right and left, turned as the eyes look.
        points: (98, 3) true points, before subdivision.
    """

    vertices: FloatArray
    skin: Mesh
    numbers: IntArray
    pieces: list[Piece]
    beard: FloatArray
    collar: IntArray
    pupils: FloatArray
    points: FloatArray


class MakeHuman:
    """MakeHuman's folder, read once."""

    def __init__(self, folder: Path) -> None:
        """Reads mesh and landmarks of a folder; LabelError for one that is missing or broken."""
        self.folder = folder
        self.base = read_obj(folder / "mesh" / "base.obj")
        self.landmarks = Landmarks.read(folder / "landmarks.json")
        rest = self.base.vertices[self.base.faces[:, :3]]
        near = (rest[..., 1].min(axis=1) > LOWEST) & (abs(rest[..., 0]).max(axis=1) < WIDEST)
        self._skin, self._numbers = part(self.base, near & (self.base.groups == "body"))
        self._eyes = [part(self.base, self.base.groups == f"helper-{s[0]}-eye") for s in SIDES]
        height = self.base.vertices @ [0, 1, NECK_SLOPE]
        self._bend = _smoothstep((height - NECK[0]) / (NECK[1] - NECK[0]))
        self._neck = self._joint("joint-neck")

    def head(self, person: Person, turn: FloatArray) -> Head:
        """A person's head.

        Args:
            person: who.
            turn: (3,) rotation vector (radians) of the head against the shoulders. The head stays
                upright; the shoulders turn the other way.
        """
        vertices = self._expressive(person)
        points = self.landmarks.on(vertices, 98, person.brows)
        eyes = self._looking(vertices, person.gaze)
        pieces = self._assets(vertices, person)
        pieces += self._worn(vertices, person, points)
        return self._held(person, vertices, turn, eyes=eyes, pieces=pieces, points=points)

    def _held(
        self,
        person: Person,
        vertices: FloatArray,
        turn: FloatArray,
        *,
        eyes: list[tuple[Mesh, FloatArray]],
        pieces: list[Piece],
        points: FloatArray,
    ) -> Head:
        """Puts the head's middle to the origin and turns the shoulders against it."""
        pivot = vertices[self._neck].mean(axis=0) + np.array([0, 0.35, 0])
        middle = points[:33].mean(axis=0) / 2 + points[33:].mean(axis=0) / 2

        whole = _turned(vertices - pivot, -turn, 1 - self._bend) + pivot - middle
        skin = Mesh(whole[self._numbers], self._skin.faces, self._skin.uv, self._skin.groups)
        out = [Piece("eye", Mesh(mesh.vertices - middle, mesh.faces, mesh.uv, mesh.groups))
               for mesh, _ in eyes]  # fmt: skip
        for piece in pieces:
            shape = piece.mesh.vertices
            if piece.name == "hair":  # long hair lies on the shoulders
                rest = self._bend_of(shape, vertices)
                shape = _turned(shape - pivot, -turn, 1 - rest) + pivot
            mesh = Mesh(shape - middle, piece.mesh.faces, piece.mesh.uv, piece.mesh.groups)
            out.append(Piece(piece.name, mesh, piece.texture))
        rest = self.base.vertices[self._numbers]
        # From the neck's foot on; on the shoulders the line runs outwards under their skin.
        low = rest @ [0, 1, 0.35] < 5.82 + 0.15 * abs(rest[:, 0])
        collar = np.asarray(low[self._skin.faces[:, :3]].all(axis=1), np.int64)
        pupils = np.array([pupil - middle for _, pupil in eyes])
        local = points - middle
        local[96:98] = pupils
        return Head(whole, skin, self._numbers, out, self._beard(person), collar, pupils, local)

    def _bend_of(self, shape: FloatArray, vertices: FloatArray) -> FloatArray:
        """How much points near the head turn with it, by their height against chin and collar."""
        chin, neck = vertices[self._numbers][:, 1].max(), vertices[self._neck].mean(axis=0)[1]
        low = neck + 0.1
        return _smoothstep((shape[:, 1] - low) / max(0.35 * (chin - low), 1e-6))

    def _expressive(self, person: Person) -> FloatArray:
        """Vertices of the base mesh with shape, expression and lids."""
        targets = self.folder / "targets"
        vertices = deformed(self.base.vertices, targets, {**person.shape, **person.expression})
        for side, name in enumerate(SIDES):
            if person.closure[side] <= 0:
                continue
            closing = {
                f"{UNITS}/{origin}/eye-{name}-closure": share
                for origin, share in zip(ORIGINS, person.origins, strict=True)
            }
            closed = deformed(vertices, targets, closing)
            open_, met = (self.landmarks.on(v, 98) for v in (vertices, closed))
            weight = closure_that_meets(open_, met, side) * person.closure[side]
            vertices = vertices + weight * (closed - vertices)
        return vertices

    def _looking(
        self, vertices: FloatArray, gaze: tuple[float, float]
    ) -> list[tuple[Mesh, FloatArray]]:
        """Right and left eye, turned, with texture coordinates around the iris; and its pupil."""
        out = []
        left, up = np.radians(gaze)
        for side, (mesh, numbers) in zip(SIDES, self._eyes, strict=True):
            rings = self.landmarks.eyes[side]
            centre = vertices[list(rings["centre"])].mean(axis=0)
            shape = vertices[numbers] - centre
            axis = vertices[list(rings["pupil"])].mean(axis=0) - centre
            axis /= np.linalg.norm(axis)
            ring = vertices[list(rings["iris"])] - centre
            edge = np.arccos(np.clip(ring @ axis / np.linalg.norm(ring, axis=1), -1, 1)).mean()
            angle = np.arccos(np.clip(shape @ axis / np.linalg.norm(shape, axis=1), -1, 1))
            across = np.cross([0.0, 1.0, 0.0], axis)
            across /= np.linalg.norm(across)
            above = np.cross(axis, across)
            around = np.arctan2(shape @ above, shape @ across)
            radius = np.minimum(angle / edge * IRIS_RADIUS, 0.28)
            flat = np.stack([np.cos(around), np.sin(around)], axis=1) * radius[:, None] + IRIS_UV
            uv = flat[mesh.faces.clip(0)]
            shape = _turned(shape, np.array([-up, left, 0.0]), np.ones(len(shape)))
            pupil = vertices[list(rings["pupil"])] - centre
            pupil = _turned(pupil, np.array([-up, left, 0.0]), np.ones(len(pupil))).mean(axis=0)
            turned = Mesh(shape + centre, mesh.faces, uv, mesh.groups)
            out.append((turned, pupil + centre))
        return out

    def _assets(self, vertices: FloatArray, person: Person) -> list[Piece]:
        folder = self.folder
        wanted = [
            ("brows", folder / "eyebrows" / person.brows / person.brows, f"{person.brows}.webp"),
            ("lashes", folder / "eyelashes" / person.lashes / person.lashes,
             f"{person.lashes}.webp"),
            ("teeth", folder / "teeth" / person.teeth / person.teeth, "../materials/teeth.webp"),
            ("tongue", folder / "tongue" / "tongue01" / "tongue01", "tongue01_diffuse.webp"),
        ]  # fmt: skip
        if person.hair is not None:
            stem = folder / "hair" / person.hair / person.hair
            wanted.append(("hair", stem, f"{person.hair}_diffuse.webp"))
        pieces = []
        for name, stem, texture in wanted:
            mesh = read_obj(stem.with_suffix(".obj"))
            placed = read_fit(stem.with_suffix(".mhclo")).place(vertices)
            shape = Mesh(placed[: len(mesh.vertices)], mesh.faces, mesh.uv, mesh.groups)
            pieces.append(Piece(name, shape, stem.parent / texture))
        return pieces

    def _worn(self, vertices: FloatArray, person: Person, points: FloatArray) -> list[Piece]:
        """Glasses, a cap or a mask, made from the face's own shape."""
        pieces = []
        if person.glasses != "none":
            pieces += _glasses(points, dark=person.glasses == "dark")
        skin = vertices[self._numbers]
        if person.headwear == "mask":
            pieces.append(Piece("mask", mask_over(skin, points)))
        elif person.headwear == "cap":
            pieces.append(Piece("cap", self._cap(skin, points)))
        return pieces

    def _cap(self, skin: FloatArray, points: FloatArray) -> Mesh:
        """Cloth on the skin above the forehead, pushed outwards and smoothed."""
        height = points[51, 1] - points[16, 1]
        brow = points[33:51, 1].max() + 0.28 * height
        inside = skin[:, 1] > brow - 0.35 * (points[51, 2] - skin[:, 2])
        chosen = inside[self._skin.faces[:, :3]].all(axis=1)
        mesh = Mesh(skin, self._skin.faces, self._skin.uv, self._skin.groups)
        piece, numbers = part(mesh, chosen)
        outwards = normals(skin, self._skin.faces)[numbers]
        on_rim = np.ones((len(numbers), 1))  # it lies on the skin there
        on_rim[edges_and_rim(piece.faces)[1]] = 0.3
        away = 0.07 * smoothed(on_rim, piece.faces, 3)
        outer = smoothed(piece.vertices, piece.faces, 4) + away * outwards
        return Mesh(outer, piece.faces, piece.uv, piece.groups)

    def _beard(self, person: Person) -> FloatArray:
        """0–1 at each of the skin's vertices: around the mouth, on chin, jaw and upper lip."""
        if person.beard <= 0:
            return np.zeros(len(self._numbers))
        rest = self.base.vertices[self._numbers]
        points = self.landmarks.on(self.base.vertices, 98)
        lips = points[76:88]
        to_lips = np.linalg.norm(rest[:, None] - lips, axis=2).min(axis=1)
        below_nose = _smoothstep((points[57, 1] - 0.02 - rest[:, 1]) / 0.1)
        above_neck = _smoothstep((rest[:, 1] - points[16, 1] + 0.25) / 0.2)
        jaw = np.linalg.norm(rest[:, None] - points[4:29], axis=2).min(axis=1)
        near = np.maximum(1 - jaw / 0.4, 1 - to_lips / 0.35).clip(0, 1)
        off_lips = _smoothstep((to_lips - 0.06) / 0.05)
        in_lips = (abs(rest[:, 0]) < 0.24) & (rest[:, 1] < lips[:, 1].max()) & (
            rest[:, 1] > lips[:, 1].min()
        )  # fmt: skip
        grown = np.sqrt(near) * below_nose * above_neck * off_lips * ~in_lips
        return np.asarray(person.beard * grown * (rest[:, 2] > 0.3))

    def _joint(self, name: str) -> IntArray:
        faces = self.base.faces[self.base.groups == name]
        return np.unique(faces[faces >= 0])


def _glasses(points: FloatArray, *, dark: bool) -> list[Piece]:
    """Two rims, a bridge, temples and lenses, before eyes and nose."""
    pieces = []
    right, left = points[60:68].mean(axis=0), points[68:76].mean(axis=0)
    width = 0.44 * np.linalg.norm(left - right)
    front = max(points[33:51, 2].max(), points[51, 2]) + 0.07
    angles = np.linspace(0, 2 * np.pi, 25)[:-1]
    edges = []
    for centre in (right, left):
        x = np.sign(np.cos(angles)) * abs(np.cos(angles)) ** 0.7 * width
        y = np.sign(np.sin(angles)) * abs(np.sin(angles)) ** 0.7 * width * 0.72
        z = front - 0.25 * abs(centre[0] + x) ** 2
        rim = np.stack([centre[0] + x, centre[1] + y - 0.02, z], axis=1)
        edges.append(rim)
        pieces.append(Piece("frame", tube(np.concatenate([rim, rim[:1]]), 0.022)))
        fan = np.concatenate([rim, rim.mean(axis=0, keepdims=True)])
        numbers = np.arange(24)
        faces = np.stack([numbers, (numbers + 1) % 24, np.full(24, 24), np.full(24, -1)], axis=1)
        lens = Mesh(fan, faces, np.zeros((24, 4, 2)), np.array(["lens"] * 24))
        pieces.append(Piece("dark lens" if dark else "clear lens", lens))
    inner = [edges[0][0], edges[1][12]]
    pieces.append(Piece("frame", tube(np.array(inner), 0.022)))
    for rim, ear in ((edges[0][12], points[0]), (edges[1][0], points[32])):
        back = np.array([ear[0] * 1.06, rim[1] + 0.03, ear[2] - 0.25])
        pieces.append(Piece("frame", tube(np.array([rim, back]), 0.02)))
    return pieces


def mask_over(skin: FloatArray, points: FloatArray) -> Mesh:
    """A sheet that hangs over nose and chin, from the middle of the nose to below the chin.

    Args:
        skin: (n, 3) vertices.
        points: (98, 3) of the face.
    """
    rows, columns = 10, 15
    top, bottom = points[52, 1], points[16, 1] - 0.06
    half = 0.82 * abs(points[[6, 26], 0]).mean()
    grid = np.zeros((rows, columns, 3))
    down = np.linspace(0, 1, rows)
    across = np.linspace(-1, 1, columns)
    # Highest over the nose, and narrower towards the chin.
    drop = 0.25 * across**2 * (1 - down[:, None])
    grid[..., 1] = top + (bottom - top) * (down[:, None] + drop)
    grid[..., 0] = across * half * np.sqrt(1 - 0.6 * down[:, None] ** 2)
    for place in grid.reshape(-1, 3):
        near = np.linalg.norm(skin[:, :2] - place[:2], axis=1)
        # What lies foremost about there, else the nearest that is in front.
        front = skin[:, 2] > 0.3 * points[16, 2] + 0.7 * points[[4, 28], 2].mean()
        about = (near < 0.1) & front
        place[2] = skin[about, 2].max() if about.any() else skin[front][near[front].argmin(), 2]
    corner = np.arange(rows * columns).reshape(rows, columns)
    faces = np.stack([corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:], corner[:-1, :-1]], axis=-1)
    faces = faces.reshape(-1, 4)
    sheet = smoothed(grid.reshape(-1, 3), faces, 3)
    sheet[:, 2] += 0.05
    return Mesh(sheet, faces, np.zeros((len(faces), 4, 2)), np.array(["mask"] * len(faces)))


def tube(line: FloatArray, radius: float) -> Mesh:
    """A square tube along a line (k, 3)."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True).clip(1e-9)
    helper = np.where(abs(along[:, 1:2]) < 0.9, [[0.0, 1, 0]], [[1.0, 0, 0]])
    side = np.cross(along, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along)
    ring = np.stack([side, up, -side, -up], axis=1) * radius + line[:, None]
    faces = [
        [4 * i + j, 4 * i + (j + 1) % 4, 4 * i + 4 + (j + 1) % 4, 4 * i + 4 + j]
        for i in range(len(line) - 1)
        for j in range(4)
    ]
    numbers = np.array(faces)
    return Mesh(
        ring.reshape(-1, 3), numbers, np.zeros((len(numbers), 4, 2)),
        np.array(["frame"] * len(numbers)),
    )  # fmt: skip


def _turned(points: FloatArray, vector: FloatArray, share: FloatArray) -> FloatArray:
    """Points (n, 3) turned about the origin by shares (n,) of a rotation vector (radians)."""
    angle = np.linalg.norm(vector)
    if angle < 1e-9:
        return points.copy()
    axis = vector / angle
    cos, sin = np.cos(angle * share)[:, None], np.sin(angle * share)[:, None]
    dot = (points @ axis)[:, None]
    return np.asarray(points * cos + np.cross(axis, points) * sin + axis * dot * (1 - cos))


def _smoothstep(values: FloatArray) -> FloatArray:
    t = np.clip(values, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
