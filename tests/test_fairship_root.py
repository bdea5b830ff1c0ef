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
from fairroot_stand_in import FairGenerator, FairPrimaryGenerator

from shipgen.fairship import muon_source

if TYPE_CHECKING:
    from shipgen.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")

SETUP = """
import gc, json, sys, time
import ROOT
sys.path.insert(0, {tests!r})
from fairroot_stand_in import CPP
from shipgen.errors import InputError
from shipgen.fairship import muon_source
try:
    muon_source(seed=1)
except InputError as error:
    print(error)
ROOT.gInterpreter.Declare(CPP)
"""

RUN = """
primary = ROOT.FairPrimaryGenerator()
# No reference is kept: the source has to keep itself alive.
primary.AddGenerator(muon_source({bundle!r}, seed=1, muons_per_event=2))
gc.collect()
primary.Init()
print(primary.Run(5000))
print(json.dumps([list(primary.counts), list(primary.tracks)]))
"""

BESIDE = """
class Gun(ROOT.FairGenerator):
    def ReadEvent(self, primary):
        primary.AddTrack(2212, 0, 0, 400, 0, 0, -1)
        return True

gun, primary = Gun("gun"), ROOT.FairPrimaryGenerator()
ROOT.SetOwnership(gun, False)
primary.AddGenerator(gun)
source = muon_source({bundle!r}, seed=1, pot_per_event=1000)
primary.AddGenerator(source)
primary.Init()
print(primary.Run(1000))
pdg = list(primary.tracks)[::12]
print(json.dumps([pdg.count(2212), source.muons.muons, source.muons.pot]))
"""

FAIL = """
primary = ROOT.FairPrimaryGenerator()
source = muon_source("/nowhere", seed=1)
primary.AddGenerator(source)
primary.Init()
print(source.Init())
print(primary.Run(10))
"""


def run(program: str, bundle: Bundle) -> tuple[list[str], str]:
    """Return the lines that a program prints and what it writes on stderr; it must end well."""
    values = {"tests": str(Path(__file__).parent), "bundle": str(bundle.path)}
    text = "".join(part.format(**values) for part in (SETUP, program))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    no_generator, *lines = done.stdout.splitlines()
    assert no_generator.startswith("ROOT knows no FairGenerator: run this in FairShip's environment")
    return lines, done.stderr


def test_same_tracks_as_without_root(bundle: Bundle) -> None:
    lines, error = run(RUN, bundle)
    counts, tracks = json.loads(lines[1])
    assert (lines[0], error, set(counts)) == ("5000", "", {2})
    primary = FairPrimaryGenerator()
    primary.AddGenerator(muon_source(bundle, seed=1, muons_per_event=2, base=FairGenerator))
    primary.Run(5000)
    expected: list[Any] = [track for event in primary.events for track in event]
    np.testing.assert_array_equal(np.reshape(tracks, (-1, 12)), np.array(expected, float))


def test_beside_another_generator(bundle: Bundle) -> None:
    lines, error = run(BESIDE, bundle)
    protons, muons, pot = json.loads(lines[1])
    assert (lines[0], error, protons, pot) == ("1000", "", 1000, 1e6)
    # 1500 muons are expected; 5 standard deviations.
    assert abs(muons - 1e6 * bundle.rate) < 5 * np.sqrt(1e6 * bundle.rate)


def test_a_missing_bundle_ends_the_run_without_a_crash(bundle: Bundle) -> None:
    lines, error = run(FAIL, bundle)
    assert lines == ["False", "0"]
    assert "shipgen: /nowhere is no bundle" in error
