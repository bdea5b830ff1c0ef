"""Targets in bins of p and pT: factors to enhance each by, or the distribution that muons shall have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from shipgen.errors import InputError
from shipgen_export.enhance.regions.targets import Fixed

if TYPE_CHECKING:
    from typing import Any

    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.regions.targets import Values


@dataclass(frozen=True, eq=False)
class Table(Fixed):
    """Weights in bins of p and pT, 0 outside of them.

    Attributes
    ----------
    p_edges, pt_edges : float64[m + 1], float64[n + 1]
        Increasing, GeV.
    weights : float64[m, n]
        Not negative, some above zero.
    text : str
        Where they came from.
    """

    p_edges: Float64
    pt_edges: Float64
    weights: Float64
    text: str = "table"
    scales: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        """Raise `InputError` unless edges and weights fit."""
        for name, edges in (("p", self.p_edges), ("pt", self.pt_edges)):
            if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or np.isinf(edges).all():
                raise InputError(f"{self.text}: the edges of {name} are not increasing numbers")
        if self.weights.shape != (len(self.p_edges) - 1, len(self.pt_edges) - 1):
            raise InputError(
                f"{self.text}: {self.weights.shape} weights do not fit {len(self.p_edges)} edges of p and "
                f"{len(self.pt_edges)} of pt"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise InputError(f"{self.text}: a weight is negative or not finite")
        if not self.weights.any():
            raise InputError(f"{self.text}: all weights are 0, so that nothing is asked for")

    def scaled(self, values: Values) -> Table:
        """Return it with the spreads of p and pT."""
        p, pt = (float(np.std(values[name])) for name in ("p", "pt"))
        return replace(self, scales=(p or 1.0, pt or 1.0))

    def importance(self, values: Values) -> Float64:
        """Return the weight of each muon's bin."""
        return self._in_bins(values, self.weights)

    def _places(self, values: Values) -> tuple[Any, Any]:
        """Return the number of each muon's bin, int[n], and whether it is in one, bool[n]."""
        i = np.searchsorted(self.p_edges, values["p"], side="right") - 1
        j = np.searchsorted(self.pt_edges, values["pt"], side="right") - 1
        m, n = self.weights.shape
        inside = (i >= 0) & (i < m) & (j >= 0) & (j < n)
        return np.where(inside, i * n + j, 0), inside

    def _in_bins(self, values: Values, content: Float64) -> Float64:
        """Return the content, float64[m, n], of each muon's bin, 0 outside of them."""
        place, inside = self._places(values)
        return np.where(inside, content.ravel()[place], 0.0)

    def distance(self, values: Values) -> Float64:
        """Return the way to the nearest bin of weight, in units of the spreads of p and pT."""
        found = np.full(len(values["p"]), np.inf)
        for i, j in np.argwhere(self.weights > 0):
            away = (
                _outside(values["p"], self.p_edges[i : i + 2]) / self.scales[0],
                _outside(values["pt"], self.pt_edges[j : j + 2]) / self.scales[1],
            )
            np.minimum(found, np.hypot(*away), out=found)
        wanted = self._in_bins(values, self.weights) > 0
        return np.where(wanted, 0.0, np.maximum(found, np.finfo(float).tiny))


def _outside(values: Float64, ends: Float64) -> Float64:
    """Return how far values are outside of two ends."""
    return np.asarray(np.maximum(np.maximum(ends[0] - values, values - ends[1]), 0.0))


@dataclass(frozen=True, eq=False)
class Distribution(Table):
    """The distribution in p and pT that muons shall have, in bins; plain muons' own is divided out.

    Attributes
    ----------
    weights : float64[m, n]
        Wanted numbers of muons, up to a common factor.
    """

    exact: ClassVar[bool] = True

    _factors: Float64 | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The two quantities."""
        return ("p", "pt")

    def refined(self, values: Values, weights: Float64) -> Distribution:
        """Return it with the ratio of the wanted to the plain muons in each bin; 0 where none was seen."""
        place, inside = self._places(values)
        plain = np.bincount(place[inside], weights[inside], self.weights.size).reshape(self.weights.shape)
        ratio = np.divide(self.weights, plain, out=np.zeros_like(plain), where=plain > 0)
        return replace(self, _factors=ratio / max(float(ratio.max()), np.finfo(float).tiny))

    def importance(self, values: Values) -> Float64:
        """Return the ratio in each muon's bin, the largest one being 1."""
        return self._in_bins(values, self.weights if self._factors is None else self._factors)
