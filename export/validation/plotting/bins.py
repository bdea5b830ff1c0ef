"""Bins of the pictures of files: round numbers, fine where muons are many, as far as there are muons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.quantities import Quantities
from shipgen_export.validation.counting.statistics import weighted_quantiles

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.validation.samples.samples import Sample

#: Charge ratios are those of this spectrum, p in wider bins.
CHARGE = "charge"

#: What is drawn, and the quantity that each spectrum is of.
DRAWN = ("p", "pt", "z", "r", "phi")
QUANTITIES = {name: name for name in DRAWN} | {CHARGE: "p"}

#: Pairs that are drawn, and bins along each axis.
PAIRS = (("p", "pt"), ("x", "y"))
PAIR_BINS = 60

#: Muons behind the end of an axis, at most.
BEYOND = 3

#: Bins of the bulk, and the share of the weight that is behind it.
_BINS, _TAIL = 50, 0.001

#: Width of the bins of momenta over their lower edge.
_STEP_P = 0.06

#: Muons of the smallest file -> width of the bins of z, cm: water gaps of half a centimetre shall be seen.
_STEPS_Z = ((500_000, 0.5), (100_000, 1.0), (0, 2.0))

#: Drawn muons of each file in a bin of the charge ratio, at least.
_PER_RATIO = 150

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass
class Ends:
    """Where the muons of a file end: the least and the largest values of each quantity.

    Attributes
    ----------
    low, high : dict of str to float64[k]
        The `BEYOND` + 1 least and largest values.
    """

    low: dict[str, Float64] = field(default_factory=dict)
    high: dict[str, Float64] = field(default_factory=dict)

    @classmethod
    def of(cls, sample: Sample) -> Ends:
        """Look at all muons of a sample."""
        found = cls()
        for block in sample.source.blocks():
            for muons in block.muons.values():
                some = muons.at(muons.weights > 0)
                values = Quantities.of_rows(some.features)
                names = ("p", "pt", "z") + ("r", "x", "y") * (some.features.shape[1] == 6)
                for name in names:
                    found.see(name, values[name])
        return found

    def see(self, name: str, values: Float64) -> None:
        """Take in some values of a quantity."""
        for known, sign in ((self.low, 1), (self.high, -1)):
            every = sign * np.concatenate([known.get(name, values[:0]), values])
            if len(every) > BEYOND + 1:
                every = np.partition(every, BEYOND)[: BEYOND + 1]
            known[name] = sign * np.sort(every)

    def range(self, name: str) -> tuple[float, float]:
        """Return where a quantity begins, and where at most `BEYOND` muons are beyond; the former exactly."""
        low, high = self.low[name], self.high[name]
        # Of two-sided quantities both ends may have lonely muons.
        return float(low[-1] if low[0] < 0 else low[0]), float(high[-1])


def edges_of(name: str, samples: list[Sample], ends: list[Ends]) -> Float64:
    """Return the edges of a quantity's bins: those of p grow, those of others do behind the bulk."""
    if name == "phi":
        return np.linspace(-np.pi, np.pi, 37)
    known = [each.range(name) for each in ends if name in each.high]
    low, high = min(low for low, _ in known), max(high for _, high in known)
    if name == "p":
        return growing_edges(low, high)
    bulk = max(_bulk(sample, name) for sample in samples)
    if name == "z":
        fewest = min(sum(sample.found.values()) for sample in samples)
        step = next(width for muons, width in _STEPS_Z if fewest >= muons)
        low = min(0.0, low)
        # Muons from the absorber are few: the target is what is looked at.
        return step * np.arange(np.floor(low / step), max(np.ceil(bulk / step), 1) + 1)
    return widening_edges(0.0, bulk, high)


def charge_edges(edges: Float64, samples: list[Sample]) -> Float64:
    """Return edges of p between which all files have muons enough for a charge ratio.

    Parameters
    ----------
    edges : float64[b + 1]
        Of finer bins.
    samples : list of Sample
        Whose draws are looked at.
    """
    counts = []
    for sample in samples:
        values = [Quantities.of_rows(muons.features)["p"] for muons in sample.draws.values()]
        counts.append(np.histogram(np.concatenate(values), edges)[0])
    # From the thin end on, two bins or more at a time.
    found, last = [len(edges) - 1], len(edges) - 1
    for first in range(len(edges) - 3, -1, -1):
        if last - first >= 2 and all(each[first:last].sum() >= _PER_RATIO for each in counts):
            found.append(first)
            last = first
    if len(found) > 1:
        found[-1] = 0
    else:
        found.append(0)
    return np.asarray(edges[found[::-1]])


def growing_edges(low: float, high: float) -> Float64:
    """Return edges of bins that are all the same share of their lower edge wide."""
    number = max(1, int(np.ceil(np.log(high / low) / np.log1p(_STEP_P))))
    return np.asarray(low * (1 + _STEP_P) ** np.arange(number + 1))


def widening_edges(low: float, bulk: float, high: float) -> Float64:
    """Return edges of even, round bins up to `bulk`, and of wider ones from there to behind `high`."""
    step = round_step((bulk - low) / _BINS)
    first, last = int(np.floor(low / step)), int(np.ceil(bulk / step))
    edges = list(range(first, max(last, first + 1) + 1))
    width = 1.0
    while edges[-1] * step < high:
        width *= 1.25
        edges.append(edges[-1] + int(np.ceil(width)))
    return np.asarray(edges) * step


def round_step(width: float) -> float:
    """Return the nearest larger of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * next(each for each in _ROUND if each * power >= width * (1 - 1e-9)))


def pair_edges(pair: tuple[str, str], ends: list[Ends]) -> tuple[Float64, Float64]:
    """Return the edges of a map; those of p grow, those of positions are the same along x and y."""
    found = []
    for name in pair:
        alike = pair if name in ("x", "y") else (name,)
        known = [each.range(one) for one in alike for each in ends if one in each.high]
        low, high = min(low for low, _ in known), max(high for _, high in known)
        if name == "p":
            found.append(np.geomspace(low, high, PAIR_BINS + 1))
        elif low < 0:
            reach = max(-low, high)
            found.append(np.linspace(-reach, reach, PAIR_BINS + 1))
        else:
            found.append(np.linspace(0.0, high, PAIR_BINS + 1))
    return found[0], found[1]


def _bulk(sample: Sample, name: str) -> float:
    """Return the value that all but a small share of the weight is below."""
    values, weights = [], []
    for muons in sample.draws.values():
        if name != "r" or muons.features.shape[1] == 6:
            values.append(Quantities.of_rows(muons.features)[name])
            weights.append(muons.weights)
    if not values:
        return 0.0
    joined = np.concatenate(values), np.concatenate(weights)
    return float(weighted_quantiles(*joined, np.array([1 - _TAIL]))[0])
