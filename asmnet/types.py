"""The results: plain frozen records that hold NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmnet._checks import finite_array, number, one_of, shown, whole_number
from asmnet.errors import InvalidInputError
from asmnet.geometry import FloatArray, rotation_to_euler
from asmnet.schemes import IBUG_68, SCHEMES, WFLW_98, WFLW_TO_IBUG, LandmarkScheme

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Where the head is turned, as 300W-LP and HopeNet define it.

    Attributes:
        pitch: degrees; > 0 looks up.
        yaw: degrees; > 0 turns the nose to the image's left, the subject's own right.
        roll: degrees; > 0 tilts clockwise as the viewer sees it.
        rotation: (3, 3) float32; takes the head's axes (x = the subject's left, y = up, z = out
            of the face) to the camera's (x = image right, y = up, z = towards the viewer). Near
            yaw = ±90° the three angles are ambiguous and this matrix is not.
    """

    pitch: float
    yaw: float
    roll: float
    rotation: Float32Array

    @classmethod
    def from_rotation(cls, rotation: FloatArray) -> HeadPose:
        """The pose of a (3, 3) rotation, which is stored as float32.

        Raises:
            InvalidInputError: another shape, or numbers beyond ±1.
        """
        rotation = finite_array(rotation, "rotation", (3, 3))
        if np.abs(rotation).max() > 1 + 1e-3:
            raise InvalidInputError("rotation: expected a rotation, got numbers beyond ±1")
        pitch, yaw, roll = (float(angle) for angle in rotation_to_euler(rotation))
        return cls(pitch, yaw, roll, rotation.astype(np.float32))

    def to_dict(self) -> dict[str, Any]:
        """Built-in types only, ready for ``json.dumps``."""
        return {
            "pitch": self.pitch,
            "yaw": self.yaw,
            "roll": self.roll,
            "rotation": self.rotation.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HeadPose:
        """The inverse of `to_dict`.

        Raises:
            InvalidInputError: a key is missing, or a value has another type or shape.
        """
        pitch, yaw, roll = (_number(values, name) for name in ("pitch", "yaw", "roll"))
        return cls(pitch, yaw, roll, _array(values, "rotation", (3, 3)))


@dataclass(frozen=True, eq=False)
class Detection:
    """A face that the detector found.

    Attributes:
        bbox: (4,) float32 xyxy in image pixels, tight around the 68 points: from the brows to
            the chin. It may reach beyond the image.
        score: 0–1, the detector's confidence.
        keypoints: (5, 2) float32 image pixels: right eye, left eye, nose tip, right and left
            corner of the mouth; right and left are the subject's.
    """

    bbox: Float32Array
    score: float
    keypoints: Float32Array

    def to_dict(self) -> dict[str, Any]:
        """Built-in types only, ready for ``json.dumps``."""
        return {
            "bbox": self.bbox.tolist(),
            "score": self.score,
            "keypoints": self.keypoints.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Detection:
        """The inverse of `to_dict`.

        Raises:
            InvalidInputError: a key is missing, or a value has another type or shape.
        """
        score, bbox = _number(values, "score"), _array(values, "bbox", (4,))
        return cls(bbox, score, _array(values, "keypoints", (5, 2)))


@dataclass(frozen=True, eq=False)
class Face:
    """A face with its landmarks and head pose.

    Attributes:
        bbox: (4,) float32 xyxy in image pixels: the detector's box, or the caller's own.
        score: the detector's confidence, 0–1; None where the caller gave the box.
        landmarks: (N, 2) float32, x and y in pixels of the source image, from its top left
            corner: the first pixel has its centre at (0.5, 0.5). Points may lie outside of it.
        scheme: what each of the N points is.
        pose: where the head is turned.
        confidence: (N,) float32, 0–1: the probability that a point lies within a fortieth of the
            longer side of the face's box of where a person would put it, as calibrated on
            validation photos. Covered points have less. None where the weights cannot tell.
        presence: 0–1, the probability that the box holds a face at all, calibrated likewise against
            backgrounds and boxes beside faces. None where the weights cannot tell.
        track_id: number of the face in its stream, from `asmnet.FaceTracker`; None elsewhere.
    """

    bbox: Float32Array
    score: float | None
    landmarks: Float32Array
    scheme: LandmarkScheme
    pose: HeadPose
    confidence: Float32Array | None = None
    presence: float | None = None
    track_id: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Built-in types only, ready for ``json.dumps``."""
        return {
            "bbox": self.bbox.tolist(),
            "score": self.score,
            "scheme": self.scheme.name,
            "landmarks": self.landmarks.tolist(),
            "pose": self.pose.to_dict(),
            "confidence": None if self.confidence is None else self.confidence.tolist(),
            "presence": self.presence,
            "track_id": self.track_id,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Face:
        """The inverse of `to_dict`; confidence, presence and track_id may be missing.

        Raises:
            InvalidInputError: a key is missing, or a value has another type or shape.
        """
        scheme = SCHEMES[one_of(_value(values, "scheme"), "scheme", tuple(SCHEMES))]
        confidence, presence, track_id = (
            values.get(key) for key in ("confidence", "presence", "track_id")
        )
        return cls(
            bbox=_array(values, "bbox", (4,)),
            score=None if _value(values, "score") is None else _number(values, "score"),
            landmarks=_array(values, "landmarks", (len(scheme), 2)),
            scheme=scheme,
            pose=HeadPose.from_dict(_value(values, "pose")),
            confidence=None if confidence is None else _array(values, "confidence", (len(scheme),)),
            presence=None if presence is None else _number(values, "presence"),
            track_id=None if track_id is None else whole_number(track_id, "track_id", least=0),
        )

    def to_68(self) -> Face:
        """The same face with 300W's 68 points: itself, or mapped from WFLW's 98.

        See `asmnet.schemes.WFLW_TO_IBUG`; a point between others has their mean confidence.

        Raises:
            InvalidInputError: the points are of another scheme.
        """
        if self.scheme == IBUG_68:
            return self
        if self.scheme != WFLW_98:
            raise InvalidInputError(f"scheme: expected ibug68 or wflw98, got {self.scheme!r}")
        landmarks = (WFLW_TO_IBUG @ self.landmarks).astype(np.float32)
        confidence = self.confidence
        if confidence is not None:
            confidence = (WFLW_TO_IBUG @ confidence).astype(np.float32)
        return replace(self, landmarks=landmarks, scheme=IBUG_68, confidence=confidence)


def _value(values: Mapping[str, Any], name: str) -> Any:
    if not isinstance(values, Mapping) or name not in values:
        raise InvalidInputError(f"expected a mapping with the key {name!r}, got {shown(values)}")
    return values[name]


def _number(values: Mapping[str, Any], name: str) -> float:
    return number(_value(values, name), name, "a finite number")


def _array(values: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Float32Array:
    array = finite_array(_value(values, name), name, shape)
    if array.size and np.abs(array).max() > np.finfo(np.float32).max:
        raise InvalidInputError(f"{name}: expected numbers that float32 can hold")
    return array.astype(np.float32)
