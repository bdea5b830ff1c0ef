"""Factors that turn Pythia's pions and kaons into those that were measured.

A factor is the measured yield over Pythia's, in bins of x, the share of the projectile's momentum, and of pT
to its direction, for each kind of hadron and nucleus. Pythia's yields are a table of counts
(``hadron_yields.json``, made by ``macros/hadron_yields.py``), the measured ones those of `hadron_fit`; both
for protons of 400 GeV, and after strong and electromagnetic decays. At other energies x and pT scale.

Protons and neutrons have the factors as they are, neutrons with pi+ and pi- exchanged. Of pions and kaons as
projectiles no such fit exists. At small x hadrons do not know what made them, and nuclei act on them alike
(Barton et al., Phys. Rev. D 27 (1983) 2580): there the factor is the protons', averaged over charges; from
`_CENTRAL` to `_LEADING` it fades into that of the nucleus alone, for leading mesons are another matter. What
hyperons and antibaryons make is left as it is.

The fit falls like an exponential in pT, as its data up to 0.6 GeV do. Beyond, hard scattering takes over,
which Pythia has: at 1 GeV it makes three times as many pions as the fit goes on to. Of kaons, whose spectra
are less steep, both have the same further out. From the first to the second pT of `_DATA_END` the factors
fade to 1.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, cached_property
from importlib import resources
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from shipgen_export.simulation.physics.hadron_fit import SPECIES, yields
from shipgen_export.simulation.variations import (
    CHARGE_STEP,
    HADRON_VARIATIONS,
    KAON_STEP,
    NUCLEUS_STEP,
    PION_STEP,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.simulation.particles import Parents

#: What may be asked for: factors applied, or kept as a variation only.
HADRONS = ("data", "pythia")

#: PDG code -> place in `SPECIES`.
_PLACES = {211: 0, -211: 1, 111: 2, 321: 3, -321: 4, 130: 5, 310: 5, 311: 5, -311: 5}
WEIGHED = tuple(_PLACES)
#: The same hadron made by a neutron in place of a proton, and the mean of both charges.
_MIRRORED = np.array([1, 0, 2, 3, 4, 5])
_AVERAGED = ((0, 1), (0, 1), (2,), (3, 4), (3, 4), (5,))
_CHARGES = np.array([1, -1, 0, 1, -1, 0])
_NUCLEONS, _MESONS = (2212, 2112), (211, 321, 130, 310)
_NEUTRON = 2112

#: Factors stay within these, so that no muon's weight grows large.
_BOUNDS = (0.25, 2.5)
#: Ratios are of so many of Pythia's hadrons at least.
_LEAST_COUNT = 150
_CENTRAL, _LEADING = 0.2, 0.6
#: Up to the first pT (GeV) factors are as they are; from the second on hadrons are Pythia's.
_DATA_END = {"pi": (0.6, 1.0), "K": (1.0, 1.5)}
#: Place of the variation that exchanges data and Pythia, behind the factor itself.
_OTHER = 1 + list(HADRON_VARIATIONS).index("hadrons")
_REFERENCE = 9.012  # of the fit: beryllium


class _Yields(TypedDict):
    """Of one nucleus in the table: collisions made, their cross-section (mb), hadrons in bins of x and pT."""

    collisions: int
    cross_section: float
    counts: dict[str, list[list[int]]]


class _Table(TypedDict):
    """The file: what made it, beam momentum (GeV), edges of x and of pT (GeV), nuclei by mass number."""

    generator: str
    beam: float
    x_edges: list[float]
    pt_edges: list[float]
    nuclei: dict[str, _Yields]


class Collisions(NamedTuple):
    """What collided: PDG codes, momenta (GeV, float64[n, 3]), mass numbers of the nuclei."""

    pdg: Int64
    momentum: Float64
    nucleus: Int64


class HadronWeights:
    """Factors of pions and kaons by what made them; the table is read when they are first asked for."""

    @cached_property
    def table(self) -> _Table:
        """Pythia's yields."""
        folder = resources.files("shipgen_export.simulation.physics")
        content: _Table = json.loads((folder / "hadron_yields.json").read_text(encoding="utf-8"))
        return content

    def yields_of(self, nucleus: int, species: str) -> tuple[Float64, Float64]:
        """Return the measured and Pythia's hadrons a collision in the table's bins, float64[x, pT] each."""
        table, entry = self.table, self.table["nuclei"][str(nucleus)]
        edges = np.array(table["x_edges"]), np.array(table["pt_edges"])
        measured = yields(species, *edges, nucleus, entry["cross_section"], table["beam"])
        return measured, np.array(entry["counts"][species]) / entry["collisions"]

    def weigh(self, made: Parents, collisions: list[Collisions], *, by_data: bool) -> Parents:
        """Give pions and kaons of collisions their factors, which all that comes from them inherits.

        Parameters
        ----------
        made : Parents
            Hadrons with the numbers of their collisions.
        collisions : list of Collisions
            They are numbered through.
        by_data : bool
            Whether the weights take the factors; the variations know them in any case.
        """
        rows = np.flatnonzero((made.collision >= 0) & np.isin(made.pdg, WEIGHED))
        if not len(rows):
            return made
        pdg, momentum, nuclei = (np.concatenate(parts) for parts in zip(*collisions, strict=True))
        source = made.collision[rows]
        size = np.sqrt(np.square(momentum[source]).sum(axis=1))
        along = (made.momentum[rows] * momentum[source]).sum(axis=1) / size
        whole = np.square(made.momentum[rows]).sum(axis=1)
        pt = np.sqrt(np.maximum(whole - along**2, 0.0))
        found = self.logarithms(made.pdg[rows], np.sqrt(whole) / size, pt, nuclei[source], pdg[source])
        weight, variations = made.weight.copy(), made.variations.copy()
        if by_data:
            weight[rows] *= np.exp(found[:, 0])
        else:
            found[:, _OTHER] *= -1
        variations[rows] += found[:, 1:]
        return replace(made, weight=weight, variations=variations)

    @cached_property
    def _logarithms(self) -> Float64:
        """Logarithms of the factors: float64[nuclei, species, x, pT]."""
        result = []
        for nucleus, entry in self.table["nuclei"].items():
            both = (self.yields_of(int(nucleus), species) for species in SPECIES)
            result.append([_ratio(measured, made, entry["collisions"]) for measured, made in both])
        logarithms: Float64 = np.log(np.clip(result, *_BOUNDS))
        for species, name in enumerate(SPECIES):
            last, end = _DATA_END["K" if name.startswith("K") else "pi"]
            logarithms[:, species] *= np.clip((end - self._middles[2]) / (end - last), 0, 1)
        return logarithms

    @cached_property
    def _middles(self) -> tuple[Float64, Float64, Float64]:
        """Where the factors are known: logarithms of mass number and x, and pT."""
        x, pt = np.log(self.table["x_edges"]), np.array(self.table["pt_edges"])
        nuclei = np.log([float(nucleus) for nucleus in self.table["nuclei"]])
        return nuclei, (x[1:] + x[:-1]) / 2, (pt[1:] + pt[:-1]) / 2

    def logarithms(
        self, pdg: Int64, x: Float64, pt: Float64, mass_number: Float64, projectile: Int64
    ) -> Float64:
        """Return the logarithms of the factors of hadrons and of their variations.

        Parameters
        ----------
        pdg : int64[n]
            Of `WEIGHED`.
        x, pt : float64[n]
            Share of the projectile's momentum, and transverse momentum to it, GeV.
        mass_number : float64[n]
            Of the nucleus that was hit.
        projectile : int64[n]
            PDG code of what hit it.

        Returns
        -------
        float64[n, 1 + variations]
            Of the factor, then of `HADRON_VARIATIONS`.
        """
        place = np.select([pdg == code for code in _PLACES], list(_PLACES.values()))
        kind = np.abs(projectile)
        place = np.where(kind == _NEUTRON, _MIRRORED[place], place)
        size = np.log(np.maximum(mass_number, 1.0))
        result = np.zeros((len(pdg), 1 + len(HADRON_VARIATIONS)))
        by_nucleon = (projectile > 0) & np.isin(kind, _NUCLEONS)
        by_meson = np.isin(kind, _MESONS)
        reference = np.full(len(pdg), np.log(_REFERENCE))
        averaged = np.zeros(len(pdg))
        for species, same in enumerate(_AVERAGED):
            rows = np.flatnonzero(by_meson & (place == species))
            share = np.clip((_LEADING - x[rows]) / (_LEADING - _CENTRAL), 0, 1)
            for other in same:
                one = np.full(len(rows), other)
                there = self._at(one, x[rows], pt[rows], size[rows])
                light = self._at(one, x[rows], pt[rows], reference[rows])
                averaged[rows] += (there - (1 - share) * light) / len(same)
        nucleon = np.flatnonzero(by_nucleon)
        result[:, 0] = averaged
        result[nucleon, 0] = self._at(place[nucleon], x[nucleon], pt[nucleon], size[nucleon])
        known = by_nucleon | by_meson
        kaon = place >= SPECIES.index("K+")
        steps = {
            "pions": PION_STEP * ~kaon,
            "kaons": KAON_STEP * kaon,
            "charge": CHARGE_STEP * np.sign(pdg) * (_CHARGES[place] != 0),
            "nuclei": NUCLEUS_STEP * (size - np.log(_REFERENCE)),
            "projectiles": -averaged,
            "hadrons": -result[:, 0],
        }
        for number, name in enumerate(HADRON_VARIATIONS, 1):
            result[:, number] = steps[name] * known
        return result

    def _at(self, species: Int64, x: Float64, pt: Float64, size: Float64) -> Float64:
        """Interpolate between bins, and between nuclei by the logarithm of the mass number (`size`)."""
        total = np.zeros(len(species))
        values = (size, np.log(np.maximum(x, 1e-9)), pt)
        below, above = zip(*map(_between, values, self._middles), strict=True)
        for corner in product(*zip(below, above, strict=True)):
            (a, share_a), (b, share_b), (c, share_c) = corner
            total += share_a * share_b * share_c * self._logarithms[a, species, b, c]
        return total


