"""The prepared training sample: a folder with ``prepared.json`` and four ``.npy`` files a category.

``prepared.json`` says where the muons come from, how many and how much weight each category got, what was
dropped, and the normalisation. The files are named ``CATEGORY.ARRAY.npy``, after the arrays of
`CategorySample`; they are mapped into memory, not read, so that a sample may be larger than the memory.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from shipgen.errors import InputError
from shipgen.files.outputs import read_json, sha256, write_json
from shipgen.muons.categories import CATEGORIES, Category, category_by_name
from shipgen_export.sample.transforms import Normalisation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from shipgen.muons.columns import Float32, Float64, Int64
    from shipgen_export.maps.muon_map import MuonMap
    from shipgen_export.sample.prepared_index import CategoryEntry, PreparedFacts

FORMAT = "shipgen-prepared"
FORMAT_VERSION = 2
INDEX = "prepared.json"

#: The arrays of a category and their types.
ARRAYS = {"features": "<f4", "weights": "<f8", "group": "<i8", "split": "|u1"}

#: Parts of the sample; muons of one proton (or event) are all in the same part.
SPLITS = ("train", "validation", "test")
_SHARES = (0.7, 0.15, 0.15)


def split_by_group(group: Int64) -> npt.NDArray[np.uint8]:
    """Assign each muon to a part by its group alone, so that equal groups always land together.

    Parameters
    ----------
    group : int64[n]
        Proton or event number.

    Returns
    -------
    uint8[n]
        Index into `SPLITS`.
    """
    # splitmix64's finaliser: neighbouring numbers become independent uniform ones.
    mixed = group.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    uniform = (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64
    return np.searchsorted(np.cumsum(_SHARES)[:-1], uniform, side="right").astype(np.uint8)


def effective_size(weights: Float64) -> float:
    """Return (sum w)^2 / sum w^2: how many equal weights would carry the same statistics."""
    square = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / square if square > 0 else 0.0


@dataclass(frozen=True, eq=False)
class CategorySample:
    """The muons of one category; arrays of a sample on disk are read-only.

    Attributes
    ----------
    category : Category
        Which one.
    features : float32[n, d]
        Physical values, cm and GeV, in the category's order; x and y relative to the beam's position.
    weights : float64[n]
        In the unit that ``prepared.json`` states.
    group : int64[n]
        Proton or event the muon comes from.
    split : uint8[n]
        Index into `SPLITS`.
    normalisation : Normalisation
        Fitted to all of the category's muons, those that a cap left out among them.
    map : MuonMap, optional
        For networks that are trained in coordinates made normal.
    """

    category: Category
    features: Float32
    weights: Float64
    group: Int64
    split: npt.NDArray[np.uint8]
    normalisation: Normalisation
    map: MuonMap | None = None

    @property
    def form(self) -> Normalisation | MuonMap:
        """What networks are trained in: the map where there is one, or the normalisation."""
        return self.normalisation if self.map is None else self.map

    def part(self, name: str) -> tuple[Float32, Float64]:
        """Return features and weights of the part called `name` (one of `SPLITS`)."""
        chosen = self.split == SPLITS.index(name)
        return self.features[chosen], self.weights[chosen]


@dataclass(frozen=True)
class PreparedSample:
    """A prepared sample on disk; categories are read when asked for.

    Attributes
    ----------
    path : Path
        Its folder.
    index : PreparedFacts
        Content of ``prepared.json``.
    verified : frozenset of str
        Categories whose arrays are known to be those that were written.
    """

    path: Path
    index: PreparedFacts
    verified: frozenset[str] = frozenset()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read and check ``prepared.json``; raise `InputError` when it is missing or of another kind."""
        if not (path / INDEX).is_file():
            raise InputError(
                f"{path} is no prepared sample (no {INDEX} in it): make one with `shipgen prepare`"
            )
        index = read_json(path / INDEX)
        if index.get("format") != FORMAT or index.get("format_version") != FORMAT_VERSION:
            raise InputError(
                f"{path / INDEX} is {index.get('format')!r} version {index.get('format_version')!r}, "
                f"not {FORMAT!r} version {FORMAT_VERSION}: prepare the sample again"
            )
        return cls(path, cast("PreparedFacts", index))

    def verify(self, names: Sequence[str]) -> Self:
        """Return the sample with these categories' arrays compared with their hashes, once for many loads.

        Raises
        ------
        InputError
            As `load` does.
        """
        for name in names:
            self.load(name)
        return replace(self, verified=self.verified | set(names))

    @property
    def categories(self) -> tuple[Category, ...]:
        """The categories that have muons, in their usual order."""
        return tuple(category for category in CATEGORIES if category.name in self.index["categories"])

    def load(self, name: str) -> CategorySample:
        """Read one category; raise `InputError` when it is not there or does not match its hash."""
        category = category_by_name(name)
        entry = self.index["categories"].get(name)
        if entry is None:
            there = ", ".join(self.index["categories"]) or "none"
            raise InputError(f"{self.path} has no muons of category {name}: it has {there}")
        width = len(category.features)
        return CategorySample(
            category,
            normalisation=Normalisation.from_json(entry["normalisation"]),
            **{array: self._map(name, array, entry, width) for array in ARRAYS},
        )

    def variations(self, name: str) -> dict[str, Float32]:
        """Return factors of the weights of a category's muons by variation, float32[n] each; {} if none.

        Raises
        ------
        InputError
            The file is missing or another one.
        """
        facts = self.index["categories"][name].get("variations")
        if facts is None:
            return {}
        file = self.path / file_name(name, "variations")
        if not file.is_file() or sha256(file) != facts["sha256"]:
            raise InputError(
                f"{file} is missing or not the file that {INDEX} names: prepare the sample again"
            )
        factors = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
        return {column: factors[:, place] for place, column in enumerate(facts["columns"])}

    def _map(self, name: str, array: str, entry: CategoryEntry, width: int) -> Any:
        """Map one array into memory, having checked that it is the one that was written."""
        file = self.path / file_name(name, array)
        if not file.is_file() or (name not in self.verified and sha256(file) != entry["sha256"][array]):
            raise InputError(
                f"{file} is missing or not the file that {INDEX} names: prepare the sample again"
            )
        shape = _shape(array, entry["muons"], width)
        try:
            mapped = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{file} is damaged ({error}): prepare the sample again") from error
        if mapped.shape != shape or mapped.dtype != np.dtype(ARRAYS[array]):
            raise InputError(
                f"{file} is damaged (it holds {mapped.dtype}{list(mapped.shape)}, not "
                f"{np.dtype(ARRAYS[array])}{list(shape)}): prepare the sample again"
            )
        # The bare array: a memmap would turn even single numbers into arrays of its own class.
        return np.asarray(mapped)


