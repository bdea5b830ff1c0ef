"""Where the muons of a sample lie, and how they are read block by block with each proton's muons together.

Muons stay in files that are mapped into memory. Of files whose protons are in any order a block takes the
muons of a range of protons; it looks only into those pieces of the file that have some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.merit.weighted_muons import WeightedMuons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Array, Float32, Float64, Int64

#: Parts of the protons that errors of correlations come from.
FOLDS = 50

#: Muons in a block, about.
BLOCK = 250_000

#: Muons in a piece of a file, of which the least and the largest proton are known.
_PIECE = 1 << 16

#: Muons that are looked at at a time, a multiple of `_PIECE`.
_STEP = 1 << 20

#: Steps on the way from the first to the last muon, and to the last proton.
_FINE, _COARSE = 1 << 30, 1 << 16


@dataclass(frozen=True)
class Mapped:
    """An array in a file; it can be sent to another process.

    Attributes
    ----------
    path : Path
        The file.
    dtype : str
        NumPy type.
    shape : tuple of int
    offset : int
        Bytes before it.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int = 0

    @classmethod
    def of_npy(cls, path: Path) -> Mapped:
        """Return the array of a ``.npy`` file."""
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        return cls(path, found.dtype.str, found.shape, found.offset)

    def __len__(self) -> int:
        return self.shape[0]

    def open(self) -> Any:
        """Map the array."""
        return np.asarray(np.memmap(self.path, self.dtype, "r", self.offset, self.shape))


Column: TypeAlias = "Mapped | Array"


@dataclass(frozen=True, eq=False)
class Store:
    """The muons of one category.

    Attributes
    ----------
    category : Category
        Which.
    features : float32[n, d]
        cm and GeV, in the category's order.
    weights : float[n]
        In any unit.
    group : int64[n], optional
        Proton each comes from; without it each is a proton's only one.
    split : uint8[n], optional
        Part of a prepared sample.
    parts : tuple of int, optional
        Values of `split` that are compared; all muons without it.
    scale : float
        Weights x scale are muons per POT, where that is known.
    start : float
        z of the target's start, cm.
    factors : float32[n, v], optional
        Of the weights, by variation.
    variations : tuple of str
        Names of these.
    """

    category: Category
    features: Column
    weights: Column
    group: Column | None = None
    split: Column | None = None
    parts: tuple[int, ...] | None = None
    scale: float = 1.0
    start: float = 0.0
    factors: Column | None = None
    variations: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.weights)

    def read(self, places: Any) -> WeightedMuons:
        """Return the muons at `places`, a slice or numbers; z is counted from the target's start."""
        features = np.array(opened(self.features)[places])
        z = self.category.features.index("z")
        features[:, z] = features[:, z].astype(np.float64) - self.start
        weights = opened(self.weights)[places].astype(np.float64) * self.scale
        if self.group is not None:
            group = np.array(opened(self.group)[places])
        elif isinstance(places, slice):
            group = np.arange(len(self))[places]
        else:
            group = np.asarray(places)
        return WeightedMuons(features, weights, group)

    def compared(self, places: Any) -> npt.NDArray[np.bool_] | None:
        """Return which of the muons at `places` are compared; ``None`` where all are."""
        if self.parts is None or self.split is None:
            return None
        return np.isin(opened(self.split)[places], self.parts)


