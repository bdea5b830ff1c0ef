from __future__ import annotations

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen.plan import CHUNK_SIZE, Plan

RATES = (1.5e-4, 1.6e-4, 6.5e-4, 5.4e-4)


def totals(plan: Plan) -> np.ndarray:
    return np.sum([chunk.counts for chunk in plan], axis=0)


@pytest.mark.parametrize("n", [1, 1000, CHUNK_SIZE, CHUNK_SIZE + 1, 10**7, 123_456_789])
def test_exact_total_is_exact(n: int) -> None:
    plan = Plan.make(RATES, n=n, seed=3, exact=True)
    assert totals(plan).sum() == n
    assert plan.weight == pytest.approx(1.0)


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
    plan = Plan.make(RATES, n=200 * CHUNK_SIZE, seed=5)
    counts = np.array([chunk.counts for chunk in plan], float)
    pulls = (counts - counts.mean(0)) / counts.std(0)
    # Neighbouring chunks: correlation below 5 / sqrt(number of chunks).
    assert np.all(np.abs((pulls[1:] * pulls[:-1]).mean(0)) < 5 / np.sqrt(len(pulls)))


def test_full_chunks_do_not_depend_on_the_total() -> None:
    short, long = (Plan.make(RATES, n=k * CHUNK_SIZE + 7, seed=1) for k in (3, 9))
    assert [short.chunk(i) for i in range(3)] == [long.chunk(i) for i in range(3)]


def test_pot_and_n_say_the_same() -> None:
    by_n = Plan.make(RATES, n=3_000_000, seed=1)
    by_pot = Plan.make(RATES, pot=by_n.pot, seed=1)
    assert by_n.pot == pytest.approx(3_000_000 / sum(RATES))
    assert [chunk.counts for chunk in by_n] == [chunk.counts for chunk in by_pot]


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
