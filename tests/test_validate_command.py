"""``shipgen validate`` on files: sources of all kinds, exit codes, refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from muon_files import muon_columns, write_training
from synthetic import synthetic_sample

from shipgen.errors import InputError
from shipgen.generator import MuonGenerator
from shipgen.produce import produce
from shipgen_export.validation.samples import Choice, open_sample

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle import Bundle

CHOICE = Choice(limit=2000, produced=5000, seed=1)


def test_command(
    shipgen: Callable[..., subprocess.CompletedProcess[str]], bundle: Bundle, tmp_path: Path
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
    again = shipgen(*arguments)
    assert again.returncode == 3
    assert "exists" in again.stderr


def test_sources_agree(bundle: Bundle, tmp_path: Path) -> None:
    """A file of a bundle's muons has the muons, rates and frame of the bundle."""
    produce(MuonGenerator(bundle, n=5000, seed=1), tmp_path / "muons.root")
    with open_sample(tmp_path / "muons.root", CHOICE) as file, open_sample(bundle.path, CHOICE) as made:
        assert file.found == made.found
        np.testing.assert_allclose(file.totals, made.totals, rtol=1e-6)
        np.testing.assert_allclose(file.covariance, made.covariance, rtol=1e-6, atol=1e-20)
        assert not file.protons
        for name, muons in file.categories.items():
            assert len(muons) == min(2000, file.found[name])
            low, high = muons.features.min(0), muons.features.max(0)
            assert (low >= made.categories[name].features.min(0) - 0.1).all() or len(muons) == 2000
            assert 4 < low[-4] < high[-4] < 165


def test_training_sample(tmp_path: Path) -> None:
    columns = muon_columns(3000)
    write_training(tmp_path / "sample.root", columns)
    with open_sample(tmp_path / "sample.root", Choice(200, 1, 1)) as sample:
        assert sample.protons
        assert sample.normalised
        np.testing.assert_allclose(sample.totals.sum(), columns["weight"].sum(), rtol=1e-5)
        weights = np.bincount(columns["proton"], columns["weight"])
        whole = np.square(weights).sum() - weights.sum() ** 2 / 1000
        np.testing.assert_allclose(sample.covariance.sum(), whole, rtol=0.01)
        for place, muons in enumerate(sample.categories.values()):
            assert len(muons) <= 200
            np.testing.assert_allclose(muons.weights.sum(), sample.totals[place], rtol=0.02)


def test_held_out(tmp_path: Path) -> None:
    path = synthetic_sample(tmp_path / "prepared", muons=1000)
    with open_sample(path, Choice(10_000, 1, 1, ("test",))) as sample:
        assert all(len(muons) < 250 for muons in sample.categories.values())
        assert set(sample.train) == set(sample.categories)
        for place, muons in enumerate(sample.categories.values()):
            np.testing.assert_allclose(muons.weights.sum(), sample.totals[place], rtol=1e-6)


def test_refused(bundle: Bundle, tmp_path: Path) -> None:
    columns = muon_columns(300)
    write_training(tmp_path / "zero.root", {**columns, "weight": np.zeros(300)})
    (tmp_path / "text.root").write_text("no ROOT file")
    cases = {
        "zero.root": "no muon",
        "text.root": "no ROOT file",
        "none.root": "does not exist",
        ".": "no bundle",
    }
    for name, text in cases.items():
        with pytest.raises(InputError, match=text), open_sample(tmp_path / name, CHOICE):
            pass
    del bundle
