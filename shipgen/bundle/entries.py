"""The categories of a bundle as ``bundle.json`` lists them: those with a network, and those without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipgen.bundle.details import Details, read_details
from shipgen.bundle.factors import FactorEntry
from shipgen.bundle.levels import LEVELLED, NORMAL
from shipgen.muons.categories import CATEGORIES, Category
from shipgen.numbers import plain_text, real, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What no network reaches: muons per POT, latents.
_MOST, _LATENTS = 1e6, 10_000


@dataclass(frozen=True)
class Entry:
    """One category of a bundle.

    Attributes
    ----------
    category : Category
        Which one.
    rate : float
        Muons per proton on target: the training sample's sum of weights per POT.
    latent_size : int
        Width of the network's input.
    file : str
        Name of the ONNX file in the bundle's folder.
    sha256 : str
        Hash of that file.
    weighted : bool
        Whether the network says a weight of each muon.
    details : Details
        What else ``bundle.json`` says of it.
    factors : FactorEntry, optional
        Its network of variations.
    stream : int
        How its latents are drawn: as normal numbers (1), also where nothing is said, or as levels (2).
    """

    category: Category
    rate: float
    latent_size: int
    file: str
    sha256: str
    weighted: bool
    details: Details
    factors: FactorEntry | None = None
    stream: int = NORMAL


@dataclass(frozen=True)
class Missing:
    """A category that a bundle makes no muons of.

    Attributes
    ----------
    category : Category
        Which one.
    rate : float
        Muons per proton on target in the training sample; 0 where that has none.
    """

    category: Category
    rate: float


def read_missing(
    content: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]
) -> tuple[Missing, ...]:
    """Take what is said of categories without a network, which are not `there`.

    Raises
    ------
    ValueError, KeyError, TypeError
        It is damaged, or names a category twice, here or among those that are there.
    """
    names = {category.name: category for category in CATEGORIES}
    missing = [
        Missing(names[item["name"]], real(item["rate"], "a missing rate", low=0, high=_MOST))
        for item in content
    ]
    stated = [one.category.name for one in missing] + [item.get("name") for item in there]
    twice = {name for name in names if stated.count(name) > 1 and name in stated[: len(missing)]}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} is missing, and there or missing again")
    return tuple(missing)


def read_entry(category: Category, content: Sequence[Mapping[str, Any]]) -> Entry:
    """Take the entry of `category` from ``bundle.json``'s list; raise ValueError, KeyError, TypeError."""
    found = [item for item in content if item.get("name") == category.name]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} entries for category {category.name}, not 1")
    item = dict(found[0])
    stated = (
        whole(item.pop("number"), "number"),
        whole(item.pop("pdg"), "pdg", low=-(2**31)),
        tuple(item.pop("features")),
    )
    if stated != (category.number, category.pdg, category.features):
        raise ValueError(f"number, PDG code or features of {category.name} are not those of the category")
    file = plain_text(item.pop("file"), f"the file of {category.name}", most=255)
    if Path(file).name != file:
        raise ValueError(f"the network of {category.name} lies outside the folder: {file}")
    rate = real(item.pop("rate"), f"the rate of {category.name}", low=0, high=_MOST)
    latent_size = whole(item.pop("latent_size"), f"latent_size of {category.name}", low=1, high=_LATENTS)
    digest, weighted = plain_text(item.pop("sha256"), "sha256", most=64), item.pop("weighted", False)
    if not isinstance(weighted, bool):
        raise ValueError(f"'weighted' of {category.name} is neither true nor false")
    stated = item.pop("variations", None)
    factors = None if stated is None else FactorEntry.read(stated, category.name)
    stream = whole(item.pop("stream", NORMAL), f"the stream of {category.name}", low=NORMAL, high=LEVELLED)
    return Entry(category, rate, latent_size, file, digest, weighted, read_details(item), factors, stream)
