"""How well networks are known: the statistics of what they learnt from, and the spread of teachers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.synthetic import TARGET_START, synthetic_category
from shipgen.describe.describe import describe_bundle
from shipgen.muons.categories import CATEGORIES
from shipgen_export.maps.muon_map import MuonMap
from shipgen_export.training.spread import quantities, uncertainty

MUONS = synthetic_category(CATEGORIES[0], 30_000, 3)
MADE = 10_000
DEPTH, MOMENTUM = "mean z from the start, cm", "mean p, GeV"


class Shifted:
    """Makes the sample's normalised muons again, all of one feature moved."""

    input_shape = (None, 4)

    def __init__(self, by: float) -> None:
        self._by = by

    def __call__(self, latent: Any, training: bool) -> Any:
        assert not training
        made = MUONS.normalisation.forward(MUONS.features[: len(latent)].astype(np.float64))
        return made + np.array([self._by, 0, 0, 0])


class Copied:
    """Makes of each latent a muon with the latent itself for features."""

    input_shape = (None, 4)

    def __call__(self, latent: Any, training: bool) -> Any:
        assert not training
        return np.clip(latent / 4, -1, 1)


class Latents:
    """Makes of each latent the latent itself."""

    input_shape = (None, 5)

    def __call__(self, latent: Any, training: bool) -> Any:
        assert not training
        return latent


def of_part(chosen: np.ndarray, name: str) -> tuple[float, float]:
    """A weighted mean and its error, for muons that are independent, about two a proton."""
    values = quantities(MUONS.features[chosen].astype(np.float64), TARGET_START)[name]
    weights = MUONS.weights[chosen]
    mean = float(np.average(values, weights=weights))
    return mean, float(np.sqrt(np.square(weights * (values - mean)).sum()) / weights.sum())


def test_spread_is_the_distance_of_bootstrap_teachers_from_that_of_all_protons() -> None:
    teachers = [Shifted(-0.01), Shifted(0), Shifted(0.02)]
    found = uncertainty(MUONS, TARGET_START, Shifted(0), teachers, 1, MADE)
    assert (found["muons"], found["teachers"]) == (MADE, 3)
    depth, momentum = (found["quantities"][name] for name in (DEPTH, MOMENTUM))
    width = float(MUONS.normalisation.maximum[0] - MUONS.normalisation.minimum[0])
    away = np.sqrt((0.01**2 + 0.03**2) / 2) * width / 2
    assert depth["spread"] == pytest.approx(away, rel=1e-3)
    assert depth["mean"] - depth["student"] == pytest.approx(0.01 / 3 * width / 2, rel=1e-2)
    assert momentum["spread"] < 1e-6


def test_sample_is_what_no_network_has_seen_and_train_what_they_learnt_from() -> None:
    found = uncertainty(MUONS, TARGET_START, Shifted(0), [Shifted(0)] * 2, 1, MADE)["quantities"]
    for name in (DEPTH, MOMENTUM, "p > 60 GeV"):
        for value, error, chosen in (
            ("sample", "error", MUONS.split > 0),
            ("train", "train_error", MUONS.split == 0),
        ):
            mean, plain = of_part(chosen, name)
            assert found[name][value] == pytest.approx(mean)
            assert found[name][error] == pytest.approx(plain, rel=0.1)


def test_errors_come_from_protons() -> None:
    """Of muons that come four times in the same proton, the error stays that of one each."""
    found, repeated = (
        uncertainty(muons, TARGET_START, Shifted(0), [Shifted(0)] * 2, 1, MADE)["quantities"][MOMENTUM]
        for muons in (
            MUONS,
            replace(
                MUONS,
                **{
                    name: np.repeat(getattr(MUONS, name), 4, axis=0)
                    for name in ("features", "weights", "group", "split")
                },
            ),
        )
    )
    for name in ("sample", "error", "train", "train_error"):
        assert repeated[name] == pytest.approx(found[name])


def test_unusual_weights_are_cut_as_networks_learn_them() -> None:
    weights = MUONS.weights.copy()
    weights[np.argmax(np.where(MUONS.split == 0, MUONS.features[:, -1], 0))] = 1e4
    found = uncertainty(replace(MUONS, weights=weights), TARGET_START, Shifted(0), [Shifted(0)] * 2, 1, MADE)[
        "quantities"
    ][MOMENTUM]
    mean, plain = of_part(MUONS.split == 0, MOMENTUM)
    assert found["train"] == pytest.approx(mean, abs=plain)
    assert found["train_error"] < 2 * plain


