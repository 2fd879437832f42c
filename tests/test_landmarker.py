import cv2
import numpy as np
import pytest
from PIL import Image

import asmnet
from asmnet.errors import InvalidInputError
from asmnet.geometry import points_box

BOX = [181.0, 88, 268, 179]  # astronaut.png, brows to chin


@pytest.fixture(scope="module")
def landmarker():
    return asmnet.FaceLandmarker(threads=1)


@pytest.fixture(scope="module")
def photo(photos):
    return np.array(Image.open(photos / "astronaut.png").convert("RGB"))


def test_one_face_per_box_in_their_order(landmarker, photo):
    shifted = [v + 5 for v in BOX]
    faces = landmarker.predict(photo, [BOX, shifted])
    assert [face.bbox.tolist() for face in faces] == [BOX, shifted]
    for face in faces:
        assert (face.landmarks.shape, face.landmarks.dtype) == ((68, 2), np.float32)
        assert face.score is None
        assert face.scheme is asmnet.IBUG_68


def test_confidence_and_presence(landmarker, photo):
    (face,) = landmarker.predict(photo, [BOX])
    x0, y0, x1, y1 = points_box(face.landmarks[48:]).astype(int)
    covered = photo.copy()
    covered[y0 - 3 : y1 + 3, x0 - 3 : x1 + 3] = (40, 90, 160)
    (hidden,) = landmarker.predict(covered, [BOX])
    assert (face.confidence.shape, face.confidence.dtype) == ((68,), np.float32)
    mouth, eyes = slice(48, 68), slice(36, 48)
    assert hidden.confidence[mouth].mean() < face.confidence[mouth].mean() - 0.1
    assert hidden.confidence[eyes] == pytest.approx(face.confidence[eyes], abs=0.15)
    (beside,) = landmarker.predict(photo, [[400.0, 20, 500, 120]])
    assert face.presence > 0.9
    assert beside.presence < 0.1


def test_weights_without_confidence_give_none(photo):
    (face,) = asmnet.FaceLandmarker("asmnet-paper-68", threads=1).predict(photo, [BOX])
    assert (face.confidence, face.presence) == (None, None)


def test_a_batch_gives_what_single_boxes_give(landmarker, photo):
    boxes = [BOX, [100, 50, 300, 260], [0, 0, 512, 512]]
    together = landmarker.predict(photo, boxes)
    for box, face in zip(boxes, together, strict=True):
        (alone,) = landmarker.predict(photo, [box])
        # Runs of other sizes round differently, and the refinement pass's crop with them.
        assert face.landmarks == pytest.approx(alone.landmarks, abs=0.1)


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4)), np.zeros(0)])
def test_no_boxes(landmarker, photo, boxes):
    assert landmarker.predict(photo, boxes) == []


@pytest.mark.parametrize(
    "box", [[-60, -40, 70, 90], [480, 480, 600, 600], [-900, -900, -800, -800], [1e5, 0, 2e5, 9e4]]
)
def test_boxes_outside_of_the_image(landmarker, photo, box):
    (face,) = landmarker.predict(photo, [box])
    assert np.isfinite(face.landmarks).all()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (BOX, r"shape \(n, 4\)"),
        ([BOX[:3]], r"shape \(n, 4\)"),
        ([[*BOX, 1.0]], r"shape \(n, 4\)"),
        ([[5, 5, 5, 9]], "x1 > x0"),
        ([[5, 9, 9, 5]], "y1 > y0"),
        ([BOX, [0, 0, float("nan"), 9]], r"bboxes\[1\]"),
        ([[0, 0, float("inf"), 9]], r"bboxes\[0\]"),
        ([[0, 0, 1e300, 1e300]], "within"),
        ([["a", "b", "c", "d"]], "numbers"),
        ([BOX, BOX[:2]], "numbers"),
        (None, "bboxes"),
    ],
)
def test_bad_boxes(landmarker, photo, boxes, message):
    with pytest.raises(InvalidInputError, match=message):
        landmarker.predict(photo, boxes)


@pytest.mark.parametrize(
    "keypoints", [np.zeros((2, 5, 2)), np.zeros((5, 2)), np.full((1, 5, 2), np.nan), "eyes"]
)
def test_bad_keypoints(landmarker, photo, keypoints):
    with pytest.raises(InvalidInputError, match="keypoints"):
        landmarker.predict(photo, [BOX], keypoints=keypoints)


def test_points_move_with_the_photo(landmarker, photo):
    """The same face elsewhere in a larger picture: the very same points, shifted."""
    moved = np.zeros((900, 900, 3), np.uint8)
    moved[200:712, 300:812] = photo
    (here,) = landmarker.predict(photo, [BOX])
    (there,) = landmarker.predict(moved, [np.add(BOX, [300, 200, 300, 200])])
    assert there.landmarks - [300, 200] == pytest.approx(here.landmarks, abs=0.5)


MAX_MIRROR_NME = 4.0  # percent of the distance between the outer eye corners


