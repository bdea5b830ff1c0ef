"""Statistics of weighted muons of which those of one proton are not independent.

Everything rests on one matrix: the sum over protons of w_g w_g^T, with w_g the weights of proton g by bin.
With W_g their sum, s the shares of the bins and W the sum of all weights, the covariance of the shares is
the sum over protons of (w_g - s W_g)(w_g - s W_g)^T / W^2, the linearised covariance of a ratio of sums
(W. G. Cochran, Sampling Techniques, 3rd ed., section 6.3). Muons that are independent are a proton each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import MissingExtraError
from shipgen_export.validation.counting.protons import sums_of
from shipgen_export.validation.samples.stores import FOLDS

try:
    from scipy import stats
except ImportError as error:
    raise MissingExtraError("validation", "scipy", "validate") from error

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64, Int64


def share_covariance(sums: Float64, moments: Float64, protons: float) -> tuple[Float64, Float64]:
    """Return shares of weight in bins and their covariance, float64[b] and float64[b, b].

    Parameters
    ----------
    sums : float64[b]
        Of the weights.
    moments : float64[b, b]
        From `Protons.moments`.
    protons : float
        How many there are.
    """
    total = sums.sum()
    shares = sums / total
    row = moments.sum(0)
    centred = moments - np.outer(row, shares) - np.outer(shares, row) + row.sum() * np.outer(shares, shares)
    return shares, centred / total**2 * (protons / max(1.0, protons - 1))


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


@dataclass(frozen=True, eq=False)
class Content:
    """One sample's distribution of a quantity.

    Attributes
    ----------
    cells : float64[c]
        Sums of weights in fine cells.
    moments : float64[b, b]
        Of the bins of the test, from `Protons.moments`.
    protons : float
        How many there are.
    """

    cells: Float64
    moments: Float64
    protons: float


def compare(content: tuple[Content, Content], bins: Int64, borders: Float64, ends: Float64) -> Comparison:
    """Compare a quantity of two samples, generated and reference.

    chi2 = d^T C^-1 d with the differences d of the shares of all bins but the last and the sum C of both
    covariances. The Kolmogorov-Smirnov distance is that at the borders of the cells; the test takes as many
    independent muons as the variances of the cumulative distributions at the bins' edges correspond to.

    Parameters
    ----------
    content : pair of Content
    bins : int64[c]
        Bin of each cell, ascending from 0.
    borders : float64[c - 1]
        Between the cells.
    ends : float64[2]
        Least and largest value.
    """
    number = int(bins[-1]) + 1
    (shares_a, cov_a), (shares_b, cov_b) = (
        share_covariance(sums_of(bins, one.cells, number), one.moments, one.protons) for one in content
    )
    difference, covariance = shares_a - shares_b, cov_a + cov_b
    chi2 = _chi2(difference[:-1], covariance[:-1, :-1])
    sigma = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    cumulative = [np.cumsum(one.cells) / one.cells.sum() for one in content]
    apart = np.abs(cumulative[0] - cumulative[1])[:-1]
    at = int(np.argmax(apart))
    sizes = [_independent(shares, cov) for shares, cov in ((shares_a, cov_a), (shares_b, cov_b))]
    size = sizes[0] * sizes[1] / (sizes[0] + sizes[1])
    return Comparison(
        np.concatenate([ends[:1], borders[np.flatnonzero(np.diff(bins))], ends[1:]]),
        (shares_a, shares_b),
        difference / sigma,
        chi2,
        number - 1,
        chi2_p(chi2, number - 1),
        float(apart[at]),
        float(borders[at]),
        float(stats.kstwobign.sf(apart[at] * np.sqrt(size))),
    )


def _chi2(difference: Float64, covariance: Float64) -> float:
    return float(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference)


def _independent(shares: Float64, covariance: Float64) -> float:
    """Return how many independent muons would give these variances of the cumulative distribution."""
    level = np.cumsum(shares)[:-1]
    variance = np.diag(np.cumsum(np.cumsum(covariance, 0), 1))[:-1]
    return float((level * (1 - level)).sum() / max(variance.sum(), np.finfo(float).tiny))


def compare_ratios(
    sums: tuple[Float64, Float64], moments: tuple[Float64, Float64]
) -> tuple[Float64, Float64, float]:
    """Compare ratios of two sums in bins, such as charge ratios.

    Parameters
    ----------
    sums : pair of float64[2 b]
        Generated and reference: b sums above the line, then b below it, all above 0.
    moments : pair of float64[2 b, 2 b]
        Of these, from `Protons.moments`.

    Returns
    -------
    float64[b], float64[b]
        Differences of the ratios' logarithms and their standard errors.
    float
        chi2 of all with their covariance.
    """
    bins = len(sums[0]) // 2
    logs, covariance = [], np.zeros((bins, bins))
    for values, products in zip(sums, moments, strict=True):
        logs.append(np.log(values[:bins] / values[bins:]))
        slope = np.hstack([np.diag(1 / values[:bins]), -np.diag(1 / values[bins:])])
        covariance += slope @ products @ slope.T
    difference = logs[0] - logs[1]
    return difference, np.sqrt(np.diag(covariance)), _chi2(difference, covariance)


def fraction(
    inside: float, whole: float, squares: tuple[float, float, float], muons: float
) -> tuple[float, float]:
    """Return the share of weight that is inside a region, and its standard error.

    The error is at least that of one muon of mean weight, which says what no muon says.

    Parameters
    ----------
    inside, whole : float
        Sums of weights.
    squares : (float, float, float)
        Sums over protons of I_g^2, I_g W_g and W_g^2, see `Protons.squares`.
    muons : float
        How many there are.
    """
    share = inside / whole
    variance = (squares[0] - 2 * share * squares[1] + share**2 * squares[2]) / whole**2
    return share, float(max(np.sqrt(max(variance, 0.0)), 1 / muons))


def two_sided(pull: float) -> float:
    """Return the probability of a normal number as far from 0 as `pull`, or farther."""
    return float(2 * stats.norm.sf(abs(pull)))


def one_sided(pull: float) -> float:
    """Return the probability of a normal number above `pull`."""
    return float(stats.norm.sf(pull))


def chi2_p(chi2: float, dof: int) -> float:
    """Return the probability of a larger chi2."""
    return float(stats.chi2.sf(chi2, dof))


def poisson_above(number: float, mean: float) -> float:
    """Return the probability of a Poisson number of `number` or more."""
    return float(stats.poisson.sf(number - 1, mean))


def correlations(products: Float64) -> tuple[Float64, Float64]:
    """Return a correlation matrix and its standard errors, float64[d, d] each.

    Parameters
    ----------
    products : float64[k, d + 1, d + 1]
        For each of k parts of the protons the weighted sums of the products of 1 and d quantities. Errors
        come from the parts, which vary by themselves.
    """
    each = np.array([_correlation(part) for part in products])
    return _correlation(products.sum(0)), np.asarray(np.std(each, axis=0, ddof=1) / np.sqrt(len(products)))


def _correlation(products: Float64) -> Float64:
    mean = products[0, 1:] / products[0, 0]
    covariance = products[1:, 1:] / products[0, 0] - np.outer(mean, mean)
    sigma = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    return np.asarray(covariance / np.outer(sigma, sigma))


def correlation_p(pull: float) -> float:
    """Return the two-sided probability of a difference of two correlations in units of its error."""
    return float(2 * stats.t.sf(abs(pull), FOLDS - 1))
