"""FaceTracker: the faces of a video, each with a number that stays its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from asmnet._checks import instance, number, positive_int, probability
from asmnet.analyzer import check_landmarks, check_max_faces, with_landmarks
from asmnet.detector import DEFAULT_MIN_SCORE, FaceDetector
from asmnet.geometry import (
    FloatArray,
    box_iou,
    match_greedily,
    paired_iou,
    points_box,
    rotation_to_euler,
)
from asmnet.image import ChannelOrder, ImageArray, ImageSource, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.session import RuntimeOptions, Weights, check_runtime
from asmnet.tracking.camera import CameraMotion
from asmnet.tracking.one_euro import FaceFilter, Smoothing, smoothing_factor
from asmnet.tracking.search import FaceSearch
from asmnet.tracking.shots import Shots
from asmnet.types import Face, HeadPose
from asmnet.weights import choose_detector, choose_landmarker, find_family

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Presence that a new face needs, and that a followed one needs: a gap between the two, so that a
# face near the edge does not come and go.
NEW_PRESENCE, MIN_PRESENCE = 0.5, 0.3
# Pixels: of smaller faces less presence is asked for, and a run of the detector must confirm them.
FULL_PRESENCE_SIDE = 28.0
# The detector's finest pass: videos are to be quick, and show their faces more than once.
INPUT_SIZE = 640
# So high a score confirms a face that is followed there; to begin with a face takes more.
CONFIRMING_SCORE = 0.3
# Where the points tell of no face, one is begun with from this score of the detector on, and
# followed from this score of its verifier on.
SURE_SCORE, FOLLOWING_SCORE = 0.85, 0.7
# A detection is of the face that is followed there from this overlap on.
SAME_FACE_IOU = 0.3
# Track IoU: points that overlap no more than this with where they were expected have jumped.
MIN_TRACK_IOU = 0.3
# Two followed faces that overlap more are one face.
COLLAPSED_IOU = 0.5
# Gating distance: a lost face is found again within so many of its sizes of where it was going, so
# much at once, and so much more for each second, up to the last number.
GATE, GATE_PER_SECOND, MAX_GATE = 1.0, 1.0, 2.5
# Pixels more: a trembling hand moves small faces by more than their size.
SHAKE = 24.0
# Pixels: the camera's motion is measured while there are smaller faces; it hardly moves larger ones
# by a part of their size.
STEADY_SIDE = 96.0
MAX_SIZE_RATIO = 2.0
# Hz, of the velocity's low-pass filter; seconds, after which a lost face is thought to have slowed.
VELOCITY_CUTOFF, SLOWING = 3.0, 0.5
# Seconds: frames that are closer have times that mean nothing, and speeds that overflow.
MIN_STEP = 1e-6
# Pixels: the landmarks of smaller faces are noise.
MIN_SIDE = 4.0


class FaceTracker:
    """Follows the faces of one stream of frames; make one for each stream.

    Each face gets a number, ``Face.track_id``, counted from 0. The crop of the next frame comes
    from the last points, so the detector need not run: it does when a face is lost, when there is
    none, at a cut, and every ``detect_every`` frames to find new ones.

    A face is lost when its presence falls (hidden, turned away, gone out of the frame), and looked
    for in each frame for ``keep_lost`` seconds: found again near where it was going, it has its
    old number and a fresh filter. Weights that cannot tell presence lose a face when a run of the
    detector does not confirm it, so up to ``detect_every`` frames late. At a cut all faces are
    lost: those of the new shot are new, and old ones have their numbers back when the shot
    returns in time. Numbers rest on place, motion and size, not on looks.

    Trackers are not for several threads at once, but any number of them may share a loaded
    detector and landmarker.
    """

    def __init__(
        self,
        *,
        landmarks: int = 68,
        max_faces: int | None = None,
        min_score: float = DEFAULT_MIN_SCORE,
        smoothing: Smoothing | None = Smoothing(),  # noqa: B008  frozen
        detect_every: int = 30,
        keep_lost: float = 3.0,
        weights: str | None = None,
        detector: Weights | FaceDetector | None = None,
        landmarker: Weights | FaceLandmarker | None = None,
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads both networks, unless they are given loaded.

        Args:
            landmarks: 68 or 98 points.
            max_faces: follow only so many at a time, the best first; None follows all.
            min_score: 0–1, faces of a lower score do not begin to be followed.
            smoothing: of points and rotation over time; None returns what the network says.
            detect_every: frames from one run of the detector to the next while all faces are
                followed. Higher costs less; a face that enters is found up to so many later.
            keep_lost: seconds for which a lost face is looked for and keeps its number.
            weights: the family of all weights that are not given below, as for
                `asmnet.FaceAnalyzer`.
            detector: name, ``hf://`` reference or path of the detector's weights, or a loaded
                detector, for example one that other trackers use as well, or that looks closer than
                the tracker's own, which has ``input_size=640`` and no ``rotated_retry``.
            landmarker: the same of the landmarker, instead of ``landmarks``.
            **runtime: of networks that are loaded here: threads, providers, session_options,
                download, see `asmnet.RuntimeOptions`.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: weights or a provider cannot be used.
        """
        check_runtime(**runtime)  # even where both networks are loaded already
        landmarks, family = check_landmarks(landmarks), find_family(weights)
        self._max_faces = check_max_faces(max_faces)
        self._min_score = probability(min_score, "min_score")
        self._smoothing = None if smoothing is None else instance(smoothing, "smoothing", Smoothing)
        self._detect_every = positive_int(detect_every, "detect_every")
        self._keep_lost = number(keep_lost, "keep_lost", "seconds from 0 on", least=0)
        if not isinstance(detector, FaceDetector):
            detector, verifier = choose_detector(detector, family)
            detector = FaceDetector(
                detector, input_size=INPUT_SIZE, rotated_retry=False, verifier=verifier, **runtime
            )
        if not isinstance(landmarker, FaceLandmarker):
            landmarker = FaceLandmarker(choose_landmarker(landmarker, family, landmarks), **runtime)
        self._detector = detector
        self._landmarker = landmarker
        self.reset()

    def reset(self) -> None:
        """Forgets all faces and the time, as if the stream began anew; numbers start at 0."""
        self._next_id = 0
        self._time = -np.inf
        self._shots = Shots()
        self._shot = 0
        self._until_detection = 0
        self._followed: list[_Track] = []
        self._lost: list[_Track] = []
        self._search = FaceSearch(self._detector)
        self._camera = CameraMotion()
        self._unconfirmed: set[_Track] = set()

    def update(
        self, frame: ImageSource, timestamp: float, *, channel_order: ChannelOrder = "rgb"
    ) -> list[Face]:
        """The faces of the stream's next frame, by their number.

        A face's box is the tight box of its points, or, where their presence is low as of
        profiles, the detector's; its score is of the detection that found it
        last, or found it at an interval since.

        Args:
            frame: see `asmnet.image.load_image`.
            timestamp: seconds, from any origin; more than the last frame's.
            channel_order: of an array's colours, "rgb" or "bgr".

        Raises:
            ImageError: the frame cannot be used; the tracker is as before.
            InvalidInputError: the timestamp is not finite or not above the last one.
        """
        pixels = load_image(frame, channel_order=channel_order)
        timestamp = number(
            timestamp, "timestamp", f"finite seconds above {self._time}",
            least=math.nextafter(self._time, math.inf),
        )  # fmt: skip
        step, self._time = max(timestamp - self._time, MIN_STEP), timestamp
        shot = self._shots.number(pixels)
        self._carry(pixels)
        if shot != self._shot:
            self._shot, self._until_detection = shot, 0
            self._search.restart()
            self._lose(self._followed)
        self._follow(pixels, step)
        self._lost = [t for t in self._lost if timestamp - t.seen <= self._keep_lost]
        missed = any(track.shot == shot for track in self._lost)
        if not self._search.over or missed or not self._followed or self._until_detection <= 0:
            if self._search.over:
                self._until_detection = self._detect_every
                self._unconfirmed = set(self._followed)
            self._detect(pixels)
        self._until_detection -= 1
        self._followed.sort(key=lambda track: track.id)
        return [track.face for track in self._followed]

    def _carry(self, pixels: ImageArray) -> None:
        """Takes the places where faces are expected along with the camera's motion."""
        tracks = self._followed + self._lost
        if not any(_size(track.face) < STEADY_SIDE for track in tracks):
            self._camera.restart()
            return
        moved = self._camera.shift(pixels)
        for track in tracks:
            track.carried += moved

    def _follow(self, pixels: ImageArray, step: float) -> None:
        """Places the points of the followed faces anew; those that are not there are lost."""
        tracks = self._followed
        if not tracks:
            return
        shifts = [track.carried + track.shift(step) for track in tracks]
        expected = [
            track.face.bbox + np.concatenate([s, s])
            for track, s in zip(tracks, shifts, strict=True)
        ]
        keypoints = [track.keypoints + s for track, s in zip(tracks, shifts, strict=True)]
        faces = self._predict(pixels, expected, keypoints)
        present = [_is_present(face, MIN_PRESENCE) for face in faces]
        # Points of a profile show little of a face: there the verifier tells, and draws the box.
        poor = [i for i, there in enumerate(present) if not there]
        if poor:
            boxes, scores, _ = self._detector.verify(pixels, _stack([expected[i] for i in poor]))
            for i, box, score in zip(poor, boxes, scores, strict=True):
                faces[i], present[i] = replace(faces[i], bbox=box), score >= FOLLOWING_SCORE
        track_ious = paired_iou(_stack(expected), _boxes(faces)).tolist()
        gone = []
        for i, (track, face, iou) in enumerate(zip(tracks, faces, track_ious, strict=True)):
            if present[i] and _is_inside(face, pixels) and iou > MIN_TRACK_IOU:
                track.move(face, step, self._time, by_points=i not in poor)
                track.iou = iou
            else:
                gone.append(track)
        if gone:
            self._lose(gone)
        if len(self._followed) > 1:
            self._lose(self._collapsed())

    def _collapsed(self) -> list[_Track]:
        """Of followed faces that have become one, those of lower track IoU."""
        tracks = sorted(self._followed, key=lambda track: -track.iou)
        overlaps = box_iou(*(2 * [_boxes([track.face for track in tracks])]))
        return [track for i, track in enumerate(tracks) if (overlaps[i, :i] > COLLAPSED_IOU).any()]

    def _lose(self, tracks: list[_Track]) -> None:
        self._followed = [track for track in self._followed if track not in tracks]
        self._lost = self._lost + tracks

    def _detect(self, pixels: ImageArray) -> None:
        """A step of the search: confirms followed faces, finds lost ones, begins new ones."""
        found = self._search.step(pixels, min(CONFIRMING_SCORE, self._min_score))
        followed = _boxes([track.face for track in self._followed])
        confirmed = match_greedily(
            box_iou(followed, _stack([d.bbox for d in found])), SAME_FACE_IOU
        )
        for i, j in confirmed.items():
            self._followed[i].score = found[j].score
            self._unconfirmed.discard(self._followed[i])
        if self._search.over:
            self._lose(
                [
                    track
                    for track in self._followed
                    if track in self._unconfirmed and not _tells_presence(track.face)
                ]
            )
        found = [
            d
            for j, d in enumerate(found)
            if j not in confirmed.values() and d.score >= self._min_score
        ]
        faces = [
            replace(face, bbox=points_box(face.landmarks))
            if _is_present(face, NEW_PRESENCE)
            else face
            for face in with_landmarks(found, self._landmarker, pixels)
        ]
        # A detection beside a followed face may turn out to be the same one.
        taken = box_iou(_boxes(faces), _boxes([track.face for track in self._followed]))
        self._begin(
            [
                face
                for face, overlaps in zip(faces, taken, strict=True)
                if _is_inside(face, pixels)
                and (_is_present(face, NEW_PRESENCE) or (face.score or 0.0) >= SURE_SCORE)
                and not (overlaps > COLLAPSED_IOU).any()
            ]
        )

    def _begin(self, faces: list[Face]) -> None:
        """Follows found faces: lost ones by their old numbers, and new ones, best score first."""
        lost = [track for track in self._lost if track.shot == self._shot]
        affinity = [[track.affinity(face, self._time) for track in lost] for face in faces]
        owners = match_greedily(np.array(affinity).reshape(len(faces), len(lost)), 0.0)
        for i in sorted(range(len(faces)), key=lambda i: i not in owners):
            if self._max_faces is not None and len(self._followed) >= self._max_faces:
                break
            if i in owners:
                track = lost[owners[i]]
                self._lost.remove(track)
            else:
                track = _Track(self._next_id, self._smoothing)
                self._next_id += 1
            track.start(faces[i], self._shot, self._time)
            self._followed.append(track)

    def _predict(
        self, pixels: ImageArray, boxes: Sequence[FloatArray], keypoints: Sequence[FloatArray]
    ) -> list[Face]:
        """The faces in boxes, with the tight boxes of their points."""
        faces = self._landmarker.predict(pixels, np.array(boxes), keypoints=np.array(keypoints))
        return [replace(face, bbox=points_box(face.landmarks)) for face in faces]


