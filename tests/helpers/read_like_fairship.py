"""Read a flat file through ROOT as FairShip's MuonBackGenerator does; print what was found as JSON.

A program of its own: ROOT and TensorFlow cannot be imported into one process.
"""

from __future__ import annotations

import json
import sys
from array import array

import ROOT

BRANCHES = ("id", "parentid", "pythiaid", "ecut", "w", "x", "y", "z", "px", "py", "pz")


def main() -> None:
    file = ROOT.TFile.Open(sys.argv[1])
    tree = file.Get("pythia8-Geant4")
    values = {name: array("f", [0.0]) for name in BRANCHES}
    result = {
        "class": tree.ClassName(),
        "leaves": tree.GetListOfLeaves().GetSize(),
        "entries": tree.GetEntries(),
        "status": {name: int(tree.SetBranchAddress(name, values[name])) for name in BRANCHES},
        "summary": json.loads(str(file.Get("FileSummary").GetString())),
    }
    step = max(tree.GetEntries() // 1000, 1)
    rows = []
    for entry in range(0, tree.GetEntries(), step):
        tree.GetEntry(entry)
        rows.append([values[name][0] for name in BRANCHES])
    frame = ROOT.RDataFrame(tree)
    result["sum_of_weights"] = frame.Sum("w").GetValue()
    result["step"], result["rows"] = step, rows
    sys.stdout.write(json.dumps(result))


main()
