"""The slabs: reading targets, walking through layers, mean free paths in their materials."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen.files.layouts import TARGET_START_2018
from shipgen_export.simulation.physics.muon_range import MuonRange
from shipgen_export.simulation.physics.nuclei import TABULATED, CrossSections, neighbours
from shipgen_export.simulation.physics.pythia import multiparton_settings, settings_folder, start_cascade
from shipgen_export.simulation.target import Flights, Target, read_target, target_names

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
    return read_target("ship2018")


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


def walk_one(
    target: Target, z: float, cosine: float, depth: float, lengths: list[float], true: list[float]
) -> Flights:
    rows = (np.array([value]) for value in (z, cosine, depth))
    return target.walk(*rows, np.array([lengths]), np.array([true]))


def test_a_walk_ends_where_the_depth_is_used_up(two: Target) -> None:
    iron, water = 0, 1
    flight = walk_one(two, 100.0, 1.0, 0.5, [10.0, 1.0], [20.0, 2.0])
    assert flight.inside.all()
    assert (flight.material[0], flight.length[0]) == (iron, 5.0)
    assert flight.true_depth[0] == pytest.approx(0.25)

    # At 60 degrees ways are twice as long: the first slab takes 2 of 3 units, half a cm of the gap the last.
    flight = walk_one(two, 100.0, 0.5, 3.0, [10.0, 1.0], [10.0, 1.0])
    assert flight.inside.all()
    assert flight.material[0] == water
    assert flight.length[0] == pytest.approx(21.0)
    assert flight.radiation_lengths[0] == pytest.approx(20 / 1.757 + 1 / 36.08)
    assert flight.energy_loss[0] == pytest.approx(20 * 0.0114 + 1 * 0.0020)
    assert flight.true_depth[0] == pytest.approx(3.0)


def test_walks_of_many_are_those_of_each(ship: Target) -> None:
    rng = np.random.default_rng(2)
    n = 300
    z, cosine = rng.uniform(ship.start, ship.end, n), rng.uniform(-0.2, 1, n)
    depth, lengths = rng.exponential(3, n), rng.uniform(5, 100, (n, 4))
    together = ship.walk(z, cosine, depth, lengths, 2 * lengths)
    assert 0.3 < together.inside.mean() < 0.9
    for i in range(n):
        alone = walk_one(ship, z[i], cosine[i], depth[i], list(lengths[i]), list(2 * lengths[i]))
        for column, single in zip(together, alone, strict=True):
            assert column[i] == pytest.approx(single[0])
    inside = together.inside
    np.testing.assert_allclose(together.true_depth[inside], depth[inside] / 2)
    end = z + together.length * cosine
    np.testing.assert_array_equal(ship.material_at(end)[inside], together.material[inside])


@pytest.mark.parametrize(
    ("z", "cosine", "depth"), [(100.0, 1.0, 100.0), (100.0, -1.0, 0.1), (100.0, 0.0, 0.1), (135.0, 1.0, 0.1)]
)
def test_a_walk_out_of_the_slabs_is_not_inside(two: Target, z: float, cosine: float, depth: float) -> None:
    flight = walk_one(two, z, cosine, depth, [10.0, 1.0], [10.0, 1.0])
    assert not flight.inside.any()
    assert all(np.isfinite(column).all() for column in flight)


def test_a_walk_from_a_face_starts_in_the_slab_behind(two: Target) -> None:
    assert walk_one(two, 110.0, 1.0, 0.1, [10.0, 1.0], [10.0, 1.0]).material[0] == 1


def test_radiation_lengths_agree_with_the_walk(ship: Target) -> None:
    lengths = [material.radiation_length for material in ship.materials]
    rng = np.random.default_rng(1)
    z = rng.uniform(ship.start, ship.start + 100, 200)
    cosine, amount = rng.uniform(0.5, 1, 200), rng.exponential(2, 200)
    reached = ship.advance_radiation_lengths(z, cosine, amount)
    flights = ship.walk(z, cosine, amount, np.tile(lengths, (200, 1)), np.tile(lengths, (200, 1)))
    assert flights.inside.all()
    np.testing.assert_allclose(reached, z + flights.length * cosine, atol=1e-6)
    np.testing.assert_array_equal(ship.material_at(reached), flights.material)
    far = ship.advance_radiation_lengths(np.array([ship.start]), np.ones(1), np.array([1e4]))
    assert far[0] == math.inf


def survival(energies: str, probabilities: str) -> tuple[str, str]:
    """A change to the file that adds a survival table."""
    return (
        'name = "two"',
        f'name = "two"\nsurvival = {{ kinetic_energy = {energies}, probability = {probabilities} }}',
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("start = 100.0", ""), "start"),
        (("start = 100.0", "start = nan"), "start is nan, no finite number"),
        (("start = 100.0", 'start = "front"'), "start is 'front', no finite number"),
        (("start = 100.0", "start = true"), "start is True"),
        (('name = "two"', "name = 2"), "name is 2, no text"),
        (('material = "iron"', 'material = "cheese"'), "cheese"),
        (('material = "iron"', 'material = ["iron"]'), "malformed"),
        (("10.0, 20.0", "10.0, -20.0"), "thickness of a slab of iron is -20.0, no finite number above 0"),
        (("10.0, 20.0", "10.0, nan"), "iron is nan"),
        (("10.0, 20.0", "10.0, '20'"), "iron is '20'"),
        (("[10.0, 20.0]", "[]"), "no slabs"),
        (("[10.0, 20.0]", "10.0"), "malformed"),
        (("thickness = 2.0", "thickness = 0"), "water is 0"),
        (("thickness = 2.0", "size = 2.0"), "'size' is not known, only material, thickness"),
        (("gap =", "gaps ="), "'gaps' is not known"),
        (("[[slabs]]", "[slabs]"), "malformed"),
        (("[[slabs]]", "[[slab]]"), "slab"),
        (("thicknesses =", "thicknesses"), "not valid TOML"),
        (survival("[1, 2]", "[0.5, 0.4]"), "increasing"),
        (survival("[2, 1]", "[0.4, 0.5]"), "increasing"),
        (survival("[1, 2]", "[0.5, 1.0]"), "between"),
        (survival("[1, 2]", "[0.0, 0.5]"), "survival: probability is 0.0"),
        (survival("[1, nan]", "[0.2, 0.5]"), "survival: kinetic_energy is nan"),
        (survival("[1, 2]", "[0.2]"), "two or more"),
        (survival("[]", "[]"), "two or more"),
        (survival("1", "0.5"), "malformed"),
        (('name = "two"', 'name = "two"\nsurvival = []'), "malformed"),
        (('name = "two"', 'name = "two"\nsurvival = { probability = [0.2, 0.5] }'), "kinetic_energy"),
        (('name = "two"', 'name = "two"\nsurvial = {}'), "'survial' is not known"),
    ],
)
def test_a_faulty_target_is_one_clear_error(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = tmp_path / "faulty.toml"
    assert change[0] in TWO_SLABS
    path.write_text(TWO_SLABS.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_target(path)
    assert "faulty.toml" in str(caught.value)


OWN_MATERIAL = """
name = "own"
description = "a block of lead"
start = 0.0
[[slabs]]
material = "lead"
thicknesses = [10.0]
[materials.lead]
density = 11.35
molar_mass = 207.2
radiation_length = 0.5612
hadron_loss = 0.0127
elements = [{ z = 82, a = 207.2, count = 1 }]
[materials.lead.muon]
excitation = 823.0
density_effect = { c = 6.2018, x0 = 0.3776, x1 = 3.8073, a = 0.09359, k = 3.1608 }
radiative_loss = 1.9e-5
"""


def test_a_target_brings_its_own_materials(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN_MATERIAL, encoding="utf-8")
    (lead,) = read_target(path).materials
    assert (lead.name, lead.density, lead.elements[0].a) == ("lead", 11.35, 207.2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("a = 207.2", "a = 238.0"), "lead: element a is 238, but Pythia has cross-sections of 1 to 209"),
        (("a = 207.2", "a = 0.5"), "element a is 0.5, but"),
        (("a = 207.2", "a = nan"), "element a is nan"),
        (("count = 1", "count = 0"), "element count is 0"),
        (("count = 1", "count = 1.5"), "element count is 1.5, no whole number"),
        (("z = 82", "z = -82"), "element z is -82"),
        (("z = 82, ", ""), "lead lacks 'z'"),
        (("[{ z = 82, a = 207.2, count = 1 }]", "[]"), "lead has no elements"),
        (("density = 11.35", "density = -11.35"), "lead: density is -11.35, no finite number above 0"),
        (("density = 11.35", "density = inf"), "lead: density is inf"),
        (("density = 11.35", ""), "the material lead lacks 'density'"),
        (("density = 11.35", 'density = "11.35"'), "density is '11.35'"),
        (("radiation_length = 0.5612", "radiation_length = 0"), "radiation_length is 0"),
        (("hadron_loss = 0.0127", "hadron_loss = nan"), "hadron_loss is nan"),
        (("excitation = 823.0", "excitation = 0.0"), "excitation is 0.0"),
        (("c = 6.2018, ", ""), "lead lacks 'c'"),
        (("c = 6.2018", "c = nan"), "density_effect c is nan"),
        (("radiative_loss = 1.9e-5", ""), "lead lacks 'radiative_loss'"),
        (("[materials.lead.muon]", "[materials.lead.muons]"), "lead lacks 'muon'"),
    ],
)
def test_a_faulty_material_is_one_clear_error(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in OWN_MATERIAL
    path = tmp_path / "faulty.toml"
    path.write_text(OWN_MATERIAL.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_target(path)
    assert str(caught.value).count("faulty.toml") == 1


def test_a_missing_target_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        read_target(tmp_path / "nowhere.toml")


def test_neighbours_mix_to_the_wanted_mass_number() -> None:
    for a in (96.0, 184.0, 20.0, 56.0, 1.0, 208.0):
        low, high, share = neighbours(a)
        assert low in TABULATED
        assert high in TABULATED
        assert low + share * (high - low) == pytest.approx(a)
    # Bismuth is taken as lead, what is beyond it as nothing.
    assert neighbours(209.0) == (208, 208, 0.0)
    for a in (0.0, 0.99, 209.1, 238.0, math.nan):
        with pytest.raises(InputError, match="mass numbers 1 to 209 only"):
            neighbours(a)


@pytest.fixture(scope="module")
def sections(ship: Target) -> CrossSections:
    return CrossSections(start_cascade(1, 1, 10.0), ship.materials, (10.0, 400.0))


@pytest.mark.parametrize("energy", [20.0, 30.0, 100.0, 400.0])
def test_mean_free_paths_of_protons(sections: CrossSections, energy: float) -> None:
    """PDG's nuclear interaction lengths, cm: Fe 16.77, Mo 15.25, W 9.946, water 83.3; at any energy here."""
    paths = sections.mean_free_paths(np.array([2212]), np.array([0.93827]), np.array([energy]))
    np.testing.assert_allclose(paths[0][[3, 0, 2]], [16.77, 15.25, 9.946], rtol=0.05)
    assert paths[0][1] == pytest.approx(83.3, rel=0.10)


