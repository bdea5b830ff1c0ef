"""The figure of merit: its value on samples that are equal, disjoint or in between, and its error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shipgen.errors import InputError
from shipgen_export.figure_of_merit import compare_histograms, draw, figure_of_merit, roc_auc


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def test_auc_agrees_with_sklearn_also_with_ties(random: np.random.Generator) -> None:
    real = np.round(random.normal(0.4, 1, 400), 1)
    generated = np.round(random.normal(0, 1, 300), 1)
    expected = roc_auc_score(np.repeat([1, 0], [400, 300]), np.concatenate([real, generated]))
    assert roc_auc(real, generated)[0] == pytest.approx(expected, abs=1e-12)


def test_auc_error_is_the_spread_over_repetitions(random: np.random.Generator) -> None:
    found = np.array([roc_auc(random.normal(0.5, 1, 200), random.normal(0, 1, 300)) for _ in range(400)])
    # The spread of 400 values is known to 3.5 %.
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.12)
    # Two normals half a standard deviation apart: Phi(0.5 / sqrt 2).
    assert found[:, 0].mean() == pytest.approx(0.6382, abs=0.005)


def test_equal_and_disjoint_histograms() -> None:
    low, high = np.repeat(0.105, 100), np.repeat(0.905, 100)
    assert compare_histograms(low, low) == (0.0, 1, 1.0)
    assert compare_histograms(low, high) == (None, 0, 0.0)


def test_histograms_by_hand() -> None:
    # Bins of (20, 10) and (10, 20) entries: each (20 - 10)^2 / 30; overlap 10/30 + 10/30.
    a = np.repeat([0.105, 0.505], [20, 10])
    b = np.repeat([0.105, 0.505], [10, 20])
    chi2, bins, overlap = compare_histograms(a, b)
    assert (chi2, bins, overlap) == (pytest.approx(100 / 30), 2, pytest.approx(2 / 3))


def test_bins_of_nine_entries_are_not_used() -> None:
    a = np.repeat([0.105, 0.505], [9, 10])
    chi2, bins, _ = compare_histograms(a, a)
    assert (chi2, bins) == (0.0, 1)


def test_chi2_is_one_for_equal_distributions_of_unequal_size(random: np.random.Generator) -> None:
    values = [compare_histograms(random.random(20_000), random.random(5_000))[0] for _ in range(20)]
    # 20 means over 100 bins of variance 2: 0.03.
    assert np.mean(np.array(values, float)) == pytest.approx(1, abs=0.12)


def test_drawing_follows_the_weights(random: np.random.Generator) -> None:
    features = np.arange(4, dtype=np.float32)[:, None].repeat(1000, 0)
    weights = np.repeat([1.0, 2.0, 3.0, 2.0], 1000)
    drawn = draw(features, weights, 1600, random)
    # Systematic resampling: each value's number is right to one.
    assert np.abs(np.unique(drawn, return_counts=True)[1] - [200, 400, 600, 400]).max() <= 1


def test_no_more_are_drawn_than_the_effective_size(random: np.random.Generator) -> None:
    features = np.zeros((1001, 4), np.float32)
    weights = np.concatenate([np.ones(1000), [1000.0]])
    assert len(draw(features, weights, 50_000, random)) == int(2000**2 / (1000 + 1000**2))
    assert len(draw(features, np.ones(1001), 50_000, random)) == 1001


def test_drawing_from_nothing_is_an_error(random: np.random.Generator) -> None:
    with pytest.raises(InputError, match="held-out muons"):
        draw(np.zeros((0, 4), np.float32), np.zeros(0), 10, random)


def _samples(random: np.random.Generator, shift: float) -> list[np.ndarray]:
    real = [random.normal(0, 1, (3000, 4)).astype(np.float32) for _ in range(2)]
    other = [random.normal(shift, 1, (3000, 4)).astype(np.float32) for _ in range(2)]
    return [*real, *other]


def test_equal_samples_cannot_be_told_apart(random: np.random.Generator) -> None:
    a, b, c, d = _samples(random, 0)
    merit = figure_of_merit((a, b), (c, d), seed=1)
    assert abs(merit.auc - 0.5) < 4 * merit.auc_error
    assert merit.auc_error == pytest.approx(1 / np.sqrt(6 * 3000), rel=0.1)
    assert merit.overlap > 0.85
    assert (merit.fitted, merit.applied) == (3000, 3000)


def test_samples_far_apart_are_told_apart(random: np.random.Generator) -> None:
    a, b, c, d = _samples(random, 2)
    trees: list[float] = []
    merit = figure_of_merit((a, b), (c, d), seed=1, advance=trees.append)
    # Four shifts of two standard deviations: Phi(4 / sqrt 2) = 0.998.
    assert merit.auc > 0.99
    assert merit.overlap < 0.2
    assert sum(trees) == 100


def test_same_seed_same_figure(random: np.random.Generator) -> None:
    a, b, c, d = _samples(random, 0.3)
    assert figure_of_merit((a, b), (c, d), seed=3) == figure_of_merit((a, b), (c, d), seed=3)


def test_unequal_sizes_are_cut_and_recorded(random: np.random.Generator) -> None:
    a, b, c, d = _samples(random, 0)
    merit = figure_of_merit((a[:500], b), (c, d[:400]), seed=1)
    assert (merit.fitted, merit.applied) == (500, 400)