class _Track:
    """A face with a number: followed, or lost since it was last seen.

    Attributes:
        id: its number.
        face: as it was returned last.
        centre: (2,) mean of its points.
        score: of the detection that found or confirmed it last.
        shot: where it was seen last.
        seen: when, in seconds.
        velocity: (2,) of its centre beside the camera's motion, pixels a second.
        carried: (2,) pixels by which the camera's motion has moved it since it was seen last.
        iou: of the box of its points with where they were expected, the track IoU.
    """

    def __init__(self, number: int, smoothing: Smoothing | None) -> None:
        self.id = number
        self._smoothing = smoothing

    def start(self, face: Face, shot: int, time: float) -> None:
        """Begins to follow a face that the detector has found; nothing of before counts."""
        options = self._smoothing
        self._filter = None if options is None else FaceFilter(options, face.scheme)
        self.score, self.shot, self.seen = face.score, shot, time
        self.velocity, self.carried, self.iou = np.zeros(2), np.zeros(2), 1.0
        self.face = self._smoothed(face, 1.0, by_points=_is_present(face, NEW_PRESENCE))
        self.centre = _centre(self.face)

    def move(self, face: Face, step: float, time: float, *, by_points: bool) -> None:
        """Takes the face of the next frame, ``step`` seconds later."""
        face = self._smoothed(face, step, by_points=by_points)
        centre = _centre(face)
        velocity = (centre - self.centre - self.carried) / step
        self.velocity += smoothing_factor(VELOCITY_CUTOFF, step) * (velocity - self.velocity)
        self.face, self.centre, self.seen, self.carried = face, centre, time, np.zeros(2)

    def _smoothed(self, face: Face, step: float, *, by_points: bool) -> Face:
        """The face with its number; its box is that of the smoothed points, or as it is."""
        points, pose = face.landmarks, face.pose
        if self._filter is not None:
            smooth, rotation = self._filter(points, pose.rotation, step, face.confidence)
            points = smooth.astype(np.float32)
            pitch, yaw, roll = rotation_to_euler(rotation).tolist()
            pose = HeadPose(pitch, yaw, roll, rotation.astype(np.float32))
        return replace(
            face,
            bbox=points_box(points) if by_points else face.bbox.astype(np.float32),
            score=self.score,
            landmarks=points,
            pose=pose,
            track_id=self.id,
        )

    @property
    def keypoints(self) -> FloatArray:
        """(5, 2), those of the detector."""
        return np.asarray(self.face.scheme.keypoints @ self.face.landmarks)

    def shift(self, seconds: float) -> FloatArray:
        """(2,) pixels by which it is expected to go on: no face keeps its speed for long."""
        return np.asarray(self.velocity * (SLOWING * (1 - math.exp(-seconds / SLOWING))))

    def affinity(self, face: Face, time: float) -> float:
        """1 where the lost face is expected, 0 beyond the gating distance or at another size."""
        away = time - self.seen
        expected = self.centre + self.carried + self.shift(away)
        size, other = _size(self.face), _size(face)
        if max(size, other) > MAX_SIZE_RATIO * min(size, other):
            return 0.0
        gate = (size + SHAKE) * min(GATE + GATE_PER_SECOND * away, MAX_GATE)
        return max(0.0, 1 - float(np.linalg.norm(_centre(face) - expected)) / gate)