def test_mean_free_paths_interpolate_and_end(sections: CrossSections) -> None:
    def paths(pdg: int, mass: float, energy: np.ndarray) -> np.ndarray:
        return sections.mean_free_paths(np.full(len(energy), pdg), np.full(len(energy), mass), energy)

    iron = paths(211, 0.13957, np.geomspace(10, 400, 300))[:, 3]
    assert np.abs(np.diff(iron) / iron[1:]).max() < 0.01
    low, high = paths(211, 0.13957, np.array([400.0, 500.0]))
    np.testing.assert_array_equal(low, high)
    # Several kinds at once, each with its own table.
    mixed = sections.mean_free_paths(np.array([2212, 211]), np.array([0.93827, 0.13957]), np.full(2, 50.0))
    np.testing.assert_array_equal(mixed[1], paths(211, 0.13957, np.array([50.0]))[0])
    # Pions see less of a nucleus than protons.
    assert (mixed[1] > mixed[0]).all()


def test_below_the_pion_threshold_protons_do_not_collide(ship: Target) -> None:
    sections = CrossSections(start_cascade(1, 1, 1.3), ship.materials, (1.3, 400.0))
    paths = sections.mean_free_paths(np.full(2, 2212), np.full(2, 0.93827), np.array([1.0, 10.0]))
    assert (paths[0] > 1e6).all()
    assert (paths[1] < 200).all()


