"""Energy loss of muons in the slabs, and the probability that one gets through.

The mean energy loss dE/dx = a + b E follows Groom, Mokhov and Striganov, ADNDT 78 (2001) 183, as in the PDG's
tables.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.categories import MUON_MASS

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.simulation.target import Material, Target

_ELECTRON_MASS = 0.51099895e-3  # GeV
_BETHE = 0.307075e-3  # 4 pi N_A r_e^2 m_e c^2, GeV cm2/mol

#: Muons with less than this probability to get through are not worth keeping.
LEAST_SURVIVAL = 0.005

#: How far a survival table's middle may be from the energy that the slabs take.
TABLE_TOLERANCE = 0.1


def stopping_power(material: Material, energy: Float64) -> Float64:
    """Return the mean energy loss of a muon.

    Bethe's formula with Sternheimer's density effect and the spin term, and b rising with the logarithm
    of the energy to its limit, within some per cent of the PDG's tables from 1 to 400 GeV.

    Parameters
    ----------
    material : Material
        What it goes through.
    energy : float64[n]
        Total energy, GeV.

    Returns
    -------
    float64[n]
        GeV/cm.
    """
    gamma = energy / MUON_MASS
    beta_gamma = np.sqrt(gamma**2 - 1)
    beta2 = 1 - 1 / gamma**2
    ratio = _ELECTRON_MASS / MUON_MASS
    largest_transfer = 2 * _ELECTRON_MASS * beta_gamma**2 / (1 + 2 * gamma * ratio + ratio**2)
    excitation = material.excitation * 1e-9
    logarithm = 0.5 * np.log(2 * _ELECTRON_MASS * beta_gamma**2 * largest_transfer / excitation**2)
    spin = 0.125 * (largest_transfer / energy) ** 2
    z_over_a = sum(element.z * element.count for element in material.elements) / material.molar_mass
    ionisation = (
        _BETHE * z_over_a / beta2 * (logarithm - beta2 - _density_effect(material, beta_gamma) / 2 + spin)
    )
    # Fit to the PDG's b(E): 62 % of the limit at 5 GeV, all of it at 500 GeV.
    radiative = material.radiative_loss * (0.62 + 0.19 * np.clip(np.log10(energy / 5.0), 0, 2))
    return (ionisation + radiative * energy) * material.density


def _density_effect(material: Material, beta_gamma: Float64) -> Float64:
    """Sternheimer's parametrisation of delta."""
    constants = material.density_effect
    x = np.log10(beta_gamma)
    high = 2 * math.log(10) * x - constants["c"]
    middle = high + constants["a"] * np.maximum(constants["x1"] - x, 0.0) ** constants["k"]
    return np.where(x >= constants["x0"], middle, 0.0)


class MuonRange:
    """Ranges in a target's materials, continuous slowing down.

    Attributes
    ----------
    crossing_energy : float
        Kinetic energy at the front face of a muon along z that just gets through, GeV.

    Raises
    ------
    InputError
        The target's survival table is not that of its slabs.
    """

    _energies = np.geomspace(MUON_MASS + 0.01, 1000.0, 600)

    def __init__(self, target: Target) -> None:
        self._target = target
        middle = np.sqrt(self._energies[1:] * self._energies[:-1])
        self._ranges = [
            np.concatenate([[0.0], np.cumsum(np.diff(self._energies) / stopping_power(material, middle))])
            for material in target.materials
        ]
        stopped = np.array([self._energies[0]])
        crossing = self.energy_at_front(np.array([target.end]), stopped, np.ones(1))
        self.crossing_energy = float(crossing[0]) - MUON_MASS
        self._survival_energies, self._survival = self._survival_curve()

    def csda_range(self, material: int, energy: Float64) -> Float64:
        """Return the range (cm) of muons of total `energy` (GeV) in one of the target's materials."""
        length: Float64 = np.interp(energy, self._energies, self._ranges[material])
        return length

    def energy_at_front(self, z: Float64, energy: Float64, cosine: Float64) -> Float64:
        """Return the energy at the front face that leaves `energy` at `z`, going at `cosine` to the axis.

        All float64[n]; z in cm, total energies in GeV.
        """
        target = self._target
        result = energy.copy()
        for i in reversed(range(len(target.slab_materials))):
            behind = np.flatnonzero(z > target.edges[i])
            if not len(behind):
                continue
            material = target.slab_materials[i]
            way = (np.minimum(z[behind], target.edges[i + 1]) - target.edges[i]) / cosine[behind]
            left = self.csda_range(material, result[behind]) + way
            result[behind] = np.interp(left, self._ranges[material], self._energies)
        return result

    def survival(self, z: Float64, momentum: Float64) -> Float64:
        """Return the probability of muons to get through all slabs.

        It is that of a muon along z which enters the front face with as much energy to spare: the energy at
        the muon's start, increased by the loss between front face and start, less the loss on the longer
        way of a slanted muon.

        Parameters
        ----------
        z : float64[n]
            Where they start, cm.
        momentum : float64[n, 3]
            There, GeV.

        Returns
        -------
        float64[n]
            0 for those below `LEAST_SURVIVAL` and those that go backwards.
        """
        size = np.linalg.norm(momentum, axis=1)
        cosine = np.maximum(momentum[:, 2] / size, 0.1)
        front = self.energy_at_front(z, np.hypot(size, MUON_MASS), cosine) - MUON_MASS
        equivalent = front - self.crossing_energy * (1 / cosine - 1)
        probability: Float64 = np.interp(equivalent, self._survival_energies, self._survival)
        return np.where(momentum[:, 2] > 0, probability, 0.0)

    def _check_table(self, half: float) -> None:
        """Raise `InputError` when half of the muons get through at another energy than the slabs take."""
        crossing = self.crossing_energy
        if not abs(half - crossing) <= TABLE_TOLERANCE * crossing:
            raise InputError(
                f"the target {self._target.name}: in its survival table half of the muons get through at "
                f"{half:.3g} GeV, but its slabs take {crossing:.3g} GeV: multiply the table's energies by "
                f"{crossing / half:.3g} (straggling grows with the range), or leave the table out for a "
                "sharp threshold"
            )

    def _survival_curve(self) -> tuple[Float64, Float64]:
        """Tabulate the survival probability against the kinetic energy at the front face.

        The target's points are joined by straight lines in probit, where a Gaussian straggling is one; the
        first and last line go on beyond the points.
        """
        if self._target.survival is None:
            # A sharp threshold, where the range ends.
            return np.array([self.crossing_energy, self.crossing_energy * (1 + 1e-9)]), np.array([0.0, 1.0])
        points, probabilities = (np.asarray(column) for column in self._target.survival)
        normal = NormalDist()
        probit = np.array([normal.inv_cdf(probability) for probability in probabilities])
        slopes = np.diff(probit) / np.diff(points)
        energies = np.linspace(0.5 * points[0], 3 * points[-1], 4000)
        line = np.interp(energies, points, probit)
        line += slopes[0] * np.minimum(energies - points[0], 0) + slopes[-1] * np.maximum(
            energies - points[-1], 0
        )
        self._check_table(float(np.interp(0.0, line, energies)))
        curve = np.array([normal.cdf(value) for value in line])
        return energies, np.where(curve < LEAST_SURVIVAL, 0.0, curve)
