"""Each coordinate by itself as a normal number, by a table of its weighted quantiles; smooth in the tails.

A network that makes normal numbers need not learn thresholds, gaps and tails of single coordinates: the table
has them. Beyond a high quantile the sample's own muons are few, and a generalised Pareto distribution stands
for them: J. Pickands, Ann. Statist. 3 (1975) 119.

A density that jumps, as the depth's does where materials meet, is blurred by a table whose knots lie beside
the edges: a gap of little weight would be filled from its neighbours. So where edges are known the table
gives places on a ruler instead, and the ruler, which has a mark at every edge, the coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen_export.maps.smoothing import LIMIT, Distribution, Slabs, fit_smooth, shares_below
from shipgen_export.sample.sample import effective_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float64, Int64

CELLS = 2048

#: Distance of a ruler's marks in normal numbers, at most and at least, and how many a gap should have.
_WIDEST, _NARROWEST, _MARKS_A_GAP = 2 * LIMIT / 4096, 2 * LIMIT / 65_536, 8
#: Muons between two marks where no edge is known.
_MUONS_A_MARK = 20
#: How far apart, in normal numbers, the muons are counted for a ruler, at most.
_STRETCH = 0.05

#: The tail that a smooth distribution stands for: what holds so many effective muons, or this share of the
#: weight.
_TAIL_SHARE, _TAIL_MUONS = 2e-4, 2_000
#: A share above which too little of the sample would be left as it is.
_LARGEST_TAIL_SHARE = 0.02
#: How far beyond the largest muon the tail may reach, in units of the tail's length in the sample.
_REACH = 0.25


@dataclass(frozen=True, eq=False)
class Marginal:
    """One coordinate <-> a standard normal number.

    Attributes
    ----------
    values : float64[cells + 1]
        What equidistant normal numbers from -`LIMIT` to `LIMIT` stand for, not decreasing; linear between:
        values of the coordinate, or, with a ruler, places on it.
    ruler : float64[m], optional
        The coordinate at the places 0 to m - 1, increasing; linear between.
    facts : dict
        How it was made, plain values: see `shipgen_export.maps.smoothing.fit_smooth`.
    """

    values: Float64
    ruler: Float64 | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """How many cells the table has."""
        return len(self.values) - 1

    @classmethod
    def fit(
        cls,
        values: Float64,
        weights: Float64,
        *,
        edges: Sequence[float] = (),
        materials: Sequence[int] = (),
        ruled: bool = False,
        smooth_tail: bool = True,
        cells: int = CELLS,
        protons: Int64 | None = None,
        origin: Distribution | None = None,
    ) -> Self:
        """Make the table of weighted quantiles.

        Parameters
        ----------
        values, weights : float64[n]
            The coordinate of each muon and its weight.
        edges : sequence of float
            Where the density jumps.
        materials : sequence of int
            The material between each two edges, where known.
        ruled : bool
            Whether it may jump where no edge is known: then the ruler has the sample's quantiles as marks,
            as finely as the muons allow.
        smooth_tail : bool
            Replace the upper tail by a generalised Pareto distribution, where there are muons enough to fit
            it.
        cells : int
            Of the table.
        protons : int64[n], optional
            The proton of each muon: then the distribution is as smooth as their number allows, unless it may
            jump at unknown places.
        origin : Distribution, optional
            As for `shipgen_export.maps.smoothing.fit_smooth`.

        Raises
        ------
        InputError
            There is no muon with weight, or a value is not finite.
        """
        from scipy.special import ndtr

        kept = weights > 0
        protons = None if protons is None else protons[kept]
        values, weights = np.asarray(values, np.float64)[kept], np.asarray(weights, np.float64)[kept]
        if not len(values):
            raise InputError("cannot make a table of quantiles without muons")
        if not np.isfinite(values).all():
            raise InputError("cannot make a table of quantiles: a value is NaN or infinite")
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        below = shares_below(weights)
        tail = Tail.fit(values, weights) if smooth_tail else None
        facts: dict[str, Any] = {}
        # Jumps at unknown places would be smoothed away.
        if protons is not None and (len(edges) or not ruled):
            slabs = Slabs(tuple(edges), tuple(materials))
            (values, below), facts = fit_smooth(values, weights, protons[order], slabs, origin)
        normal = np.linspace(-LIMIT, LIMIT, cells + 1)
        table = np.interp(ndtr(normal), below, values)
        table[0], table[-1] = values[0], values[-1]
        if tail is not None:
            above = ndtr(-normal)
            beyond = above < tail.share
            table[beyond] = np.maximum(tail.quantile(above[beyond]), tail.threshold)
        table = np.maximum.accumulate(table)
        inside = np.unique([edge for edge in edges if table[0] < edge < table[-1]])
        if not len(inside) and not ruled:
            return cls(table, facts=facts)
        ends = (table[0], table[-1])
        if len(inside):
            ruler = _ruler(values, below, inside, ends)
        else:
            ruler = _quantiles(values, below, ends, effective_size(weights))
        # At its own marks too: between two knots the share rises evenly with the value, not with the place.
        marks = np.union1d(values, ruler)
        shares = np.interp(marks, values, below)
        places = np.interp(ndtr(normal), shares, np.interp(marks, ruler, np.arange(len(ruler))))
        beyond = table > values[-1]
        places[beyond] = np.interp(table[beyond], ruler, np.arange(len(ruler)))
        places[0], places[-1] = 0, len(ruler) - 1
        return cls(np.maximum.accumulate(places), ruler, facts)

    def distribution(self) -> Distribution:
        """Return what the table says, as values and the share of the weight below each."""
        from scipy.special import ndtr

        normal = np.linspace(-LIMIT, LIMIT, self.cells + 1)
        if self.ruler is not None:
            # Every mark of the ruler, for it has the edges.
            marks = np.interp(np.arange(len(self.ruler)), self.values, normal)
            normal = np.unique(np.concatenate([normal, marks]))
        values = self.from_normal(normal)
        below = ndtr(normal)
        below[0], below[-1] = 0.0, 1.0
        return Distribution(values, below)

    def to_normal(self, values: Float64, random: np.random.Generator) -> Float64:
        """Return the normal number of each value, float64[n]; equal values are spread over their part.

        Parameters
        ----------
        values : float64[n]
            What lies outside the table is put at its end.
        random : numpy.random.Generator
            Spreads values that many muons share.
        """
        if self.ruler is not None:
            values = np.interp(values, self.ruler, np.arange(len(self.ruler)))
        values = np.clip(values, self.values[0], self.values[-1])
        # The knots that equal the value are `first` to `last`; none if `last` is `first` - 1.
        first = np.searchsorted(self.values, values, side="left")
        last = np.searchsorted(self.values, values, side="right") - 1
        cell = np.maximum(first - 1, 0)
        width = self.values[first] - self.values[cell]
        between = cell + (values - self.values[cell]) / np.where(width > 0, width, 1.0)
        spread = first + random.random(len(values)) * (last - first)
        place = np.where(last >= first, spread, between)
        return np.asarray(place * (2 * LIMIT / self.cells) - LIMIT)

    def from_normal(self, normal: Float64) -> Float64:
        """Return the coordinate of each normal number, float64[n]; beyond the table it is the table's end."""
        place = np.clip((np.asarray(normal, np.float64) + LIMIT) * (self.cells / (2 * LIMIT)), 0, self.cells)
        values = _between(self.values, place)
        return values if self.ruler is None else _between(self.ruler, values)


