"""What is compared: muons of any source, in one form.

A ROOT file is prepared like a training sample, into a folder that is removed at the end, so that everything
readers know (units, beam, weights, what to drop) holds here as well, and files may be larger than the memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle import INDEX as BUNDLE_INDEX
from shipgen.bundle import Bundle
from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen.generator import MuonGenerator
from shipgen.progress import progress
from shipgen.provenance import without_folders
from shipgen_export.prepare import prepare
from shipgen_export.reading.gather import draw
from shipgen_export.sample import INDEX, SPLITS, CategorySample, PreparedSample, category_of
from shipgen_export.training.figure_of_merit import Muons, thin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shipgen.categories import Category
    from shipgen.columns import Float64

#: Parts of a prepared sample that networks have not been trained on.
HELD_OUT = ("validation", "test")

#: Muons a category that are in memory at most, before the fair draw, as a multiple of those that stay.
_LOADED = 8

#: Muons whose weights are added up at a time.
_BLOCK = 1 << 20

#: Kinds of files whose muons have no number of a proton.
_WITHOUT_PROTONS = ("flat", "flat-origin", "converted-ntuple")


@dataclass(frozen=True, eq=False)
class Sample:
    """Muons to compare.

    Attributes
    ----------
    label : str
        Name of the file, folder or bundle.
    facts : dict
        What it is, as plain values for the report.
    normalised : bool
        Whether weights are muons per POT; if not, rates mean nothing and only shares are compared.
    categories : dict of str to Muons
        By name, at most so many muons: features in cm and GeV with z from the target's start; weights such
        that sums are those of all muons; `group` has the proton's number, the same in all categories.
    found : dict of str to int
        Muons there are, by category.
    totals : float64[4]
        Sums of all weights in the order of `CATEGORIES`.
    covariance : float64[4, 4]
        Of `totals`; muons of a proton vary together.
    protons : bool
        Whether `group` is the proton, so that errors are those of protons.
    train : dict of str to Muons
        Of a prepared sample: the part that networks were trained on, when `categories` are the other parts.
    notes : tuple of str
        What the reader should know.
    """

    label: str
    facts: dict[str, Any]
    normalised: bool
    categories: dict[str, Muons]
    found: dict[str, int]
    totals: Float64
    covariance: Float64
    protons: bool
    bundle: Bundle | None = None
    train: dict[str, Muons] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """How sources are read.

    Attributes
    ----------
    limit : int
        Most muons a category that are compared.
    produced : int
        Muons that a bundle is asked for.
    seed : int
        Of draws, and of what a bundle produces.
    parts : tuple of str, optional
        Parts of a prepared sample that are compared; all when ``None``.
    beam : str
        Of ROOT files, as for `prepare`.
    """

    limit: int
    produced: int
    seed: int
    parts: tuple[str, ...] | None = None
    beam: str = "auto"


@contextmanager
def open_sample(path: Path, choice: Choice) -> Iterator[Sample]:
    """Read a bundle, prepared sample or ROOT file.

    Raises
    ------
    InputError
        It is none of these, cannot be used, or has no muon with weight.
    BundleError
        It is a bundle that cannot be used.
    """
    if path == Path("default") or (path / BUNDLE_INDEX).is_file() or path.name == BUNDLE_INDEX:
        yield _from_bundle(path, choice)
    elif (path / INDEX).is_file():
        yield _from_prepared(path.resolve().name, PreparedSample.open(path), choice)
    elif path.is_dir():
        raise InputError(f"{path} is no bundle and no prepared sample (no {BUNDLE_INDEX} or {INDEX} in it)")
    else:
        with TemporaryDirectory(prefix="shipgen-validate-") as folder:
            prepared = prepare([path], Path(folder) / "sample", cores=1, beam=choice.beam)
            whole = Choice(choice.limit, choice.produced, choice.seed)
            yield _from_prepared(path.name, prepared, whole)


def _from_bundle(path: Path, choice: Choice) -> Sample:
    """Produce muons from a bundle."""
    generator = MuonGenerator(path, n=choice.produced, seed=choice.seed)
    bundle, plan = generator.bundle, generator.plan
    columns: dict[str, list[Any]] = {}
    with progress("producing", plan.total, "muons") as advance:
        for batch in generator:
            for name, values in batch.columns().items():
                columns.setdefault(name, []).append(values)
            advance(len(batch))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    place = category_of(joined["pdg"], joined["x"], joined["y"])
    scale = 1 / plan.pot
    random = np.random.default_rng((choice.seed, 3))
    categories, totals, squares = {}, np.zeros(4), np.zeros(4)
    for number, category in enumerate(CATEGORIES):
        chosen = np.flatnonzero(place == number)
        if len(chosen):
            features = np.stack([joined[name][chosen] for name in category.features], 1)
            weights = joined["weight"][chosen].astype(np.float64) * scale
            totals[number], squares[number] = weights.sum(), np.square(weights).sum()
            muons = Muons(features, weights, chosen)
            categories[category.name] = _ready(muons, category, bundle.target_start, choice.limit, random)
    found = np.bincount(place, minlength=4)
    facts = {
        "kind": "bundle",
        "name": bundle.name,
        "about": bundle.label,
        "sha256": bundle.sha256,
        "seed": plan.seed,
        "pot": plan.pot,
        "energy_cut": bundle.energy_cut,
        "target_start": bundle.target_start,
    }
    return Sample(
        label=f"bundle {bundle.name}",
        facts=facts,
        normalised=True,
        categories=categories,
        found={category.name: int(n) for category, n in zip(CATEGORIES, found, strict=True)},
        totals=totals,
        covariance=np.diag(squares),
        protons=False,
        bundle=bundle,
    )


def _from_prepared(label: str, prepared: PreparedSample, choice: Choice) -> Sample:
    index = prepared.index
    kinds = {source.get("kind") for source in index["sources"]}
    protons = not kinds & set(_WITHOUT_PROTONS)
    scale = 1.0 if index["pot"] is None else 1 / index["pot"]
    loaded = {category.name: prepared.load(category.name) for category in prepared.categories}
    totals, covariance = _totals(loaded, protons=protons, number=_simulated(index))
    if not totals.sum() > 0:
        raise InputError(f"{label} has no muon with weight: nothing can be compared")
    random = np.random.default_rng((choice.seed, 4))
    parts = choice.parts
    categories: dict[str, Muons] = {}
    train: dict[str, Muons] = {}
    for name, sample in loaded.items():
        muons = _draw(sample, parts, scale, index["target_start"], choice.limit, random)
        if muons is not None:
            categories[name] = muons
        if parts and "train" not in parts:
            other = _draw(sample, ("train",), scale, index["target_start"], choice.limit // 4, random)
            train |= {name: other} if other is not None else {}
    notes = [without_folders(str(warning)) for warning in index.get("warnings", ())]
    if index["pot"] is None:
        notes.append("it is not known how many protons the weights stand for: shares, not rates are compared")
    if index.get("target_start_assumed"):
        notes.append(f"the target's start is assumed at z = {index['target_start']:g} cm, as in 2018")
    facts = {
        "kind": "prepared sample" if len(index["sources"]) != 1 else str(index["sources"][0].get("kind")),
        "name": label,
        "sources": [source["name"] for source in index["sources"]][:20],
        "sha256": index["sources"][0].get("sha256") if len(index["sources"]) == 1 else None,
        "parts": list(parts) if parts else None,
        "pot": _simulated(index),
        "energy_cut": index["energy_cut"],
        "target_start": index["target_start"],
        "dropped": index["dropped"],
    }
    return Sample(
        label=label,
        facts=facts,
        normalised=index["pot"] is not None,
        categories=categories,
        found={category.name: len(loaded[category.name].weights) for category in prepared.categories},
        totals=totals * scale,
        covariance=covariance * scale**2,
        protons=protons,
        train=train,
        notes=tuple(notes),
    )


def _simulated(index: dict[str, Any]) -> float | None:
    """Return the protons that were simulated for a sample, where all its files state them."""
    stated = [source.get("pot") for source in index["sources"]]
    return float(sum(stated)) if stated and all(stated) else None


def _totals(
    loaded: dict[str, CategorySample], *, protons: bool, number: float | None
) -> tuple[Float64, Float64]:
    """Return sums of weights by category and their covariance.

    With protons g of weights w_g (a vector over categories) it is the sum of w_g w_g^T, less the product of
    the sums over the number of protons where that is known, for it is fixed in a simulation.
    """
    totals, covariance = np.zeros(4), np.zeros((4, 4))
    places = {category.name: number for number, category in enumerate(CATEGORIES)}
    if not protons:
        for name, sample in loaded.items():
            for first in range(0, len(sample.weights), _BLOCK):
                weights = sample.weights[first : first + _BLOCK]
                totals[places[name]] += weights.sum()
                covariance[places[name], places[name]] += np.square(weights).sum()
        return totals, covariance
    sums = np.zeros((4, 1 + max(int(sample.group.max()) for sample in loaded.values())))
    for name, sample in loaded.items():
        for first in range(0, len(sample.weights), _BLOCK):
            part = slice(first, first + _BLOCK)
            np.add.at(sums[places[name]], sample.group[part], sample.weights[part])
    totals = sums.sum(1)
    covariance = sums @ sums.T
    if number and number >= np.count_nonzero(sums.any(0)):
        covariance -= np.outer(totals, totals) / number
    return totals, covariance


def _draw(
    sample: CategorySample,
    parts: Sequence[str] | None,
    scale: float,
    start: float,
    limit: int,
    random: np.random.Generator,
) -> Muons | None:
    """Return a fair draw of at most `limit` muons of the `parts`; their weights carry those of all parts."""
    count, factor = len(sample.weights), scale
    chosen: Any = slice(None)
    if count > _LOADED * limit:
        chosen = draw([count], _LOADED * limit, (int(random.integers(2**31)), count))[0]
        factor *= count / len(chosen)
    muons = Muons(sample.features[chosen], sample.weights[chosen] * factor, sample.group[chosen])
    if parts:
        there = np.isin(sample.split[chosen], [SPLITS.index(part) for part in parts])
        if not there.any():
            return None
        whole = muons.weights.sum()
        muons = muons.at(there)
        muons = Muons(muons.features, muons.weights * (whole / muons.weights.sum()), muons.group)
    return _ready(muons, sample.category, start, limit, random)


def _ready(muons: Muons, category: Category, start: float, limit: int, random: np.random.Generator) -> Muons:
    """Thin muons and take z from the target's start."""
    muons = thin(muons, limit, random)
    features = muons.features.copy()
    z = category.features.index("z")
    features[:, z] = features[:, z].astype(np.float64) - start
    return Muons(features, muons.weights, muons.group)


def by_proton(muons: Muons) -> Muons:
    """Sort muons by proton and number the protons from 0, as `statistics` takes them."""
    order = np.argsort(muons.group, kind="stable")
    group = np.unique(muons.group[order], return_inverse=True)[1]
    return Muons(muons.features[order], muons.weights[order], group)