def test_far_tails_are_told_and_of_few_muons_the_error_says_so() -> None:
    off_axis = synthetic_category(CATEGORIES[2], 30_000, 3)
    found = quantities(off_axis.features.astype(np.float64), TARGET_START)
    r, p = np.hypot(*off_axis.features[:, :2].T), np.linalg.norm(off_axis.features[:, 3:], axis=1)
    np.testing.assert_array_equal(found["r > 5 cm"], r > 5)
    np.testing.assert_array_equal(found["r > 7 cm"], r > 7)
    np.testing.assert_array_equal(found["p > 200 GeV"], p > 200)
    assert "r > 5 cm" not in quantities(MUONS.features.astype(np.float64), TARGET_START)
    # Of k muons of as many protons the error is about a root of k.
    chosen = MUONS.split == 0
    told = uncertainty(MUONS, TARGET_START, Shifted(0), [Shifted(0)] * 2, 1, MADE)["quantities"]
    share = told["p > 100 GeV"]
    count = int((np.linalg.norm(MUONS.features[chosen][:, 1:], axis=1) > 100).sum())
    assert 0 < count < 30
    assert share["train_error"] > 0.8 * share["train"] / np.sqrt(count)


def test_the_student_has_tables_of_its_own() -> None:
    """Only what it makes is read in them."""
    form = MuonMap.fit(MUONS, TARGET_START)
    muons = replace(MUONS, map=form)
    p, *others = form.marginals
    moved = replace(form, marginals=(replace(p, values=p.values + 1), *others))
    given = (muons, TARGET_START, Latents(), [Latents()] * 2, 1, MADE)
    alike, own = (uncertainty(*given, own=one)["quantities"][MOMENTUM] for one in (None, moved))
    assert alike["student"] == alike["mean"] == own["mean"]
    assert own["student"] == pytest.approx(own["mean"] + 1, rel=1e-3)


def test_all_networks_get_the_same_latents() -> None:
    found = uncertainty(MUONS, TARGET_START, Copied(), [Copied(), Copied()], 1, MADE)["quantities"]
    for figures in found.values():
        assert figures["spread"] == 0
        assert figures["mean"] == figures["student"]
    other = uncertainty(MUONS, TARGET_START, Copied(), [Copied(), Copied()], 2, MADE)["quantities"]
    assert other[DEPTH]["student"] != found[DEPTH]["student"]


def bundle(figures: dict[str, float], **coordinates: Any) -> Any:
    uncertain = {"quantities": {MOMENTUM: figures}}
    entry = SimpleNamespace(
        category=CATEGORIES[0],
        rate=1.0,
        latent_size=5,
        details={"uncertainty": uncertain, "coordinates": coordinates},
    )
    facts = {"name": "a", "label": "b", "rate": 1.0, "energy_cut": 1.0, "target_start": 0.0, "sha256": "0"}
    facts |= {"survival": "in", "missing": (), "variations": {}}
    return SimpleNamespace(entries=[entry], provenance={}, **facts)


def test_info_adds_all_errors_and_tells_the_networks_own() -> None:
    figures = {"sample": 10.0, "error": 0.3, "student": 11.0, "made_error": 0.0, "mean": 11.0, "spread": 0.4}
    lines = list(describe_bundle(bundle(figures | {"train": 20.0, "train_error": 1.2})))
    (difference, own) = (line for line in lines if line.strip().startswith(MOMENTUM))
    assert difference.endswith(" +10.00 +- 13.00")
    assert float(own.split()[-1]) == pytest.approx(100 * np.hypot(1.2, 0.4) / 20, abs=0.01)
    assert any("over held-out muons" in line for line in lines)
    # Bundles that do not state what was learnt from.
    lines = list(describe_bundle(bundle(figures)))
    (difference,) = (line for line in lines if line.strip().startswith(MOMENTUM))
    assert difference.endswith(" +10.00 +- 5.00")
    assert any("over their sample" in line for line in lines)


def test_info_tells_what_was_cut_and_left_out() -> None:
    lines = list(
        describe_bundle(
            bundle(
                {},
                unusual_weights={"muons": 2, "limit": 12.3456, "share": 0.0012},
                left_out={"muons": 1, "share": 1e-6, "why": "they fly upstream"},
            )
        )
    )
    name = CATEGORIES[0].name
    assert f"  {name}: left out: 1 muon, 0.0001 % of the weight: they fly upstream" in lines
    assert any(line.startswith(f"  {name}: unusual weights: 2 muons ") for line in lines)
    assert not any("unusual" in line or "left out" in line for line in describe_bundle(bundle({})))
