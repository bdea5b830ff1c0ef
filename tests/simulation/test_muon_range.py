"""Muons through matter: energy loss and range against the PDG's figures, survival."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.physics.muon_range import LEAST_SURVIVAL, MuonRange, stopping_power
from shipgen_export.simulation.target import Element, Material, Target, read_target

#: The PDG's standard rock; its b is 1.9e-6 at 10 GeV and 3.0e-6 cm2/g at 100 GeV.
ROCK = Material(
    name="standard rock",
    density=2.65,
    molar_mass=22.0,
    radiation_length=10.0,
    hadron_loss=0.0045,
    elements=(Element(11, 22, 1),),
    excitation=136.4,
    density_effect={"c": 3.7738, "x0": 0.0492, "x1": 3.0549, "a": 0.08301, "k": 3.4120},
    radiative_loss=3.5e-6,
)


@pytest.fixture(scope="module")
def ship() -> Target:
    return read_target("ship2018")


@pytest.fixture(scope="module")
def muon_range(ship: Target) -> MuonRange:
    return MuonRange(ship)


@pytest.mark.parametrize(("name", "minimum"), [("iron", 1.451), ("tungsten", 1.145), ("water", 1.992)])
def test_minimum_ionisation_is_the_pdgs(ship: Target, name: str, minimum: float) -> None:
    """Table of atomic and nuclear properties, MeV cm2/g; within 1 %."""
    material = next(material for material in ship.materials if material.name == name)
    energy = np.geomspace(0.15, 20, 2000)
    loss = stopping_power(replace(material, radiative_loss=0.0), energy) / material.density * 1e3
    assert loss.min() == pytest.approx(minimum, rel=0.01)
    # Near beta gamma = 3 to 4.
    assert 2.4 < energy[loss.argmin()] / MUON_MASS < 4.2


def test_ranges_in_rock_are_the_pdgs(ship: Target) -> None:
    """Review of cosmic rays: 0.05 km of water equivalent at 10 GeV and 0.41 at 100 GeV; within 5 %."""
    rock = replace(ship, edges=(0.0, 1e6), slab_materials=(0,), materials=(ROCK,), survival=None)
    reach = MuonRange(rock).csda_range(0, np.array([10.0, 100.0]) + MUON_MASS) * ROCK.density / 1e5
    np.testing.assert_allclose(reach, [0.05, 0.41], rtol=0.05)


def test_range_rises_with_energy_and_falls_with_density(ship: Target, muon_range: MuonRange) -> None:
    energy = np.geomspace(0.2, 400, 100)
    for material in range(4):
        assert (np.diff(muon_range.csda_range(material, energy)) > 0).all()
    ten = {
        material.name: muon_range.csda_range(i, np.array([10.0]))[0]
        for i, material in enumerate(ship.materials)
    }
    assert ten["tungsten"] < ten["TZM"] < ten["iron"] < ten["water"]


def test_energy_at_front_undoes_the_loss(ship: Target, muon_range: MuonRange) -> None:
    """In one slab the range before is the range after plus the way."""
    z = np.full(3, ship.start + 5.0)
    energy, cosine = np.array([2.0, 10.0, 100.0]), np.array([1.0, 0.5, 0.9])
    front = muon_range.energy_at_front(z, energy, cosine)
    left = muon_range.csda_range(0, front) - muon_range.csda_range(0, energy)
    np.testing.assert_allclose(left, 5.0 / cosine, rtol=1e-6)
    unmoved = muon_range.energy_at_front(np.full(3, ship.start), energy, cosine)
    np.testing.assert_array_equal(unmoved, energy)


def test_crossing_takes_ten_gev(muon_range: MuonRange) -> None:
    """The mean loss in the whole of SHiP's target and absorber; half of the muons cross at 10.07 GeV."""
    assert muon_range.crossing_energy == pytest.approx(10.1, abs=0.25)


