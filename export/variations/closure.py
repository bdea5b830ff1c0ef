"""Whether mean factors give the sums that a sample's own factors give: in all, and in bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from shipgen.muons.quantities import Quantities
from shipgen_export.variations.fit import BINNED, bin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    places = {name: bin_of(name, q[name]) for name in BINNED if name in q}
    _, proton = np.unique(protons, return_inverse=True)
    found = {}
    for column, factors in own.items():
        wanted = weights * np.asarray(factors, np.float64)
        difference = weights * (made[column] - np.asarray(factors, np.float64))
        whole, error = _relative(wanted, difference, proton)
        bins, outside, worst = 0, 0, None
        for name, place in places.items():
            for number in np.unique(place):
                chosen = np.flatnonzero(place == number)
                if weights[chosen].sum() ** 2 < _FEWEST * np.square(weights[chosen]).sum():
                    continue
                bins += 1
                here, own_error = _relative(wanted[chosen], difference[chosen], proton[chosen])
                if abs(here) <= max(TOLERANCE, DEVIATIONS * own_error):
                    continue
                outside += 1
                if worst is None or abs(here) / own_error > abs(worst["difference"]) / worst["error"]:
                    values = q[name][chosen]
                    ends = float(values.min()), float(values.max())
                    worst = Worst(quantity=name, low=ends[0], high=ends[1], difference=here, error=own_error)
        mean = float(wanted.sum() / weights.sum())
        found[column] = Closure(
            mean=mean, difference=whole, error=error, bins=bins, outside=outside, worst=worst
        )
    return found


def _relative(wanted: Float64, difference: Float64, proton: Int64) -> tuple[float, float]:
    """Return the sum of differences over that of what is wanted, and its error."""
    whole = float(wanted.sum())
    _, of = np.unique(proton, return_inverse=True)
    sums = np.bincount(of, difference)
    return float(difference.sum()) / whole, max(float(np.sqrt(np.square(sums).sum())) / whole, 1e-12)
