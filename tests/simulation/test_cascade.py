"""Flights and forced decays of the cascade against exact integrals; what cuts leave out; heavy hadrons."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.block import SimulationSettings
from shipgen_export.simulation.particles import Parents, Process, ProducedMuons
from shipgen_export.simulation.physics.cascade import Cascade
from shipgen_export.simulation.physics.conversion import photon_conversions
from shipgen_export.simulation.physics.decays import PAIR_PARENTS, decays_in_flight, muon_pairs
from shipgen_export.simulation.physics.heavy_flavour import (
    DECAY_SETTINGS,
    _decayed,
    heavy_flavour_muons,
    mass_numbers,
)
from shipgen_export.simulation.physics.pythia import start_cascade
from shipgen_export.simulation.target import Target, read_target

MASSES = {211: 0.13957, 321: 0.49368, 130: 0.49761, 113: 0.7755, 223: 0.78266, 333: 1.0195, 221: 0.547862,
          331: 0.95778, 22: 0.0}  # fmt: skip
#: Mean decay lengths at rest, cm (PDG).
CTAU = {211: 780.45, 321: 371.2, 130: 1534.0}

CUT = 5.0


@pytest.fixture(scope="module")
def target() -> Target:
    return read_target("ship2018")


@pytest.fixture(scope="module")
def pythia() -> Any:
    return start_cascade(1, 2, CUT, DECAY_SETTINGS)


@pytest.fixture
def cascade(pythia: Any, target: Target) -> Cascade:
    cascade = Cascade(pythia, target, np.random.default_rng(1), random.Random(1), CUT)  # noqa: S311 - no secrets
    cascade._in_flight = []
    return cascade


def along_z(pdg: int, energy: np.ndarray, z: float) -> Parents:
    n, mass = len(energy), MASSES[abs(pdg)]
    momentum = np.column_stack([np.zeros((n, 2)), np.sqrt(energy**2 - mass**2)])
    return Parents.start(np.ones(n), np.tile([0.0, 0.0, z], (n, 1)), momentum, np.full(n, mass), pdg, 0)


@pytest.mark.parametrize(("pdg", "energy"), [(211, 20.0), (-321, 12.0), (130, 30.0)])
def test_forced_decays_weigh_as_much_as_real_ones(
    cascade: Cascade, target: Target, pdg: int, energy: float
) -> None:
    """In all slabs, and in the water alone, where places are drawn more densely than they would fall."""
    n, start = 16_000, target.start + 7.3
    hadrons = along_z(pdg, np.full(n, energy), start)
    cascade._force_decays(hadrons)
    placed = Parents.join(cascade._in_flight)
    decay_length = hadrons.momentum[0, 2] / MASSES[abs(pdg)] * CTAU[abs(pdg)]
    paths = cascade._lengths(hadrons.select(np.array([0])))[0]
    z = np.linspace(start, target.end, 400_001)
    middle, step = (z[1:] + z[:-1]) / 2, z[1] - z[0]
    material = target.material_at(middle)
    here = np.exp(-np.cumsum(step / paths[material]) - (middle - start) / decay_length) * step / decay_length
    water = 1
    in_water = target.material_at(placed.position[:, 2]) == water
    for chosen, exact in ((np.full(len(in_water), True), here), (in_water, here[material == water])):
        sums = np.bincount(placed.proton[chosen], placed.weight[chosen], minlength=n)
        error = sums.std() / np.sqrt(n)
        assert error < 0.03 * exact.sum()
        # Energy loss takes some below the cut far inside; not more than some thousandths.
        assert sums.mean() == pytest.approx(exact.sum(), abs=3 * error + 0.004 * exact.sum())


def test_thinned_collisions_weigh_as_many(cascade: Cascade) -> None:
    energy = np.linspace(CUT, 3 * CUT, 40_000)
    hadrons = along_z(211, energy, 0.0)
    kept = cascade._thinned(hadrons)
    near = kept.energy < 1.2 * CUT
    assert (kept.weight[near] > 4.99).all()
    assert near.sum() == pytest.approx(800, abs=100)
    for low in np.arange(1, 3, 0.25) * CUT:
        before = (energy >= low) & (energy < low + 0.25 * CUT)
        after = (kept.energy >= low) & (kept.energy < low + 0.25 * CUT)
        error = np.sqrt(np.square(kept.weight[after]).sum())
        assert kept.weight[after].sum() == pytest.approx(before.sum(), abs=3 * error)
    far = kept.energy > 2 * CUT
    assert (kept.weight[far] == 1).all()
    assert far.sum() == (hadrons.energy > 2 * CUT).sum()


#: What can give a muon nearly all of its energy.
LEADING = (211, -321, 22, 113, 223, 333)


@pytest.mark.parametrize("momentum_cut", [1.0, 10.0])
@pytest.mark.parametrize("pdg", [211, -321, 130, 22, *sorted(PAIR_PARENTS)])
def test_no_muon_is_lost_to_the_cut_on_hadrons(target: Target, momentum_cut: float, pdg: int) -> None:
    """Parents on both sides of the cut: those below it never give a muon that is wanted, those above do."""
    cut = SimulationSettings(1, momentum_cut, target, 1).energy_cut
    rng = np.random.default_rng(2)
    mass = MASSES[abs(pdg)]
    energy = rng.uniform(max(cut - 0.3, 1.001 * mass), 1.2 * cut + 0.3, 60_000)
    hadrons = along_z(pdg, energy, target.start + 1)

    def wanted(parents: Parents) -> np.ndarray:
        muons: ProducedMuons
        if abs(pdg) in CTAU:
            muons = decays_in_flight(parents, rng)
        else:
            muons = photon_conversions(parents, target, rng) if pdg == 22 else muon_pairs(parents, rng)
        number = muons.proton[(np.linalg.norm(muons.momentum, axis=1) >= momentum_cut) & (muons.weight > 0)]
        return np.unique(number)

    assert not len(wanted(hadrons.select(energy < cut)))
    assert len(wanted(hadrons.select(energy >= cut))) > 0
    # A margin of 0.3 GeV above the muons' cut would lose these.
    if pdg in LEADING:
        assert len(wanted(hadrons.select((energy >= cut) & (energy < cut + 0.3)))) > 0


def test_both_muons_of_a_jpsi_are_turned_together(pythia: Any) -> None:
    hadrons = np.tile([443.0, 1.0, 0.5, 100.0, 3.0969, 0.0596, 0.0], (20, 1))
    muons = _decayed(pythia, hadrons, 5, 0.2, np.random.default_rng(3))
    assert len(muons) == 2 * 5 * 20
    first, second = muons[::2], muons[1::2]
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    np.testing.assert_array_equal(first[:, 1], -second[:, 1])
    energy = sum(np.sqrt(np.square(pair[:, 2:]).sum(axis=1) + MUON_MASS**2) for pair in (first, second))
    mass = np.sqrt(energy**2 - np.square(first[:, 2:] + second[:, 2:]).sum(axis=1))
    np.testing.assert_allclose(mass, 3.0969, rtol=1e-3)
    # Each decay by an angle of its own: the pair's transverse momentum is the J/psi's in another direction.
    transverse = (first + second)[:, 2:4]
    np.testing.assert_allclose(np.hypot(*transverse.T), np.hypot(1.0, 0.5), rtol=1e-3)
    assert np.abs(transverse.mean(axis=0)).max() < 0.4


def test_heavier_nuclei_make_more_charm(pythia: Any, target: Target) -> None:
    """As many quarks a nucleon, but fewer inelastic collisions; J/psi are absorbed."""
    numbers = dict(zip((material.name for material in target.materials), mass_numbers(target), strict=True))
    assert [numbers["TZM"], numbers["tungsten"]] == pytest.approx([96, 184])
    assert 1 < numbers["water"] < 16
    weights = []
    for name in ("TZM", "tungsten"):
        slab = [target.materials[index].name for index in target.slab_materials].index(name)
        vertices = np.column_stack([np.arange(100), np.full(100, target.edges[slab] + 1.0)])
        muons, _ = heavy_flavour_muons(pythia, target, vertices, 100, 10.0, np.random.default_rng(4))
        # Of the hadron that goes to muons most often.
        weights.append([muons.weight[muons.process == code].max() for code in (Process.CHARM, Process.JPSI)])
    light, heavy = np.array(weights)
    np.testing.assert_allclose(heavy / light, (184 / 96) ** np.array([0.29, 0.22]))
