"""From where, in what light and before what a head is seen: random; NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asmnet.geometry import FloatArray, euler_to_rotation
from asmnet.synthetic.labels import TILT, Camera

# Share of the picture's side that the face's box takes.
FACE_PART = (0.44, 0.62)


@dataclass(frozen=True)
class Lamp:
    """A square lamp.

    Attributes:
        position: (3,) dm from the head.
        power: watts of Blender's.
        side: dm.
        colour: red, green and blue.
    """

    position: tuple[float, float, float]
    power: float
    side: float
    colour: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Setting:
    """How a head is seen.

    Attributes:
        pitch_yaw_roll: degrees, the head against the camera, package's convention.
        neck: (3,) rotation vector of the head against the shoulders, radians.
        distance: dm from the camera to the head.
        face_part: of the picture's side that the face's box takes.
        shift: (2,) where the face is in the picture, in its sides from the middle.
        environment: number of the light environment.
        environment_turn: radians about the vertical.
        light: mean radiance of the environment.
        lamps: further lights.
        exposure: stops.
        soft: whether bright places fade to white softly, as film has it, or are cut off.
        background: None to show the environment, or red, green and blue of a plain wall.
    """

    pitch_yaw_roll: FloatArray
    neck: FloatArray
    distance: float
    face_part: float
    shift: FloatArray
    environment: int
    environment_turn: float
    light: float
    lamps: tuple[Lamp, ...]
    exposure: float
    soft: bool
    background: tuple[float, float, float] | None

    def camera(self, points: FloatArray, size: int) -> Camera:
        """The camera that sees the face so.

        Args:
            points: (98, 3) of an upright head whose middle is the origin.
            size: of the picture in pixels.
        """
        tilt = np.radians(TILT)
        front = np.array(
            [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
        )
        # The head stays as it is and the camera goes around it.
        rotation = (euler_to_rotation(self.pitch_yaw_roll) @ front.T).T
        near = Camera(rotation, rotation[:, 2] * self.distance, 1.0, 0)
        seen = near.project(points)
        low, high = seen.min(axis=0), seen.max(axis=0)
        focal = self.face_part * size / float((high - low).max())
        # Towards the box's middle, beside the picture's by the shift.
        aim = (low + high) / 2 - self.shift * size / focal
        right, down = aim * self.distance
        position = near.position + right * rotation[:, 0] - down * rotation[:, 1]
        return Camera(rotation, position, focal, size)


def random_setting(rng: np.random.Generator, environments: int) -> Setting:
    """A setting; yaw to ±90°, pitch to ±50°, the middle more often than the ends."""
    yaw = rng.normal(0, 22) if rng.random() < 0.5 else rng.uniform(-90, 90)
    pitch = rng.normal(0, 12) if rng.random() < 0.7 else rng.uniform(-50, 50)
    pitch *= 1 - 0.35 * min(abs(yaw) / 90, 1)
    roll = rng.normal(0, 8) if rng.random() < 0.8 else rng.uniform(-45, 45)
    angles = np.clip([pitch, yaw, roll], [-50, -90, -60], [50, 90, 60])
    # The head turns with the neck by a part of what the camera sees, and by chance.
    neck = np.radians([-0.35 * pitch, -0.4 * yaw, -0.3 * roll]) + np.radians(rng.normal(0, 8, 3))
    low_light = rng.random() < 0.14
    light = rng.uniform(0.05, 0.25) if low_light else 1.0
    # Lamps as bright on the face as so many environments.
    brightness = [
        float(np.exp(rng.uniform(np.log(0.15), np.log(1.5))))
        for _ in range(int(rng.choice([0, 1, 2], p=[0.4, 0.4, 0.2])))
    ]
    lamps = tuple(_lamp(rng, light * times) for times in brightness)
    # Most of the difference a camera evens out, in low light less of it.
    stops = -np.log2(light * (1 + sum(brightness))) * (0.6 if low_light else 0.8)
    wall = rng.random() < 0.25
    return Setting(
        pitch_yaw_roll=angles,
        neck=np.clip(neck, -0.8, 0.8),
        distance=float(np.exp(rng.uniform(np.log(3.2), np.log(30)))),
        face_part=float(rng.uniform(*FACE_PART)),
        shift=rng.normal(0, 0.03, 2),
        environment=int(rng.integers(environments)),
        environment_turn=float(rng.uniform(-np.pi, np.pi)),
        light=float(light),
        lamps=lamps,
        exposure=float(stops + rng.normal(-0.7, 0.5)),
        soft=bool(rng.random() < 0.5),
        background=_wall(rng) if wall else None,
    )


def _lamp(rng: np.random.Generator, light: float) -> Lamp:
    direction = rng.normal(0, 1, 3) + np.array([0, 0.4, 0.8])
    direction /= np.linalg.norm(direction)
    distance = rng.uniform(8, 25)
    warm = rng.uniform(-0.25, 0.35)
    x, y, z = direction * distance
    # A lamp of P watts gives P / (pi d^2) on the face, an environment of radiance L gives pi L.
    power = np.pi**2 * light * distance**2
    return Lamp(
        (float(x), float(y), float(z)), float(power), float(rng.uniform(0.5, 8)),
        (1.0, float(1 - 0.35 * max(warm, 0) + 0.1 * min(warm, 0)), float(1 - warm)),
    )  # fmt: skip


def _wall(rng: np.random.Generator) -> tuple[float, float, float]:
    grey = rng.uniform(0.02, 0.9)
    red, green, blue = np.clip(grey + rng.normal(0, 0.08, 3), 0.005, 1)
    return (float(red), float(green), float(blue))
