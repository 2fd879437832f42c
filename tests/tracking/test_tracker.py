"""FaceTracker: numbers, losses and cuts in a made-up world; the real networks on moved photos."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

import asmnet
from asmnet import IBUG_68, Detection, Face, FaceDetector, FaceLandmarker, FaceTracker, HeadPose
from asmnet.errors import ImageError, InvalidInputError
from asmnet.geometry import CropTransform, box_iou, geodesic_degrees, points_box
from asmnet.image import crop_image, load_image

RATE = 30
SHAPE = np.stack([np.tile(np.linspace(0, 1, 17), 4), np.repeat(np.linspace(0, 1, 4), 17)], axis=1)


# --- a world without networks -----------------------------------------------------------------


@dataclass
class Person:
    """A face in the world: where it is, and what the networks say of it."""

    x: float
    y: float
    size: float = 60.0
    presence: float | None = 0.98
    score: float = 0.8
    verified: bool = False
    hidden: bool = False

    @property
    def box(self):
        half = self.size / 2
        return np.array([self.x - half, self.y - half, self.x + half, self.y + half])


class World:
    """The people whom both networks see, and how often each network was asked."""

    def __init__(self):
        self.people = []
        self.detections = self.predictions = 0

    @property
    def seen(self):
        return [person for person in self.people if not person.hidden]


class FakeDetector(FaceDetector):
    def __init__(self, world):
        self.world = world

    first_side = 320

    def closest_side(self, _):
        return 320

    def verify(self, _pixels, boxes):
        people = np.array([p.box for p in self.world.seen if p.verified]).reshape(-1, 4)
        overlaps = box_iou(boxes, people)
        there = overlaps.max(axis=1, initial=0) > 0.3
        drawn = [
            people[o.argmax()] if t else b for b, o, t in zip(boxes, overlaps, there, strict=True)
        ]
        return np.array(drawn).reshape(-1, 4), there.astype(float), np.zeros((len(boxes), 5, 2))

    def look(self, _pixels, _region, _side, min_score):
        self.world.detections += 1
        found = [
            Detection(p.box.astype(np.float32), p.score, IBUG_68.keypoints @ points_in(p.box))
            for p in self.world.seen
            if p.score >= min_score
        ]
        return sorted(found, key=lambda d: -d.score), []


class FakeLandmarker(FaceLandmarker):
    """Places the points of the person who overlaps a box most; else fills the box, unsure."""

    def __init__(self, world):
        self.world = world
        self.scheme = IBUG_68

    def predict(self, _, bboxes, *, keypoints):
        self.world.predictions += len(bboxes) > 0
        assert len(keypoints) == len(bboxes)
        return [self.face(np.asarray(box, dtype=float)) for box in bboxes]

    def face(self, box):
        people = self.world.seen
        overlaps = [box_iou(box[None], p.box[None])[0, 0] for p in people]
        known = people and max(overlaps) > 0.1
        person = people[int(np.argmax(overlaps))] if known else None
        without = None if any(p.presence is None for p in self.world.people) else 0.02
        return Face(
            bbox=box.astype(np.float32),
            score=None,
            landmarks=points_in(person.box if person else box).astype(np.float32),
            scheme=IBUG_68,
            pose=HeadPose.from_rotation(np.eye(3)),
            presence=person.presence if person else without,
        )


def points_in(box):
    return box[:2] + SHAPE * (box[2:] - box[:2])


def scene(seed):
    """A frame of a place of its own, 320 × 240."""
    blocks = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(blocks, (320, 240), interpolation=cv2.INTER_CUBIC)


HERE, THERE = scene(1), scene(2)


@pytest.fixture
def world():
    return World()


class Stream:
    """A tracker in the world, with the clock of a camera."""

    def __init__(self, world, **options):
        options = {"smoothing": None, **options}
        self.tracker = FaceTracker(
            detector=FakeDetector(world), landmarker=FakeLandmarker(world), **options
        )
        self.frame = 0

    def next(self, image=HERE, frames=1):
        """The numbers of the faces after some frames."""
        for _ in range(frames):
            faces = self.tracker.update(image, self.frame / RATE)
            self.frame += 1
        return [face.track_id for face in faces]


def test_numbers_begin_at_0_and_stay(world):
    world.people = [Person(60, 60, score=0.8), Person(200, 120, score=0.9)]
    stream = Stream(world)
    assert stream.next() == [0, 1]  # the better score first
    for person in world.people:
        person.x += 10
    faces = stream.tracker.update(HERE, 1.0)
    assert [face.track_id for face in faces] == [0, 1]
    assert [face.score for face in faces] == [0.9, 0.8]
    for face, person in zip(faces, world.people[::-1], strict=True):
        assert np.allclose(face.bbox, person.box)
        assert np.allclose(face.bbox, points_box(face.landmarks))


def test_all_faces_of_a_frame_are_one_run(world):
    world.people = [Person(60, 60), Person(200, 120), Person(260, 200)]
    stream = Stream(world)
    stream.next()
    before = world.predictions
    stream.next(frames=10)
    assert world.predictions == before + 10


@pytest.mark.parametrize(("options", "share"), [({}, 0.05), ({"detect_every": 50}, 0.02)])
def test_the_detector_rests_while_all_is_calm(world, options, share):
    world.people = [Person(60, 60)]
    Stream(world, **options).next(frames=300)
    assert 0 < world.detections <= share * 300


def test_without_a_face_the_detector_looks_in_each_frame(world):
    stream = Stream(world)
    assert stream.next(frames=7) == []
    assert world.detections == 7
    world.people = [Person(60, 60)]
    assert stream.next() == [0]


def test_a_new_face_is_found_within_the_interval(world):
    world.people = [Person(60, 60)]
    stream = Stream(world, detect_every=20)
    stream.next(frames=5)
    world.people.append(Person(200, 60))
    assert stream.next() == [0]
    assert stream.next(frames=20) == [0, 1]


@pytest.mark.parametrize("move", [0, 1.5])
def test_a_hidden_face_comes_back_under_its_number(world, move):
    person = Person(60, 120)
    world.people = [person]
    stream = Stream(world)
    seen = []
    for i in range(90):
        person.hidden = 30 <= i < 60
        person.x += move
        seen.append(stream.next())
    assert seen == [[0]] * 30 + [[]] * 30 + [[0]] * 30


def test_a_face_that_was_away_too_long_is_a_new_one(world):
    world.people = [Person(60, 60), Person(200, 120)]
    stream = Stream(world, keep_lost=1.0)
    stream.next(frames=3)
    world.people[0].hidden = True
    assert stream.next(frames=29) == [1]
    asked = world.detections
    assert stream.next(frames=20) == [1]
    # Given up: only the interval is left.
    assert world.detections - asked <= 4
    world.people[0].hidden = False
    assert stream.next(frames=30) == [1, 2]


def test_a_face_far_away_is_not_the_lost_one(world):
    world.people = [Person(60, 60)]
    stream = Stream(world)
    stream.next(frames=5)
    world.people = [Person(250, 200)]
    assert stream.next() == [1]
    world.people = [Person(250, 200), Person(60, 60, size=140)]  # nor is one of another size
    assert stream.next(frames=30) == [1, 2]


def test_presence_decides_and_has_a_gap(world):
    person = Person(60, 60, presence=0.4)
    world.people = [person]
    stream = Stream(world)
    assert stream.next() == []  # too unsure to begin
    person.presence = 0.6
    assert stream.next() == [0]
    person.presence = 0.4
    assert stream.next(frames=40) == [0]  # sure enough to stay
    person.presence = 0.2
    assert stream.next() == []


def test_without_presence_the_detector_decides_at_its_interval(world):
    world.people = [Person(60, 60, presence=None), Person(200, 120, presence=None)]
    stream = Stream(world, detect_every=10)
    stream.next(frames=10)
    world.people[0].hidden = True
    stream.next(frames=10)
    assert stream.next() == [1]
    world.people[0].hidden = False
    assert stream.next() == [0, 1]


def test_with_presence_a_face_that_the_detector_misses_stays(world):
    world.people = [Person(60, 60)]
    stream = Stream(world, detect_every=5)
    stream.next()
    world.people[0].score = 0.0
    stream.tracker._min_score = 0.5
    assert stream.next(frames=20) == [0]


def test_a_face_that_leaves_the_frame_is_lost(world):
    world.people = [Person(300, 60)]
    stream = Stream(world)
    for _ in range(10):
        world.people[0].x += 3
        last = stream.next()
    assert last == []


def test_a_face_that_shrinks_to_nothing_is_lost(world):
    person = Person(60, 60)
    world.people = [person]
    stream = Stream(world)
    for _ in range(80):
        person.size *= 0.95
        last = stream.next()
    assert person.size < 2
    assert last == []


def test_crossing_faces_keep_their_numbers(world):
    """In the middle both tracks fall on the one that is in front."""
    front, behind = Person(40, 100), Person(280, 110)
    world.people = [front, behind]
    stream = Stream(world)
    assert stream.next() == [0, 1]
    for _ in range(80):
        front.x, behind.x = front.x + 3, behind.x - 3
        behind.hidden = abs(front.x - behind.x) < 45
        stream.next()
    faces = stream.tracker.update(HERE, 3.0)
    assert [face.track_id for face in faces] == [0, 1]
    assert np.allclose(faces[0].bbox, front.box)
    assert np.allclose(faces[1].bbox, behind.box)


def test_a_pause_of_the_stream(world):
    world.people = [Person(60, 60)]
    stream = Stream(world)
    for _ in range(20):
        world.people[0].x += 4
        stream.next()
    assert [face.track_id for face in stream.tracker.update(HERE, 2.0)] == [0]
    # Longer than a lost face is kept.
    world.people[0].x += 80
    assert [face.track_id for face in stream.tracker.update(HERE, 100.0)] == [1]


def test_a_cut_ends_the_faces_and_a_return_brings_them_back(world):
    crew, guest = [Person(60, 60), Person(200, 120)], [Person(65, 62)]
    stream = Stream(world)
    world.people = crew
    assert stream.next(frames=10) == [0, 1]
    world.people = guest  # in the place of another
    assert stream.next(THERE) == [2]
    assert stream.next(THERE, frames=10) == [2]
    world.people = crew
    assert stream.next() == [0, 1]
    world.people = guest
    assert stream.next(THERE) == [2]


def test_light_noise_and_black_frames_are_no_cut(world):
    world.people = [Person(60, 60)]
    stream = Stream(world)
    stream.next()
    rng = np.random.default_rng(0)
    lit = np.clip(HERE * 0.6 + 60, 0, 255).astype(np.uint8)
    noisy = np.clip(lit + rng.normal(0, 20, HERE.shape), 0, 255).astype(np.uint8)
    moved = np.roll(noisy, 20, axis=1)
    assert [stream.next(image) for image in (lit, noisy, moved)] == [[0]] * 3
    world.people[0].hidden = True
    assert stream.next(np.zeros_like(HERE), frames=30) == []
    world.people[0].hidden = False
    assert stream.next(moved) == [0]


def test_max_faces_takes_the_best_and_keeps_them(world):
    world.people = [Person(60, 60, score=0.6), Person(200, 120, score=0.9), Person(60, 180)]
    stream = Stream(world, max_faces=2)
    assert stream.next() == [0, 1]
    world.people[0].score = 1.0
    faces = stream.tracker.update(HERE, 5.0)
    assert [round(float(face.bbox[0])) for face in faces] == [170, 30]
    assert stream.tracker.update(HERE, 6.0)[0].score == faces[0].score


def test_min_score(world):
    world.people = [Person(60, 60, score=0.6), Person(200, 120, score=0.9)]
    assert len(Stream(world, min_score=0.7).next()) == 1


def test_a_profile_is_followed_by_the_verifier(world):
    """Its points tell of no face, but the detector and the verifier see one."""
    world.people = [Person(60, 60, presence=0.05, score=0.95, verified=True)]
    stream = Stream(world)
    for _ in range(10):
        assert stream.next() == [0]
        world.people[0].x += 2
    (face,) = stream.tracker.update(HERE, 9.0)
    assert face.bbox[0] == pytest.approx(world.people[0].box[0], abs=8)
    world.people[0].verified, world.people[0].score = False, 0.6
    assert stream.tracker.update(HERE, 9.1) == []


def test_a_doubtful_box_whose_points_tell_of_no_face_is_not_begun_with(world):
    world.people = [Person(60, 60, presence=0.05, score=0.8, verified=True)]
    assert Stream(world).next() == []


def test_reset(world):
    world.people = [Person(60, 60)]
    stream = Stream(world)
    stream.next(frames=5)
    world.people = [Person(60, 60), Person(200, 120)]
    assert stream.next(THERE) == [1, 2]
    stream.tracker.reset()
    stream.frame = 0
    assert stream.next() == [0, 1]


def test_a_face_found_again_has_a_fresh_filter(world):
    person = Person(60, 60)
    world.people = [person]
    stream = Stream(world, smoothing=asmnet.Smoothing(min_cutoff=0.01, beta=0.0))
    stream.next(frames=5)
    person.hidden, person.x = True, 80
    stream.next(frames=5)
    person.hidden = False
    (face,) = stream.tracker.update(HERE, 10 / RATE)
    assert np.allclose(face.bbox, person.box)


@pytest.mark.parametrize("timestamp", [1.0, 0.5, np.nan, np.inf, "2.0", None])
def test_timestamps_increase(world, timestamp):
    stream = Stream(world)
    stream.tracker.update(HERE, 1.0)
    with pytest.raises(InvalidInputError, match=r"timestamp: expected .* above 1\.0"):
        stream.tracker.update(HERE, timestamp)
    assert stream.tracker.update(HERE, 1.001) == []


def test_a_bad_frame_changes_nothing(world):
    world.people = [Person(60, 60)]
    stream = Stream(world)
    stream.next()
    with pytest.raises(ImageError):
        stream.tracker.update(np.zeros((0, 4, 3), np.uint8), 1.0)
    assert stream.next() == [0]


@pytest.mark.parametrize(
    "options",
    [{"landmarks": 5}, {"max_faces": 0}, {"min_score": 2}, {"smoothing": 1.0},
     {"detect_every": 0}, {"detect_every": 1.5}, {"keep_lost": -1}, {"keep_lost": np.nan}],
)  # fmt: skip
def test_bad_options(world, options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        Stream(world, **options)


def test_memory_is_constant(world):
    """People come, cross, hide and leave, through many cuts."""
    stream = Stream(world, smoothing=asmnet.Smoothing(), keep_lost=0.5)
    rng = np.random.default_rng(0)
    scenes = [scene(seed) for seed in range(8)]

    def some(frames):
        for i in range(frames):
            if i % 20 == 0:
                world.people = [Person(*rng.uniform(30, 200, 2)) for _ in range(rng.integers(4))]
            stream.next(scenes[i // 50 % 8])
        tracker = stream.tracker
        assert len(tracker._lost) < 100
        assert len(tracker._shots._known) <= 4
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = some(200)
        late = some(800)
    finally:
        tracemalloc.stop()
    assert late < early + 200_000


# --- the real networks ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks():
    detector = FaceDetector(input_size=640, rotated_retry=False, threads=1)  # as trackers load it
    return {"detector": detector, "landmarker": FaceLandmarker(threads=1)}


@pytest.fixture(scope="module")
def astronaut(photos):
    return cv2.resize(load_image(photos / "astronaut.png"), (384, 384))


def moved(image, matrix, size=(320, 240)):
    return cv2.warpAffine(image, np.float64(matrix), size, borderMode=cv2.BORDER_REFLECT)


def grainy(image, rng, spread=6):
    # A few hundred numbers are enough of noise, rolled about.
    noise = rng.normal(0, spread, image.shape[1:])
    grain = np.stack([np.roll(noise, int(s), axis=0) for s in rng.integers(0, 999, len(image))])
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def follow(frames, networks, **options):
    tracker = FaceTracker(**networks, **options)
    return [tracker.update(frame, i / RATE) for i, frame in enumerate(frames)]


def test_points_stay_on_a_face_that_moves(astronaut, networks):
    """Shift, zoom and turn; the truth is the still photo's points, moved alike."""
    (still,) = follow([astronaut], networks)[0]
    right, left = IBUG_68.eye_corners
    frames, truth = [], []
    for i in range(45):
        matrix = cv2.getRotationMatrix2D((168, 98), 25 * np.sin(i / 8), 1 + 0.2 * np.sin(i / 9))
        matrix[:, 2] += [3 * i - 40, 20]
        frames.append(moved(astronaut, matrix))
        truth.append((still.landmarks - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5)
    for smoothing in (None, asmnet.Smoothing()):
        results = follow(frames, networks, smoothing=smoothing)
        assert all([face.track_id for face in faces] == [0] for faces in results)
        for faces, points in zip(results, truth, strict=True):
            eyes = np.linalg.norm(points[right] - points[left])
            assert np.linalg.norm(faces[0].landmarks - points, axis=1).mean() < 0.05 * eyes


def test_smoothing_calms_a_still_scene(astronaut, networks):
    rng = np.random.default_rng(0)
    frames = [grainy(astronaut[:240, 20:340], rng) for _ in range(40)]
    flicker = {}
    for smoothing in (None, asmnet.Smoothing()):
        points = [faces[0].landmarks for faces in follow(frames, networks, smoothing=smoothing)]
        flicker[smoothing] = np.diff(points[10:], axis=0).std(axis=0).mean()
    assert flicker[asmnet.Smoothing()] <= 0.35 * flicker[None]


def test_a_full_turn_of_the_image(astronaut, networks):
    """Roll passes ±180°, and the head's rotation turns evenly all the way."""
    down = np.float64([[0, 0, 0], [0, 0, 30]])
    frames = [
        moved(astronaut, np.add(cv2.getRotationMatrix2D((168, 98), -5 * i, 1), down))
        for i in range(73)
    ]
    results = follow(frames, networks)
    assert all([face.track_id for face in faces] == [0] for faces in results)
    rotations = np.array([faces[0].pose.rotation for faces in results])
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    steps = geodesic_degrees(rotations[1:], rotations[:-1])
    assert steps.max() < 12
    assert geodesic_degrees(rotations[0], rotations[-1]) < 8


def test_a_second_behind_a_wall(astronaut, networks):
    seen = []

    def frames():
        for i in range(50):
            frame = moved(astronaut, [[1, 0, i], [0, 1, 20]])
            if 10 <= i < 40:
                frame[:200] = (90, 80, 120)
            yield frame

    seen = [[face.track_id for face in faces] for faces in follow(frames(), networks)]
    assert seen[:10] == [[0]] * 10
    assert seen[15:40] == [[]] * 25
    # Within three frames of being visible; a badge behind her may pass for a small face.
    assert all(0 in numbers for numbers in seen[42:])


def pasted(background, face, x, y):
    """A cut-out face, an oval with a soft edge, centred on x, y."""
    height, width = face.shape[:2]
    mask = np.zeros((height, width), np.float32)
    middle, axes = (width // 2, height // 2), (int(width * 0.38), int(height * 0.48))
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 1.0, cv2.FILLED)
    matrix = np.float64([[1, 0, x - width / 2], [0, 1, y - height / 2]])
    size = background.shape[1::-1]
    mask = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 2), matrix, size)[:, :, None]
    picture = background * (1 - mask) + cv2.warpAffine(face, matrix, size) * mask
    return picture.astype(np.uint8)


