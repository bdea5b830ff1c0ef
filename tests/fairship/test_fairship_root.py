"""The muon source with ROOT: derived from a FairGenerator in C++, called from C++.

In processes of their own, since ROOT and TensorFlow cannot be imported into one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import TARGET_START, write_test_bundle
from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator
from shipgen import MuonGenerator
from shipgen.fairship import muon_source

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float64

pytestmark = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")

SETUP = """
import gc, json, sys
import numpy as np
import ROOT
sys.path.insert(0, {tests!r})
from helpers.fairroot_stand_in import CPP
from shipgen.fairship import source as fairship
from shipgen.errors import InputError
from shipgen.fairship import muon_source
try:
    muon_source(seed=1)
except InputError as error:
    print(error)
ROOT.gInterpreter.Declare(CPP)

def run(events, bundle={bundle!r}, **options):
    primary = ROOT.FairPrimaryGenerator()
    source = muon_source(bundle, **options)
    primary.AddGenerator(source)
    primary.Init()
    assert primary.Run(events) == events
    return source.muons, primary

def keep(name, primary):
    np.savez(name, tracks=np.asarray(primary.tracks).reshape(-1, 12), counts=np.asarray(primary.counts))
"""


def execute(program: str, bundle: Bundle, folder: Path) -> tuple[list[str], str]:
    """Return the lines that a program prints and what it writes on stderr; it must end well."""
    values = {"tests": str(Path(__file__).parents[1]), "bundle": str(bundle.path)}
    text = SETUP.format(**values) + program.replace("BUNDLE", repr(values["bundle"]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    no_generator, *lines = done.stdout.splitlines()
    assert no_generator.startswith("ROOT knows no FairGenerator: run this in FairShip's environment")
    return lines, done.stderr


HUNDRED_THOUSAND = """
calls = 0

def count(frame, event, function):
    global calls
    calls += frame.f_code.co_filename == fairship.__file__ and event == "call"

for _ in range(3):
    calls = 0
    primary = ROOT.FairPrimaryGenerator()
    # No reference is kept: the source has to keep itself alive.
    primary.AddGenerator(muon_source(BUNDLE, seed=1))
    gc.collect()
    primary.Init()
    sys.setprofile(count)
    print(primary.Run(100_000))
    sys.setprofile(None)
muons = fairship._ALIVE[-1].muons
print(calls, muons.events, muons.muons, muons.pot)
keep("tracks.npz", primary)
"""


def test_a_hundred_thousand_events(bundle: Bundle, tmp_path: Path) -> None:
    """They are the muons of a production with that seed; Python is asked once in 4096 of them."""
    lines, error = execute(HUNDRED_THOUSAND, bundle, tmp_path)
    assert (lines[1::2], error) == (["100000"] * 3, "")
    assert lines[0].startswith("shipgen: bundle test ")
    assert lines[0].endswith(", seed 1, 0.0015 muons per proton on target")
    calls, events, muons, pot = map(float, lines[-1].split())
    assert calls == 2 * -(-100_000 // 4096)
    assert (events, muons) == (1e5, 1e5)
    assert pot == pytest.approx(1e5 / bundle.rate)
    with np.load(tmp_path / "tracks.npz") as file:
        tracks, counts = file["tracks"], file["counts"]
    assert set(counts) == {1}
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=1)))
    columns = (batch.pdg, batch.px, batch.py, batch.pz, batch.x, batch.y)
    for column, expected in enumerate(columns):
        np.testing.assert_array_equal(tracks[:, column], expected[:100_000])
    np.testing.assert_array_equal(tracks[:, 6], batch.z[:100_000].astype(float) - TARGET_START)
    assert {tuple(row) for row in tracks[:, 7:]} == {(-1, 1, -9e9, 0, 1)}


OPTIONS: list[dict[str, Any]] = [
    {"muons_per_event": 135_000},
    {"pot_per_event": 5000.0, "energy_cut": 30.0},
    {"muons_per_event": 3, "energy_cut": 30.0, "smear_beam": 0.8, "paint_beam": 5.0, "target_z": 12.0},
    {"muons_per_event": 7, "pot_per_event": 100.0},
    {"muons_per_event": 2, "energy_cut": 30.0, "smear_beam": 0.8, "variation": "kaons"},
]

COMPARE = """
for number, options in enumerate(OPTIONS):
    events = 2 if number == 0 else 4500
    muons, primary = run(events, seed=5, **options)
    keep(f"{number}.npz", primary)
    print(json.dumps([muons.provenance(), muons.file_summary()]))
