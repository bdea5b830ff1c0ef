from __future__ import annotations

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen.generate.plan import LARGEST, Plan
from shipgen.muons.columns import CHUNK_SIZE

RATES = (1.5e-4, 1.6e-4, 6.5e-4, 5.4e-4)


def totals(plan: Plan) -> np.ndarray:
    return np.sum([chunk.counts(len(plan.rates)) for chunk in plan], axis=0)


@pytest.mark.parametrize("n", [1, 1000, CHUNK_SIZE, CHUNK_SIZE + 1, 10**7, 123_456_789])
def test_exact_total_is_exact(n: int) -> None:
    plan = Plan.make(RATES, n=n, seed=3, exact=True)
    assert sum(plan.size(index) for index in range(len(plan))) == plan.total == n
    assert plan.weight == 1.0


def test_the_largest_number_is_planned_for_any_rates() -> None:
    """As sources do, whose series is that long: n / rate * rate may be above n in the last bits."""
    rate = 0.004549961541408508
    assert LARGEST / rate * rate > LARGEST
    assert Plan.make([rate], n=LARGEST, seed=1, exact=True).total == LARGEST
    with pytest.raises(InputError, match="more than 1e"):
        Plan.make([rate], n=LARGEST + 1e6, seed=1)


def test_all_chunks_but_the_last_are_full() -> None:
    plan = Plan.make(RATES, n=3 * CHUNK_SIZE + 1000, seed=1)
    sizes = [plan.size(index) for index in range(len(plan))]
    assert sizes[:-1] == [CHUNK_SIZE] * (len(plan) - 1)
    assert [chunk.size for chunk in plan] == sizes
    with pytest.raises(InputError, match=f"no chunk {len(plan)}"):
        plan.size(len(plan))


def test_shares_are_the_rates() -> None:
    """Also of categories that never occur, the last included."""
    for rates in ((1.0, 0.0, 3.0, 0.0), (0.0, 2.0, 0.0, 5.0), (0.0, 0.0, 0.0, 1.0)):
        counts = totals(Plan.make(rates, n=4 * CHUNK_SIZE, seed=2, exact=True))
        expected = 4 * CHUNK_SIZE * np.array(rates) / sum(rates)
        assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected))


def test_poisson_counts_have_the_rates_and_poisson_spread() -> None:
    n, seeds = 10_000, 400
    counts = np.array([totals(Plan.make(RATES, n=n, seed=seed)) for seed in range(seeds)])
    expected = n * np.array(RATES) / sum(RATES)
    # 5 standard errors of a mean and of a variance over 400 draws.
    assert np.all(np.abs(counts.mean(0) - expected) < 5 * np.sqrt(expected / seeds))
    assert np.all(np.abs(counts.var(0, ddof=1) / expected - 1) < 5 * np.sqrt(2 / seeds))


def test_exact_counts_are_multinomial() -> None:
    n, seeds = 10_000, 400
    counts = np.array([totals(Plan.make(RATES, n=n, seed=seed, exact=True)) for seed in range(seeds)])
    share = np.array(RATES) / sum(RATES)
    assert np.all(np.abs(counts.mean(0) - n * share) < 5 * np.sqrt(n * share / seeds))
    assert np.all(np.abs(counts.var(0, ddof=1) / (n * share * (1 - share)) - 1) < 5 * np.sqrt(2 / seeds))


def test_chunks_are_independent() -> None:
    plan = Plan.make(RATES, n=200 * CHUNK_SIZE, seed=5, exact=True)
    counts = np.array([chunk.counts(4) for chunk in plan], float)
    share = np.array(RATES) / sum(RATES)
    pulls = (counts - CHUNK_SIZE * share) / np.sqrt(CHUNK_SIZE * share * (1 - share))
    assert np.all(np.abs(pulls.std(0) - 1) < 5 / np.sqrt(2 * len(pulls)))
    # Neighbouring chunks: correlation below 5 / sqrt(number of chunks).
    assert np.all(np.abs((pulls[1:] * pulls[:-1]).mean(0)) < 5 / np.sqrt(len(pulls)))


def test_full_chunks_do_not_depend_on_the_total() -> None:
    short, long = (Plan.make(RATES, n=k * CHUNK_SIZE + 7, seed=1) for k in (3, 9))
    for index in range(2):
        np.testing.assert_array_equal(short.chunk(index).labels, long.chunk(index).labels)


def test_pot_and_n_say_the_same() -> None:
    by_n = Plan.make(RATES, n=3_000_000, seed=1)
    by_pot = Plan.make(RATES, pot=by_n.pot, seed=1)
    assert by_n.pot == pytest.approx(3_000_000 / sum(RATES))
    assert totals(by_n).tolist() == totals(by_pot).tolist()


def test_weights_sum_to_the_expected_number_when_exact() -> None:
    plan = Plan.make(RATES, pot=1234.5, seed=1, exact=True)
    assert totals(plan).sum() == round(1234.5 * sum(RATES))
    assert totals(plan).sum() * plan.weight == pytest.approx(1234.5 * sum(RATES))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either"),
        ({"n": 10, "pot": 1e5}, "either"),
        ({"n": 0}, "n = 0"),
        ({"n": -1}, "n = -1"),
        ({"n": 1.5}, r"n = 1\.5"),
        ({"n": float("nan")}, "n = nan"),
        ({"pot": 0.0}, "pot = 0"),
        ({"pot": float("inf")}, "pot = inf"),
        ({"pot": 1.0}, "0.0015 muons on average"),
        ({"n": 10, "seed": -1}, "seed -1"),
        ({"n": 10, "seed": 1.5}, "seed 1.5"),
        ({"n": 10, "seed": 2**63}, "seed 9223372036854775808"),
    ],
)
def test_bad_amounts(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan.make(RATES, **{"seed": 1, **options})  # type: ignore[arg-type]
