"""One coordinate's distribution, as smooth as its protons allow; where they are few, by what is held out.

Between two knots lie the muons of so many protons. With many protons a fixed number of them a knot is right;
with few, how many knots are too many depends on how muons share protons and on how the density bends, so
that models of several resolutions are fitted to four fifths of the protons and judged by the fifth. What so
few protons do not tell apart is averaged, for which of them is best is an accident of the sample. For the
depth one of them knows the target: a constant hazard in each material, the same in all slabs of it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shipgen_export.sample.sample import effective_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shipgen.muons.columns import Float64, Int64

#: The tables reach from -LIMIT to LIMIT standard deviations, outside of which lie 6e-7 of all muons.
LIMIT = 5.0

#: Effective protons between two knots of a smooth distribution, and the fewest knots. With fewer protons a
#: knot follows the accidents of the sample, which muons of one proton share; with more it loses structure.
_PROTONS_A_KNOT, _FEWEST_KNOTS = 100, 4
#: With many protons, knots that muons between two edges get however small their share is: so many at most,
#: for so many muons each. Deep in the target nearly every one has a proton of its own.
_KNOTS_A_SLAB, _MUONS_A_SLABS_KNOT = 12, 100
#: Points that a smooth distribution is given by.
_POINTS = 16_384
#: Muons that the outermost knots have beyond them.
_MUONS_BEYOND = 3

#: With fewer effective protons models are weighed by what is held out: in so many parts of the protons.
_MANY_PROTONS, _FOLDS = 10_000, 5
#: Muons that each knot has at least, of those that models are chosen from, and the fewest of a correction.
_MUONS_A_KNOT, _FEWEST_CORRECTED = 25, 2
#: Standard deviations below the best at which a model is left out, and protons that tell these, at least.
_FURTHEST, _FEWEST_PROTONS = 3.0, 20
#: This share of a density that is judged is even: a muon where a model has none does not decide alone.
_EVEN = 1e-3

#: Step in hazard, at most, between points of a distribution by materials, and the fewest points of a slab.
_HAZARD_STEP, _SLAB_POINTS = 0.02, 4
#: Share of the weight that may lie outside of the slabs.
_OUTSIDE = 1e-3


class Slabs(NamedTuple):
    """Where materials meet, in units of the coordinate, ascending, and the material between each two."""

    edges: tuple[float, ...]
    materials: tuple[int, ...] = ()


class Distribution(NamedTuple):
    """Ascending values and the share of the weight below each, float64[n] both; linear between."""

    values: Float64
    below: Float64

    def log_density(self, places: Float64) -> Float64:
        """Return the logarithm of the density, with a small part that is even, float64[n]."""
        width = np.diff(self.values)
        kept = width > 0
        low, width, share = self.values[:-1][kept], width[kept], np.diff(self.below)[kept]
        even = 1 / (self.values[-1] - self.values[0])
        cell = np.clip(np.searchsorted(low, places, side="right") - 1, 0, len(low) - 1)
        inside = (places >= self.values[0]) & (places <= self.values[-1])
        density = np.where(inside, share[cell] / width[cell], 0.0)
        return np.asarray(np.log((1 - _EVEN) * density + _EVEN * even))


def shares_below(weights: Float64) -> Float64:
    """Return the share of the weight below each of sorted values, half of its own included, float64[n]."""
    return np.asarray((np.cumsum(weights) - weights / 2) / weights.sum())


def fit_smooth(
    values: Float64, weights: Float64, protons: Int64, slabs: Slabs, origin: Distribution | None = None
) -> tuple[Distribution, dict[str, Any]]:
    """Return a distribution as smooth as the protons allow, and what it is.

    Parameters
    ----------
    values, weights : float64[n]
        Ascending values and the weights of their muons, above zero.
    protons : int64[n]
        The proton of each.
    slabs : Slabs
        Where the density jumps, and what is between if that is known.
    origin : Distribution, optional
        That of a sample like it, known better, to be corrected where that is likelier for what is held out.

    Returns
    -------
    Distribution
    dict
        ``model``, ``quantiles``, ``materials`` or ``origin``; ``knots``; ``protons``, their effective number;
        with few of them that is the likeliest for those held out, ``gain`` is by how much the logarithm
        of their density is better on average than with the number of knots that many protons get, and
        ``models`` are all that the distribution is the mean of.
    """
    of_muon = np.unique(protons, return_inverse=True)[1]
    size = effective_size(np.bincount(of_muon, weights).astype(np.float64))
    usual = max(int(size / _PROTONS_A_KNOT), _FEWEST_KNOTS)
    if size >= _MANY_PROTONS:
        found = smooth(values, shares_below(weights), usual, slabs.edges, of_slab=_KNOTS_A_SLAB)
        return found, {"model": "quantiles", "knots": usual, "protons": size}
    models = _models(values, weights, slabs, usual, origin)
    weighed = _weigh(models, values, weights, of_muon, slabs, origin)
    if weighed is None:
        found = _model(models[0], slabs, origin)(values, weights)
        return found, {"model": "quantiles", "knots": usual, "protons": size}
    shares, gain = weighed
    kept = [(share, model) for share, model in zip(shares, models, strict=True) if share > 0]
    found = _mean([(share, _model(model, slabs, origin)(values, weights)) for share, model in kept])
    named = [{"model": name, "knots": knots, "share": share} for share, (name, knots) in kept]
    name, knots = models[int(np.argmax(shares))]
    return found, {"model": name, "knots": knots, "protons": size, "gain": gain, "models": named}


def _models(
    values: Float64, weights: Float64, slabs: Slabs, usual: int, origin: Distribution | None
) -> list[tuple[str, int]]:
    """Return the models that muons are enough for, by name and number of knots, the usual one first."""
    most = max(int(effective_size(weights) / _MUONS_A_KNOT), usual)
    ladder = [_FEWEST_KNOTS * 2**k for k in range(12) if _FEWEST_KNOTS * 2**k <= most]
    models = [("quantiles", knots) for knots in dict.fromkeys([usual, *ladder])]
    if _by_materials(values, weights, slabs) is not None:
        models += [("materials", knots) for knots in (0, _FEWEST_CORRECTED, *ladder)]
    if origin is not None:
        models += [("origin", knots) for knots in (0, _FEWEST_CORRECTED, *ladder)]
    return models


def _weigh(
    models: Sequence[tuple[str, int]],
    values: Float64,
    weights: Float64,
    of_muon: NDArray[np.int64],
    slabs: Slabs,
    origin: Distribution | None,
) -> tuple[list[float], float] | None:
    """Return each model's share in their mean, and the gain of the best over the first of them.

    A share falls off as a normal density with how far a model is below the best, for the protons held out,
    in units of the difference's own error, which protons scatter by. ``None`` where there are too few of
    these, or too many muons at one place.
    """
    fold = of_muon % _FOLDS
    protons = int(of_muon.max()) + 1
    if protons < _FEWEST_PROTONS or len(values) <= _FOLDS * _FEWEST_KNOTS:
        return None
    sums = np.zeros((len(models), protons))
    for part in range(_FOLDS):
        others, own = fold != part, fold == part
        left, mass = values[others], weights[others]
        if not left[0] < left[-1]:
            return None
        for k, model in enumerate(models):
            found = _model(model, slabs, origin)(left, mass).log_density(values[own])
            sums[k] += np.bincount(of_muon[own], weights[own] * found, protons)
    below = sums[int(np.argmax(sums.sum(1)))] - sums
    error = below.std(1) * np.sqrt(protons)
    # Without a scatter the others are the best itself, or worse for all protons alike.
    away = np.where(below.sum(1) > 0, np.inf, 0.0)
    np.divide(below.sum(1), error, out=away, where=error > 0)
    shares = np.where(away < _FURTHEST, np.exp(-(away**2) / 2), 0.0)
    gain = float(below[0].sum()) / float(weights.sum())
    return (shares / shares.sum()).tolist(), gain


def _mean(parts: Sequence[tuple[float, Distribution]]) -> Distribution:
    """Return the mean of distributions with their shares, none of which has muons beyond its ends."""
    marks = np.unique(np.concatenate([one.values for _, one in parts]))
    below = np.zeros(len(marks))
    for share, one in parts:
        # Of quantiles half of the first and of the last muon's weight lie beyond them.
        low, high = one.below[[0, -1]]
        own = (np.interp(marks, one.values, one.below) - low) / (high - low)
        below += share * own
    # Shares add up to 1 but for rounding, and a share above 1 has no normal number.
    return Distribution(marks, np.clip(below / below[-1], 0.0, 1.0))


def _model(
    model: tuple[str, int], slabs: Slabs, origin: Distribution | None
) -> Callable[[Float64, Float64], Distribution]:
    """Return what fits a model: ascending values and weights -> distribution."""
    name, knots = model

    def fit(values: Float64, weights: Float64) -> Distribution:
        base = {"materials": lambda: _by_materials(values, weights, slabs), "origin": lambda: origin}
        if name in base and (found := base[name]()) is not None:
            return found if knots == 0 else _corrected(found, values, weights, knots)
        return smooth(values, shares_below(weights), max(knots, _FEWEST_KNOTS), slabs.edges)

    return fit


def smooth(
    values: Float64, below: Float64, knots: int, edges: Sequence[float], of_slab: int = 1
) -> Distribution:
    """Return the distribution through knots between which so many-th parts of the weight lie, in many points.

    With edges each of them is a knot, and the density is constant from knot to knot; without, the coordinate
    is a monotone cubic of the normal number.

    Parameters
    ----------
    values, below : float64[n]
        Ascending values and the share of the weight below each.
    knots : int
        How many; their number falls off towards the ends, so that tails keep their shape.
    edges : sequence of float
        Where the density jumps.
    of_slab : int
        Knots between two edges where there are muons enough, however small their share is.
    """
    from scipy.interpolate import PchipInterpolator
    from scipy.special import ndtr, ndtri

    halvings = int(np.log2(max(len(values) / (knots * _MUONS_BEYOND), 1)))
    outer = 1 / knots / 2.0 ** np.arange(halvings, 0, -1)
    cuts = [edge for edge in sorted(edges) if values[0] < edge < values[-1]]
    if cuts:
        ends = np.array([0.0, *np.interp(cuts, values, below), 1.0])
        muons = np.diff(np.searchsorted(values, [values[0], *cuts, values[-1]]))
        fewest = np.clip(muons // _MUONS_A_SLABS_KNOT, 1, of_slab)
        counts = np.maximum(np.rint(np.diff(ends) * knots), fewest).astype(np.int64)
        shares = [
            low + (high - low) * np.arange(1, count) / count
            for (low, high), count in zip(pairwise(ends), counts, strict=True)
        ]
        places = np.interp(np.concatenate([outer, *shares, 1 - outer]), below, values)
        marks = np.unique([values[0], *cuts, *places, values[-1]])
        return Distribution(marks, np.interp(marks, values, below))
    outer, inner = ndtri(outer), ndtri(np.arange(1, knots) / knots)
    places = np.concatenate([[-LIMIT], outer, inner, -outer[::-1], [LIMIT]])
    marks = np.interp(ndtr(places), below, values)
    kept = np.diff(marks, prepend=-np.inf) > 0
    if kept.sum() < 2:
        return Distribution(values, below)
    normal = np.linspace(-LIMIT, LIMIT, _POINTS)
    found = PchipInterpolator(places[kept], marks[kept])(np.clip(normal, *places[kept][[0, -1]]))
    return Distribution(np.maximum.accumulate(found), ndtr(normal))


def _by_materials(values: Float64, weights: Float64, slabs: Slabs) -> Distribution | None:
    """Return the distribution of a constant hazard in each material; ``None`` where it cannot be one.

    The hazard that is likeliest is the weight of the muons that start in a material over the length of it
    that they and those behind have before them; half a muon of the mean hazard of all stands in for materials
    that few reach.
    """
    edges, materials = np.asarray(slabs.edges, np.float64), np.asarray(slabs.materials, np.int64)
    if len(edges) < 2 or len(materials) != len(edges) - 1:
        return None
    slab = np.searchsorted(edges, values, side="right") - 1
    inside = (slab >= 0) & (slab < len(materials))
    if weights[~inside].sum() > _OUTSIDE * weights.sum():
        return None
    slab, weights, lengths = slab[inside], weights[inside], np.diff(edges)
    own = np.bincount(slab, weights, len(materials))
    within = np.bincount(slab, weights * (values[inside] - edges[slab]), len(materials))
    behind = own[::-1].cumsum()[::-1] - own
    count = int(materials.max()) + 1
    started = np.bincount(materials, own, count)
    passed = np.bincount(materials, within + behind * lengths, count)
    if not passed.sum() > 0:
        return None
    prior = weights.mean() / 2
    hazards = (started + prior) / (passed + prior * passed.sum() / started.sum())
    steps = hazards[materials] * lengths
    counts = np.maximum(np.ceil(steps / _HAZARD_STEP), _SLAB_POINTS).astype(np.int64)
    parts = [
        low + (high - low) * np.arange(number) / number
        for (low, high), number in zip(pairwise(edges), counts, strict=True)
    ]
    marks = np.concatenate([*parts, edges[-1:]])
    total = np.interp(marks, edges, np.concatenate([[0.0], np.cumsum(steps)]))
    return Distribution(marks, np.asarray(np.expm1(-total) / np.expm1(-total[-1])))


def _corrected(base: Distribution, values: Float64, weights: Float64, knots: int) -> Distribution:
    """Return `base` with a smooth correction: by the muons' quantiles, beyond the outermost a shift.

    The correction is that of the normal numbers that `base` gives, so that it is none where it is right.
    """
    from scipy.interpolate import PchipInterpolator
    from scipy.special import ndtr, ndtri

    def normal(places: Float64) -> Float64:
        # A share of exactly 0 or 1 is infinitely far out.
        far = 2 * LIMIT
        return np.asarray(np.clip(ndtri(np.interp(places, base.values, base.below)), -far, far))

    right = ndtri(np.arange(1, knots) / knots)
    given = np.interp(ndtr(right), shares_below(weights), normal(values))
    given += 1e-6 * np.arange(len(given))
    # Towards the ends it becomes a shift.
    margin = np.array([1.0, 0.5])
    right = np.concatenate([right[0] - margin, right, right[-1] + margin[::-1]])
    given = np.concatenate([given[0] - margin, given, given[-1] + margin[::-1]])
    ends = np.array([-4 * LIMIT, 4 * LIMIT])
    right = np.concatenate([ends[:1] - (given[0] - right[0]), right, ends[1:] - (given[-1] - right[-1])])
    given = np.concatenate([ends[:1], given, ends[1:]])
    below = ndtr(PchipInterpolator(given, right)(normal(base.values)))
    below[0], below[-1] = 0.0, 1.0
    return Distribution(base.values, np.maximum.accumulate(below))
