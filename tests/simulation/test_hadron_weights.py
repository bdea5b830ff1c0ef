"""Measured yields, and the factors that give Pythia's hadrons these yields."""

from __future__ import annotations

import random

import numpy as np
import pytest

from shipgen_export.simulation.physics.cascade import BEAM_MOMENTUM, Cascade
from shipgen_export.simulation.physics.hadron_fit import (
    SPECIES,
    invariant_cross_section,
    mass_number_power,
    yields,
)
from shipgen_export.simulation.physics.hadron_weights import WEIGHED, HadronWeights
from shipgen_export.simulation.physics.pythia import start_cascade
from shipgen_export.simulation.target import Element, Material, Target
from shipgen_export.simulation.variations import HADRON_VARIATIONS

PROTON, NEUTRON, PION, KAON = 2212, 2112, 211, 321
PT = np.array([*np.linspace(0, 1, 21), 1.2, 1.5, 2.0, 3.0])
#: Columns of `HadronWeights.logarithms` behind the factor.
PLACES = {name: i for i, name in enumerate(HADRON_VARIATIONS, 1)}


@pytest.fixture(scope="module")
def weights() -> HadronWeights:
    return HadronWeights()


def above(species: str, momentum: float, mass_number: float, cross_section: float) -> float:
    edges = np.geomspace(momentum / BEAM_MOMENTUM, 0.98, 60)
    return float(yields(species, edges, PT, mass_number, cross_section, BEAM_MOMENTUM).sum())


#: Of an independent program: hadrons above 10, 20, 40, 80 GeV a collision, at 210 mb, on beryllium.
INDEPENDENT = {
    "pi+": (1.38, 0.84, 0.44, 0.169),
    "pi-": (1.03, 0.57, 0.26, 0.080),
    "K+": (0.179, 0.116, 0.065, 0.027),
    "K-": (0.107, 0.061, 0.027, 0.007),
}


@pytest.mark.parametrize("species", INDEPENDENT)
def test_yields_are_those_of_an_independent_program(species: str) -> None:
    found = [above(species, momentum, 9.012, 210.0) for momentum in (10, 20, 40, 80)]
    assert found == pytest.approx(INDEPENDENT[species], rel=0.02, abs=6e-4)


def test_neutral_hadrons_follow_from_charged_ones() -> None:
    plus, minus, zero = (above(name, 10, 9.012, 210.0) for name in ("pi+", "pi-", "pi0"))
    assert zero == pytest.approx((plus + minus) / 2)
    # Each of K_L and K_S is a quarter of a K+ and three of a K-.
    plus, minus, both = (above(name, 10, 9.012, 210.0) for name in ("K+", "K-", "K0"))
    assert both == pytest.approx(2 * (plus + 3 * minus) / 4)


def test_heavier_nuclei_make_fewer_fast_hadrons_a_nucleon() -> None:
    """Barton et al.: the power of A falls from 0.72 to 0.45 where the hadron has all of the momentum."""
    zero = np.zeros(3)
    power = mass_number_power(np.array([0.0, 0.5, 1.0]), zero)
    assert power == pytest.approx([0.725, 0.519, 0.441], abs=1e-3)
    momentum = np.array([20.0, 120.0])
    light, heavy = (
        invariant_cross_section("pi+", momentum, np.full(2, 0.3), a, BEAM_MOMENTUM) for a in (9.012, 183.84)
    )
    growth = np.log(heavy / light) / np.log(183.84 / 9.012)
    assert growth[0] > growth[1] > 0.5
    beyond = invariant_cross_section("K-", np.array([399.9, 5.0]), np.array([0.1, 6.0]), 9.012, BEAM_MOMENTUM)
    assert (beyond == 0).all()


def ask(
    weights: HadronWeights, pdg: int, x: float, pt: float, projectile: int = PROTON, mass_number: float = 197
) -> np.ndarray:
    arguments = (np.array([value]) for value in (pdg, x, pt, mass_number, projectile))
    return weights.logarithms(*arguments)[0]


