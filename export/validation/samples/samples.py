"""What is compared: muons of any source, in one form.

A file of produced muons, of any layout, and what a bundle produces is put into a temporary folder; any other
ROOT file is prepared like a training sample, so that everything readers know (units, beam, weights, what to
drop) holds here as well. From there muons are read block by block.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, TypedDict

import numpy as np

from shipgen.bundle.bundle import INDEX as BUNDLE_INDEX
from shipgen.bundle.bundle import Bundle
from shipgen.bundle.library import locate
from shipgen.errors import InputError
from shipgen.files.outputs import sha256
from shipgen.generate.generator import MuonGenerator
from shipgen.provenance import without_folders
from shipgen_export.merit.weighted_muons import WeightedMuons, thin
from shipgen_export.reading.formats.readers import holds_arrays
from shipgen_export.reading.gather import draw
from shipgen_export.reading.prepare import prepare
from shipgen_export.sample.sample import INDEX, SPLITS, PreparedSample, file_name
from shipgen_export.simulation.variations import meanings
from shipgen_export.validation.samples.spool import is_produced, spool_bundle, spool_file
from shipgen_export.validation.samples.stores import Mapped, SampleStores, Store, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shipgen_export.reading.formats.array_files import ArrayChoice
    from shipgen_export.sample.prepared_index import DroppedFacts, PreparedFacts

#: Muons a category that are in memory at most, before the fair draw, as a multiple of those that stay.
_LOADED = 8

#: Kinds of files whose muons have no number of a proton.
_WITHOUT_PROTONS = ("flat", "flat-origin", "converted-ntuple", "arrays")


class SampleFacts(TypedDict, total=False):
    """What a sample is, as far as it says so; `pot` are the protons simulated, lengths in cm, GeV."""

    kind: str
    name: str
    about: str
    sha256: str | None
    seed: int | None
    pot: float | None
    energy_cut: float | None
    target_start: float
    bundle: str | None
    bundle_sha256: str | None
    layout: str | None
    selection: Mapping[str, Any] | None
    sources: list[str]
    parts: list[str] | None
    dropped: list[DroppedFacts]
    variations: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Sample:
    """Muons to compare.

    Attributes
    ----------
    label : str
        Name of the file, folder or bundle.
    facts : SampleFacts
        What it is, for the report.
    normalised : bool
        Whether weights are muons per POT; if not, rates mean nothing and only shares are compared.
    source : SampleStores
        All muons.
    draws : dict of str to WeightedMuons
        By category a fair draw of at most so many, for what needs them in memory: features in cm and GeV with
        z from the target's start; weights such that sums are those of all muons.
    train : dict of str to WeightedMuons
        Of a prepared sample: the part that networks were trained on, when the other parts are compared.
    simulated : float, optional
        Protons that were simulated, where that is known.
    bundle : Bundle, optional
        What the muons were produced from, when that is the sample.
    notes : tuple of str
        What the reader should know.
    """

    label: str
    facts: SampleFacts
    normalised: bool
    source: SampleStores
    draws: dict[str, WeightedMuons]
    train: dict[str, WeightedMuons] = field(default_factory=dict)
    simulated: float | None = None
    bundle: Bundle | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of_muons(
        cls,
        label: str,
        muons: Mapping[str, WeightedMuons],
        *,
        pot: float | None = None,
        protons: bool = True,
        limit: int = 250_000,
        seed: int = 1,
    ) -> Self:
        """Return a sample of muons in memory.

        Parameters
        ----------
        label : str
            What it is called.
        muons : mapping of str to WeightedMuons
            By category; z from the target's start, cm and GeV.
        pot : float, optional
            Protons simulated, whose muons they are; weights are per POT then.
        protons : bool
            Whether `group` is the proton; otherwise muons are independent.
        limit, seed : int
            Of the draws.
        """
        arrays = {
            name: (one.features, one.weights, one.group if protons else None) for name, one in muons.items()
        }
        facts: SampleFacts = {"kind": "muons in memory", "name": label, "pot": pot}
        return cls.of_stores(label, facts, stored(arrays), limit, seed, pot is not None, simulated=pot)

    @classmethod
    def of_stores(
        cls,
        label: str,
        facts: SampleFacts,
        stores: Mapping[str, Store],
        limit: int,
        seed: int,
        normalised: bool,
        **more: Any,
    ) -> Self:
        """Survey stores and draw from them; raise `InputError` where nothing can be compared."""
        source = SampleStores.of({name: store for name, store in stores.items() if len(store)}, label)
        if not sum(survey.total for survey in source.surveys.values()) > 0:
            raise InputError(f"{label} has no muon with weight: nothing can be compared")
        random = np.random.default_rng((seed, 4))
        draws = {}
        for name, survey in source.surveys.items():
            if survey.compared > 0:
                found = _draw(source.stores[name], limit, random)
                if found is not None:
                    factor = survey.total / found.weights.sum()
                    draws[name] = WeightedMuons(found.features, found.weights * factor, found.group)
        return cls(label, facts, normalised, source, draws, **more)

    @property
    def found(self) -> dict[str, int]:
        """How many muons there are, by category."""
        return {name: survey.muons for name, survey in self.source.surveys.items()}

    @property
    def weightless(self) -> dict[str, int]:
        """Muons of the categories that have no weight."""
        return {name: one.muons for name, one in self.source.surveys.items() if not one.compared > 0}


@dataclass(frozen=True)
class Choice:
    """How sources are read.

    Attributes
    ----------
    limit : int
        Most muons a category in memory.
    produced : int
        Muons that a bundle is asked for.
    seed : int
        Of draws, and of what a bundle produces.
    parts : tuple of str, optional
        Parts of a prepared sample that are compared; all when ``None``.
    beam : str
        Of ROOT files, as for `prepare`.
    arrays : ArrayChoice, optional
        Unit, frame and columns of arrays that do not state them.
    target_start : float, optional
        z of the target's start in ROOT files of simulations, cm, as for `prepare`.
    """

    limit: int
    produced: int
    seed: int
    parts: tuple[str, ...] | None = None
    beam: str = "auto"
    arrays: ArrayChoice | None = None
    target_start: float | None = None


@contextmanager
def open_sample(path: Path, choice: Choice) -> Iterator[Sample]:
    """Read a bundle, prepared sample or file of muons.

    Raises
    ------
    InputError
        It is none of these, cannot be used, or has no muon with weight.
    BundleError
        It is a bundle that cannot be used.
    """
    bundle = (locate(path) / BUNDLE_INDEX).is_file() or path.name == BUNDLE_INDEX
    if not bundle and (path / INDEX).is_file():
        yield _from_prepared(path.resolve().name, PreparedSample.open(path), choice)
        return
    if not bundle and path.is_dir():
        raise InputError(f"{path} is no bundle and no prepared sample (no {BUNDLE_INDEX} or {INDEX} in it)")
    with TemporaryDirectory(prefix="shipgen-validate-") as name:
        folder = Path(name)
        if bundle:
            yield _from_bundle(path, choice, folder)
        elif is_produced(path):
            yield _from_produced(path, choice, folder)
        else:
            # What is said of arrays is said of those of the two sides that are some.
            arrays, start = (choice.arrays, None) if holds_arrays(path) else (None, choice.target_start)
            prepared = prepare(
                [path], folder / "sample", cores=1, beam=choice.beam, arrays=arrays, target_start=start
            )
            yield _from_prepared(path.name, prepared, replace(choice, parts=None))


def _from_bundle(path: Path, choice: Choice, folder: Path) -> Sample:
    generator = MuonGenerator(path, n=choice.produced, seed=choice.seed)
    if generator.bundle.variations:
        # The same muons, with their factors.
        generator = MuonGenerator(generator.bundle, n=choice.produced, seed=choice.seed, variations="all")
    bundle, plan = generator.bundle, generator.plan
    facts: SampleFacts = {
        "kind": "bundle",
        "name": bundle.name,
        "about": bundle.label,
        "sha256": bundle.sha256,
        "seed": plan.seed,
        "pot": plan.pot,
        "energy_cut": bundle.energy_cut,
        "target_start": bundle.target_start,
        "variations": generator.variations,
    }
    label, stores = f"bundle {bundle.name}", spool_bundle(generator, folder)
    return Sample.of_stores(label, facts, stores, choice.limit, choice.seed, normalised=True, bundle=bundle)


def _from_produced(path: Path, choice: Choice, folder: Path) -> Sample:
    stated, stores = spool_file(path, folder)
    made_with = stated.get("bundle") or {}
    facts: SampleFacts = {
        "kind": "produced muons",
        "name": path.name,
        "sha256": sha256(path),
        "bundle": made_with.get("name"),
        "bundle_sha256": made_with.get("sha256"),
        "layout": stated.get("layout"),
        "seed": stated.get("seed"),
        "pot": stated["pot"],
        "energy_cut": stated.get("energy_cut"),
        "selection": stated.get("selection"),
        "variations": stated.get("variations") or {},
    }
    label, limit, seed = path.name, choice.limit, choice.seed
    notes = (f"not all that the bundle makes: {stated['selection']}",) if stated.get("selection") else ()
    return Sample.of_stores(label, facts, stores, limit, seed, normalised=True, notes=notes)


def _from_prepared(label: str, prepared: PreparedSample, choice: Choice) -> Sample:
    index, parts = prepared.index, choice.parts
    protons = not {source.get("kind") for source in index["sources"]} & set(_WITHOUT_PROTONS)
    stores = {}
    for category in prepared.categories:
        # Checks the hashes.
        prepared.load(category.name)
        column = {
            array: Mapped.of_npy(prepared.path / file_name(category.name, array))
            for array in ("features", "weights", "group", "split")
        }
        stores[category.name] = Store(
            category,
            column["features"],
            column["weights"],
            column["group"] if protons else None,
            column["split"],
            tuple(SPLITS.index(part) for part in parts) if parts else None,
            scale=1.0 if index["pot"] is None else 1 / index["pot"],
            start=index["target_start"],
            **_factors(prepared, category.name),
        )
    train: dict[str, WeightedMuons] = {}
    if parts and "train" not in parts:
        random = np.random.default_rng((choice.seed, 6))
        for name, store in stores.items():
            other = _draw(replace(store, parts=(SPLITS.index("train"),)), choice.limit // 4, random)
            train |= {name: other} if other is not None else {}
    notes = [without_folders(str(warning)) for warning in index.get("warnings", ())]
    if index["pot"] is None:
        notes.append("it is not known how many protons the weights stand for: shares, not rates are compared")
    if index.get("target_start_assumed"):
        notes.append(f"the target's start is assumed at z = {index['target_start']:g} cm, as in 2018")
    simulated = _simulated(index)
    facts: SampleFacts = {
        "kind": "prepared sample" if len(index["sources"]) != 1 else str(index["sources"][0].get("kind")),
        "name": label,
        "sources": [source["name"] for source in index["sources"]][:20],
        "sha256": index["sources"][0].get("sha256") if len(index["sources"]) == 1 else None,
        "parts": list(parts) if parts else None,
        "pot": simulated,
        "energy_cut": index["energy_cut"],
        "target_start": index["target_start"],
        "dropped": index["dropped"],
        "variations": meanings() if any(store.variations for store in stores.values()) else {},
    }
    return Sample.of_stores(
        label,
        facts,
        stores,
        choice.limit,
        choice.seed,
        normalised=index["pot"] is not None,
        train=train,
        simulated=simulated,
        notes=tuple(notes),
    )


def _factors(prepared: PreparedSample, name: str) -> dict[str, Any]:
    """Return what a store needs to know of the factors of variations, where there are any."""
    found = prepared.variations(name)
    if not found:
        return {}
    factors = Mapped.of_npy(prepared.path / file_name(name, "variations"))
    return {"factors": factors, "variations": tuple(found)}


def _simulated(index: PreparedFacts) -> float | None:
    """Return the protons that were simulated for a sample, where all its files state them."""
    stated = [source.get("pot") or 0.0 for source in index["sources"]]
    return float(sum(stated)) if stated and all(stated) else None


def _draw(store: Store, limit: int, random: np.random.Generator) -> WeightedMuons | None:
    """Return a fair draw of at most `limit` muons of those compared; ``None`` where none has weight."""
    places: Any = slice(None)
    if len(store) > _LOADED * limit:
        places = draw([len(store)], _LOADED * limit, (int(random.integers(2**31)), len(store)))[0]
    muons, chosen = store.read(places), store.compared(places)
    muons = muons if chosen is None else muons.at(chosen)
    return thin(muons, limit, random) if (muons.weights > 0).any() else None