"""


def without_root(bundle: Bundle, events: int, options: dict[str, Any]) -> tuple[Any, Float64, list[int]]:
    primary, source = FairPrimaryGenerator(), muon_source(bundle, seed=5, base=FairGenerator, **options)
    primary.AddGenerator(source)
    assert primary.Run(events) == events
    tracks = np.array([track for event in primary.events for track in event], float)
    return source.muons, tracks, [len(event) for event in primary.events]


def test_events_read_in_cpp_are_those_read_in_python(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "varied", variations=1)
    lines, error = execute(COMPARE.replace("OPTIONS", repr(OPTIONS)), bundle, tmp_path)
    assert error == ""
    facts = [line for line in lines if not line.startswith("shipgen: ")]
    for number, (options, line) in enumerate(zip(OPTIONS, facts, strict=True)):
        muons, tracks, counts = without_root(bundle, 2 if number == 0 else 4500, options)
        with np.load(tmp_path / f"{number}.npz") as file:
            np.testing.assert_array_equal(file["counts"], counts)
            np.testing.assert_array_equal(file["tracks"], tracks)
        assert json.loads(line) == [muons.provenance(), muons.file_summary()]


BESIDE = """
class Gun(ROOT.FairGenerator):
    def ReadEvent(self, primary):
        primary.AddTrack(2212, 0, 0, 400, 0, 0, -1)
        return True

gun, primary = Gun("gun"), ROOT.FairPrimaryGenerator()
ROOT.SetOwnership(gun, False)
primary.AddGenerator(gun)
for seed in (1, 2):
    source = muon_source(BUNDLE, seed=seed, pot_per_event=1000)
    primary.AddGenerator(source)
primary.Init()
print(primary.Run(1000))
pdg = list(primary.tracks)[::12]
print(json.dumps([pdg.count(2212), source.muons.muons, source.muons.pot, len(pdg)]))
# Where FairRoot's headers are missing: the same through Python.
read, primary = run(300, seed=1)
fairship._derive_reader.cache_clear()
fairship._declare_reader.cache_clear()
fairship._READER = "class MuonReaderOfShipgen2 : public NoGenerator {};"
other, second = run(300, seed=1)
assert list(second.tracks) == list(primary.tracks)
assert (other.muons, other.pot) == (300, read.pot)
"""


def test_beside_other_generators_and_without_headers(bundle: Bundle, tmp_path: Path) -> None:
    lines, error = execute(BESIDE, bundle, tmp_path)
    protons, muons, pot, tracks = json.loads(lines[3])
    assert (lines[2], protons, pot) == ("1000", 1000, 1e6)
    # 1500 muons of each source are expected; 5 standard deviations.
    assert abs(muons - 1e6 * bundle.rate) < 5 * np.sqrt(1e6 * bundle.rate)
    assert abs(tracks - 1000 - 2e6 * bundle.rate) < 5 * np.sqrt(2e6 * bundle.rate)
    assert "shipgen: FairRoot's headers are not found, events pass through Python" in error


FAIL = """
primary = ROOT.FairPrimaryGenerator()
source = muon_source("/nowhere", seed=1)
primary.AddGenerator(source)
primary.Init()
print(source.Init(), primary.Run(10))
# What the simulation throws stays in the event.
for refused in (13, -13):
    primary = ROOT.FairPrimaryGenerator()
    source = muon_source(BUNDLE, seed=1, muons_per_event=1000)
    primary.AddGenerator(source)
    primary.refused = refused
    print(primary.Init(), primary.Run(10), primary.Run(10), source.muons.events)

def interrupted(self, chunk):
    raise KeyboardInterrupt

import shipgen.generate.chunks
shipgen.generate.chunks.ChunkMaker.__call__ = interrupted
primary = ROOT.FairPrimaryGenerator()
primary.AddGenerator(muon_source(BUNDLE, seed=1))
primary.Init()
primary.RunOrExit(10)
print("not here")
"""


def test_what_fails_ends_the_run_without_a_crash(bundle: Bundle, tmp_path: Path) -> None:
    lines, error = execute(FAIL, bundle, tmp_path)
    results = [line for line in lines if not line.startswith("shipgen: ")]
    assert results == ["False 0", "True 0 0 0", "True 0 0 0"]
    bundle_missing, *thrown, interrupted = error.splitlines()
    assert bundle_missing.startswith("shipgen: /nowhere is no bundle")
    assert thrown == ["shipgen: no such particle"] * 2
    assert interrupted == "shipgen: KeyboardInterrupt"
