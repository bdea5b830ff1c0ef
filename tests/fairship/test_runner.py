"""`shipgen fairship run`: macros of several ages, unchanged, under a stand-in for FairRoot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import TARGET_START, write_test_bundle
from shipgen import MuonGenerator
from shipgen.generate.selection import Selection

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

TESTS = Path(__file__).parents[1]

BEGIN = """
import argparse, os, sys
from types import SimpleNamespace
import ROOT
import neighbour  # a module in the macro's folder
ap = argparse.ArgumentParser()
ap.add_argument("-n", dest="nev", type=int)
ap.add_argument("-e", dest="ecut", type=float, default=0.5)
ap.add_argument("-P", dest="pythiaDecay", action="store_true")
ap.add_argument("--data", action="store_true")
ap.add_argument("--smear", action="store_true")
ap.add_argument("--fail", action="store_true")
ap.add_argument("-rs", dest="seed", type=int, default=0)
args = ap.parse_args()
ship_geo = SimpleNamespace(target=SimpleNamespace(z0=-6928.5, length=160.0))
run = ROOT.FairRunSim()
primGen = ROOT.FairPrimaryGenerator()
"""

END = """
run.SetGenerator(primGen)
run.Init()
run.Run(args.nev)
assert __name__ == "__main__" and sys.modules["__main__"].args is args
if args.fail:
    raise SystemExit(5)
"""

#: Up to 2025: the target is a volume of the geometry, z = 0 in the middle of the decay vessel.
OLD = f"""{BEGIN}
P8gen = ROOT.FixedTargetGenerator()
P8gen.SetTarget("/TargetArea_1", 0., 0.)
P8gen.SetMom(400.)
P8gen.SetEnergyCut(args.ecut)
P8gen.SetDebug(False)
if not args.pythiaDecay: P8gen.WithEvtGen()
P8gen.SetSeed(args.seed)
primGen.AddGenerator(P8gen)
{END}
P8gen.GetPythia()
"""

#: Since August 2025, and the newest, in which it is made in a block and given away.
NEW = f"""{BEGIN}
P8gen = None
if not args.data:
    P8gen = ROOT.FixedTargetGenerator()
    P8gen.SetZoffset(-8.4)
    P8gen.SetSmearBeam(1.6)
    P8gen.SetPaintRadius(5.0)
    P8gen.SetTargetCoordinates(0.0, 160.0)
    P8gen.SetMom(400.0)
    P8gen.SetEnergyCut(args.ecut)
    P8gen.SetPythiaTune("default")
    if not args.pythiaDecay:
        P8gen.WithEvtGen()
    P8gen.SetSeed(args.seed)
    primGen.AddGenerator(P8gen)
    ROOT.SetOwnership(P8gen, False)
{END}
P8gen.GetPythia()
"""

#: A reader of files, whose tracks all move by 70.845 m.
READER = f"""{BEGIN}
class Reader(ROOT.FairGenerator):
    def Init(self): return True
    def ReadEvent(self, primary):
        primary.AddTrack(2212, 0, 0, 400, 0, 0, -7084.5, -1, True, -9e9, 0, 1)
        return True
