"""Forced decays and photon conversions: conservation laws, spectra, weights."""

from __future__ import annotations

import numpy as np
import pytest

from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.particles import Parents, Process, ProducedMuons
from shipgen_export.simulation.physics.conversion import pair_cross_section, photon_conversions
from shipgen_export.simulation.physics.decays import (
    DALITZ,
    DIMUON,
    DRAW_RATIO,
    LARGEST_DALITZ_DENSITY,
    decays_in_flight,
    form_factor,
    kaon_dalitz_density,
    muon_pairs,
    neutral_pion_photons,
)
from shipgen_export.simulation.physics.kinematics import (
    around_axis,
    boost,
    by_rejection,
    isotropic,
    two_body_momentum,
)
from shipgen_export.simulation.target import Element, read_target

MASSES = {
    211: 0.13957, 321: 0.49368, 130: 0.49761, 113: 0.7755, 223: 0.78266, 333: 1.0195, 221: 0.547862,
    331: 0.95778, 22: 0.0, 111: 0.1349768,
}  # fmt: skip


def parents(pdg: int, n: int, momentum: tuple[float, float, float] = (0.3, -0.2, 40.0)) -> Parents:
    place, mass = np.tile([1.0, 2.0, -7050.0], (n, 1)), np.full(n, MASSES[abs(pdg)])
    return Parents.start(np.full(n, 2.0), place, np.tile(momentum, (n, 1)), mass, pdg, 0)


def energies(momentum: np.ndarray, mass: float | np.ndarray = MUON_MASS) -> np.ndarray:
    return np.sqrt(np.square(momentum).sum(axis=1) + mass**2)


def in_rest_frame(muons: ProducedMuons, parent: Parents) -> np.ndarray:
    """Muon momenta in the rest frame of their parents."""
    energy = energies(parent.momentum, parent.mass)
    # A boost backwards takes the parent to rest.
    back = -parent.momentum[: len(muons)]
    result = boost(energies(muons.momentum), muons.momentum, back, parent.mass[: len(muons)])
    assert np.abs(boost(energy, parent.momentum, -parent.momentum, parent.mass)).max() < 1e-9
    return result


def test_pions_decay_to_a_muon_and_nothing_massive() -> None:
    parent = parents(-211, 5000)
    muons = decays_in_flight(parent, np.random.default_rng(1))
    neutrino = parent.momentum - muons.momentum
    neutrino_energy = energies(parent.momentum, parent.mass) - energies(muons.momentum)
    np.testing.assert_allclose(energies(neutrino, 0.0), neutrino_energy, rtol=1e-6)
    assert (muons.pdg == 13).all()
    assert (muons.parent == -211).all()
    assert (muons.process == Process.DECAY).all()
    np.testing.assert_array_equal(muons.proton, parent.proton)
    np.testing.assert_array_equal(muons.position, parent.position)
    np.testing.assert_allclose(muons.weight, 2 * 0.999877)


def test_pion_muons_are_even_in_energy() -> None:
    """A two-body decay in flight gives energies evenly between two ends."""
    parent = parents(211, 20000)
    energy = energies(decays_in_flight(parent, np.random.default_rng(2)).momentum)
    share = (energy - energy.min()) / np.ptp(energy)
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert share.std() == pytest.approx(1 / np.sqrt(12), abs=0.01)
    ratio = energy.min() / energy.max()
    assert ratio == pytest.approx((MUON_MASS / MASSES[211]) ** 2, rel=0.01)


def test_kaons_decay_in_both_ways() -> None:
    parent = parents(321, 40000)
    muons = decays_in_flight(parent, np.random.default_rng(3))
    assert (muons.pdg == -13).all()
    np.testing.assert_allclose(muons.weight, 2 * (0.6356 + 0.03352))
    size = np.linalg.norm(in_rest_frame(muons, parent), axis=1)
    two_body = np.abs(size - 0.2355) < 2e-4
    assert two_body.mean() == pytest.approx(0.6356 / (0.6356 + 0.03352), abs=0.005)
    # K_mu3's muons end at 215 MeV (PDG).
    assert 0.205 < size[~two_body].max() < 0.2151


