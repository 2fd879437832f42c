"""A search that is spread over frames sees all that one at once sees, a part at a time."""

import numpy as np
import pytest

from asmnet.tracking.search import PIXELS_A_FRAME, TILE_SIDE, FaceSearch

FRAME = np.zeros((480, 640, 3), np.uint8)
WHOLE = (0, 0, 640, 480)


class FakeDetector:
    """Asks for zoomed passes as told, and remembers what it has looked at."""

    first_side = 320

    def __init__(self, closer, closest=1280):
        self.closer, self.closest, self.looks = closer, closest, []

    def closest_side(self, _):
        return self.closest

    def look(self, _pixels, region, side, _min_score):
        self.looks.append((region, side))
        return [], self.closer.get(side, [])


def steps(search, count):
    for _ in range(count):
        search.step(FRAME, 0.5)


def test_without_small_faces_each_step_is_one_look_at_the_whole():
    detector = FakeDetector({})
    search = FaceSearch(detector)
    steps(search, 3)
    assert detector.looks == [(WHOLE, 320)] * 3
    assert search.over


def test_closer_looks_follow_in_the_next_frames():
    near, nearer = (0, 0, 160, 160), (40, 40, 80, 80)
    detector = FakeDetector({320: [near], 640: [nearer]})
    search = FaceSearch(detector)
    search.step(FRAME, 0.5)
    assert not search.over
    steps(search, 1)
    assert detector.looks == [(WHOLE, 320), (near, 640), (nearer, 1280)]
    assert search.over


def test_no_frame_costs_much_more_than_the_first_pass():
    detector = FakeDetector({320: [WHOLE], 640: [WHOLE]}, closest=640)
    search = FaceSearch(detector)
    costs = []
    while not costs or not search.over:
        before = len(detector.looks)
        search.step(FRAME, 0.5)
        costs.append(
            sum(
                (x1 - x0) * (y1 - y0) * (side / 640) ** 2
                for (x0, y0, x1, y1), side in detector.looks[before:]
            )
        )
    assert len(costs) > 3
    assert max(costs) < PIXELS_A_FRAME + TILE_SIDE**2
    seen = np.zeros((480, 640), bool)
    for (x0, y0, x1, y1), side in detector.looks:
        if side == 640:
            seen[y0:y1, x0:x1] = True
    assert seen.all()


@pytest.mark.parametrize("again", ["restart", "another size"])
def test_what_was_waiting_is_forgotten(again):
    detector = FakeDetector({320: [(0, 0, 320, 320), (320, 0, 640, 320)]}, closest=640)
    search = FaceSearch(detector)
    search.step(FRAME, 0.5)
    assert not search.over
    before = len(detector.looks)
    if again == "restart":
        search.restart()
        search.step(FRAME, 0.5)
        assert detector.looks[before] == (WHOLE, 320)
    else:
        search.step(FRAME[:240, :320], 0.5)
        assert detector.looks[before] == ((0, 0, 320, 240), 320)
