"""Counts and sums of weights of muons, by category, process and parent."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from shipgen.muons.categories import CATEGORIES, category_of
from shipgen_export.simulation.particles import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from shipgen.muons.columns import Columns

#: PDG code, without sign -> name of the parents that muons come from.
PARENTS = {
    211: "pi", 321: "K", 130: "K_L", 113: "rho", 223: "omega", 333: "phi", 221: "eta", 331: "eta'",
    22: "photon", 443: "J/psi",
}  # fmt: skip


class SumsRecord(TypedDict):
    """`WeightSums` in a file's provenance."""

    muons: int
    weight: float
    effective: float


class CountsRecord(TypedDict):
    """`MuonCounts` in a file's provenance."""

    muons: int
    sum_of_weights: float
    effective: float
    by_category: dict[str, SumsRecord]
    by_process: dict[str, SumsRecord]
    by_parent: dict[str, SumsRecord]


@dataclass
class WeightSums:
    """Number, sum of weights and sum of squared weights of some muons."""

    muons: int = 0
    weight: float = 0.0
    square: float = 0.0

    def add(self, weight: npt.NDArray[np.float64]) -> None:
        """Count further muons."""
        self.muons += len(weight)
        self.weight += float(weight.sum())
        self.square += float(np.square(weight).sum())

    @property
    def effective(self) -> float:
        """How many equal weights would carry the same statistics."""
        return self.weight**2 / self.square if self.square else 0.0

    def record(self) -> SumsRecord:
        """Return the figures for a file."""
        return {"muons": self.muons, "weight": self.weight, "effective": self.effective}


def _groups() -> defaultdict[str, WeightSums]:
    return defaultdict(WeightSums)


@dataclass
class MuonCounts:
    """Sums of all muons and of those of each category, process and parent."""

    all: WeightSums = field(default_factory=WeightSums)
    categories: defaultdict[str, WeightSums] = field(default_factory=_groups)
    processes: defaultdict[str, WeightSums] = field(default_factory=_groups)
    parents: defaultdict[str, WeightSums] = field(default_factory=_groups)
    heavy_events: Counter[str] = field(default_factory=Counter)

    @property
    def muons(self) -> int:
        """How many muons there are."""
        return self.all.muons

    def add(self, columns: Columns, heavy_events: Mapping[str, int]) -> None:
        """Count the muons in `columns` (training layout) and the heavy-flavour events behind them."""
        weight = np.asarray(columns["weight"], dtype=np.float64)
        self.all.add(weight)
        place = category_of(columns["pdg"], columns["x"], columns["y"])
        for number, category in enumerate(CATEGORIES):
            self.categories[category.name].add(weight[place == number])
        for code in np.unique(columns["process"]):
            self.processes[Process(code).name].add(weight[columns["process"] == code])
        parent = np.abs(np.asarray(columns["parent"], dtype=np.int64))
        for code in np.unique(parent):
            self.parents[parent_name(int(code))].add(weight[parent == code])
        self.heavy_events.update(heavy_events)

    def record(self) -> CountsRecord:
        """Return the figures for a file."""
        return {
            "muons": self.all.muons,
            "sum_of_weights": self.all.weight,
            "effective": self.all.effective,
            "by_category": {name: sums.record() for name, sums in self.categories.items()},
            "by_process": {name: sums.record() for name, sums in self.processes.items()},
            "by_parent": {name: sums.record() for name, sums in self.parents.items()},
        }


def parent_name(code: int) -> str:
    """Return the name of a parent, or of its group for charmed and beauty hadrons."""
    if code in PARENTS:
        return PARENTS[code]
    return "beauty" if 5 in {code // 100 % 10, code // 1000 % 10} else "charm"
