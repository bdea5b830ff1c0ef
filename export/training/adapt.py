"""A bundle as the start of another: its muons teach flows that go on learning from a smaller, new sample.

All categories start from it, or those with few protons. ``OUT/origin/CATEGORY/prepared`` holds muons that the
bundle made, ``OUT/origin/CATEGORY/run`` a flow that learnt them; the teachers of ``shipgen train best`` start
from it. Tables are means of those of the bundle's muons, corrected by the new sample as far as its protons
say, and of the new sample's own, as they make protons held out likely.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import complete_folder
from shipgen.generate.chunks import BATCH_SIZE
from shipgen.muons.categories import CATEGORIES, MUON_MASS, category_by_name
from shipgen.muons.quantities import Quantities
from shipgen_export.maps.coordinates import Cylinder, described, read_coordinates
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
from shipgen_export.training.run.run_folder import INDEX as RUN
from shipgen_export.training.run.run_folder import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.bundle.network import Network
    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64

#: Muons of each category that the bundle makes; below the new sample's cut they are not used.
MUONS = 1_000_000
#: Fewer than these above the cut cannot teach.
_FEWEST = 10_000
#: Muons that tell how many of these there will be.
_PROBE = 50_000
#: A bundle knows nothing of muons below its own energy cut, which may be so much higher than the sample's.
_HIGHER_CUT = 1.05

#: Streams of random numbers.
_LATENT, _PROBED = 6, 7


def origin_folder(output: Path, category: str) -> Path:
    """Return the folder of what a category starts from, in that of a whole training."""
    return output / "origin" / category


def origins(
    bundle: Bundle | None,
    sample: PreparedSample,
    names: Sequence[str],
    output: Path,
    teacher: Path,
    seed: int,
    *,
    few: bool,
) -> tuple[dict[str, PreparedSample], list[str]]:
    """Make what categories start from: all, or with `few` those of few protons that can.

    What was begun goes on as it was.

    Parameters
    ----------
    bundle : Bundle, optional
        What to start from.
    sample : PreparedSample
        The new one.
    names : sequence of str
        Its categories.
    output : Path
        Folder of the whole training.
    teacher : Path
        Its first run of flows, which may have begun.
    seed : int
        Of the latents.
    few : bool
        See above.

    Returns
    -------
    dict of str to PreparedSample
        The bundle's muons for each category that starts from them.
    list of str
        Lines that say which do, and which cannot.

    Raises
    ------
    InputError
        Without `few`: a category cannot start from the bundle. The folder is of another bundle.
    """
    made: dict[str, PreparedSample] = {}
    notes: list[str] = []
    if bundle is None:
        return made, notes
    for name in names:
        category = category_by_name(name)
        before = begun(teacher, category)
        size = of_few_protons(sample, category) if few and before is None else None
        if few and not before and size is None:
            continue
        reason = None if before else unsuited(bundle, sample, category, seed)
        if reason and not few:
            raise InputError(
                f"{name} cannot start from the bundle {bundle.name}: {reason}. Leave it out with --category, "
                "or use `shipgen train best`: it trains from nothing what cannot start from a bundle"
            )
        if reason:
            notes.append(
                f"{name}: only {size}, but it is trained from nothing, for the bundle {bundle.name} cannot "
                f"be its start: {reason}"
            )
            continue
        if few and before:
            notes.append(f"{name}: its flows started from the bundle {bundle.name}, and go on so")
        elif few:
            notes.append(
                f"{name}: {size}, fewer than {FEW_MUONS:,} or {FEW_PROTONS:,}: its flows start from the "
                f"bundle {bundle.name} (--from takes that of a more similar target, or none)"
            )
        folder = origin_folder(output, name)
        folder.mkdir(parents=True, exist_ok=True)
        made[name] = origin_sample(bundle, sample, category, folder / "prepared", seed).verify([name])
    return made, notes


def begun(run: Path, category: Category) -> bool | None:
    """Return whether a flow in a run folder started from another; ``None`` where it has not started."""
    if not (run / RUN).is_file():
        return None
    opened = TrainingRun.open(run)
    return opened.start_of(category) is not None if opened.category(category).started else None


def of_few_protons(sample: PreparedSample, category: Category) -> str | None:
    """Say how few muons and protons a category is learnt from; ``None`` where they are enough alone."""
    muons = sample.load(category.name)
    weights, _ = tame(muons.part("train")[1])
    of_muon = np.unique(muons.group[muons.split == SPLITS.index("train")], return_inverse=True)[1]
    effective = effective_size(weights)
    protons = effective_size(np.bincount(of_muon, weights).astype(np.float64))
    if effective >= FEW_MUONS and protons >= FEW_PROTONS:
        return None
    return f"{effective:,.0f} effective muons of {protons:,.0f} effective protons to learn from"


def unsuited(bundle: Bundle, sample: PreparedSample, category: Category, seed: int) -> str | None:
    """Say why a category cannot start from a bundle, ``None`` where it can.

    Parameters
    ----------
    bundle : Bundle
        What it would start from.
    sample : PreparedSample
        The new one.
    category : Category
        Of its muons.
    seed : int
        Of the latents of some muons that are made to see how many are above the sample's cut.
    """
    entries = {entry.category: entry for entry in bundle.entries}
    if category not in entries:
        return "it has no network of it"
    cut = sample.index["energy_cut"] or 0.0
    if bundle.energy_cut > _HIGHER_CUT * cut:
        return f"its energy cut, {bundle.energy_cut:g} GeV, is above the sample's, {cut:g} GeV"
    if other := _otherwise_described(entries[category].details.get("coordinates"), sample, category):
        return other
    random = np.random.default_rng(np.random.SeedSequence((seed, category.number, _PROBED)))
    kept = MUONS * len(_make(_network(bundle, category), random, cut, _PROBE)[0]) / _PROBE
    if kept >= _FEWEST:
        return None
    return (
        f"of {MUONS:,} muons that it makes some {kept:,.0f} are above the sample's energy cut of {cut:g} GeV"
    )


def _otherwise_described(
    stated: Mapping[str, Any] | None, sample: PreparedSample, category: Category
) -> str | None:
    """Say how what a bundle states of its coordinates is not what a sample's muons are described by."""
    if stated is None:
        return "its network does not say by which coordinates it describes muons"
    # Beside them stands how they were found.
    keys = {"map", *(one.name for one in fields(Cylinder))}
    try:
        given = read_coordinates({key: value for key, value in stated.items() if key in keys})
    except InputError as error:
        return f"its coordinates cannot be read ({error})"
    muons, _ = without_upstream(sample.load(category.name))
    weights, _ = tame(muons.part("train")[1])
    own, _ = choose_coordinates(muons, weights, float(sample.index["target_start"]))
    if described(own) == described(given):
        return None
    return f"it describes muons by {described(given)}, and the sample's symmetries ask for {described(own)}"


