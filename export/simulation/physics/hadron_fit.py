"""Measured yields of pions and kaons in proton-nucleus collisions, as a fit to data.

The fit of Bonesini, Marchionni, Pietropaolo and Tabarelli de Fatis, Eur. Phys. J. C 20 (2001) 13
(hep-ph/0101163), to what NA20 (400 GeV) and NA56/SPY (450 GeV) measured behind thin beryllium targets. With
xR = E*/E*max, the hadron's energy over the largest one, both in the centre of mass of proton and nucleon,
scaling makes it one of other energies. Strong and electromagnetic decays are included, those of K_S and
hyperons are not. Its authors state about 10 % where there are data, up to pT of 0.6 GeV.

Other nuclei: the same paper's power of the mass number, a fit to Barton et al., Phys. Rev. D 27 (1983) 2580,
and Skubic et al., Phys. Rev. D 18 (1978) 3115.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64

#: What yields are known of: charged pions and kaons, neutral pions, and K_L and K_S together.
SPECIES = ("pi+", "pi-", "pi0", "K+", "K-", "K0")

_PROTON_MASS, _PION_MASS, _KAON_MASS = 0.938272, 0.13957, 0.49368
_BERYLLIUM = 9.012


@dataclass(frozen=True)
class _Fit:
    """Parameters of the invariant cross-section of a positive hadron on beryllium, mb/GeV2.

    ``scale (1 - x)^alpha (1 + slope x) x^-beta (1 + a' pT + b' pT^2) exp(-a' pT)`` with ``a' = a / x^gamma``
    and ``b' = a^2 / (2 x^delta)``; positive over negative is ``ratio (1 + sign x)^power``.
    """

    mass: float
    scale: float
    slope: float
    alpha: float
    beta: float
    a: float
    gamma: float
    delta: float
    ratio: float
    sign: int
    power: float


_FITS = {
    "pi": _Fit(_PION_MASS, 62.3, 1.57, 3.45, 0.517, 6.10, 0.153, 0.478, 1.05, 1, 2.65),
    "K": _Fit(_KAON_MASS, 7.74, 0.0, 2.45, 0.444, 5.04, 0.121, 0.242, 1.15, -1, -3.17),
}

#: Shares of positive and negative hadrons in a species. K_L and K_S by counting quarks: a proton has two
#: valence u for K+ and one valence d for K0, the sea makes all alike.
_SHARES = {
    "pi+": ("pi", 1.0, 0.0), "pi-": ("pi", 0.0, 1.0), "pi0": ("pi", 0.5, 0.5),
    "K+": ("K", 1.0, 0.0), "K-": ("K", 0.0, 1.0), "K0": ("K", 0.5, 1.5),
}  # fmt: skip


def mass_number_power(x_feynman: Float64, pt: Float64) -> Float64:
    """Return the power of the mass number that the invariant cross-section goes with, float64[n]."""
    return (0.74 - 0.55 * x_feynman + 0.26 * x_feynman**2) * (0.98 + 0.21 * pt**2)


def invariant_cross_section(
    species: str, momentum: Float64, pt: Float64, mass_number: float, beam: float
) -> Float64:
    """Return E d3 sigma / dp3 of protons on a nucleus.

    Parameters
    ----------
    species : str
        Of `SPECIES`; ``K0`` is K_L and K_S together.
    momentum, pt : float64[n]
        The hadron's in the nucleus' rest frame, GeV.
    mass_number : float
        The nucleus'.
    beam : float
        Momentum of the protons, GeV.

    Returns
    -------
    float64[n]
        mb/GeV2; 0 where there is no energy for it.
    """
    family, positive, negative = _SHARES[species]
    fit = _FITS[family]
    beam_energy = float(np.hypot(beam, _PROTON_MASS))
    square = 2 * _PROTON_MASS * (_PROTON_MASS + beam_energy)
    root = float(np.sqrt(square))
    energy = np.hypot(momentum, fit.mass)
    along = np.sqrt(np.maximum(momentum**2 - pt**2, 0.0))
    centre_energy = ((beam_energy + _PROTON_MASS) * energy - beam * along) / root
    centre_along = ((beam_energy + _PROTON_MASS) * along - beam * energy) / root
    # Two nucleons are left, in the least.
    largest = (square + fit.mass**2 - (2 * _PROTON_MASS) ** 2) / (2 * root)
    x = np.clip(centre_energy / largest, 1e-6, 1 - 1e-9)
    steep, curved = fit.a / x**fit.gamma, fit.a**2 / (2 * x**fit.delta)
    section = fit.scale * (1 - x) ** fit.alpha * (1 + fit.slope * x) * x**-fit.beta
    section *= (1 + steep * pt + curved * pt**2) * np.exp(-steep * pt)
    section *= positive + negative / (fit.ratio * (1 + fit.sign * x) ** fit.power)
    power = mass_number_power(np.clip(2 * centre_along / root, 0.0, 1.0), np.minimum(pt, _LARGEST_PT))
    section *= (mass_number / _BERYLLIUM) ** power
    return np.where((centre_energy < largest) & (pt < momentum), section, 0.0)


#: The power of the mass number reaches 1 near this transverse momentum, GeV, and stays there.
_LARGEST_PT = 1.3


def yields(
    species: str, x_edges: Float64, pt_edges: Float64, mass_number: float, cross_section: float, beam: float
) -> Float64:
    """Return hadrons a collision in bins of their share of the beam's momentum and of pT.

    Parameters
    ----------
    species : str
        Of `SPECIES`.
    x_edges, pt_edges : float64[n + 1], float64[m + 1]
        Of momentum over beam momentum, and of pT, GeV.
    mass_number : float
        The nucleus'.
    cross_section : float
        Of the collisions that are counted, mb.
    beam : float
        GeV.

    Returns
    -------
    float64[n, m]
        Per collision.
    """
    points, weights = np.polynomial.legendre.leggauss(5)
    mass = _FITS[_SHARES[species][0]].mass
    half_x, half_pt = np.diff(x_edges) / 2, np.diff(pt_edges) / 2
    x = ((x_edges[1:] + x_edges[:-1]) / 2)[:, None] + half_x[:, None] * points
    pt = ((pt_edges[1:] + pt_edges[:-1]) / 2)[:, None] + half_pt[:, None] * points
    momentum, transverse = np.broadcast_arrays(beam * x[:, :, None, None], pt[None, None, :, :])
    # d3p / E = 2 pi pT dpT dpz / E, with dpz = p / pz dp.
    along = np.sqrt(np.maximum(momentum**2 - transverse**2, 1e-9))
    density = invariant_cross_section(species, momentum, transverse, mass_number, beam)
    density = density * 2 * np.pi * transverse * momentum / along / np.hypot(momentum, mass)
    total: Float64 = np.einsum("xipj,i,j,x,p->xp", density, weights, weights, half_x * beam, half_pt)
    return total / cross_section