def test_long_kaons_give_both_charges_and_conserve_energy() -> None:
    parent = parents(130, 20000)
    muons = decays_in_flight(parent, np.random.default_rng(4))
    assert (muons.pdg == 13).mean() == pytest.approx(0.5, abs=0.02)
    rest = in_rest_frame(muons, parent)
    # What is left has at least the mass of a pion.
    missing = (MASSES[130] - energies(rest)) ** 2 - np.square(rest).sum(axis=1)
    assert np.sqrt(missing.min()) > 0.1395
    assert np.abs(rest.mean(axis=0)).max() < 0.003


@pytest.mark.parametrize(("kaon", "pion"), [(0.49368, 0.1349768), (0.49761, 0.13957039)])
def test_the_kaon_density_stays_below_its_bound(kaon: float, pion: float) -> None:
    pion_energy, muon_energy = (
        grid.ravel() for grid in np.meshgrid(np.linspace(pion, 0.3, 800), np.linspace(MUON_MASS, 0.3, 800))
    )
    density = kaon_dalitz_density(
        np.full_like(pion_energy, kaon), np.full_like(pion_energy, pion), pion_energy, muon_energy
    )
    assert density.min() >= 0
    assert 0.95 * LARGEST_DALITZ_DENSITY < density.max() / kaon**3 < LARGEST_DALITZ_DENSITY


@pytest.mark.parametrize("meson", sorted(DIMUON))
def test_dimuons_have_the_mesons_mass(meson: int) -> None:
    parent = parents(meson, 500)
    muons = muon_pairs(parent, np.random.default_rng(5))
    pairs = muons.select(muons.process == Process.DIMUON)
    n = len(pairs) // 2
    draws = DIMUON[meson] / DRAW_RATIO
    # Common channels are drawn several times a parent, rare ones for a share of the parents.
    assert n == (
        500 * round(draws) if draws >= 1 else pytest.approx(500 * draws, abs=3 * np.sqrt(500 * draws))
    )
    total = pairs.momentum[:n] + pairs.momentum[n:]
    np.testing.assert_allclose(total, np.tile(parent.momentum[0], (n, 1)), atol=1e-9)
    mass = np.sqrt(
        (energies(pairs.momentum[:n]) + energies(pairs.momentum[n:])) ** 2 - np.square(total).sum(axis=1)
    )
    np.testing.assert_allclose(mass, MASSES[meson], rtol=1e-6)
    assert (pairs.pdg[:n] == 13).all()
    assert (pairs.pdg[n:] == -13).all()
    np.testing.assert_allclose(pairs.weight, 2 * DIMUON[meson] / max(round(draws), min(draws, 1)))


@pytest.mark.parametrize("meson", sorted(DALITZ))
def test_dalitz_decays_leave_a_photon_or_pion(meson: int) -> None:
    parent = parents(meson, 20000)
    muons = muon_pairs(parent, np.random.default_rng(6))
    pairs = muons.select(muons.process == Process.DALITZ)
    n = len(pairs) // 2
    first, second = pairs.momentum[:n], pairs.momentum[n:]
    # All parents have one momentum.
    energy = energies(parent.momentum, parent.mass)[0] - energies(first) - energies(second)
    missing = energy**2 - np.square(parent.momentum[0] - first - second).sum(axis=1)
    np.testing.assert_allclose(missing, DALITZ[meson].other ** 2, atol=2e-5)
    pair_mass = np.sqrt((energies(first) + energies(second)) ** 2 - np.square(first + second).sum(axis=1))
    assert pair_mass.min() > 2 * MUON_MASS - 1e-9
    assert pair_mass.max() < DALITZ[meson].mass - DALITZ[meson].other
    draws = round(DALITZ[meson].ratio / DRAW_RATIO)
    assert n == 20000 * draws
    np.testing.assert_allclose(pairs.weight, 2 * DALITZ[meson].ratio / draws)