def origin_sample(
    bundle: Bundle, sample: PreparedSample, category: Category, folder: Path, seed: int
) -> PreparedSample:
    """Make a prepared sample of a bundle's muons, or open the one that is there.

    Parameters
    ----------
    bundle : Bundle
        What makes the muons.
    sample : PreparedSample
        The new one: what lies below its energy cut is left out.
    category : Category
        Of the muons; the bundle has it.
    folder : Path
        To make.
    seed : int
        Of the latents.

    Raises
    ------
    InputError
        The folder, or that of another category beside it, is of another bundle or seed.
    """
    stated = {"bundle": bundle.sha256, "seed": seed, "muons": MUONS, "energy_cut": sample.index["energy_cut"]}
    for other in sorted(folder.parent.parent.glob(f"*/prepared/{INDEX}")):
        (source,) = PreparedSample.open(other.parent).index["sources"]
        if source["provenance"] == stated:
            continue
        facts: Any = source
        why = "with another seed or sample"
        if facts["provenance"].get("bundle") != bundle.sha256:
            why = f"from another bundle, {facts['name']}"
        raise InputError(
            f"{folder.parents[2]} was begun {why}: choose another folder (-o), or the --from and --seed that "
            "it was begun with"
        )
    if (folder / INDEX).is_file():
        return PreparedSample.open(folder)
    random = np.random.default_rng(np.random.SeedSequence((seed, category.number, _LATENT)))
    features, weights = _make(_network(bundle, category), random, sample.index["energy_cut"] or 0.0, MUONS)
    with complete_folder(folder, index=INDEX, force=True) as part:
        with CategoryWriter(part, category, len(weights)) as writer:
            writer.append(features, weights, np.arange(len(weights)))
        facts = {
            "sources": [{"name": bundle.name, "kind": bundle.label, "provenance": stated}],
            "pot": None,
            "weight_unit": "none",
            "target_start": bundle.target_start,
            "energy_cut": bundle.energy_cut,
            "dropped": [],
        }
        write_index(part, {category.name: writer.entry(1.0)}, facts)
    return PreparedSample.open(folder)


def _network(bundle: Bundle, category: Category) -> Network:
    """Return a bundle's network of a category that it has."""
    networks = zip(bundle.entries, bundle.load_networks("cpu"), strict=True)
    return next(network for entry, network in networks if entry.category == category)


def _make(network: Network, random: np.random.Generator, cut: float, count: int) -> tuple[Float32, Float64]:
    """Return muons above a cut in kinetic energy, GeV, float32[n, d], and their weights, float64[n]."""
    parts = []
    for first in range(0, count, BATCH_SIZE):
        shape = network.latent_shape(min(BATCH_SIZE, count - first))
        parts.append(network.columns(random.standard_normal(shape, np.float32)))
    columns = np.concatenate(parts, 1)
    features = np.ascontiguousarray(columns[: network.features].T)
    weights = columns[-1].astype(np.float64) if network.weighted else np.ones(len(features))
    kept = Quantities.of_rows(features)["energy"] - MUON_MASS >= cut
    return features[kept], weights[kept]


def adapted_from(output: Path, teacher: Path) -> dict[str, Any] | None:
    """Return what a whole training's bundle says of the one that categories of it were adapted from."""
    names = [category.name for category in CATEGORIES if begun(teacher, category)]
    if not names:
        return None
    (source,) = PreparedSample.open(origin_folder(output, names[0]) / "prepared").index["sources"]
    facts: Any = source
    return {
        "name": facts["name"],
        "label": facts["kind"],
        "sha256": facts["provenance"]["bundle"],
        "categories": names,
    }
