"""``shipgen validate`` on files: sources of all kinds, exit codes, refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from helpers.muon_files import PROTON, muon_columns, write_cbmsim, write_training
from helpers.synthetic import synthetic_sample
from shipgen.commands.training.validate import command
from shipgen.errors import InputError
from shipgen.files.convert import convert
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce
from shipgen_export.validation.counting.binning import choose
from shipgen_export.validation.counting.tally import count
from shipgen_export.validation.rates import Totals
from shipgen_export.validation.samples.samples import Choice, open_sample

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen_export.validation.counting.binning import Binning
    from shipgen_export.validation.samples.samples import Sample

CHOICE = Choice(limit=2000, produced=5000, seed=1)


def test_command(
    shipgen: Callable[..., subprocess.CompletedProcess[str]],
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synthetic_sample(tmp_path / "prepared", muons=400)
    arguments = (
        "validate",
        bundle.path,
        "prepared",
        "-o",
        "report",
        "--forms",
        "none",
        "--muons",
        2000,
        "--no-pictures",
    )
    done = shipgen(*arguments, "--part", "all", "--max-ks", "0.01")
    assert done.returncode == 8
    assert done.stderr.startswith("shipgen: not within the limits: --max-ks 0.01: ")
    assert done.stderr.count("\n") == 1
    assert "tests fail at level 0.01; the worst:" in done.stdout
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert numbers["limits"][0]["met"] is False
    assert numbers["rates_of_bundle"]["rows"][0]["category"] == "muplus_onaxis"
    assert all(abs(row["pull"]) < 4 for row in numbers["rates_of_bundle"]["rows"])
    assert (tmp_path / "report" / "report.html").is_file()
    monkeypatch.chdir(tmp_path)
    again = CliRunner().invoke(command, [*map(str, arguments[1:])])
    assert isinstance(again.exception, InputError)
    assert "exists" in str(again.exception)


@pytest.mark.parametrize("layout", [*OUTPUT_LAYOUTS, "npz"])
def test_sources_agree(bundle: Bundle, tmp_path: Path, layout: str) -> None:
    """A file of a bundle's muons, in any layout, has the muons, rates and frame of the bundle."""
    file = tmp_path / "muons.root"
    produce(MuonGenerator(bundle, n=5000, seed=1), file, layout=OUTPUT_LAYOUTS.get(layout, MUONBACK))
    if layout == "npz":
        convert(file, tmp_path / "muons.npz", "npz")
        file = tmp_path / "muons.npz"
    with open_sample(file, CHOICE) as sample, open_sample(bundle.path, CHOICE) as made:
        assert sample.found == made.found
        assert sample.facts["bundle_sha256"] == bundle.sha256
        assert not sample.source.protons
        parts = zip(sample.source.blocks(), made.source.blocks(), strict=True)
        for block, other in parts:
            np.testing.assert_allclose(block.totals, other.totals, rtol=1e-6)
            np.testing.assert_allclose(block.moments, other.moments, rtol=1e-6, atol=1e-20)
            for name, muons in block.muons.items():
                # Metres in float32 at -70.845 m are known to 4 micrometres.
                np.testing.assert_allclose(muons.features, other.muons[name].features, rtol=1e-6, atol=8e-4)
        for name, muons in sample.draws.items():
            assert len(muons) == min(2000, sample.found[name])
            total = sample.source.surveys[name].total
            np.testing.assert_allclose(muons.weights.sum(), total, rtol=1e-12)


def test_training_sample(tmp_path: Path) -> None:
    columns = muon_columns(3000)
    write_training(tmp_path / "sample.root", columns)
    with open_sample(tmp_path / "sample.root", Choice(200, 1, 1)) as sample:
        assert sample.source.protons
        assert sample.normalised
        assert sample.simulated == 1000
        (block,) = sample.source.blocks()
        np.testing.assert_allclose(block.totals.sum(), columns["weight"].sum(), rtol=1e-5)
        weights = np.bincount(columns["proton"], columns["weight"])
        np.testing.assert_allclose(block.moments.sum(), np.square(weights).sum(), rtol=1e-5)
        whole = Totals.of(sample, count(sample.source, sample.source.parts(), *_nothing(sample)))
        expected = np.square(weights).sum() - weights.sum() ** 2 / 1000
        np.testing.assert_allclose(whole.covariance.sum(), expected, rtol=1e-5)
        for name, muons in sample.draws.items():
            assert len(muons) <= 200
            np.testing.assert_allclose(muons.weights.sum(), sample.source.surveys[name].total, rtol=1e-12)


def _nothing(sample: Sample) -> tuple[Binning, dict[str, tuple[np.ndarray, np.ndarray]]]:
    binning = choose(sample.draws, sample.draws, list(sample.draws), [])
    return binning, {name: (one.low, one.high) for name, one in sample.source.surveys.items()}


def test_held_out(tmp_path: Path) -> None:
    path = synthetic_sample(tmp_path / "prepared", muons=1000)
    with open_sample(path, Choice(10_000, 1, 1, ("test",))) as sample:
        assert all(len(muons) < 250 for muons in sample.draws.values())
        assert set(sample.train) == set(sample.draws)
        (block,) = sample.source.blocks()
        for place, (name, muons) in enumerate(sample.draws.items()):
            # Those that are compared carry the weight of all.
            assert len(block.muons[name]) == len(muons)
            np.testing.assert_allclose(muons.weights.sum(), block.totals[place], rtol=1e-12)
            np.testing.assert_allclose(block.muons[name].weights.sum(), block.totals[place], rtol=1e-12)


def test_fairship_events(tmp_path: Path) -> None:
    """Muons of one event of a FairShip file are not independent; how many protons there were is unknown."""
    track = [13.0, 0.5, 0.1, -7050.0, 0.1, 0.2, 20.0, 0.5, 0.0]
    events = [[PROTON, track, [-13.0, *track[1:]]] for _ in range(30)]
    hits = [[(1, 13), (2, -13)] for _ in events]
    write_cbmsim(tmp_path / "fairship.root", events, hits)
    with open_sample(tmp_path / "fairship.root", CHOICE) as sample:
        assert sample.source.protons
        assert not sample.normalised
        (block,) = sample.source.blocks()
        assert {name: len(muons) for name, muons in block.muons.items()} == {
            "muplus_offaxis": 30,
            "muminus_offaxis": 30,
        }
        assert block.moments[2, 3] == pytest.approx(30 * 0.25)


def test_refused(bundle: Bundle, tmp_path: Path) -> None:
    columns = muon_columns(300)
    write_training(tmp_path / "zero.root", {**columns, "weight": np.zeros(300)})
    (tmp_path / "text.root").write_text("no ROOT file")
    cases = {
        "zero.root": "no muon",
        "text.root": "is neither a ROOT file nor arrays",
        "none.root": "does not exist",
        ".": "no bundle",
    }
    for name, text in cases.items():
        with pytest.raises(InputError, match=text), open_sample(tmp_path / name, CHOICE):
            pass
    del bundle
