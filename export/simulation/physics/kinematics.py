"""Relativistic kinematics on columns: boosts, two-body momenta, directions. Energies and masses in GeV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float64, Int64


def boost(energy: Float64, momentum: Float64, parent: Float64, mass: Float64) -> Float64:
    """Boost a momentum from its parent's rest frame.

    Parameters
    ----------
    energy : float64[n]
        In the rest frame.
    momentum : float64[n, 3]
        In the rest frame.
    parent : float64[n, 3]
        The parent's momentum.
    mass : float64[n]
        The parent's mass.

    Returns
    -------
    float64[n, 3]
        The momentum in the frame in which the parent has momentum `parent`.
    """
    gamma_beta = parent / mass[:, None]
    gamma = np.sqrt(1 + np.square(gamma_beta).sum(axis=1))
    along = (gamma_beta * momentum).sum(axis=1)
    boosted: Float64 = momentum + gamma_beta * (along / (gamma + 1) + energy)[:, None]
    return boosted


def two_body_momentum(mass: Float64, first: Float64 | float, second: Float64 | float) -> Float64:
    """Return the momentum of both products in the rest frame of `mass`; 0 below threshold."""
    product = (mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)
    return np.sqrt(np.maximum(product, 0.0)) / (2 * mass)


def isotropic(rng: np.random.Generator, n: int) -> Float64:
    """Draw n unit vectors, float64[n, 3], evenly over the sphere."""
    return around_axis(rng, np.tile([0.0, 0.0, 1.0], (n, 1)), rng.uniform(-1, 1, n))


def around_axis(rng: np.random.Generator, axis: Float64, cosine: Float64) -> Float64:
    """Draw unit vectors at given angles to given axes, with an even azimuth.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the azimuths.
    axis : float64[n, 3]
        Unit vectors.
    cosine : float64[n]
        Of the angle to the axis.

    Returns
    -------
    float64[n, 3]
        Unit vectors.
    """
    # Any vector that is not along the axis gives a normal: take the one of its smallest component.
    other = np.eye(3)[np.abs(axis).argmin(axis=1)]
    normal = np.cross(axis, other)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    binormal = np.cross(axis, normal)
    azimuth = rng.uniform(0, 2 * np.pi, len(cosine))
    sine = np.sqrt(np.maximum(1 - cosine**2, 0.0))
    side = np.cos(azimuth)[:, None] * normal + np.sin(azimuth)[:, None] * binormal
    direction: Float64 = cosine[:, None] * axis + sine[:, None] * side
    return direction


def by_rejection(
    rng: np.random.Generator,
    n: int,
    propose: Callable[[Int64], Float64],
    accept: Callable[[Int64, Float64], Float64],
) -> Float64:
    """Draw n rows with a density given relative to that of uniform numbers.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of uniform numbers.
    n : int
        How many rows.
    propose : callable
        Turns the indices of the rows that are still open, int64[m], into proposals, float64[m, d].
    accept : callable
        Takes indices and proposals, gives probabilities of acceptance, float64[m].

    Returns
    -------
    float64[n, d]
        Accepted proposals.
    """
    open_rows = np.arange(n, dtype=np.int64)
    result = np.empty((0, 0))
    while len(open_rows):
        proposal = propose(open_rows)
        if not result.size:
            result = np.empty((n, proposal.shape[1]))
        taken = rng.random(len(open_rows)) < accept(open_rows, proposal)
        result[open_rows[taken]] = proposal[taken]
        open_rows = open_rows[~taken]
    return result
