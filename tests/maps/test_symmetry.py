from __future__ import annotations

import numpy as np
import pytest

from helpers.even_muons import MUONS, START, even_muons, find, sample_of
from shipgen.muons.categories import category_by_name
from shipgen_export.maps.muon_map import MuonMap
from shipgen_export.maps.symmetry import choose_coordinates, find_axis, find_symmetries


@pytest.mark.parametrize("seed", range(5))
def test_even_muons_break_no_symmetry(seed: int) -> None:
    muons = even_muons(seed)
    assert find(muons) == (False, False)
    assert find(muons[:, 2:]) == (False, False)


def test_muons_of_one_proton_do_not_break_a_symmetry_by_chance() -> None:
    """A few protons with many muons each have directions, which the sample does not prefer."""
    random = np.random.default_rng(2)
    group = random.integers(0, 300, MUONS)
    azimuth = random.uniform(0, 2 * np.pi, 300)[group]
    muons = even_muons(3)
    turned = muons.copy()
    for first in (0, 3):
        x, y = muons[:, first], muons[:, first + 1]
        size, own = np.hypot(x, y), np.arctan2(y, x) - np.arctan2(muons[:, 1], muons[:, 0])
        turned[:, first], turned[:, first + 1] = size * np.cos(azimuth + own), size * np.sin(azimuth + own)
    found = find_symmetries(turned, np.ones(MUONS), group, (0.0, 0.0))
    assert max(test.amplitude for test in found.tests) > 0.05
    assert not found.directed


def test_an_offset_beam_is_found_and_breaks_nothing_about_itself() -> None:
    muons = even_muons(4)
    muons[:, 0] += 1
    assert find(muons)[0]
    axis = find_axis(muons[:, :2], np.ones(MUONS), np.arange(MUONS) // 3)
    assert axis == (pytest.approx(1.0, abs=0.02), 0.0)
    assert find(muons, axis) == (False, False)


@pytest.mark.parametrize("at_once", [5, 60])
def test_a_beam_at_the_middle_is_not_found_elsewhere_by_chance(at_once: int) -> None:
    """However many muons start at one place: 100 beams, each coordinate beyond 4 errors 6e-5 of the time."""
    random = np.random.default_rng(8)
    for _ in range(50):
        places = np.repeat(random.normal(size=(2_000, 2)), at_once, axis=0)
        group = np.repeat(np.arange(2_000), at_once)
        assert find_axis(places, np.ones(len(places)), group) == (0.0, 0.0)


def test_a_magnetic_field_keeps_which_side_muons_turn_to() -> None:
    """All sides together are even, but those that start above and below the beam turn to different ones."""
    muons = even_muons(5)
    muons[:, 3] += 0.1
    assert find(muons) == (True, False)
    made = MuonMap.fit(sample_of(muons), START)
    back = made.inverse(made.forward(muons))

    def preference(muons: np.ndarray) -> float:
        x, y, _, px, py, _ = muons.T
        return float(np.mean(np.sign(x * py - y * px) * np.sin(np.arctan2(y, x))))

    assert preference(muons) < -0.1
    assert preference(back) == pytest.approx(preference(muons), abs=0.01)


def test_a_rotation_prefers_a_side_and_no_direction() -> None:
    turned = even_muons(5)
    turned[:, 3:5] = turned[:, 3:5] @ np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    assert find(turned) == (False, True)


def test_a_field_that_bends_only_the_fast_is_seen() -> None:
    muons = even_muons(6)
    fast = muons[:, 5] > np.quantile(muons[:, 5], 0.9)
    muons[fast, 4] += 0.15
    assert find(muons)[0]


@pytest.mark.parametrize("name", ["muplus_offaxis", "muminus_onaxis"])
def test_coordinates_suit_the_sample(name: str) -> None:
    category = category_by_name(name)
    features = even_muons(7)
    features[0, 2] = START - 0.4
    sample = sample_of(features, name)
    coordinates, symmetries = choose_coordinates(sample, sample.part("train")[1], START)
    assert (
        (coordinates.directed, coordinates.sided) == (symmetries.directed, symmetries.sided) == (False, False)
    )
    assert coordinates.on_axis == category.on_axis
    assert coordinates.axis == (0.0, 0.0)
    assert np.isfinite(coordinates.forward(sample.features)).all()
    assert symmetries.to_json()["tests"][0]["probability"] <= symmetries.to_json()["tests"][-1]["probability"]
