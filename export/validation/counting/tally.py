"""Everything that is counted of a sample, muon by muon, so that samples may be larger than the memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.categories import CATEGORIES, category_by_name
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.counting.binning import CHARGES, SHOWN, SHOWN_2D, STEEP, features_of
from shipgen_export.validation.counting.compared_quantities import TOGETHER, quantities
from shipgen_export.validation.counting.protons import Protons
from shipgen_export.validation.counting.statistics import Content
from shipgen_export.validation.samples.stores import FOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.validation.counting.binning import Binning
    from shipgen_export.validation.samples.stores import SampleStores, StoreBlock

Key = tuple[str, ...]
Ranges = dict[str, tuple[Any, Any]]

#: Quantities that variations are drawn over.
VARIED = ("p", "pt", "z")


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over muons; those of parts of a sample are added up.

    Attributes
    ----------
    binning : Binning
        What is counted.
    beyond : dict of str to pair of float64[d]
        By category the other sample's range of the features.
    sums : dict of tuple to array
        ``("totals",)`` and ``("moments",)`` are those of `StoreBlock`. By category, and of all together:
        ``size`` is the number of muons, the sums of w, w^2 and W_g^2 and the number of protons; of each
        quantity ``cells`` (sums of w and of w^2), ``moments``, ``shown`` (of w, and over protons of the
        squares of their sums) and ``above`` (of w, I_g^2 and I_g W_g); ``pair`` of two; ``region`` (number,
        sums of w inside, I_g^2 and I_g W_g); ``pearson`` and ``spearman`` (by part of the protons);
        ``outside`` (a row a feature: number and sum of w). Of sets of categories ``charge`` and ``charge
        moments``. Where there are factors of variations, sums of w times each of them: ``varied``, in all and
        over quantities as ``shown``, and ``varied region``.
    ends : dict of tuple to float64[2]
        Least and largest value of each quantity.
    """

    binning: Binning
    beyond: Ranges
    sums: dict[Key, Any] = field(default_factory=dict)
    ends: dict[Key, Float64] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add the muons of another part of the sample."""
        for key, value in other.sums.items():
            self._put(key, value)
        for key, value in other.ends.items():
            self._stretch(key, value)

    def _put(self, key: Key, value: Any) -> None:
        self.sums[key] = self.sums[key] + value if key in self.sums else value

    def _stretch(self, key: Key, value: Float64) -> None:
        known = self.ends.get(key, value)
        self.ends[key] = np.array([min(known[0], value[0]), max(known[1], value[1])])

    def fill(self, block: StoreBlock) -> None:
        """Count the muons of a block."""
        self._put(("totals",), block.totals)
        self._put(("moments",), block.moments)
        names = [name for name in self.binning.names if name in block.muons and len(block.muons[name])]
        if not names:
            return
        values = {name: quantities(block.muons[name].features) for name in names}
        cells = {
            name: {
                q: np.searchsorted(self.binning.borders[q], column, side="right")
                for q, column in values[name].items()
            }
            for name in names
        }
        inside = {
            name: [
                region.holds(category_by_name(name), block.muons[name].features)
                for region in self.binning.regions
            ]
            for name in names
        }
        for name in names:
            self._category(
                name, values[name], cells[name], inside[name], block.muons[name], block.folds[name]
            )
            self._outside(name, block.muons[name])
        common = list(self.binning.shown[TOGETHER])
        together = _join([block.muons[name] for name in names])
        self._category(
            TOGETHER,
            {q: np.concatenate([values[name][q] for name in names]) for q in common},
            {q: np.concatenate([cells[name][q] for name in names]) for q in common},
            [np.concatenate(each) for each in zip(*inside.values(), strict=True)],
            together,
            np.concatenate([block.folds[name] for name in names]),
        )
        self._varied_all(names, values, inside, block)
        for where in self.binning.charges:
            self._charge(where, [name for name in CHARGES[where] if name in names], cells, block.muons)

    def _category(
        self,
        name: str,
        values: Mapping[str, Float64],
        cells: Mapping[str, Int64],
        inside: Sequence[Any],
        muons: WeightedMuons,
        folds: Int64,
    ) -> None:
        weights, squares, protons = muons.weights, np.square(muons.weights), Protons(muons)
        whole = float(protons.sums @ protons.sums)
        size = [len(weights), weights.sum(), squares.sum(), whole, protons.number]
        self._put((name, "size"), np.array(size, np.float64))
        for q, column in values.items():
            content = _both(cells[q], weights, squares, len(self.binning.borders[q]) + 1)
            self._put((name, "cells", q), content)
            if (bins := self.binning.bins[name].get(q)) is not None:
                moments = protons.moments(bins[cells[q]], int(bins[-1]) + 1)
                self._put((name, "moments", q), moments)
            shown = shown_bins(column, self.binning.shown[name][q])
            found = np.stack(
                [np.bincount(shown, weights, minlength=SHOWN + 2), protons.variances(shown, SHOWN + 2)]
            )
            self._put((name, "shown", q), found[:, 1:-1])
            self._stretch((name, q), np.array([column.min(), column.max()]))
        for q, thresholds in self.binning.thresholds[name].items():
            place = np.searchsorted(thresholds, values[q], side="right")
            sums = np.bincount(place, weights, minlength=len(thresholds) + 1)
            above = np.cumsum(sums[::-1])[::-1][1:]
            self._put((name, "above", q), np.stack([above, *protons.above(place, len(thresholds))]))
        for (a, b), ranges in self.binning.pairs[name].items():
            self._put((name, "pair", a, b), pair_table((values[a], values[b]), ranges, weights))
        for region, chosen in zip(self.binning.regions, inside, strict=True):
            counted = [chosen.sum(), weights[chosen].sum(), *protons.squares(chosen)]
            self._put((name, "region", region.name), np.array(counted, np.float64))
        features = features_of(name)
        ranks = self.binning.ranks[name]
        self._put((name, "pearson"), _products([values[q] for q in features], weights, folds))
        self._put((name, "spearman"), _products([ranks[q][cells[q]] for q in features], weights, folds))

    def _varied_all(
        self,
        names: Sequence[str],
        values: Mapping[str, Mapping[str, Float64]],
        inside: Mapping[str, Sequence[Any]],
        block: StoreBlock,
    ) -> None:
        """Count the weights times the factors of variations, of each category and of all together."""
        if not all(name in block.factors for name in names):
            return
        weighted = {
            name: block.factors[name].T * block.muons[name].weights for name in names
        }  # float64[v, n]
        for name in names:
            self._varied(name, values[name], inside[name], weighted[name])
        joined = {q: np.concatenate([values[name][q] for name in names]) for q in VARIED}
        regions = [np.concatenate(each) for each in zip(*inside.values(), strict=True)]
        self._varied(TOGETHER, joined, regions, np.concatenate([weighted[name] for name in names], 1))

    def _varied(
        self, name: str, values: Mapping[str, Float64], inside: Sequence[Any], weighted: Float64
    ) -> None:
        self._put((name, "varied"), weighted.sum(1))
        for q in VARIED:
            place = shown_bins(values[q], self.binning.shown[name][q])
            sums = [np.bincount(place, each, minlength=SHOWN + 2)[1:-1] for each in weighted]
            self._put((name, "varied", q), np.stack(sums))
        for region, chosen in zip(self.binning.regions, inside, strict=True):
            self._put((name, "varied region", region.name), weighted[:, chosen].sum(1))

    def _outside(self, name: str, muons: WeightedMuons) -> None:
        low, high = self.beyond[name]
        outside = (muons.features < low) | (muons.features > high)
        self._put((name, "outside"), np.stack([outside.sum(0), muons.weights @ outside], 1))

    def _charge(
        self,
        where: str,
        members: list[str],
        cells: Mapping[str, Mapping[str, Int64]],
        muons: Mapping[str, WeightedMuons],
    ) -> None:
        if not members:
            return
        joined = _join([muons[name] for name in members])
        protons = Protons(joined)
        pdg = {category.name: category.pdg for category in CATEGORIES}
        for q in STEEP:
            bins = self.binning.charges[where][q]
            number = int(bins[-1]) + 1
            place = np.concatenate([bins[cells[name][q]] + number * (pdg[name] > 0) for name in members])
            sums = np.bincount(place, joined.weights, minlength=2 * number)
            self._put((where, "charge", q), sums)
            self._put((where, "charge moments", q), protons.moments(place, 2 * number))

    def content(self, name: str, quantity: str) -> Content:
        """Return the distribution of a quantity."""
        return Content(
            self.sums[name, "cells", quantity][0], self.sums[name, "moments", quantity], self.size(name)[4]
        )

    def size(self, name: str) -> Float64:
        """Return number of muons, sums of w, w^2 and W_g^2, number of protons."""
        found: Float64 = self.sums.get((name, "size"), np.zeros(5))
        return found


def count(source: SampleStores, parts: Iterable[tuple[int, int]], binning: Binning, beyond: Ranges) -> Tally:
    """Count the muons of some parts of a sample."""
    tally = Tally(binning, beyond)
    for part in parts:
        tally.fill(source.block(part))
    return tally


def _join(parts: list[WeightedMuons]) -> WeightedMuons:
    return WeightedMuons(
        np.zeros((0, 0), np.float32),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.group for part in parts]),
    )


def _both(place: Int64, weights: Float64, squares: Float64, bins: int) -> Float64:
    """Return sums of weights and of their squares by bin, float64[2, bins]."""
    return np.stack([np.bincount(place, each, minlength=bins) for each in (weights, squares)])


def shown_bins(column: Float64, ends: tuple[float, float]) -> Int64:
    """Return the bin of a picture that each value is in, 1 to `SHOWN`; 0 and `SHOWN` + 1 are outside."""
    scaled = (column - ends[0]) * (SHOWN / (ends[1] - ends[0])) + 1
    return np.clip(scaled, 0, SHOWN + 1).astype(np.int64)


def pair_table(
    columns: tuple[Float64, Float64],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    weights: Float64,
) -> Float64:
    """Return sums of w in the bins of a picture of two quantities, `SHOWN_2D` each."""
    places = []
    for column, (low, high) in zip(columns, ranges, strict=True):
        scaled = (column - low) * (SHOWN_2D / (high - low)) + 1
        places.append(np.clip(scaled, 0, SHOWN_2D + 1).astype(np.int64))
    width = SHOWN_2D + 2
    table = np.bincount(places[0] * width + places[1], weights, minlength=width**2)
    return np.asarray(table.reshape(width, width)[1:-1, 1:-1], np.float64)


def _products(columns: list[Float64], weights: Float64, folds: Int64) -> Float64:
    """Return the weighted sums of products of 1 and the columns by part of the protons, float64[k, d, d]."""
    order = np.argsort(folds, kind="stable")
    table = np.stack([np.ones(len(weights)), *columns], 1)[order]
    weighted = table * weights[order, None]
    ends = np.searchsorted(folds[order], np.arange(FOLDS + 1))
    pieces = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    return np.stack([weighted[first:last].T @ table[first:last] for first, last in pieces])
