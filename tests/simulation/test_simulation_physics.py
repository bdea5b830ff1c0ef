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

from shipgen.muons.categories import CATEGORIES, category_of
from shipgen_export.sample.sample import effective_size
from shipgen_export.simulation.block import SimulationSettings, simulate_block
from shipgen_export.simulation.muon_counts import PARENTS, parent_name
from shipgen_export.simulation.particles import Process
from shipgen_export.simulation.target import read_target

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Protons of each of two runs.
PROTONS = 1000

Columns = dict[str, np.ndarray]

#: Names of parents, in the order of the column ``group``.
GROUPS = [*dict.fromkeys(PARENTS.values()), "charm", "beauty"]


@dataclass
class Sums:
    """Weight a proton and its error, from the sums over each proton."""

    value: float
    error: float

    @classmethod
    def of(cls, columns: Columns, chosen: np.ndarray, protons: int = PROTONS) -> Sums:
        sums = np.bincount(columns["proton"][chosen], columns["weight"][chosen], minlength=protons)
        assert len(sums) == protons
        return cls(sums.mean(), sums.std() / np.sqrt(protons))

    @property
    def effective(self) -> float:
        """How many independent entries of equal weight would have this relative error."""
        return float((self.value / self.error) ** 2)


def run(seed: int) -> Columns:
    block = simulate_block(SimulationSettings(seed, 10.0, read_target("ship2018"), PROTONS), 0, PROTONS)
    columns = dict(block.columns)
    c = columns
    columns["pt"] = np.hypot(c["px"], c["py"])
    columns["p"] = np.hypot(columns["pt"], c["pz"])
    columns["r"] = np.hypot(c["x"], c["y"])
    columns["phi"] = np.arctan2(c["py"], c["px"])
    columns["category"] = category_of(c["pdg"], c["x"], c["y"])
    names = [parent_name(abs(int(code))) for code in c["parent"]]
    columns["group"] = np.array([GROUPS.index(name) for name in names])
    return columns


@pytest.fixture(scope="module")
def two_runs() -> tuple[Columns, Columns]:
    return run(101), run(102)


@pytest.fixture(scope="module")
def both(two_runs: tuple[Columns, Columns]) -> Columns:
    """Both runs, the second one's protons numbered on."""
    first, second = two_runs
    second = {**second, "proton": second["proton"] + PROTONS}
    return {name: np.concatenate([first[name], second[name]]) for name in first}


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
    """Within 10 %, half a per cent for the rounding of a small `share`, and two errors."""
    protons, weight = columns["proton"], columns["weight"]
    total = np.bincount(protons, weight, minlength=2 * PROTONS)
    part = np.bincount(protons[chosen], weight[chosen], minlength=2 * PROTONS)
    found = part.sum() / total.sum()
    # Of a ratio, by protons.
    error = np.sqrt(np.square(part - found * total).sum()) / total.sum()
    assert abs(found - share) < 0.1 * share + (0.005 if share < 0.1 else 0.0) + 2 * error


def test_rate_and_shares_are_those_of_an_independent_program(both: Columns) -> None:
    """With Pythia's hadrons, as that program has them."""
    both = {**both, "weight": both["weight"] * both["vary_hadrons"]}
    rate = both["weight"].sum() / (2 * PROTONS)
    assert rate == pytest.approx(1.57e-3, rel=0.10)
    for number, category in enumerate(CATEGORIES):
        near(both, both["category"] == number, CATEGORY_SHARES[category.name])
    names = np.array([parent_name(abs(int(code))) for code in both["parent"]])
    for name, share in PARENT_SHARES.items():
        near(both, names == name, share)


def test_data_take_away_hadrons_and_leave_charm(both: Columns) -> None:
    """Pythia makes a quarter too many pions and half too many kaons; the K- are those that go most."""
    before = both["weight"] * both["vary_hadrons"]
    kind = np.abs(both["parent"])
    ratio = {
        name: both["weight"][chosen].sum() / before[chosen].sum()
        for name, chosen in (
            ("pi", kind == 211),
            ("K+", both["parent"] == 321),
            ("K-", both["parent"] == -321),
            ("charm", both["process"] == Process.CHARM),
        )
    }
    assert ratio["charm"] == pytest.approx(1, abs=1e-6)
    assert ratio["K-"] < ratio["K+"] < 0.9
    assert 0.6 < ratio["pi"] < 0.9
    assert both["weight"].sum() == pytest.approx(0.82 * before.sum(), rel=0.05)


