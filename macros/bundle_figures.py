#!/usr/bin/env python3
"""Compare bundles with a fresh sample: the tables of docs/explanation/networks.md.

Usage: bundle_figures.py PREPARED BUNDLE... [-o FIGURES.json]      (pip install 'shipgen[cpu,train]')

PREPARED has to come from other seeds of the simulation than the bundles' own samples. Its protons are dealt
out to four sets: a classifier learns on the first and is applied to the second, the control takes the other
two in place of generated muons. Tails, gaps of the target and correlations are those of all its muons.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from shipgen.bundle.bundle import Bundle
from shipgen.files.outputs import complete_file, write_json
from shipgen.generate.chunks import BATCH_SIZE
from shipgen.muons.categories import CATEGORIES, category_by_name
from shipgen.muons.quantities import Quantities
from shipgen.progress import progress
from shipgen_export.merit.classifiers import FORMS, derived
from shipgen_export.merit.figure_of_merit import figure_of_merit
from shipgen_export.merit.weighted_muons import WeightedMuons, thin
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.map_training import material_edges
from shipgen_export.training.spread import quantities
from shipgen_export.workers import in_order

#: Form of the figure of merit -> muons of each kind to learn on, and to be applied to.
SIZES = {"source": 50_000, "hard": 200_000, "hard, more": 1_000_000}
#: Muons of each kind that correlations are of.
CORRELATED = 1_000_000
#: Slabs thinner than this are gaps between blocks, cm.
GAP = 1.0
SLICE = 1_000_000


@dataclass(frozen=True)
class Task:
    """One category of one bundle, or its control."""

    prepared: Path
    category: str
    bundle: Path | None
    sizes: tuple[str, ...]
    made: int

    def __str__(self) -> str:
        return f"{self.category} of {self.bundle or 'the control'}"


class Maker:
    """Makes muons of a bundle's category, float32[n, d] in cm and GeV."""

    def __init__(self, bundle: Path, category: str, seed: int) -> None:
        opened = Bundle.open(bundle)
        number = [entry.category.name for entry in opened.entries].index(category)
        self._network = opened.load_networks("cpu")[number]
        self._random = np.random.default_rng(seed)

    def __call__(self, n: int) -> np.ndarray:
        """Make `n` muons."""
        made = np.empty((self._network.features, n), np.float32)
        for first in range(0, n, BATCH_SIZE):
            part = made[:, first : first + BATCH_SIZE]
            shape = self._network.latent_shape(part.shape[1])
            part[:] = self._network.columns(self._random.standard_normal(shape, np.float32))
        return made.T


def figures(task: Task) -> dict[str, Any]:
    """Return the classifiers' figures of one category, and how its quantities compare."""
    sample = PreparedSample.open(task.prepared)
    muons = sample.load(task.category)
    real = WeightedMuons(muons.features, muons.weights, muons.group)
    dealt = np.unique(real.group, return_inverse=True)[1] % 4
    random = np.random.default_rng(1)
    maker = Maker(task.bundle, task.category, 1) if task.bundle else None
    found: dict[str, Any] = {}
    for name in task.sizes:
        fit, applied = (thin(real.at(dealt == part), SIZES[name], random) for part in (0, 1))
        if maker is None:
            other = tuple(
                thin(real.at(dealt == part), len(like), random) for part, like in ((2, fit), (3, applied))
            )
        else:
            other = tuple(WeightedMuons.independent(maker(len(like))) for like in (fit, applied))
        merit = figure_of_merit((fit, applied), (other[0], other[1]), 1, FORMS[name.split(",")[0]])
        found[name] = {"auc": merit.auc, "error": merit.auc_error, "muons": [merit.fitted, merit.applied]}
    if maker is not None:
        start = float(sample.index["target_start"])
        edges = np.array(material_edges(sample))
        gaps = [pair for pair in pairwise(edges) if pair[1] - pair[0] < GAP]
        found["shares"] = compare_shares(real, maker, task.made, start, gaps)
        found["correlations"] = compare_correlations(real, maker)
    return found


def shares(features: np.ndarray, start: float, gaps: list[tuple[float, float]]) -> dict[str, np.ndarray]:
    """Return what is averaged over muons: tails, means, and which lie in gaps of the target."""
    found = quantities(features.astype(np.float64), start)
    z = features[:, -4].astype(np.float64)
    if gaps:
        inside = sum(((z > low) & (z < high) for low, high in gaps), np.zeros(len(z), bool))
        found["gaps of the target"] = inside.astype(np.float64)
    if features.shape[1] == 6:
        r = Quantities.of_rows(features)["r"]
        found |= {f"r > {limit} cm": (r > limit).astype(np.float64) for limit in (3, 5, 7)}
    return found