@cache
def hadron_weights() -> HadronWeights:
    """Return the factors, read once a process."""
    return HadronWeights()


def _between(
    values: Float64, middles: Float64
) -> tuple[tuple[npt.NDArray[np.intp], Float64], tuple[npt.NDArray[np.intp], Float64]]:
    """Return the places below and above `values` among `middles`, each with its share; the ends go on."""
    below = np.clip(np.searchsorted(middles, values) - 1, 0, len(middles) - 2)
    share = np.clip((values - middles[below]) / (middles[below + 1] - middles[below]), 0.0, 1.0)
    return (below, 1 - share), (below + 1, share)


def _ratio(measured: Float64, made: Float64, collisions: int) -> Float64:
    """Return measured over made in bins, smoothed.

    It is the ratio of each bin of x, times the shape in pT of as many bins around as it takes for
    `_LEAST_COUNT` hadrons: yields have errors that grow with x, shapes change slowly.
    """
    result = np.empty(made.shape)
    totals = [_around(i, made.sum(axis=1) * collisions) for i in range(len(made))]
    ratios = [_share(measured[total], made[total]) for total in totals]
    for i, j in np.ndindex(made.shape):
        near = _around(i, made[:, j] * collisions)
        shape = _share(measured[near, j], made[near, j]) / _share(measured[near], made[near])
        result[i, j] = ratios[i] * shape
    return result


def _around(place: int, counts: Float64) -> slice:
    """Return the smallest range around a bin that has `_LEAST_COUNT`, or all."""
    for reach in range(len(counts)):
        part = slice(max(place - reach, 0), place + reach + 1)
        if counts[part].sum() >= _LEAST_COUNT:
            return part
    return slice(None)


def _share(measured: Float64, made: Float64) -> float:
    return float(measured.sum() / max(made.sum(), np.finfo(float).tiny))
