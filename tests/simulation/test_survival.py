"""Muons through slabs with fluctuating energy loss, against a full simulation and exact limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.physics.muon_range import MuonRange, stopping_power
from shipgen_export.simulation.survival import _loss, transmission
from shipgen_export.simulation.target import read_target


def test_transmission_is_that_of_a_full_simulation() -> None:
    """The table of 2018 has five points; at the threshold 0.07 stand for 1 % of the energy."""
    target = read_target("ship2018")
    assert target.survival is not None
    energies, table = map(np.array, target.survival)
    found = transmission(target, energies, 2000, np.random.default_rng(1))
    assert np.abs(found - table).max() < 0.08
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("name", ["ship2025", "ship2026"])
def test_tables_of_targets_are_those_of_their_slabs(name: str) -> None:
    target = read_target(name)
    assert target.survival is not None
    energies, table = map(np.array, target.survival)
    found = transmission(target, energies[::2], 1500, np.random.default_rng(3))
    assert np.abs(found - table[::2]).max() < 4 * np.sqrt(0.25 / 1500)


def test_nothing_gets_through_far_below_and_nearly_all_far_above() -> None:
    target = replace(read_target("ship2026"), survival=None)
    crossing = MuonRange(target).crossing_energy
    found = transmission(target, crossing * np.array([0.7, 10.0]), 400, np.random.default_rng(2))
    assert found[0] == 0
    assert found[1] > 0.98


@pytest.mark.parametrize("material", [0, 1, 3])
def test_losses_have_the_mean_of_the_tables(material: int) -> None:
    """Straggling moves energy between muons: with enough of them the mean is that of Groom's tables."""
    slab = read_target("ship2018").materials[material]
    energy = np.full(200_000, 12.0 + MUON_MASS)
    loss = _loss(slab, energy, 4.0, np.random.default_rng(5))
    mean = float(stopping_power(slab, energy[:1])[0]) * 4.0
    assert loss.mean() == pytest.approx(mean, abs=4 * loss.std() / np.sqrt(len(loss)) + 0.01 * mean)
    # Landau's tail: most muons lose less than the mean, few lose far more.
    assert np.median(loss) < 0.95 * mean
    assert loss.max() > 20 * mean