def file_name(category: str, array: str) -> str:
    """Return the name of the file of one array of `ARRAYS`."""
    return f"{category}.{array}.npy"


def _shape(array: str, muons: int, width: int) -> tuple[int, ...]:
    return (muons, width) if array == "features" else (muons,)


class CategoryWriter:
    """Writes the arrays of one category block by block, so that they need not be in memory.

    Parameters
    ----------
    folder : Path
        Where to.
    category : Category
        Which one.
    muons : int
        How many will come in all.
    """

    def __init__(self, folder: Path, category: Category, muons: int) -> None:
        self._folder, self._category, self._muons = folder, category, muons
        width = len(category.features)
        self._hashes = {array: hashlib.sha256() for array in ARRAYS}
        self._sums, self._lowest, self._highest = (
            np.zeros(width),
            np.full(width, np.inf),
            np.full(width, -np.inf),
        )
        self._weight, self._square, self._largest = 0.0, 0.0, 0.0
        self._written = self._seen = 0
        self._parts = np.zeros(len(SPLITS), np.int64)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._files = {
                array: stack.enter_context((self._folder / file_name(self._category.name, array)).open("wb"))
                for array in ARRAYS
            }
            for array, kind in ARRAYS.items():
                header = BytesIO()
                shape = _shape(array, self._muons, len(self._category.features))
                np.lib.format.write_array_header_1_0(
                    header, {"descr": kind, "fortran_order": False, "shape": shape}
                )
                self._put(array, header.getvalue())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def append(
        self,
        features: Float32,
        weights: Float64,
        group: Int64,
        split: npt.NDArray[np.uint8] | None = None,
        drawn_from: Float32 | None = None,
    ) -> None:
        """Append muons; without `split` they are assigned by `split_by_group`.

        The normalisation is that of the muons appended, or of all those that they were `drawn_from`.
        """
        seen = features if drawn_from is None else drawn_from
        if len(seen):
            self._seen += len(seen)
            self._sums += seen.sum(0, dtype=np.float64)
            self._lowest = np.minimum(self._lowest, seen.min(0))
            self._highest = np.maximum(self._highest, seen.max(0))
        if not len(weights):
            return
        split = split_by_group(group) if split is None else split
        for array, values in zip(ARRAYS, (features, weights, group, split), strict=True):
            self._put(array, np.ascontiguousarray(values, np.dtype(ARRAYS[array])).data)
        self._weight += float(weights.sum())
        self._square += float(np.square(weights).sum())
        self._largest = max(self._largest, float(weights.max()))
        self._parts += np.bincount(split, minlength=len(SPLITS))
        self._written += len(weights)

    def entry(self, span: float) -> CategoryEntry:
        """Return what ``prepared.json`` says of the category, whose features are normalised to +-`span`."""
        if self._written != self._muons:
            raise ValueError(f"{self._written} muons were written, not {self._muons}")
        mean = self._sums / self._seen
        features = self._category.features
        normalisation = Normalisation.from_range(features, self._lowest, self._highest, mean, span)
        return {
            "muons": self._written,
            "weight": self._weight,
            "effective": self._weight**2 / self._square if self._square > 0 else 0.0,
            "largest_weight": self._largest,
            "split": dict(zip(SPLITS, self._parts.tolist(), strict=True)),
            "normalisation": normalisation.to_json(),
            "sha256": {array: digest.hexdigest() for array, digest in self._hashes.items()},
        }

    def _put(self, array: str, content: bytes | memoryview) -> None:
        self._files[array].write(content)
        self._hashes[array].update(content)


def write_index(folder: Path, categories: Mapping[str, CategoryEntry], facts: dict[str, Any]) -> None:
    """Write ``prepared.json``: `categories` as from `CategoryWriter.entry`, and all else that is known."""
    index = {"format": FORMAT, "format_version": FORMAT_VERSION, **facts, "categories": categories}
    write_json(folder / INDEX, index)
