"""The figure of merit: its value on samples that are equal, disjoint or in between, its error, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from helpers.synthetic import synthetic_muons
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES, Category
from shipgen_export.merit.classifiers import FORMS, classify, derived
from shipgen_export.merit.figure_of_merit import compare_histograms, figure_of_merit, roc_auc
from shipgen_export.merit.weighted_muons import WeightedMuons, thin

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def outputs(
    real: Float64, generated: Float64
) -> tuple[WeightedMuons, WeightedMuons, tuple[Float64, Float64]]:
    """Return arguments of `roc_auc` and `compare_histograms`: equal weights, a proton each."""
    none = [WeightedMuons.independent(np.zeros((len(part), 4), np.float32)) for part in (real, generated)]
    return none[0], none[1], (real, generated)


def test_auc_agrees_with_sklearn_with_ties_and_weights(random: np.random.Generator) -> None:
    real = np.round(random.normal(0.4, 1, 400), 1)
    generated = np.round(random.normal(0, 1, 300), 1)
    labels, values = np.repeat([1, 0], [400, 300]), np.concatenate([real, generated])
    given = outputs(real, generated)
    assert roc_auc(*given)[0] == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
    weights = random.exponential(1, 700)
    weighted = (
        WeightedMuons(given[0].features, weights[:400], given[0].group),
        WeightedMuons(given[1].features, weights[400:], given[1].group),
    )
    expected = roc_auc_score(labels, values, sample_weight=weights)
    assert roc_auc(*weighted, given[2])[0] == pytest.approx(expected, abs=1e-12)


def test_auc_error_is_the_spread_over_repetitions(random: np.random.Generator) -> None:
    found = np.array(
        [roc_auc(*outputs(random.normal(0.5, 1, 200), random.normal(0, 1, 300))) for _ in range(400)]
    )
    # The spread of 400 values is known to 3.5 %.
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.12)
    # Two normals half a standard deviation apart: Phi(0.5 / sqrt 2).
    assert found[:, 0].mean() == pytest.approx(0.6382, abs=0.005)


def test_auc_error_with_weights_and_muons_of_one_proton(random: np.random.Generator) -> None:
    def one() -> tuple[float, float]:
        # Three muons a proton that are nearly the same, of one weight.
        proton, weights = random.normal(0.5, 1, 80), random.exponential(1, 80)
        real = np.repeat(proton, 3) + random.normal(0, 0.1, 240)
        muons = WeightedMuons(
            np.zeros((240, 4), np.float32), np.repeat(weights, 3), np.repeat(np.arange(80), 3)
        )
        generated = random.normal(0, 1, 300)
        return roc_auc(muons, outputs(real, generated)[1], (real, generated))

    found = np.array([one() for _ in range(400)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.12)
    assert found[:, 0].mean() == pytest.approx(0.6382, abs=0.01)


def test_equal_and_disjoint_histograms() -> None:
    low, high = np.repeat(0.105, 100), np.repeat(0.905, 100)
    assert compare_histograms(*outputs(low, low)) == (0.0, 1, pytest.approx(1.0), pytest.approx(1.0))
    assert compare_histograms(*outputs(low, high)) == (None, 0, 0.0, 0.0)


def test_samples_that_share_one_bin_agree_there() -> None:
    # A tenth of each is in the one bin with enough of both.
    few = np.concatenate([np.repeat(0.505, 10), np.repeat(0.105, 90)])
    many = np.concatenate([np.repeat(0.505, 100), np.repeat(0.905, 900)])
    chi2, bins, share, overlap = compare_histograms(*outputs(few, many))
    assert (chi2, bins) == (pytest.approx(0.0), 1)
    assert (share, overlap) == (pytest.approx(0.1), pytest.approx(0.1))
    # The share is that of the sample which has less there, by weight.
    real, generated, given = outputs(few, np.repeat(0.505, 100))
    real = WeightedMuons(real.features, np.repeat([9.0, 1.0], [10, 90]), real.group)
    assert compare_histograms(real, generated, given)[2] == pytest.approx(0.5)


def test_histograms_by_hand() -> None:
    # Bins of (20, 10) and (10, 20) entries: each (20 - 10)^2 / 30; overlap 10/30 + 10/30.
    a = np.repeat([0.105, 0.505], [20, 10])
    b = np.repeat([0.105, 0.505], [10, 20])
    chi2, bins, share, overlap = compare_histograms(*outputs(a, b))
    assert (chi2, bins) == (pytest.approx(100 / 30), 2)
    assert (share, overlap) == (pytest.approx(1.0), pytest.approx(2 / 3))


def test_bins_of_nine_entries_are_not_used() -> None:
    a = np.repeat([0.105, 0.505], [9, 10])
    for weight in (1.0, 0.1, 1 / 3):
        real, generated, given = outputs(a, a)
        real = WeightedMuons(real.features, real.weights * weight, real.group)
        chi2, bins, share, _ = compare_histograms(real, generated, given)
        assert (chi2, bins, share) == (pytest.approx(0.0), 1, pytest.approx(10 / 19))


def test_chi2_is_one_for_equal_distributions(random: np.random.Generator) -> None:
    """Of unequal size, and with weights."""
    values = []
    for k in range(20):
        real, generated, given = outputs(random.random(20_000), random.random(5_000))
        if k % 2:
            real = WeightedMuons(real.features, random.exponential(1, 20_000), real.group)
        values.append(compare_histograms(real, generated, given)[0])
    # 20 means over 100 bins of variance 2: 0.03.
    assert np.mean(np.array(values, float)) == pytest.approx(1, abs=0.12)


def test_thinning_keeps_weights(random: np.random.Generator) -> None:
    features = np.arange(5, dtype=np.float32)[:, None].repeat(1000, 0)
    weights = np.repeat([0.0, 1.0, 2.0, 3.0, 200.0], 1000)[:4005]
    muons = WeightedMuons(features[:4005], weights, np.arange(4005))
    drawn = thin(muons, 1000, random)
    assert 990 <= len(drawn) <= 1000
    kind = drawn.features[:, 0]
    # The five heavy ones stay as they are; of the others each kind's sum of weights is right to one muon.
    assert drawn.weights[kind == 4].tolist() == [200.0] * 5
    light = np.unique(drawn.weights[kind < 4])
    assert len(light) == 1
    for value in (1, 2, 3):
        assert abs(drawn.weights[kind == value].sum() - 1000 * value) <= 2 * light[0]
    assert len(np.unique(drawn.group)) == len(drawn)
    everything = thin(muons, 5000, random)
    assert everything.weights.sum() == weights.sum()
    assert len(everything) == 3005


def test_thinning_is_right_on_average(random: np.random.Generator) -> None:
    weights = random.exponential(1, 50)
    muons = WeightedMuons(random.normal(0, 1, (50, 4)).astype(np.float32), weights, np.arange(50))
    sums = np.zeros(50)
    for _ in range(2000):
        drawn = thin(muons, 20, random)
        sums[drawn.group] += drawn.weights
    # Each is a binomial mean with a probability of 0.02 at least.
    np.testing.assert_allclose(sums / 2000, weights, atol=5 * np.sqrt(weights.max() * weights / 2000).max())


def test_thinning_nothing_is_an_error(random: np.random.Generator) -> None:
    with pytest.raises(InputError, match="held-out muons"):
        thin(WeightedMuons.independent(np.zeros((0, 4), np.float32)), 10, random)


def test_derived_features() -> None:
    off_axis = np.array([[3, 4, -7000, 0, 5, 12], [-1, 0, -7000, -2, -0.001, 1]], np.float32)
    found = derived(off_axis)
    p, pt, phi, r, azimuth, between = found[:, 6:].T
    np.testing.assert_array_equal(found[:, :6], off_axis)
    np.testing.assert_allclose([p[0], pt[0], phi[0], r[0]], [13, 5, np.pi / 2, 5], rtol=1e-6)
    np.testing.assert_allclose(azimuth, [np.arctan2(4, 3), np.pi], rtol=1e-6)
    # Across the cut at pi the two are close.
    np.testing.assert_allclose(between, [np.pi / 2 - np.arctan2(4, 3), 0.0005], rtol=1e-3)
    assert derived(off_axis[:, 2:]).shape == (2, 7)


def halves(
    category: Category, muons: int, seed: int, factor: float = 1.0
) -> tuple[WeightedMuons, WeightedMuons]:
    """Return two weighted samples of different protons; pz multiplied by `factor`."""
    random = np.random.default_rng((seed, category.number))
    features, weights = synthetic_muons(category, 2 * muons, random)
    features[:, -1] *= factor
    sample = WeightedMuons(features, weights, np.arange(2 * muons) // 2)
    return sample.at(slice(0, muons)), sample.at(slice(muons, 2 * muons))


#: Form -> muons to train on and to apply to: fewer to train on than in use where that takes long.
SIZES = {"source": (5_000, 100_000), "fast": (20_000, 100_000)}


@pytest.mark.parametrize("name", SIZES)
def test_a_sample_against_itself_and_against_a_shifted_one(name: str) -> None:
    category, form = CATEGORIES[2], FORMS[name]
    fitted, applied = SIZES[name]
    real, other = halves(category, applied, 1), halves(category, applied, 2)
    shifted = halves(category, applied, 3, factor=1.02)
    fit = slice(0, fitted)
    same, apart = (
        figure_of_merit((real[0].at(fit), real[1]), (against[0].at(fit), against[1]), 1, form)
        for against in (other, shifted)
    )
    assert same.auc == pytest.approx(0.5, abs=0.005)
    # The weights leave 57 % of the statistics.
    assert same.auc_error == pytest.approx(1 / np.sqrt(6 * 0.57 * applied), rel=0.1)
    # Simulated muons start at 10.3 GeV, shifted ones at 10.5 GeV: 1.7 % of one sample lack in the other, and
    # an AUC of 0.5 + 0.017 / 2 follows.
    assert apart.auc == pytest.approx(0.5085, abs=0.003)
    assert apart.auc > 0.5 + 4 * apart.auc_error
    assert (same.fitted, same.applied) == (fitted, applied)


def test_hard_form_of_a_sample_against_itself() -> None:
    real, other = halves(CATEGORIES[2], 20_000, 1), halves(CATEGORIES[2], 20_000, 2)
    fit = slice(0, 4_000)
    merit = figure_of_merit((real[0].at(fit), real[1]), (other[0].at(fit), other[1]), 1, FORMS["hard"])
    # One standard error is 0.004.
    assert merit.auc == pytest.approx(0.5, abs=0.01)


def test_the_hard_form_sees_what_features_hide(random: np.random.Generator) -> None:
    """Momenta of any direction, against ones that do not point back to the axis: no feature alone tells."""
    samples = []
    for largest in (1.0, 0.8):
        angle, turn = random.uniform(-np.pi, np.pi, (2, 8000))
        z, pz = random.uniform(0, 1, (2, 8000))
        to = angle + largest * turn
        columns = [np.cos(angle), np.sin(angle), z, np.cos(to), np.sin(to), pz]
        muons = WeightedMuons.independent(np.column_stack(columns).astype(np.float32))
        samples.append((muons.at(slice(0, 4000)), muons.at(slice(4000, 8000))))
    fast, hard = (figure_of_merit(samples[0], samples[1], 1, FORMS[name]) for name in ("fast", "hard"))
    assert hard.auc > fast.auc + 3 * fast.auc_error


def _samples(random: np.random.Generator, shift: float) -> list[WeightedMuons]:
    real = [random.normal(0, 1, (3000, 4)) for _ in range(2)]
    other = [random.normal(shift, 1, (3000, 4)) for _ in range(2)]
    return [WeightedMuons.independent(part.astype(np.float32)) for part in (*real, *other)]


def test_samples_far_apart_are_told_apart(random: np.random.Generator) -> None:
    a, b, c, d = (muons.at(slice(0, 1000)) for muons in _samples(random, 2))
    trees: list[float] = []
    for form in FORMS.values():
        merit = figure_of_merit((a, b), (c, d), 1, form, trees.append)
        # Four shifts of two standard deviations: Phi(4 / sqrt 2) = 0.998.
        assert merit.auc > 0.99
        assert merit.overlap < 0.2
    assert sum(trees) == 100 + 100 + 500


def test_weights_make_a_sample_equal(random: np.random.Generator) -> None:
    """Simulated with the wrong density in px but the right weights is as good as right, without them not."""
    real = WeightedMuons.independent(random.normal(0, 1, (16_000, 4)).astype(np.float32))
    wide = random.uniform(-5, 5, 32_000)
    features = np.column_stack([random.normal(0, 1, (32_000, 3)), wide]).astype(np.float32)
    weighted = WeightedMuons(features, np.exp(-(wide**2) / 2), np.arange(32_000))
    flat = WeightedMuons.independent(features)
    half, full = slice(0, 8000), slice(8000, 16_000)
    for other, low, high in ((weighted, 0.48, 0.52), (flat, 0.8, 1.0)):
        merit = figure_of_merit(
            (other.at(slice(0, 16_000)), other.at(slice(16_000, 32_000))),
            (real.at(half), real.at(full)),
            1,
            FORMS["fast"],
        )
        assert low < merit.auc < high


def test_the_source_s_classifier_is_the_source_s(random: np.random.Generator) -> None:
    from sklearn.ensemble import GradientBoostingClassifier

    a, b, c, d = (muons.at(slice(0, 500)) for muons in _samples(random, 0.3))
    found = classify((a, b), (c, d), seed=1)
    expected = GradientBoostingClassifier(n_estimators=100, learning_rate=0.1, max_depth=4, random_state=1)
    expected.fit(np.concatenate([a.features, c.features]), np.repeat([1, 0], 500))
    for output, muons in zip(found, (b, d), strict=True):
        np.testing.assert_allclose(output, expected.predict_proba(muons.features)[:, 1], atol=1e-12)
    assert FORMS["source"].muons == 50_000


def test_same_seed_same_figure(random: np.random.Generator) -> None:
    a, b, c, d = (muons.at(slice(0, 1000)) for muons in _samples(random, 0.3))
    for form in (FORMS["source"], FORMS["fast"]):
        assert figure_of_merit((a, b), (c, d), 3, form) == figure_of_merit((a, b), (c, d), 3, form)


def test_unequal_sizes_are_recorded(random: np.random.Generator) -> None:
    a, b, c, d = _samples(random, 0)
    merit = figure_of_merit((a.at(slice(0, 500)), b), (c, d.at(slice(0, 400))), 1, FORMS["fast"])
    assert (merit.fitted, merit.applied) == (500, 400)
    assert abs(merit.auc - 0.5) < 4 * merit.auc_error
