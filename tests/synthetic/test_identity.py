"""Random people: the same of the same seed, and of all kinds."""

import numpy as np
import pytest

from asmnet.datasets.records import LabelError
from asmnet.synthetic.identity import (
    Wardrobe,
    macro_weights,
    opposite_pairs,
    random_person,
)
from asmnet.synthetic.setting import random_setting

WARDROBE = Wardrobe(
    targets=("eyes/l-eye-scale-decr", "eyes/l-eye-scale-incr", "eyes/r-eye-scale-decr",
             "eyes/r-eye-scale-incr", "head/head-oval", "asym/asym-eye-1-l"),
    skins=("old_darkskinned_male_diffuse", "young_darkskinned_male_diffuse",
           "old_lightskinned_female_diffuse", "young_lightskinned_female_diffuse"),
    irises=("blue",), brows=("thick", "thin"), lashes=("long",), teeth=("even",), hairs=("short",),
)  # fmt: skip


def people(count: int) -> list:
    return [random_person(np.random.default_rng([1, i]), WARDROBE) for i in range(count)]


def test_one_seed_is_one_person():
    first, again = (random_person(np.random.default_rng([3, 5]), WARDROBE) for _ in range(2))
    assert first == again
    assert first != random_person(np.random.default_rng([3, 6]), WARDROBE)


def test_all_kinds_come():
    drawn = people(400)
    closed = [min(p.closure) > 0.99 for p in drawn]
    assert 0.08 < np.mean(closed) < 0.22
    assert 0.05 < np.mean([0.2 < max(p.closure) < 0.9 for p in drawn]) < 0.4
    assert {p.glasses for p in drawn} == {"none", "clear", "dark"}
    assert {p.headwear for p in drawn} == {"none", "cap", "mask"}
    assert all(p.hair is None for p in drawn if p.headwear == "cap")
    for share in np.mean([p.origins for p in drawn], axis=0):
        assert 0.25 < share < 0.42
    assert 0.35 < np.mean([p.female for p in drawn]) < 0.65
    assert np.mean([p.age < 0.19 for p in drawn]) > 0.05
    assert np.mean([p.age > 0.7 for p in drawn]) > 0.15
    assert not any(p.beard for p in drawn if p.age < 0.42 or p.female > 0.4)


def test_sides_are_alike_and_opposites_exclude_each_other():
    for person in people(100):
        eyes = [name for name in person.shape if name.startswith("eyes/")]
        assert len(eyes) in (0, 2)
        assert len({name.rsplit("-", 1)[1] for name in eyes}) <= 1


def test_targets_of_sex_age_and_origin_are_shares():
    for female, age, weight in ((0.0, 0.0, 0.5), (0.3, 0.3, 0.9), (1.0, 1.0, 0.1)):
        weights = macro_weights((0.2, 0.3, 0.5), female, age, weight)
        of_build = sum(v for k, v in weights.items() if "universal" in k)
        assert of_build == pytest.approx(1, abs=0.03)
        assert sum(weights.values()) - of_build == pytest.approx(1, abs=0.03)
    assert macro_weights((1, 0, 0), 1.0, 0.5, 0.5) == {
        "macrodetails/african-female-young": 1.0,
        "macrodetails/universal-female-young-averagemuscle-averageweight": 1.0,
    }


def test_pairs_of_opposites_are_found():
    pairs, single = opposite_pairs(WARDROBE.targets)
    assert ("eyes/l-eye-scale-decr", "eyes/l-eye-scale-incr") in pairs
    assert single == ["head/head-oval", "asym/asym-eye-1-l"]


def test_missing_assets_are_named(tmp_path):
    with pytest.raises(LabelError, match="targets: expected targets of MakeHuman, got none"):
        Wardrobe.of(tmp_path)


def test_settings_reach_profiles_and_stay_in_their_ranges():
    drawn = [random_setting(np.random.default_rng([1, i]), 8) for i in range(600)]
    pitch, yaw, roll = np.array([s.pitch_yaw_roll for s in drawn]).T
    assert abs(pitch).max() <= 50
    assert 80 < abs(yaw).max() <= 90
    assert (abs(yaw) > 45).mean() > 0.2
    assert (abs(yaw) < 15).mean() > 0.2
    assert abs(roll).max() <= 60
    assert {s.environment for s in drawn} == set(range(8))
    assert np.mean([s.light < 0.3 for s in drawn]) == pytest.approx(0.14, abs=0.05)
    assert max(s.distance for s in drawn) / min(s.distance for s in drawn) > 8
