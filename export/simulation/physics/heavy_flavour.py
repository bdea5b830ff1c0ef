"""Muons from charm, beauty and J/psi: fixed-target runs of Pythia, placed at the protons' first collisions.

Each heavy hadron is decayed several times, always to muons; the weight carries production rate a proton and
branching ratio. Rates are those on molybdenum; on other nuclei they go with a power of the mass number.
Production by secondaries, b -> c -> mu and decays through a tau are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shipgen_export.simulation.particles import Parents, Process, ProducedMuons
from shipgen_export.simulation.physics.cascade import BEAM_MOMENTUM
from shipgen_export.simulation.physics.pythia import LARGEST_SEED, import_pythia, start_pythia

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.simulation.target import Target

#: Share of protons among the nucleons of molybdenum (44 %) and tungsten (40 %), about.
PROTON_SHARE = 0.43

#: Mass number that the rates are of, and the power of it that inelastic collisions go with (as in FairShip).
MOLYBDENUM, INELASTIC_POWER = 98.0, 0.71

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
    power : float
        Of the mass number that the cross-section goes with: 1 for quarks, 0.93 for J/psi (NA50, Eur. Phys. J.
        C 48 (2006) 329), which nuclei absorb.
    events : float
        Events to make a proton.
    draws : int
        How often each heavy hadron is decayed, each time at a fraction of the weight.
    targets : tuple of int
        Nucleons to run on.
    per_hadron : bool
        `rate` counts hadrons made, not events: some charmonium events have no J/psi.
    """

    process: Process
    settings: tuple[str, ...]
    hadrons: tuple[int, ...]
    rate: float
    power: float
    events: float
    draws: int
    targets: tuple[int, ...]
    per_hadron: bool = False


#: More charm than its weight asks for: it is a third of the on-axis muons and rules at large momenta.
HEAVY_FLAVOURS = (
    HeavyFlavour(
        Process.CHARM,
        ("HardQCD:hardccbar = on",),
        (411, 421, 431, 4122, 4132, 4232, 4332),
        rate=1.7e-3,
        power=1.0,
        events=4.0,
        draws=4,
        targets=(_PROTON, _NEUTRON),
    ),
    HeavyFlavour(
        Process.BEAUTY,
        ("HardQCD:hardbbbar = on", _FAST),
        (511, 521, 531, 5122),
        rate=1.6e-7,
        power=1.0,
        events=0.01,
        draws=12,
        targets=(_PROTON,),
    ),
    HeavyFlavour(
        Process.JPSI,
        ("Charmonium:all = on", "PhaseSpace:pTHatMin = 0.5", _FAST),
        (443,),
        # As measured behind a target like SHiP's, with those of secondaries: B sigma / A = 1.18 +- 0.11 nb in
        # 0.3 < y < 0.6 of the centre of mass (arXiv:2604.03661), where Pythia has 11.9 % of them.
        rate=1.56e-5,
        power=0.93,
        events=0.1,
        draws=12,
        targets=(_PROTON,),
        per_hadron=True,
    ),
)

#: For the cascade's Pythia, which makes the decays: muonic channels only.
DECAY_SETTINGS = tuple(
    f"{hadron}:{setting}"
    for flavour in HEAVY_FLAVOURS
    for hadron in flavour.hadrons
    for setting in ("onMode = off", "onIfAny = 13")
)

#: Not decayed in heavy-flavour events: what lives long, or gives no heavy hadron.
_UNDECAYED = (
    111, 113, 213, 221, 223, 313, 323, 331, 333, 310, 3122, 3112, 3212, 3222, 3312, 3322, 3334, 2224, 2214,
    2114, 1114, 3114, 3214, 3224, 3314, 3324,
)  # fmt: skip


class HeavyFlavourRun(NamedTuple):
    """What a run of Pythia made.

    Attributes
    ----------
    hadrons : float64[n, 7]
        Heavy hadrons above the cut: PDG code, px, py, pz, mass (GeV), muonic branching ratio, event.
    events : int
        Events made.
    units : int
        How many of what the rate counts.
    """

    hadrons: Float64
    events: int
    units: int


def heavy_flavour_muons(
    cascade: Any,
    target: Target,
    vertices: Float64,
    protons: int,
    momentum_cut: float,
    rng: np.random.Generator,
) -> tuple[ProducedMuons, dict[str, int]]:
    """Make the heavy-flavour muons of a block.

    Parameters
    ----------
    cascade : PythiaCascade
        Started with `DECAY_SETTINGS`.
    target : Target
        What the protons hit.
    vertices : float64[n, 2]
        Number of the proton and z (cm) of its first collision, for those that collide.
    protons : int
        Protons in the block.
    momentum_cut : float
        Muons below are left out, GeV.
    rng : numpy.random.Generator
        Source of Pythia's seeds, of the choice of vertices and of the decays' azimuths.

    Returns
    -------
    ProducedMuons
        Weights add up to the expected number for `vertices`; positions are on the axis.
    dict of str to int
        Events made, by `Process` name.
    """
    parts: list[ProducedMuons] = [ProducedMuons.none()]
    made: dict[str, int] = {}
    for flavour in HEAVY_FLAVOURS:
        total = max(round(flavour.events * protons), 1)
        on_protons = round(total * PROTON_SHARE) if len(flavour.targets) > 1 else total
        runs = [
            _run(flavour, target, number, int(rng.integers(1, LARGEST_SEED)), momentum_cut)
            for target, number in zip(flavour.targets, (on_protons, total - on_protons), strict=False)
            if number
        ]
        hadrons = _number_events(runs)
        made[flavour.process.name] = sum(run.events for run in runs)
        if not len(hadrons) or not len(vertices):
            continue
        muons = _decayed(cascade, hadrons, flavour.draws, momentum_cut, rng)
        scale = flavour.rate * len(vertices) / sum(run.units for run in runs) / flavour.draws
        placed = _place(flavour, hadrons, muons, scale, vertices, rng)
        nuclei = mass_numbers(target)[target.material_at(placed.position[:, 2])]
        factor = (nuclei / MOLYBDENUM) ** (flavour.power - INELASTIC_POWER)
        parts.append(replace(placed, weight=placed.weight * factor))
    return ProducedMuons.join(parts), made


