"""What a simulated sample says of itself: how it was made, and what its columns mean."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING

from shipgen.files.layouts import KIND_TRAINING, TRAINING
from shipgen.provenance import versions
from shipgen_export.simulation.particles import Process
from shipgen_export.simulation.physics.heavy_flavour import HEAVY_FLAVOURS, INELASTIC_POWER, MOLYBDENUM
from shipgen_export.simulation.variations import meanings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from shipgen_export.simulation.block import SimulationSettings
    from shipgen_export.simulation.muon_counts import MuonCounts

#: What made a sample, by the choice of hadrons; bundles carry it as their label.
GENERATORS = {
    "data": "Pythia 8 cascade with measured hadron yields, SHiP-like",
    "pythia": "Pythia 8 cascade, SHiP-like",
}

#: What the choice of hadrons means.
_HADRONS = {
    "data": "pions and kaons weighted to measured yields (Bonesini et al., EPJ C 20 (2001) 13)",
    "pythia": "pions and kaons of Pythia",
}


def code_digest(folder: Traversable | None = None) -> str:
    """Return a digest of the simulation's source: blocks of other physics must not be mixed in."""
    content = "\0".join(_sources(folder or resources.files("shipgen_export.simulation")))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _sources(folder: Traversable) -> Iterator[str]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith((".py", ".json")):
            yield f"{entry.name}\0{entry.read_text(encoding='utf-8')}"


def provenance(settings: SimulationSettings, pot: int, tally: MuonCounts, command: str) -> dict[str, object]:
    """Return all that is needed to make the sample again and to know what its columns mean."""
    target = settings.target
    return {
        "kind": KIND_TRAINING,
        "generator": f"{GENERATORS[settings.hadrons]}, target {target.name}",
        "command": command,
        "seed": settings.seed,
        "block_protons": settings.block_protons,
        "pot": pot,
        "weight_unit": "per POT",
        "weight_meaning": "sum of weights = muons per proton on target that leave the last slab",
        "survival": "probability to leave the last slab; the weights contain it",
        "hadrons": _HADRONS[settings.hadrons],
        "variations": meanings(),
        "units": {branch.name: branch.unit for branch in TRAINING.branches if branch.unit},
        # Name, slabs with their materials' constants, survival. At the edges the density of starts jumps.
        "target": {**asdict(target), "end": target.end},
        "target_start": target.start,
        "beam": "400 GeV protons along z, not smeared: prompt muons of first collisions start at x = y = 0",
        "momentum_cut": settings.momentum_cut,
        "energy_cut": settings.muon_energy_cut,
        "hadron_energy_cut": settings.energy_cut,
        "processes": {process.name: int(process) for process in Process},
        "normalisation": {
            flavour.process.name: {
                "rate": flavour.rate,
                "mass_number": MOLYBDENUM,
                "power": flavour.power - INELASTIC_POWER,
                "unit": "J/psi per interacting proton"
                if flavour.per_hadron
                else "pairs per interacting proton",
                "events": tally.heavy_events[flavour.process.name],
            }
            for flavour in HEAVY_FLAVOURS
        },
        **tally.record(),
        "code": code_digest(),
        "versions": versions("shipgen", "pythia8mc", "numpy", "uproot"),
    }