def test_weights_are_even(both: Columns) -> None:
    """At least 60 % of the entries count off axis and 50 % on axis, by their weights."""
    for number, category in enumerate(CATEGORIES):
        weight = both["weight"][both["category"] == number]
        assert effective_size(weight) > (0.6 if "off" in category.name else 0.5) * len(weight)


def test_more_draws_a_flight_are_more_than_copies(both: Columns) -> None:
    """Errors by protons: of the entries in a bin of momentum 23 to 28 % count."""
    for low, high in ((10, 14), (14, 20), (20, 40)):
        chosen = (both["p"] >= low) & (both["p"] < high)
        assert Sums.of(both, chosen, 2 * PROTONS).effective > 0.2 * chosen.sum()


def test_more_charm_is_more_than_copies(both: Columns) -> None:
    """A charm muon weighs a fifth of the others; by protons that is worth twice as many (2.0 to 2.3).

    With Pythia's hadrons; data make the others lighter by 0.82.
    """
    charm = both["process"] == Process.CHARM
    pythia = both["weight"] * both["vary_hadrons"]
    ratio = pythia[~charm].mean() / pythia[charm].mean()
    assert ratio == pytest.approx(5.1, rel=0.1)
    assert both["weight"][~charm].mean() / both["weight"][charm].mean() == pytest.approx(0.82 * 5.1, rel=0.1)
    for low, high in ((10, 15), (15, 25), (25, 50)):
        chosen = charm & (both["p"] >= low) & (both["p"] < high)
        assert Sums.of(both, chosen, 2 * PROTONS).effective > 1.7 * chosen.sum() / ratio


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
    "pz": np.array([9, 11, 12, 14, 16, 20, 25, 30, 40, 60, 100, 200]),
    "pdg": np.array([-14, 0, 14]),
    "category": np.arange(-0.5, len(CATEGORIES)),
    "process": np.arange(0.5, 6),
    "group": np.arange(-0.5, len(GROUPS)),
}


def pulls(name: str, runs: tuple[Columns, Columns]) -> Iterator[float]:
    edges = HISTOGRAMS[name]
    for low, high in pairwise(edges):
        first, second = (Sums.of(c, (c[name] >= low) & (c[name] < high)) for c in runs)
        error = np.hypot(first.error, second.error)
        # A few protons with most of a bin's weight have no Gaussian error.
        if min(first.value, second.value) > 4 * error:
            yield (first.value - second.value) / error


def probability(name: str, runs: tuple[Columns, Columns]) -> float:
    """Return the probability that chi2 with errors by protons is larger for two runs of the same physics."""
    found = np.array(list(pulls(name, runs)))
    assert len(found) >= 2
    return float(chi2.sf(np.square(found).sum(), len(found)))


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_two_seeds_agree(two_runs: tuple[Columns, Columns], name: str) -> None:
    """Fixed seeds: one in a thousand, at either end, is no accident; too much alike is a fault too."""
    assert 1e-3 < probability(name, two_runs) < 1 - 1e-3


def test_two_seeds_have_no_muon_in_common(two_runs: tuple[Columns, Columns]) -> None:
    first, second = two_runs
    for name in ("px", "py", "pz"):
        assert np.isin(first[name], second[name]).mean() < 0.01
    assert not set(zip(first["px"], first["py"], strict=True)) & set(
        zip(second["px"], second["py"], strict=True)
    )


def test_the_comparison_of_two_seeds_sees_faults(two_runs: tuple[Columns, Columns]) -> None:
    """The same run twice; a momentum scale off by 5 %; 40 % more kaons."""
    first, second = two_runs
    assert probability("p", (first, first)) > 1 - 1e-6
    assert probability("p", (first, {**second, "p": second["p"] * 1.05})) < 1e-3
    kaons = second["group"] == GROUPS.index("K")
    assert probability("group", (first, {**second, "weight": second["weight"] * (1 + 0.4 * kaons)})) < 1e-3