def _between(table: Float64, place: Float64) -> Float64:
    """Interpolate `table` at fractional indices."""
    cell = np.minimum(place.astype(np.int64), len(table) - 2)
    return np.asarray(table[cell] + (place - cell) * (table[cell + 1] - table[cell]))


def _ruler(values: Float64, below: Float64, edges: Float64, ends: tuple[float, float]) -> Float64:
    """Return a ruler with a mark at every edge, on which the muons' density is even and close to normal.

    Its marks are equidistant between edges, and as many as the normal number rises by there, in units that
    leave several marks to the thinnest gap; taken over stretches short enough for a density to be constant.

    Parameters
    ----------
    values, below : float64[n]
        Ascending values and the share of the weight below each.
    edges : float64[m]
        Where the density jumps, ascending.
    ends : (float, float)
        First and last mark.
    """
    from scipy.special import ndtr, ndtri

    stretches = ndtr(np.arange(-LIMIT, LIMIT + _STRETCH, _STRETCH))
    marks = np.unique([*ends, *edges, *np.clip(np.interp(stretches, below, values), *ends)])

    def normal(places: Float64) -> Float64:
        return np.asarray(np.clip(ndtri(np.interp(places, values, below)), -LIMIT, LIMIT))

    thinnest = np.diff(normal(edges)).min(initial=np.inf)
    unit = np.clip(thinnest / _MARKS_A_GAP, _NARROWEST, _WIDEST)
    counts = np.maximum(np.rint(np.diff(normal(marks)) / unit), 1).astype(np.int64)
    parts = [
        low + (high - low) * np.arange(count) / count
        for (low, high), count in zip(pairwise(marks), counts, strict=True)
    ]
    return np.concatenate([*parts, marks[-1:]])


