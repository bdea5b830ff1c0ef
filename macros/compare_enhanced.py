#!/usr/bin/env python3
"""Compare an enhanced bundle with its plain one: weighted histograms, in a region and outside.

    macros/compare_enhanced.py ENHANCED REGION [MUONS] [PLAIN_MUONS] [PLAIN]

REGION is an expression. As many muons are made of each, 1e6 if not given, or PLAIN_MUONS of the plain bundle,
the default one if not given. Histograms of all quantities have 20 bins of equal content and are compared per
proton on target, so that sums of weights count as well; errors are roots of sums of squared weights.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shipgen import MuonGenerator
from shipgen.muons.quantities import DISCRETE, QUANTITIES, Quantities
from shipgen.muons.regions import Expression

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Quantities that say nothing of prompt muons, which start on the axis.
PLACES = ("x", "y", "r", "phi_xy", "dphi")

#: Name and whether inside -> edges, or sums of weights, or of squares.
Bins = dict[tuple[str, bool], np.ndarray]


def parts(
    generator: MuonGenerator, region: Expression
) -> Iterator[tuple[tuple[str, bool], np.ndarray, np.ndarray]]:
    """Yield a quantity of the muons of a batch, in the region or outside, with their weights."""
    for batch in generator:
        values = Quantities.of_batch(batch, generator.bundle.target_start)
        inside, weights, placed = region.holds(values), batch.weight.astype(np.float64), values["r"] > 0
        for name in QUANTITIES:
            for side in (True, False):
                chosen = (inside == side) & (placed if name in PLACES else True)
                yield (name, side), values[name][chosen], weights[chosen]


def edges(bundle: Path, region: Expression) -> Bins:
    """Return the edges of 20 bins of equal weight, or around the values of a discrete quantity."""
    values: dict[tuple[str, bool], list[tuple[np.ndarray, np.ndarray]]] = {}
    for key, numbers, weights in parts(MuonGenerator(bundle, n=3e5, seed=3), region):
        values.setdefault(key, []).append((numbers, weights))
    found = {}
    for key, pieces in values.items():
        numbers, weights = (np.concatenate(each) for each in zip(*pieces, strict=True))
        if key[0] in DISCRETE or not len(numbers):
            different = np.unique(numbers)
            inner = (different[1:] + different[:-1]) / 2
        else:
            order = np.argsort(numbers)
            share = np.cumsum(weights[order]) / weights.sum()
            inner = np.unique(np.interp(np.linspace(0, 1, 21)[1:-1], share, numbers[order]))
        found[key] = np.concatenate([[-np.inf], inner, [np.inf]])
    return found


def histograms(generator: MuonGenerator, region: Expression, bins: Bins) -> tuple[Bins, Bins]:
    """Return sums of weights and of their squares per proton on target."""
    sums = {key: np.zeros(len(each) - 1) for key, each in bins.items()}
    squares = {key: np.zeros(len(each) - 1) for key, each in bins.items()}
    pot = generator.plan.pot
    for key, numbers, weights in parts(generator, region):
        place = np.searchsorted(bins[key], numbers, side="right") - 1
        sums[key] += np.bincount(place, weights, len(sums[key])) / pot
        squares[key] += np.bincount(place, weights**2, len(sums[key])) / pot**2
    return sums, squares


def report(one: tuple[Bins, Bins], other: tuple[Bins, Bins], rate: float) -> Iterator[str]:
    """Yield a table: chi2 and number of bins of each quantity, then sums of weights."""
    yield f"{'':10}{'in the region':>20}{'outside':>20}"
    pulls = []
    for name in QUANTITIES:
        line = f"{name:10}"
        for side in (True, False):
            key = (name, side)
            variance = one[1][key] + other[1][key]
            there = variance > 0
            chi2 = float(np.sum((one[0][key] - other[0][key])[there] ** 2 / variance[there]))
            pulls.append((chi2 - there.sum()) / math.sqrt(2 * there.sum()))
            line += f"{chi2:14.1f} / {there.sum():3}"
        yield line
    yield f"chi2 less its bins, over its spread: mean {np.mean(pulls):+.2f}, most {max(pulls):+.2f}"
    for what, sides in (("in the region", [True]), ("outside", [False]), ("together", [True, False])):
        sums = [sum(each[0]["p", side].sum() for side in sides) for each in (one, other)]
        errors = [math.sqrt(sum(each[1]["p", side].sum() for side in sides)) for each in (one, other)]
        pull = (sums[0] - sums[1]) / math.hypot(*errors)
        yield (
            f"{what}: {sums[0]:.5e} +- {errors[0]:.1e} a proton, plain {sums[1]:.5e} +- {errors[1]:.1e}: "
            f"{pull:+.2f} errors"
        )
    yield f"rate of the bundle: {rate:.5e}, {(sums[0] - rate) / errors[0]:+.2f} errors"


def main() -> None:
    """Read the command line."""
    if not 3 <= len(sys.argv) <= 6:
        sys.exit((__doc__ or "").strip())
    bundle, region = Path(sys.argv[1]), Expression.parse(sys.argv[2])
    muons = float(sys.argv[3]) if len(sys.argv) > 3 else 1e6
    plain_muons = float(sys.argv[4]) if len(sys.argv) > 4 else muons
    plain = MuonGenerator(Path(sys.argv[5]) if len(sys.argv) > 5 else None, n=plain_muons, seed=1)
    enhanced = MuonGenerator(bundle, n=muons, seed=2)
    bins = edges(bundle, region)
    found = [histograms(each, region, bins) for each in (enhanced, plain)]
    for line in report(found[0], found[1], enhanced.bundle.rate):
        print(line)


if __name__ == "__main__":
    main()
