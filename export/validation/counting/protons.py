"""Sums over the protons that muons come from; see `statistics` for what they are good for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.merit.weighted_muons import WeightedMuons

#: Pairs of muons of a proton up to which they are added up one by one, on average a proton.
_PAIRS = 35

#: Numbers in a table of protons and bins, up to which it is quicker than sorting.
_TABLE = 4_000_000

#: Protons whose sums are in memory at a time: few enough for the processor's own.
_PROTONS = 8192


class Protons:
    """The protons of some muons.

    Parameters
    ----------
    muons : WeightedMuons
        Grouped by the numbers of their protons.

    Attributes
    ----------
    number : int
        How many protons there are.
    sums : float64[number]
        Sum of weights of each.
    """

    def __init__(self, muons: WeightedMuons) -> None:
        self._weights = muons.weights
        self.number = 0
        if len(muons):
            present = np.bincount(muons.group) > 0
            self.number = int(present.sum())
            self._of = (np.cumsum(present) - 1)[muons.group]
        else:
            self._of = np.zeros(0, np.int64)
        self._sizes = np.bincount(self._of, minlength=self.number)
        self.sums = sums_of(self._of, self._weights, self.number)
        self._order: Int64 | None = None
        pairs = int(np.square(self._sizes).sum())
        self._single = self.number == len(muons)
        self._one_by_one = pairs <= _PAIRS * self.number

    def moments(self, place: Int64, bins: int) -> Float64:
        """Return the sum over protons of w_g w_g^T, float64[bins, bins]; `place` is each muon's bin."""
        if self._single:
            return np.diag(np.bincount(place, np.square(self._weights), minlength=bins))
        return self._of_pairs(place, bins) if self._one_by_one else self._of_tables(place, bins)

    def variances(self, place: Int64, bins: int) -> Float64:
        """Return the sum over protons of the squares of their sums in each bin: the diagonal of `moments`."""
        if self._single:
            return np.asarray(np.bincount(place, np.square(self._weights), minlength=bins), np.float64)
        if self.number * bins <= _TABLE:
            cell = self._of * bins + place
            table = np.bincount(cell, self._weights, minlength=self.number * bins).reshape(-1, bins)
            return np.asarray(np.square(table).sum(0), np.float64)
        cells, inverse = np.unique(self._of * bins + place, return_inverse=True)
        sums = np.bincount(inverse, self._weights, minlength=len(cells))
        return np.asarray(np.bincount(cells % bins, np.square(sums), minlength=bins), np.float64)

    def above(self, place: Int64, points: int) -> tuple[Float64, Float64]:
        """Return sums over protons of I_g^2 and I_g W_g, with I_g the weight at or above each place.

        Parameters
        ----------
        place : int64[n]
            Number of thresholds that each muon is above, 0 to `points`.
        points : int
            How many thresholds there are.

        Returns
        -------
        float64[points], float64[points]
            As of `squares`, for the muons above each threshold.
        """
        if self._single:
            counted = np.bincount(place, np.square(self._weights), minlength=points + 1)
            above = np.asarray(np.cumsum(counted[::-1])[::-1][1:], np.float64)
            return above, above
        squares, products = np.zeros(points), np.zeros(points)
        order = self._sorted()
        ends = np.cumsum(self._sizes)
        for first in range(0, self.number, _PROTONS):
            last = min(first + _PROTONS, self.number)
            these = order[ends[first] - self._sizes[first] : ends[last - 1]]
            cell = (self._of[these] - first) * (points + 1) + place[these]
            table = np.bincount(cell, self._weights[these], minlength=(last - first) * (points + 1))
            inside = np.cumsum(table.reshape(-1, points + 1)[:, ::-1], 1)[:, ::-1]
            squares += np.square(inside[:, 1:]).sum(0)
            products += inside[:, 0] @ inside[:, 1:]
        return squares, products

    def squares(self, inside: Any) -> tuple[float, float]:
        """Return sums over protons of I_g^2 and I_g W_g, with I_g the weight that is `inside`, bool[n]."""
        if self._single:
            square = float(np.square(self._weights[inside]).sum())
            return square, square
        sums = np.bincount(self._of, self._weights * inside, minlength=self.number)
        return float(sums @ sums), float(sums @ self.sums)

    def _sorted(self) -> Int64:
        if self._order is None:
            self._order = np.argsort(self._of, kind="stable")
        return self._order

    def _of_pairs(self, place: Int64, bins: int) -> Float64:
        """Go over pairs of muons of one proton that are so many places apart."""
        order = self._sorted()
        place, weights, group = place[order], self._weights[order], self._of[order]
        moments: Float64 = np.zeros((bins, bins))
        first = np.arange(len(place))
        for lag in range(int(self._sizes.max())):
            first = first[: np.searchsorted(first, len(place) - lag)]
            first = first[group[first] == group[first + lag]]
            product = weights[first] * weights[first + lag]
            cell = place[first] * bins + place[first + lag]
            table = np.bincount(cell, product, minlength=bins * bins).reshape(bins, bins)
            moments += table + table.T if lag else table
        return moments

    def _of_tables(self, place: Int64, bins: int) -> Float64:
        """Make a table of protons and bins, where protons have many muons each."""
        order, moments = self._sorted(), np.zeros((bins, bins))
        ends = np.cumsum(self._sizes)
        for first in range(0, self.number, _PROTONS):
            last = min(first + _PROTONS, self.number)
            these = order[ends[first] - self._sizes[first] : ends[last - 1]]
            cell = (self._of[these] - first) * bins + place[these]
            table = np.bincount(cell, self._weights[these], minlength=(last - first) * bins)
            table = table.reshape(-1, bins)
            moments += table.T @ table
        return moments


def sums_of(place: Int64, weights: Float64, number: int) -> Float64:
    """Return sums of weights by place, float64[number]."""
    return np.asarray(np.bincount(place, weights, minlength=number), np.float64)


def effective(muons: WeightedMuons) -> tuple[float, float]:
    """Return how many equal weights would carry the same statistics, by muon and by proton."""
    total = muons.weights.sum() ** 2
    sums = np.bincount(np.unique(muons.group, return_inverse=True)[1], muons.weights)
    return float(total / np.square(muons.weights).sum()), float(total / np.square(sums).sum())
