"""The One Euro filter on points and rotations."""

import numpy as np
import pytest

from asmnet import IBUG_68, Smoothing
from asmnet.errors import InvalidInputError
from asmnet.geometry import euler_to_rotation, geodesic_degrees, points_box, roll_matrix
from asmnet.tracking.one_euro import FaceFilter

RATE = 30
SIZE = 200  # of the face, pixels


@pytest.fixture(scope="module")
def shape(analyzer, photos):
    """(68, 2) points of a frontal face whose box is 200 pixels."""
    (face,) = analyzer.detect(photos / "london_037_03.jpg")
    x0, y0, x1, y1 = points_box(face.landmarks)
    return (face.landmarks.astype(float) - [x0, y0]) / max(x1 - x0, y1 - y0) * SIZE


def smooth(path, options=None, **arguments):
    face = FaceFilter(options or Smoothing(), IBUG_68)
    return np.array([face(p, np.eye(3), 1 / RATE, **arguments)[0] for p in path])


def noise(frames, seed=0, spread=0.002):
    """A network's on a noisy scene: of each point alone, and a smaller part that all share."""
    rng = np.random.default_rng(seed)
    alone, shared = rng.normal(0, SIZE * spread, (frames, 68, 2)), rng.normal(0, 1, (frames, 1, 2))
    return alone + 0.3 * SIZE * spread * shared


def flicker(path):
    return np.diff(path, axis=0).std(axis=0).mean()


def error(path, truth):
    return np.linalg.norm(path - truth, axis=2).mean()


def test_one_euro_written_out(shape):
    """A shift of the whole face is one signal: the paper's filter in plain numbers."""
    options = Smoothing(min_cutoff=1.5, beta=2.0, speed_cutoff=4.0)
    path = np.array([0.0, 10.0, 12.0, 9.0, 30.0, 31.0])  # pixels to the right
    steps = np.array([0.04, 0.04, 0.08, 0.04, 0.02])

    def alpha(cutoff, step):
        return 1 / (1 + 1 / (2 * np.pi * cutoff) / step)

    expected, slow = [path[0]], 0.0
    for before, now, step in zip(path, path[1:], steps, strict=False):
        a = alpha(4.0, step)
        slow = a * (now - before) / SIZE / step + (1 - a) * slow
        a = alpha(1.5 + 2.0 * abs(slow), step)
        expected.append(a * now + (1 - a) * expected[-1])

    face = FaceFilter(options, IBUG_68)
    seen = [
        face(np.add(shape, [x, 0]), np.eye(3), step)[0][:, 0] - shape[:, 0]
        for x, step in zip(path, [1.0, *steps], strict=True)
    ]
    assert np.allclose(seen, np.array(expected)[:, None])


def test_without_beta_it_is_an_exponential_filter(shape):
    options = Smoothing(min_cutoff=3.0, beta=0.0, local_beta=0.0)
    path = shape + noise(20)
    share = 1 / (1 + RATE / (2 * np.pi * 3.0))
    expected = [path[0]]
    for points in path[1:]:
        expected.append(expected[-1] + share * (points - expected[-1]))
    assert np.allclose(smooth(path, options), expected)


@pytest.mark.parametrize("spread", [0.0005, 0.002, 0.008])
def test_a_still_face_flickers_a_third_at_most_whatever_the_noise(shape, spread):
    path = shape + noise(120, spread=spread)
    assert flicker(smooth(path)[30:]) <= 0.35 * flicker(path[30:])


TIME = np.arange(120) / RATE
MOTIONS = {
    "slow": lambda c, t: np.add(c, [10 * t, 3 * t]),
    "sway": lambda c, t: np.add(c, [60 * np.sin(3 * t), 0]),
    "shake": lambda c, t: np.add(c, np.sin([40 * t, 55 * t + 1]) * [2, 2]),
    "fast": lambda c, t: np.add(c, [np.clip(300 * (t - 2), 0, 300), 0]),
    "zoom": lambda c, t: c * np.exp(0.4 * np.sin(2.5 * t)),
    "roll": lambda c, t: c @ roll_matrix(120 * t)[:2, :2],
}


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_moving_face_is_no_worse_and_does_not_lag(shape, motion):
    centred = shape - shape.mean(axis=0)
    truth = np.array([MOTIONS[motion](centred, t) for t in TIME])
    path = truth + noise(len(truth))
    smoothed = smooth(path)
    # The networks' points are off by a fortieth of a face, over and above their noise.
    now, before = (
        np.hypot(SIZE / 40, error(points[30:], truth[30:])) for points in (smoothed, path)
    )
    assert now <= 1.01 * before
    speed = np.gradient(truth, axis=0)[30:]
    lag = ((truth - smoothed)[30:] * speed).sum() / (speed**2).sum()
    assert lag < (1.0 if motion != "slow" else 2.0)  # frames