def test_mirrored_photo_gives_mirrored_points_and_pose(landmarker, photo):
    width = photo.shape[1]
    (face,) = landmarker.predict(photo, [BOX])
    x0, y0, x1, y1 = BOX
    (mirrored,) = landmarker.predict(photo[:, ::-1], [[width - x1, y0, width - x0, y1]])
    back = mirrored.landmarks.copy()
    back[:, 0] = width - back[:, 0]
    back = back[face.scheme.flip]
    right, left = face.scheme.eye_corners
    ocular = np.linalg.norm(face.landmarks[right] - face.landmarks[left])
    assert 100 * np.linalg.norm(back - face.landmarks, axis=1).mean() / ocular < MAX_MIRROR_NME
    assert mirrored.pose.yaw == pytest.approx(-face.pose.yaw, abs=6)
    assert mirrored.pose.roll == pytest.approx(-face.pose.roll, abs=6)
    assert mirrored.pose.pitch == pytest.approx(face.pose.pitch, abs=6)


def test_key_points_turn_the_crop_upright(landmarker, photo):
    """A photo turned by 90° gives the turned points when key points tell the turn."""
    (upright,) = landmarker.predict(photo, [BOX])
    keypoints = upright.scheme.keypoints @ upright.landmarks
    height = photo.shape[0]
    turn = lambda points: np.stack([height - points[..., 1], points[..., 0]], axis=-1)  # noqa: E731
    turned_photo = np.ascontiguousarray(np.rot90(photo, -1))  # clockwise
    box = points_box(turn(upright.landmarks))
    (turned,) = landmarker.predict(turned_photo, [box], keypoints=[turn(keypoints)])
    ocular = np.linalg.norm(upright.landmarks[36] - upright.landmarks[45])
    errors = np.linalg.norm(turned.landmarks - turn(upright.landmarks), axis=1)
    assert errors.mean() / ocular < 0.04
    assert abs((turned.pose.roll - upright.pose.roll) % 360 - 90) < 10


@pytest.fixture
def runs(landmarker, monkeypatch):
    """How many crops each run of the network had."""
    counts, run = [], landmarker._session.run

    def counted(crops):
        counts.append(len(crops))
        return run(crops)

    monkeypatch.setattr(landmarker._session, "run", counted)
    return counts


def test_a_box_that_is_far_off_gets_a_refinement_pass(landmarker, photo, runs):
    good = np.array(BOX, dtype=float)
    side = (good[2:] - good[:2]).max()
    bad = good + 0.2 * side * np.array([1, -0.5, 1, -0.5])
    first, second = landmarker.predict(photo, [good, bad])
    assert runs == [2, 1]
    assert second.bbox == pytest.approx(bad)
    ocular = np.linalg.norm(first.landmarks[36] - first.landmarks[45])
    assert np.linalg.norm(second.landmarks - first.landmarks, axis=1).mean() < 0.03 * ocular
    assert second.presence < first.presence  # what the given box shows


def test_key_points_that_are_wrong_do_not_lose_a_turned_face(landmarker, photo, runs):
    """A photo turned by 90° whose key points lie as those of an upright face."""
    (upright,) = landmarker.predict(photo, [BOX])
    height = photo.shape[0]
    truth = np.stack([height - upright.landmarks[:, 1], upright.landmarks[:, 0]], axis=-1)
    turned_photo = np.ascontiguousarray(np.rot90(photo, -1))  # clockwise
    box = points_box(truth)
    wrong = upright.scheme.keypoints @ upright.landmarks
    wrong += (box[:2] + box[2:]) / 2 - wrong.mean(axis=0)
    runs.clear()
    (found,) = landmarker.predict(turned_photo, [box], keypoints=[wrong])
    assert runs[:3] == [1, 1, 1]  # as told, rotated to one side and to the other
    ocular = np.linalg.norm(truth[36] - truth[45])
    assert np.linalg.norm(found.landmarks - truth, axis=1).mean() / ocular < 0.05
    assert found.presence > 0.9
    assert found.bbox == pytest.approx(box)
    assert abs((found.pose.roll - upright.pose.roll) % 360 - 90) < 10


def test_turning_a_box_without_a_face_makes_none(landmarker, photo, runs):
    beside = np.array([400.0, 20, 500, 120])
    points = np.array([[430.0, 60], [470, 60], [450, 75], [435, 95], [465, 95]])
    (face,) = landmarker.predict(photo, [beside], keypoints=[points])
    assert runs[:3] == [1, 1, 1]
    assert face.presence < 0.1


def test_a_turned_face_gets_a_refinement_pass(landmarker, photo, runs):
    (upright,) = landmarker.predict(photo, [BOX])
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 35, 1.0)
    turned_photo = cv2.warpAffine(photo, matrix, (width, height))
    expected = upright.landmarks @ matrix[:, :2].T + matrix[:, 2]
    (face,) = landmarker.predict(turned_photo, [points_box(expected)])
    assert runs == [1, 1, 1]
    ocular = np.linalg.norm(upright.landmarks[36] - upright.landmarks[45])
    assert np.linalg.norm(face.landmarks - expected, axis=1).mean() < 0.03 * ocular
    assert face.pose.roll - upright.pose.roll == pytest.approx(-35, abs=5)


def test_rotation_is_a_rotation(landmarker, photo):
    (face,) = landmarker.predict(photo, [BOX])
    rotation = face.pose.rotation
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-5)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)
