"""The prepared training sample: a folder with ``prepared.json`` and one ``.npz`` a category.

``prepared.json`` says where the muons come from, how many and how much weight each category got, what was
dropped, and the normalisation. An ``.npz`` holds the arrays of `CategorySample`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from shipgen.categories import CATEGORIES, Category, category_by_name
from shipgen.errors import InputError
from shipgen.files import read_json, sha256, write_json
from shipgen_export.transforms import Normalisation

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.columns import Array, Float32, Float64, Int64

FORMAT = "shipgen-prepared"
FORMAT_VERSION = 1
INDEX = "prepared.json"

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


def category_of(pdg: Array, x: Array, y: Array) -> npt.NDArray[np.int8]:
    """Return each muon's place in `CATEGORIES`, -1 for what is no muon.

    Parameters
    ----------
    pdg : int[n]
        PDG code.
    x, y : float[n]
        Where it starts, cm; on-axis is exactly 0 in both.
    """
    on_axis = (np.asarray(x) == 0) & (np.asarray(y) == 0)
    place = np.full(len(pdg), -1, np.int8)
    for number, category in enumerate(CATEGORIES):
        place[(pdg == category.pdg) & (on_axis == category.on_axis)] = number
    return place


def effective_size(weights: Float64) -> float:
    """Return (sum w)^2 / sum w^2: how many equal weights would carry the same statistics."""
    square = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / square if square > 0 else 0.0


@dataclass(frozen=True, eq=False)
class CategorySample:
    """The muons of one category.

    Attributes
    ----------
    category : Category
        Which one.
    features : float32[n, d]
        Physical values, cm and GeV, in the category's order.
    weights : float64[n]
        In the unit that ``prepared.json`` states.
    group : int64[n]
        Proton or event the muon comes from.
    split : uint8[n]
        Index into `SPLITS`.
    normalisation : Normalisation
        Fitted to all of the category's muons.
    """

    category: Category
    features: Float32
    weights: Float64
    group: Int64
    split: npt.NDArray[np.uint8]
    normalisation: Normalisation

    def part(self, name: str) -> tuple[Float32, Float64]:
        """Return features and weights of the part called `name` (one of `SPLITS`)."""
        chosen = self.split == SPLITS.index(name)
        return self.features[chosen], self.weights[chosen]


@dataclass(frozen=True)
class PreparedSample:
    """A prepared sample on disk; categories are read when asked for."""

    path: Path
    index: dict[str, Any]

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
        return cls(path, index)

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
        file = self.path / f"{name}.npz"
        if not file.is_file() or sha256(file) != entry["sha256"]:
            raise InputError(
                f"{file} is missing or not the file that {INDEX} names: prepare the sample again"
            )
        try:
            # Opened here: `np.load` leaks a file whose archive is truncated.
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                return CategorySample(
                    category,
                    features=arrays["features"],
                    weights=arrays["weights"],
                    group=arrays["group"],
                    split=arrays["split"],
                    normalisation=Normalisation.from_json(entry["normalisation"]),
                )
        except (BadZipFile, KeyError, ValueError) as error:
            raise InputError(f"{file} is damaged ({error}): prepare the sample again") from error


def write_sample(folder: Path, samples: list[CategorySample], facts: dict[str, Any]) -> None:
    """Write a prepared sample into the existing empty `folder`.

    Parameters
    ----------
    folder : Path
        Where to; make it with `shipgen.files.complete_folder`.
    samples : list of CategorySample
        One a category that has muons.
    facts : dict
        What goes into ``prepared.json`` beside the categories: sources, POT, weight unit, frame, cut,
        what was dropped.
    """
    categories = {}
    for sample in samples:
        file = folder / f"{sample.category.name}.npz"
        np.savez(
            file, features=sample.features, weights=sample.weights, group=sample.group, split=sample.split
        )
        categories[sample.category.name] = {
            "muons": len(sample.weights),
            "weight": float(sample.weights.sum()),
            "effective": effective_size(sample.weights),
            "largest_weight": float(sample.weights.max()),
            "split": {name: int((sample.split == i).sum()) for i, name in enumerate(SPLITS)},
            "normalisation": sample.normalisation.to_json(),
            "sha256": sha256(file),
        }
    write_json(
        folder / INDEX,
        {"format": FORMAT, "format_version": FORMAT_VERSION, **facts, "categories": categories},
    )
