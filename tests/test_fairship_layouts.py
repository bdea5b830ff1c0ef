"""Files in the layouts that FairShip reads, read through ROOT with branches bound as FairShip binds them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen import MuonGenerator
from shipgen.layouts import OUTPUT_LAYOUTS
from shipgen.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")

#: ``Float_t`` in MuonBackGenerator; ``Double_t`` and an ``Int_t`` in TTreeGenerator.
READ = """
import json, sys
from array import array
import ROOT
found = {}
for name, tree, codes in (
    ("muonback", "pythia8-Geant4", dict.fromkeys("id w x y z px py pz pythiaid parentid ecut".split(), "f")),
    ("muonback2019", "pythia8-Geant4", dict.fromkeys("id w x y z px py pz".split(), "f")),
    ("ttree", "converted_ntuple", dict.fromkeys("px py pz x y z w".split(), "d") | {"id": "i"}),
):
    file = ROOT.TFile.Open(name + ".root")
    read = file.Get(tree)
    values = {branch: array(code, [0]) for branch, code in codes.items()}
    status = [int(read.SetBranchAddress(branch, value)) for branch, value in values.items()]
    rows = []
    for entry in range(read.GetEntries()):
        read.GetEntry(entry)
        rows.append([value[0] for value in values.values()])
    columns = dict(zip(values, zip(*rows)))
    leaves = read.GetListOfLeaves().GetSize()
    found[name] = {"class": read.ClassName(), "status": status, "leaves": leaves, "columns": columns}
print(json.dumps(found))
"""


def test_every_layout_gives_the_same_muons(bundle: Bundle, tmp_path: Path) -> None:
    generator = MuonGenerator(bundle, n=2000, seed=1)
    for name, layout in OUTPUT_LAYOUTS.items():
        produce(generator, tmp_path / f"{name}.root", layout=layout)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=120,
    )
    found = json.loads(done.stdout)
    batch = next(iter(generator))
    z = batch.z.astype(float) - bundle.target_start
    for name, unit, start in (("muonback", 100, -7084.5), ("muonback2019", 100, -5000.0), ("ttree", 1, 0.0)):
        file = found[name]
        assert file["class"] == "TTree"
        assert set(file["status"]) == {0}
        assert file["leaves"] <= 16
        columns = {branch: np.array(values) for branch, values in file["columns"].items()}
        np.testing.assert_array_equal(columns["id"], batch.pdg)
        np.testing.assert_array_equal(columns["w"], batch.weight)
        for branch in ("px", "py", "pz"):
            np.testing.assert_array_equal(columns[branch], getattr(batch, branch))
        for branch in ("x", "y"):
            np.testing.assert_allclose(columns[branch] * unit, getattr(batch, branch), rtol=2e-7)
        # What the reader adds puts the target's start at zero; float32 metres resolve 0.8 um there.
        np.testing.assert_allclose(columns["z"] * unit - start, z, atol=1e-9 if name == "ttree" else 1e-3)
