"""What ``prepared.json`` holds: of each file, of each category, of the beam, of all."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class DroppedFacts(TypedDict):
    """Muons left out for one reason; `weight` is ``None`` where it cannot be told."""

    reason: str
    muons: int
    weight: float | None


class CategoryRange(TypedDict):
    """Muons of a category in one file and the ranges of their features, cm and GeV."""

    muons: int
    minimum: list[float]
    maximum: list[float]
    weight: NotRequired[float]


class SourceFacts(TypedDict):
    """One file: `weights` says what they stand for, `scale` what they were multiplied with."""

    name: str
    sha256: str | None
    kind: str
    entries: int
    found: dict[str, int]
    muons: int
    weight: float
    scale: float
    weights: str
    pot: float | None
    energy_cut: float | None
    target_start: float | None
    beam: str
    group: str
    categories: dict[str, CategoryRange]
    dropped: list[DroppedFacts]
    provenance: dict[str, Any] | None


class Spread(TypedDict):
    """How the beam's positions are distributed along one axis, cm."""

    mean: float
    standard_deviation: float
    quantiles: dict[str, float]


class BeamPlaces(TypedDict):
    """The beam's positions that were taken off x and y, and the file with some of them."""

    events: int
    kept: int
    file: str
    sha256: str
    unit: str
    x: Spread
    y: Spread
    r: Spread


class VariationFacts(TypedDict):
    """Factors of variations beside the muons of a category: names of the columns, hash of the file."""

    columns: list[str]
    sha256: str


class VariationsEntry(TypedDict):
    """Part of a category's entry, where its files have variations."""

    variations: NotRequired[VariationFacts]


class CategoryEntry(TypedDict):
    """One category: its weights, the parts of the split, the normalisation, hashes of its arrays."""

    muons: int
    weight: float
    effective: float
    largest_weight: float
    split: dict[str, int]
    normalisation: dict[str, Any]
    sha256: dict[str, str]
    variations: NotRequired[VariationFacts]


class GatheredEntry(CategoryEntry):
    """One category of files: `found` muons before a cap, `outside` the weight outside target and absorber."""

    found: int
    weight_factor: float
    minimum: list[float]
    maximum: list[float]
    outside: float
    files: NotRequired[list[float]]


class PreparedFacts(TypedDict):
    """All of it, without what only people read; ``None`` is not known."""

    format: str
    format_version: int
    sources: list[SourceFacts]
    pot: float | None
    energy_cut: float | None
    target_start: float
    categories: dict[str, CategoryEntry]
    dropped: list[DroppedFacts]
    warnings: NotRequired[list[str]]
    target_start_assumed: NotRequired[bool]
