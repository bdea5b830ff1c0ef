"""``shipgen info``: a line of sense on whatever it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.muon_files import muon_columns, write_training
from shipgen.bundle.bundle import DEFAULT_BUNDLE, Bundle
from shipgen.describe.describe import describe, difference
from shipgen.describe.muon_files import describe_provenance
from shipgen.errors import InputError
from shipgen.files.convert import convert
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.categories import CATEGORIES
from shipgen.production.produce import produce


def told(path: Path) -> str:
    return "\n".join(describe(path))


@pytest.mark.parametrize("layout", [*OUTPUT_LAYOUTS, "npz"])
def test_produced(bundle: Bundle, tmp_path: Path, layout: str) -> None:
    path = tmp_path / "out.root"
    chosen = OUTPUT_LAYOUTS.get(layout)
    if chosen is None:
        produce(MuonGenerator(bundle, n=1000, seed=1), tmp_path / "first.root")
        path = tmp_path / "out.npz"
        convert(tmp_path / "first.root", path, layout)
    else:
        produce(MuonGenerator(bundle, n=1000, seed=1), path, layout=chosen)
    text = told(path)
    assert bundle.sha256 in text
    assert f"layout: {layout}" in text
    assert "948 " in text
    row = next(line for line in text.splitlines() if line.startswith("  muplus_offaxis"))
    number, rate, share = row.split()[1:]
    assert float(rate) == pytest.approx(6.5e-4, rel=0.15)
    assert float(share.rstrip("%")) == pytest.approx(100 * int(number) / 948, abs=0.01)
    assert ("RNTuple" in text) == (layout == "rntuple")


def test_default_bundle_is_recognised(tmp_path: Path) -> None:
    produce(MuonGenerator(DEFAULT_BUNDLE, n=1000, seed=1), tmp_path / "out.root")
    assert "made with the default bundle" in told(tmp_path / "out.root")
    text = told(DEFAULT_BUNDLE)
    for word in ("muons per proton on target", "hard AUC", "networks over", "sha256"):
        assert word in text


def test_training_sample(tmp_path: Path) -> None:
    by_category = {category.name: {"muons": 10, "weight": 1e-4} for category in CATEGORIES}
    facts = {"by_category": by_category, "sum_of_weights": 4e-4}
    write_training(tmp_path / "sample.root", muon_columns(40), **facts)
    text = told(tmp_path / "sample.root")
    assert "  muplus_onaxis                  10  1.0000e-04   25.00%" in text
    assert "  all                            40  4.0000e-04  100.00%" in text


def test_folder_of_train_best(tmp_path: Path) -> None:
    """Half done it says so; done it says where the bundle is."""

    def write(path: Path, content: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    write(tmp_path / "best" / "teacher-1" / "run.json", {"model": "flow"})
    write(tmp_path / "best" / "teacher-1" / "muplus_onaxis" / "state.json", {"steps": 6000})
    text = told(tmp_path / "best")
    assert "not finished: the same command again goes on" in text
    assert "teacher-1  steps: muplus_onaxis 6,000, muminus_onaxis none" in text
    write(tmp_path / "best" / "bundle" / "bundle.json", {})
    assert "done: `shipgen info" in told(tmp_path / "best")


def test_report_and_what_is_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    side = {"kind": "bundle", "name": "default"}
    test = {"family": "tail", "category": "together", "quantity": "p > 100 GeV", "text": "ratio 0.5"}
    numbers = {"generated": side, "reference": side, "failed": [test], "tests": [test] * 3, "level": 0.01}
    (report / "report.json").write_text(json.dumps({**numbers, "command": "shipgen validate a b"}))
    text = told(report)
    assert "1 of 3 tests fail" in text
    assert "ratio 0.5" in text
    (report / "report.json").write_text("{}")
    with pytest.raises(InputError, match="is no report of `shipgen validate`"):
        told(report)
    work = tmp_path / "out.root.work"
    work.mkdir()
    (work / "work.json").write_text("{}")
    with pytest.raises(InputError, match="unfinished work"):
        told(work)
    with pytest.raises(InputError, match="is no bundle, prepared sample, run or report"):
        told(tmp_path)


def test_the_default_bundle_by_its_name_and_rates_a_spill() -> None:
    text = told(Path("default"))
    assert text == told(DEFAULT_BUNDLE)
    rate, spill = (float(line.split()[0]) for line in text.splitlines()[1:3])
    assert spill == pytest.approx(rate * 4e13, rel=1e-4)
    assert "muons a spill of 4e+13 protons" in text


def test_long_entries_are_cut_between_their_parts() -> None:
    content = {
        "sources": [{"name": f"sample_{number}.root", "entries": number} for number in range(50)],
        "n": 3,
    }
    (line,) = describe_provenance({"sample": content})
    assert len(line) < 700
    assert '{"name": "sample_0.root", "entries": 0}, ' in line
    shown = line.count("sample_")
    assert line.endswith((f', ... and {50 - shown} more], "n": 3}}', "... and 1 more}"))
    (text,) = describe_provenance({"command": "x" * 1000})
    assert text.endswith("... (1,000 characters)")


def test_figures_of_too_few_muons_are_not_shown() -> None:
    figures = {"sample": 1e-9, "error": 5e-9, "spread": 1e-9, "made_error": 1e-9, "student": 6e-9}
    assert difference(figures) == "too few muons"
    assert difference({**figures, "error": 1e-10, "spread": 0, "made_error": 0}) == "+500.00 +- 10.00"
