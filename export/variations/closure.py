"""Whether mean factors give the sums that a sample's own factors give: in all, and in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from shipgen.muons.quantities import Quantities
from shipgen_export.variations.fit import BINNED, BINS, bin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from shipgen.muons.columns import Float32, Float64, Int64

#: A bin agrees within this share of its sum, or within so many standard deviations.
TOLERANCE, DEVIATIONS = 0.01, 2.0

#: Effective muons that a bin needs to be looked at.
_FEWEST = 10.0


class Closure(TypedDict):
    """What was found of one variation: sums by mean factors over sums by the sample's, minus 1.

    ``mean`` is the sample's mean factor, ``difference`` that of all muons with its ``error`` (by proton),
    ``bins`` how many were looked at, ``outside`` how many agree neither within 1 % nor two standard
    deviations, ``worst`` the one of these that is furthest off, in standard deviations, else ``None``.
    """

    mean: float
    difference: float
    error: float
    bins: int
    outside: int
    worst: Worst | None


class Worst(TypedDict):
    """A bin: quantity, its ends, difference and error."""

    quantity: str
    low: float
    high: float
    difference: float
    error: float


def closure(
    features: Float32,
    weights: Float64,
    protons: Int64,
    own: Mapping[str, Float32],
    made: Mapping[str, Float64],
    start: float,
) -> dict[str, Closure]:
    """Compare the sample's factors with the mean ones of a network at the same muons.

    Parameters
    ----------
    features : float32[n, d]
        (x, y,) z, px, py, pz in cm and GeV.
    weights : float64[n]
    protons : int64[n]
        Muons of the same one are not independent.
    own, made : mapping of str to float[n]
        Factors by column; those of `own` are compared.
    start : float
        z of the target's start, cm.
    """
    q = Quantities.of_rows(features.astype(np.float64), start)
    _, proton = np.unique(protons, return_inverse=True)
    binned = {name: _Bins.of(name, q[name], weights, proton) for name in BINNED if name in q}
    whole = _Bins.of("", np.zeros(len(weights)), weights, proton)
    found = {}
    for column, factors in own.items():
        given = np.asarray(factors, np.float64)
        sums = weights * given, weights * (made[column] - given)
        (difference,), (error,) = whole.compare(*sums)
        bins, outside, worst = 0, 0, None
        for name, each in binned.items():
            differences, errors = each.compare(*sums)
            bins += int(each.enough.sum())
            off = np.abs(differences) > np.maximum(TOLERANCE, DEVIATIONS * errors)
            for number in np.flatnonzero(off & each.enough):
                outside += 1
                here = float(differences[number]), float(errors[number])
                if worst is None or abs(here[0]) / here[1] > abs(worst["difference"]) / worst["error"]:
                    low, high = float(each.low[number]), float(each.high[number])
                    worst = Worst(quantity=name, low=low, high=high, difference=here[0], error=here[1])
        found[column] = Closure(
            mean=float(sums[0].sum() / weights.sum()),
            difference=float(difference),
            error=float(error),
            bins=bins,
            outside=outside,
            worst=worst,
        )
    return found


@dataclass(frozen=True, eq=False)
class _Bins:
    """Muons in bins of a quantity, and within these by proton."""

    place: Int64
    cell: Int64
    bin_of_cell: Int64
    enough: NDArray[np.bool_]
    low: Float64
    high: Float64

    @classmethod
    def of(cls, name: str, values: Float64, weights: Float64, proton: Int64) -> _Bins:
        """Sort muons into bins; `enough` says which hold muons that count."""
        place = bin_of(name, values)
        cells, cell = np.unique(proton * BINS + place, return_inverse=True)
        sums, squares = (np.bincount(place, each, minlength=BINS) for each in (weights, weights**2))
        low, high = np.full(BINS, np.inf), np.full(BINS, -np.inf)
        np.minimum.at(low, place, values)
        np.maximum.at(high, place, values)
        enough = (squares > 0) & (sums**2 >= _FEWEST * squares)
        return cls(place, cell.astype(np.int64), cells % BINS, enough, low, high)

    def compare(self, wanted: Float64, difference: Float64) -> tuple[Float64, Float64]:
        """Return sums of differences over those of what is wanted, and their errors, a bin each."""
        sums = np.bincount(self.place, wanted, minlength=BINS)
        total = np.bincount(self.place, difference, minlength=BINS)
        by_proton = np.bincount(self.cell, difference)
        square = np.bincount(self.bin_of_cell, by_proton**2, minlength=BINS)
        there = sums > 0
        found = np.divide(total, sums, out=np.zeros(BINS), where=there)
        error = np.divide(np.sqrt(square), sums, out=np.zeros(BINS), where=there)
        # Where factors do not differ at all, only rounding does.
        return found[self.used], np.maximum(error, 1e-12)[self.used]

    @property
    def used(self) -> slice:
        """All bins, or the only one."""
        return slice(0, int(self.place.max()) + 1 if not self.place.any() else BINS)
