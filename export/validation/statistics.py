"""Statistics of weighted muons of which those of one proton are not independent.

Everything rests on one matrix: the covariance of the shares of weight in bins, from sums over protons. With
w_g the weights of proton g by bin, W_g their sum, s the shares and W the sum of all weights it is the sum
over protons of (w_g - s W_g)(w_g - s W_g)^T / W^2, the linearised covariance of a ratio of sums
(W. G. Cochran, Sampling Techniques, 3rd ed., section 6.3). Muons that are independent are a proton each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import MissingExtraError

try:
    from scipy import stats
except ImportError as error:
    raise MissingExtraError("validation", "scipy", "train") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.columns import Float64, Int64
    from shipgen_export.training.figure_of_merit import Muons

#: Bins of a test at most; effective protons or muons a bin at least.
BINS, _PER_BIN, _FEWEST_BINS = 40, 25, 5

#: Muons of a proton up to which pairs are added up one by one, on average.
_PAIRS = 50

#: Protons whose sums are in memory at a time.
_PROTONS = 100_000

#: Blocks of protons that errors of correlations come from.
_BLOCKS = 50


def effective(muons: Muons) -> tuple[float, float]:
    """Return how many equal weights would carry the same statistics, by muon and by proton."""
    total = muons.weights.sum() ** 2
    sums = np.bincount(muons.group, muons.weights)
    return float(total / np.square(muons.weights).sum()), float(total / np.square(sums).sum())


def share_covariance(place: Int64, bins: int, muons: Muons) -> tuple[Float64, Float64]:
    """Return shares of weight in bins and their covariance, float64[b] and float64[b, b].

    Parameters
    ----------
    place : int64[n]
        Each muon's bin.
    bins : int
        b.
    muons : Muons
        Sorted by group, which counts from 0.
    """
    weights, protons = muons.weights, int(muons.group[-1]) + 1
    sums = np.bincount(place, weights, minlength=bins)
    total = sums.sum()
    moments = _moments(place, bins, muons)
    shares = sums / total
    row = moments.sum(0)
    centred = moments - np.outer(row, shares) - np.outer(shares, row) + row.sum() * np.outer(shares, shares)
    return shares, centred / total**2 * (protons / max(1, protons - 1))


def _moments(place: Int64, bins: int, muons: Muons) -> Float64:
    """Return the sum over protons of w_g w_g^T, float64[b, b]; see `share_covariance`."""
    sizes = np.bincount(muons.group)
    if int(np.square(sizes).sum()) > _PAIRS * len(place):
        return _moments_of_large(place, bins, muons)
    moments: Float64 = np.zeros((bins, bins))
    first = np.arange(len(place))
    for lag in range(int(sizes.max())):
        # Pairs of muons of one proton, so many places apart.
        first = first[: len(first) - 1] if lag and first[-1] + lag >= len(place) else first
        first = first[muons.group[first] == muons.group[first + lag]]
        cell = place[first] * bins + place[first + lag]
        product = muons.weights[first] * muons.weights[first + lag]
        table = np.bincount(cell, product, minlength=bins * bins).reshape(bins, bins)
        moments += table + table.T if lag else table
    return moments


def _moments_of_large(place: Int64, bins: int, muons: Muons) -> Float64:
    """Do the same where protons have many muons each."""
    moments: Float64 = np.zeros((bins, bins))
    protons = int(muons.group[-1]) + 1
    for first in range(0, protons, _PROTONS):
        last = min(first + _PROTONS, protons)
        part = slice(*np.searchsorted(muons.group, (first, last)))
        cell = (muons.group[part] - first) * bins + place[part]
        table = np.bincount(cell, muons.weights[part], minlength=(last - first) * bins).reshape(-1, bins)
        moments += table.T @ table
    return moments


def weighted_quantiles(values: Float64, weights: Float64, levels: Float64) -> Float64:
    """Return the values below which given shares of the weight lie."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    places = np.searchsorted(cumulative, levels * cumulative[-1])
    return np.asarray(values[order][np.minimum(places, len(values) - 1)])


@dataclass(frozen=True)
class Comparison:
    """Two distributions of one quantity.

    Attributes
    ----------
    edges : float64[b + 1]
        Of bins with about equal content.
    shares : pair of float64[b]
        Share of the weight in each, generated and reference.
    pulls : float64[b]
        Difference of the shares over its standard error.
    chi2, dof, p : float
        Of all bins with their covariance; p is the probability of a larger value.
    distance, distance_at, distance_p : float
        Kolmogorov-Smirnov: largest difference of the cumulative distributions, where, and its p.
    """

    edges: Float64
    shares: tuple[Float64, Float64]
    pulls: Float64
    chi2: float
    dof: int
    p: float
    distance: float
    distance_at: float
    distance_p: float

    @property
    def where(self) -> tuple[float, float, float]:
        """Edges of the bin with the largest pull, and the pull."""
        bin_ = int(np.argmax(np.abs(self.pulls)))
        return float(self.edges[bin_]), float(self.edges[bin_ + 1]), float(self.pulls[bin_])

    @property
    def moved(self) -> float:
        """Share of the weight in other bins than it should be: half the sum of absolute differences."""
        return float(np.abs(self.shares[0] - self.shares[1]).sum() / 2)


