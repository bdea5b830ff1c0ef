"""The macros for FairShip: a changed simulation macro under the stand-in, and pictures drawn by ROOT."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator
from shipgen import MuonGenerator
from shipgen.fairship.source import _derive_reader
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

MACROS = Path(__file__).parents[2] / "macros"

#: The lines of run_fixedTarget.py that matter, around them what the stand-in can do.
MACRO = """
import ROOT
import AddDiMuon as AddDiMuonDecayChannelsToG4
seed = 7
# -----Create PrimaryGenerator-----
primGen = ROOT.FairPrimaryGenerator()
P8gen = ROOT.FixedTargetGenerator()
P8gen.SetMom(400.0)
if args.charm:
    P8gen.SetBoost(
        args.boost
    )
P8gen.SetSeed(seed)
primGen.AddGenerator(P8gen)
#
run.SetGenerator(primGen)
primGen.Init()
import AddDiMuonDecayChannelsToG4

AddDiMuonDecayChannelsToG4.Initialize(P8gen.GetPythia())

primGen.Run(args.nev)
if args.charm:
    poteq = P8gen.GetPotForCharm()
    info = "POT equivalent = %7.3G" % (poteq)
else:
    info = f"POT = {args.nev}"
"""


class FixedTargetGenerator(FairGenerator):
    def __init__(self) -> None:
        super().__init__("fixed target")

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def Init(self) -> bool:  # noqa: N802
        return True

    def ReadEvent(self, primary: Any) -> bool:  # noqa: N802
        primary.AddTrack(2212, 0, 0, 400, 0, 0, 0, -1, False, -9e9, 0, 1)
        return True


def change(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "macro.py").write_text(text)
    command = [sys.executable, MACROS / "use_muon_source.py", "macro.py", "-o", "changed.py", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def execute(folder: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> dict[str, Any]:
    """Run the changed macro with FairRoot's stand-in as ROOT; return its names."""
    root = SimpleNamespace(
        FairGenerator=FairGenerator,
        FairPrimaryGenerator=FairPrimaryGenerator,
        FixedTargetGenerator=FixedTargetGenerator,
        SetOwnership=lambda *_: None,
        gInterpreter=SimpleNamespace(Declare=lambda _: False),
    )
    _derive_reader.cache_clear()
    for name in ("ROOT", "AddDiMuon", "AddDiMuonDecayChannelsToG4"):
        stand_in: Any = root if name == "ROOT" else SimpleNamespace(Initialize=lambda _: None)
        monkeypatch.setitem(sys.modules, name, stand_in)
    names: dict[str, Any] = {
        "args": SimpleNamespace(**arguments),
        "run": SimpleNamespace(SetGenerator=lambda _: None),
    }
    exec(compile((folder / "changed.py").read_text(), "changed.py", "exec"), names)  # noqa: S102
    return names


@pytest.mark.parametrize("charm", [False, True])
def test_the_source_in_place_of_the_fixed_target(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, *, charm: bool
) -> None:
    done = change(tmp_path, MACRO, "--source", f"{str(bundle.path)!r}, seed=seed")
    assert (done.returncode, done.stderr) == (0, "")
    assert "+primGen.AddGenerator(muon_generator)" in done.stdout
    names = execute(tmp_path, monkeypatch, charm=charm, nev=1000)
    pot = 1000 / bundle.rate
    assert names["info"] == (f"POT equivalent = {pot:7.3G}" if charm else f"POT = {pot:.6g}")
    px = [track[1] for event in names["primGen"].events for track in event]
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=7)))
    np.testing.assert_array_equal(px, batch.px[:1000])


def test_the_source_beside_it(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"{str(bundle.path)!r}, seed=1, muons_per_event=2"
    assert change(tmp_path, MACRO, "--beside", "--source", source).returncode == 0
    names = execute(tmp_path, monkeypatch, charm=False, nev=10)
    codes = [[abs(track[0]) for track in event] for event in names["primGen"].events]
    assert codes == [[2212, 13, 13]] * 10
    assert names["info"] == "POT = 10"


def test_a_bundle_that_is_missing_ends_the_macro(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with success, as FairRoot would end it at the first event."""
    assert change(tmp_path, MACRO, "--source", "'/nowhere', seed=seed").returncode == 0
    with pytest.raises(SystemExit, match="1"):
        execute(tmp_path, monkeypatch, charm=False, nev=10)
    assert "shipgen: /nowhere is no bundle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "ROOT.FixedTargetGenerator()",
            "ROOT.Other()",
            "found 0 times, not once: the fixed target's generator",
        ),
        ("POT = {args.nev}", "{args.nev} POT", "found 0 times, not once: the POT in the file's header"),
        ("run.SetGenerator(primGen)", "P8gen.SetGenerator()", "P8gen is also used in `P8gen.SetGenerator()`"),
    ],
)
def test_an_unknown_macro_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MACRO
    done = change(tmp_path, MACRO.replace(old, new))
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "changed.py").exists()


def test_no_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "changed.py").write_text("mine")
    done = change(tmp_path, MACRO)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "changed.py" in done.stderr
    assert (tmp_path / "changed.py").read_text() == "mine"


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
