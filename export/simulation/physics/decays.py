"""Forced decays to muons, as columns: every parent decays, the weight carries the branching ratio.

Branching ratios are the PDG's of 2024. A muon's weight is its parent's x the branching ratio.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.particles import Parents, Process, ProducedMuons
from shipgen_export.simulation.physics.kinematics import (
    around_axis,
    boost,
    by_rejection,
    isotropic,
    two_body_momentum,
)

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64, Int64

PION, KAON, K_LONG = 211, 321, 130
RHO, OMEGA, PHI, ETA, ETA_PRIME = 113, 223, 333, 221, 331

_NEUTRAL_PION_MASS, _CHARGED_PION_MASS = 0.1349768, 0.13957039
_OMEGA_MASS, _ETA_MASS, _ETA_PRIME_MASS = 0.78266, 0.547862, 0.95778

#: To mu nu.
TWO_BODY = {PION: 0.999877, KAON: 0.6356}
#: To mu nu pi; both charges together for K_L.
THREE_BODY = {KAON: 0.03352, K_LONG: 0.2704}

#: Meson -> branching ratio to mu+ mu-.
DIMUON = {RHO: 4.55e-5, OMEGA: 7.4e-5, PHI: 2.85e-4, ETA: 5.8e-6}


class _Dalitz(NamedTuple):
    """A decay to a muon pair and one more particle.

    Ratio, masses (GeV), pole of the form factor and its width (GeV).
    """

    ratio: float
    mass: float
    other: float
    pole: float
    width: float = 0.0


DALITZ = {
    ETA: _Dalitz(3.1e-4, _ETA_MASS, 0.0, 0.72),
    OMEGA: _Dalitz(1.34e-4, _OMEGA_MASS, _NEUTRAL_PION_MASS, 0.668),
    # The eta' reaches over its pole, which has a width: BESIII, PRD 92 (2015) 012001.
    ETA_PRIME: _Dalitz(1.13e-4, _ETA_PRIME_MASS, 0.0, 0.79, 0.13),
}

#: Branching ratio for which a channel to a muon pair is drawn once.
DRAW_RATIO = 4e-5

_PHOTON, _TWO_PHOTONS = 22, 0.98823

#: Mesons that `muon_pairs` decays.
PAIR_PARENTS = frozenset(DIMUON) | frozenset(DALITZ)

# Linear slopes of the vector and scalar form factors of K -> pi mu nu, in units of the charged pion's mass
# squared (PDG, fit to K_mu3).
_VECTOR_SLOPE, _SCALAR_SLOPE = 0.0282, 0.0138

#: `kaon_dalitz_density` over the kaon's mass cubed stays below this all over the plot, for both kaons.
LARGEST_DALITZ_DENSITY = 0.1


def decays_in_flight(parents: Parents, rng: np.random.Generator) -> ProducedMuons:
    """Decay pions, charged kaons and K_L: one muon each.

    Parameters
    ----------
    parents : Parents
        At the place and with the momentum of their decay; pions, kaons and K_L only.
    rng : numpy.random.Generator
        Source of random numbers.
    """
    kind = np.abs(parents.pdg)
    two = np.array([TWO_BODY.get(k, 0.0) for k in (PION, KAON, K_LONG)])
    three = np.array([THREE_BODY.get(k, 0.0) for k in (PION, KAON, K_LONG)])
    index = np.select([kind == PION, kind == KAON], [0, 1], 2)
    share = three / (two + three)
    is_three = rng.random(len(kind)) < share[index]
    momentum = two_body_momentum(parents.mass, MUON_MASS, 0.0)[:, None] * isotropic(rng, len(kind))
    momentum[is_three] = _with_pion(
        parents.mass[is_three],
        np.where(kind[is_three] == KAON, _NEUTRAL_PION_MASS, _CHARGED_PION_MASS),
        rng,
    )
    charge = np.where(kind == K_LONG, rng.choice([-1, 1], len(kind)), np.sign(parents.pdg))
    energy = np.sqrt(np.square(momentum).sum(axis=1) + MUON_MASS**2)
    return ProducedMuons.make(
        parents,
        Process.DECAY,
        -13 * charge,
        boost(energy, momentum, parents.momentum, parents.mass),
        parents.weight * (two + three)[index],
    )


def _with_pion(mass: Float64, pion: Float64, rng: np.random.Generator) -> Float64:
    """Draw the muon's momentum in the rest frame of a kaon that decays to pi mu nu, float64[n, 3].

    The density of the Dalitz plot is that of the V - A current with linear form factors (PDG, review
    "Form factors for radiative and semileptonic kaon decays").
    """
    if not len(mass):
        return np.empty((0, 3))
    largest_pion = (mass**2 + pion**2 - MUON_MASS**2) / (2 * mass)
    largest_muon = (mass**2 + MUON_MASS**2 - pion**2) / (2 * mass)

    def propose(rows: Int64) -> Float64:
        return np.column_stack(
            [
                rng.uniform(pion[rows], largest_pion[rows]),
                rng.uniform(MUON_MASS, largest_muon[rows]),
            ]
        )

    def accept(rows: Int64, energies: Float64) -> Float64:
        density = kaon_dalitz_density(mass[rows], pion[rows], energies[:, 0], energies[:, 1])
        return density / (LARGEST_DALITZ_DENSITY * mass[rows] ** 3)

    muon = by_rejection(rng, len(mass), propose, accept)[:, 1]
    return np.sqrt(muon**2 - MUON_MASS**2)[:, None] * isotropic(rng, len(mass))


def kaon_dalitz_density(mass: Float64, pion: Float64, pion_energy: Float64, muon_energy: Float64) -> Float64:
    """Return the density of K -> pi mu nu in the energies of pion and muon, 0 outside the Dalitz plot.

    All float64[n], GeV; the density's scale is arbitrary.
    """
    neutrino = mass - pion_energy - muon_energy
    to_go = (mass**2 + pion**2 - MUON_MASS**2) / (2 * mass) - pion_energy
    scale = _CHARGED_PION_MASS**2
    transfer = mass**2 + pion**2 - 2 * mass * pion_energy
    plus = 1 + _VECTOR_SLOPE * transfer / scale
    minus = (_SCALAR_SLOPE - _VECTOR_SLOPE) * (mass**2 - pion**2) / scale
    density = (
        plus**2 * (mass * (2 * muon_energy * neutrino - mass * to_go) + MUON_MASS**2 * (to_go / 4 - neutrino))
        + plus * minus * MUON_MASS**2 * (neutrino - to_go / 2)
        + minus**2 * MUON_MASS**2 * to_go / 4
    )
    # Inside the plot the three momenta close a triangle.
    p_pion = np.sqrt(np.maximum(pion_energy**2 - pion**2, 0))
    p_muon = np.sqrt(np.maximum(muon_energy**2 - MUON_MASS**2, 0))
    inside = (np.abs(p_pion - p_muon) <= neutrino) & (neutrino <= p_pion + p_muon)
    return np.where(inside, density, 0.0)


def neutral_pion_photons(pions: Parents, rng: np.random.Generator) -> Parents:
    """Decay neutral pions to two photons each; the ratio is 98.8 %, taken as the photons' weight."""
    half = (pions.mass / 2)[:, None] * isotropic(rng, len(pions.pdg))
    photon = replace(
        pions,
        pdg=np.full(len(pions.pdg), _PHOTON),
        weight=pions.weight * _TWO_PHOTONS,
        mass=np.zeros(len(pions.pdg)),
    )
    return Parents.join(
        replace(photon, momentum=boost(pions.mass / 2, sign * half, pions.momentum, pions.mass))
        for sign in (1, -1)
    )


