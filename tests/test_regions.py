import numpy as np
import pytest

from asmnet.regions import closer_regions, tiles


def test_closer_looks_are_taken_where_small_faces_may_be():
    small = np.full((24, 40), -9, np.float32)  # of a look of 320 × 192 at a region of 640 × 384
    region = (100, 50, 740, 434)
    half = np.array([0.5, 0.5])
    assert closer_regions(small, 8, half, region) == []
    small[10, 20] = 3
    # The cell with three more on each side: 17 to 24, 7 to 14; a cell is 16 pixels of the image.
    assert closer_regions(small, 8, half, region) == [(372, 162, 484, 274)]
    small[0, 0] = 3
    assert sorted(closer_regions(small, 8, half, region)) == [
        (100, 50, 164, 114),
        (372, 162, 484, 274),
    ]
    small[11, 26] = 3  # what overlaps is looked at together
    assert (372, 162, 580, 290) in closer_regions(small, 8, half, region)
    small[:, ::4] = 3
    assert closer_regions(small, 8, half, region) == [region]


def test_no_closer_look_at_the_black_beside_a_photo():
    small = np.full((24, 40), -9, np.float32)
    small[20, 20] = 3
    assert closer_regions(small, 8, np.array([0.5, 0.5]), (0, 0, 640, 200)) == []


@pytest.mark.parametrize(("width", "height"), [(3000, 2000), (640, 640), (100, 50), (641, 1200)])
def test_tiles_cover_a_photo_and_overlap(width, height):
    seen = np.zeros((height, width), bool)
    regions = list(tiles((0, 0, width, height), 640, 96))
    for x0, y0, x1, y1 in regions:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert max(x1 - x0, y1 - y0) <= 640
        seen[y0:y1, x0:x1] = True
    assert seen.all()
    assert len(regions) == len(set(regions))