def compare(a: Float64, b: Float64, muons: tuple[Muons, Muons]) -> Comparison | None:
    """Compare a quantity of two samples, `a` generated and `b` reference; ``None`` with too few muons.

    Bins are quantiles of both samples joined. chi2 = d^T C^-1 d with the differences d of the shares of all
    bins but the last and the sum C of both covariances. The Kolmogorov-Smirnov test takes as many
    independent muons as the variances of the cumulative distributions at the edges correspond to.
    """
    fewest = min(min(effective(sample)) for sample in muons)
    bins = min(BINS, int(fewest) // _PER_BIN)
    if bins < _FEWEST_BINS:
        return None
    weights = [sample.weights / sample.weights.sum() for sample in muons]
    joined = np.concatenate([a, b])
    edges = weighted_quantiles(joined, np.concatenate(weights), np.linspace(0, 1, bins + 1)[1:-1])
    edges = np.unique(edges)
    edges = edges[(edges > joined.min()) & (edges <= joined.max())]
    bins = len(edges) + 1
    if bins < 2:
        return None
    (shares_a, cov_a), (shares_b, cov_b) = (
        share_covariance(np.searchsorted(edges, values, side="right"), bins, sample)
        for values, sample in zip((a, b), muons, strict=True)
    )
    difference, covariance = shares_a - shares_b, cov_a + cov_b
    inner = slice(None, -1)
    chi2 = float(
        difference[inner] @ np.linalg.pinv(covariance[inner, inner], hermitian=True) @ difference[inner]
    )
    sigma = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    distance, where = _distance(a, b, weights)
    sizes = [_independent(shares, cov) for shares, cov in ((shares_a, cov_a), (shares_b, cov_b))]
    size = sizes[0] * sizes[1] / (sizes[0] + sizes[1])
    return Comparison(
        np.concatenate([[joined.min()], edges, [joined.max()]]),
        (shares_a, shares_b),
        difference / sigma,
        chi2,
        bins - 1,
        float(stats.chi2.sf(chi2, bins - 1)),
        distance,
        where,
        float(stats.kstwobign.sf(distance * np.sqrt(size))),
    )


def _distance(a: Float64, b: Float64, weights: list[Float64]) -> tuple[float, float]:
    values = np.concatenate([a, b])
    steps = np.concatenate([weights[0], -weights[1]])
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    difference = np.cumsum(steps[order])
    # Between equal values there is no step.
    ends = np.append(ordered[1:] != ordered[:-1], True)
    at = int(np.argmax(np.abs(difference) * ends))
    return float(abs(difference[at])), float(ordered[at])


def _independent(shares: Float64, covariance: Float64) -> float:
    """Return how many independent muons would give these variances of the cumulative distribution."""
    level = np.cumsum(shares)[:-1]
    variance = np.diag(np.cumsum(np.cumsum(covariance, 0), 1))[:-1]
    return float((level * (1 - level)).sum() / max(variance.sum(), np.finfo(float).tiny))


def fraction(inside: Any, muons: Muons) -> tuple[float, float]:
    """Return the share of weight that is `inside`, bool[n], and its standard error.

    The error is at least that of one muon of mean weight, which says what no muon says.
    """
    shares, covariance = share_covariance(np.asarray(inside, np.int64), 2, muons)
    return float(shares[1]), float(max(np.sqrt(max(covariance[1, 1], 0.0)), 1 / len(muons.weights)))


def two_sided(pull: float) -> float:
    """Return the probability of a normal number as far from 0 as `pull`, or farther."""
    return float(2 * stats.norm.sf(abs(pull)))


def one_sided(pull: float) -> float:
    """Return the probability of a normal number above `pull`."""
    return float(stats.norm.sf(pull))


def chi2_p(chi2: float, dof: int) -> float:
    """Return the probability of a larger chi2."""
    return float(stats.chi2.sf(chi2, dof))


def weighted_ranks(values: Float64, weights: Float64) -> Float64:
    """Return the share of weight below each value, that of equal values counting half."""
    unique, place = np.unique(values, return_inverse=True)
    sums = np.bincount(place, weights, minlength=len(unique))
    return np.asarray((np.cumsum(sums) - sums / 2)[place] / sums.sum())


def pearson(columns: Float64, weights: Float64) -> Float64:
    """Return the weighted correlation matrix of columns, float64[d, n] -> float64[d, d]."""
    covariance = np.atleast_2d(np.cov(columns, aweights=weights))
    sigma = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    return np.asarray(covariance / np.outer(sigma, sigma))


def spearman(columns: Float64, weights: Float64) -> Float64:
    """Return the weighted rank correlation matrix of columns, float64[d, n] -> float64[d, d]."""
    return pearson(np.array([weighted_ranks(values, weights) for values in columns]), weights)


def correlations(
    columns: Float64, muons: Muons, measure: Callable[[Float64, Float64], Float64]
) -> tuple[Float64, Float64]:
    """Return a correlation matrix and its standard errors, from blocks of protons that vary by themselves."""
    whole = measure(columns, muons.weights)
    block = muons.group % _BLOCKS
    each = [measure(columns[:, block == k], muons.weights[block == k]) for k in range(_BLOCKS)]
    return whole, np.asarray(np.std(each, axis=0, ddof=1) / np.sqrt(_BLOCKS))


def correlation_p(pull: float) -> float:
    """Return the two-sided probability of a difference of two correlations in units of its error."""
    return float(2 * stats.t.sf(abs(pull), _BLOCKS - 1))
