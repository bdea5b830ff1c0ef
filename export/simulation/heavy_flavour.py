"""Muons from charm, beauty and J/psi: fixed-target runs of Pythia, placed at the protons' first collisions.

All decays are forced to muons; the weight carries production rate a proton and branching ratio. Nuclear
effects, production by secondaries, b -> c -> mu and decays through a tau are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.simulation.cascade import BEAM_MOMENTUM
from shipgen_export.simulation.muons import Muons, Process
from shipgen_export.simulation.pythia import LARGEST_SEED, start_pythia

if TYPE_CHECKING:
    from shipgen.columns import Float64

#: Share of protons among the nucleons of molybdenum (44 %) and tungsten (40 %), about.
PROTON_SHARE = 0.43

_PROTON, _NEUTRON, _MUON = 2212, 2112, 13

_COMMON = (
    "Beams:frameType = 2",
    f"Beams:eA = {BEAM_MOMENTUM}",
    "Beams:eB = 0.",
    "Random:setSeed = on",
    "Check:epTolErr = 0.01",
    "PhaseSpace:mHatMin = 2.4",
)

#: Without multiparton interactions Pythia starts in half the time; charm, the one that matters, keeps them.
_FAST = "PartonLevel:MPI = off"


@dataclass(frozen=True)
class HeavyFlavour:
    """A kind of heavy-flavour events.

    Attributes
    ----------
    process : Process
        Code of its muons.
    settings : tuple of str
        Pythia's, beside the common ones.
    hadrons : tuple of int
        PDG codes whose decays are forced.
    rate : float
        Pairs of heavy quarks (or J/psi) a proton that interacts; from the cross-sections at 400 GeV
        measured per nucleon, over the inelastic one, for molybdenum.
    events : float
        Events to make a proton.
    targets : tuple of int
        Nucleons to run on.
    per_hadron : bool
        `rate` counts hadrons made, not events: some charmonium events have no J/psi.
    """

    process: Process
    settings: tuple[str, ...]
    hadrons: tuple[int, ...]
    rate: float
    events: float
    targets: tuple[int, ...]
    per_hadron: bool = False


#: More charm than its weight asks for: it is a third of the on-axis muons and rules at large momenta.
HEAVY_FLAVOURS = (
    HeavyFlavour(
        Process.CHARM,
        ("HardQCD:hardccbar = on",),
        (411, 421, 431, 4122, 4132, 4232, 4332),
        rate=1.7e-3,
        events=1.5,
        targets=(_PROTON, _NEUTRON),
    ),
    HeavyFlavour(
        Process.BEAUTY,
        ("HardQCD:hardbbbar = on", _FAST),
        (511, 521, 531, 5122),
        rate=1.6e-7,
        events=0.02,
        targets=(_PROTON,),
    ),
    HeavyFlavour(
        Process.JPSI,
        ("Charmonium:all = on", "PhaseSpace:pTHatMin = 0.5", _FAST),
        (443,),
        rate=6.0e-6,
        events=0.05,
        targets=(_PROTON,),
        per_hadron=True,
    ),
)


def heavy_flavour_muons(
    vertices: list[tuple[int, float]], protons: int, momentum_cut: float, rng: np.random.Generator
) -> tuple[Muons, dict[str, int]]:
    """Make the heavy-flavour muons of a block.

    Parameters
    ----------
    vertices : list of (int, float)
        Number of the proton and z (cm) of its first collision, for those that collide.
    protons : int
        Protons in the block.
    momentum_cut : float
        Muons below are left out, GeV.
    rng : numpy.random.Generator
        Source of Pythia's seeds and of the choice of vertices.

    Returns
    -------
    Muons
        Weights add up to the expected number for `vertices`; positions are on the axis.
    dict of str to int
        Events made, by `Process` name.
    """
    parts: list[Muons] = []
    made: dict[str, int] = {}
    places = np.array(vertices, dtype=np.float64).reshape(len(vertices), 2)
    for flavour in HEAVY_FLAVOURS:
        total = max(round(flavour.events * protons), 1)
        on_protons = round(total * PROTON_SHARE) if len(flavour.targets) > 1 else total
        runs = [
            _run(flavour, target, number, int(rng.integers(1, LARGEST_SEED)), momentum_cut)
            for target, number in zip(flavour.targets, (on_protons, total - on_protons), strict=False)
            if number
        ]
        rows = _number_events(runs)
        count = sum(run[1] for run in runs)
        made[flavour.process.name] = count
        if not len(rows) or not len(places):
            continue
        scale = flavour.rate * len(places) / sum(run[2] for run in runs)
        parts.append(_place(flavour, rows, scale, places, rng))
    return (Muons.join(parts) if parts else Muons.none()), made


def _run(
    flavour: HeavyFlavour, target: int, events: int, seed: int, momentum_cut: float
) -> tuple[Float64, int, int]:
    """Return rows of (pdg, px, py, pz, parent, branching ratio, event), events made, what `rate` counts."""
    forced = [
        f"{hadron}:{setting}" for hadron in flavour.hadrons for setting in ("onMode = off", "onIfAny = 13")
    ]
    seeding = [f"Random:seed = {seed}", f"Beams:idB = {target}"]
    pythia = start_pythia([*_COMMON, *flavour.settings, *forced, *seeding])
    ratios = {hadron: _muonic_ratio(pythia.particleData, hadron) for hadron in flavour.hadrons}
    rows: list[tuple[float, ...]] = []
    made = units = 0
    for _ in range(events):
        if not pythia.next():
            continue
        made += 1
        units += not flavour.per_hadron
        event = pythia.event
        for i in range(event.size()):
            particle = event[i]
            if abs(particle.id()) != _MUON or not particle.isFinal():
                continue
            parent = event[particle.mother1()].id()
            if abs(parent) not in ratios:
                continue
            if flavour.per_hadron and particle.id() > 0:
                units += 1
            if particle.pAbs() > momentum_cut:
                row = (
                    particle.id(),
                    particle.px(),
                    particle.py(),
                    particle.pz(),
                    parent,
                    ratios[abs(parent)],
                    made,
                )
                rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(len(rows), 7), made, units


def _number_events(runs: list[tuple[Float64, int, int]]) -> Float64:
    """Join the rows of several runs; their events are numbered on."""
    joined = []
    first = 0
    for rows, made, _ in runs:
        rows[:, -1] += first
        first += made
        joined.append(rows)
    return np.concatenate(joined)


def _muonic_ratio(data: Any, hadron: int) -> float:
    """Sum the branching ratios of all channels with a muon."""
    entry = data.particleDataEntryPtr(hadron)
    channels = [entry.channel(i) for i in range(entry.sizeChannels())]
    return float(
        sum(
            channel.bRatio()
            for channel in channels
            if any(abs(channel.product(k)) == _MUON for k in range(channel.multiplicity()))
        )
    )


def _place(
    flavour: HeavyFlavour, rows: Float64, scale: float, places: Float64, rng: np.random.Generator
) -> Muons:
    """Put events at first collisions drawn at random; muons of one event stay together."""
    _, event = np.unique(rows[:, -1], return_inverse=True)
    chosen = places[rng.integers(0, len(places), event.max() + 1)][event]
    position = np.zeros((len(rows), 3))
    position[:, 2] = chosen[:, 1]
    return Muons(
        pdg=rows[:, 0].astype(np.int64),
        weight=scale * rows[:, 5],
        position=position,
        momentum=rows[:, 1:4],
        parent=rows[:, 4].astype(np.int64),
        process=np.full(len(rows), int(flavour.process)),
        proton=chosen[:, 0].astype(np.int64),
    )