primGen.SetTarget(ship_geo.target.z0 + 7084.5, 0.0)
primGen.SetBeam(1.0, 2.0, 0.0, 0.0)
primGen.SmearVertexXY(args.smear)
primGen.AddGenerator(Reader("reader"))
{END}
"""


@pytest.fixture
def run(tmp_path: Path, bundle: Bundle) -> Any:
    """Run a macro by the command line; return what happened and the tracks of each event."""
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "neighbour.py").write_text("")

    def run_macro(macro: str, *arguments: str, options: tuple[str, ...] = ()) -> tuple[Any, list[Any]]:
        (tmp_path / "macros" / "macro.py").write_text(macro)
        program = TESTS / "helpers" / "fairship_stand_in.py"
        done = subprocess.run(
            [sys.executable, program, "--bundle", bundle.path, *options, "macros/macro.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        written = tmp_path / "run.json"
        events = json.loads(written.read_text())["events"] if written.exists() else []
        return done, events

    return run_macro


@pytest.fixture
def varied(tmp_path: Path) -> Bundle:
    """The bundle of known muons, with variations."""
    return write_test_bundle(tmp_path / "varied", variations=1)


@pytest.mark.parametrize(
    ("macro", "start", "selection"),
    [
        (OLD, -6928.5, Selection()),
        (NEW, 0.0, Selection(smear_beam=1.6, paint_beam=5.0, variations=("kaons",))),
    ],
    ids=["old", "new"],
)
def test_networks_in_place_of_the_generator(
    run: Any, varied: Bundle, macro: str, start: float, selection: Selection
) -> None:
    options = ("--bundle", str(varied.path), *(("--variation", "kaons") if selection.variations else ()))
    done, events = run(macro, "--", "-n", "1000", "-e", "10", "-P", "-rs", "7", options=options)
    assert done.returncode == 0, done.stderr
    assert "shipgen: in place of FixedTargetGenerator: 1 muon(s) an event" in done.stdout
    assert f"target from z = {start:g} cm" in done.stdout
    assert "output is not found: 666667 protons on target are not stated there" in done.stderr
    assert {len(event) for event in events} == {1}
    tracks = np.array([event[0] for event in events], float)
    batch = next(iter(MuonGenerator(varied, n=3e5, seed=7, selection=selection)))
    np.testing.assert_array_equal(tracks[:, 1], batch.px[:1000])
    np.testing.assert_array_equal(tracks[:, 4], batch.x[:1000])
    np.testing.assert_allclose(tracks[:, 6], batch.z[:1000].astype(float) - TARGET_START + start, atol=1e-9)
    assert {tuple(row) for row in tracks[:, 7:11]} == {(-1, 1, -9e9, 0)}
    weights = batch["vary_kaons"][:1000] if selection.variations else np.ones(1000)
    np.testing.assert_array_equal(tracks[:, 11], weights)


def test_muons_beside_another_generator(run: Any, varied: Bundle) -> None:
    """In the macro's own frame, whatever it does to all tracks."""
    options = ("--beside", "--seed", "3", "--muons-per-event", "2", "--smear-beam", "0.8")
    variation = ("--bundle", str(varied.path), "--variation", "vary_mine")
    done, events = run(READER, "-n", "200", options=(*options, *variation))
    assert done.returncode == 0, done.stderr
    assert "target from z = -6928.5 cm, where the macro moves all tracks by 156 cm" in done.stdout
    assert [[abs(track[0]) for track in event] for event in events] == [[2212, 13, 13]] * 200
    protons, muons = (np.array([event[k] for event in events], float) for k in (0, 1))
    np.testing.assert_allclose(protons[:, 6], -6928.5)
    selection = Selection(smear_beam=0.8, variations=("mine",))
    batch = next(iter(MuonGenerator(varied, n=3e5, seed=3, selection=selection)))
    np.testing.assert_array_equal(muons[:, 11], batch["vary_mine"][:400:2])
    np.testing.assert_array_equal(muons[:, 1], batch.px[:400:2])
    np.testing.assert_allclose(muons[:, 4], batch.x[:400:2], atol=1e-9)
    np.testing.assert_allclose(muons[:, 5], batch.y[:400:2], atol=1e-9)
    expected = batch.z[:400:2].astype(float) - TARGET_START - 6928.5
    np.testing.assert_allclose(muons[:, 6], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("macro", "arguments", "options", "message"),
    [
        (OLD, ("-n", "10", "-P"), (), "the cut of the bundle: give --ecut (-e) 10 or more"),
        (NEW, ("-n", "10", "-e", "10"), (), "which the file would claim: add --pythiaDecay (-P)"),
        (NEW, ("-n", "10", "--data"), (), "with these arguments the macro makes no FixedTargetGenerator"),
        (READER, ("-n", "10"), (), "has no FixedTargetGenerator"),
        ("print 'FixedTargetGenerator'", (), (), "is no Python 3"),
        ("import ROOT\nprint 'Hello'", (), (), "macro.py, line 2: Missing parentheses in call to 'print'"),
        ("def begin(:", (), ("--beside",), "macro.py, line 1: invalid syntax; it is no Python 3"),
        (OLD.replace("/TargetArea_1", "/other_1"), ("-n", "10", "-e", "10", "-P"), (), "no volume /other_1"),
        (READER, ("-n", "10", "--smear"), ("--beside",), "moves each event anew (SmearVertexXY)"),
        (READER.replace("ship_geo.target", "geo.target").replace("ship_geo =", "geo ="), ("-n", "10"),
         ("--beside",), "has no ship_geo.target.z0: say where it starts"),
        (READER, ("-n", "10"), ("--seed", "1"), "--seed goes with --beside"),
        (READER, ("-n", "10"), ("--beside", "--energy-cut", "5"), "below that of bundle test"),
        (OLD, ("-n", "10", "-e", "10", "-P"), ("--bundle", "/nowhere"), "/nowhere is no bundle"),
        (READER, ("-n", "10"), ("--beside", "--variation", "kaons"), "bundle test has no variations: add"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_the_first_event(
    run: Any, macro: str, arguments: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    done, events = run(macro, *arguments, options=options)
    assert done.returncode != 0
    assert not events
    last = done.stderr.splitlines()[-1]
    told = [line for line in done.stderr.splitlines() if message in line]
    assert len(told) == 1, done.stderr
    assert last.startswith("shipgen: ")
    assert "Traceback" not in done.stderr


def test_the_macro_fails_as_it_would(run: Any) -> None:
    arguments = ("-n", "5", "-e", "10", "-P")
    assert run(OLD, *arguments, "--fail")[0].returncode == 5
    done, _ = run(OLD.replace("P8gen.GetPythia()", "1 / 0"), *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
