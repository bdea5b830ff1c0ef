#!/usr/bin/env python3
"""Draw what an enhanced bundle gains: transverse momenta with weights, and the statistical error in each bin.

    macros/plot_enhanced.py ENHANCED FIGURE.png [MUONS] [PLAIN]

Both bundles make the same number of muons; PLAIN is the default bundle if not given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from shipgen import MuonGenerator
from shipgen.muons.quantities import Quantities

EDGES = np.linspace(0, 4.5, 46)


def histogram(bundle: Path | None, muons: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of weights per proton on target in bins of pT, and their errors."""
    generator = MuonGenerator(bundle, n=muons, seed=1)
    sums, squares = np.zeros(len(EDGES) - 1), np.zeros(len(EDGES) - 1)
    for batch in generator:
        pt = Quantities.of_batch(batch, 0.0)["pt"]
        weights = batch.weight.astype(np.float64)
        sums += np.histogram(pt, EDGES, weights=weights)[0]
        squares += np.histogram(pt, EDGES, weights=weights**2)[0]
    return sums / generator.plan.pot, np.sqrt(squares) / generator.plan.pot


def draw(
    plain: tuple[np.ndarray, np.ndarray], enhanced: tuple[np.ndarray, np.ndarray], muons: float
) -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(11, 4.4), dpi=90, layout="constrained")
    left, right = figure.subplots(1, 2)
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    for (sums, errors), name, colour in ((plain, "plain", "0.6"), (enhanced, "enhanced, weighted", "C0")):
        there = sums > 0
        left.errorbar(
            middles[there], sums[there], errors[there], fmt=".", markersize=4, color=colour, label=name
        )
        right.step(middles[there], errors[there] / sums[there], where="mid", color=colour, label=name)
    left.set(
        xlabel=r"$p_\mathrm{T}$ [GeV]", ylabel="muons per proton on target, in bins of 0.1 GeV", yscale="log"
    )
    right.set(
        xlabel=r"$p_\mathrm{T}$ [GeV]", ylabel="relative statistical error", yscale="log", ylim=(5e-4, 1.5)
    )
    for ax in (left, right):
        ax.legend(frameon=False)
    figure.suptitle(f"{muons:.3g} generated muons each", fontsize="medium")
    return figure


def main() -> None:
    """Read the command line."""
    if not 3 <= len(sys.argv) <= 5:
        sys.exit((__doc__ or "").strip())
    enhanced, output = Path(sys.argv[1]), Path(sys.argv[2])
    muons = float(sys.argv[3]) if len(sys.argv) > 3 else 1e6
    plain = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    draw(histogram(plain, muons), histogram(enhanced, muons), muons).savefig(output)


if __name__ == "__main__":
    main()
