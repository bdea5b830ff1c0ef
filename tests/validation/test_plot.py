"""``shipgen plot``: one picture of any source."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from helpers.muon_files import muon_columns, write_training
from shipgen.errors import InputError, MissingExtraError
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce
from shipgen_export.reading.formats.array_files import ArrayChoice
from shipgen_export.validation.report import plot as plot_module
from shipgen_export.validation.report.comparison_pictures import make_histogram
from shipgen_export.validation.report.plot import plot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle


def test_plot(bundle: Bundle, tmp_path: Path) -> None:
    produce(MuonGenerator(bundle, n=5000, seed=1), tmp_path / "muons.root")
    write_training(tmp_path / "sample.root", muon_columns(1000))
    lines = plot([tmp_path / "muons.root", tmp_path / "sample.root"], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert lines[0].startswith("muons.root: ")
    assert len(lines) == 10
    assert "muons per POT" in lines[5]


def test_command(shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    write_training(tmp_path / "sample.root", muon_columns(1000))
    done = shipgen("plot", "sample.root", "-o", "figure.pdf")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "figure.pdf"
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_the_extra_is_named() -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from shipgen.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plot", "muons.root", "-o", "figure.png"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (MissingExtraError.exit_code, 1)
    assert "extra 'plot'" in done.stderr


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure\.txt is no picture"):
        plot([tmp_path / "sample.root"], tmp_path / "figure.txt")


def test_shares_are_of_all_muons(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a sample of unknown rates, those of a known one become shares of all muons, off axis or on."""
    produce(MuonGenerator(bundle, n=5000, seed=1), tmp_path / "muons.root")
    with uproot.open(tmp_path / "muons.root") as file:
        stored = file["pythia8-Geant4"].arrays(library="np")
    named = {"id": "pdg", "w": "weight"}
    columns = {named.get(name, name): stored[name] for name in ("id", "w", "x", "y", "z", "px", "py", "pz")}
    np.savez(tmp_path / "muons.npz", **columns)
    drawn: list[float] = []

    def kept(ends: tuple[float, float], sums: np.ndarray) -> object:
        drawn.append(float(sums[0].sum()))
        return make_histogram(ends, sums)

    monkeypatch.setattr(plot_module, "make_histogram", kept)
    arrays = ArrayChoice("m", "fairship")
    paths = [tmp_path / "muons.root", tmp_path / "muons.npz"]
    plot(paths, tmp_path / "figure.png", arrays=arrays)
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        assert first == pytest.approx(second, rel=1e-3)
    assert 0 < min(drawn) < 0.95 < max(drawn) < 1 + 1e-9
