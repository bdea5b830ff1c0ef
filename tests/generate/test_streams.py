"""The random streams: specified, independent, and normal."""

from __future__ import annotations

import numpy as np
from scipy import stats

from shipgen.generate.streams import COUNTS, LATENT, MIXING, SEED_LIMIT, draw_seed, stream, words

FIRST_OUTPUTS = [8802580397549580863, 18412407377372492323]
FIRST_NORMALS = [0.845218300819397, 0.5050072073936462, 0.7609928846359253, 2.817622661590576]
FIRST_WORDS = [4293421677, 1337378907, 3784798111]
FIRST_POISSON = 998362


def test_streams_do_not_change() -> None:
    """What a seed gives is part of the format: the same for every version of shipgen."""
    assert stream(1, 0, LATENT + 1).bit_generator.random_raw(2).tolist() == FIRST_OUTPUTS
    np.testing.assert_array_equal(
        stream(1, 0, LATENT + 1).standard_normal(4, np.float32), np.array(FIRST_NORMALS, np.float32)
    )
    assert words(stream(1, 0, MIXING), 3).tolist() == FIRST_WORDS
    assert int(stream(1, 0, COUNTS).poisson(1e6)) == FIRST_POISSON


def test_words_are_the_halves_of_outputs_low_half_first() -> None:
    outputs = stream(5, 7, MIXING).bit_generator.random_raw(3).tolist()
    halves = [half for output in outputs for half in (output % 2**32, output // 2**32)]
    for n in (1, 2, 5, 6):
        assert words(stream(5, 7, MIXING), n).tolist() == halves[:n]


def test_words_are_uniform() -> None:
    found = words(stream(1, 0, MIXING), 2**20)
    counts = np.bincount(found >> 24, minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_latents_are_normal() -> None:
    """4e6 float32 normals of 64 streams: moments, tails, Kolmogorov-Smirnov, correlation of neighbours."""
    latents = np.stack(
        [stream(1, chunk, LATENT + 3).standard_normal(2**16, np.float32) for chunk in range(64)]
    )
    values = latents.ravel().astype(float)
    n = values.size
    # Standard errors of mean, variance, third and fourth moment of a normal sample; 5 of them.
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((values**power).mean() - expected) < 5 * np.sqrt(variance / n)
    for limit in (3.0, 4.0):
        tail = 2 * stats.norm.sf(limit)
        assert abs((np.abs(values) > limit).mean() - tail) < 5 * np.sqrt(tail / n)
    assert stats.kstest(values[:: 2**4], "norm").pvalue > 1e-4
    for lag in (1, 2, 7):
        assert abs((values[lag:] * values[:-lag]).mean()) < 5 / np.sqrt(n)


def test_streams_are_independent() -> None:
    """Of neighbouring chunks, purposes and seeds: no correlation, no value shared in sequence."""
    n = 2**18
    draws = [
        stream(seed, chunk, LATENT + category).standard_normal(n, np.float32).astype(float)
        for seed, chunk, category in ((1, 0, 1), (1, 1, 1), (1, 0, 2), (2, 0, 1), (1, 2**40, 1))
    ]
    correlations = np.corrcoef(draws)
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 5 / np.sqrt(n)


def test_drawn_seeds_are_in_range() -> None:
    seeds = {draw_seed() for _ in range(10)}
    assert len(seeds) == 10
    assert all(0 <= seed < SEED_LIMIT for seed in seeds)
