"""Parts of the validation: reading in blocks, covariances, classifiers that are faster than their source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.made_up import made_up
from shipgen.errors import InputError
from shipgen.muons.categories import FEATURE_UNITS, category_by_name
from shipgen_export.merit import boosting, figure_of_merit
from shipgen_export.merit.classifiers import FORMS, Form
from shipgen_export.merit.figure_of_merit import merit_of
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.counting import findings
from shipgen_export.validation.counting.protons import Protons
from shipgen_export.validation.counting.statistics import fraction, share_covariance
from shipgen_export.validation.samples import stores
from shipgen_export.validation.samples.samples import Sample
from shipgen_export.validation.samples.spool import Spool
from shipgen_export.validation.samples.stores import SampleStores, Store, stored

if TYPE_CHECKING:
    from pathlib import Path


def test_blocks_hold_whole_protons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their order in the file, all muons come once, and those of a proton in one block."""
    monkeypatch.setattr(stores, "BLOCK", 500)
    monkeypatch.setattr(stores, "_PIECE", 64)
    random = np.random.default_rng(1)
    muons = {}
    for name in ("muplus_onaxis", "muminus_offaxis"):
        n = 3000
        width = len(category_by_name(name).features)
        features = random.normal(10, 1, (n, width)).astype(np.float32)
        muons[name] = (features, random.uniform(0, 1, n), random.integers(0, 1000, n))
    source = SampleStores.of(stored(muons), "made up")
    parts = source.parts()
    assert len(parts) == 12
    seen: dict[str, list[np.ndarray]] = {name: [] for name in muons}
    totals, moments = np.zeros(4), np.zeros((4, 4))
    protons = 0
    for part in parts:
        block = source.block(part)
        totals += block.totals
        moments += block.moments
        groups = np.concatenate([each.group for each in block.muons.values()])
        protons += len(np.unique(groups))
        for name, each in block.muons.items():
            seen[name].append(each.features)
            assert set(block.folds[name].tolist()) <= set(range(stores.FOLDS))
    whole = np.concatenate([group for _, _, group in muons.values()])
    assert protons == len(np.unique(whole))
    sums = np.zeros((1000, 4))
    for place, name in ((0, "muplus_onaxis"), (3, "muminus_offaxis")):
        features, weights, group = muons[name]
        assert np.array_equal(np.sort(np.concatenate(seen[name])[:, 0]), np.sort(features[:, 0]))
        np.add.at(sums[:, place], group, weights)
    np.testing.assert_allclose(totals, sums.sum(0))
    np.testing.assert_allclose(moments, sums.T @ sums)


def test_blocks_without_protons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "BLOCK", 300)
    features = np.arange(4 * 1000, dtype=np.float32).reshape(-1, 4)
    weights = np.linspace(0, 1, 1000)
    source = SampleStores.of(stored({"muplus_onaxis": (features, weights, None)}), "made up")
    blocks = list(source.blocks())
    assert len(blocks) == 3
    joined = np.concatenate([block.muons["muplus_onaxis"].features for block in blocks])
    assert np.array_equal(joined, features)
    np.testing.assert_allclose(sum(block.moments[0, 0] for block in blocks), np.square(weights).sum())


