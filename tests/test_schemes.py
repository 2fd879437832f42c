import numpy as np
import pytest

from asmnet.schemes import IBUG_68, SCHEMES, WFLW_98


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
class TestEveryScheme:
    def test_mirroring_twice_changes_nothing(self, scheme):
        assert np.array_equal(scheme.flip[scheme.flip], np.arange(len(scheme)))

    def test_groups_hold_each_point_once(self, scheme):
        points = np.concatenate(list(scheme.groups.values()))
        assert sorted(points) == list(range(len(scheme)))

    def test_mirror_swaps_right_and_left_groups(self, scheme):
        for name, points in scheme.groups.items():
            partner = name.replace("right", "#").replace("left", "right").replace("#", "left")
            assert set(scheme.flip[points]) == set(scheme.groups[partner]), name

    def test_edges_stay_inside_their_group(self, scheme):
        group_of = {p: name for name, points in scheme.groups.items() for p in points}
        assert all(group_of[a] == group_of[b] for a, b in scheme.edges)

    def test_key_points_are_averages(self, scheme):
        assert scheme.keypoints.sum(axis=1) == pytest.approx(np.ones(5))

    def test_groups_cannot_be_changed(self, scheme):
        with pytest.raises(TypeError):
            scheme.groups["jaw"] = np.arange(3)


def test_sizes_and_corners():
    assert (len(IBUG_68), IBUG_68.eye_corners) == (68, (36, 45))
    assert (len(WFLW_98), WFLW_98.eye_corners) == (98, (60, 72))


def test_key_points_of_68():
    points = np.arange(136, dtype=float).reshape(68, 2)
    keypoints = IBUG_68.keypoints @ points
    assert keypoints[0] == pytest.approx(points[36:42].mean(axis=0))
    assert keypoints[2:].tolist() == points[[30, 48, 54]].tolist()
