"""How well faces are followed through a video with exact labels, in plain NumPy.

`follow` matches predictions with the truth frame by frame; every figure is computed from that.
Flicker and lag compare motions, so a constant offset between labels and predictions (people place
points a little differently than networks) does not count there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asmnet.evaluation.metrics import residuals as face_residuals
from asmnet.geometry import FloatArray, box_iou, match_greedily, points_box
from asmnet.schemes import IBUG_68

MATCH_IOU = 0.3
# Lags that are tried, in frames. Tracks ahead of the truth have negative ones.
LAGS = np.arange(-2.0, 8.0, 0.02)

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TruthFace:
    """A face that is inside of a frame.

    Attributes:
        person: its number in the clip, from 0.
        landmarks: (68, 2) pixels of the frame, in 300W's order; also where they are covered.
        visible: at least half of the points are inside of the frame and uncovered.
    """

    person: int
    landmarks: FloatArray
    visible: bool


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face as a system under test gives it.

    Attributes:
        landmarks: (68, 2) pixels of the frame, in 300W's order.
        track: its number in the stream; None from a system that gives none.
    """

    landmarks: FloatArray
    track: int | None


@dataclass(frozen=True, eq=False)
class Followed:
    """One clip as one system saw it: T frames, P people.

    Attributes:
        truth: (T, P, 68, 2) pixels; NaN where the person is not in the frame.
        visible: (T, P), as `TruthFace.visible`.
        predicted: (T, P, 68, 2) pixels, of visible faces; NaN where there is no match.
        tracks: (T, P) numbers of the matched tracks; -1 where there is no match or no number.
        false: (T,) counts of predictions that match no face, not even a covered one.
    """

    truth: FloatArray
    visible: BoolArray
    predicted: FloatArray
    tracks: IntArray
    false: IntArray

    @property
    def found(self) -> BoolArray:
        """(T, P): visible and matched."""
        return np.asarray(~np.isnan(self.predicted[:, :, 0, 0]))


def follow(
    truth: Sequence[Sequence[TruthFace]], predicted: Sequence[Sequence[TrackedFace]], people: int
) -> Followed:
    """Matches two lists of T frames; ``people`` is the number of people in the clip.

    A prediction matches a face when the tight boxes of their points overlap by an IoU above 0.3;
    the best pair of a frame first. Visible faces choose before covered ones: behind a passing face
    lies another, and the front one's points are no prediction of it.
    """
    frames = len(truth)
    points = np.full((frames, people, len(IBUG_68), 2), np.nan)
    matched = points.copy()
    visible = np.zeros((frames, people), dtype=bool)
    tracks = np.full((frames, people), -1, dtype=np.int64)
    false = np.zeros(frames, dtype=np.int64)
    for t, (faces, candidates) in enumerate(zip(truth, predicted, strict=True)):
        free = list(candidates)
        for seen in (True, False):
            wanted = [face for face in faces if face.visible is seen]
            pairs = _pairs(wanted, free)
            for i, j in pairs if seen else ():
                track = free[j].track
                matched[t, wanted[i].person] = free[j].landmarks
                tracks[t, wanted[i].person] = -1 if track is None else track
            taken = {j for _, j in pairs}
            free = [face for j, face in enumerate(free) if j not in taken]
        false[t] = len(free)
        for face in faces:
            points[t, face.person] = face.landmarks
            visible[t, face.person] = face.visible
    return Followed(points, visible, matched, tracks, false)


def _pairs(faces: Sequence[TruthFace], candidates: Sequence[TrackedFace]) -> list[tuple[int, int]]:
    if not faces or not candidates:
        return []
    overlaps = box_iou(
        points_box(np.stack([face.landmarks for face in faces])),
        points_box(np.stack([face.landmarks for face in candidates])),
    )
    return list(match_greedily(overlaps, MATCH_IOU).items())


def eye_distances(followed: Followed) -> FloatArray:
    """(T, P) distances of the labels' outer eye corners in pixels, which norm all errors."""
    right, left = (followed.truth[:, :, corner] for corner in IBUG_68.eye_corners)
    return np.asarray(np.linalg.norm(left - right, axis=-1))


def residuals(followed: Followed) -> FloatArray:
    """(T, P, 68, 2) errors in the face's own frame, see `asmnet.evaluation.metrics.residuals`."""
    return face_residuals(followed.predicted, followed.truth, IBUG_68)


