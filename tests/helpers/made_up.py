"""Samples of made-up muons for tests of the validation: a few a proton that share their z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.categories import CATEGORIES
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.samples.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, WeightedMuons]], None]


def made_up(seed: int, change: Change | None = None, muons: int = 2400) -> Sample:
    """Return about `muons` muons a category, three a proton, with different weights; `change` them first."""
    random = np.random.default_rng(seed)
    protons = muons // 3
    depth = random.exponential(30, protons)
    categories = {}
    for category in CATEGORIES:
        group = np.sort(random.integers(0, protons, random.poisson(muons)))
        n = len(group)
        columns = [depth[group] + 0.1, *random.normal(0, 0.4, (2, n)), 10 + random.exponential(12, n)]
        if not category.on_axis:
            columns = [0.3 * columns[1] + random.normal(0, 0.4, n), random.laplace(0, 0.4, n), *columns]
        weights = random.uniform(0.5, 1.5, n) / protons
        categories[category.name] = WeightedMuons(np.stack(columns, 1).astype(np.float32), weights, group)
    if change is not None:
        change(categories)
    return Sample.of_muons(f"sample {seed}", categories, pot=protons)


def scale_momentum(categories: dict[str, WeightedMuons]) -> None:
    """Scale pz of one category by 1.02."""
    categories["muplus_onaxis"].features[:, 3] *= 1.02


def correlate_signs(categories: dict[str, WeightedMuons]) -> None:
    """Give x and y of one category the same sign twice as often as not."""
    features = categories["muplus_offaxis"].features
    opposite = np.flatnonzero(features[:, 0] * features[:, 1] < 0)
    features[opposite[::3], 0] *= -1


def one_more_often(categories: dict[str, WeightedMuons]) -> None:
    """Make one category 5 % too frequent."""
    muons = categories["muminus_onaxis"]
    categories["muminus_onaxis"] = WeightedMuons(muons.features, muons.weights * 1.05, muons.group)


def flip_charges(categories: dict[str, WeightedMuons]) -> None:
    """Give 2 % of the muons the other charge."""
    for axis in ("onaxis", "offaxis"):
        names = f"muplus_{axis}", f"muminus_{axis}"
        both = [categories[name] for name in names]
        flipped = [np.arange(len(muons)) % 50 == 0 for muons in both]
        for place, name in enumerate(names):
            parts = both[place].at(~flipped[place]), both[1 - place].at(flipped[1 - place])
            group = np.concatenate([part.group for part in parts])
            order = np.argsort(group, kind="stable")
            features = np.concatenate([part.features for part in parts])[order]
            weights = np.concatenate([part.weights for part in parts])[order]
            categories[name] = WeightedMuons(features, weights, group[order])
