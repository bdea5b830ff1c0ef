"""What the map of a category's muons has by its constants: tails, ends, and the size of what is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import genpareto

from helpers.even_muons import CATEGORY, MUONS, START, even_muons, find
from shipgen_export.maps.marginals import Marginal, Tail
from shipgen_export.maps.muon_map import MuonMap
from shipgen_export.maps.smoothing import LIMIT
from shipgen_export.sample.sample import CategorySample, split_by_group
from shipgen_export.sample.transforms import Normalisation

if TYPE_CHECKING:
    from shipgen_export.maps.coordinates import Cylinder


@pytest.fixture(scope="module")
def many() -> CategorySample:
    """Muons enough for smooth tails in the part ``train``."""
    muons = np.concatenate([even_muons(seed) for seed in range(3)])
    group = np.arange(len(muons)) // 3
    return CategorySample(
        CATEGORY,
        features=muons.astype(np.float32),
        weights=np.ones(len(muons)),
        group=group,
        split=split_by_group(group),
        normalisation=Normalisation.fit(CATEGORY.features, muons),
    )


@pytest.fixture(scope="module")
def made(many: CategorySample) -> MuonMap:
    return MuonMap.fit(many, START)


def test_tails_of_p_and_pt_are_smooth_and_those_of_other_coordinates_the_sample_s(
    many: CategorySample, made: MuonMap
) -> None:
    learnt = made.coordinates.forward(many.part("train")[0].astype(np.float64))
    tables = dict(zip(made.coordinates.names, zip(made.marginals, learnt.T, strict=True), strict=True))
    for name in ("p", "pt", "offset"):
        marginal, values = tables[name]
        end = marginal.from_normal(np.array([LIMIT]))[0]
        # Beyond the largest muon, but not by more than a quarter of the tail.
        tail = Tail.fit(np.sort(values), np.ones(len(values)))
        assert tail is not None
        assert end != values.max()
        assert end <= values.max() + 0.26 * (values.max() - tail.threshold)
    for name in ("depth", "turn"):
        marginal, values = tables[name]
        assert marginal.from_normal(np.array([LIMIT]))[0] == pytest.approx(values.max(), rel=1e-6)


def test_no_tail_reaches_far_beyond_the_largest_muon() -> None:
    values = np.sort(genpareto.rvs(0.5, size=200_000, random_state=np.random.default_rng(1)))
    values = values[: len(values) - 20]
    tail = Tail.fit(values, np.ones(len(values)))
    assert tail is not None
    end = Marginal.fit(values, np.ones(len(values))).values[-1]
    assert values[-1] < end <= values[-1] + 0.26 * (values[-1] - tail.threshold)


def test_a_tail_is_fitted_to_thousands_of_muons() -> None:
    assert Tail.fit(np.arange(50_000.0), np.ones(50_000)) is None
    assert Tail.fit(np.arange(150_000.0), np.ones(150_000)) is not None


def test_muons_stay_within_the_sample_s_slopes_and_distances(many: CategorySample, made: MuonMap) -> None:
    cylinder: Cylinder = made.coordinates  # type: ignore[assignment]
    x, y, _, px, py, pz = many.part("train")[0].astype(np.float64).T
    pt = np.hypot(px, py)
    assert cylinder.steepest == pytest.approx((pt / np.hypot(pt, pz)).max())
    assert cylinder.widest == pytest.approx(1.1 * np.hypot(x, y).max())
    normal = np.random.default_rng(1).uniform(3, LIMIT, (1000, sum(made.shape[:2])))
    x, y, _, px, py, pz = made.inverse(normal).T
    assert np.hypot(x, y).max() < cylinder.widest
    assert (np.hypot(px, py) / np.sqrt(px**2 + py**2 + pz**2)).max() <= cylinder.steepest * (1 + 1e-9)


def test_small_preferences_are_seen() -> None:
    """Amplitudes of 0.02 to 0.03, which 60,000 muons show."""
    muons = even_muons(8)
    muons[:, 3] += 0.012
    assert find(muons)[0]
    muons = even_muons(8)
    angle = 0.02
    muons[:, 3:5] = muons[:, 3:5] @ np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    assert find(muons)[1]


def test_a_side_that_only_the_fast_prefer_is_seen() -> None:
    muons = even_muons(6)
    fast = np.argsort(muons[:, 5])[-MUONS // 10 :]
    slow = np.argsort(muons[:, 5])[: MUONS // 2]
    for rows, angle in ((fast, 0.1), (slow, -0.02)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        muons[rows, 3:5] = muons[rows, 3:5] @ turn
    assert find(muons)[1]