def frame_errors(followed: Followed, offset: FloatArray | None = None) -> FloatArray:
    """(T, P) NME in percent of the visible, matched faces; NaN elsewhere.

    ``offset`` (68, 2), a mean of `residuals`, is taken off first.
    """
    errors = residuals(followed)
    if offset is not None:
        errors = errors - offset
    return np.asarray(100 * np.linalg.norm(errors, axis=-1).mean(axis=-1))


def flicker(followed: Followed) -> FloatArray:
    """NMF of each pair of consecutive frames in which a person was found, in percent: (n,).

    The NME of the frame-to-frame motion: the mean over the points of
    |(pred_t - pred_t-1) - (truth_t - truth_t-1)|, over the eye distance at t.
    """
    error = followed.predicted - followed.truth
    change = np.linalg.norm(error[1:] - error[:-1], axis=-1).mean(axis=-1)
    values = 100 * change / eye_distances(followed)[1:]
    return np.asarray(values[~np.isnan(values)])


def spread(followed: Followed) -> FloatArray:
    """Of a face that stays where it is: each point's spread over time, in percent: (P,).

    The root of the mean squared distance of a point from its own mean, averaged over the points,
    over the eye distance. NaN for people who were found in fewer than two frames.
    """
    values = []
    for person in range(followed.truth.shape[1]):
        found = followed.found[:, person]
        if found.sum() < 2:
            values.append(np.nan)
            continue
        points = followed.predicted[found, person]
        squares = ((points - points.mean(axis=0)) ** 2).sum(axis=-1)
        distance = eye_distances(followed)[found, person].mean()
        values.append(100 * np.sqrt(squares.mean(axis=0)).mean() / distance)
    return np.array(values)


def lag(followed: Followed) -> FloatArray:
    """How many frames the face's centre is late, for each person: (P,).

    The shift of the true path, a fraction of a frame allowed, that brings it closest to the
    predicted one (least squares) once the two paths' means are made equal. Only says something
    where the face moves. NaN for people found in less than half of the frames in which they are
    visible.
    """
    frames, people = followed.visible.shape
    values = np.full(people, np.nan)
    for person in range(people):
        there = ~np.isnan(followed.truth[:, person, 0, 0])
        # Shifted times must stay within the clip, so that all shifts see the same frames.
        inside = (np.arange(frames) >= LAGS[-1]) & (np.arange(frames) <= frames - 1 + LAGS[0])
        found = followed.found[:, person] & inside
        if found.sum() < max(followed.visible[inside, person].sum() / 2, 2):
            continue
        path = followed.predicted[found, person].mean(axis=1)
        true_path = followed.truth[there, person].mean(axis=1)
        times = np.flatnonzero(found)[:, None] - LAGS
        shifted = np.stack(
            [np.interp(times, np.flatnonzero(there), axis) for axis in true_path.T], axis=-1
        )
        error = path[:, None] - shifted
        squares = ((error - error.mean(axis=0)) ** 2).sum(axis=(0, 2))
        values[person] = LAGS[squares.argmin()]
    return values


def id_switches(followed: Followed) -> int:
    """How often a person's track changed its number, also from before to after a gap."""
    return sum(int((np.diff(column[column >= 0]) != 0).sum()) for column in followed.tracks.T)


def shared_ids(followed: Followed) -> int:
    """How often a track went over from one person to another."""
    count = 0
    for number in np.unique(followed.tracks[followed.tracks >= 0]):
        _, owners = np.nonzero(followed.tracks == number)  # in the order of time
        count += int((np.diff(owners) != 0).sum())
    return count


def frames_to_find(followed: Followed) -> list[int]:
    """For each time that a person comes into sight: frames without a match until the first.

    A person who is not found before he is out of sight again counts the frames between.
    """
    waits = []
    for visible, found in zip(followed.visible.T, followed.found.T, strict=True):
        edges = np.diff(np.concatenate([[0], visible.astype(int), [0]]))
        for start, stop in zip(*(np.flatnonzero(edges == e) for e in (1, -1)), strict=True):
            hits = np.flatnonzero(found[start:stop])
            waits.append(int(hits[0]) if len(hits) else int(stop - start))
    return waits
