"""The hadron cascade: protons through the slabs with Pythia's hadron-nucleus collisions.

Generation by generation: flights, places of decay and scattering are columns; only the collisions and decays
that Pythia makes are a loop over particles. What is handed on are columns of parents (`CascadeOutput`) whose
muons are made elsewhere.

Known limits: no elastic scattering of hadrons, straight flights with one kick of multiple scattering, mean
energy loss, photons from hadrons only (no electromagnetic showers), no charm made by secondaries, no muons
from hyperons and K_S, nothing made at more than 60 degrees to the beam.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.simulation.particles import Parents
from shipgen_export.simulation.physics.decays import K_LONG, KAON, PAIR_PARENTS, PION, neutral_pion_photons
from shipgen_export.simulation.physics.hadron_weights import Collisions, hadron_weights
from shipgen_export.simulation.physics.nuclei import CrossSections
from shipgen_export.simulation.physics.pythia import import_pythia

if TYPE_CHECKING:
    import random

    import numpy.typing as npt

    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.simulation.target import Flights, Target

#: Momentum of the protons, GeV.
BEAM_MOMENTUM = 400.0

_PROTON = 2212
_PHOTON = 22
_NEUTRAL_PION = 111
_NEUTRAL_KAON = 311
_K_SHORT = 310
#: ctau (cm) of the hadrons whose muonic decays are forced along every flight, and how often one is drawn,
#: each time at a fraction of the weight. The numbers make the muons' weights about equal.
_FORCED = {PION: (780.45, 3), KAON: (371.2, 10), K_LONG: (1534.0, 1)}
#: Strange hadrons that collide or decay, whichever comes first.
_COMPETING = (_K_SHORT, 3122, 3112, 3222, 3312, 3322, 3334)
_FOLLOWED = (_PROTON, 2112, *_FORCED, *_COMPETING)
_NEUTRAL = (2112, K_LONG, _K_SHORT, 3122, 3322)
_PAIR_PARENTS = tuple(PAIR_PARENTS)

#: The share of photons (and of neutral pions) that is kept, at the inverse weight.
_PHOTON_SHARE = 0.2
#: Forced decays are drawn as if no mean free path were more than this many times that in the first slab.
_GAP_FACTOR = 2.0
#: Particles with less of their energy along the beam are left out: at the muons' momenta that takes a
#: transverse momentum of several GeV.
_LEAST_FORWARD = 0.5
#: Tries to make a collision; the nucleus is drawn anew each time.
_TRIES = 3
#: Below twice the energy cut a collision seldom makes a hadron above it: such collisions are made with a
#: probability that falls from 1 to this at the cut, and their products weigh more.
_LEAST_COLLISION_SHARE = 0.2


@dataclass(frozen=True)
class CascadeOutput:
    """What a number of protons left behind.

    Attributes
    ----------
    in_flight : Parents
        Pions, kaons and K_L at the places of their forced decays.
    pairs : Parents
        rho, omega, phi, eta and eta' where they were made.
    photons : Parents
        Photons where they were made.
    vertices : float64[n, 2]
        Number of the proton and z (cm) of its first collision, for those that collide.
    """

    in_flight: Parents
    pairs: Parents
    photons: Parents
    vertices: Float64


class Cascade:
    """Follows protons and what they make, above an energy.

    Parameters
    ----------
    pythia : PythiaCascade
        Initialised.
    target : Target
        The slabs.
    rng : numpy.random.Generator
        Source of the random numbers of flights.
    random : random.Random
        Source of the nuclei that are hit.
    energy_cut : float
        Hadrons and photons below this total energy are dropped, GeV.
    hadrons : str
        Of `HADRONS`: whether pions and kaons get the factors of data.
    """

    def __init__(
        self,
        pythia: Any,
        target: Target,
        rng: np.random.Generator,
        random: random.Random,
        energy_cut: float,
        hadrons: str = "data",
    ) -> None:
        self._weights, self._by_data = hadron_weights(), hadrons == "data"
        self._pythia = pythia
        self._target = target
        self._rng = rng
        self._random = random
        self._energy_cut = energy_cut
        self._vector = import_pythia().Vec4
        self._sections = CrossSections(pythia, target.materials, (energy_cut, BEAM_MOMENTUM))
        data = pythia.particleData()
        self._proton_mass = data.m0(_PROTON)
        self._competing_ctau = {pdg: data.tau0(pdg) / 10 for pdg in _COMPETING}  # mm to cm

    def run(self, first: int, last: int) -> CascadeOutput:
        """Send protons number `first` to `last` - 1 along z onto the centre of the front face."""
        n = last - first
        self._collisions: list[Collisions] = []
        self._in_flight: list[Parents] = []
        self._pairs: list[Parents] = []
        self._photons: list[Parents] = []
        hadrons = Parents.start(
            np.ones(n),
            np.tile([0.0, 0.0, self._target.start], (n, 1)),
            np.tile([0.0, 0.0, BEAM_MOMENTUM], (n, 1)),
            np.full(n, self._proton_mass),
            _PROTON,
            first,
        )
        beam = self._meet(hadrons, beam=True)[0]
        vertices = np.column_stack([beam.proton, beam.position[:, 2]])
        hadrons = self._sorted(self._collide(beam))
        while len(hadrons.pdg):
            followed = np.isin(np.abs(hadrons.pdg), _FOLLOWED)
            flying, at_once = hadrons.select(followed), hadrons.select(~followed)
            self._force_decays(flying)
            colliding, decaying = self._meet(flying)
            late = replace(decaying, collision=np.full(len(decaying.pdg), -1))
            made = [self._collide(self._thinned(colliding)), self._decay(Parents.join([at_once, late]))]
            hadrons = self._sorted(Parents.join(made))
        return CascadeOutput(
            Parents.join([Parents.none(), *self._in_flight]),
            Parents.join([Parents.none(), *self._pairs]),
            Parents.join([Parents.none(), *self._photons]),
            vertices,
        )

    def prompt_hadrons(self, protons: int, last: set[int]) -> Parents:
        """Return what beam protons make that collide with the first slab, after all decays at once.

        Hadrons of the codes `last`, and whatever flies, do not decay.
        """
        self._collisions = []
        place = np.tile([0.0, 0.0, self._target.start], (protons, 1))
        momentum = np.tile([0.0, 0.0, BEAM_MOMENTUM], (protons, 1))
        mass = np.full(protons, self._proton_mass)
        made = self._collide(Parents.start(np.ones(protons), place, momentum, mass, _PROTON, 0))
        parts = [Parents.none()]
        while len(made.pdg):
            kind = np.abs(made.pdg)
            stays = np.isin(kind, (*_FOLLOWED, _PHOTON)) | np.isin(made.pdg, list(last)) | _is_lepton(kind)
            parts.append(made.select(stays))
            made = self._decay(made.select(~stays))
        return Parents.join(parts)

    def _meet(self, hadrons: Parents, *, beam: bool = False) -> tuple[Parents, Parents]:
        """Draw how flights end: return the hadrons where they collide, and those where they decay.

        The beam stays on the axis: prompt muons of its collisions start at exactly x = y = 0.
        """
        lengths = self._lengths(hadrons)
        depth = self._rng.exponential(size=len(hadrons.pdg))
        flights = self._walk(hadrons, depth, lengths, lengths)
        kind = np.abs(hadrons.pdg)
        ctau = np.full(len(kind), np.inf)
        for pdg, value in self._competing_ctau.items():
            ctau[kind == pdg] = value
        size = _sizes(hadrons.momentum)
        way = ctau * size / hadrons.mass * self._rng.exponential(size=len(kind))
        decays = np.isfinite(way) & ~(flights.inside & (flights.length < way))
        way = np.where(decays, way, 0.0)
        moved = replace(hadrons, position=hadrons.position + hadrons.momentum / size[:, None] * way[:, None])
        decaying = moved.select(decays & (moved.position[:, 2] < self._target.end))
        colliding = self._at_end(hadrons, flights, scatter=not beam).select(flights.inside & ~decays)
        return colliding.select(colliding.energy >= self._energy_cut), decaying

    def _lengths(self, hadrons: Parents) -> Float64:
        return self._sections.mean_free_paths(hadrons.pdg, hadrons.mass, hadrons.energy)

    def _walk(self, hadrons: Parents, depth: Float64, lengths: Float64, true_lengths: Float64) -> Flights:
        cosine = hadrons.momentum[:, 2] / _sizes(hadrons.momentum)
        return self._target.walk(hadrons.position[:, 2], cosine, depth, lengths, true_lengths)

    def _force_decays(self, hadrons: Parents) -> None:
        """Put muonic decays somewhere along flights, weighted with the probability to decay there.

        Places are drawn by optical depth, with a density enlarged in gaps of light material: these would
        otherwise give few decays of large weight. The draws of one flight are spread evenly (stratified).
        """
        for kind, (ctau, draws) in _FORCED.items():
            once = hadrons.select(np.abs(hadrons.pdg) == kind)
            n = len(once.pdg)
            chosen = once.select(np.repeat(np.arange(n), draws))
            lengths = self._lengths(once).repeat(draws, axis=0)
            drawn = np.minimum(lengths, _GAP_FACTOR * lengths[:, :1])
            depth = -np.log1p(-(np.tile(np.arange(draws), n) + self._rng.random(n * draws)) / draws)
            flights = self._walk(chosen, depth, drawn, lengths)
            # Density of decays here, over the density of drawn places.
            decay_length = _sizes(chosen.momentum) / chosen.mass * ctau
            unit = np.take_along_axis(drawn, flights.material[:, None], axis=1)[:, 0]
            with np.errstate(over="ignore"):
                share = np.exp(depth - flights.true_depth - flights.length / decay_length)
            weight = chosen.weight / draws * unit / decay_length * share
            placed = replace(self._at_end(chosen, flights), weight=weight)
            self._in_flight.append(placed.select(flights.inside & (placed.energy >= self._energy_cut)))

    def _at_end(self, hadrons: Parents, flights: Flights, *, scatter: bool = True) -> Parents:
        """Return hadrons at the end of their flights, after multiple scattering and energy loss."""
        size = _sizes(hadrons.momentum)
        position = hadrons.position + hadrons.momentum * (flights.length / size)[:, None]
        charged = ~np.isin(np.abs(hadrons.pdg), _NEUTRAL)
        momentum = hadrons.momentum.copy()
        if scatter:
            # Highland's angle; offset and angle are correlated as in the PDG's review of passage through
            # matter.
            thickness = np.maximum(flights.radiation_lengths, 1e-3)
            angle = 0.0136 / size * np.sqrt(thickness) * (1 + 0.038 * np.log(thickness)) * charged
            kick = self._rng.standard_normal((len(size), 2))
            other = self._rng.standard_normal((len(size), 2))
            position[:, :2] += (flights.length * angle)[:, None] * (other / np.sqrt(12) + kick / 2)
            momentum[:, :2] += (size * angle)[:, None] * kick
            transverse = np.square(momentum[:, :2]).sum(axis=1)
            momentum[:, 2] = np.sqrt(np.maximum(size**2 - transverse, 1e-6))
        kept = np.maximum(1 - charged * flights.energy_loss / size, 0.1)
        return replace(hadrons, position=position, momentum=momentum * kept[:, None])

    def _thinned(self, hadrons: Parents) -> Parents:
        """Leave out some of the collisions that hardly matter, at the inverse weight of those that stay."""
        share = np.clip(hadrons.energy / self._energy_cut - 1, _LEAST_COLLISION_SHARE, 1)
        kept = self._rng.random(len(share)) < share
        return replace(hadrons, weight=hadrons.weight / share).select(kept)

    def _collide(self, hadrons: Parents) -> Parents:
        """Return what collisions make."""
        materials = self._target.material_at(hadrons.position[:, 2]).tolist()
        rows: list[tuple[float, ...]] = []
        nuclei = [1] * len(materials)
        for i, (pdg, mass, vector) in enumerate(self._scalars(hadrons)):
            for _ in range(_TRIES):
                if not self._pythia.sigmaSetuphN(pdg, vector, mass):
                    break
                z, nuclei[i] = self._sections.draw_nucleus(materials[i], self._random)
                event = self._pythia.nextColl(z, nuclei[i])
                if event.size() > 1:
                    self._read(event, i, rows)
                    break
        first = sum(len(some.pdg) for some in self._collisions)
        self._collisions.append(Collisions(hadrons.pdg, hadrons.momentum, np.array(nuclei, dtype=np.int64)))
        return hadrons.products(rows, np.arange(first, first + len(nuclei)))

    def _decay(self, hadrons: Parents) -> Parents:
        """Return what decays make."""
        rows: list[tuple[float, ...]] = []
        for i, (pdg, mass, vector) in enumerate(self._scalars(hadrons)):
            self._read(self._pythia.nextDecay(pdg, vector, mass), i, rows)
        return hadrons.products(rows)

    def _scalars(self, hadrons: Parents) -> list[tuple[int, float, Any]]:
        table = np.column_stack([hadrons.momentum, hadrons.energy]).tolist()
        return [
            (pdg, mass, self._vector(*row))
            for pdg, mass, row in zip(hadrons.pdg.tolist(), hadrons.mass.tolist(), table, strict=True)
        ]

    def _read(self, event: Any, source: int, rows: list[tuple[float, ...]]) -> None:
        """Append (source, pdg, px, py, pz, mass) of an event's particles above the cut."""
        cut = self._energy_cut
        for i in range(1, event.size()):
            particle = event[i]
            if particle.e() >= cut:
                rows.append(
                    (source, particle.id(), particle.px(), particle.py(), particle.pz(), particle.m())
                )

    def _sorted(self, made: Parents) -> Parents:
        """Note the parents of muons among particles, return those to follow or to decay.

        Muons are dropped: the forced decays stand for them, and a single unforced one would carry as much
        weight as ten thousand others. So are charm and beauty, which have runs of their own.
        """
        made = made.select(made.momentum[:, 2] >= _LEAST_FORWARD * made.energy)
        kind = np.abs(made.pdg)
        made = self._weights.weigh(made, self._collisions, by_data=self._by_data)
        self._pairs.append(made.select(np.isin(kind, _PAIR_PARENTS)))
        share = self._rng.random(len(kind)) < _PHOTON_SHARE
        photons = made.select(share & (kind == _PHOTON))
        from_pions = neutral_pion_photons(made.select(share & (kind == _NEUTRAL_PION)), self._rng)
        bright = Parents.join([photons, from_pions])
        bright = replace(bright, weight=bright.weight / _PHOTON_SHARE)
        self._photons.append(bright.select(bright.energy >= self._energy_cut))
        to_k_short = self._rng.random(len(kind)) < 0.5
        pdg = np.where(kind == _NEUTRAL_KAON, np.where(to_k_short, _K_SHORT, K_LONG), made.pdg)
        dropped = _is_lepton(kind) | (kind == _PHOTON) | (kind == _NEUTRAL_PION) | _is_heavy(kind)
        return replace(made, pdg=pdg).select(~dropped)


def _sizes(vectors: Float64) -> Float64:
    size: Float64 = np.sqrt(np.square(vectors).sum(axis=1))
    return size


def _is_lepton(kind: Int64) -> npt.NDArray[np.bool_]:
    lepton: npt.NDArray[np.bool_] = (kind > 10) & (kind < 19)
    return lepton


def _is_heavy(kind: Int64) -> npt.NDArray[np.bool_]:
    """Whether PDG codes contain charm or beauty quarks."""
    heavy: npt.NDArray[np.bool_] = (kind // 100 % 10 >= 4) | (kind // 1000 % 10 >= 4)
    return heavy
