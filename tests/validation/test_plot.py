"""``shipgen plot``: one picture of any source."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.muon_files import muon_columns, write_training
from shipgen.errors import InputError, MissingExtraError
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce
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
