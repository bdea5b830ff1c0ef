from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto, kstest, norm

from shipgen.errors import InputError
from shipgen_export.maps.marginals import CELLS, Marginal, Tail
from shipgen_export.maps.smoothing import LIMIT

MUONS = 200_000


def momenta(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Momenta above 10 GeV, half of them rare with a small weight; the weighted density is exponential."""
    random = np.random.default_rng(seed)
    values = np.concatenate([10 + random.exponential(20, n // 2), 10 + random.exponential(40, n - n // 2)])
    common, wide = (np.exp(-(values - 10) / scale) / scale for scale in (20, 40))
    return values, common / (common + wide)


def test_weighted_muons_become_normal() -> None:
    values, weights = momenta(MUONS, 1)
    table = Marginal.fit(values, weights)
    random = np.random.default_rng(2)
    drawn = random.choice(values, 20_000, p=weights / weights.sum())
    assert kstest(table.to_normal(drawn, random), "norm").pvalue > 0.01


def test_normal_numbers_become_muons() -> None:
    """Quantiles of what comes out are those of the density, within 1 %."""
    table = Marginal.fit(*momenta(MUONS, 1))
    made = table.from_normal(np.random.default_rng(3).standard_normal(MUONS))
    shares = np.array([0.1, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(np.quantile(made, shares), 10 - 20 * np.log(1 - shares), rtol=0.01)
    assert made.min() >= 10


def test_there_and_back() -> None:
    values, weights = momenta(5_000, 4)
    table = Marginal.fit(values, weights)
    inside = np.linspace(table.values[0], table.values[-1], 999)
    np.testing.assert_allclose(
        table.from_normal(table.to_normal(inside, np.random.default_rng(1))), inside, rtol=1e-9
    )


def test_what_lies_outside_is_put_at_the_end() -> None:
    table = Marginal(np.linspace(10, 20, CELLS + 1))
    assert table.from_normal(np.array([-9.0, 9.0])).tolist() == [10, 20]
    assert table.to_normal(np.array([0.0, 99.0]), np.random.default_rng(1)).tolist() == [-LIMIT, LIMIT]


def test_a_value_that_many_share_is_spread_and_comes_back() -> None:
    random = np.random.default_rng(5)
    values = np.where(random.random(MUONS) < 0.3, 2.0, random.uniform(0, 4, MUONS))
    table = Marginal.fit(values, np.ones(MUONS))
    normal = table.to_normal(values, random)
    assert kstest(normal[:20_000], "norm").pvalue > 0.01
    # The two cells around the shared value reach from it to its neighbours.
    width = 2 * np.diff(table.values).max()
    np.testing.assert_allclose(table.from_normal(normal), values, atol=width)
    assert (table.from_normal(normal) == 2.0).mean() == pytest.approx(0.3, abs=0.01)


def test_a_constant_comes_back() -> None:
    table = Marginal.fit(np.full(100, -7228.5), np.ones(100))
    normal = table.to_normal(np.full(1000, -7228.5), np.random.default_rng(1))
    assert abs(normal).max() <= LIMIT
    assert (table.from_normal(normal) == -7228.5).all()


EDGES = np.array([edge for block in range(12) for edge in (8.5 * block, 8.5 * block + 8)])


def depths(n: int, seed: int) -> np.ndarray:
    """Exponential depths in blocks of 8 cm; the gaps of 0.5 cm between have a tenth of the density."""
    random = np.random.default_rng(seed)
    ruled = np.cumsum([0, *np.tile([8.0, 0.05], 12)])[: len(EDGES)]
    return np.interp(random.exponential(15, n) % ruled[-1], ruled, EDGES)


def gap_shares(values: np.ndarray) -> np.ndarray:
    return np.histogram(values, EDGES)[0][1::2] / len(values)


@pytest.mark.parametrize(("edges", "ruled"), [(EDGES, True), ((), True), ((), False)])
def test_gaps_keep_their_muons_on_a_ruler(edges: np.ndarray, ruled: bool) -> None:
    """Each gap, with 1e-5 to 2e-3 of all muons, within 5 % and 3 standard errors; not by a table alone."""
    real = depths(5_000_000, 6)
    table = Marginal.fit(real, np.ones(len(real)), edges=edges, ruled=ruled)
    made = table.from_normal(norm.ppf((np.arange(4_000_000) + 0.5) / 4_000_000))
    ratio = gap_shares(made) / gap_shares(real)
    allowed = 0.05 + 3 / np.sqrt(gap_shares(real) * len(made))
    assert (abs(ratio - 1) < allowed).all() == ruled, ratio


def test_muons_on_a_ruler_are_normal_and_come_back() -> None:
    real = depths(MUONS, 8)
    table = Marginal.fit(real, np.ones(MUONS), edges=EDGES)
    normal = table.to_normal(real, np.random.default_rng(1))
    assert kstest(normal[:20_000], "norm").pvalue > 0.01
    np.testing.assert_allclose(table.from_normal(normal), real, atol=1e-9)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_the_tail_of_a_pareto_distribution_is_found(shape: float) -> None:
    random = np.random.default_rng(7)
    values = np.sort(genpareto.rvs(shape, scale=2.0, size=10 * MUONS, random_state=random))
    tail = Tail.fit(values, np.ones(len(values)))
    assert tail is not None
    assert tail.shape == pytest.approx(shape, abs=0.08)
    for above in (3e-4, 1e-4, 3e-5):
        assert tail.quantile(np.array([above]))[0] == pytest.approx(
            genpareto.isf(above, shape, scale=2.0), rel=0.03
        )


def test_few_muons_have_no_smooth_tail() -> None:
    assert Tail.fit(np.arange(5_000.0), np.ones(5_000)) is None


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="without muons"):
        Marginal.fit(np.ones(3), np.zeros(3))
    with pytest.raises(InputError, match="NaN or infinite"):
        Marginal.fit(np.array([1.0, np.nan]), np.ones(2))


def clustered(protons: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Muons of which all of a proton share a depth, exponential in slabs of 5 cm with gaps of 1 cm."""
    random = np.random.default_rng(seed)
    depth = random.exponential(15, protons)
    depth += np.floor(depth / 5)
    number = random.poisson(10, protons)
    group = np.repeat(np.arange(protons), number)
    return depth[group], np.ones(len(group)), group


def test_few_protons_make_a_smooth_table() -> None:
    """Muons of other protons are closer to normal by it, and none come to lie in the gaps between slabs."""
    values, weights, protons = clustered(600, 5)
    others = clustered(20_000, 6)[0]
    random = np.random.default_rng(1)
    edges = [float(6 * k + end) for k in range(12) for end in (0, 5)]
    distance = []
    for of in (None, protons):
        table = Marginal.fit(values, weights, edges=edges, ruled=True, smooth_tail=False, protons=of)
        share = np.histogram(norm.cdf(table.to_normal(others, random)), 100, (0, 1))[0] / len(others)
        distance.append(np.abs(share - 0.01).sum() / 2)
        made = table.from_normal(random.standard_normal(50_000))
        assert (made % 6 > 5).mean() < 0.01
    assert distance[1] < 0.6 * distance[0]


def test_jumps_at_unknown_places_are_kept() -> None:
    values, weights, protons = clustered(600, 5)
    plain, smooth = (Marginal.fit(values, weights, ruled=True, protons=of) for of in (None, protons))
    np.testing.assert_array_equal(smooth.values, plain.values)
    np.testing.assert_array_equal(smooth.ruler, plain.ruler)


def test_a_smooth_table_keeps_the_distribution() -> None:
    """As many protons as muons: quantiles of momenta stay, far out as well."""
    values, weights = momenta(MUONS, 1)
    plain = Marginal.fit(values, weights)
    smooth = Marginal.fit(values, weights, protons=np.arange(MUONS))
    shares = np.array([1e-4, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-5])
    np.testing.assert_allclose(
        smooth.from_normal(norm.ppf(shares)), plain.from_normal(norm.ppf(shares)), rtol=0.01
    )
    assert smooth.from_normal(np.array([-9.0])).item() == values.min()
