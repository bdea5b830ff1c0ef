"""Validation: tests that hold their level, distortions that are named, limits, odd inputs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.made_up import correlate_signs, flip_charges, made_up, one_more_often, scale_momentum
from shipgen.errors import InputError
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.compare import validate
from shipgen_export.validation.report.report import write_report
from shipgen_export.validation.report.thresholds import (
    LimitError,
    check_forms,
    check_limits,
    raise_beyond,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen_export.validation.compare import Result

    Change = Callable[[dict[str, WeightedMuons]], None]


def compared(change: Change | None, muons: int = 6_000, **options: Any) -> Result:
    settings: dict[str, Any] = {"forms": (), "memory": False, **options}
    return validate(made_up(1, change, muons), made_up(2, None, muons), **settings)


def worst(result: Result) -> tuple[str, str, str]:
    test = result.failed[0]
    return test.family, test.category, test.quantity


def test_levels() -> None:
    """Each test has p < 0.05 as often as it should; muons of a proton, taken as independent, would not."""
    found: dict[str, list[float]] = {}
    failed = 0
    for seed in range(8):
        result = validate(made_up(seed), made_up(seed + 1000), forms=(), memory=False)
        failed += bool(result.failed)
        for test in result.tests:
            found.setdefault(test.family, []).append(test.p)
    # 8 reports at level 0.01.
    assert failed <= 1
    for family, values in found.items():
        share = np.mean(np.array(values) < 0.05)
        # Tests of one sample are correlated: as if a third of them were independent.
        margin = 3 * np.sqrt(0.05 * 0.95 / (len(values) / 3))
        assert share < 0.05 + margin, (family, share)
        assert 0.35 < np.mean(values) < 0.65 or family in {"KS", "bin", "copies"}, (family, np.mean(values))


def test_momentum_scale() -> None:
    result = compared(scale_momentum)
    assert worst(result) in {("bin", "muplus_onaxis", quantity) for quantity in ("p", "pz")}
    assert "sigma at 10 to 10.4" in result.failed[0].text
    assert {test.category for test in result.failed} <= {"muplus_onaxis", "together"}


def test_charge() -> None:
    # 2 % flipped charges change the ratio only where it is not 1: here it is 2.
    def double(categories: dict[str, WeightedMuons]) -> None:
        for name in ("muplus_onaxis", "muplus_offaxis"):
            muons = categories[name]
            categories[name] = WeightedMuons(muons.features, 2 * muons.weights, muons.group)

    def both(categories: dict[str, WeightedMuons]) -> None:
        double(categories)
        flip_charges(categories)

    assert not validate(made_up(1, double), made_up(2, double), forms=(), memory=False).failed
    result = validate(made_up(1, both, 60_000), made_up(2, double, 60_000), forms=(), memory=False)
    assert worst(result)[0] in {"charge ratio", "rates"}
    assert {test.family for test in result.failed} <= {"charge ratio", "rates"}
    ratios = {(test.category, test.quantity) for test in result.failed if test.family == "charge ratio"}
    assert ("together", "mu+/mu-") in ratios
    row = next(row for row in result.rates["over"] if row["where"] == "off axis" and row["quantity"] == "p")
    assert all(1.7 < ratio < 2.1 for ratio in row["generated"])


def test_charge_in_bins() -> None:
    """Charges that are wrong among fast muons alone are found there, the ratio of all being right."""

    def swap(categories: dict[str, WeightedMuons]) -> None:
        for sign in (-1, 1):
            muons = categories["muplus_offaxis" if sign > 0 else "muminus_offaxis"]
            fast = muons.features[:, 5] > 35
            muons.weights[fast] *= 1 + 0.1 * sign

    result = compared(swap, 60_000)
    test = next(test for test in result.failed if test.quantity == "mu+/mu- over p")
    assert test.category == "off axis"
    low, high = (float(word) for word in test.text.partition("most at ")[2].split()[:3:2])
    assert low > 33 or high > 60


def test_rate() -> None:
    result = compared(one_more_often, 12_000)
    assert worst(result) == ("rates", "muminus_onaxis", "rate")
    assert {test.category for test in result.failed} <= {"muminus_onaxis", "on axis", "together"}


def test_correlation() -> None:
    result = compared(correlate_signs)
    named = {(test.family, test.category, test.quantity) for test in result.failed}
    assert ("correlation", "muplus_offaxis", "Spearman x, y") in named
    assert ("histogram", "muplus_offaxis", "phi of position") in named
    assert {category for _, category, _ in named} == {"muplus_offaxis"}
    assert "p" not in {quantity for _, _, quantity in named}


def test_classifier_and_limits(tmp_path: Path) -> None:
    def widen(categories: dict[str, WeightedMuons]) -> None:
        categories["muplus_onaxis"].features[:, 1] *= 1.5
        del categories["muplus_offaxis"]
        categories["muminus_offaxis"] = categories["muminus_offaxis"].at(slice(1))

    result = compared(widen, forms=("fast",), memory=True, regions=("p > 60, pt > 0.5",))
    merit = result.merits["muplus_onaxis"]["fast"]
    assert merit.merit.auc > 0.55
    assert merit.control is not None
    assert abs(merit.control.auc - 0.5) < 4 * merit.control.auc_error
    assert result.merits["muminus_onaxis"]["fast"].merit.auc < 0.53
    limits, unknown = check_limits(result, {"max_fast_auc": 0.53, "max_ks": 0.5, "max_auc": 0.52})
    assert unknown == ["max_auc"]
    assert [(limit.name, limit.met) for limit in limits] == [("max_fast_auc", False), ("max_ks", True)]
    with pytest.raises(LimitError, match=r"--max-fast-auc 0.53: 0.\d+ \(together\)"):
        raise_beyond(limits, unknown, tmp_path)
    with pytest.raises(InputError, match="--max-auc cannot be checked"):
        raise_beyond(limits[1:], unknown, tmp_path)
    with pytest.raises(InputError, match="--max-auc cannot be checked: source is not among --forms"):
        check_forms({"max_auc": 0.52}, ["fast"])
    assert "muplus_onaxis" not in table(result)
    assert any("mu+ on axis" in line for line in table(result))
    # Drawing is what takes the time: one category, of which all pictures can be drawn.
    drawn = {"muplus_onaxis": result.categories["muplus_onaxis"]}
    folder = write_report(replace(result, categories=drawn), tmp_path / "report", limits=limits)
    page = (folder / "report.html").read_text()
    kinds = ("distributions", "tails", "pairs", "correlations", "classifiers")
    for ending in ("png", "pdf"):
        names = {file.stem for file in (folder / "pictures").glob(f"*.{ending}")}
        assert names == {"rates", *(f"muplus_onaxis_{kind}" for kind in kinds)}
    assert page.count('src="data:image/png;base64,') == 6
    assert "px [GeV]" in page
    assert "http" not in page.replace("http-equiv", "")
    numbers = json.loads((folder / "report.json").read_text())
    tails = numbers["categories"]["muplus_onaxis"]["tails"]
    assert "p > 60, pt > 0.5" in {row["region"] for row in tails}
    assert numbers["categories"]["muplus_onaxis"]["copies"]["generated_in_reference"] == 0


def test_few_muons() -> None:
    def one(categories: dict[str, WeightedMuons]) -> None:
        categories["muplus_onaxis"] = categories["muplus_onaxis"].at(slice(1))
        del categories["muminus_onaxis"]

    result = validate(made_up(1, one), made_up(2), forms=())
    assert "sample 1 has no muons of muminus_onaxis" in result.missing
    assert "muplus_onaxis: too few muons for tests of distributions" in result.missing
    assert not result.categories["muplus_onaxis"].histograms
    assert "muminus_onaxis" in {test.category for test in result.failed if test.family == "rates"}


def test_without_weight_or_common_category() -> None:
    def weightless(categories: dict[str, WeightedMuons]) -> None:
        muons = categories["muplus_onaxis"]
        categories["muplus_onaxis"] = WeightedMuons(muons.features, np.zeros(len(muons)), muons.group)

    result = validate(made_up(1, weightless), made_up(2), forms=())
    number = result.generated.found["muplus_onaxis"]
    assert f"the {number:,} muons of muplus_onaxis in sample 1 have no weight" in result.missing
    assert "muplus_onaxis" not in result.categories
    row = next(row for row in result.rates["rows"] if row["category"] == "muplus_onaxis")
    assert row["generated"] == 0

    def only(kept: str) -> Change:
        def change(categories: dict[str, WeightedMuons]) -> None:
            for name in set(categories) - {kept}:
                del categories[name]

        return change

    with pytest.raises(InputError, match="no category in common"):
        validate(made_up(1, only("muplus_onaxis")), made_up(2, only("muminus_onaxis")), forms=())


def test_one_muon_each() -> None:
    """Of single muons nothing is concluded: not a test, not a number that looks like one."""

    def single(categories: dict[str, WeightedMuons]) -> None:
        for name, muons in categories.items():
            categories[name] = muons.at(slice(1))

    result = validate(made_up(1, single), made_up(2, single))
    assert {test.family for test in result.tests} <= {"rates", "charge ratio"}
    assert not result.failed
    assert not result.merits
    assert all(not found.histograms and not found.correlations for found in result.categories.values())
    assert len(result.missing) == 5


def test_units() -> None:
    def metres(categories: dict[str, WeightedMuons]) -> None:
        for name in ("muplus_offaxis", "muminus_offaxis"):
            categories[name].features[:, :2] /= 100

    def mega(categories: dict[str, WeightedMuons]) -> None:
        for muons in categories.values():
            muons.features[:, -3:] *= 1000

    def frame(categories: dict[str, WeightedMuons]) -> None:
        for muons in categories.values():
            muons.features[:, -4] += 7084.5

    for change, text in (
        (metres, "r of sample 1 .* other units"),
        (mega, "p of sample 1 "),
        (frame, "another frame"),
    ):
        with pytest.raises(InputError, match=text):
            compared(change)
    # The same mistake in both.
    with pytest.raises(InputError, match=r"above the beam's 400 GeV: it is in other units \(MeV\)"):
        validate(made_up(1, mega), made_up(2, mega), forms=())


def test_region_refused() -> None:
    for text in ("p above 3", "momentum > 3", "p > three", ""):
        with pytest.raises(InputError, match="region"):
            compared(None, regions=(text,))
