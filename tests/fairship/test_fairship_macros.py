"""The macros that draw a produced file, with ROOT."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shipgen import MuonGenerator
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

MACROS = Path(__file__).parents[2] / "macros"

needs_root = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")


@needs_root
def test_pictures_and_rates(tmp_path: Path, bundle: Bundle) -> None:
    """Both macros find muons and POT of two merged files, and the same muons in every layout."""
    produced = MuonGenerator(bundle, n=20_000, seed=1)
    for name in ("muonback", "muonback2019", "rntuple"):
        produce(produced, tmp_path / f"{name}.root", layout=OUTPUT_LAYOUTS[name])
    one = tmp_path / "one.py"
    one.write_text(PICTURES.format(macro=MACROS / "muon_kinematics.C", rates=MACROS / "muon_rates.py"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", one],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    muons, twice = 2 * produced.plan.total, 2 * produced.plan.pot
    lines = done.stdout.splitlines()
    assert lines[0] == f"{muons} muons, {twice:.6g} protons on target, {muons / twice:.6g} muons per proton"
    assert lines[1].startswith(f"{muons // 2} muons, {twice / 2:.6g} protons on target")
    assert lines[2] == lines[1]
    assert lines[3] == f"{muons} muons for {twice:.6g} protons on target; in a spill of 4e+13:"
    pz = next(iter(produced)).pz
    above = sum(float(word) for word in lines[7].split()[1:])
    # p is a little more than pz, whose spectrum around 50 GeV is known here.
    expected = (pz > 50).sum() * 4e13 / produced.plan.pot
    assert above == pytest.approx(expected, abs=0.3 * expected + 1)
    assert [line.split() for line in lines[12:17]] == [line.split() for line in lines[5:10]]
    assert lines[17:] == [
        "empty.root has no muons with their protons on target: give files of `shipgen produce`",
        "none.root cannot be opened",
    ]
    for name in ("both.png", "rates.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / name).stat().st_size > 8000
    assert (tmp_path / "muonback2019.png").read_bytes() == (tmp_path / "rntuple.png").read_bytes()


PICTURES = """
import runpy, sys
import ROOT
merger = ROOT.TFileMerger(False)
merger.OutputFile("both.root")
for _ in range(2):
    merger.AddFile("muonback.root")
merger.Merge()
ROOT.TFile("empty.root", "recreate").Close()
ROOT.gROOT.SetBatch()
# Once: ROOT 6.40 loses code when it unloads a macro.
assert ROOT.gROOT.LoadMacro("{macro}") == 0
for name in ("both", "muonback2019", "rntuple"):
    ROOT.muon_kinematics(name + ".root", name + ".png")
for name in ("both", "rntuple", "empty", "none"):
    sys.argv = ["muon_rates.py", name + ".root", "-o", "rates.png"]
    try:
        runpy.run_path("{rates}", run_name="__main__")
    except SystemExit as error:
        print(error)
"""
