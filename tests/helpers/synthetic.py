"""Prepared samples of made-up muons: simple distributions with the right ranges, for tests of training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.prepared_samples import write_sample
from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES, Category
from shipgen_export.sample.sample import CategorySample, split_by_group
from shipgen_export.sample.transforms import Normalisation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen.muons.columns import Float32, Float64

TARGET_START = -7084.5
ENERGY_CUT = 10.0
POT = 1e6


def synthetic_muons(category: Category, muons: int, random: np.random.Generator) -> tuple[Float32, Float64]:
    """Return features, float32[n, d] in cm and GeV, and weights, float64[n], of one category.

    Momenta fall exponentially from 10 GeV, z lies in the target, x and y are peaked at 0.
    """
    z = TARGET_START + random.uniform(0, 0.5, muons) + np.minimum(random.exponential(30, muons), 150)
    px, py = random.normal(0, 0.4, (2, muons))
    pz = 10.3 + random.exponential(12, muons)
    columns = [z, px, py, pz]
    if not category.on_axis:
        columns = [*random.laplace(0, 0.4, (2, muons)), *columns]
    weights = random.exponential(1, muons) + 0.1
    return np.stack(columns, 1).astype(np.float32), weights


def synthetic_category(category: Category, muons: int, seed: int) -> CategorySample:
    """Return one category with about two muons a proton."""
    random = np.random.default_rng((seed, category.number))
    features, weights = synthetic_muons(category, muons, random)
    group = np.sort(random.integers(0, max(1, muons // 2), muons))
    normalisation = Normalisation.fit(category.features, features.astype(np.float64))
    return CategorySample(category, features, weights, group, split_by_group(group), normalisation)


def synthetic_sample(
    folder: Path,
    muons: int = 2000,
    seed: int = 1,
    categories: Sequence[Category] = CATEGORIES,
    *,
    varied: bool = False,
) -> Path:
    """Write a prepared sample with `muons` muons a category into the new `folder`; return it.

    If it is `varied`, a tenth of the muons have factors of 2, another tenth of 0.5.
    """
    folder.mkdir(parents=True)
    facts: dict[str, Any] = {
        "sources": [{"name": "synthetic", "generator": "made up", "muons": muons * len(categories)}],
        "pot": POT,
        "weight_unit": "per sample",
        "target_start": TARGET_START,
        "energy_cut": ENERGY_CUT,
        "dropped": [],
    }
    write_sample(folder, [synthetic_category(category, muons, seed) for category in categories], facts)
    if varied:
        facts["sources"][0]["provenance"] = {"variations": {"vary_up": "twice as many of some"}}
        add_factors(folder, categories, muons, facts["sources"])
    return folder


def add_factors(folder: Path, categories: Sequence[Category], muons: int, sources: list[Any]) -> None:
    """Put factors beside the muons of a prepared sample."""
    index = json.loads((folder / "prepared.json").read_text())
    index["sources"] = sources
    for category in categories:
        draw = np.random.default_rng(category.number).random(muons)
        factors = np.stack([np.where(draw < 0.1, 2, 1), np.where(draw > 0.9, 0.5, 1)], 1)
        file = folder / f"{category.name}.variations.npy"
        np.save(file, factors.astype(np.float32))
        stated = {"columns": ["vary_up", "vary_mine"], "sha256": sha256(file)}
        index["categories"][category.name]["variations"] = stated
    (folder / "prepared.json").write_text(json.dumps(index))
