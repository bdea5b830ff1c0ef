"""Which symmetries a sample has, by tests on its muons: they decide what a network has to learn.

Muons of one proton are not independent, so variances are those of sums over protons.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.quantities import Quantities
from shipgen_export.maps.coordinates import Cartesian, Cylinder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.sample.sample import CategorySample

#: Harmonics of the azimuth that are tested.
_HARMONICS = (1, 2, 3, 4)
#: Bands of momentum that are tested by themselves: their limits as shares of the muons.
_BANDS = (0.0, 0.5, 0.9, 1.0)
#: A symmetry is broken where chance would do as much less often than this, in all tests of a sample together,
#: and the amplitude is above the other: below, a classifier's AUC changes by a third of it at most.
_CHANCE, _AMPLITUDE = 1e-3, 0.01
#: Muons may start further from the beam than those of the sample, by this factor.
_WIDER = 1.1
#: Largest pT / p that float32 tells from 1.
_STEEPEST = 1 - 1e-6
#: Room for muons that start upstream of the target, cm.
_ROOM = 1.0


@dataclass(frozen=True)
class Test:
    """One test of a symmetry.

    Attributes
    ----------
    what : str
        What should be even: an angle's harmonic, or the side, and the band of momentum.
    amplitude : float
        Size of the weighted mean that should be 0, at most 1.
    probability : float
        How often chance gives as large a one.
    """

    what: str
    amplitude: float
    probability: float

    __test__ = False  # not one of pytest's


@dataclass(frozen=True)
class Symmetries:
    """What the tests found.

    Attributes
    ----------
    directed, sided : bool
        Whether the sample prefers directions around the beam, and a side of the plane of beam and muon.
    tests : tuple of Test
        All of them, the least probable first.
    """

    directed: bool
    sided: bool
    tests: tuple[Test, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "directed": self.directed,
            "sided": self.sided,
            "tests": [asdict(test) for test in self.tests],
        }


def choose_coordinates(
    sample: CategorySample, weights: Float64, start: float
) -> tuple[Cylinder | Cartesian, Symmetries]:
    """Return the coordinates that suit a category, and the tests that say so.

    A sample with muons that do not fly downstream gets its features as they are, without symmetries.

    Parameters
    ----------
    sample : CategorySample
        Its part ``train`` is looked at.
    weights : float64[m]
        Of the muons of that part.
    start : float
        z of the target's start, cm.
    """
    chosen = sample.split == 0
    features, group = sample.features[chosen].astype(np.float64), sample.group[chosen]
    on_axis = sample.category.on_axis
    if (features[:, -1] <= 0).any():
        return Cartesian(on_axis), Symmetries(directed=True, sided=True, tests=())
    axis = (0.0, 0.0) if on_axis else find_axis(features[:, :2], weights, group)
    symmetries = find_symmetries(features, weights, group, axis)
    first = float(sample.features[:, sample.category.features.index("z")].min())
    margin = 0.0 if on_axis else max(start - first, 0.0) + _ROOM
    momenta = Quantities.of_rows(features)
    largest = 0.0 if on_axis else float(np.hypot(*(features[:, :2] - axis).T).max())
    cylinder = Cylinder(
        on_axis=on_axis,
        start=start,
        axis=axis,
        margin=margin,
        steepest=min(float((momenta["pt"] / momenta["p"]).max()), _STEEPEST),
        widest=_WIDER * largest or None,
        directed=symmetries.directed,
        sided=symmetries.sided,
    )
    return cylinder, symmetries


def find_axis(places: Float64, weights: Float64, group: Int64) -> tuple[float, float]:
    """Return x and y of the beam (cm): the weighted medians, 0 where they agree with it within 4 errors.

    Parameters
    ----------
    places : float64[n, 2]
        Where off-axis muons start.
    weights : float64[n]
        Their weights.
    group : int64[n]
        Protons or events.
    """
    found = []
    whole, proton = weights.sum(), np.unique(group, return_inverse=True)[1]
    for values in places.T:
        order = np.argsort(values, kind="stable")
        below = np.cumsum(weights[order]) / whole
        # The median's error as a share of the weight, and the values that far away from it on both sides.
        side = np.empty(len(values))
        side[order] = np.where(below < 0.5, -0.5, 0.5)
        error = 4 * math.sqrt(float(np.square(np.bincount(proton, weights * side)).sum())) / whole
        low, median, high = (
            float(values[order[min(np.searchsorted(below, share), len(order) - 1)]])
            for share in (0.5 - error, 0.5, 0.5 + error)
        )
        found.append(0.0 if low <= 0 <= high else median)
    return found[0], found[1]


def find_symmetries(
    features: Float64, weights: Float64, group: Int64, axis: tuple[float, float]
) -> Symmetries:
    """Test whether muons are even around the beam and on both sides of the plane of beam and muon.

    Parameters
    ----------
    features : float64[n, 4 or 6]
        z, px, py, pz or x, y, z, px, py, pz; cm, GeV.
    weights : float64[n]
        Their weights.
    group : int64[n]
        Protons or events.
    axis : (float, float)
        x and y of the beam, cm.
    """
    *place, _, px, py, _ = features.T
    momenta = Quantities.of_rows(features)
    azimuths = {"azimuth of the momentum": momenta["phi"]}
    side = None
    if place:
        x, y = place[0] - axis[0], place[1] - axis[1]
        azimuths["azimuth of the start"] = np.arctan2(y, x)
        side = np.sign(x * py - y * px)
    directions, sides = [], []
    for band, rows in _bands(momenta["p"]):
        means = _Means(weights[rows], group[rows])
        for name, azimuth in azimuths.items():
            for harmonic in _HARMONICS:
                angle = harmonic * azimuth[rows]
                directions.append(means.test(f"{name} x {harmonic}, {band}", np.cos(angle), np.sin(angle)))
        if side is not None:
            sides.append(means.test(f"side, {band}", side[rows]))
    limit = _CHANCE / (len(directions) + len(sides))

    def broken(tests: list[Test]) -> bool:
        return any(test.probability < limit and test.amplitude > _AMPLITUDE for test in tests)

    ranked = sorted(directions + sides, key=lambda test: test.probability)
    return Symmetries(broken(directions), broken(sides), tuple(ranked))


def _bands(momentum: Float64) -> Iterator[tuple[str, Any]]:
    """Yield names and rows: all muons, then each band of momentum."""
    yield "all", slice(None)
    limits = np.quantile(momentum, _BANDS)
    for low, high in pairwise(limits):
        rows = np.flatnonzero((momentum >= low) & (momentum <= high))
        if len(rows):
            yield f"p {low:.4g} to {high:.4g} GeV", rows


class _Means:
    """Weighted means of muons of some protons, with the errors that come from the protons' differences."""

    def __init__(self, weights: Float64, group: Int64) -> None:
        self._place = np.unique(group, return_inverse=True)[1]
        self._weights = weights / weights.sum()

    def test(self, what: str, *columns: Float64) -> Test:
        """Test whether the means of one or two columns, each within [-1, 1], are 0."""
        from scipy.stats import chi2

        sums = np.stack([np.bincount(self._place, self._weights * column) for column in columns])
        mean = sums.sum(1)
        covariance = sums @ sums.T
        distance = float(mean @ np.linalg.pinv(covariance) @ mean)
        return Test(what, float(np.hypot.reduce(mean)), float(chi2.sf(distance, len(columns))))