def compare_shares(
    real: WeightedMuons, maker: Maker, muons: int, start: float, gaps: list[tuple[float, float]]
) -> dict[str, dict[str, float]]:
    """Return each share's ratio, generated over real, and its error; real muons vary by proton."""
    protons, of_muon = np.unique(real.group, return_inverse=True)
    weights = np.bincount(of_muon, real.weights)
    sums: dict[str, np.ndarray] = {}
    for first in range(0, len(real), SLICE):
        part = slice(first, first + SLICE)
        for name, values in shares(real.features[part], start, gaps).items():
            sums[name] = sums.get(name, np.zeros(len(protons))) + np.bincount(
                of_muon[part], values * real.weights[part], len(protons)
            )
    muons = -(-muons // SLICE) * SLICE
    made: dict[str, np.ndarray] = {}
    for _ in range(0, muons, SLICE):
        for name, values in shares(maker(SLICE), start, gaps).items():
            made[name] = made.get(name, np.zeros(2)) + np.array([values.sum(), values @ values])
    found = {}
    for name, each in sums.items():
        value = each.sum() / weights.sum()
        if not value:
            # No muon of a small sample is there.
            continue
        error = np.sqrt(np.square(each - value * weights).sum()) / weights.sum()
        mean = made[name][0] / muons
        own = np.sqrt(max(made[name][1] / muons - mean**2, 0) / muons)
        found[name] = {"real": value, "ratio": mean / value, "error": float(np.hypot(error, own) / value)}
    return found


def pearson(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted correlation matrix of columns, float64[d, n] -> float64[d, d]."""
    covariance = np.cov(columns, aweights=weights)
    sigma = np.sqrt(np.diag(covariance))
    return covariance / np.outer(sigma, sigma)


def spearman(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted correlation matrix of the columns' ranks, each the middle of its muon's weight."""
    ranks = np.empty_like(columns)
    for values, rank in zip(columns, ranks, strict=True):
        order = np.argsort(values, kind="stable")
        rank[order] = np.cumsum(weights[order]) - weights[order] / 2
    return pearson(ranks, weights)


def compare_correlations(real: WeightedMuons, maker: Maker) -> dict[str, float]:
    """Return the largest differences of correlations, of features and what is derived from them."""
    real = thin(real, CORRELATED, np.random.default_rng(2))
    columns = derived(real.features).T.astype(np.float64)
    made = derived(maker(len(real))).T.astype(np.float64)
    ones = np.ones(len(real))
    measures = {"linear": pearson, "rank": spearman}
    return {
        name: float(np.abs(measure(columns, real.weights) - measure(made, ones)).max())
        for name, measure in measures.items()
    }


def main() -> None:
    """Compare, print tables, write numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--forms", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--made", type=int, default=20_000_000, help="muons made for tails and gaps")
    parser.add_argument("--no-control", action="store_true", help="leave out real against real")
    parser.add_argument("--workers", dest="cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    sources: list[Path | None] = [*([] if given.no_control else [None]), *given.bundles]
    tasks = [
        Task(given.prepared, category.name, bundle, tuple(given.forms), given.made)
        for bundle in sources
        for category in CATEGORIES
    ]
    results = []
    with (
        progress("comparing", len(tasks), "categories") as advance,
        in_order(figures, tasks, given.cores) as all_,
    ):
        for task, result in zip(tasks, all_, strict=True):
            results.append({"bundle": str(task.bundle or "control"), "category": task.category, **result})
            print(json.dumps(results[-1]), flush=True)
            advance(1)
    for form in given.forms:
        print(f"\n| AUC, {form} | " + " | ".join(str(source or "real against real") for source in sources))
        for category in CATEGORIES:
            cells = [one[form] for one in results if one["category"] == category.name]
            print(f"| {category.name} | " + " | ".join(f"{c['auc']:.3f} +- {c['error']:.3f}" for c in cells))
    for one in (one for one in results if "shares" in one):
        print(f"\n{one['bundle']}, {category_by_name(one['category']).name}: {one['correlations']}")
        for name, row in one["shares"].items():
            print(f"  {name:28s} {100 * (row['ratio'] - 1):+7.2f} +- {100 * row['error']:.2f} %")
    if given.output:
        with complete_file(given.output, force=True) as part:
            write_json(part, {"prepared": str(given.prepared), "figures": results})


if __name__ == "__main__":
    main()
