from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from shipgen_export.simulation.simulate import simulate

ROOT = Path(__file__).parents[2]


def run_macro(name: str, folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, ROOT / "macros" / name, *arguments],
        cwd=folder,
        env={**os.environ, "MPLCONFIGDIR": str(folder / "matplotlib")},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def check_picture(path: Path) -> None:
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 15_000


def test_plot_simulation(tmp_path: Path) -> None:
    simulate(tmp_path / "sample.root", protons=200, seed=1, target="ship2018")
    said = run_macro("plot_simulation.py", tmp_path, "sample.root", "-o", ".")
    # The slabs are those of the sample, not of the default target, which has no TZM.
    assert "TZM: " in said
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    names = ("charge", "hadrons", "paths", "spectra", "variations", "z")
    assert pictures == [f"simulation_{name}.png" for name in names]
    for name in pictures:
        check_picture(tmp_path / name)


def test_correlations_of_bundle_figures() -> None:
    """Weights count as that many equal muons, for ranks as for values."""
    macro = runpy.run_path(str(ROOT / "macros" / "bundle_figures.py"))
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(3, 500))
    columns[1] += columns[0] ** 3
    weights = rng.integers(1, 4, 500).astype(float)
    repeated = np.repeat(columns, weights.astype(int), axis=1)
    np.testing.assert_allclose(macro["pearson"](columns, weights), np.corrcoef(repeated), atol=1e-12)
    expected = spearmanr(repeated.T).statistic
    np.testing.assert_allclose(macro["spearman"](columns, weights), expected, atol=1e-5)


def test_the_readmes_python_examples_run(tmp_path: Path) -> None:
    """Exactly as printed; the one with the generator uses the default bundle and prints a line a batch.

    FairShip's lines, marked ``py``, need more than Python.
    """
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    examples = [block.partition("```")[0] for block in blocks]
    printed = []
    for example in examples:
        command = [sys.executable, "-W", "error", "-c", example]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(len(done.stdout.splitlines()))
    assert ["MuonGenerator" in example for example in examples] == [True]
    assert printed == [5]