def test_multiparton_tables_are_shortened() -> None:
    text = (
        "! comment\nBeams:eCMMaxMPI = 1.0e+07\nInit:reuseMPIiDiffSys0 = {1,\n"
        "      2212 2212 9 1.0e+01 1.0e+05 1.15129,\n"
        + "".join(f"  {i} 0.5,\n" for i in range(8))
        + "  8 0.5}\n"
    )
    assert multiparton_settings(text).splitlines() == [
        "! comment",
        "Beams:eCMMaxMPI = 40.0",
        "Init:reuseMPIiDiffSys0 = {1,",
        "2212 2212 3 1.0e+01 9.999949e+01 1.15129,",
        "  0 0.5,",
        "  1 0.5,",
        "  2 0.5}",
    ]
    whole = (settings_folder() / "setups" / "InitDefaultMPI.cmnd").read_text(encoding="utf-8")
    assert len(multiparton_settings(whole)) < 0.2 * len(whole)


def test_targets_by_name() -> None:
    assert target_names() == ["ship2018", "ship2025", "ship2026"]
    assert read_target("ship2025") == read_target()
    with pytest.raises(InputError, match="no target ship2027: give one of ship2018, ship2025, ship2026"):
        read_target("ship2027")


@pytest.mark.parametrize(
    ("name", "disks", "cladding", "length"), [("ship2025", 19, 5.7, 158.64), ("ship2026", 33, 0.0, 146.0)]
)
def test_targets_of_fairship(name: str, disks: int, cladding: float, length: float) -> None:
    """As its configuration has them: disks, tantalum (cm in all), length of the target, shields behind it."""
    target = read_target(name)
    names = [target.materials[index].name for index in target.slab_materials]
    thickness = np.diff(target.edges)
    total = {kind: sum(thickness[[n == kind for n in names]]) for kind in set(names)}
    assert target.start == 0
    assert names.count("tungsten") == disks
    assert total["tungsten"] + total.get("tantalum", 0) == pytest.approx(150.0 if cladding else 133.0)
    assert total.get("tantalum", 0.0) == pytest.approx(cladding)
    last = len(names) - 1 - names[::-1].index("tantalum" if cladding else "tungsten")
    assert target.edges[last + 1] == pytest.approx(length)
    # Proximity shielding behind 9.61 cm from the longer target's end, absorber from 204 cm to 435 cm.
    copper = names.index("copper")
    assert target.edges[copper : copper + 2] == pytest.approx([168.25, 193.25])
    assert (names[-1], target.edges[-2:]) == ("iron", pytest.approx((204.0, 435.0)))
    assert MuonRange(target).crossing_energy > 7


def test_an_unknown_material_names_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "gold.toml"
    text = 'name = "gold"\ndescription = "one slab"\nstart = 0.0\n[[slabs]]\nmaterial = "gold"\n'
    path.write_text(text + "thicknesses = [10.0]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"no material 'gold': there are TZM, copper.*\[materials.gold\]"):
        read_target(path)
