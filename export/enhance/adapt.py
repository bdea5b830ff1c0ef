"""Learning a proposal: rounds of draws, each from what the rounds before it found (population Monte Carlo).

Points are drawn from the plain normal distribution first. Where too few are in the region, a mixture is
fitted to those nearest to it, drawn from, and so on until the region is reached (the cross-entropy method for
rare events: R. Y. Rubinstein, Eur. J. Oper. Res. 99 (1997) 89). All points of all rounds are used, weighted
by the plain density over that of all draws together (E. Veach, L. J. Guibas, SIGGRAPH 95, 419), so that the
share of the region comes out unbiased, however rare it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen_export.enhance.mixture import fit
from shipgen_export.enhance.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float64
    from shipgen.muons.quantities import Quantities
    from shipgen_export.enhance.regions.targets import Wanted

#: Most rounds, how many without coming nearer to the region end the search, and what counts as nearer.
_ROUNDS, _PATIENCE, _NEARER = 20, 3, 0.01

#: Effective points in the region that are enough to fit to (a tenth of a round, where that is less), and
#: those of the nearest ones until then.
_ENOUGH, _NEAREST = 4000.0, 400.0

#: Most points that a mixture is fitted to, and how many of them are kept to compare fits.
_FITTED, _HELD_OUT = 8000, 0.25

#: Components of the mixtures of the search.
_FIRST = 2

#: Share of a round's draws that comes from its mixture.
_SEARCH = 0.8

#: The wide component: its share of the mixture and how many times as wide as the whole it is; and the share
#: of one no narrower than plain latents are. Beyond narrower ones, far out, weights would grow.
_WIDE_SHARE, _WIDTH, _TAIL_SHARE = 0.1, 2.0, 0.05

#: A direction matters when so many of the region's muons leave it if their latent is drawn anew along it;
#: how many muons that is tried with, and how many directions a proposal changes at most.
_MATTERS, _TRIED, _MOST_DIRECTIONS = 0.02, 4000, 12

#: Latents up to this size are looked at axis by axis, larger ones along their principal axes.
_FEW = 16

#: Share of each component's covariance that is replaced by the components' mean one.
_EVENED = 0.25

#: Gain in mean log-likelihood on held-out points that more components have to bring.
_WORTH = 0.005


@dataclass(frozen=True, eq=False)
class Learned:
    """What was found in one category.

    Attributes
    ----------
    share, error : float
        Share of the plain muons that is in the region, and its standard error.
    drawn : int
        Muons looked at.
    target : Wanted
        The region, adapted to the category's muons.
    proposal : Proposal or None
        ``None`` where no muon is in the region, or all are.
    """

    share: float
    error: float
    drawn: int
    target: Wanted
    proposal: Proposal | None


class _Pool:
    """The points of all rounds, and what they were drawn from."""

    def __init__(self) -> None:
        self.points: Float64 = np.empty((0, 0))
        self.importance: Float64 = np.empty(0)
        self.distance: Float64 = np.empty(0)
        self._values: list[Quantities] = []
        self._drawn: list[tuple[int, Proposal]] = []
        self._plain = 0
        self._total: Float64 = np.empty(0)

    def add(self, points: Float64, values: Quantities, target: Wanted, proposal: Proposal | None) -> None:
        """Add points drawn from `proposal`, or from the plain distribution."""
        self._values.append(values)
        self.distance = np.concatenate([self.distance, target.distance(values)])
        # Numbers of draws times densities, over the plain density, summed over all that was drawn from.
        here = np.full(len(points), float(self._plain))
        for count, earlier in self._drawn:
            here += count * np.exp(earlier.log_ratio(points))
        self._total = np.concatenate([self._total, here])
        self.points = np.concatenate([self.points, points]) if self.points.size else points
        if proposal is None:
            self._plain += len(points)
            self._total += len(points)
        else:
            self._drawn.append((len(points), proposal))
            self._total += len(points) * np.exp(proposal.log_ratio(self.points))

    def judge(self, target: Wanted) -> None:
        """Take the importance of all points from `target`, which may have learnt since."""
        self.importance = np.concatenate([target.importance(values) for values in self._values])

    def weights(self) -> Float64:
        """Return the plain density over that of all draws together, float64[n]."""
        return len(self.points) / self._total

    def values(self, names: tuple[str, ...]) -> dict[str, Float64]:
        """Return quantities of all points."""
        return {name: np.concatenate([values[name] for values in self._values]) for name in names}


@dataclass(frozen=True, eq=False)
class _Judge:
    """Says of latents how much they are wanted: by the target, or within a `level` of distance from it."""

    make: Callable[[Float64], Quantities]
    target: Wanted
    level: float

    @property
    def exact(self) -> bool:
        """Whether proposals shall give just what is wanted."""
        return self.target.exact and self.level == 0

    def __call__(self, points: Float64) -> Float64:
        values = self.make(points)
        if self.level > 0:
            return np.where(self.target.distance(values) <= self.level, 1.0, 0.0)
        return self.target.importance(values)


def effective(weights: Float64) -> float:
    """Return (sum w)^2 / sum w^2."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def learn(
    make: Callable[[Float64], Quantities],
    latent_size: int,
    target: Wanted,
    random: np.random.Generator,
    *,
    share: float,
    components: int,
    muons: int,
) -> Learned:
    """Learn a proposal for one network.

    Parameters
    ----------
    make : callable
        Latents, float64[n, L] -> the muons' quantities.
    latent_size : int
        L.
    target : Wanted
        The region.
    random : numpy.random.Generator
        Decides all that is drawn.
    share : float
        Of the muons that shall be drawn from the mixture.
    components : int
        Of the mixture, at most, the wide ones not counted.
    muons : int
        Looked at in each round.
    """
    pool = _Pool()
    points = random.standard_normal((muons, latent_size))
    values = make(points)
    target = target.scaled(values)
    pool.add(points, values, target, None)
    target = _search(pool, make, target, random, components=min(_FIRST, components), muons=muons)
    weights = pool.weights()
    inside = weights * (pool.importance > 0)
    n = len(inside)
    if not np.ptp(pool.importance) > 0:
        # None is in the region, or all are and none is wanted more than another.
        return Learned(float(inside.any()), 0.0, n, target, None)
    judge = _Judge(make, target, 0.0)
    wanted = weights * pool.importance
    proposal = _propose(pool.points, wanted, judge, random, share=share, components=components)
    if (pool.importance > 0).all():
        return Learned(1.0, 0.0, n, target, proposal)
    return Learned(float(inside.mean()), float(inside.std()) / n**0.5, n, target, proposal)


