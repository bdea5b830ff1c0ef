"""Files and sources through FairRoot's and FairShip's own classes, where these are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen import MuonGenerator
from shipgen.bundle.bundle import DEFAULT_BUNDLE
from shipgen.generate.selection import Selection
from shipgen.muons.categories import MUON_MASS
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(
        not (os.environ.get("FAIRSHIP") and os.environ.get("FAIRROOTPATH")),
        reason="needs an installation of FairShip: FAIRSHIP and FAIRROOTPATH are not set",
    ),
    pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT"),
]

SETUP = """
import sys
import numpy as np
import ROOT
for name in ("FairPrimaryGenerator", "ShipStack", "MuonBackGenerator"):
    assert hasattr(ROOT, name), name + " is not found by ROOT: set up FairShip's environment"
ROOT.gInterpreter.Declare('''
#include "FairPrimaryGenerator.h"
#include "ShipStack.h"
#include "TParticle.h"
std::vector<double> TracksOfShipgenTest(FairPrimaryGenerator &primary, ShipStack &stack, int events) {
   std::vector<double> all;
   for (int i = 0; i < events; ++i) {
      stack.Reset();
      if (!primary.GenerateEvent(&stack)) break;
      // A reader of files puts the muon's mother first.
      TParticle *muon = stack.GetParticle(stack.GetNtrack() - 1);
      for (double value : {double(muon->GetPdgCode()), muon->Px(), muon->Py(), muon->Pz(), muon->Vx(),
                           muon->Vy(), muon->Vz(), double(muon->GetWeight())})
         all.push_back(value);
   }
   return all;
}
''')

def run(generator, events, z=None):
    primary, header, stack = ROOT.FairPrimaryGenerator(), ROOT.FairMCEventHeader(), ROOT.ShipStack(10)
    primary.SetEvent(header)
    if z is not None:
        primary.SetTarget(z, 0.0)
    primary.AddGenerator(generator)
    ROOT.SetOwnership(generator, False)
    primary.Init()
    np.save("tracks.npy", np.asarray(ROOT.TracksOfShipgenTest(primary, stack, events)).reshape(-1, 8))
    sys.stdout.flush()
    import os
    os._exit(0)
"""

STAND_IN = """
from shipgen.fairship import FixedTargetGenerator
P8gen = FixedTargetGenerator()
P8gen.SetSmearBeam(1.6)
P8gen.SetPaintRadius(5.0)
P8gen.SetXoffset(1.0)
P8gen.SetTargetCoordinates(20.0, 180.0)
P8gen.SetMom(400.0)
P8gen.SetEnergyCut(12.0)
P8gen.SetSeed(1)
run(P8gen, 20_000)
"""

READER = """
reader = ROOT.MuonBackGenerator()
reader.Init("muons.root", 0)
reader.SetSmearBeam(0)
reader.SetPaintRadius(0)
run(reader, 2000, z=7084.5)
"""


def execute(folder: Path, program: str) -> np.ndarray:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SETUP + program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: np.ndarray = np.load(folder / "tracks.npy")
    return found


def test_the_stand_in(tmp_path: Path) -> None:
    tracks = execute(tmp_path, STAND_IN)
    generator = MuonGenerator(n=3e5, seed=1, selection=Selection(smear_beam=1.6, paint_beam=5.0))
    batch = next(iter(generator))
    momentum = sum(getattr(batch, name).astype(float) ** 2 for name in ("px", "py", "pz"))
    passing = np.flatnonzero(momentum > (12 + MUON_MASS) ** 2 - MUON_MASS**2)[:20_000]
    for place, name in enumerate(("pdg", "px", "py", "pz")):
        np.testing.assert_array_equal(tracks[:, place], getattr(batch, name)[passing])
    np.testing.assert_array_equal(tracks[:, 4], batch.x[passing].astype(float) + 1)
    np.testing.assert_array_equal(tracks[:, 5], batch.y[passing])
    start = generator.bundle.target_start
    np.testing.assert_allclose(tracks[:, 6], batch.z[passing].astype(float) - start + 20, atol=1e-9)
    assert set(tracks[:, 7]) == {1}


def test_a_file_through_its_reader(tmp_path: Path) -> None:
    """Whose tracks the script moves by 70.845 m: the target is at z = 0 again."""
    generator = MuonGenerator(DEFAULT_BUNDLE, n=3000, seed=2, exact=True)
    produce(generator, tmp_path / "muons.root")
    tracks = execute(tmp_path, READER)
    batch = next(iter(generator))
    assert len(tracks) == 2000
    for place, name in enumerate(("pdg", "px", "py", "pz")):
        np.testing.assert_array_equal(tracks[:, place], getattr(batch, name)[:2000])
    np.testing.assert_allclose(tracks[:, 4], batch.x[:2000], rtol=1e-6, atol=1e-6)
    start = generator.bundle.target_start
    np.testing.assert_allclose(tracks[:, 6], batch.z[:2000].astype(float) - start, atol=1e-2)
    assert set(tracks[:, 7]) == {1}