def test_two_people_cross(photos, networks, analyzer):
    faces = []
    for name in ("london_037_03", "london_097_03"):
        photo = load_image(photos / f"{name}.jpg")
        (found,) = analyzer.detect(photo)
        crop = CropTransform.from_bbox(found.bbox, 130, margin=1.6)
        faces.append(crop_image(photo, crop))
    background = cv2.GaussianBlur(cv2.resize(scene(5), (480, 240)), (0, 0), 6)
    path = np.linspace(60, 420, 90)
    frames = [pasted(pasted(background, faces[1], 480 - x, 125), faces[0], x, 120) for x in path]
    results = follow(frames, networks)
    begin, end = ({f.track_id: f.landmarks[:, 0].mean() for f in results[i]} for i in (2, -1))
    assert set(begin) == set(end) == {0, 1}
    for number in (0, 1):
        assert (begin[number] < 240) != (end[number] < 240), "they changed numbers"


def test_a_cut_between_photos(photos, networks):
    crew = cv2.resize(load_image(photos / "apollo11_crew.jpg"), (480, 370))
    portrait = cv2.resize(load_image(photos / "london_006_03.jpg"), (480, 370))
    seen = [
        [face.track_id for face in faces]
        for faces in follow([crew] * 3 + [portrait] * 3 + [crew] * 3, networks)
    ]
    assert seen == [[0, 1, 2]] * 3 + [[3]] * 3 + [[0, 1, 2]] * 3


def test_ten_threads_share_the_networks(astronaut, photos, networks):
    crew = cv2.resize(load_image(photos / "apollo11_crew.jpg"), (480, 370))

    def stream(number):
        photo = crew if number % 2 else astronaut
        frames = [np.roll(photo, i * (number + 1), axis=1) for i in range(8)]
        return [[face.to_dict() for face in faces] for faces in follow(frames, networks)]

    alone = [stream(number) for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(stream, range(10))) == alone


def test_weights_by_name(astronaut):
    tracker = FaceTracker(landmarks=68, detector="asmnet-face", threads=1)
    (face,) = tracker.update(astronaut[:, :, ::-1], 0.0, channel_order="bgr")
    assert face.track_id == 0
    assert Face.from_dict(face.to_dict()).track_id == 0
    with pytest.raises(asmnet.WeightsNotFoundError, match="asmnet-1000"):
        FaceTracker(landmarker="asmnet-1000")
