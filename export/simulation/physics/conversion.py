"""Photons to muon pairs in the field of nuclei.

Cross-section and spectra: Burkhardt, Kelner, Kokoulin, CERN-SL-2002-016, as in the physics manual of Geant4
(gamma conversion into a muon pair).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.categories import MUON_MASS
from shipgen_export.simulation.particles import Process, ProducedMuons
from shipgen_export.simulation.physics.kinematics import around_axis, by_rejection

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64, Int64
    from shipgen_export.simulation.particles import Parents
    from shipgen_export.simulation.target import Element, Target

_FINE_STRUCTURE = 1 / 137.035999
_ELECTRON_MASS = 0.51099895e-3  # GeV
_MUON_RADIUS = 2.8179403e-13 * _ELECTRON_MASS / MUON_MASS  # classical, cm

#: A photon's path to its conversion, any kind, is exponential with 9/7 of the radiation length.
_CONVERSION_LENGTH = 9 / 7


def photon_conversions(photons: Parents, target: Target, rng: np.random.Generator) -> ProducedMuons:
    """Convert photons to muon pairs: two muons a photon that converts inside the slabs.

    The weight is multiplied by the share of muon pairs in all conversions where the photon converts.

    Parameters
    ----------
    photons : Parents
        Where they are made.
    target : Target
        What they go through.
    rng : numpy.random.Generator
        Source of random numbers.
    """
    energy = np.linalg.norm(photons.momentum, axis=1)
    direction = photons.momentum / energy[:, None]
    amount = rng.exponential(_CONVERSION_LENGTH, len(energy))
    z = target.advance_radiation_lengths(photons.position[:, 2], direction[:, 2], amount)
    inside = np.isfinite(z)
    photons, energy, direction, z = photons.select(inside), energy[inside], direction[inside], z[inside]
    way = (z - photons.position[:, 2]) / direction[:, 2]
    position = photons.position + way[:, None] * direction
    # All shares that leave both muons their mass: the slower one may be soft, the faster one counts.
    least = np.minimum(MUON_MASS / energy, 0.5)
    share = rng.uniform(least, 1 - least)
    weight = photons.weight * (1 - 2 * least) * _muon_share(target, target.material_at(z), energy, share)
    at_conversion = replace(photons, weight=weight, position=position)
    return ProducedMuons.join(_pair(at_conversion, energy, direction, share, rng))


def pair_cross_section(element: Element, energy: Float64, share: Float64) -> Float64:
    """Return d sigma / d share for the positive muon's share of the photon's energy.

    Parameters
    ----------
    element : Element
        The nucleus.
    energy : float64[n]
        The photon's, GeV.
    share : float64[n]
        Between 0 and 1.

    Returns
    -------
    float64[n]
        cm2, 0 where the formula ends.
    """
    root_e = math.sqrt(math.e)
    both = share * (1 - share)
    transfer = MUON_MASS**2 / (2 * energy * both)
    screening, size = (202.4, 1.49) if element.z == 1 else (183.0, 1.54 * element.a**0.27)
    screening *= element.z ** (-1 / 3)
    unscreened = screening / size * MUON_MASS / _ELECTRON_MASS
    nucleus = 1 + (size * root_e - 2) * transfer / MUON_MASS
    electrons = 1 + screening * root_e * transfer / _ELECTRON_MASS
    logarithm: Float64 = np.log(np.maximum(unscreened * nucleus / electrons, 1.0))
    return 4 * _FINE_STRUCTURE * element.z**2 * _MUON_RADIUS**2 * (1 - 4 / 3 * both) * logarithm


def _muon_share(target: Target, material: Int64, energy: Float64, share: Float64) -> Float64:
    """Return the part of all conversions that gives muons with this share of energy, a unit of it."""
    result = np.zeros(len(energy))
    for index, entry in enumerate(target.materials):
        here = material == index
        section = sum(
            element.count * pair_cross_section(element, energy[here], share[here])
            for element in entry.elements
        )
        result[here] = section * entry.molecules * _CONVERSION_LENGTH * entry.radiation_length
    return result


def _pair(
    photons: Parents, energy: Float64, direction: Float64, share: Float64, rng: np.random.Generator
) -> list[ProducedMuons]:
    """Return both muons, back to back about the photon's direction."""
    both = share * (1 - share)

    def accept(rows: Int64, t: Float64) -> Float64:
        return 1 - 2 * both[rows] + 4 * both[rows] * t[:, 0] * (1 - t[:, 0])

    # t = 1 / (1 + (angle x energy / mass)^2) of a muon; angles beyond 30 masses are cut by the nucleus' size.
    t = by_rejection(rng, len(share), lambda rows: rng.uniform(1e-3, 1, (len(rows), 1)), accept)
    reduced = np.sqrt(1 / t.reshape(len(share)) - 1)
    side = around_axis(rng, direction, np.zeros(len(share)))
    muons = []
    for pdg, sign, part in ((-13, 1, share), (13, -1, 1 - share)):
        size = np.sqrt(np.maximum((part * energy) ** 2 - MUON_MASS**2, 0.0))
        angle = np.minimum(reduced * MUON_MASS / (part * energy), 1.0)
        momentum = size[:, None] * (np.cos(angle)[:, None] * direction + sign * np.sin(angle)[:, None] * side)
        kind = np.full(len(share), pdg)
        muons.append(ProducedMuons.make(photons, Process.PHOTON_CONVERSION, kind, momentum, photons.weight))
    return muons
