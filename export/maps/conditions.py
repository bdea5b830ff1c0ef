"""Conditions of a network: quantities of a muon as normal numbers, which it is given with its noise.

Each condition is ranked among the muons that are alike in the conditions before it (M. Rosenblatt, Ann. Math.
Stat. 23 (1952) 470), so that all of them together are independent standard normal numbers. A network that is
trained with them takes them as further latents: drawn like the others they give the sample's own
distribution, and choosing them chooses the muons' kinematics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.quantities import Quantities
from shipgen_export.sample.sample import effective_size
from shipgen_export.sample.transforms import Normalisation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float64
    from shipgen_export.sample.sample import CategorySample

#: Normal numbers at which quantiles are kept; beyond the last ones a condition is at its end.
_KNOTS = np.linspace(-4.5, 4.5, 145)

#: Cells that each earlier condition is divided into for the second, third and fourth one, at most.
_CELLS = (64, 16, 8)

#: Muons a cell at least, on average.
_IN_A_CELL = 300


@dataclass(frozen=True, eq=False)
class Conditions:
    """Quantities of a category's muons <-> independent normal numbers.

    Attributes
    ----------
    category : Category
        The muons'.
    names : tuple of str
        Of `shipgen.muons.quantities.QUANTITIES`, in their order.
    tables : tuple of float64[cells..., knots]
        For each condition its quantiles at the knots in every cell of the conditions before it.
    limits : tuple of float
        For each condition the largest normal number that the muons of a cell reach.
    """

    category: Category
    names: tuple[str, ...]
    tables: tuple[Float64, ...] = ()
    limits: tuple[float, ...] = ()

    @classmethod
    def fit(cls, sample: CategorySample, names: Sequence[str]) -> Self:
        """Tabulate the quantiles of the part ``train``.

        Raises
        ------
        InputError
            A quantity is not a number there.
        """
        features, weights = sample.part("train")
        kept = weights > 0
        features, weights = features[kept], weights[kept]
        made = cls(sample.category, tuple(names))
        values = made.values(features.astype(np.float64))
        if not np.isfinite(values).all():
            raise InputError(f"{', '.join(names)} cannot be conditions: one of them is not finite")
        normal = np.empty_like(values)
        random = np.random.default_rng(0)
        size = effective_size(weights)
        for k in range(len(names)):
            cells = _cells(size, k)
            place = _places(normal[:, :k], cells)
            table = _quantiles(values[:, k], weights, place, cells**k)
            limit = -NormalDist().inv_cdf(min(0.25, cells**k / size))
            tables = (*made.tables, table.reshape(*[cells] * k, -1))
            made = replace(made, tables=tables, limits=(*made.limits, limit))
            normal[:, k] = made._ranked(values[:, k], normal[:, :k], random)  # noqa: SLF001
        return made

    def values(self, features: Float64) -> Float64:
        """Return the quantities themselves, float64[n, d] -> float64[n, conditions]."""
        q = Quantities.of_features(self.category, features.T, 0.0)
        return np.stack([q[name] for name in self.names], axis=1)

    def forward(self, features: Float64, random: np.random.Generator | None = None) -> Float64:
        """Return the normal numbers of muons, float64[n, d] -> float64[n, conditions].

        Parameters
        ----------
        features : float64[n, d]
            cm, GeV.
        random : numpy.random.Generator, optional
            Spreads values that many muons share; always the same numbers when not given.
        """
        random = np.random.default_rng(1) if random is None else random
        values = self.values(features)
        normal = np.empty_like(values)
        for k in range(len(self.names)):
            normal[:, k] = self._ranked(values[:, k], normal[:, :k], random)
        return normal

    def inverse(self, normal: Float64) -> Float64:
        """Return the quantities that normal numbers stand for, float64[n, conditions] both."""
        values = np.empty_like(normal)
        for k, table in enumerate(self.tables):
            rows = self._rows(table, normal[:, :k])
            values[:, k] = _interpolate(rows, normal[:, k])
        return values

    def _rows(self, table: Float64, earlier: Float64) -> Float64:
        """Return the table's row of each muon, float64[n, knots]."""
        cells = table.shape[0] if table.ndim > 1 else 1
        return np.asarray(table.reshape(-1, len(_KNOTS))[_places(earlier, cells)])

    def _ranked(self, values: Float64, earlier: Float64, random: np.random.Generator) -> Float64:
        """Return the normal numbers of one condition; of equal quantiles any that fits."""
        rows = self._rows(self.tables[earlier.shape[1]], earlier)
        n = len(values)
        # How many knots lie below and not above each value.
        below = (rows < values[:, None]).sum(1)
        reached = (rows <= values[:, None]).sum(1)
        last = len(_KNOTS) - 1
        low = np.clip(below - 1, 0, last - 1)
        left, right = rows[np.arange(n), low], rows[np.arange(n), low + 1]
        width = right - left
        share = np.divide(values - left, width, out=np.zeros(n), where=width > 0)
        between = low + np.clip(share, 0, 1)
        spread = below + random.random(n) * np.maximum(reached - 1 - below, 0)
        place = np.where(reached - below > 1, spread, between)
        limit = self.limits[earlier.shape[1]]
        return np.asarray(np.clip(np.interp(place, np.arange(len(_KNOTS)), _KNOTS), -limit, limit))