def test_dalitz_photons_are_transverse() -> None:
    """The muons follow 1 + cos^2 + (2 m / q)^2 sin^2 about the virtual photon; isotropic at threshold."""
    parent = parents(331, 60000, momentum=(0.0, 0.0, 0.0))
    muons = muon_pairs(parent, np.random.default_rng(7))
    n = len(muons) // 2
    first, second = muons.momentum[:n], muons.momentum[n:]
    pair = first + second
    mass = np.sqrt((energies(first) + energies(second)) ** 2 - np.square(pair).sum(axis=1))
    inner = boost(energies(first), first, -pair, mass)
    cosine = (inner * pair).sum(axis=1) / np.linalg.norm(inner, axis=1) / np.linalg.norm(pair, axis=1)
    for chosen in (mass < 0.23, mass > 0.5):
        flat = (2 * MUON_MASS / mass[chosen]) ** 2
        expected = (2 / 3 + 2 / 5 + flat * (2 / 3 - 2 / 5)) / (8 / 3 + flat * 4 / 3)
        assert np.square(cosine[chosen]).mean() == pytest.approx(expected.mean(), abs=0.006)


def test_form_factors_are_those_measured() -> None:
    """1 at no mass; a pole's for eta and omega (NA60, PLB 677 (2009) 260); the eta' passes over its pole."""
    for channel in DALITZ.values():
        assert form_factor(channel, np.zeros(1))[0] == pytest.approx(1)
    # The slope of a pole's form factor squared is 2 / pole^2; NA60: 1.95 and 2.24 GeV^-2 before squaring.
    for meson, slope in ((221, 1.95), (223, 2.24)):
        found = (form_factor(DALITZ[meson], np.array([1e-3]))[0] - 1) / 1e-6 / 2
        assert found == pytest.approx(slope, rel=0.02)
    mass = np.linspace(0.22, 0.95, 731)
    value = form_factor(DALITZ[331], mass)
    assert mass[value.argmax()] == pytest.approx(0.79, abs=0.002)
    # BESIII: pole 0.79 GeV, width 0.13 GeV: at the pole (0.79^2 + 0.13^2) / 0.13^2.
    assert value.max() == pytest.approx(37.9, rel=0.01)


def test_soft_muons_of_photons_are_not_left_out() -> None:
    """All shares of the energy: the total is the cross-section's integral down to the muon's mass."""
    target = read_target("ship2018")
    photon = parents(22, 40000, momentum=(0.0, 0.0, 12.0))
    muons = photon_conversions(photon, target, np.random.default_rng(14))
    n = len(muons) // 2
    share = energies(muons.momentum[:n]) / 12.0
    assert share.min() < 0.012
    assert share.max() > 0.988
    assert np.linalg.norm(muons.momentum, axis=1).max() > 11.8
    # In TZM alone, with conversions per cm as the radiation length says.
    tzm = target.materials[0]
    inside = target.material_at(muons.position[:n, 2]) == 0
    grid = (np.arange(4000) + 0.5) / 4000
    wide = (grid > MUON_MASS / 12) & (grid < 1 - MUON_MASS / 12)
    integral = np.where(wide, pair_cross_section(tzm.elements[0], np.full(4000, 12.0), grid), 0).mean()
    expected = 2.0 * integral * tzm.molecules * 9 / 7 * tzm.radiation_length
    assert muons.weight[:n][inside].mean() == pytest.approx(expected, rel=0.01)


def test_photons_below_two_muon_masses_give_nothing() -> None:
    photon = parents(22, 100, momentum=(0.0, 0.0, 0.2))
    assert not photon_conversions(photon, read_target("ship2018"), np.random.default_rng(15)).weight.any()


def test_neutral_pions_give_two_photons() -> None:
    pion = parents(111, 5000, momentum=(0.3, 0.0, 40.0))
    photons = neutral_pion_photons(pion, np.random.default_rng(13))
    assert len(photons.pdg) == 10000
    assert (photons.pdg == 22).all()
    first, second = photons.momentum[:5000], photons.momentum[5000:]
    np.testing.assert_allclose(first + second, pion.momentum, atol=1e-9)
    np.testing.assert_allclose(photons.energy[:5000] + photons.energy[5000:], pion.energy)
    # Even in energy between zero and the pion's.
    assert (photons.energy / pion.energy[0]).std() == pytest.approx(1 / np.sqrt(12), abs=0.005)
    np.testing.assert_allclose(photons.weight, 2 * 0.988, rtol=1e-3)


