"""The slabs: reading targets, walking through layers, mean free paths in their materials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen.layouts import TARGET_START_2018
from shipgen_export.simulation.nuclei import TABULATED, CrossSections, neighbours
from shipgen_export.simulation.pythia import start_cascade
from shipgen_export.simulation.target import Target, read_target

if TYPE_CHECKING:
    from pathlib import Path

TWO_SLABS = """
name = "two"
description = "iron, a gap, iron"
start = 100.0
[[slabs]]
material = "iron"
thicknesses = [10.0, 20.0]
gap = { material = "water", thickness = 2.0 }
"""


@pytest.fixture(scope="module")
def ship() -> Target:
    return read_target()


@pytest.fixture
def two(tmp_path: Path) -> Target:
    path = tmp_path / "two.toml"
    path.write_text(TWO_SLABS, encoding="utf-8")
    return read_target(path)


def test_ship_has_its_blocks_and_absorber(ship: Target) -> None:
    assert ship.start == TARGET_START_2018
    assert [material.name for material in ship.materials] == ["TZM", "water", "tungsten", "iron"]
    lengths = np.zeros(4)
    np.add.at(lengths, list(ship.slab_materials), np.diff(ship.edges))
    np.testing.assert_allclose(lengths, [58.0, 18 * 0.5, 78.0, 480.0])
    assert len(ship.slab_materials) == 2 * 18 + 1


def test_a_walk_ends_where_the_depth_is_used_up(two: Target) -> None:
    iron, water = 0, 1
    flight = two.walk(100.0, 1.0, 0.5, [10.0, 1.0], [20.0, 2.0])
    assert flight is not None
    assert (flight.z, flight.material, flight.length) == (105.0, iron, 5.0)
    assert flight.true_depth == pytest.approx(0.25)

    # At 60 degrees ways are twice as long: the first slab takes 2 of 3 units, half a cm of the gap the last.
    flight = two.walk(100.0, 0.5, 3.0, [10.0, 1.0], [10.0, 1.0])
    assert flight is not None
    assert flight.material == water
    assert flight.z == pytest.approx(110.5)
    assert flight.length == pytest.approx(21.0)
    assert flight.radiation_lengths == pytest.approx(20 / 1.757 + 1 / 36.08)
    assert flight.energy_loss == pytest.approx(20 * 0.0114 + 1 * 0.0020)
    assert flight.true_depth == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("z", "cosine", "depth"), [(100.0, 1.0, 100.0), (100.0, -1.0, 0.1), (135.0, 1.0, 0.1)]
)
def test_a_walk_out_of_the_slabs_gives_nothing(two: Target, z: float, cosine: float, depth: float) -> None:
    assert two.walk(z, cosine, depth, [10.0, 1.0], [10.0, 1.0]) is None


def test_a_walk_from_a_face_starts_in_the_slab_behind(two: Target) -> None:
    flight = two.walk(110.0, 1.0, 0.1, [10.0, 1.0], [10.0, 1.0])
    assert flight is not None
    assert flight.material == 1


def test_radiation_lengths_agree_with_the_walk(ship: Target) -> None:
    lengths = [material.radiation_length for material in ship.materials]
    rng = np.random.default_rng(1)
    z = rng.uniform(ship.start, ship.start + 100, 200)
    cosine, amount = rng.uniform(0.5, 1, 200), rng.exponential(2, 200)
    reached = ship.advance_radiation_lengths(z, cosine, amount)
    for i in range(200):
        flight = ship.walk(z[i], cosine[i], amount[i], lengths, lengths)
        assert flight is not None
        assert reached[i] == pytest.approx(flight.z, abs=1e-6)
        assert ship.material_at(reached)[i] == flight.material
    far = ship.advance_radiation_lengths(np.array([ship.start]), np.ones(1), np.array([1e4]))
    assert far[0] == math.inf


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("start = 100.0", ""), "start"),
        (('material = "iron"', 'material = "cheese"'), "cheese"),
        (("10.0, 20.0", "10.0, -20.0"), "-20.0 cm thick"),
        (("10.0, 20.0", "10.0, nan"), "nan cm thick"),
        (("thicknesses =", "thicknesses"), "not valid TOML"),
        (
            (
                'name = "two"',
                'name = "two"\nsurvival = { kinetic_energy = [1, 2], probability = [0.5, 0.4] }',
            ),
            "increasing",
        ),
        (
            (
                'name = "two"',
                'name = "two"\nsurvival = { kinetic_energy = [1, 2], probability = [0.5, 1.0] }',
            ),
            "between",
        ),
    ],
)
def test_a_faulty_target_is_one_clear_error(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = tmp_path / "faulty.toml"
    path.write_text(TWO_SLABS.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_target(path)
    assert "faulty.toml" in str(caught.value)


def test_a_missing_target_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        read_target(tmp_path / "nowhere.toml")


def test_neighbours_mix_to_the_wanted_mass_number() -> None:
    for a in (96.0, 184.0, 20.0, 56.0, 1.0, 208.0):
        low, high, share = neighbours(a)
        assert low in TABULATED
        assert high in TABULATED
        assert low + share * (high - low) == pytest.approx(a)


@pytest.fixture(scope="module")
def sections(ship: Target) -> CrossSections:
    return CrossSections(start_cascade(1, 1), ship.materials, (10.3, 400.0))


def test_mean_free_paths_of_protons(sections: CrossSections) -> None:
    """PDG's nuclear interaction lengths: Fe 16.8, Mo 15.3, W 9.95, water 83.3 cm."""
    paths = sections.mean_free_paths(2212, 0.93827, 30.0)
    assert paths is not None
    tzm, water, tungsten, iron = paths
    assert iron == pytest.approx(16.8, rel=0.05)
    assert tzm == pytest.approx(15.3, rel=0.05)
    assert tungsten == pytest.approx(9.95, rel=0.05)
    assert water == pytest.approx(83.3, rel=0.10)


def test_mean_free_paths_interpolate_and_end(sections: CrossSections) -> None:
    grid = [sections.mean_free_paths(211, 0.13957, energy) for energy in np.geomspace(10.3, 400, 300)]
    iron = np.array([paths[3] for paths in grid if paths is not None])
    assert len(iron) == 300
    assert np.abs(np.diff(iron) / iron[1:]).max() < 0.01
    assert sections.mean_free_paths(211, 0.13957, 500.0) == sections.mean_free_paths(211, 0.13957, 400.0)
    assert sections.mean_free_paths(11, 0.000511, 50.0) is None