def along_z(kinetic: np.ndarray) -> np.ndarray:
    momentum = np.zeros((len(kinetic), 3))
    momentum[:, 2] = np.sqrt((kinetic + MUON_MASS) ** 2 - MUON_MASS**2)
    return momentum


def test_survival_goes_through_the_targets_points(ship: Target, muon_range: MuonRange) -> None:
    assert ship.survival is not None
    kinetic, probability = (np.array(column) for column in ship.survival)
    survival = muon_range.survival(np.full(len(kinetic), ship.start), along_z(kinetic))
    np.testing.assert_allclose(survival, probability, atol=2e-3)


def test_survival_is_smooth_monotonic_and_ends(ship: Target, muon_range: MuonRange) -> None:
    kinetic = np.linspace(5, 400, 20000)
    survival = muon_range.survival(np.full(len(kinetic), ship.start), along_z(kinetic))
    assert (np.diff(survival) >= 0).all()
    assert np.diff(survival).max() < 0.02
    lost = survival < LEAST_SURVIVAL
    # One step of the table leads from zero to the least probability.
    assert (survival[lost] == 0).mean() > 0.99
    assert kinetic[lost].max() == pytest.approx(8.8, abs=0.2)
    assert survival[-1] == pytest.approx(1, abs=1e-6)


def test_survival_grows_with_depth_and_falls_with_angle(ship: Target, muon_range: MuonRange) -> None:
    z = ship.start + np.array([0.0, 20.0, 100.0, 300.0])
    survival = muon_range.survival(z, along_z(np.full(4, 10.2)))
    assert all(before < after for before, after in pairwise(survival))
    angle = np.array([0.0, 0.1, 0.2, np.pi])
    momentum = 10.6 * np.column_stack([np.sin(angle), np.zeros(4), np.cos(angle)])
    survival = muon_range.survival(np.full(4, ship.start), momentum)
    assert survival[0] > survival[1] > survival[2]
    assert survival[3] == 0


def slabs_of(ship: Target, iron: float) -> Target:
    """The same with another thickness of the absorber."""
    return replace(ship, edges=(*ship.edges[:-1], ship.edges[-2] + iron))


@pytest.mark.parametrize(("iron", "loss"), [(150.0, 5.14), (700.0, 13.8)])
def test_a_survival_table_of_other_slabs_is_refused(ship: Target, iron: float, loss: float) -> None:
    with pytest.raises(
        InputError, match=r"the target ship2018: .* half of the muons get through at 10\.1 G"
    ) as caught:
        MuonRange(slabs_of(ship, iron))
    message = str(caught.value)
    factor = float(message.partition("multiply the table's energies by ")[2].split()[0])
    assert f"its slabs take {loss:.3g} GeV" in message
    # What the message says is accepted, and it shifts the threshold to where these slabs have it.
    assert ship.survival is not None
    energies, probabilities = ship.survival
    scaled = tuple(factor * energy for energy in energies), probabilities
    mended = MuonRange(replace(slabs_of(ship, iron), survival=scaled))
    half = mended.survival(np.full(1, ship.start), along_z(np.array([mended.crossing_energy])))
    assert half[0] == pytest.approx(0.5, abs=0.02)


def test_a_survival_table_may_be_off_by_some_per_cent(ship: Target) -> None:
    assert MuonRange(slabs_of(ship, 460.0)).crossing_energy == pytest.approx(9.9, abs=0.1)


@pytest.mark.parametrize("energies", [(0.1, 0.2), (1000.0, 2000.0)])
def test_a_survival_table_far_off_is_refused(ship: Target, energies: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="multiply the table's energies"):
        MuonRange(replace(ship, survival=(energies, (0.2, 0.9))))


def test_without_a_table_the_threshold_is_sharp(ship: Target) -> None:
    muon_range = MuonRange(replace(ship, survival=None))
    kinetic = muon_range.crossing_energy + np.array([-0.01, 0.01])
    survival = muon_range.survival(np.full(2, ship.start), along_z(kinetic))
    np.testing.assert_array_equal(survival, [0, 1])
