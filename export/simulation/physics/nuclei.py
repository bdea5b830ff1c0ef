"""Hadron-nucleus cross-sections from Pythia, and the nuclei that collisions are made on.

Between its tabulated nuclei PythiaCascade (8.317 and 8.318) interpolates with an integer division: for
A = 184 the proton's cross-section comes out 2.5 times too large. So it is only asked for tabulated ones;
others are interpolated here, by a power law between neighbours, and their collisions made on either neighbour
so that A is right on average.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen_export.simulation.physics.pythia import import_pythia, least_collision_energy
from shipgen_export.simulation.target import LARGEST_MASS_NUMBER

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.simulation.target import Material

#: Mass number -> atomic number of the nuclei that Pythia has tables for.
TABULATED = {
    1: 1, 2: 1, 4: 2, 9: 4, 12: 6, 14: 7, 16: 8, 27: 13, 40: 18, 56: 26, 63: 29, 84: 36, 107: 47, 129: 54,
    197: 79, 208: 82,
}  # fmt: skip

_MILLIBARN = 1e-27  # cm2
_LEAST_RATE = 1e-12  # collisions a cm


def neighbours(a: float) -> tuple[int, int, float]:
    """Return the tabulated nuclei around mass number `a`, and the share of the heavier one in a mixture.

    Raises
    ------
    InputError
        Nothing like it is tabulated.
    """
    numbers = list(TABULATED)
    if not numbers[0] <= a <= LARGEST_MASS_NUMBER:
        raise InputError(
            f"Pythia has cross-sections of mass numbers 1 to {LARGEST_MASS_NUMBER:g} only, not of {a:g}"
        )
    if a in TABULATED or a > numbers[-1]:
        nearest = min(numbers, key=lambda number: abs(number - a))
        return nearest, nearest, 0.0
    upper = bisect_right(numbers, a)
    low, high = numbers[upper - 1], numbers[upper]
    return low, high, (a - low) / (high - low)


class CrossSections:
    """Mean free paths of hadrons in a target's materials, tabulated when a hadron is first met.

    Parameters
    ----------
    pythia : PythiaCascade
        Where the cross-sections come from.
    materials : sequence of Material
        In the target's order.
    energies : (float, float)
        The range of total energies, GeV.
    """

    _POINTS = 48

    def __init__(self, pythia: Any, materials: Sequence[Material], energies: tuple[float, float]) -> None:
        self._pythia = pythia
        self._vector = import_pythia().Vec4
        elements = [element for material in materials for element in material.elements]
        self._mixtures = [
            [(element.count, *neighbours(element.a)) for element in material.elements]
            for material in materials
        ]
        # log(sigma) is linear in log(A) between neighbours.
        self._exponents = {
            (low, high): math.log(element.a / low) / math.log(high / low)
            for element in elements
            for low, high, _ in [neighbours(element.a)]
            if high > low
        }
        self._molecules = [material.molecules * _MILLIBARN for material in materials]
        self._lowest = math.log(energies[0])
        self._step = (math.log(energies[1]) - self._lowest) / (self._POINTS - 1)
        self._least_kinetic = 1.01 * least_collision_energy(energies[0])
        self._tables: dict[int, Float64] = {}

    def mean_free_paths(self, pdg: Int64, mass: Float64, energy: Float64) -> Float64:
        """Return mean free paths of hadrons; their inverse is interpolated in log(energy).

        Parameters
        ----------
        pdg : int64[n]
            Hadrons; what Pythia has no cross-section of goes on for ever.
        mass, energy : float64[n]
            Mass and total energy, GeV.

        Returns
        -------
        float64[n, materials]
            cm.
        """
        place = np.clip((np.log(energy) - self._lowest) / self._step, 0, self._POINTS - 1)
        i = np.minimum(place.astype(np.int64), self._POINTS - 2)
        above = (place - i)[:, None]
        result = np.empty((len(pdg), len(self._molecules)))
        for code in np.unique(pdg):
            rows = pdg == code
            if code not in self._tables:
                self._tables[code] = self._tabulate(int(code), float(mass[rows][0]))
            table = self._tables[code]
            result[rows] = table[i[rows]] * (1 - above[rows]) + table[i[rows] + 1] * above[rows]
        return 1 / result

    def _tabulate(self, pdg: int, mass: float) -> Float64:
        table = []
        for i in range(self._POINTS):
            energy = max(math.exp(self._lowest + i * self._step), mass + self._least_kinetic)
            vector = self._vector(0.0, 0.0, math.sqrt(energy**2 - mass**2), energy)
            if not self._pythia.sigmaSetuphN(pdg, vector, mass):
                # Below the threshold of inelastic collisions.
                table.append([_LEAST_RATE] * len(self._molecules))
                continue
            table.append(
                [
                    molecules * sum(self._per_molecule(mixture))
                    for molecules, mixture in zip(self._molecules, self._mixtures, strict=True)
                ]
            )
        return np.array(table)

    def _per_molecule(self, mixture: list[tuple[int, int, int, float]]) -> list[float]:
        """Cross-section of each element x number of atoms, mb, for the hadron that Pythia is set up for."""
        sigma = {number: self._pythia.sigmahA(number) for _, *pair, _ in mixture for number in pair}
        return [
            count * sigma[low] * (sigma[high] / sigma[low]) ** self._exponents.get((low, high), 0.0)
            for count, low, high, _ in mixture
        ]

    def draw_nucleus(self, material: int, random: random.Random) -> tuple[int, int]:
        """Draw atomic and mass number of a nucleus to hit, for the hadron that Pythia is set up for."""
        mixture = self._mixtures[material]
        chosen = mixture[0]
        if len(mixture) > 1:
            chosen = random.choices(mixture, self._per_molecule(mixture))[0]
        _, low, high, share = chosen
        a = high if random.random() < share else low
        return TABULATED[a], a