def _cells(muons: float, before: int) -> int:
    """Return into how many cells each earlier condition is divided."""
    if before == 0:
        return 1
    most = _CELLS[min(before, len(_CELLS)) - 1]
    return int(np.clip((muons / _IN_A_CELL) ** (1 / before), 1, most))


def _places(earlier: Float64, cells: int) -> Any:
    """Return the cell of each muon, int[n]; all are equally likely."""
    place = np.zeros(len(earlier), np.int64)
    edges = [NormalDist().inv_cdf(k / cells) for k in range(1, cells)]
    for column in earlier.T:
        place = place * cells + np.searchsorted(edges, column, side="right")
    return place


def _quantiles(values: Float64, weights: Float64, place: Any, cells: int) -> Float64:
    """Return weighted quantiles at the knots in each cell, float64[cells, knots]."""
    below = np.array([NormalDist().cdf(knot) for knot in _KNOTS])
    order = np.lexsort((values, place))
    values, weights, place = values[order], weights[order], place[order]
    starts = np.searchsorted(place, np.arange(cells + 1))
    found = np.empty((cells, len(_KNOTS)))
    whole = np.sort(values)
    for cell in range(cells):
        own = slice(starts[cell], starts[cell + 1])
        if starts[cell] == starts[cell + 1]:
            # No muon is there: what is drawn there anyway is taken from all.
            found[cell] = np.quantile(whole, below)
            continue
        middle = np.cumsum(weights[own]) - weights[own] / 2
        found[cell] = np.interp(below, middle / weights[own].sum(), values[own])
    return found


def _interpolate(rows: Float64, normal: Float64) -> Float64:
    """Return each row at a normal number, linear between knots."""
    place = np.interp(normal, _KNOTS, np.arange(len(_KNOTS)))
    low = np.minimum(place.astype(np.int64), len(_KNOTS) - 2)
    index = np.arange(len(rows))
    left, right = rows[index, low], rows[index, low + 1]
    return np.asarray(left + (place - low) * (right - left))


@dataclass(frozen=True, eq=False)
class ConditionedNormalisation(Normalisation):
    """A normalisation whose `forward` gives the conditions' normal numbers behind the features."""

    conditions: Conditions | None = None

    def forward(self, values: Float64) -> Float64:
        """Physical -> normalised features and conditions, float64[n, d] -> float64[n, d + conditions]."""
        assert self.conditions is not None  # noqa: S101 (`conditioned` gives them)
        return np.concatenate([super().forward(values), self.conditions.forward(values)], axis=1)


def conditioned(sample: CategorySample, names: Sequence[str]) -> CategorySample:
    """Return the sample with conditions behind its normalised features; the same one without names."""
    if not names:
        return sample
    known = {name: getattr(sample.normalisation, name) for name in Normalisation.__dataclass_fields__}
    conditions = Conditions.fit(sample, names)
    return replace(sample, normalisation=ConditionedNormalisation(**known, conditions=conditions))
