from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from muon_files import muon_columns, write_training

if TYPE_CHECKING:
    from shipgen.bundle import Bundle

ROOT = Path(__file__).parents[1]


def test_plot_kinematics(bundle: Bundle, tmp_path: Path) -> None:
    from shipgen import MuonGenerator
    from shipgen.produce import produce

    produce(MuonGenerator(bundle, n=1e4, seed=1), tmp_path / "muons.root")
    write_training(tmp_path / "sample.root", muon_columns(1000, seed=1))
    for files in (["muons.root"], ["muons.root", "sample.root"]):
        subprocess.run(
            [sys.executable, ROOT / "macros" / "plot_kinematics.py", *files, "-o", "figure.png"],
            cwd=tmp_path,
            env={**os.environ, "MPLCONFIGDIR": str(tmp_path / "matplotlib")},
            check=True,
            capture_output=True,
            timeout=120,
        )
        figure = tmp_path / "figure.png"
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert figure.stat().st_size > 20_000
        figure.unlink()


def test_the_readmes_python_examples_run(bundle: Bundle, tmp_path: Path) -> None:
    """Exactly as printed; the one with the generator uses the default bundle and prints a line a batch."""
    from shipgen import MuonGenerator
    from shipgen.produce import produce

    produce(MuonGenerator(bundle, n=1e4, seed=1), tmp_path / "muons.root")
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    examples = [block.partition("```")[0] for block in blocks]
    printed = []
    for example in examples:
        command = [sys.executable, "-W", "error", "-c", example]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(len(done.stdout.splitlines()))
    assert ["MuonGenerator" in example for example in examples] == [False, True]
    assert printed == [0, 5]