def blinking(shape):
    """Both eyes close within 0.1 s, once a second; 0.3 s later they are open again."""
    openness = np.interp(TIME % 1, [0.4, 0.5, 0.53, 0.7], [1, 0.1, 0.1, 1])
    path = np.repeat(shape[None], len(TIME), axis=0)
    for name in ("right_eye", "left_eye"):
        eye = IBUG_68.groups[name]
        middle = shape[eye, 1].mean()
        path[:, eye, 1] = middle + (shape[eye, 1] - middle) * openness[:, None]
    return path


def eye_opening(path):
    return np.linalg.norm(path[:, 37] - path[:, 41], axis=1)


def test_a_blink_passes(shape):
    truth = blinking(shape)
    clean = eye_opening(smooth(truth))
    assert np.ptp(clean) > 0.95 * np.ptp(eye_opening(truth))
    noisy = smooth(truth + noise(len(truth)))
    assert np.ptp(eye_opening(noisy)) > 0.85 * np.ptp(eye_opening(truth))
    # The rest of the face keeps still meanwhile.
    rest = np.r_[0:36, 48:68]
    assert flicker(noisy[30:, rest]) < 0.35 * flicker((truth + noise(len(truth)))[30:, rest])


def test_speech_passes(shape):
    truth = np.repeat(shape[None], len(TIME), axis=0)
    opening = 7 * (1 - np.cos(2 * np.pi * 4 * TIME))  # four syllables a second
    truth[:, 55:60, 1] += opening[:, None]
    truth[:, 65:68, 1] += opening[:, None]
    lips = [np.ptp((path[30:, 66] - path[30:, 62])[:, 1])
            for path in (smooth(truth + noise(len(truth))), truth)]  # fmt: skip
    assert lips[0] > 0.85 * lips[1]


def test_points_without_confidence_follow_the_face_and_not_their_noise(shape):
    confidence = np.ones(68, np.float32)
    confidence[:8] = 0.0
    truth = np.array([np.add(shape, [120 * t, 0]) for t in TIME])
    path = truth + noise(len(truth))
    path[:, :8] += noise(len(truth), seed=1, spread=0.02)[:, :8]
    weighted, plain = smooth(path, confidence=confidence), smooth(path)
    assert error(weighted[30:, :8], truth[30:, :8]) < error(plain[30:, :8], truth[30:, :8])
    assert error(weighted[30:, 8:], truth[30:, 8:]) < error(path[30:, 8:], truth[30:, 8:])


def test_points_in_one_place_are_no_error():
    path = np.zeros((3, 68, 2))
    assert np.array_equal(smooth(path), path)


# --- rotations --------------------------------------------------------------------------------


def turn(rotations, options=None):
    face, still = FaceFilter(options or Smoothing(), IBUG_68), np.zeros((68, 2))
    return np.array([face(still, rotation, 1 / RATE)[1] for rotation in rotations])


def shaken(truth, degrees=0.3):
    rng = np.random.default_rng(0)
    return euler_to_rotation(rng.normal(0, degrees, (len(truth), 3))) @ truth


@pytest.mark.parametrize(
    "angles",
    [
        [0 * TIME, 0 * TIME, 170 + 40 * TIME],  # roll over 180°
        [0 * TIME, 60 + 30 * TIME, 0 * TIME],  # yaw over 90°, where Euler angles jump
        [200 * TIME, 0 * TIME, 90 * TIME],
    ],
)
def test_a_rotation_stays_one_and_keeps_up(angles):
    truth = euler_to_rotation(np.stack(angles, axis=1))
    smoothed = turn(shaken(truth))
    assert np.allclose(smoothed @ smoothed.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(smoothed), 1)
    assert geodesic_degrees(smoothed, truth).max() < 2.5


def test_a_still_head_flickers_a_third_at_most():
    path = shaken(euler_to_rotation(np.tile([10.0, -30.0, 179.9], (120, 1))))
    smoothed = turn(path)
    steps = [geodesic_degrees(r[31:], r[30:-1]).mean() for r in (smoothed, path)]
    assert steps[0] <= 0.35 * steps[1]


def test_rotation_takes_the_shortest_way():
    """Without speed the filter stands at the same share of every turn, in its plane."""
    options = Smoothing(min_cutoff=2.0, rotation_beta=0.0)
    share = 1 / (1 + RATE / (2 * np.pi * 2.0))
    seen = turn([roll_matrix(170.0), roll_matrix(-150.0)], options)[1]
    assert np.allclose(seen, roll_matrix(170 + 40 * share))


@pytest.mark.parametrize(
    "options",
    [{"min_cutoff": 0}, {"beta": -1}, {"speed_cutoff": 0.0}, {"local_beta": np.nan},
     {"rotation_beta": "fast"}],
)  # fmt: skip
def test_bad_options(options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        Smoothing(**options)
