"""What the pictures of a report show, from what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.categories import CATEGORIES
from shipgen_export.validation.counting.compared_quantities import TOGETHER

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.validation.counting.tally import Tally


def shares(tallies: tuple[Tally, Tally], name: str, quantity: str) -> tuple[Float64, Float64]:
    """Return shares of the muons in the bins of a picture, and their variances, float64[2, b] each."""
    found = []
    for tally in tallies:
        total = tally.size(name)[1]
        found.append(tally.sums[name, "shown", quantity] / np.array([[total], [total**2]]))
    return found[0], found[1]


def shares_above(tallies: tuple[Tally, Tally], name: str, quantity: str) -> tuple[Float64, Float64]:
    """Return shares of the muons above thresholds and their standard errors, float64[2, t] each."""
    found = []
    for tally in tallies:
        _, whole, _, squares, _ = tally.size(name)
        inside, own, products = tally.sums[name, "above", quantity]
        share = inside / whole
        variance = (own - 2 * share * products + share**2 * squares) / whole**2
        found.append(np.stack([share, np.sqrt(np.maximum(variance, 0))]))
    return found[0], found[1]


def pair_shares(tallies: tuple[Tally, Tally], name: str, pair: tuple[str, str]) -> tuple[Float64, Float64]:
    """Return shares of the muons in the bins of two quantities."""
    first, second = (tally.sums[name, "pair", *pair] / tally.size(name)[1] for tally in tallies)
    return first, second


def varied_sums(tally: Tally) -> dict[str, dict[str, Any]]:
    """Return range, sums and varied sums by category and quantity, all together first."""
    names = [
        name
        for name in (TOGETHER, *(category.name for category in CATEGORIES))
        if (name, "varied") in tally.sums
    ]
    return {
        name: {
            q: (tally.binning.shown[name][q], tally.sums[name, "shown", q][0], tally.sums[name, "varied", q])
            for q in ("p", "pt")
        }
        for name in names
    }
