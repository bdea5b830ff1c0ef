"""Validation: tests that hold their level, distortions that are named, limits, odd inputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen_export.training.figure_of_merit import Muons
from shipgen_export.validation.compare import validate
from shipgen_export.validation.findings import significant
from shipgen_export.validation.rates import compare_rates
from shipgen_export.validation.report import write_report
from shipgen_export.validation.samples import Sample
from shipgen_export.validation.thresholds import LimitError, check_limits, raise_beyond, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen_export.validation.compare import Result

MUONS = 2400


def made_up(
    seed: int, change: Callable[[dict[str, Muons]], None] | None = None, muons: int = MUONS
) -> Sample:
    """Return muons with about three a proton and category that share their z and have different weights."""
    random = np.random.default_rng(seed)
    protons = muons // 3
    depth = random.exponential(30, protons)
    categories = {}
    for category in CATEGORIES:
        group = np.sort(random.integers(0, protons, random.poisson(muons)))
        n = len(group)
        columns = [depth[group] + 0.1, *random.normal(0, 0.4, (2, n)), 10 + random.exponential(12, n)]
        if not category.on_axis:
            columns = [0.3 * columns[1] + random.normal(0, 0.4, n), random.laplace(0, 0.4, n), *columns]
        weights = random.uniform(0.5, 1.5, n)
        categories[category.name] = Muons(np.stack(columns, 1).astype(np.float32), weights, group)
    if change is not None:
        change(categories)
    sums = np.array(
        [
            np.bincount(categories[c.name].group, categories[c.name].weights, minlength=protons)
            for c in CATEGORIES
            if c.name in categories
        ]
    )
    places = [number for number, c in enumerate(CATEGORIES) if c.name in categories]
    totals, covariance = np.zeros(4), np.zeros((4, 4))
    totals[places] = sums.sum(1) / protons
    covariance[np.ix_(places, places)] = (
        sums @ sums.T - np.outer(sums.sum(1), sums.sum(1)) / protons
    ) / protons**2
    found = {name: len(each) for name, each in categories.items()}
    return Sample(
        f"sample {seed}",
        {"kind": "made up", "name": str(seed)},
        True,
        categories,
        found,
        totals,
        covariance,
        True,
    )


def compared(change: Callable[[dict[str, Muons]], None] | None, **options: Any) -> Result:
    settings: dict[str, Any] = {"forms": (), "memory": False, **options}
    return validate(made_up(1, change, 6_000), made_up(2, None, 6_000), **settings)


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
        assert 0.35 < np.mean(values) < 0.65 or family in {"KS", "bin"}, (family, np.mean(values))


def test_momentum_scale() -> None:
    def scale(categories: dict[str, Muons]) -> None:
        categories["muplus_onaxis"].features[:, 3] *= 1.02

    result = compared(scale)
    assert worst(result) in {("bin", "muplus_onaxis", quantity) for quantity in ("p", "pz")}
    assert "sigma at 10 to 10.4" in result.failed[0].text
    assert {test.category for test in result.failed} <= {"muplus_onaxis", "together"}


def test_charge() -> None:
    def flip(categories: dict[str, Muons]) -> None:
        plus, minus = (categories[f"mu{sign}_offaxis"] for sign in ("plus", "minus"))
        moved = np.arange(len(plus)) % 50 == 0
        both = [
            np.concatenate([getattr(minus, n), getattr(plus, n)[moved]])
            for n in ("features", "weights", "group")
        ]
        order = np.argsort(both[2], kind="stable")
        categories["muminus_offaxis"] = Muons(*(each[order] for each in both))
        categories["muplus_offaxis"] = plus.at(~moved)

    # 2 % of 6,000 muons are within the statistics; of 60,000 they are not.
    _, tests = compare_rates(made_up(1, flip, 6_000), made_up(2, None, 6_000))
    assert not [test for test in significant(tests, 0.01) if test.family != "charge ratio"]
    _, tests = compare_rates(made_up(1, flip, 60_000), made_up(2, None, 60_000))
    assert ("charge ratio", "off axis") in {(test.family, test.category) for test in significant(tests, 0.01)}


def test_rate() -> None:
    def more(categories: dict[str, Muons]) -> None:
        name = "muminus_onaxis"
        categories[name] = Muons(
            categories[name].features, categories[name].weights * 1.05, categories[name].group
        )

    _, tests = compare_rates(made_up(1, more, 12_000), made_up(2, None, 12_000))
    failed = significant(tests, 0.01)
    assert ("rates", "muminus_onaxis") in {(test.family, test.category) for test in failed}
    assert {test.category for test in failed} <= {"muminus_onaxis", "on axis", "together"}


def test_correlation() -> None:
    def swap(categories: dict[str, Muons]) -> None:
        features = categories["muplus_offaxis"].features
        features[::3, 0] *= -1

    result = compared(swap)
    named = {(test.family, test.category, test.quantity) for test in result.failed}
    assert ("correlation", "muplus_offaxis", "Pearson x, px") in named
    assert {category for _, category, _ in named} == {"muplus_offaxis"}
    assert "p" not in {quantity for _, _, quantity in named}


def test_classifier_and_limits(tmp_path: Path) -> None:
    def widen(categories: dict[str, Muons]) -> None:
        categories["muplus_onaxis"].features[:, 1] *= 1.5
        del categories["muplus_offaxis"]
        categories["muminus_offaxis"] = categories["muminus_offaxis"].at(slice(1))

    result = compared(widen, forms=("fast",), memory=True, regions=("p > 60, pt > 0.5",))
    merit = result.merits["muplus_onaxis"]["fast"]
    assert merit.merit.auc > 0.55
    assert merit.control is not None
    assert abs(merit.control.auc - 0.5) < 4 * merit.control.auc_error
    assert result.merits["muminus_onaxis"]["fast"].merit.auc < 0.53
    limits = check_limits(result, {"max_fast_auc": 0.53, "max_ks": 0.5, "max_chi2": None})
    assert [(limit.name, limit.met) for limit in limits] == [("max_fast_auc", False), ("max_ks", True)]
    with pytest.raises(LimitError, match=r"--max-fast-auc 0.53: 0.\d+ \(together\)"):
        raise_beyond(limits, tmp_path)
    with pytest.raises(InputError, match="--max-auc cannot be checked"):
        check_limits(result, {"max_auc": 0.52})
    assert "muplus_onaxis" not in table(result)
    assert any("mu+ on axis" in line for line in table(result))
    folder = write_report(result, tmp_path / "report", limits=limits)
    page = (folder / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == len(list((folder / "pictures").glob("*.png")))
    assert (
        len(list((folder / "pictures").glob("*.pdf"))) == len(list((folder / "pictures").glob("*.png"))) > 10
    )
    assert "http" not in page.replace("http-equiv", "")
    numbers = json.loads((folder / "report.json").read_text())
    tails = numbers["categories"]["muplus_onaxis"]["tails"]
    assert "p > 60 GeV, pT > 0.5 GeV" in {row["region"] for row in tails}
    assert numbers["categories"]["muplus_onaxis"]["memory"]["copies"] == 0


def test_few_muons() -> None:
    def one(categories: dict[str, Muons]) -> None:
        categories["muplus_onaxis"] = categories["muplus_onaxis"].at(slice(1))
        del categories["muminus_onaxis"]

    result = validate(made_up(1, one), made_up(2), forms=())
    assert "sample 1 has no muons of muminus_onaxis" in result.missing
    assert "muplus_onaxis: too few muons for tests" in result.missing
    assert not result.categories["muplus_onaxis"].histograms
    assert "muminus_onaxis" in {test.category for test in result.failed if test.family == "rates"}


def test_units() -> None:
    def metres(categories: dict[str, Muons]) -> None:
        for name in ("muplus_offaxis", "muminus_offaxis"):
            categories[name].features[:, :2] /= 100

    def mega(categories: dict[str, Muons]) -> None:
        for muons in categories.values():
            muons.features[:, -3:] *= 1000

    def frame(categories: dict[str, Muons]) -> None:
        for muons in categories.values():
            muons.features[:, -4] += 7084.5

    for change, text in (
        (metres, "r of sample 1 .* other units"),
        (mega, "p of sample 1 "),
        (frame, "another frame"),
    ):
        with pytest.raises(InputError, match=text):
            compared(change)


def test_region_refused() -> None:
    for text in ("p above 3", "momentum > 3", "p > three", ""):
        with pytest.raises(InputError, match="region"):
            compared(None, regions=(text,))
