"""The hadron cascade: protons through the slabs with Pythia's hadron-nucleus collisions.

The one place of shipgen that loops over particles: each collision depends on the one before. What it hands on
are columns of parents (`CascadeOutput`) whose muons are made elsewhere.

Known limits: no elastic scattering of hadrons, straight flights with one kick of multiple scattering, mean
energy loss, photons from hadrons only (no electromagnetic showers), no charm made by secondaries, no muons
from hyperons and K_S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shipgen_export.simulation.decays import K_LONG, KAON, PAIR_PARENTS, PION
from shipgen_export.simulation.muons import Parents
from shipgen_export.simulation.nuclei import CrossSections
from shipgen_export.simulation.pythia import import_pythia

if TYPE_CHECKING:
    import random

    from shipgen_export.simulation.target import Flight, Target

#: Momentum of the protons, GeV.
BEAM_MOMENTUM = 400.0

_PROTON = 2212
_PHOTON = 22
_NEUTRAL_KAON = 311
_K_SHORT = 310
#: ctau (cm) of the hadrons whose muonic decays are forced along every flight.
_FORCED_CTAU = {PION: 780.45, KAON: 371.2, K_LONG: 1534.0}
#: How often a flight's decay is drawn, each time at a fraction of the weight.
_FORCED_SPLIT = {PION: 1, KAON: 4, K_LONG: 2}
#: Strange hadrons that collide or decay, whichever comes first.
_COMPETING = (_K_SHORT, 3122, 3112, 3222, 3312, 3322, 3334)
_FOLLOWED = frozenset({_PROTON, 2112, *_FORCED_CTAU, *_COMPETING})
_NEUTRAL = frozenset({2112, K_LONG, _K_SHORT, 3122, 3322})
_LEPTONS = frozenset(range(11, 19))

#: The share of photons that is kept, at the inverse weight.
_PHOTON_SHARE = 0.1
#: Forced decays are drawn as if no mean free path were more than this many times that in the first slab.
_GAP_FACTOR = 2.0
#: Tries to make a collision; the nucleus is drawn anew each time.
_TRIES = 3


class Hadron(NamedTuple):
    """A hadron (or photon) where it starts: PDG code, cm, GeV, collisions before it, weight."""

    pdg: int
    x: float
    y: float
    z: float
    px: float
    py: float
    pz: float
    mass: float
    generation: int
    weight: float


@dataclass(frozen=True)
class CascadeOutput:
    """What a number of protons left behind.

    Attributes
    ----------
    in_flight : Parents
        Pions, kaons and K_L at the place of their forced decay.
    pairs : Parents
        rho, omega, phi, eta and eta' where they were made.
    photons : Parents
        Photons where they were made.
    vertices : list of (int, float)
        Number of the proton and z (cm) of its first collision, for those that collide.
    """

    in_flight: Parents
    pairs: Parents
    photons: Parents
    vertices: list[tuple[int, float]]


class Cascade:
    """Follows protons and what they make, above an energy.

    Parameters
    ----------
    pythia : PythiaCascade
        Initialised.
    target : Target
        The slabs.
    random : random.Random
        Source of all random numbers outside Pythia.
    energy_cut : float
        Hadrons and photons below this total energy are dropped, GeV.
    """

    def __init__(self, pythia: Any, target: Target, random: random.Random, energy_cut: float) -> None:
        self._pythia = pythia
        self._target = target
        self._random = random
        self._energy_cut = energy_cut
        self._vector = import_pythia().Vec4
        self._sections = CrossSections(pythia, target.materials, (energy_cut, BEAM_MOMENTUM))
        data = pythia.particleData()
        self._proton_mass = data.m0(_PROTON)
        self._competing_ctau = {pdg: data.tau0(pdg) / 10 for pdg in _COMPETING}  # mm to cm
        self._clear()

    def _clear(self) -> None:
        self._in_flight: list[tuple[float, ...]] = []
        self._pairs: list[tuple[float, ...]] = []
        self._photons: list[tuple[float, ...]] = []
        self._vertices: list[tuple[int, float]] = []

    def run(self, first: int, last: int) -> CascadeOutput:
        """Send protons number `first` to `last` - 1 along z onto the centre of the front face."""
        self._clear()
        start = (0.0, 0.0, self._target.start, 0.0, 0.0, BEAM_MOMENTUM)
        for number in range(first, last):
            self._proton = number
            stack = [Hadron(_PROTON, *start, self._proton_mass, 0, 1.0)]
            while stack:
                hadron = stack.pop()
                if abs(hadron.pdg) in _FOLLOWED:
                    self._fly(hadron, stack)
                else:
                    self._decay(hadron, hadron.x, hadron.y, hadron.z, stack, generation=hadron.generation)
        return CascadeOutput(
            Parents.from_rows(self._in_flight),
            Parents.from_rows(self._pairs),
            Parents.from_rows(self._photons),
            self._vertices,
        )

    def _fly(self, hadron: Hadron, stack: list[Hadron]) -> None:
        """Draw how a hadron's flight ends and put what comes out on the stack."""
        kind = abs(hadron.pdg)
        momentum = math.sqrt(hadron.px**2 + hadron.py**2 + hadron.pz**2)
        energy = math.sqrt(momentum**2 + hadron.mass**2)
        lengths = self._sections.mean_free_paths(hadron.pdg, hadron.mass, energy)
        if lengths is None:
            return
        if kind in _FORCED_CTAU:
            self._force_decays(hadron, momentum, lengths)
        depth = -math.log(1 - self._random.random())
        flight = self._target.walk(hadron.z, hadron.pz / momentum, depth, lengths, lengths)
        if kind in self._competing_ctau:
            way = -self._competing_ctau[kind] * momentum / hadron.mass * math.log(1 - self._random.random())
            if flight is None or way < flight.length:
                x, y, z = (
                    start + p / momentum * way for start, p in zip(hadron[1:4], hadron[4:7], strict=True)
                )
                if z < self._target.end:
                    self._decay(hadron, x, y, z, stack, generation=hadron.generation + 1)
                return
        if flight is not None:
            self._collide(hadron, momentum, flight, stack)

    def _force_decays(self, hadron: Hadron, momentum: float, lengths: list[float]) -> None:
        """Put the hadron's decay somewhere along its flight, weighted with the probability to decay there.

        Places are drawn by optical depth, with a density enlarged in gaps of light material: these would
        otherwise give few decays of large weight.
        """
        kind = abs(hadron.pdg)
        cap = _GAP_FACTOR * lengths[0]
        drawn_lengths = [min(length, cap) for length in lengths]
        decay_length = momentum / hadron.mass * _FORCED_CTAU[kind]
        split = _FORCED_SPLIT[kind]
        for _ in range(split):
            depth = -math.log(1 - self._random.random())
            flight = self._target.walk(hadron.z, hadron.pz / momentum, depth, drawn_lengths, lengths)
            if flight is None:
                continue
            # Density of decays here, over the density of drawn places.
            survival = math.exp(depth - flight.true_depth - flight.length / decay_length)
            weight = hadron.weight / split * drawn_lengths[flight.material] / decay_length * survival
            x, y, px, py, pz = self._at_end(hadron, momentum, flight)
            self._in_flight.append(
                (hadron.pdg, weight, x, y, flight.z, px, py, pz, hadron.mass, self._proton)
            )

    def _at_end(
        self, hadron: Hadron, momentum: float, flight: Flight
    ) -> tuple[float, float, float, float, float]:
        """Return x, y, px, py, pz at the end of a flight, after multiple scattering and energy loss."""
        x = hadron.x + hadron.px / momentum * flight.length
        y = hadron.y + hadron.py / momentum * flight.length
        if abs(hadron.pdg) in _NEUTRAL:
            return x, y, hadron.px, hadron.py, hadron.pz
        # Highland's angle; offset and angle are correlated as in the PDG's review of passage through matter.
        thickness = max(flight.radiation_lengths, 1e-3)
        angle = 0.0136 / momentum * math.sqrt(thickness) * (1 + 0.038 * math.log(thickness))
        gauss = self._random.gauss
        along_x, along_y = gauss(0, 1), gauss(0, 1)
        x += flight.length * angle * (gauss(0, 1) / math.sqrt(12) + along_x / 2)
        y += flight.length * angle * (gauss(0, 1) / math.sqrt(12) + along_y / 2)
        px, py = hadron.px + momentum * angle * along_x, hadron.py + momentum * angle * along_y
        pz = math.sqrt(max(momentum**2 - px**2 - py**2, 1e-6))
        kept = max(1 - flight.energy_loss / momentum, 0.1)
        return x, y, px * kept, py * kept, pz * kept

    def _collide(self, hadron: Hadron, momentum: float, flight: Flight, stack: list[Hadron]) -> None:
        if hadron.generation == 0:
            # The beam: prompt muons of its collision start at exactly x = y = 0.
            self._vertices.append((self._proton, flight.z))
            kept = max(1 - flight.energy_loss / momentum, 0.1)
            x, y, px, py, pz = 0.0, 0.0, 0.0, 0.0, momentum * kept
        else:
            x, y, px, py, pz = self._at_end(hadron, momentum, flight)
        energy = math.sqrt(px**2 + py**2 + pz**2 + hadron.mass**2)
        if energy < self._energy_cut:
            return
        vector = self._vector(px, py, pz, energy)
        for _ in range(_TRIES):
            if not self._pythia.sigmaSetuphN(hadron.pdg, vector, hadron.mass):
                return
            event = self._pythia.nextColl(*self._sections.draw_nucleus(flight.material, self._random))
            if event.size() > 1:
                self._collect(event, x, y, flight.z, hadron.weight, hadron.generation + 1, stack)
                return

    def _decay(
        self, hadron: Hadron, x: float, y: float, z: float, stack: list[Hadron], *, generation: int
    ) -> None:
        energy = math.sqrt(hadron.px**2 + hadron.py**2 + hadron.pz**2 + hadron.mass**2)
        event = self._pythia.nextDecay(
            hadron.pdg, self._vector(hadron.px, hadron.py, hadron.pz, energy), hadron.mass
        )
        self._collect(event, x, y, z, hadron.weight, generation, stack)

    def _collect(
        self, event: Any, x: float, y: float, z: float, weight: float, generation: int, stack: list[Hadron]
    ) -> None:
        """Sort an event's particles above the cut into those to follow, to decay by force, and to drop.

        Muons are dropped: the forced decays stand for them, and a single unforced one would carry as much
        weight as ten thousand others. So are charm and beauty, which have runs of their own.
        """
        cut = self._energy_cut
        for i in range(1, event.size()):
            particle = event[i]
            energy = particle.e()
            if energy < cut:
                continue
            pdg, pz = particle.id(), particle.pz()
            kind = abs(pdg)
            if kind in _LEPTONS or pz < 0.5 * energy:
                continue
            px, py = particle.px(), particle.py()
            if kind == _PHOTON:
                if self._random.random() < _PHOTON_SHARE:
                    enlarged = weight / _PHOTON_SHARE
                    self._photons.append((pdg, enlarged, x, y, z, px, py, pz, 0.0, self._proton))
                continue
            mass = particle.m()
            if kind == _NEUTRAL_KAON:
                pdg = _K_SHORT if self._random.random() < 0.5 else K_LONG
            elif kind in PAIR_PARENTS:
                self._pairs.append((pdg, weight, x, y, z, px, py, pz, mass, self._proton))
            elif kind not in _FOLLOWED and _is_heavy(kind):
                continue
            stack.append(Hadron(pdg, x, y, z, px, py, pz, mass, generation, weight))


def _is_heavy(kind: int) -> bool:
    """Whether a PDG code contains charm or beauty quarks."""
    return kind // 100 % 10 >= 4 or kind // 1000 % 10 >= 4
