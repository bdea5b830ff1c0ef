#!/usr/bin/env python3
"""Print the table of survival probabilities of a target, for its file.

Usage: survival.py TARGET [--muons N]      (pip install 'shipgen[simulate]')

TARGET is a name or a file, as for `shipgen simulate --target`. Muons go along z from the front face to the
end of the last slab and lose energy with its fluctuations; a few seconds for 10,000 muons an energy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from shipgen_export.simulation.physics.muon_range import MuonRange
from shipgen_export.simulation.survival import transmission
from shipgen_export.simulation.target import read_target

#: In units of the energy that the slabs take on average.
ENERGIES = (0.94, 0.97, 1.0, 1.04, 1.08, 1.15, 1.3, 1.6, 2.5)


def main() -> None:
    """Read the arguments, follow the muons, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("target", metavar="TARGET")
    parser.add_argument("--muons", type=int, default=10_000, metavar="N", help="for each energy")
    options = parser.parse_args()
    target = replace(read_target(options.target), survival=None)
    energies = np.round(MuonRange(target).crossing_energy * np.array(ENERGIES), 2)
    found = transmission(target, energies, options.muons, np.random.default_rng(1))
    print("[survival]")
    print(f"kinetic_energy = {energies.tolist()}")
    print(f"probability = {[round(float(value), 3) for value in found]}")


if __name__ == "__main__":
    main()
