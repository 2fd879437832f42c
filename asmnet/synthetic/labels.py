"""What a picture's labels are: points of the face's surface, seen by a camera; NumPy only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asmnet.datasets.records import LabelError
from asmnet.geometry import FloatArray
from asmnet.schemes import IBUG_68, WFLW_98

CONTOUR = 33  # of WFLW's points; 300W's contour are the even ones
SIDES = ("right", "left")
# Upper and lower middle of the lids of right and left eye.
LIDS = ((62, 66), (70, 74))
BROWS_68, BROWS_98 = slice(17, 27), slice(33, 51)

# Degrees by which MakeHuman's default face, laid onto the package's 3-D face by least squares over
# the 68 points, looks down. Origins, sexes and ages differ by ±3 around it.
TILT = 4.2


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        rotation: (3, 3), columns are its axes in the world: x to the right, y up, z backwards.
        position: (3,) of its pinhole.
        focal: pixels.
        size: side of the square picture in pixels; the axis meets its centre.
    """

    rotation: FloatArray
    position: FloatArray
    focal: float
    size: int

    def project(self, points: FloatArray) -> FloatArray:
        """Pixels (..., 2) of points (..., 3) of the world; the picture's corner is (0, 0)."""
        seen = (points - self.position) @ self.rotation
        return np.asarray(self.size / 2 + self.focal * seen[..., :2] * [1, -1] / -seen[..., 2:])

    def sight(self, point: FloatArray) -> FloatArray:
        """(3, 3) axes of a camera at the same place that looks straight at a point.

        A face beside the axis is seen from another side than one in the middle of the picture;
        what a crop around it shows is what this camera sees.
        """
        z = self.position - point
        z = z / np.linalg.norm(z)
        x = np.cross(self.rotation[:, 1], z)
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z], axis=1)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Where the points lie on the base mesh: ``landmarks.json``.

    Attributes:
        points: per number of points, what `surface_point` takes, one a point.
        brows: by eyebrow asset and number of points, the entries of its own brows.
        lines: (32 lists) for each contour point of WFLW but the chin: entries over the cheek.
        eyes: by side, vertices of the turning "centre" and of the "pupil" and "iris" rings.
    """

    points: Mapping[int, Sequence[Sequence[float]]]
    brows: Mapping[str, Mapping[int, Sequence[Sequence[float]]]]
    lines: Mapping[int, Sequence[Sequence[float]]]
    eyes: Mapping[str, Mapping[str, Sequence[int]]]

    @classmethod
    def read(cls, path: Path) -> Landmarks:
        """The definitions of a file.

        Raises:
            LabelError: it is missing, or something in it is.
        """
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                {68: content["ibug68"], 98: content["wflw98"]},
                {
                    name: {68: brows["ibug68_17_26"], 98: brows["wflw98_33_50"]}
                    for name, brows in content["brows"].items()
                },
                {int(i): line for i, line in content["contour_lines"]["lines"].items()},
                {
                    side: {
                        "centre": content["eyes"][side]["centre_vertices"],
                        "pupil": content["eyes"][side]["pupil_ring"],
                        "iris": content["eyes"][side]["iris_ring"],
                    }
                    for side in SIDES
                },
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LabelError(f"{path}: expected landmark definitions: {error!r}") from error
        counts = {number: len(entries) for number, entries in found.points.items()}
        if counts != {68: len(IBUG_68), 98: len(WFLW_98)}:
            raise LabelError(f"{path}: expected 68 and 98 points, got {list(counts.values())}")
        return found

    def on(self, vertices: FloatArray, count: int, brows: str | None = None) -> FloatArray:
        """The (68, 3) or (98, 3) true points on the vertices of a deformed base mesh.

        Args:
            vertices: (n, 3).
            count: 68 or 98.
            brows: name of the eyebrow asset that is on the face.
        """
        out = np.array([surface_point(entry, vertices) for entry in self.points[count]])
        if brows is not None and brows in self.brows:
            own = [surface_point(entry, vertices) for entry in self.brows[brows][count]]
            out[BROWS_68 if count == 68 else BROWS_98] = own
        return out

    def lines_on(self, vertices: FloatArray) -> dict[int, FloatArray]:
        """For each of WFLW's contour points but the chin (k, 3) points over the cheek."""
        return {
            i: np.array([surface_point(entry, vertices) for entry in line])
            for i, line in self.lines.items()
        }


def surface_point(entry: Sequence[float], vertices: FloatArray) -> FloatArray:
    """A point of the surface: a vertex, or three of them and their weights."""
    if len(entry) == 1:
        return np.asarray(vertices[int(entry[0])])
    corners = [int(v) for v in entry[:3]]
    return np.asarray(np.array(entry[3:]) @ vertices[corners])


def closure_that_meets(open_: FloatArray, closed: FloatArray, side: int) -> float:
    """The weight of a lid's closure target at which the lids meet; more would cross them.

    Args:
        open_: (98, 3) points of the face with open eyes.
        closed: the same with the target's full weight.
        side: 0 the right eye, 1 the left.
    """
    upper, lower = LIDS[side]
    gap, crossed = (points[upper, 1] - points[lower, 1] for points in (open_, closed))
    return float(np.clip(gap / max(gap - crossed, 1e-9), 0, 1))


def rotation_of(head: FloatArray, camera: Camera, centre: FloatArray) -> FloatArray:
    """The head's rotation (3, 3) in the package's convention, along the line of sight to it.

    Args:
        head: (3, 3) turns the mesh's axes (x = the subject's left, y up, z to the front) to how
            the head is held in the world.
        camera: which looks.
        centre: (3,) of the head in the world.
    """
    tilt = np.radians(TILT)
    front = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    return np.asarray(camera.sight(centre).T @ head @ front)


def visible_outline(
    points: FloatArray, lines: Mapping[int, FloatArray], upright: FloatArray
) -> FloatArray:
    """WFLW's 98 points as annotators draw them: the contour at the cheek's visible edge.

    On the far side of a turned head the jaw is hidden, and people mark where the face ends in the
    picture instead. Of each line the point farthest outwards is taken.

    Args:
        points: (98, 2) true points in the picture.
        lines: for contour points, (k, 2) pixels of points over the cheek.
        upright: (2,) direction of the picture in which the head's top lies.

    Returns:
        (98, 2), with the other points as they were.
    """
    out = points.copy()
    up = upright / max(float(np.linalg.norm(upright)), 1e-9)
    to_left = np.array([-up[1], up[0]])  # of the head, in a picture whose y goes down
    for i, line in lines.items():
        outwards = to_left if i > CONTOUR // 2 else -to_left
        out[i] = line[int((line @ outwards).argmax())]
    return out


def to_68(contour98: FloatArray, points68: FloatArray) -> FloatArray:
    """The 68 points with the contour of the 98."""
    out = points68.copy()
    out[:17] = contour98[:CONTOUR:2]
    return out