def mass_numbers(target: Target) -> Float64:
    """Return the mean mass number of the nuclei that are hit in each of a target's materials."""
    means = []
    for material in target.materials:
        numbers = np.array([element.a for element in material.elements])
        hits = np.array([element.count for element in material.elements]) * numbers**INELASTIC_POWER
        means.append(float((numbers * hits).sum() / hits.sum()))
    return np.array(means)


def _run(flavour: HeavyFlavour, target: int, events: int, seed: int, momentum_cut: float) -> HeavyFlavourRun:
    stable = [f"{hadron}:mayDecay = off" for hadron in (*_UNDECAYED, *flavour.hadrons)]
    seeding = [f"Random:seed = {seed}", f"Beams:idB = {target}"]
    pythia = start_pythia([*_COMMON, *flavour.settings, *stable, *seeding])
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
            if particle.idAbs() not in ratios or not particle.isFinal():
                continue
            units += flavour.per_hadron
            if particle.e() > momentum_cut:
                momentum = particle.px(), particle.py(), particle.pz()
                rows.append((particle.id(), *momentum, particle.m(), ratios[particle.idAbs()], made))
    return HeavyFlavourRun(np.array(rows, dtype=np.float64).reshape(len(rows), 7), made, units)


def _decayed(
    cascade: Any, hadrons: Float64, draws: int, momentum_cut: float, rng: np.random.Generator
) -> Float64:
    """Return muons above the cut of `draws` decays a hadron: rows of (hadron's row, pdg, px, py, pz).

    Each decay is turned about the beam by an angle of its own: nothing in these events prefers one.
    """
    vector = import_pythia().Vec4
    rows: list[tuple[float, ...]] = []
    energy = np.sqrt(np.square(hadrons[:, 1:5]).sum(axis=1)).tolist()
    decays: list[int] = []
    for i, (pdg, px, py, pz, mass, _, _) in enumerate(hadrons.tolist()):
        for draw in range(draws):
            event = cascade.nextDecay(int(pdg), vector(px, py, pz, energy[i]), mass)
            for k in range(1, event.size()):
                particle = event[k]
                if particle.idAbs() == _MUON and particle.pAbs() > momentum_cut:
                    rows.append((i, particle.id(), particle.px(), particle.py(), particle.pz()))
                    decays.append(i * draws + draw)
    muons = np.array(rows, dtype=np.float64).reshape(len(rows), 5)
    # Both muons of a J/psi are turned together.
    angle = rng.uniform(0, 2 * np.pi, len(hadrons) * draws)[np.array(decays, dtype=np.int64)]
    cosine, sine = np.cos(angle), np.sin(angle)
    px, py = muons[:, 2].copy(), muons[:, 3].copy()
    muons[:, 2], muons[:, 3] = cosine * px - sine * py, sine * px + cosine * py
    return muons


def _number_events(runs: list[HeavyFlavourRun]) -> Float64:
    """Join the hadrons of several runs; their events are numbered on."""
    joined = []
    first = 0
    for run in runs:
        run.hadrons[:, -1] += first
        first += run.events
        joined.append(run.hadrons)
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
    flavour: HeavyFlavour,
    hadrons: Float64,
    muons: Float64,
    scale: float,
    vertices: Float64,
    rng: np.random.Generator,
) -> ProducedMuons:
    """Put events at first collisions drawn at random; muons of one event stay together."""
    parent = hadrons[muons[:, 0].astype(np.int64)]
    chosen = vertices[rng.integers(0, len(vertices), int(hadrons[:, -1].max()) + 1)]
    place = chosen[parent[:, -1].astype(np.int64)]
    position = np.zeros((len(muons), 3))
    position[:, 2] = place[:, 1]
    parents = Parents.start(np.ones(len(muons)), position, muons[:, 2:5], parent[:, 4], 0, 0)
    parents = replace(parents, pdg=parent[:, 0].astype(np.int64), proton=place[:, 0].astype(np.int64))
    pdg = muons[:, 1].astype(np.int64)
    return ProducedMuons.make(parents, flavour.process, pdg, muons[:, 2:5], scale * parent[:, 5])