def test_factors_by_projectile(weights: HadronWeights) -> None:
    """Neutrons exchange the pions' charges; leading mesons of mesons keep the nucleus' part alone."""
    plus, minus = (ask(weights, pdg, 0.1, 0.3)[0] for pdg in (PION, -PION))
    assert plus > minus + 0.05
    assert ask(weights, PION, 0.1, 0.3, NEUTRON)[0] == minus
    assert ask(weights, -PION, 0.1, 0.3, NEUTRON)[0] == plus
    for projectile in (PION, -PION, KAON, 130):
        assert ask(weights, PION, 0.1, 0.3, projectile)[0] == pytest.approx((plus + minus) / 2)
        # On beryllium, the nucleus of the data, nothing is left.
        assert ask(weights, PION, 0.7, 0.3, projectile, 9.012)[0] == pytest.approx(0)
    for projectile in (-PROTON, 3122):
        assert (ask(weights, PION, 0.1, 0.3, projectile) == 0).all()


def test_factors_stay_within_bounds_and_end_where_data_do(weights: HadronWeights) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    pdg = rng.choice(WEIGHED, n)
    arguments = pdg, rng.uniform(0.001, 1, n), rng.exponential(0.5, n), rng.choice([1.0, 56.0, 208.0], n)
    factors = np.exp(weights.logarithms(*arguments, rng.choice([PROTON, NEUTRON, PION], n))[:, 0])
    assert factors.min() > 0.2
    assert factors.max() < 3
    assert (factors[arguments[2] > 1.6] == 1).all()
    assert (factors[(arguments[2] > 1) & (np.abs(pdg) < 300) & ~np.isin(pdg, (130, 310))] == 1).all()


def test_variations_of_one_hadron(weights: HadronWeights) -> None:
    pion, kaon = ask(weights, -PION, 0.1, 0.3), ask(weights, KAON, 0.1, 0.3, PION)
    assert np.exp([pion[PLACES["pions"]], kaon[PLACES["pions"]]]) == pytest.approx([1.1, 1.0])
    assert np.exp([pion[PLACES["kaons"]], kaon[PLACES["kaons"]]]) == pytest.approx([1.0, 1.1])
    assert np.exp(kaon[PLACES["charge"]] - pion[PLACES["charge"]]) == pytest.approx(1.05)
    assert pion[PLACES["nuclei"]] == pytest.approx(0.02 * np.log(197 / 9.012))
    assert (pion[PLACES["projectiles"]], pion[PLACES["hadrons"]]) == (0, -pion[0])
    assert kaon[PLACES["projectiles"]] == kaon[PLACES["hadrons"]] == -kaon[0] != 0
    assert ask(weights, 130, 0.1, 0.3)[PLACES["charge"]] == 0


@pytest.mark.parametrize(("z", "a"), [(4, 9), (79, 197)])
def test_weighted_collisions_have_the_measured_yields(weights: HadronWeights, z: int, a: int) -> None:
    """Where there are data: up to a transverse momentum of 0.6 GeV. The table was made with other seeds."""
    cut, collisions = 15.0, 1500
    material = Material("nucleus", 1.0, float(a), 1.0, 0.0, (Element(z, float(a), 1),), 1.0, {}, 1.0)
    target = Target("nucleus", "", (0.0, 1.0), (0,), (material,))
    scalars = random.Random(1)  # noqa: S311 - no secrets
    cascade = Cascade(start_cascade(1, 2, cut), target, np.random.default_rng(1), scalars, cut)
    prompt = cascade.prompt_hadrons(collisions, set(WEIGHED))
    made = weights.weigh(prompt, cascade._collisions, by_data=True)
    pt = np.hypot(made.momentum[:, 0], made.momentum[:, 1])
    momentum = np.hypot(pt, made.momentum[:, 2])
    edges = np.geomspace(20 / BEAM_MOMENTUM, 0.9, 40)
    section = weights.table["nuclei"][str(a)]["cross_section"]
    for species, codes in (("pi+", (211,)), ("pi-", (-211,)), ("K+", (321,)), ("K-", (-321,))):
        chosen = np.isin(made.pdg, codes) & (momentum > 20) & (pt < 0.6)
        found, error = made.weight[chosen].sum(), np.sqrt(np.square(made.weight[chosen]).sum())
        expected = yields(species, edges, PT[PT <= 0.6001], a, section, BEAM_MOMENTUM).sum() * collisions
        assert abs(found - expected) < 0.04 * expected + 3 * error, species
    assert len(SPECIES) == len(weights.table["nuclei"]["9"]["counts"])
