"""What a network of variations looks at: a muon's features in a few numbers, none larger than 1.

Factors know nothing of directions around the beam: what counts is momentum, transverse momentum and depth;
off axis also the distance from the beam and how the start lies to the momentum. Where materials change, what
muons come from changes too, and so one number is looked up by depth in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float32, Float64, Int64

#: Added before a logarithm is taken of pT (GeV), depth and r (cm).
PT_OFFSET, DEPTH_OFFSET, R_OFFSET = 0.05, 2.0, 0.05

#: Most cells of a table by depth, and the least width of one, cm.
_CELLS, _NARROWEST = 8192, 0.05

#: Without edges of materials, steps of the table have so many muons of the sample each, at least.
_STEPS = 40

#: Effective muons that a step needs to count half: the mean of few is noise.
_FEW = 100.0


@dataclass(frozen=True, eq=False)
class VariationInputs:
    """Features, cm and GeV -> numbers that a network takes.

    Attributes
    ----------
    start : float
        z of the target's start, cm.
    low, high : float64[k]
        Ends of each number in the sample, before it is scaled; beyond them it stays at the end.
    first, width : float
        Depth where the table begins, and of one cell, cm.
    table : float64[cells]
        By depth: how much of what changes with the material is there, -1 to 1.
    """

    start: float
    low: Float64
    high: Float64
    first: float
    width: float
    table: Float64

    @classmethod
    def fit(
        cls,
        features: Float32,
        weights: Float64,
        factors: Float32,
        start: float,
        edges: Sequence[float] = (),
    ) -> Self:
        """Take ranges and table from a sample.

        Parameters
        ----------
        features : float32[n, d]
            (x, y,) z, px, py, pz in cm and GeV.
        weights : float64[n]
        factors : float32[n, v]
            Of the variations.
        start : float
            z of the target's start, cm.
        edges : sequence of float
            z where materials meet, cm.
        """
        raw = plain_numbers(features.astype(np.float64), start)
        depth = features[:, -4].astype(np.float64) - start
        first, last = float(depth.min()), float(depth.max())
        width = max((last - first) / _CELLS, _NARROWEST)
        cells = max(int(np.ceil((last - first) / width)), 1)
        middles = first + width * (np.arange(cells) + 0.5)
        steps = _steps(depth, np.asarray(edges, np.float64) - start)
        values = _step_values(
            np.searchsorted(steps, depth).astype(np.int64), len(steps) + 1, weights, factors
        )
        table = values[np.searchsorted(steps, middles)]
        return cls(start, raw.min(0), raw.max(0), first, width, table)

    def __call__(self, features: Float32 | Float64) -> Float64:
        """Return the numbers of muons, float64[n, k + 1]."""
        features = features.astype(np.float64)
        raw = np.clip(plain_numbers(features, self.start), self.low, self.high)
        scaled = (raw - self.low) * self.scale - 1
        place = (features[:, -4] - self.start - self.first) / self.width
        cell = np.clip(place, 0, len(self.table) - 1).astype(np.int64)
        return np.column_stack([scaled, self.table[cell]])

    @property
    def scale(self) -> Float64:
        """What numbers are multiplied by, so that they go from -1 to 1."""
        return 2 / np.maximum(self.high - self.low, 1e-9)


def plain_numbers(features: Float64, start: float) -> Float64:
    """Return what is looked at, before it is scaled: float64[n, 3], or float64[n, 6] off axis.

    Logarithms of p, pT and depth; off axis of r too, and where along and across the direction of the
    momentum in the plane the start lies, over r.
    """
    *place, z, px, py, pz = features.T
    pt = np.hypot(px, py)
    depth = np.maximum(z - start, -DEPTH_OFFSET / 2)
    found = [np.log(np.hypot(pt, pz)), np.log(pt + PT_OFFSET), np.log(depth + DEPTH_OFFSET)]
    if place:
        x, y = place
        r = np.hypot(x, y)
        length = (pt + PT_OFFSET) * (r + R_OFFSET)
        found += [np.log(r + R_OFFSET), (x * px + y * py) / length, np.abs(x * py - y * px) / length]
    return np.column_stack(found)


def _steps(depth: Float64, edges: Float64) -> Float64:
    """Return the depths at which the table may jump."""
    inside = edges[(edges > depth.min()) & (edges < depth.max())]
    if len(inside):
        return np.unique(inside)
    return np.unique(np.quantile(depth, np.linspace(0, 1, _STEPS + 1)[1:-1]))


def _step_values(step: Int64, number: int, weights: Float64, factors: Float32) -> Float64:
    """Return the mean factors of each step in the combination that differs most from step to step."""
    weight = np.bincount(step, weights, number)
    square = np.bincount(step, weights**2, number)
    few = np.divide(weight**2, square, out=np.zeros(number), where=square > 0)
    means = np.zeros((number, factors.shape[1]))
    for place, column in enumerate(factors.T):
        mean = float(weights @ column) / float(weights.sum())
        deviation = max(float(np.sqrt(weights @ np.square(column - mean) / weights.sum())), 1e-6)
        sums = np.bincount(step, weights * (column - mean), number)
        means[:, place] = np.divide(sums, weight, out=np.zeros(number), where=weight > 0) / deviation
    means *= (few / (few + _FEW))[:, None]
    _, _, axes = np.linalg.svd(means * np.sqrt(weight)[:, None], full_matrices=False)
    values = means @ axes[0]
    return np.asarray(values / max(float(np.abs(values).max()), 1e-9))
