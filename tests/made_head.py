"""A tiny head in MakeHuman's formats, of the package's own 3-D face; made by the tests."""

import gzip
import json
from pathlib import Path

import numpy as np
from PIL import Image

from asmnet.pose3d import FACE3D
from asmnet.schemes import WFLW_TO_IBUG
from asmnet.synthetic.labels import TILT

MIDDLE = np.array([0, 7.0, 0.6])  # of the face on the base mesh
EYES = {"right": 60, "left": 68}  # WFLW's first point of each


def head_points() -> np.ndarray:
    """The package's 3-D face with 98 points as a head of the base mesh's axes, in dm."""
    with np.load(FACE3D) as face:
        points = np.linalg.pinv(WFLW_TO_IBUG) @ face["neutral"].astype(float) / 10
    points[96], points[97] = points[60:68].mean(axis=0), points[68:76].mean(axis=0)
    tilt = np.radians(TILT)  # the base mesh looks down by this
    turn = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    return points @ np.array(turn).T


def write_makehuman(folder: Path) -> None:
    """Base mesh of 98 and 68 points, shoulders, eyes and the neck's joint; targets and assets."""
    points = head_points() + MIDDLE
    shoulders = np.array([[-1.5, 5.2, 0.1], [1.5, 5.2, 0.1], [0, 5.2, 0.8]])
    body = np.concatenate([points, WFLW_TO_IBUG @ points, shoulders])
    lines, count = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in body], len(body)
    lines += ["vt 0.5 0.5", "g body"]
    lines += [f"f {i}/1 {i + 1}/1 {i + 2}/1" for i in range(1, count - 1)]
    eyes = {}
    for side, first in EYES.items():
        centre = points[first : first + 8].mean(axis=0) - [0, 0, 0.12]
        angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        rings = [
            np.stack([r * np.cos(angles), r * np.sin(angles), np.full(8, z)], axis=1)
            for r, z in ((0.02, 0.12), (0.045, 0.11), (0.1, 0.0))
        ]
        lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in np.concatenate(rings) + centre]
        lines.append(f"g helper-{side[0]}-eye")
        for ring in range(2):
            for i in range(8):
                a, b = count + 8 * ring + i + 1, count + 8 * ring + (i + 1) % 8 + 1
                lines.append(f"f {a}/1 {a + 8}/1 {b + 8}/1 {b}/1")
        numbers = np.arange(count, count + 24).reshape(3, 8).tolist()
        # The outer ring's mean is the eye's middle.
        eyes[side] = {
            "centre_vertices": numbers[2], "pupil_ring": numbers[0], "iris_ring": numbers[1]
        }  # fmt: skip
        count += 24
    lines += ["v 0 5.8 0", "v 0.1 5.9 0", "v -0.1 5.9 0", "g joint-neck"]
    lines.append(f"f {count + 1}/1 {count + 2}/1 {count + 3}/1")
    content = {
        "ibug68": [[98 + i] for i in range(68)],
        "wflw98": [[i] for i in range(98)],
        "brows": {},
        "contour_lines": {"lines": {str(i): [[i], [52]] for i in range(33) if i != 16}},
        "eyes": eyes,
    }
    (folder / "mesh").mkdir(parents=True)
    (folder / "mesh" / "base.obj").write_text("\n".join(lines) + "\n")
    (folder / "landmarks.json").write_text(json.dumps(content))
    for origin in ("african", "asian", "caucasian"):
        units = folder / "targets" / "expression" / "units" / origin
        units.mkdir(parents=True)
        for side, first in EYES.items():
            # Over the lower lid by a fifth of the gap.
            gap = points[first + 2, 1] - points[first + 6, 1]
            text = f"{first + 2} 0 {-1.2 * gap:.6f} 0\n"
            (units / f"eye-{side}-closure.target.gz").write_bytes(gzip.compress(text.encode()))
    cards = {
        "eyebrows/thick/thick": "thick", "eyelashes/long/long": "long", "teeth/even/even": "",
        "tongue/tongue01/tongue01": "tongue01_diffuse", "hair/short/short": "short_diffuse",
    }  # fmt: skip
    for stem, texture in cards.items():
        path = folder / stem
        path.parent.mkdir(parents=True)
        card = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1 4/1\n"
        path.with_suffix(".obj").write_text(card)
        path.with_suffix(".mhclo").write_text("verts 0\n33\n34\n35\n36\n")
        if texture:
            Image.new("RGBA", (4, 4), (90, 60, 40, 255)).save(path.parent / f"{texture}.webp")
    for name in ("teeth/materials/teeth", "skins/textures/young", "eyes/materials/blue"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (4, 4), (200, 160, 140, 255)).save(folder / f"{name}.webp")
