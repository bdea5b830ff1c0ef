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
from shipgen.files.convert import convert
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")

#: ``Float_t`` in MuonBackGenerator; ``Double_t`` and an ``Int_t`` in TTreeGenerator.
READ = """
import json, sys
from array import array
import ROOT
found = {}
flat = "pythia8-Geant4", dict.fromkeys("id w x y z px py pz pythiaid parentid ecut".split(), "f")
doubles = "converted_ntuple", dict.fromkeys("px py pz x y z w".split(), "d") | {"id": "i"}
layouts = {"muonback": flat, "muonback2019": flat, "ttree": doubles}
for name, (tree, codes) in (layouts | {"converted_" + name: layouts[name] for name in layouts}).items():
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
    summary = json.loads(str(file.Get("FileSummary").GetString()))
    found[name] = {
        "class": read.ClassName(), "status": status, "leaves": leaves, "columns": columns, "summary": summary
    }
for name in ("rntuple", "converted_rntuple"):
    reader = ROOT.RNTupleReader.Open("events", name + ".root")
    fields = [str(field.GetFieldName()) for field in reader.GetDescriptor().GetTopLevelFields()]
    frame = ROOT.RDataFrame("events", name + ".root").AsNumpy()
    found[name] = {"fields": fields, "columns": {name: list(map(float, frame[name])) for name in fields}}
print(json.dumps(found))
"""


def test_every_layout_gives_the_same_muons(bundle: Bundle, tmp_path: Path) -> None:
    """Those that are produced and those that are converted, from arrays."""
    generator = MuonGenerator(bundle, n=2000, seed=1)
    for name, layout in OUTPUT_LAYOUTS.items():
        produce(generator, tmp_path / f"{name}.root", layout=layout)
    convert(tmp_path / "ttree.root", tmp_path / "arrays.npz", "npz")
    for name in OUTPUT_LAYOUTS:
        names = {"pdg": "particle"} if name == "rntuple" else None
        convert(tmp_path / "arrays.npz", tmp_path / f"converted_{name}.root", name, names=names)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=300,
    )
    found = json.loads(done.stdout)
    batch = next(iter(generator))
    z = batch.z.astype(float) - bundle.target_start
    for name in ("rntuple", "converted_rntuple"):
        columns = {branch: np.array(values) for branch, values in found[name]["columns"].items()}
        pdg = columns.pop("pdg" if name == "rntuple" else "particle")
        np.testing.assert_array_equal(pdg, batch.pdg)
        np.testing.assert_array_equal(columns.pop("z"), z)
        for branch, values in columns.items():
            np.testing.assert_array_equal(values, getattr(batch, branch))
    flat = [("muonback", 100, -7084.5), ("muonback2019", 100, -5000.0), ("ttree", 1, 0.0)]
    for name, unit, start in flat + [(f"converted_{name}", *rest) for name, *rest in flat]:
        file = found[name]
        pot = pytest.approx(generator.plan.pot)
        assert file["summary"] == {"PoT": pot, "EnergyCut": bundle.energy_cut, "prodSite": "shipgen"}
        assert file["class"] == "TTree"
        assert set(file["status"]) == {0}
        assert file["leaves"] <= 16
        columns = {branch: np.array(values) for branch, values in file["columns"].items()}
        np.testing.assert_array_equal(columns["id"], batch.pdg)
        if unit != 1:
            # The untracked mother that the reader puts before a muon: the muon's code, weight 0.
            np.testing.assert_array_equal(columns["pythiaid"], batch.pdg)
            assert not columns["parentid"].any()
            assert set(columns["ecut"]) == {bundle.energy_cut}
        np.testing.assert_array_equal(columns["w"], batch.weight)
        for branch in ("px", "py", "pz"):
            np.testing.assert_array_equal(columns[branch], getattr(batch, branch))
        for branch in ("x", "y"):
            np.testing.assert_allclose(columns[branch] * unit, getattr(batch, branch), rtol=2e-7)
        # What the reader adds puts the target's start at zero; float32 metres resolve 0.8 um there.
        np.testing.assert_allclose(columns["z"] * unit - start, z, atol=1e-9 if unit == 1 else 1e-3)
