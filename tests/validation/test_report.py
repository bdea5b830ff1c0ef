"""The report: errors by proton, colours that errors allow, variations, regions, the networks' uncertainty."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.made_up import made_up
from helpers.muon_files import muon_columns, write_training
from shipgen.files.layouts import VARIATION_COLUMNS
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.validation.compare import validate
from shipgen_export.validation.counting import protons as protons_module
from shipgen_export.validation.counting.protons import Protons
from shipgen_export.validation.report.comparison_pictures import all_pictures
from shipgen_export.validation.report.page import Page
from shipgen_export.validation.report.page_tables import SURE, Cell, p_cell, pull_cell
from shipgen_export.validation.report.report import to_json
from shipgen_export.validation.report.stated_uncertainty import network_uncertainty
from shipgen_export.validation.report.thresholds import table
from shipgen_export.validation.report.uncertainty_pictures import draw_uncertainty
from shipgen_export.validation.report.variation_tables import TOTAL, varied_rows
from shipgen_export.validation.samples.samples import Choice, open_sample

if TYPE_CHECKING:
    from shipgen_export.validation.compare import Result


@pytest.mark.parametrize("most", [0, 10**9])
def test_variances_and_tails_by_proton(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a table and by sorting: the sums over protons, written out."""
    monkeypatch.setattr(protons_module, "_TABLE", most)
    random = np.random.default_rng(1)
    group, place = random.integers(0, 40, 300), random.integers(0, 6, 300)
    weights = random.uniform(0, 1, 300)
    found = Protons(WeightedMuons(np.zeros((0, 0), np.float32), weights, group))
    sums = np.zeros((40, 6))
    np.add.at(sums, (group, place), weights)
    np.testing.assert_allclose(found.variances(place, 6), (sums**2).sum(0))
    np.testing.assert_allclose(found.variances(place, 6), np.diag(found.moments(place, 6)))
    above = np.stack([sums[:, first:].sum(1) for first in range(1, 6)], 1)
    squares, products = found.above(place, 5)
    np.testing.assert_allclose(squares, (above**2).sum(0))
    np.testing.assert_allclose(products, (above * sums.sum(1)[:, None]).sum(0))
    single = Protons(WeightedMuons(np.zeros((0, 0), np.float32), weights, np.arange(300)))
    squares, products = single.above(place, 5)
    expected = [np.square(weights[place >= first]).sum() for first in range(1, 6)]
    np.testing.assert_allclose(squares, expected)
    np.testing.assert_allclose(products, expected)


def _colour(cell: str) -> str:
    return cell.colour if isinstance(cell, Cell) else ""


