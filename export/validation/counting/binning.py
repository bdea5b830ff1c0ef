"""Bins of everything that is counted, chosen by a draw of both samples before all muons are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.categories import CATEGORIES, category_by_name
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.counting.compared_quantities import (
    TOGETHER,
    Region,
    pairs,
    quantities,
    shown_range,
)
from shipgen_export.validation.counting.protons import effective
from shipgen_export.validation.counting.statistics import weighted_quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipgen.muons.columns import Float64, Int64

    Draw = Mapping[str, WeightedMuons]

#: Cells of a quantity, of equal content in all categories together.
CELLS = 4096

#: Bins of a test at most; effective protons or muons a bin at least.
BINS, _PER_BIN, _FEWEST_BINS = 40, 25, 5

#: Bins of a charge ratio at most; effective muons a bin at least, of both charges together.
CHARGE_BINS, _PER_CHARGE_BIN = 12, 100

#: Bins of pictures, and points of tail curves.
SHOWN, SHOWN_2D, POINTS = 60, 50, 40

#: Pictures show the ranges between these quantiles of the reference.
_RANGE, _RANGE_2D = (0.0002, 0.9998), (0.002, 0.998)

#: Muons of a category and sample that the cells are chosen by.
_ASKED = 50_000

#: Quantities with tail curves and charge ratios.
STEEP = ("p", "pt")

#: Sets of categories that charge ratios are taken of.
CHARGES = {
    "on axis": ("muplus_onaxis", "muminus_onaxis"),
    "off axis": ("muplus_offaxis", "muminus_offaxis"),
    TOGETHER: tuple(category.name for category in CATEGORIES),
}


@dataclass(frozen=True, eq=False)
class Binning:
    """Where what is counted.

    Attributes
    ----------
    borders : dict of str to float64[c - 1]
        Between the cells of a quantity; a value on a border belongs above it.
    bins : dict of str to dict of str to int64[c]
        By category (or `TOGETHER`) and quantity the bin of the test that each cell is in; those with too
        few muons are missing.
    ranks : dict of str to dict of str to float64[c]
        By category and feature the share of the muons of both samples below the middle of each cell.
    charges : dict of str to dict of str to int64[c]
        By set of categories and quantity the bin of the charge ratio that each cell is in.
    shown : dict of str to dict of str to (float, float)
        By category and quantity the range of the picture.
    pairs : dict of str to dict of pair to pair of (float, float)
        The same of pictures of two quantities.
    thresholds : dict of str to dict of str to float64[k]
        By category and quantity those of the tail curve.
    regions : tuple of Region
        Tails and regions.
    """

    borders: dict[str, Float64]
    bins: dict[str, dict[str, Int64]]
    ranks: dict[str, dict[str, Float64]]
    charges: dict[str, dict[str, Int64]]
    shown: dict[str, dict[str, tuple[float, float]]]
    pairs: dict[str, dict[tuple[str, str], tuple[tuple[float, float], tuple[float, float]]]]
    thresholds: dict[str, dict[str, Float64]]
    regions: tuple[Region, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The categories that are compared, `TOGETHER` last."""
        return tuple(self.shown)


def features_of(name: str) -> tuple[str, ...]:
    """Return the features of a category, or those that all have."""
    return CATEGORIES[0].features if name == TOGETHER else category_by_name(name).features