def muon_pairs(parents: Parents, rng: np.random.Generator) -> ProducedMuons:
    """Decay light mesons to muon pairs in every channel they have, about as often as a channel's ratio asks.

    A channel is drawn once or more for each parent, or for a share of the parents if it is rare, so that all
    muons weigh about the same; every draw gives two muons.

    Parameters
    ----------
    parents : Parents
        `PAIR_PARENTS` only.
    rng : numpy.random.Generator
        Source of random numbers.
    """
    parts = []
    for meson, ratio in DIMUON.items():
        chosen = _drawn(parents.select((parents.pdg == meson) & (parents.mass > 2 * MUON_MASS)), ratio, rng)
        at_rest = np.zeros_like(chosen.momentum)
        direction = isotropic(rng, len(chosen.pdg))
        parts += _both_muons(chosen, chosen.mass, at_rest, chosen.mass, direction, ratio, Process.DIMUON)
    for meson, channel in DALITZ.items():
        chosen = _drawn(parents.select(parents.pdg == meson), channel.ratio, rng)
        n = len(chosen.pdg)
        pair_mass = _draw_pair_mass(channel, rng, n)
        mass = np.full(n, channel.mass)
        axis = isotropic(rng, n)
        pair = two_body_momentum(mass, pair_mass, channel.other)[:, None] * axis
        direction = around_axis(rng, axis, _transverse_cosine(pair_mass, rng))
        parts += _both_muons(chosen, mass, pair, pair_mass, direction, channel.ratio, Process.DALITZ)
    return ProducedMuons.join(parts)