def _quantiles(values: Float64, below: Float64, ends: tuple[float, float], muons: float) -> Float64:
    """Return a ruler with a mark at each of many quantiles, equidistant in normal numbers.

    Parameters
    ----------
    values, below : float64[n]
        Ascending values and the share of the weight below each.
    ends : (float, float)
        First and last mark.
    muons : float
        Effective number of muons, of which so many are to lie between two marks on average.
    """
    from scipy.special import ndtr

    count = int(np.clip(muons / _MUONS_A_MARK, CELLS, 2 * LIMIT / _NARROWEST))
    shares = ndtr(np.linspace(-LIMIT, LIMIT, count + 1))
    return np.unique([*ends, *np.clip(np.interp(shares, below, values), *ends)])


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto distribution beyond a threshold.

    Attributes
    ----------
    threshold : float
        Where it starts.
    share : float
        Share of the weight beyond.
    scale, shape : float
        Its parameters: P(v > threshold + t) = share (1 + shape t / scale)^(-1 / shape).
    largest : float
        Values end here.
    """

    threshold: float
    share: float
    scale: float
    shape: float
    largest: float

    @classmethod
    def fit(cls, values: Float64, weights: Float64) -> Self | None:
        """Fit the upper tail of sorted `values` by weighted maximum likelihood; ``None`` with too few muons.

        Parameters
        ----------
        values, weights : float64[n]
            Ascending values and the weights of their muons, above zero.
        """
        from scipy.optimize import minimize

        share = max(_TAIL_SHARE, _TAIL_MUONS / effective_size(weights))
        if share > _LARGEST_TAIL_SHARE:
            return None
        above = np.cumsum(weights[::-1])[::-1] / weights.sum()
        first = int(np.searchsorted(-above, -share))
        threshold = float(values[first - 1])
        excess, weight = values[first:] - threshold, weights[first:] / weights[first:].sum()
        mean = float(np.sum(weight * excess))
        if not mean > 0:
            return None

        def loss(parameters: Any) -> float:
            scale, shape = mean * np.exp(parameters[0]), parameters[1]
            inside = 1 + shape * excess / scale
            if inside.min() <= 0:
                return np.inf
            logarithm = np.log(inside) / shape if abs(shape) > 1e-6 else excess / scale
            return float(np.log(scale) + (1 + shape) * np.sum(weight * logarithm))

        best = minimize(loss, (0.0, 0.05), method="Nelder-Mead")
        if not best.success:
            return None
        largest = float(values[-1]) + _REACH * float(excess[-1])
        return cls(threshold, float(above[first]), mean * float(np.exp(best.x[0])), float(best.x[1]), largest)

    def quantile(self, above: Float64) -> Float64:
        """Return the value that is exceeded with probability `above`, for values up to `share`."""
        ratio = np.log(self.share / above)
        excess = (
            self.scale * np.expm1(self.shape * ratio) / self.shape
            if abs(self.shape) > 1e-6
            else self.scale * ratio
        )
        return np.minimum(self.threshold + excess, self.largest)
