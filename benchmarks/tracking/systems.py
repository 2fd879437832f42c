"""What is compared: our tracker, our detector on every frame, MediaPipe's face mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import asmnet
from asmnet.image import ImageArray
from asmnet.regions import Region
from asmnet.tracking.tracker import INPUT_SIZE

from .mesh import mesh_points
from .metrics import TrackedFace

TRACKING, BASELINE = "tracking", "detection on every frame"

Step = Callable[[ImageArray, float], list[TrackedFace]]


class System(Protocol):
    """What is measured. ``detections`` counts the detector's runs; None where nobody can tell."""

    name: str
    detections: int | None

    def start(self, at_once: int) -> Step:
        """Begins a new video with at most so many faces in a frame."""


class CountingDetector(asmnet.FaceDetector):
    """A tracker's detector, which counts its runs."""

    calls = 0

    def __init__(self) -> None:
        """As `asmnet.FaceTracker` loads it."""
        super().__init__(input_size=INPUT_SIZE, rotated_retry=False, threads=1)

    def look(self, *arguments: Any) -> tuple[list[asmnet.Detection], list[Region]]:
        """See `asmnet.FaceDetector.look`."""
        self.calls += 1
        return super().look(*arguments)


class Tracking:
    """`asmnet.FaceTracker`."""

    def __init__(self, name: str, landmarker: str = "asmnet-68", **options: Any) -> None:
        self.name = name
        self._options = options
        self._detector = CountingDetector()
        self._landmarker = asmnet.FaceLandmarker(landmarker, threads=1)

    @property
    def detections(self) -> int:
        """Runs of the detector so far."""
        return self._detector.calls

    def start(self, at_once: int) -> Step:
        """Begins a new video."""
        tracker = asmnet.FaceTracker(
            detector=self._detector,
            landmarker=self._landmarker,
            max_faces=at_once,
            **self._options,
        )
        return lambda image, seconds: [
            TrackedFace(face.landmarks, face.track_id) for face in tracker.update(image, seconds)
        ]


class Detection:
    """`asmnet.FaceAnalyzer` on each frame by itself."""

    name = BASELINE

    def __init__(self) -> None:
        self.detections = 0
        self._analyzer = asmnet.FaceAnalyzer(threads=1)

    def start(self, at_once: int) -> Step:
        """Begins a new video, which is all the same to it."""

        def step(image: ImageArray, _: float) -> list[TrackedFace]:
            self.detections += 1
            faces = self._analyzer.detect(image, max_faces=at_once)
            return [TrackedFace(face.landmarks, None) for face in faces]

        return step


class MediaPipe:
    """MediaPipe's face mesh in its tracking mode: the detector runs when faces are missing."""

    name = "MediaPipe, tracking"
    detections = None

    def __init__(self) -> None:
        self._mesh: Any = None

    def start(self, at_once: int) -> Step:
        """Begins a new video."""
        from mediapipe.python.solutions.face_mesh import FaceMesh

        if self._mesh is not None:
            self._mesh.close()
        self._mesh = mesh = FaceMesh(
            static_image_mode=False, max_num_faces=at_once, refine_landmarks=False
        )

        def step(image: ImageArray, _: float) -> list[TrackedFace]:
            size = image.shape[1::-1]
            found = mesh.process(image).multi_face_landmarks or []
            return [TrackedFace(mesh_points(face.landmark) * size, None) for face in found]

        return step