def test_photons_convert_inside_the_slabs_and_share_their_energy() -> None:
    target = read_target("ship2018")
    photon = parents(22, 20000, momentum=(0.0, 0.0, 60.0))
    muons = photon_conversions(photon, target, np.random.default_rng(8))
    n = len(muons) // 2
    assert n == 20000
    np.testing.assert_allclose(energies(muons.momentum[:n]) + energies(muons.momentum[n:]), 60.0)
    assert (muons.position[:, 2] > -7050).all()
    assert (muons.position[:, :2] == [1.0, 2.0]).all()
    one_length = target.advance_radiation_lengths(np.array([-7050.0]), np.ones(1), np.array([9 / 7]))
    assert (muons.position[:n, 2] < one_length).mean() == pytest.approx(1 - np.exp(-1), abs=0.015)
    angle = np.arctan2(np.hypot(muons.momentum[:, 0], muons.momentum[:, 1]), muons.momentum[:, 2])
    # The scale is mass over energy.
    assert np.median(angle * energies(muons.momentum)) == pytest.approx(MUON_MASS, rel=0.2)


def test_muon_pairs_are_rarer_than_electron_pairs_by_the_masses() -> None:
    """On lead at 100 GeV: (m_e / m_mu)^2 of the electrons' cross-section, lowered by the nucleus' size."""
    share = (np.arange(2000) + 0.5) / 2000
    section = pair_cross_section(Element(82, 207.2, 1), np.full(2000, 100.0), share).mean()
    electrons = 7 / 9 * 207.2 / (6.022e23 * 6.37)
    assert 0.2 < section / electrons / (0.51099895e-3 / MUON_MASS) ** 2 < 1


def test_boost_keeps_mass() -> None:
    rng = np.random.default_rng(9)
    inner, outer = rng.normal(0, 1, (100, 3)), rng.normal(0, 30, (100, 3))
    mass = rng.uniform(1, 5, 100)
    result = boost(energies(inner), inner, outer, mass)
    # The invariant p1 . p2 is that of the rest frame: energy x mass.
    product = energies(result) * energies(outer, mass) - (result * outer).sum(axis=1)
    np.testing.assert_allclose(product, energies(inner) * mass, rtol=1e-6)


def test_directions_are_unit_vectors_at_their_angle() -> None:
    rng = np.random.default_rng(10)
    axis = isotropic(rng, 10000)
    np.testing.assert_allclose(np.linalg.norm(axis, axis=1), 1)
    assert np.abs(axis.mean(axis=0)).max() < 0.03
    cosine = rng.uniform(-1, 1, 10000)
    direction = around_axis(rng, axis, cosine)
    np.testing.assert_allclose((axis * direction).sum(axis=1), cosine, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1)


def test_rejection_and_two_body_edges() -> None:
    rng = np.random.default_rng(11)
    drawn = by_rejection(rng, 20000, lambda rows: rng.random((len(rows), 1)), lambda _, x: x[:, 0])
    assert drawn.mean() == pytest.approx(2 / 3, abs=0.01)
    assert by_rejection(rng, 0, lambda rows: rng.random((len(rows), 1)), lambda _, x: x[:, 0]).size == 0
    assert two_body_momentum(np.array([1.0]), 0.6, 0.6)[0] == 0
    assert two_body_momentum(np.array([1.0]), 0.0, 0.0)[0] == 0.5


def test_no_parents_give_no_muons() -> None:
    rng = np.random.default_rng(12)
    none = Parents.none()
    assert len(decays_in_flight(none, rng)) == 0
    assert len(muon_pairs(none, rng)) == 0
    assert len(photon_conversions(none, read_target("ship2018"), rng)) == 0