@pytest.mark.parametrize("most", [1, 3, 40])
def test_covariance_of_shares(most: int) -> None:
    """Sums over protons, by pairs or by tables, are those of the definition."""
    random = np.random.default_rng(most)
    n = 2000
    group = np.arange(n) if most == 1 else random.integers(0, n // most, n)
    place, weights = random.integers(0, 5, n), random.uniform(0, 2, n)
    protons = Protons(WeightedMuons(np.zeros((n, 1), np.float32), weights, group))
    table = np.zeros((n, 5))
    np.add.at(table, (group, place), weights)
    np.testing.assert_allclose(protons.moments(place, 5), table.T @ table, rtol=1e-12)
    inside = place == 2
    found = (*protons.squares(inside), float(protons.sums @ protons.sums))
    mass = table.sum(1)
    np.testing.assert_allclose(found, [table[:, 2] @ table[:, 2], table[:, 2] @ mass, mass @ mass])
    shares, covariance = share_covariance(table.sum(0), table.T @ table, protons.number)
    apart = table - np.outer(mass, shares)
    expected = apart.T @ apart / weights.sum() ** 2 * protons.number / (protons.number - 1)
    np.testing.assert_allclose(covariance, expected, atol=1e-15)
    share, error = fraction(weights[inside].sum(), weights.sum(), found, n)
    assert share == pytest.approx(shares[2])
    assert error == pytest.approx(np.sqrt(covariance[2, 2]), rel=2 / protons.number)


def _pair(seed: int, width: int) -> tuple[WeightedMuons, WeightedMuons]:
    random = np.random.default_rng(seed)
    found = []
    for n in (3000, 2500):
        features = random.normal(0, 1, (n, width)).astype(np.float32)
        features[:, 0] = features[:, 0].round(1)
        features[:, 1] += 0.2 * (seed > 10)
        found.append(WeightedMuons(features, random.uniform(0.5, 1.5, n), np.arange(n)))
    return found[0], found[1]


@pytest.mark.parametrize("name", FORMS)
def test_classifiers_are_those_of_scikit_learn(name: str) -> None:
    form = FORMS[name]
    count = {"n_estimators": 20} if "n_estimators" in form.settings else {"max_iter": 20}
    form = Form(form.classifier, form.muons, {**form.settings, **count}, form.derived)
    real, generated = _pair(1, 6), _pair(11, 6)
    trees = []
    ours = boosting.classify(real, generated, 1, form, trees.append)
    theirs = figure_of_merit.classify(real, generated, 1, form)
    assert sum(trees) == 20
    if name != "source":
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(mine, other)
        return
    # Of two splits that are equally good scikit-learn takes either.
    first, second = (merit_of(real, generated, outputs) for outputs in (ours, theirs))
    assert first.auc == pytest.approx(second.auc, abs=1e-3)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.mean(np.abs(mine - other) < 1e-9) > 0.9


def test_few_values_are_bins_of_their_own() -> None:
    borders = boosting.bin_borders(np.array([1, 2, 2, 4], np.float32), np.ones(4))
    assert borders.tolist() == [1.5, 3.0]
    assert boosting.bin_borders(np.ones(5, np.float32), np.ones(5)).tolist() == []


def test_level_is_parted_among_groups_of_tests() -> None:
    found = findings.Finding
    tests = [found("histogram", "a", str(k), 0.5, 1, "") for k in range(98)]
    tests += [found("charge ratio", "a", "q", 0.004, 1, ""), found("histogram", "a", "h", 0.004, 1, "")]
    assert [test.quantity for test in findings.significant(tests, 0.01)] == ["q"]
    assert not findings.significant([], 0.01)


@pytest.mark.parametrize("name", ["px", "vary_mine"])
def test_numbers_beyond_float32_are_refused(name: str, tmp_path: Path) -> None:
    columns = {one: np.full(3, 13.0) for one in ("pdg", *FEATURE_UNITS, "weight", "vary_mine")}
    columns[name][1] = 1e200
    with (
        Spool(tmp_path, "odd.npy", ["vary_mine"]) as spool,
        pytest.raises(InputError, match=r"odd\.npy has a number that is no muon's, above 3\.4e\+38"),
    ):
        spool.add(columns)


def test_odd_numbers_are_refused() -> None:
    muons = dict(made_up(1).draws)

    def changed(name: str, **columns: np.ndarray) -> dict[str, WeightedMuons]:
        old = muons[name]
        new = {"features": old.features.copy(), "weights": old.weights.copy(), "group": old.group} | columns
        return {**muons, name: WeightedMuons(**new)}

    features = muons["muplus_offaxis"].features.copy()
    features[[3, 5], 4] = np.nan
    with pytest.raises(InputError, match="odd: py of 2 muons of muplus_offaxis is NaN or infinite"):
        Sample.of_muons("odd", changed("muplus_offaxis", features=features))
    weights = muons["muplus_onaxis"].weights.copy()
    weights[0] = np.inf
    with pytest.raises(InputError, match="weight of 1 muons of muplus_onaxis is NaN or infinite"):
        Sample.of_muons("odd", changed("muplus_onaxis", weights=weights))
    weights[0] = -1
    with pytest.raises(InputError, match="muplus_onaxis have weights below 0"):
        Sample.of_muons("odd", changed("muplus_onaxis", weights=weights))
    with pytest.raises(InputError, match="odd has no muon with weight"):
        Sample.of_muons("odd", {"muplus_onaxis": WeightedMuons(features[:5, :4], np.zeros(5), np.arange(5))})
    assert isinstance(Sample.of_muons("odd", muons).source.stores["muplus_onaxis"], Store)