def opened(column: Column) -> Any:
    """Return the array of a column."""
    return column.open() if isinstance(column, Mapped) else column


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of a store before anything is compared.

    Attributes
    ----------
    muons, counted : int
        In all, and of those that are compared.
    total, compared : float
        Sums of weights x scale, of all and of those that are compared.
    low, high : float64[d]
        Ranges of the features of those that are compared.
    protons : int
        Largest number of a proton, and 1.
    ends : int64[k, 2]
        Least and largest proton of each piece.
    """

    muons: int
    counted: int
    total: float
    compared: float
    low: Float64
    high: Float64
    protons: int
    ends: Int64


def survey(store: Store, label: str) -> Survey:
    """Look at all muons once; raise `InputError` where a feature or weight is no number or below 0."""
    width, total, compared, counted = len(store.category.features), 0.0, 0.0, 0
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    ends = []
    for first in range(0, len(store), _STEP):
        places = slice(first, min(first + _STEP, len(store)))
        muons, chosen = store.read(places), store.compared(places)
        _check(muons, store.category, label)
        total += float(muons.weights.sum())
        if store.group is not None:
            ends += [_ends(muons.group[k : k + _PIECE]) for k in range(0, len(muons), _PIECE)]
        muons = muons if chosen is None else muons.at(chosen)
        compared += float(muons.weights.sum())
        counted += len(muons)
        if len(muons):
            low, high = np.minimum(low, muons.features.min(0)), np.maximum(high, muons.features.max(0))
    both = np.array(ends, np.int64).reshape(-1, 2)
    protons = int(both[:, 1].max()) + 1 if len(both) else 0
    return Survey(len(store), counted, total, compared, low, high, protons, both)


def _ends(group: Int64) -> tuple[int, int]:
    return int(group.min()), int(group.max())


def _check(muons: WeightedMuons, category: Category, label: str) -> None:
    columns = dict(zip(category.features, muons.features.T, strict=True))
    for name, values in {**columns, "weight": muons.weights}.items():
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InputError(
                f"{label}: {name} of {bad:,} muons of {category.name} is NaN or infinite: leave them out"
            )
    if (muons.weights < 0).any():
        raise InputError(f"{label}: muons of {category.name} have weights below 0: nothing can be compared")


@dataclass(frozen=True, eq=False)
class StoreBlock:
    """Some muons of a sample with all muons of their protons.

    Attributes
    ----------
    totals : float64[4]
        Sums of weights in the order of `CATEGORIES`, of all muons.
    moments : float64[4, 4]
        Sum over protons of the products of their sums of weights by category.
    muons : dict of str to WeightedMuons
        Those that are compared, with weights that carry all; `group` counts protons from 0, in all
        categories alike.
    folds : dict of str to int64[n]
        Part of the protons of each, 0 to `FOLDS` - 1.
    factors : dict of str to float32[n, v]
        Of the weights of those that are compared, by variation, where all stores have the same.
    """

    totals: Float64
    moments: Float64
    muons: dict[str, WeightedMuons]
    folds: dict[str, Int64]
    factors: dict[str, Float32]


@dataclass(frozen=True, eq=False)
class SampleStores:
    """The stores of a sample, surveyed.

    Attributes
    ----------
    stores : dict of str to Store
    surveys : dict of str to Survey
    protons : bool
        Whether the muons' protons are known; otherwise muons are independent.
    """

    stores: dict[str, Store]
    surveys: dict[str, Survey]
    protons: bool

    @classmethod
    def of(cls, stores: Mapping[str, Store], label: str) -> SampleStores:
        """Survey stores; raises as `survey` does."""
        surveys = {name: survey(store, label) for name, store in stores.items()}
        protons = all(store.group is not None for store in stores.values())
        return cls(dict(stores), surveys, protons)

    @property
    def variations(self) -> tuple[str, ...]:
        """Names of the variations that all muons have factors of."""
        found = {store.variations for store in self.stores.values()}
        return found.pop() if len(found) == 1 else ()

    @property
    def muons(self) -> int:
        """How many there are."""
        return sum(len(store) for store in self.stores.values())

    def parts(self) -> list[tuple[int, int]]:
        """Return ranges that give about `BLOCK` muons each, for `block`."""
        blocks = max(1, round(self.muons / BLOCK))
        if not self.protons:
            edges = np.linspace(0, _FINE, blocks + 1).astype(np.int64)
            return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        last = max(survey.protons for survey in self.surveys.values())
        coarse, counts = min(last, _COARSE), np.zeros(min(last, _COARSE), np.int64)
        for store in self.stores.values():
            group = opened(store.group) if store.group is not None else np.zeros(0, np.int64)
            for first in range(0, len(group), _STEP):
                counts += np.bincount(group[first : first + _STEP] * coarse // last, minlength=coarse)
        # The first proton of each coarse step, that of the end behind the last.
        firsts = -(-np.arange(coarse + 1) * last // coarse)
        behind = np.searchsorted(np.cumsum(counts), np.arange(1, blocks) * self.muons / blocks) + 1
        edges = np.unique([0, *firsts[behind].tolist(), last])
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def block(self, part: tuple[int, int]) -> StoreBlock:
        """Return the muons of one of the `parts`."""
        read = {name: self._read(name, part) for name in self.stores}
        groups, number = self._numbers({name: muons for name, (muons, _, _) in read.items()})
        places = {category.name: place for place, category in enumerate(CATEGORIES)}
        sums = np.zeros((number, len(CATEGORIES))) if self.protons else np.zeros((1, len(CATEGORIES)))
        squares = np.zeros(len(CATEGORIES))
        kept, folds, factors = {}, {}, {}
        for name, (muons, chosen, varied) in read.items():
            weights, place = muons.weights, places[name]
            if self.protons:
                sums[:, place] += np.bincount(groups[name], weights, minlength=number)
            else:
                sums[0, place], squares[place] = weights.sum(), np.square(weights).sum()
            survey = self.surveys[name]
            factor = survey.total / survey.compared if survey.compared > 0 else 1.0
            found = WeightedMuons(muons.features, weights * factor, groups[name])
            fold = muons.group % FOLDS
            kept[name] = found if chosen is None else found.at(chosen)
            folds[name] = fold if chosen is None else fold[chosen]
            if varied is not None:
                factors[name] = varied if chosen is None else varied[chosen]
        moments = sums.T @ sums if self.protons else np.diag(squares)
        return StoreBlock(sums.sum(0), moments, kept, folds, factors)

    def blocks(self) -> Iterator[StoreBlock]:
        """Yield all muons."""
        for part in self.parts():
            yield self.block(part)

    def _read(self, name: str, part: tuple[int, int]) -> tuple[WeightedMuons, Any, Float32 | None]:
        store = self.stores[name]
        if self.protons:
            places: Any = self._places(name, part)
        else:
            places = slice(len(store) * part[0] // _FINE, len(store) * part[1] // _FINE)
        factors = opened(store.factors)[places] if self.variations and store.factors is not None else None
        return store.read(places), store.compared(places), factors

    def _places(self, name: str, part: tuple[int, int]) -> Int64:
        """Return where the muons of a range of protons are."""
        group, ends = opened(self.stores[name].group), self.surveys[name].ends  # type: ignore[arg-type]
        found = [np.zeros(0, np.int64)]
        for piece in np.flatnonzero((ends[:, 0] < part[1]) & (ends[:, 1] >= part[0])).tolist():
            numbers = group[piece * _PIECE : (piece + 1) * _PIECE]
            found.append(piece * _PIECE + np.flatnonzero((numbers >= part[0]) & (numbers < part[1])))
        return np.concatenate(found)

    def _numbers(self, read: Mapping[str, WeightedMuons]) -> tuple[dict[str, Int64], int]:
        """Give the protons of a block numbers from 0, in all categories alike."""
        if not self.protons:
            ends = np.cumsum([len(muons) for muons in read.values()]).tolist()
            firsts = [end - len(muons) for end, muons in zip(ends, read.values(), strict=True)]
            ranges = (np.arange(first, end) for first, end in zip(firsts, ends, strict=True))
            return dict(zip(read, ranges, strict=True)), ends[-1] if ends else 0
        known, numbers = np.unique(
            np.concatenate([muons.group for muons in read.values()]), return_inverse=True
        )
        ends = np.cumsum([len(muons) for muons in read.values()])[:-1]
        return dict(zip(read, np.split(numbers, ends), strict=True)), len(known)


def stored(muons: Mapping[str, tuple[Float32, Float64, Int64 | None]]) -> dict[str, Store]:
    """Return stores of muons in memory: features with z from the target's start, weights, protons."""
    return {
        category.name: Store(category, *muons[category.name])
        for category in CATEGORIES
        if category.name in muons
    }
