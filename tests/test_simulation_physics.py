"""The simulated sample as a whole: rates, shares, effective sizes, and two seeds against each other.

Muons of one proton are correlated, so errors are those of sums over protons, not of single weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import chi2

from shipgen.categories import CATEGORIES
from shipgen_export.sample import category_of, effective_size
from shipgen_export.simulation.block import Settings, simulate_block
from shipgen_export.simulation.muons import Process
from shipgen_export.simulation.tally import parent_name
from shipgen_export.simulation.target import read_target

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Protons of each of two runs.
PROTONS = 1000

Columns = dict[str, np.ndarray]


@dataclass
class Sums:
    """Weight a proton and its error, from the sums over each proton."""

    value: float
    error: float

    @classmethod
    def of(cls, columns: Columns, chosen: np.ndarray) -> Sums:
        sums = np.bincount(columns["proton"][chosen], columns["weight"][chosen], minlength=PROTONS)
        return cls(sums.mean(), sums.std() / np.sqrt(PROTONS))


def run(seed: int) -> Columns:
    block = simulate_block(Settings(seed, 10.0, read_target(), PROTONS), 0, PROTONS)
    columns = dict(block.columns)
    c = columns
    columns["pt"] = np.hypot(c["px"], c["py"])
    columns["p"] = np.hypot(columns["pt"], c["pz"])
    columns["r"] = np.hypot(c["x"], c["y"])
    columns["phi"] = np.arctan2(c["py"], c["px"])
    columns["category"] = category_of(c["pdg"], c["x"], c["y"])
    return columns


@pytest.fixture(scope="module")
def two_runs() -> tuple[Columns, Columns]:
    return run(101), run(102)


@pytest.fixture(scope="module")
def both(two_runs: tuple[Columns, Columns]) -> Columns:
    return {name: np.concatenate([columns[name] for columns in two_runs]) for name in two_runs[0]}


#: Of a sample of 1.74 M muons, made by an independent program.
CATEGORY_SHARES = {
    "muminus_offaxis": 0.363,
    "muminus_onaxis": 0.105,
    "muplus_offaxis": 0.429,
    "muplus_onaxis": 0.103,
}
PARENT_SHARES = {
    "pi": 0.46,
    "K": 0.22,
    "omega": 0.09,
    "eta": 0.09,
    "charm": 0.07,
    "rho": 0.03,
    "photon": 0.02,
}


def near(columns: Columns, chosen: np.ndarray, share: float) -> None:
    """Within 10 %, half a per cent for the rounding of `share`, and two errors of this small sample."""
    total = columns["weight"].sum()
    found = columns["weight"][chosen].sum() / total
    error = Sums.of(columns, chosen).error * PROTONS * np.sqrt(2) / total
    assert abs(found - share) < 0.1 * share + (0.005 if share < 0.1 else 0.0) + 2 * error


def test_rate_and_shares_are_those_of_an_independent_program(both: Columns) -> None:
    rate = both["weight"].sum() / (2 * PROTONS)
    assert rate == pytest.approx(1.57e-3, rel=0.10)
    for number, category in enumerate(CATEGORIES):
        near(both, both["category"] == number, CATEGORY_SHARES[category.name])
    names = np.array([parent_name(abs(int(code))) for code in both["parent"]])
    for name, share in PARENT_SHARES.items():
        near(both, names == name, share)


def test_weights_are_even(both: Columns) -> None:
    """At least 60 % of the entries count off axis and 50 % on axis; charm is made five times too often."""
    for number, category in enumerate(CATEGORIES):
        weight = both["weight"][both["category"] == number]
        assert effective_size(weight) > (0.6 if "off" in category.name else 0.5) * len(weight)
    charm = both["process"] == Process.CHARM
    assert 4 < both["weight"][~charm].mean() / both["weight"][charm].mean() < 6


def test_more_draws_a_flight_are_more_than_copies(both: Columns) -> None:
    """Errors by protons: at least a quarter of the entries count in momentum."""
    for low, high in ((10, 14), (14, 20), (20, 40)):
        chosen = (both["p"] >= low) & (both["p"] < high)
        sums = Sums.of(both, chosen)
        # As if there were so many entries of equal weight; `both` has twice the protons.
        honest = 2 * (sums.value / sums.error) ** 2
        assert honest > 0.25 * chosen.sum()


HISTOGRAMS = {
    "p": np.array([10, 11, 12, 14, 16, 20, 25, 30, 40, 60, 100, 200]),
    "pt": np.array([0, 0.2, 0.4, 0.6, 0.8, 1, 1.3, 1.6, 2, 3]),
    "px": np.linspace(-1.2, 1.2, 13),
    "py": np.linspace(-1.2, 1.2, 13),
    "phi": np.linspace(-np.pi, np.pi, 13),
    "z": -7084.5 + np.array([0, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 150]),
    "x": np.array([-8, -4, -2, -1, -0.5, -0.01, 0.01, 0.5, 1, 2, 4, 8]),
    "y": np.array([-8, -4, -2, -1, -0.5, -0.01, 0.01, 0.5, 1, 2, 4, 8]),
    "r": np.array([0, 0.01, 0.2, 0.5, 1, 2, 3, 5, 8, 15]),
    "pdg": np.array([-14, 0, 14]),
    "process": np.arange(0.5, 6),
}


def pulls(name: str, runs: tuple[Columns, Columns]) -> Iterator[float]:
    edges = HISTOGRAMS[name]
    for low, high in pairwise(edges):
        first, second = (Sums.of(c, (c[name] >= low) & (c[name] < high)) for c in runs)
        error = np.hypot(first.error, second.error)
        # A few protons with most of a bin's weight have no Gaussian error.
        if min(first.value, second.value) > 4 * error:
            yield (first.value - second.value) / error


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_two_seeds_agree(two_runs: tuple[Columns, Columns], name: str) -> None:
    """chi2 with errors by protons; fixed seeds, so that a probability of one in a thousand is no accident."""
    found = np.array(list(pulls(name, two_runs)))
    assert len(found) >= 2
    assert chi2.sf(np.square(found).sum(), len(found)) > 1e-3