def _search(
    pool: _Pool,
    make: Callable[[Float64], Quantities],
    target: Wanted,
    random: np.random.Generator,
    *,
    components: int,
    muons: int,
) -> Wanted:
    """Add rounds of `muons` to the pool until enough of them are wanted; return the target as adapted to all.

    Ends also where some rounds in turn have come no nearer to a region without muons.
    """
    nearest, idle = np.inf, 0
    for _ in range(_ROUNDS):
        weights = pool.weights()
        target = target.refined(pool.values(target.names), weights)
        pool.judge(target)
        wanted = weights * pool.importance
        there = effective(wanted)
        if there >= min(_ENOUGH, muons / 10) and (len(pool.points) > muons or _plenty(pool, muons)):
            break
        found = pool.distance[pool.importance > 0]
        best = 0.0 if len(found) else float(pool.distance.min())
        idle = 0 if best < nearest * (1 - _NEARER) or there > 0 else idle + 1
        nearest = min(best, nearest)
        if idle >= _PATIENCE:
            break
        level = 0.0 if there >= _NEAREST else _level(pool.distance, weights)
        wanted = wanted if there >= _NEAREST else weights * (pool.distance <= level)
        judge = _Judge(make, target, level)
        proposal = _propose(pool.points, wanted, judge, random, share=_SEARCH, components=components)
        points = proposal.draw(muons, random)
        pool.add(points, make(points), target, proposal)
    else:
        # The last round has not been looked at.
        target = target.refined(pool.values(target.names), pool.weights())
        pool.judge(target)
    return target


