"""A bundle as the start of another: its muons teach flows that go on learning from a smaller, new sample.

All categories start from it, or those with few protons. ``OUT/origin/prepared`` holds muons that the bundle
made, ``OUT/origin/run`` flows that learnt them; the teachers of ``shipgen train best`` start from these.
Tables are means of those of the bundle's muons, corrected by the new sample as far as its protons say, and of
the new sample's own, as they make protons held out likely.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import complete_folder
from shipgen.generate.chunks import BATCH_SIZE
from shipgen.muons.categories import MUON_MASS
from shipgen.muons.quantities import Quantities
from shipgen_export.maps.coordinates import Cylinder, read_coordinates
from shipgen_export.maps.muon_map import tame, without_upstream
from shipgen_export.maps.symmetry import choose_coordinates
from shipgen_export.models.by_size import FEW_MUONS, FEW_PROTONS
from shipgen_export.sample.sample import (
    INDEX,
    SPLITS,
    CategoryWriter,
    PreparedSample,
    effective_size,
    write_index,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.bundle.network import Network
    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64

#: Muons of each category that the bundle makes; below the new sample's cut they are not used.
MUONS = 1_000_000
#: Fewer than these above the cut cannot teach.
_FEWEST = 10_000
#: A bundle knows nothing of muons below its own energy cut, which may be so much higher than the sample's.
_HIGHER_CUT = 1.05

#: Stream of random numbers.
_LATENT = 6


def origin_sample(
    bundle: Bundle, sample: PreparedSample, categories: Sequence[str], folder: Path, seed: int
) -> PreparedSample:
    """Make a prepared sample of a bundle's muons for the `categories`, or open the one that is there.

    Parameters
    ----------
    bundle : Bundle
        What makes the muons.
    sample : PreparedSample
        The new one: what lies below its energy cut is left out.
    folder : Path
        To make.
    seed : int
        Of the latents.

    Raises
    ------
    InputError
        The bundle lacks a category, or makes too few muons above the cut; the folder is of another bundle.
    """
    stated = {"bundle": bundle.sha256, "seed": seed, "muons": MUONS, "energy_cut": sample.index["energy_cut"]}
    if (folder / INDEX).is_file():
        made = PreparedSample.open(folder)
        if made.index["sources"][0]["provenance"] != stated or set(categories) > set(
            made.index["categories"]
        ):
            raise InputError(f"{folder} is of another bundle, cut or choice: choose another folder")
        return made
    networks = {
        entry.category.name: (entry.category, network)
        for entry, network in zip(bundle.entries, bundle.load_networks("cpu"), strict=True)
    }
    if lacking := [name for name in categories if name not in networks]:
        raise InputError(
            f"the bundle {bundle.name} has no network of {', '.join(lacking)}: leave it out with --category, "
            "or train from nothing with `shipgen train best`"
        )
    entries = {}
    with complete_folder(folder, index=INDEX, force=True) as part:
        for name in categories:
            category, network = networks[name]
            random = np.random.default_rng(np.random.SeedSequence((seed, category.number, _LATENT)))
            features, weights = _make(network, random, sample.index["energy_cut"] or 0.0)
            if len(features) < _FEWEST:
                raise InputError(
                    f"of {MUONS:,} muons of {name} that the bundle {bundle.name} makes, {len(features):,} "
                    f"are above the sample's energy cut of {sample.index['energy_cut']:g} GeV: train from "
                    "nothing, with `shipgen train best`"
                )
            with CategoryWriter(part, category, len(weights)) as writer:
                writer.append(features, weights, np.arange(len(weights)))
            entries[name] = writer.entry(1.0)
        facts = {
            "sources": [{"name": bundle.name, "kind": "bundle", "provenance": stated}],
            "pot": None,
            "weight_unit": "none",
            "target_start": bundle.target_start,
            "energy_cut": bundle.energy_cut,
            "dropped": [],
        }
        write_index(part, entries, facts)
    return PreparedSample.open(folder)


def _make(network: Network, random: np.random.Generator, cut: float) -> tuple[Float32, Float64]:
    """Return muons above a cut in kinetic energy, GeV, float32[n, d], and their weights, float64[n]."""
    parts = []
    for first in range(0, MUONS, BATCH_SIZE):
        shape = network.latent_shape(min(BATCH_SIZE, MUONS - first))
        parts.append(network.columns(random.standard_normal(shape, np.float32)))
    columns = np.concatenate(parts, 1)
    features = np.ascontiguousarray(columns[: network.features].T)
    weights = columns[-1].astype(np.float64) if network.weighted else np.ones(len(features))
    kept = Quantities.of_rows(features)["energy"] - MUON_MASS >= cut
    return features[kept], weights[kept]


def of_few_protons(sample: PreparedSample, category: Category) -> str | None:
    """Say how few protons and muons a category is learnt from; ``None`` where they are enough alone."""
    muons = sample.load(category.name)
    weights, _ = tame(muons.part("train")[1])
    of_muon = np.unique(muons.group[muons.split == SPLITS.index("train")], return_inverse=True)[1]
    effective = effective_size(weights)
    protons = effective_size(np.bincount(of_muon, weights).astype(np.float64))
    if effective >= FEW_MUONS and protons >= FEW_PROTONS:
        return None
    return f"{effective:,.0f} effective muons of {protons:,.0f} protons to learn from"


def unsuited(bundle: Bundle, sample: PreparedSample, category: Category) -> str | None:
    """Say why a category cannot start from a bundle, ``None`` where it can."""
    entries = {entry.category: entry for entry in bundle.entries}
    if category not in entries:
        return "that has no network of it"
    stated = entries[category].details.get("coordinates")
    if stated is None:
        return "its network is not in coordinates made normal"
    cut = sample.index["energy_cut"]
    if cut is not None and bundle.energy_cut > _HIGHER_CUT * cut:
        return f"its energy cut, {bundle.energy_cut:g} GeV, is above the sample's, {cut:g} GeV"
    muons, _ = without_upstream(sample.load(category.name))
    weights, _ = tame(muons.part("train")[1])
    own, _ = choose_coordinates(muons, weights, float(sample.index["target_start"]))
    # Beside them stands how they were found.
    keys = {"map", *(one.name for one in fields(Cylinder))}
    names = read_coordinates({key: value for key, value in stated.items() if key in keys}).names
    if own.names != names:
        return f"that describes it by {', '.join(names)}, not by {', '.join(own.names)}"
    return None


def adapted_from(bundle: Bundle, categories: Sequence[str]) -> dict[str, Any]:
    """Return what a bundle's provenance says of the one that some of its `categories` were adapted from."""
    stated = {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256}
    return {**stated, "categories": list(categories)}
