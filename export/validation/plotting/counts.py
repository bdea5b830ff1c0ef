"""Sums of a file's muons in the bins of a picture: by charge, with errors by proton and variations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.categories import category_by_name
from shipgen.muons.quantities import Quantities
from shipgen.progress import progress
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.counting.protons import Protons
from shipgen_export.validation.counting.variations import quadrature, steps
from shipgen_export.validation.plotting.bins import PAIRS, QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.validation.samples.samples import Sample
    from shipgen_export.validation.samples.stores import StoreBlock

    Pair = tuple[str, str]

#: Places of the charges in all arrays.
PLUS, MINUS = 0, 1


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A quantity of a file's muons, mu+ and mu- apart.

    Attributes
    ----------
    sums, variances : float64[2, b]
        Sums of weights in bins, and their variances from sums over protons.
    both : float64[b]
        Variances of the sums of both charges.
    varied : float64[v, 2, b]
        Sums of weights times the factors of each variation.
    beyond : float64[2]
        Numbers of muons outside all bins.
    """

    sums: Float64
    variances: Float64
    both: Float64
    varied: Float64
    beyond: Float64

    def __add__(self, other: Spectrum) -> Spectrum:
        return Spectrum(
            self.sums + other.sums,
            self.variances + other.variances,
            self.both + other.both,
            self.varied + other.varied,
            self.beyond + other.beyond,
        )

    def scaled(self, factor: float) -> Spectrum:
        """Return it with weights times a factor."""
        square = factor**2
        return Spectrum(
            self.sums * factor, self.variances * square, self.both * square, self.varied * factor, self.beyond
        )

    def of_protons(self, number: float) -> Spectrum:
        """Return it with variances for a number of protons that is fixed, as in a simulation."""
        return Spectrum(
            self.sums,
            self.variances - np.square(self.sums) / number,
            self.both - np.square(self.sums.sum(0)) / number,
            self.varied,
            self.beyond,
        )

    def band(self, charges: Sequence[int], chosen: Sequence[int]) -> Float64 | None:
        """Return half the height of the total band of some variations, float64[b]; ``None`` without any."""
        if not chosen:
            return None
        of = list(charges)
        return quadrature(self.varied[chosen][:, of].sum(1) - self.sums[of].sum(0))

    def charge_ratio(self, chosen: Sequence[int]) -> tuple[Float64, Float64, Float64 | None]:
        """Return mu+/mu- by bin, its error, and its band; NaN in bins that lack one charge."""
        plus, minus = self.sums
        covariance = (self.both - self.variances.sum(0)) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where((plus > 0) & (minus > 0), plus / minus, np.nan)
            relative = self.variances[PLUS] / plus**2 + self.variances[MINUS] / minus**2
            error = ratio * np.sqrt(np.maximum(relative - 2 * covariance / (plus * minus), 0))
            band = None
            if chosen:
                band = quadrature(self.varied[chosen, PLUS] / self.varied[chosen, MINUS] - ratio)
        return ratio, error, band


@dataclass(frozen=True, eq=False)
class Counted:
    """The muons of one file.

    Attributes
    ----------
    label : str
        What the picture calls it.
    per_pot : bool
        Whether weights are muons per POT.
    total : float
        Sum of weights.
    protons : bool
        Whether errors are by proton.
    variations : tuple of str
        Columns whose factors are among the sums.
    spectra : dict of str to Spectrum
        By quantity.
    tables : dict of (str, str) to float64[b, b]
        Sums of weights by pair.
    """

    label: str
    per_pot: bool
    total: float
    protons: bool
    variations: tuple[str, ...]
    spectra: dict[str, Spectrum] = field(default_factory=dict)
    tables: dict[Pair, Float64] = field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        """Places of the variations of the total band."""
        return steps(self.variations)


def count(
    sample: Sample,
    label: str,
    edges: Mapping[str, Float64],
    maps: Mapping[Pair, tuple[Float64, Float64]],
) -> Counted:
    """Fill the bins with all muons of a sample.

    Parameters
    ----------
    sample : Sample
    label : str
        What the picture calls it.
    edges : mapping of str to float64[b + 1]
        By quantity.
    maps : mapping of (str, str) to pair of float64[b + 1]
        By pair.
    """
    source = sample.source
    total = sum(one.total for one in source.surveys.values())
    found = Counted(label, sample.normalised, total, source.protons, source.variations)
    bar: AbstractContextManager[Any] = progress("counting", source.muons, "muons")
    with bar as advance:
        for block in source.blocks():
            _spectra(found, block, edges)
            _tables(found, block, maps)
            advance(sum(map(len, block.muons.values())))
    if source.protons and sample.simulated:
        for name, spectrum in found.spectra.items():
            found.spectra[name] = spectrum.of_protons(sample.simulated)
    return found


def _spectra(found: Counted, block: StoreBlock, edges: Mapping[str, Float64]) -> None:
    for name, quantity in QUANTITIES.items():
        members = [each for each in block.muons if name != "r" or not category_by_name(each).on_axis]
        if name not in edges or not members:
            continue
        charges = [PLUS if category_by_name(member).pdg < 0 else MINUS for member in members]
        one = _spectrum(
            np.concatenate([Quantities.of_rows(block.muons[m].features)[quantity] for m in members]),
            np.concatenate([block.muons[m].weights for m in members]),
            np.concatenate([block.muons[m].group for m in members]),
            np.repeat(charges, [len(block.muons[m]) for m in members]),
            np.concatenate([block.factors[m] for m in members]) if found.variations else None,
            edges[name],
        )
        found.spectra[name] = found.spectra[name] + one if name in found.spectra else one


def _spectrum(
    values: Float64, weights: Float64, group: Int64, charge: Int64, factors: Any, edges: Float64
) -> Spectrum:
    bins = len(edges) - 1
    place = np.searchsorted(edges, values, side="right") - 1
    heavy = weights > 0
    inside = heavy & (place >= 0) & (place < bins)
    beyond = np.bincount(charge[heavy & ~inside], minlength=2).astype(np.float64)
    place, weights = place[inside], weights[inside]
    cells = charge[inside] * bins + place
    protons = Protons(WeightedMuons(np.zeros((0, 0), np.float32), weights, group[inside]))

    def sums(weights: Float64) -> Float64:
        found: Float64 = np.bincount(cells, weights, minlength=2 * bins).reshape(2, bins).astype(np.float64)
        return found

    varied = np.zeros((0, 2, bins))
    if factors is not None:
        varied = np.stack([sums(weights * column) for column in factors[inside].T])
    variances = protons.variances(cells, 2 * bins).reshape(2, bins)
    return Spectrum(sums(weights), variances, protons.variances(place, bins), varied, beyond)


def _tables(found: Counted, block: StoreBlock, maps: Mapping[Pair, tuple[Float64, Float64]]) -> None:
    for pair in PAIRS:
        for name, muons in block.muons.items():
            if pair not in maps or (pair == ("x", "y") and category_by_name(name).on_axis):
                continue
            values = Quantities.of_rows(muons.features)
            table = np.histogram2d(values[pair[0]], values[pair[1]], maps[pair], weights=muons.weights)[0]
            found.tables[pair] = found.tables.get(pair, np.zeros_like(table)) + table