def _plenty(pool: _Pool, muons: int) -> bool:
    """Say whether plain draws alone show the region well enough, so that no round is needed."""
    return bool(np.count_nonzero(pool.importance) > muons / 10)


def _level(distance: Float64, weights: Float64) -> float:
    """Return the distance from the region within which `_NEAREST` effective points lie."""
    order = np.argsort(distance, kind="stable")
    sums, squares = np.cumsum(weights[order]), np.cumsum(np.square(weights[order]))
    enough = np.flatnonzero(np.square(sums) >= _NEAREST * squares)
    first = max(int(enough[0]) if len(enough) else 0, int(_NEAREST) - 1)
    return float(distance[order[min(first, len(order) - 1)]])


def _propose(
    points: Float64,
    wanted: Float64,
    judge: _Judge,
    random: np.random.Generator,
    *,
    share: float,
    components: int,
) -> Proposal:
    """Fit a proposal to points by how much each is wanted."""
    size = effective(wanted)
    chosen = random.choice(len(points), int(min(_FITTED, 2 * size + 100)), p=wanted / wanted.sum())
    points = points[chosen]
    basis = _directions(points, judge, random)
    here = points @ basis
    # A point that was drawn several times is on one side only.
    held_out = chosen * 2654435761 % 2**32 < _HELD_OUT * 2**32
    best = (-np.inf, 1)
    for count in _counts(components):
        # As many points as there are parameters, at least.
        if held_out.all() or not held_out.any() or (count > 1 and count * (here.shape[1] + 1) ** 2 > size):
            break
        mixture = fit(here[~held_out], np.ones(int((~held_out).sum())), count, random)
        likelihood = float(mixture.log_density(here[held_out]).mean())
        if likelihood < best[0] + _WORTH:
            break
        best = (likelihood, count)
    mixture = fit(here, np.ones(len(here)), best[1], random).evened(_EVENED)
    if not judge.exact:
        mixture = mixture.with_wide(_WIDTH, _WIDE_SHARE).with_wide(1.0, _TAIL_SHARE, least=1.0)
    return Proposal(share, basis, mixture)


def _counts(components: int) -> list[int]:
    """Return the numbers of components to try, in turn."""
    return [count for count in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if count < components] + [components]


def _directions(points: Float64, judge: _Judge, random: np.random.Generator) -> Float64:
    """Return the directions that matter for being wanted, float64[L, d], orthonormal.

    In all others the wanted latents are as plain ones are: standard normal.
    """
    latent_size = points.shape[1]
    axes = np.eye(latent_size) if latent_size <= _FEW else _principal(points)
    points = points[:_TRIED]
    before = judge(points)
    leaving = []
    for axis in axes.T:
        along = random.standard_normal(len(points)) - points @ axis
        after = judge(points + along[:, None] * axis)
        leaving.append(1 - float(np.minimum(after / before, 1.0).mean()))
    order = np.argsort(leaving)[::-1][:_MOST_DIRECTIONS]
    kept = [int(k) for k in order if leaving[k] > _MATTERS] or [int(order[0])]
    return axes[:, sorted(kept)]


def _principal(points: Float64) -> Float64:
    """Return the direction of the mean and the axes along which points differ most from plain ones."""
    mean = points.mean(0)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    # The Kullback-Leibler divergence from a standard normal distribution.
    order = np.argsort(np.log(np.maximum(values, 1e-12)) - values)
    found: list[Float64] = []
    for vector in (mean / max(float(np.linalg.norm(mean)), 1e-12), *vectors.T[order]):
        rest = vector - sum((vector @ known) * known for known in found)
        length = float(np.linalg.norm(rest))
        # What is left of an axis near those before it is noise.
        if length > 0.3 and len(found) < _MOST_DIRECTIONS:
            rest = rest / length
            found.append(rest - sum((rest @ known) * known for known in found))
    return np.linalg.qr(np.stack(found, axis=1))[0]
