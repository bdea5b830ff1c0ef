"""Exact duplicates, of all muons: within either side, and between the two.

Muons are told apart by their momentum, which is stored alike in all layouts, frames and units of length. In
float32 two muons that have nothing to do with each other never share all three components, so that a subset,
a copy in another format or a file that was merged twice shows. Of very many muons those are compared whose
momentum's hash is among the smallest: a muon and its copy are both in that choice, or neither is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from shipgen_export.validation.counting.findings import COPIES, Finding
from shipgen_export.validation.counting.statistics import poisson_above
from shipgen_export.validation.samples.stores import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from shipgen.muons.columns import Float32
    from shipgen_export.validation.samples.stores import Store

    Keys = npt.NDArray[np.uint64]

#: Muons of a side that are compared at most, about, and muons read at a time.
_MOST, _STEP = 4_000_000, 1 << 20
#: Muons whose components show how often values repeat by themselves, as of a particle gun.
_ASKED = 50_000
#: Pairs of equal muons by chance may be more than for independent components, by this factor.
_DEPENDENT = 100.0
#: Of fewer muons nothing is concluded.
_FEWEST = 10
#: A smaller share of copies is a test that fails, and no reason to stop.
_LOUD = 1e-3


class Copies(TypedDict):
    """Shares of a category's muons whose momentum is another one's, and how many were asked."""

    asked: list[int]
    generated_in_reference: float
    reference_in_generated: float
    within_generated: float
    within_reference: float


@dataclass(frozen=True, eq=False)
class CopySearch:
    """The copies of one category to look for, among all muons of both sides, generated and reference."""

    name: str
    stores: tuple[Store, Store]

    def __str__(self) -> str:
        return f"looking for copies of {self.name}"

    def run(self) -> tuple[Copies, list[Finding]]:
        """Look for them."""
        sizes = [len(store) for store in self.stores]
        small, large = np.argsort(sizes, kind="stable").tolist()
        limits = [_limit(size) for size in sizes]
        few = np.sort(np.concatenate(list(_keys(self.stores[small], limits[small]))))
        many, hits, asked = [], [], 0
        for keys in _keys(self.stores[large], max(limits)):
            some = keys[keys < limits[small]]
            place = np.minimum(np.searchsorted(few, some), len(few) - 1)
            hits.append(some[few[place] == some])
            asked += len(some)
            many.append(keys[keys < limits[large]])
        found, kept = np.concatenate(hits), {small: few, large: np.concatenate(many)}
        shared = {small: int(np.isin(few, found).sum()), large: len(found)}
        of = {small: len(few), large: asked}
        within = [len(kept[side]) - len(np.unique(kept[side])) for side in (0, 1)]
        shares: Copies = {
            "asked": [of[0], of[1]],
            "generated_in_reference": shared[0] / max(1, of[0]),
            "reference_in_generated": shared[1] / max(1, of[1]),
            "within_generated": within[0] / max(1, len(kept[0])),
            "within_reference": within[1] / max(1, len(kept[1])),
        }
        if sizes[small] < _FEWEST:
            return shares, []
        samples = [_components(store) for store in self.stores]
        between = _by_chance(samples[0], samples[1]) * of[small] * sizes[large]
        text = "generated muons are muons of the reference"
        tests = [self._finding("both sides", shared[0], of[0], between, text)]
        for side, where in enumerate(("generated muons", "muons of the reference")):
            pairs = _by_chance(samples[side], None) * len(kept[side]) * sizes[side] / 2
            text = f"{where} are another one's copy"
            tests.append(self._finding(where, within[side], len(kept[side]), pairs, text))
        return shares, tests

    def _finding(self, where: str, copies: int, muons: int, by_chance: float, text: str) -> Finding:
        p = poisson_above(copies, _DEPENDENT * by_chance)
        share = copies / max(1, muons)
        return Finding(COPIES, self.name, where, p, share, f"{share:.3%} of the {text}")


def too_many(failed: Sequence[Finding]) -> list[Finding]:
    """Return those of the tests that failed whose copies are so many that nothing else counts."""
    return [test for test in failed if test.family == COPIES and test.size > _LOUD]


def _limit(size: int) -> np.uint64:
    """Return the hash below which muons are compared."""
    return np.uint64(min(2**64 - 1, int(2**64 * (_MOST / max(1, size)))))


def _keys(store: Store, limit: np.uint64) -> Iterator[Keys]:
    """Yield the hashes of the momenta that are below `limit`."""
    for first in range(0, len(store), _STEP):
        keys = momentum_keys(opened(store.features)[first : first + _STEP])
        yield keys[keys < limit]


def momentum_keys(features: Float32) -> Keys:
    """Return a hash of the momentum of each muon, uint64[n]; `features` are float32[n, d], momenta last."""
    # 0 and -0 are one number.
    bits = (np.ascontiguousarray(features[:, -3:], np.float32) + np.float32(0)).view(np.uint32)
    keys = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        keys = _mixed(keys ^ column.astype(np.uint64))
    return keys


def _mixed(keys: Keys) -> Keys:
    """Return splitmix64 of each."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(keys ^ (keys >> np.uint64(31)))


def _components(store: Store) -> Float32:
    """Return the momenta of some muons, float32[n, 3]."""
    places = np.unique(np.linspace(0, len(store) - 1, min(len(store), _ASKED)).astype(np.int64))
    return np.asarray(opened(store.features)[places][:, -3:])


def _by_chance(some: Float32, others: Float32 | None) -> float:
    """Return the chance that two muons, of a side or of both, share all, if components are independent."""
    chance = 1.0
    for column in range(3):
        values, counts = np.unique(some[:, column], return_counts=True)
        if others is None:
            equal, pairs = float((counts * (counts - 1.0)).sum()), len(some) * (len(some) - 1.0)
        else:
            known, more = np.unique(others[:, column], return_counts=True)
            _, first, second = np.intersect1d(values, known, assume_unique=True, return_indices=True)
            equal, pairs = float(counts[first] @ more[second]), float(len(some) * len(others))
        chance *= equal / max(1.0, pairs)
    return chance