def _drawn(parents: Parents, ratio: float, rng: np.random.Generator) -> Parents:
    """Repeat parents, or leave some out, so that weight x `ratio` is near `DRAW_RATIO` x weight."""
    draws = max(round(ratio / DRAW_RATIO), 1)
    share = min(ratio / DRAW_RATIO, 1.0)
    rows = np.repeat(np.flatnonzero(rng.random(len(parents.pdg)) < share), draws)
    chosen = parents.select(rows)
    return replace(chosen, weight=chosen.weight / (draws * share))


def _both_muons(
    parents: Parents,
    mass: Float64,
    pair: Float64,
    pair_mass: Float64,
    direction: Float64,
    ratio: float,
    process: Process,
) -> list[ProducedMuons]:
    """Return both muons of pairs with momentum `pair` in the rest frame of parents of `mass`.

    The negative muon goes along `direction` in the pair's rest frame. A parent whose own mass is not `mass`
    keeps its velocity.
    """
    velocity = parents.momentum * (mass / parents.mass)[:, None]
    size = two_body_momentum(pair_mass, MUON_MASS, MUON_MASS)
    energy = np.hypot(size, MUON_MASS)
    muons = []
    for sign in (1, -1):
        inner = boost(energy, sign * size[:, None] * direction, pair, pair_mass)
        inner_energy = np.sqrt(np.square(inner).sum(axis=1) + MUON_MASS**2)
        momentum = boost(inner_energy, inner, velocity, mass)
        pdg = np.full(len(mass), 13 * sign)
        muons.append(ProducedMuons.make(parents, process, pdg, momentum, parents.weight * ratio))
    return muons


def _transverse_cosine(pair_mass: Float64, rng: np.random.Generator) -> Float64:
    """Draw 1 + cos^2 + (2 m / q)^2 sin^2 about a virtual photon's direction: it is transverse."""
    longitudinal = (2 * MUON_MASS / pair_mass) ** 2
    return by_rejection(
        rng,
        len(pair_mass),
        lambda rows: rng.uniform(-1, 1, (len(rows), 1)),
        lambda rows, cosine: (1 + cosine[:, 0] ** 2 + longitudinal[rows] * (1 - cosine[:, 0] ** 2)) / 2,
    ).reshape(len(pair_mass))


def _draw_pair_mass(channel: _Dalitz, rng: np.random.Generator, n: int) -> Float64:
    """Draw masses of the muon pair, Kroll and Wada's spectrum with a pole form factor (Landsberg 1985)."""
    edges = np.linspace(2 * MUON_MASS, channel.mass - channel.other, 2001)
    mass = (edges[1:] + edges[:-1]) / 2
    threshold = 4 * MUON_MASS**2 / mass**2
    available = two_body_momentum(np.full_like(mass, channel.mass), mass, channel.other)
    density = np.sqrt(1 - threshold) * (1 + threshold / 2) / mass * available**3 * form_factor(channel, mass)
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    return np.interp(rng.random(n), cumulative / cumulative[-1], edges)


def form_factor(channel: _Dalitz, mass: Float64) -> Float64:
    """Return the form factor squared of a Dalitz decay at pair masses (GeV), 1 at mass 0; float64[n]."""
    pole, width = channel.pole**2, channel.width**2
    return pole * (pole + width) / ((pole - mass**2) ** 2 + pole * width)