def _is_inside(face: Face, pixels: ImageArray) -> bool:
    """Whether a face is inside of the frame, and large enough."""
    height, width = pixels.shape[:2]
    x, y = _centre(face)
    return 0 <= x <= width and 0 <= y <= height and _size(face) >= MIN_SIDE


def _is_present(face: Face, min_presence: float) -> bool:
    """Whether there is a face where its points are; of small ones, which show less, less is asked.

    Weights that do not tell presence are believed.
    """
    wanted = min_presence * min(_size(face) / FULL_PRESENCE_SIDE, 1.0) ** 2
    return face.presence is None or face.presence >= wanted


def _tells_presence(face: Face) -> bool:
    """Whether its presence alone would show that a face is lost; else the detector must say so."""
    return face.presence is not None and _size(face) >= FULL_PRESENCE_SIDE


def _boxes(faces: list[Face]) -> FloatArray:
    return _stack([face.bbox for face in faces])


def _stack(boxes: Sequence[FloatArray]) -> FloatArray:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _centre(face: Face) -> FloatArray:
    """(2,) mean of the points: a mouth that opens moves it less than the middle of the box."""
    return np.asarray(face.landmarks.mean(axis=0, dtype=np.float64))


def _size(face: Face) -> float:
    x0, y0, x1, y1 = face.bbox.tolist()  # plain numbers: it is asked for often
    return float(max(x1 - x0, y1 - y0))
