"""The tables of a student, calibrated: its coordinates, one by one, are what the sample's tables say.

A network's numbers are not quite normal, flows' and students' alike, least in the tails: a shift by a
hundredth four standard deviations out is four per cent of the muons beyond. How they are distributed is
counted, and the tables are read where a normal number with as much below would be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.maps.smoothing import LIMIT

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.maps.marginals import Marginal
    from shipgen_export.maps.muon_map import MuonMap

#: Latents that are counted, and of which part at once.
MUONS, _SLICE = 8_000_000, 200_000
#: Normal numbers at which the distribution is compared; beyond the last ones the shift stays. Within, it is
#: a smooth function of so many points.
_REACH, _POINTS = 4.0, 33
#: A network that is further off has not learnt its coordinate, and tables do not mend it.
_FARTHEST = 1.0
#: Bins that numbers are counted in, from -LIMIT - 1 to LIMIT + 1.
_BINS = 24_000
#: Muons that lie beyond the outermost points at least.
_FEWEST = 100
#: Stream of random numbers.
_LATENT = 7


def calibrated(form: MuonMap, network: Any, seed: int, muons: int = MUONS) -> MuonMap:
    """Return the map with tables for what a network makes.

    Parameters
    ----------
    form : MuonMap
        What the network learnt in.
    network : callable
        Latents -> numbers close to normal, float32[n, d] both; the first passes through.
    seed : int
        Of the latents.
    muons : int
        How many.
    """
    counts = _count(network, form.shape.coordinates, seed, muons)
    tables, largest = [form.marginals[0]], 0.0
    for marginal, own in zip(form.marginals[1:], counts[1:], strict=True):
        table, shift = _shifted(marginal, own)
        tables.append(table)
        largest = max(largest, shift)
    facts = {**form.facts, "calibrated": {"muons": int(counts[0].sum()), "largest_shift": largest}}
    return replace(form, marginals=tuple(tables), facts=facts)


def _count(network: Any, coordinates: int, seed: int, muons: int) -> Float64:
    """Count what the network makes, float64[d, bins]; what lies outside is in the outermost bins."""
    random = np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, _LATENT))))
    counts = np.zeros((coordinates, _BINS))
    end = LIMIT + 1
    for first in range(0, muons, _SLICE):
        latent = random.standard_normal((min(_SLICE, muons - first), coordinates), np.float32)
        made = np.asarray(network(latent))
        place = np.clip((made + end) * (_BINS / (2 * end)), 0, _BINS - 1).astype(np.int64)
        for k in range(coordinates):
            counts[k] += np.bincount(place[:, k], minlength=_BINS)
    return counts


def _shifted(marginal: Marginal, counts: Float64) -> tuple[Marginal, float]:
    """Return the table read where normal numbers with as much below would be, and the largest shift."""
    from scipy.interpolate import PchipInterpolator
    from scipy.special import ndtr, ndtri

    end, total = LIMIT + 1, counts.sum()
    edges = np.linspace(-end, end, _BINS + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / total
    reach = min(_REACH, -float(ndtri(min(_FEWEST / total, 0.25))))
    right = np.linspace(-reach, reach, _POINTS)
    made = np.interp(ndtr(right), below, edges)
    if abs(made - right).max() > _FARTHEST:
        return marginal, 0.0
    normal = np.linspace(-LIMIT, LIMIT, marginal.cells + 1)
    # Never equal, even where no muon lies between two.
    made += 1e-9 * np.arange(_POINTS)
    inside = PchipInterpolator(made, right)(np.clip(normal, made[0], made[-1]))
    shift = inside - np.clip(normal, made[0], made[-1])
    places = np.clip(normal + shift, -LIMIT, LIMIT)
    values = np.interp(places, normal, marginal.values)
    values[0], values[-1] = marginal.values[0], marginal.values[-1]
    return replace(marginal, values=np.maximum.accumulate(values)), float(abs(shift).max())
