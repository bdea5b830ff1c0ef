"""One block of protons: cascade, forced decays, heavy flavours, momentum cut and survival.

A block depends on (seed, block number, its protons, settings) alone: it starts Pythia afresh, and every
random number comes from generators seeded by ``SeedSequence(seed, spawn_key=(block,))``.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.files.layouts import TRAINING
from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.particles import ProducedMuons
from shipgen_export.simulation.physics.cascade import Cascade
from shipgen_export.simulation.physics.conversion import photon_conversions
from shipgen_export.simulation.physics.decays import decays_in_flight, muon_pairs
from shipgen_export.simulation.physics.heavy_flavour import DECAY_SETTINGS, heavy_flavour_muons
from shipgen_export.simulation.physics.muon_range import MuonRange
from shipgen_export.simulation.physics.pythia import LARGEST_SEED, start_cascade
from shipgen_export.simulation.variations import VARIATIONS, variation_column

if TYPE_CHECKING:
    from shipgen.muons.columns import Array, Float64
    from shipgen_export.simulation.target import Target

#: Protons whose parents are held before they are turned into muons: bounds the memory.
_PORTION = 500


@dataclass(frozen=True)
class SimulationSettings:
    """What all blocks of a run have in common.

    Attributes
    ----------
    seed : int
        Of everything.
    momentum_cut : float
        Muons below are left out, GeV.
    target : Target
        What protons hit.
    block_protons : int
        In a full block.
    hadrons : str
        Pions and kaons as measured (``data``) or as Pythia has them (``pythia``).
    """

    seed: int
    momentum_cut: float
    target: Target
    block_protons: int
    hadrons: str = "data"

    @property
    def energy_cut(self) -> float:
        """Hadrons and photons below this total energy are not followed, GeV.

        It is a muon's at the momentum cut, for none has more energy than what it was made by.
        """
        return math.hypot(self.momentum_cut, MUON_MASS)

    @property
    def muon_energy_cut(self) -> float:
        """The muons' cut in kinetic energy, as FairShip counts it, GeV."""
        return self.energy_cut - MUON_MASS


@dataclass(frozen=True)
class ProtonBlock:
    """The muons of some protons.

    Attributes
    ----------
    number : int
        Which block.
    protons : int
        How many protons it had.
    columns : dict of str to array[n]
        As in the training layout, but `weight` is for the block's protons together.
    heavy_events : dict of str to int
        Heavy-flavour events made, by kind.
    """

    number: int
    protons: int
    columns: dict[str, Array]
    heavy_events: dict[str, int]

    @property
    def weight(self) -> Float64:
        """Weights for the block's protons together, float64[n]."""
        return np.asarray(self.columns["weight"], dtype=np.float64)


def simulate_block(settings: SimulationSettings, number: int, protons: int) -> ProtonBlock:
    """Simulate `protons` protons as block `number` of a run."""
    words = np.random.SeedSequence(settings.seed, spawn_key=(number,)).generate_state(8, np.uint64)
    # Scalars for the cascade's loop, columns for the rest, and the two engines of Pythia.
    scalars = random.Random(int(words[0]) << 64 | int(words[1]))  # noqa: S311
    rng = np.random.Generator(np.random.SFC64([int(word) for word in words[2:6]]))
    engine, collision_engine = (int(word % LARGEST_SEED) + 1 for word in words[6:8])
    pythia = start_cascade(engine, collision_engine, settings.energy_cut, DECAY_SETTINGS)
    cascade = Cascade(pythia, settings.target, rng, scalars, settings.energy_cut, settings.hadrons)
    muon_range = MuonRange(settings.target)
    parts: list[ProducedMuons] = []
    vertices: list[Float64] = []
    for first in range(0, protons, _PORTION):
        output = cascade.run(first, min(first + _PORTION, protons))
        vertices.append(output.vertices)
        made = (
            decays_in_flight(output.in_flight, rng),
            muon_pairs(output.pairs, rng),
            photon_conversions(output.photons, settings.target, rng),
        )
        parts += [_kept(muons, settings.momentum_cut, muon_range) for muons in made]
    heavy, events = heavy_flavour_muons(
        pythia, settings.target, np.concatenate(vertices), protons, settings.momentum_cut, rng
    )
    parts.append(_kept(heavy, settings.momentum_cut, muon_range))
    offset = number * settings.block_protons
    return ProtonBlock(number, protons, _columns(ProducedMuons.join(parts), offset), events)


def _kept(muons: ProducedMuons, momentum_cut: float, muon_range: MuonRange) -> ProducedMuons:
    """Apply the momentum cut, and the probability to get through the absorber as a weight."""
    # As the file will have it, so that the cut is exact there too.
    momentum = muons.momentum.astype(np.float32).astype(np.float64)
    muons = muons.select(np.square(momentum).sum(axis=1) >= momentum_cut**2)
    survival = muon_range.survival(muons.position[:, 2], muons.momentum)
    return muons.surviving(survival)


def _columns(muons: ProducedMuons, offset: int) -> dict[str, Array]:
    values: dict[str, Array] = {
        "pdg": muons.pdg,
        **{name: muons.position[:, axis] for axis, name in enumerate("xyz")},
        **{f"p{name}": muons.momentum[:, axis] for axis, name in enumerate("xyz")},
        "weight": muons.weight,
        "parent": muons.parent,
        "process": muons.process,
        "proton": muons.proton + offset,
        "survival": muons.survival,
        **{variation_column(name): np.exp(muons.variations[:, i]) for i, name in enumerate(VARIATIONS)},
    }
    return {branch.column: values[branch.column].astype(branch.dtype) for branch in TRAINING.branches}
