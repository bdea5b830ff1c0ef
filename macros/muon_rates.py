#!/usr/bin/env python3
"""Rates of the muons of a produced file, as numbers and as a picture, with ROOT's RDataFrame.

Usage: muon_rates.py MUONS.root [MORE.root ...] [--pot 4e13] -o RATES.png      (needs ROOT)

Weights over the files' protons on target (POT) are muons per proton; times the POT of a spill, per spill.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import ROOT

#: Trees of the layouts, and what they call PDG code and weight.
TREES = {
    "pythia8-Geant4": ("id", "w"),
    "converted_ntuple": ("id", "w"),
    "events": ("pdg", "weight"),
}

#: Momenta above which muons are counted, GeV; edges of the histogram's bins.
THRESHOLDS = (0, 20, 50, 100, 200)

CHARGES = {"#mu^{#minus}": (13, ROOT.kBlue + 1), "#mu^{+}": (-13, ROOT.kRed + 1)}


def describe(name: str) -> tuple[str, float]:
    """Return a file's tree and the POT it states: of all files that were merged into it by ``hadd``."""
    try:
        file = ROOT.TFile.Open(name)
    except OSError:
        file = None
    if not file:
        sys.exit(f"{name} cannot be opened")
    found = file.GetListOfKeys()
    # By number: an empty list cannot be iterated over in ROOT 6.40.
    keys = [found.At(number) for number in range(found.GetSize())]
    trees = {key.GetName() for key in keys} & set(TREES)
    texts = [str(key.ReadObj()) for key in keys if key.GetName() == "FileSummary"]
    if len(trees) != 1 or not texts:
        sys.exit(f"{name} has no muons with their protons on target: give files of `shipgen produce`")
    return trees.pop(), float(sum(json.loads(text)["PoT"] for text in texts))


def book(tree: str, files: list[str], pot: float, spill: float) -> tuple[Any, dict[str, Any]]:
    """Return the number of muons and a spectrum a charge, all of one loop over the files."""
    code, weight = TREES[tree]
    frame = (
        ROOT.RDataFrame(tree, files)
        .Define("rate", f"{weight} * {spill / pot!r}")
        .Define("p", "std::sqrt(px * px + py * py + pz * pz)")
    )
    title = f";p [GeV];muons above p in a spill of {spill:g} POT"
    spectra = {
        charge: frame.Filter(f"{code} == {pdg}").Histo1D((charge, title, 80, 0, 400), "p", "rate")
        for charge, (pdg, _) in CHARGES.items()
    }
    return frame.Count(), spectra


def draw(spectra: dict[str, Any], path: str) -> None:
    """Draw how many muons are above each momentum."""
    ROOT.gStyle.SetOptStat(0)
    canvas = ROOT.TCanvas("rates", "rates", 900, 650)
    canvas.SetLogy()
    legend = ROOT.TLegend(0.7, 0.75, 0.88, 0.88)
    legend.SetBorderSize(0)
    # Drawn histograms have to outlive the loop.
    above = []
    for (charge, (_, colour)), spectrum in zip(CHARGES.items(), spectra.values(), strict=True):
        # From the last bin down, overflow included.
        histogram = spectrum.GetCumulative(False)
        histogram.SetLineColor(colour)
        histogram.SetLineWidth(2)
        histogram.Draw("hist same" if above else "hist")
        legend.AddEntry(histogram, charge, "l")
        above.append(histogram)
    legend.Draw()
    canvas.SaveAs(path)


def main() -> None:
    """Read the arguments, print the rates, draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="+", metavar="FILE.root")
    parser.add_argument("--pot", type=float, default=4e13, help="protons on target of a spill")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    ROOT.gROOT.SetBatch()
    found = [describe(name) for name in options.files]
    if len({tree for tree, _ in found}) > 1:
        sys.exit("the files have different trees: convert them to one layout")
    pot = sum(protons for _, protons in found)
    entries, spectra = book(found[0][0], options.files, pot, options.pot)
    draw(spectra, options.output)
    print(f"{entries.GetValue()} muons for {pot:.6g} protons on target; in a spill of {options.pot:g}:")
    print(f"{'p above, GeV':>14} {'mu-':>12} {'mu+':>12}")
    for threshold in THRESHOLDS:
        # Up to the bin of what lies beyond.
        above = [spectrum.Integral(spectrum.FindBin(threshold), 81) for spectrum in spectra.values()]
        print(f"{threshold:14} " + " ".join(f"{rate:12.4e}" for rate in above))


if __name__ == "__main__":
    main()