def choose(generated: Draw, reference: Draw, names: Sequence[str], regions: Sequence[Region]) -> Binning:
    """Choose the bins of the categories `names`, which both samples have, and of all together.

    Bins of a test are quantiles of both samples joined.
    """
    values, weights = _values(generated, reference, names)
    borders = {quantity: _borders(values, weights, names, quantity) for quantity in _known(values, names)}
    known: dict[str, tuple[str, ...]] = {name: (name,) for name in names} | {TOGETHER: tuple(names)}
    bins: dict[str, dict[str, Int64]] = {}
    ranks: dict[str, dict[str, Float64]] = {}
    shown, both, thresholds = {}, {}, {}
    for name, members in known.items():
        common = [q for q in borders if all(q in values[1][member] for member in members)]
        content = {q: _content(values, weights, members, q, borders[q]) for q in common}
        fewest = _fewest([_joined(draw, members) for draw in (generated, reference)])
        number = min(BINS, int(fewest) // _PER_BIN)
        bins[name] = {q: _group(content[q], number) for q in common if number >= _FEWEST_BINS}
        bins[name] = {q: found for q, found in bins[name].items() if found[-1] > 0}
        ranks[name] = {q: _middles(content[q]) for q in features_of(name)}
        of_reference = {q: np.concatenate([values[1][m][q] for m in members]) for q in common}
        weight = np.concatenate([weights[1][member] for member in members])
        shown[name] = {q: shown_range(q, column, weight, _RANGE) for q, column in of_reference.items()}
        wanted = pairs(None if name == TOGETHER else category_by_name(name))
        flat = {q: shown_range(q, column, weight, _RANGE_2D) for q, column in of_reference.items()}
        both[name] = {pair: (flat[pair[0]], flat[pair[1]]) for pair in wanted}
        thresholds[name] = {
            q: np.linspace(of_reference[q].min(), of_reference[q].max(), POINTS) for q in STEEP
        }
    charges: dict[str, dict[str, Int64]] = {}
    for where, members in CHARGES.items():
        if all(member in names for member in members):
            fewest = _fewest([_joined(draw, members) for draw in (generated, reference)])
            number = max(1, min(CHARGE_BINS, int(fewest) // _PER_CHARGE_BIN))
            content = {q: _content(values, weights, members, q, borders[q]) for q in STEEP}
            charges[where] = {q: _group(content[q], number) for q in STEEP}
    return Binning(borders, bins, ranks, charges, shown, both, thresholds, tuple(regions))


def _values(
    generated: Draw, reference: Draw, names: Sequence[str]
) -> tuple[list[dict[str, dict[str, Float64]]], list[dict[str, Float64]]]:
    """Return quantities and weights, whose sum is 1, of some muons of each sample by category."""
    values: list[dict[str, dict[str, Float64]]] = []
    weights: list[dict[str, Float64]] = []
    for draw in (generated, reference):
        some = {name: draw[name].at(slice(None, None, -(-len(draw[name]) // _ASKED))) for name in names}
        # Those that are left carry the weights of all.
        sums = {name: draw[name].weights.sum() / some[name].weights.sum() for name in names}
        whole = sum(draw[name].weights.sum() for name in names)
        values.append({name: quantities(muons.features) for name, muons in some.items()})
        weights.append({name: muons.weights * (sums[name] / whole) for name, muons in some.items()})
    return values, weights


def _known(values: list[dict[str, dict[str, Float64]]], names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(q for name in names for q in values[0][name]))


def _joined(draw: Draw, members: Sequence[str]) -> WeightedMuons:
    parts = [draw[member] for member in members]
    return WeightedMuons(
        np.zeros((0, 0), np.float32),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.group for part in parts]),
    )


def _fewest(samples: list[WeightedMuons]) -> float:
    return min(min(effective(sample)) for sample in samples)


def _column(
    values: list[dict[str, dict[str, Float64]]],
    weights: list[dict[str, Float64]],
    members: Sequence[str],
    quantity: str,
) -> tuple[Float64, Float64]:
    """Return a quantity of both samples joined, and the weights."""
    there = [(k, m) for k in (0, 1) for m in members if quantity in values[k][m]]
    column = np.concatenate([values[k][m][quantity] for k, m in there])
    return column, np.concatenate([weights[k][m] for k, m in there])


def _borders(
    values: list[dict[str, dict[str, Float64]]],
    weights: list[dict[str, Float64]],
    names: Sequence[str],
    quantity: str,
) -> Float64:
    column, weight = _column(values, weights, names, quantity)
    found = np.unique(weighted_quantiles(column, weight, np.linspace(0, 1, CELLS + 1)[1:-1]))
    return np.asarray(found[found > column.min()])


def _content(
    values: list[dict[str, dict[str, Float64]]],
    weights: list[dict[str, Float64]],
    members: Sequence[str],
    quantity: str,
    borders: Float64,
) -> Float64:
    column, weight = _column(values, weights, members, quantity)
    cells = np.searchsorted(borders, column, side="right")
    return np.asarray(np.bincount(cells, weight, minlength=len(borders) + 1), np.float64)


def _middles(content: Float64) -> Float64:
    """Return the share of the content below the middle of each cell."""
    return np.asarray((np.cumsum(content) - content / 2) / content.sum())


def _group(content: Float64, number: int) -> Int64:
    """Return the bin of each cell, for `number` bins of about equal content, all with some."""
    # A cell belongs where its middle is; cells that share a bin's number with none are no bin.
    place = np.minimum((_middles(content) * number).astype(np.int64), number - 1)
    filled = np.bincount(place, content, minlength=number) > 0
    found: Int64 = np.maximum(np.cumsum(filled)[place] - 1, 0)
    return found