def test_green_only_where_the_error_allows_it() -> None:
    assert _colour(pull_cell("1.01 ± 0.01", 1.0, 0.01)) == "good"
    assert _colour(pull_cell("1.5 ± 6.6", 0.1, 4.4)) == ""
    assert _colour(pull_cell("1.5", 0.1, None)) == ""
    assert _colour(pull_cell("1.9 ± 0.3", 3.0, 0.16)) == "bad"
    assert _colour(pull_cell("", None, 0.01)) == ""
    assert _colour(p_cell(0.5, SURE)) == "good"
    assert _colour(p_cell(0.5, 2 * SURE)) == ""
    assert _colour(p_cell(1e-4, 2 * SURE)) == "bad"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Return a comparison with a sample that has factors of variations, and a region asked for."""
    folder = tmp_path_factory.mktemp("varied")
    factors = {name: np.ones(9000) for name in VARIATION_COLUMNS}
    columns = muon_columns(9000, seed=2)
    factors["vary_pions"] = np.where(columns["pz"] > 20, 1.4, 1.0)
    factors["vary_charm"] = np.full(9000, 0.7)
    factors["vary_hadrons"] = np.full(9000, 5.0)
    write_training(folder / "varied.root", columns | factors)
    with open_sample(folder / "varied.root", Choice(2000, 1000, 1)) as other:
        plain = made_up(3, None, 3000)
        return validate(plain, other, forms=(), memory=False, regions=("p > 25 and pt > 0.3",))


def test_variations_of_the_reference(result: Result) -> None:
    sample, tally = result.reference, result.tallies[1]
    rows = {
        row["variation"]: row
        for row in varied_rows(tally, sample.source.variations, sample.facts["variations"])
    }
    assert rows["charm"]["rate"]["together"] == pytest.approx(-0.3, abs=1e-6)
    assert rows["charm"]["meaning"] == "20 % more charm"
    fast = rows["pions"]["rate"]["together"]
    assert 0.1 < fast < 0.3
    assert rows["pions"]["regions"]["p > 100 GeV"] == pytest.approx(0.4, abs=1e-5)
    assert rows[TOTAL]["rate"]["together"] == pytest.approx(np.hypot(0.3, fast), rel=1e-5)
    assert to_json(result)["variations"]["generated"] == []
    pictures = {picture.name: picture for picture in all_pictures(result)}
    assert "variations_reference" in pictures
    assert "variations_generated" not in pictures
    # The band of a distribution is that of its form: charm, which changes all alike, does not count.
    shown = pictures["together_distributions"].data[1]
    ends, (_, reference), band = shown["p"]
    edges = np.linspace(*ends, len(band) + 1)
    slow = (edges[1:] < 19) & (reference[0] > 0)
    np.testing.assert_allclose(band[slow] / reference[0][slow], 1 - 1 / (1 + fast), rtol=1e-4)
    assert shown["px"][2] is None


def test_page(result: Result) -> None:
    page = Page(result, (), "shipgen validate").body()
    for text in ("pT &gt; 1.5 GeV, gen. / ref.", 'id="regions"', 'id="variations"', "more charm"):
        assert text in page, text
    assert page.count("p &gt; 25 and pt &gt; 0.3</td>") >= 5
    lines = list(table(result))
    assert "p > 100 GeV    pT > 1.5 GeV" in lines[1]
    assert max(map(len, lines[:7])) <= 100


def test_errors_in_pictures_are_those_of_protons() -> None:
    """Three muons of a proton at one place count as one that is three times as heavy."""

    def shown(change: Any) -> tuple[np.ndarray, np.ndarray]:
        other = made_up(1, change, 3000)
        pictures = {one.name: one for one in all_pictures(validate(other, other, forms=(), memory=False))}
        ends, (first, _), _ = pictures["together_distributions"].data[1]["pt"]
        assert ends[0] < ends[1]
        curves = pictures["together_tails"].data[0]
        return first, curves["pt"][1][0]

    def thrice(categories: dict[str, WeightedMuons]) -> None:
        for name, muons in categories.items():
            categories[name] = replace(muons, group=np.arange(len(muons)) * 3)

    def copies(categories: dict[str, WeightedMuons]) -> None:
        for name, muons in categories.items():
            categories[name] = replace(
                muons,
                features=np.repeat(muons.features[::3], 3, 0)[: len(muons)],
                group=np.arange(len(muons)) // 3 * 3,
            )

    for number in (0, 1):
        alone, three = shown(thrice)[number], shown(copies)[number]
        filled = (alone[0] > 0.01) & (three[0] > 0.01) & (alone[0] < 0.9)
        errors = [np.sqrt(each[1]) if number == 0 else each[1] for each in (alone, three)]
        pairs = zip(errors, (alone, three), strict=True)
        scaled = [error[filled] / np.sqrt(each[0][filled]) for error, each in pairs]
        ratio = scaled[1] / scaled[0]
        # Of weights between 0.5 and 1.5 the mean is 1, that of the squares 13/12.
        assert np.median(ratio) == pytest.approx(np.sqrt((3 * 13 / 12 + 6) / (3 * 13 / 12)), rel=0.1)


def test_picture_of_uncertainty() -> None:
    """What is stated of a network, its own error and its distance from held-out muons, is what is drawn."""
    quantity = {
        "sample": 0.02, "error": 0.0002, "train": 0.02, "train_error": 0.0001,
        "student": 0.0206, "made_error": 0.0, "mean": 0.02, "spread": 0.0002,
    }  # fmt: skip
    vague = {**quantity, "error": 1.0}
    stated = {"quantities": {"p > 60 GeV": quantity, "p > 100 GeV": vague, "mean p, GeV": {"sample": 1.0}}}

    class Entry:
        class category:  # noqa: N801 (as an entry has it)
            name = "muplus_onaxis"

        details = {"uncertainty": stated}  # noqa: RUF012

    class Stated:
        entries = (Entry,)

    known = network_uncertainty(Stated)  # type: ignore[arg-type]
    assert set(known["muplus_onaxis"]) == {"p > 60 GeV", "p > 100 GeV"}
    assert "apart" not in known["muplus_onaxis"]["p > 100 GeV"]
    figures = known["muplus_onaxis"]["p > 60 GeV"]
    assert figures["all"] == pytest.approx(np.hypot(0.005, 0.01))
    assert figures["apart"] == pytest.approx(0.03)
    assert figures["apart_error"] == pytest.approx(np.sqrt(0.0002**2 + 0.0002**2 + 0.0001**2) / 0.02)
    ax = draw_uncertainty(known, {"muplus_onaxis": "mu+ on axis"}).axes[0]
    widths = [round(bar.get_width() / 2, 6) for bar in ax.patches]
    assert widths == [round(100 * figures["all"], 6), 0.5] * 2
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["p > 60 GeV", "p > 100 GeV"]
