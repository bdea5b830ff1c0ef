"""The probability of muons to get through a target, by following their energy losses step by step.

In each step the mean loss is that of `stopping_power`. Collisions with electrons that take more than a limit
and radiation of more than a share of the energy are drawn one by one; softer ones fluctuate as a Gaussian. So
the threshold has the width and the long tail towards high energies that straggling gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.physics.muon_range import stopping_power

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.simulation.target import Material, Target

_ELECTRON_MASS = 0.51099895e-3  # GeV
_BETHE = 0.307075e-3  # 4 pi N_A r_e^2 m_e c^2, GeV cm2/mol

#: Collisions with electrons are drawn above this energy (GeV), radiation above this share of the muon's.
_LEAST_TRANSFER, _LEAST_SHARE = 0.02, 0.005
#: The part of radiative losses whose shares go like bremsstrahlung's; electron pairs are soft.
_HARD_RADIATION = 0.45
#: Muons below this total energy stop in the step, GeV.
_STOPPED = MUON_MASS + 0.02
#: No step takes more than this from a muon on average, GeV.
_STEP_LOSS = 0.05


def transmission(target: Target, kinetic: Float64, muons: int, rng: np.random.Generator) -> Float64:
    """Return the share of muons along z that get through all slabs.

    Parameters
    ----------
    target : Target
        The slabs.
    kinetic : float64[n]
        Kinetic energies at the front face, GeV.
    muons : int
        To follow for each of them.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    float64[n]
        Between 0 and 1.
    """
    energy = np.repeat(kinetic + MUON_MASS, muons)
    number = np.repeat(np.arange(len(kinetic)), muons)
    for index, low, high in zip(target.slab_materials, target.edges[:-1], target.edges[1:], strict=True):
        material = target.materials[index]
        mean = float(stopping_power(material, np.array([10.0]))[0]) * (high - low)
        steps = max(int(np.ceil(mean / _STEP_LOSS)), 1)
        for _ in range(steps):
            energy = energy - _loss(material, energy, (high - low) / steps, rng)
            left = energy > _STOPPED
            energy, number = energy[left], number[left]
    return np.bincount(number, minlength=len(kinetic)) / muons


def _loss(material: Material, energy: Float64, length: float, rng: np.random.Generator) -> Float64:
    """Draw the energy lost on `length` (cm), GeV, float64[n]."""
    electrons = _Electrons.of(material, energy, length)
    radiation = _HARD_RADIATION * material.radiative_loss * material.density * length
    radiation_mean = radiation * _radiated(1.0, _LEAST_SHARE)
    mean = stopping_power(material, energy) * length - electrons.mean - radiation_mean * energy
    loss = mean + electrons.spread * rng.standard_normal(len(energy))
    rows = np.repeat(np.arange(len(energy)), rng.poisson(electrons.number))
    np.add.at(loss, rows, electrons.draw(rows, rng))
    rows = np.repeat(np.arange(len(energy)), rng.poisson(radiation * _quanta(_LEAST_SHARE), len(energy)))
    np.add.at(loss, rows, _draw_shares(len(rows), rng) * energy[rows])
    return np.maximum(loss, 0.0)


@dataclass(frozen=True)
class _Electrons:
    """Hard collisions with electrons on a step: spectrum 1/T^2 (1 - T/Tmax + T^2 / 2 E^2) above the limit.

    Attributes
    ----------
    number, mean : float64[n]
        How many, and the energy that they take together, GeV.
    spread : float64[n]
        Standard deviation of what the softer ones take, GeV.
    largest, energy : float64[n]
        Most that one can take, and the muon's energy, GeV.
    """

    number: Float64
    mean: Float64
    spread: Float64
    largest: Float64
    energy: Float64

    @classmethod
    def of(cls, material: Material, energy: Float64, length: float) -> _Electrons:
        """Return those of muons on `length` cm."""
        gamma, ratio = energy / MUON_MASS, _ELECTRON_MASS / MUON_MASS
        largest = 2 * _ELECTRON_MASS * (gamma**2 - 1) / (1 + 2 * gamma * ratio + ratio**2)
        largest = np.maximum(largest, _LEAST_TRANSFER)
        z_over_a = sum(element.z * element.count for element in material.elements) / material.molar_mass
        scale = _BETHE / 2 * z_over_a * material.density * length
        low = _LEAST_TRANSFER
        number = 1 / low - 1 / largest - np.log(largest / low) / largest + (largest - low) / (2 * energy**2)
        mean = np.log(largest / low) - 1 + low / largest + (largest**2 - low**2) / (4 * energy**2)
        spread = np.sqrt(scale * np.minimum(low, largest))
        return cls(np.maximum(scale * number, 0.0), scale * mean, spread, largest, energy)

    def draw(self, rows: Int64, rng: np.random.Generator) -> Float64:
        """Draw the energy of one collision for each of `rows`, GeV."""
        low, largest, energy = _LEAST_TRANSFER, self.largest[rows], self.energy[rows]
        taken = np.empty(len(rows))
        todo = np.arange(len(rows))
        while len(todo):
            # From 1/T^2, accepted by the rest, which is below 3/2.
            u = rng.random(len(todo))
            transfer = 1 / (1 / low - u * (1 / low - 1 / largest[todo]))
            rest = 1 - transfer / largest[todo] + transfer**2 / (2 * energy[todo] ** 2)
            kept = 1.5 * rng.random(len(todo)) < rest
            taken[todo[kept]] = transfer[kept]
            todo = todo[~kept]
        return taken


def _quanta(low: float) -> float:
    """Integral of bremsstrahlung's (4/3 - 4/3 v + v^2) / v from `low` to 1; that of v times it is 1."""
    return -4 / 3 * float(np.log(low)) - 4 / 3 * (1 - low) + (1 - low**2) / 2


def _radiated(high: float, low: float) -> float:
    """Integral of v times the spectrum."""
    return 4 / 3 * (high - low) - 2 / 3 * (high**2 - low**2) + (high**3 - low**3) / 3


def _draw_shares(n: int, rng: np.random.Generator) -> Float64:
    """Draw shares of the energy that bremsstrahlung takes, float64[n]."""
    shares = np.geomspace(_LEAST_SHARE, 1, 400)
    middle = np.sqrt(shares[1:] * shares[:-1])
    density = (4 / 3 - 4 / 3 * middle + middle**2) / middle * np.diff(shares)
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    return np.interp(rng.random(n), cumulative / cumulative[-1], shares)
