"""One coordinate's distribution from few protons: by materials, by knots that what is held out decides."""

from __future__ import annotations

import numpy as np
import pytest

from shipgen_export.maps.marginals import Marginal
from shipgen_export.maps.smoothing import (
    Distribution,
    Slabs,
    _mean,
    _model,
    _weigh,
    fit_smooth,
    shares_below,
    smooth,
)

#: Eight blocks of 8 cm with gaps of 0.5 cm between, then an absorber.
EDGES = np.cumsum([0.0, *[8.0, 0.5] * 8, 100.0])
MATERIALS = (*[0, 1] * 8, 2)
HAZARDS = np.array([1 / 12, 1 / 30, 1 / 17])
SLABS = Slabs(tuple(EDGES), MATERIALS)


def hazard(places: np.ndarray) -> np.ndarray:
    """What a proton has passed, in mean free paths."""
    steps = np.diff(EDGES) * HAZARDS[list(MATERIALS)]
    return np.interp(places, EDGES, np.concatenate([[0.0], np.cumsum(steps)]))


def protons(n: int, seed: int, muons: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted depths of a constant hazard in each material, weights, protons; all muons of one share it."""
    random = np.random.default_rng(seed)
    marks = np.linspace(0, EDGES[-1], 200_001)
    depths = np.repeat(np.interp(random.exponential(1, n), hazard(marks), marks), muons)
    order = np.argsort(depths, kind="stable")
    return depths[order], random.uniform(0.5, 1.5, n * muons), np.repeat(np.arange(n), muons)[order]


def distance(found: Distribution) -> float:
    """The largest difference of the shares below."""
    places = np.linspace(0, EDGES[-1], 5_000)
    true = -np.expm1(-hazard(places))
    return float(abs(np.interp(places, found.values, found.below) - true).max())


def test_few_protons_give_the_hazard_of_each_material() -> None:
    found, facts = fit_smooth(*protons(1_500, 1), SLABS)
    assert (facts["model"], facts["knots"]) == ("materials", 0)
    assert facts["protons"] == pytest.approx(1_500, rel=0.1)
    assert facts["gain"] > 0
    without, plain = fit_smooth(*protons(1_500, 1), Slabs(tuple(EDGES)))
    assert plain["model"] == "quantiles"
    assert distance(found) < 0.02
    assert distance(found) < distance(without)
    # Between the blocks the density is that of gaps, from some 30 protons.
    density = np.exp(found.log_density(np.array([7.9, 8.25])))
    assert density[0] / density[1] == pytest.approx(30 / 12, rel=0.5)


def test_what_is_no_constant_hazard_is_corrected() -> None:
    """Muons of a second kind start deeper; with 6,000 protons that is seen."""
    depths, weights, of = protons(6_000, 2)
    moved = np.where(of % 2, np.minimum(depths + 20, 160), depths)
    order = np.argsort(moved, kind="stable")
    found, facts = fit_smooth(moved[order], weights, of[order], SLABS)
    assert facts["model"] == "quantiles" or facts["knots"] > 0
    share = float((weights[order] * (moved[order] < 25)).sum() / weights.sum())
    assert np.interp(25, found.values, found.below) == pytest.approx(share, abs=0.02)


def test_muons_outside_of_the_slabs_and_unknown_materials_give_quantiles() -> None:
    depths, weights, of = protons(500, 3)
    for slabs in (Slabs((*EDGES[:3],), MATERIALS[:2]), Slabs(tuple(EDGES), MATERIALS[:-1])):
        assert fit_smooth(depths, weights, of, slabs)[1]["model"] == "quantiles"


def test_many_protons_have_the_usual_knots() -> None:
    _, facts = fit_smooth(*protons(20_000, 4, muons=1), SLABS)
    assert (facts["model"], facts["knots"]) == ("quantiles", int(facts["protons"] / 100))
    assert "gain" not in facts


def test_of_a_smooth_density_few_knots_are_enough_and_of_a_rough_one_many_are_kept() -> None:
    random = np.random.default_rng(5)
    smooth = np.sort(random.exponential(1, 4_000))
    rough = np.sort(random.integers(0, 30, 4_000) + random.uniform(0, 0.1, 4_000))
    ones, of = np.ones(4_000), random.permutation(4_000)
    knots = [fit_smooth(values, ones, of, Slabs(()))[1]["knots"] for values in (smooth, rough)]
    assert knots[0] <= 40 < knots[1]


def test_what_is_known_of_a_sample_like_it_is_corrected() -> None:
    """400 muons of a density that 100,000 others have, but for a factor."""
    random = np.random.default_rng(6)
    known = Marginal.fit(random.gamma(0.7, 2, 100_000), np.ones(100_000)).distribution()
    few = np.sort(1.3 * random.gamma(0.7, 2, 400))
    given = (few, np.ones(400), random.permutation(400), Slabs(()))
    found, facts = fit_smooth(*given, known)
    assert facts["model"] == "origin"
    alone, _ = fit_smooth(*given)
    others = 1.3 * random.gamma(0.7, 2, 100_000)
    others = others[others < found.values[-1]]
    assert found.log_density(others).mean() > alone.log_density(others).mean()


def test_models_that_few_protons_do_not_tell_apart_are_averaged() -> None:
    """On average the mean is likelier for others than the model that was best for those held out."""
    known = Marginal.fit(np.random.default_rng(8).gamma(0.9, 2, 100_000), np.ones(100_000)).distribution()
    others = np.random.default_rng(9).gamma(1.0, 2, 100_000)
    others = others[(others > known.values[0]) & (others < known.values[-1])]
    better = []
    for seed in range(12):
        random = np.random.default_rng((10, seed))
        values = np.sort(np.repeat(random.gamma(1.0, 2, 300), 3) * random.uniform(0.99, 1.01, 900))
        given = (values, np.ones(900), np.arange(900) // 3, Slabs(()), known)
        found, facts = fit_smooth(*given)
        shares = [one["share"] for one in facts["models"]]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) > 0
        assert len(shares) > 1
        # What is named is the one with the largest share.
        largest = facts["models"][int(np.argmax(shares))]
        assert (facts["model"], facts["knots"]) == (largest["model"], largest["knots"])
        alone = _model((facts["model"], facts["knots"]), Slabs(()), known)(values, np.ones(900))
        better.append((found.log_density(others) - alone.log_density(others)).mean())
    assert np.mean(better) > 2 * np.std(better) / np.sqrt(len(better)) > 0


def test_shares_fall_off_with_the_distance_in_errors_by_proton() -> None:
    """Muons of one proton are one: each of them thrice, with a third of its weight, changes nothing."""
    random = np.random.default_rng(13)
    values, weights = np.sort(random.exponential(1, 1_000)), np.ones(1_000)
    of = random.permutation(1_000) // 4
    known = Marginal.fit(random.exponential(1.05, 100_000), np.ones(100_000)).distribution()
    models = [("quantiles", 4), ("quantiles", 32), ("origin", 0)]
    shares, gain = weigh(models, values, weights, of, known)
    # By hand: the logarithm of the density of each fifth, as the others have it.
    logs = np.empty((3, 1_000))
    for part in range(5):
        own = of % 5 == part
        for k, model in enumerate(models):
            fitted = _model(model, Slabs(()), known)(values[~own], weights[~own])
            logs[k, own] = fitted.log_density(values[own])
    best = logs[logs.sum(1).argmax()]
    sums = np.array([[(best - one)[of == proton].sum() for proton in range(250)] for one in logs])
    away = np.array([one.sum() / (one.std() * np.sqrt(250)) if one.any() else 0.0 for one in sums])
    expected = np.exp(-(away**2) / 2) * (away < 3)
    assert shares == pytest.approx(expected / expected.sum())
    assert gain == pytest.approx((best - logs[0]).mean())
    assert len(np.unique(np.round(shares, 3))) == 3
    thrice = weigh(models, np.repeat(values, 3), np.repeat(weights, 3) / 3, np.repeat(of, 3), known)
    assert thrice[0] == pytest.approx(shares, abs=0.02)


def weigh(
    models: list[tuple[str, int]],
    values: np.ndarray,
    weights: np.ndarray,
    of: np.ndarray,
    known: Distribution,
) -> tuple[list[float], float]:
    found = _weigh(models, values, weights, of, Slabs(()), known)
    assert found is not None
    return found


def test_a_mean_has_no_muons_beyond_the_ends_of_its_parts() -> None:
    """Half of the last muon's weight lies beyond the quantiles, and does not go to the slabs' last edge."""
    depths, weights, of = protons(100, 14, muons=2)
    depths = np.minimum(depths, 60.0 + 1e-3 * np.arange(200))
    weights[-1] = 20.0
    ends = Distribution(np.array([0.0, EDGES[-1]]), np.array([0.0, 1.0]))
    own = smooth(depths, shares_below(weights), 4, SLABS.edges)
    mean = _mean([(0.5, own), (0.5, ends)])
    assert mean.below[[0, -1]] == pytest.approx([0, 1])
    assert np.all(np.diff(mean.below) >= 0)
    # From the last muon to the end of the slabs there is but half of the even part.
    last = np.interp(depths[-1], mean.values, mean.below)
    assert 1 - last == pytest.approx(0.5 * (1 - depths[-1] / EDGES[-1]))
    found, _ = fit_smooth(depths, weights, of, SLABS)
    assert np.diff(found.below)[-1] < 1e-3


def test_a_mean_ends_at_all_of_the_weight_whatever_its_shares_round_to() -> None:
    ends = Distribution(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    for seed in range(50):
        shares = np.random.default_rng(seed).random(9)
        below = _mean([(share, ends) for share in shares / shares.sum()]).below
        assert below[0] == 0
        assert below[-1] == 1


@pytest.mark.parametrize(
    ("values", "of"),
    [
        (np.linspace(1, 2, 500), np.zeros(500, np.int64)),
        (np.linspace(1, 2, 500), np.arange(500) % 3),
        (np.array([1.0] * 200 + [2.0]), np.arange(201)),
        (np.ones(300), np.arange(300)),
    ],
    ids=["one proton", "three protons", "all but one muon at one place", "all at one place"],
)
def test_too_few_protons_or_places_tell_nothing(values: np.ndarray, of: np.ndarray) -> None:
    found, facts = fit_smooth(values, np.ones(len(values)), of, Slabs(()))
    assert (facts["model"], facts["knots"]) == ("quantiles", 4)
    assert "models" not in facts
    assert found.values[0] >= 1
    assert found.values[-1] <= 2


def test_a_model_that_protons_refute_has_no_share() -> None:
    known = Marginal.fit(np.random.default_rng(11).gamma(9, 2, 100_000), np.ones(100_000)).distribution()
    random = np.random.default_rng(12)
    few = np.sort(random.gamma(0.7, 2, 2_000))
    _, facts = fit_smooth(few, np.ones(2_000), random.permutation(2_000), Slabs(()), known)
    assert ("origin", 0) not in [(one["model"], one["knots"]) for one in facts["models"]]


def test_a_table_says_what_it_was_made_of() -> None:
    values = np.random.default_rng(7).exponential(1, 200_000)
    for ruled in ((), tuple(np.arange(0.0, 30))):
        said = Marginal.fit(values, np.ones(len(values)), edges=ruled).distribution()
        places = np.array([0.1, 0.5, 1.0, 3.0])
        np.testing.assert_allclose(np.interp(places, said.values, said.below), -np.expm1(-places), atol=0.004)


#: A thick last block of a target that few muons reach, and an absorber behind it where more of them start.
DEEP = np.array([0.0, 10.0, 40.0, 130.0, 160.0, 330.0])


def deep(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted depths of a mean free path of 20 cm, 0.3 % in the absorber, weights, protons of 25 muons."""
    random = np.random.default_rng(5)
    depths = random.exponential(20.0, n)
    depths[depths > DEEP[-2]] = 0.0
    depths[random.random(n) < 0.003] += DEEP[-2]
    depths = np.sort(depths[depths < DEEP[-1]])
    return depths, np.ones(len(depths)), random.permutation(len(depths)) % (n // 25)


def shares(found: Distribution, places: np.ndarray) -> np.ndarray:
    return np.diff(np.interp(places, found.values, found.below))


def test_a_block_that_few_reach_falls_off_as_its_muons_do() -> None:
    """1,500 in a million have less than a knot by their share: one density from edge to edge."""
    places = np.linspace(130, 160, 7)
    found, facts = fit_smooth(*deep(1_000_000), Slabs(tuple(DEEP)))
    assert facts["model"] == "quantiles"
    right = np.diff(-np.exp(-places / 20))
    # Four standard deviations of the last bin's muons, the fewest; 12 knots follow within 7 %.
    assert shares(found, places) == pytest.approx(right, rel=0.07 + 4 / np.sqrt(1e6 * right[-1]))


@pytest.mark.parametrize("n", [300_000, 1_000_000])
def test_a_table_is_the_distribution_between_far_knots_too(n: int) -> None:
    """The share rises evenly with the depth there, not with the place on the ruler."""
    places = np.linspace(130, 160, 7)
    depths, weights, protons_ = deep(n)
    found, _ = fit_smooth(depths, weights, protons_, Slabs(tuple(DEEP)))
    table = Marginal.fit(depths, weights, edges=tuple(DEEP), ruled=True, smooth_tail=False, protons=protons_)
    assert shares(table.distribution(), places) == pytest.approx(shares(found, places), rel=0.02)
