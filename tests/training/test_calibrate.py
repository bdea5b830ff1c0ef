"""Tables for what a network makes: its muons have the sample's distributions, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.synthetic import TARGET_START, synthetic_category
from shipgen.muons.categories import CATEGORIES
from shipgen_export.maps.muon_map import MuonMap
from shipgen_export.training.calibrate import calibrated

MUONS = 400_000
FORM = MuonMap.fit(synthetic_category(CATEGORIES[0], 20_000, 1), TARGET_START)


def bent(latent: np.ndarray) -> np.ndarray:
    """Numbers that are not normal: their tails are heavier above, or narrower."""
    first, second, third = latent.T
    return np.stack([first, second + 0.03 * second**2, 0.9 * third + 0.1], 1)


def test_what_is_made_has_the_distribution_of_the_tables() -> None:
    form = calibrated(FORM, bent, seed=1, muons=MUONS)
    latent = np.random.default_rng(2).standard_normal((MUONS, 3))
    shares = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    for number in (1, 2):
        expected = np.quantile(FORM.marginals[number].from_normal(latent[:, number]), shares)
        made = form.marginals[number].from_normal(bent(latent)[:, number])
        # Shares below are what they were, within four standard errors of this many muons.
        found = np.searchsorted(np.sort(made), expected) / MUONS
        assert (abs(found - shares) < 4 * np.sqrt(2 * shares * (1 - shares) / MUONS) + 2e-4).all()
    assert form.marginals[0] is FORM.marginals[0]
    assert form.facts["calibrated"]["muons"] == MUONS
    assert form.facts["calibrated"]["largest_shift"] > 0.1


def test_what_is_normal_is_left_as_it_is() -> None:
    form = calibrated(FORM, lambda latent: latent, seed=1, muons=MUONS)
    normal = np.linspace(-3, 3, 99)
    for before, after in zip(FORM.marginals, form.marginals, strict=True):
        width = np.ptp(before.from_normal(normal))
        np.testing.assert_allclose(after.from_normal(normal), before.from_normal(normal), atol=0.02 * width)
    assert form.facts["calibrated"]["largest_shift"] < 0.1


def test_what_has_not_learnt_keeps_its_tables() -> None:
    form = calibrated(FORM, np.zeros_like, seed=1, muons=1_000)
    pairs = zip(FORM.marginals, form.marginals, strict=True)
    assert all(after.values is before.values for before, after in pairs)


@pytest.mark.parametrize("muons", [1_000, 200_001])
def test_as_many_as_are_asked_for_are_counted(muons: int) -> None:
    assert calibrated(FORM, bent, seed=1, muons=muons).facts["calibrated"]["muons"] == muons
