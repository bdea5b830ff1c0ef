#!/usr/bin/env python3
"""Plot the muons of a produced file, over those of a training sample if one is given.

Usage: plot_kinematics.py MUONS.root [SAMPLE.root] -o FIGURE.png      (pip install 'shipgen[plot]')

Both are normalised to muons per proton on target, so that rates are compared as well as shapes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hist
import numpy as np
import uproot

from shipgen_export.training.plots import Figure, draw_overlay, fill

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Quantity -> (axis, label). r is where the muon starts, off axis only.
QUANTITIES = {
    "p": (hist.axis.Regular(60, 10, 250), "p [GeV]"),
    "pt": (hist.axis.Regular(60, 0, 4), r"$p_\mathrm{T}$ [GeV]"),
    "z": (hist.axis.Regular(70, 0, 350), "z from target's start [cm]"),
    "x": (hist.axis.Regular(60, -15, 15), "x, off-axis muons [cm]"),
    "r": (hist.axis.Regular(60, 0, 15), "r, off-axis muons [cm]"),
    "phi": (hist.axis.Regular(40, -np.pi, np.pi), r"$\varphi$ of the momentum [rad]"),
}


@dataclass(frozen=True)
class Muons:
    """Columns of a file in cm and GeV, z from the target's start, weights per proton on target."""

    label: str
    columns: dict[str, np.ndarray]
    weight: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Muons:
        """Read a file made by `shipgen produce` or `shipgen simulate`."""
        with uproot.open(path) as file:
            facts = json.loads(str(file["shipgen"]))
            produced = facts["kind"] == "muons"
            tree = file["pythia8-Geant4" if produced else "muons"]
            columns = tree.arrays(["x", "y", "z", "px", "py", "pz"], library="np")
            weight = tree["w" if produced else "weight"].array(library="np").astype(float)
        if produced:
            start = facts["target_start"]["value"]
            columns |= {name: columns[name] * 100 for name in ("x", "y")}
            columns["z"] = (columns["z"] - start) * 100
            return cls("generated", columns, weight / facts["pot"])
        columns["z"] = columns["z"] - facts["target_start"]
        return cls("simulated", columns, weight)

    def quantity(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return values and weights of a quantity of `QUANTITIES`."""
        c = self.columns
        pt = np.hypot(c["px"], c["py"])
        values = {
            "p": np.hypot(pt, c["pz"]),
            "pt": pt,
            "z": c["z"],
            "x": c["x"],
            "r": np.hypot(c["x"], c["y"]),
            "phi": np.arctan2(c["py"], c["px"]),
        }[name]
        chosen = (c["x"] != 0) | (c["y"] != 0) if name in {"x", "r"} else np.full(len(values), True)
        return values[chosen], self.weight[chosen]


def draw(name: str, files: list[Muons], upper: Axes, lower: Axes | None) -> None:
    """Draw one quantity, and the ratio of the first file to the second."""
    axis, label = QUANTITIES[name]
    histograms = [fill(axis, *muons.quantity(name)) for muons in files]
    draw_overlay(
        upper,
        lower,
        histograms[0],
        histograms[1] if lower else None,
        label,
        names=[muons.label for muons in files],
        log=name != "phi",
    )
    upper.set_ylabel("muons per POT")


def main() -> None:
    """Read the arguments, draw the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.root")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    files = [Muons.read(path) for path in options.files[:2]]
    figure = Figure(figsize=(13, 8.5))
    outer = figure.add_gridspec(
        2, 3, left=0.065, right=0.985, top=0.975, bottom=0.07, wspace=0.28, hspace=0.26
    )
    for cell, name in zip(outer, QUANTITIES, strict=True):
        if len(files) == 1:
            draw(name, files, figure.add_subplot(cell), None)
            continue
        inner = cell.subgridspec(2, 1, height_ratios=(3, 1), hspace=0.06)
        draw(name, files, figure.add_subplot(inner[0]), figure.add_subplot(inner[1]))
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
