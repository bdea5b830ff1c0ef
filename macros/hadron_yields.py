#!/usr/bin/env python3
"""Count the pions and kaons of Pythia's collisions of 400 GeV protons with nuclei.

Usage: hadron_yields.py [--collisions N] [-o FILE.json]      (pip install 'shipgen[simulate]')

Makes the table behind `shipgen simulate --hadrons data`: hadrons after strong and electromagnetic decays, in
bins of momentum over beam momentum and of transverse momentum. To be run again for another version of Pythia,
a quarter of an hour for 200,000 collisions a nucleus.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np

from shipgen.provenance import versions
from shipgen_export.simulation.physics.cascade import BEAM_MOMENTUM, Cascade
from shipgen_export.simulation.physics.hadron_fit import SPECIES
from shipgen_export.simulation.physics.hadron_weights import WEIGHED
from shipgen_export.simulation.physics.nuclei import TABULATED
from shipgen_export.simulation.physics.pythia import import_pythia, start_cascade
from shipgen_export.simulation.target import Element, Material, Target

NUCLEI = (1, 9, 56, 107, 197)
X_EDGES = [0.02, 0.025, 0.032, 0.04, 0.05, 0.065, 0.085, 0.11, 0.15, 0.2, 0.28, 0.38, 0.52, 0.7, 0.95]
PT_EDGES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4, 1.8, 2.5]
#: PDG codes of `SPECIES`.
CODES = ((211,), (-211,), (111,), (321,), (-321,), (130, 310, 311, -311))
#: Hadrons below this total energy are dropped, GeV: a momentum of 0.02 of the beam's.
ENERGY_CUT = 8.0
PORTION = 5000


def count(mass_number: int, collisions: int) -> dict[str, object]:
    """Return the counts of one nucleus."""
    element = Element(TABULATED[mass_number], float(mass_number), 1)
    material = Material("nucleus", 1.0, float(mass_number), 1.0, 0.0, (element,), 1.0, {}, 1.0)
    target = Target("nucleus", "", (0.0, 1.0), (0,), (material,))
    pythia = start_cascade(2 * mass_number + 1, 2 * mass_number + 2, ENERGY_CUT)
    scalars = random.Random(1)  # noqa: S311
    cascade = Cascade(pythia, target, np.random.default_rng(1), scalars, ENERGY_CUT)
    counts = np.zeros((len(SPECIES), len(X_EDGES) - 1, len(PT_EDGES) - 1), dtype=np.int64)
    made = 0
    while made < collisions:
        hadrons = cascade.prompt_hadrons(PORTION, set(WEIGHED))
        made += PORTION
        pt = np.hypot(hadrons.momentum[:, 0], hadrons.momentum[:, 1])
        x = np.hypot(pt, hadrons.momentum[:, 2]) / BEAM_MOMENTUM
        for place, codes in enumerate(CODES):
            of_kind = np.isin(hadrons.pdg, codes)
            counts[place] += np.histogram2d(x[of_kind], pt[of_kind], (X_EDGES, PT_EDGES))[0].astype(np.int64)
    energy = float(np.hypot(BEAM_MOMENTUM, 0.938272))
    vector = import_pythia().Vec4(0.0, 0.0, BEAM_MOMENTUM, energy)
    pythia.sigmaSetuphN(2212, vector, 0.938272)
    return {
        "collisions": made,
        "cross_section": round(pythia.sigmahA(mass_number), 3),
        "counts": dict(zip(SPECIES, counts.tolist(), strict=True)),
    }


def main() -> None:
    """Read the arguments, count, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--collisions", type=int, default=200_000, metavar="N")
    parser.add_argument("-o", "--output", type=Path, default=Path("hadron_yields.json"), metavar="FILE.json")
    options = parser.parse_args()
    table = {
        "generator": f"Pythia cascade, pythia8mc {versions('pythia8mc')['pythia8mc']}",
        "beam": BEAM_MOMENTUM,
        "x_edges": X_EDGES,
        "pt_edges": PT_EDGES,
        "nuclei": {str(number): count(number, options.collisions) for number in NUCLEI},
    }
    text = json.dumps(table)
    for bracket in ('"nuclei"', '"counts"', *(f'"{name}"' for name in SPECIES)):
        text = text.replace(bracket, f"\n{bracket}")
    options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
