"""Mixtures of normal distributions: densities, draws, and fits to weighted points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float64

_LOG_2PI = float(np.log(2 * np.pi))

#: Of a fit: rounds at most, and the gain in mean log-likelihood below which it ends.
_ROUNDS, _GAIN = 100, 1e-4

#: Least standard deviation of a component: finer ones would be known too badly in float32.
LEAST_WIDTH = 5e-3

#: Points' worth of the pooled covariance that is added to each component's own.
_SHRINKAGE = 5.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K normal distributions in d dimensions.

    Attributes
    ----------
    fractions : float64[K]
        Share of each component; they sum to 1.
    means : float64[K, d]
        Their means.
    factors : float64[K, d, d]
        Lower triangular A with covariance A A^T.
    """

    fractions: Float64
    means: Float64
    factors: Float64

    @property
    def components(self) -> int:
        """K."""
        return len(self.fractions)

    @property
    def dimensions(self) -> int:
        """Numbers a point has."""
        return int(self.means.shape[1])

    def log_densities(self, points: Float64) -> Float64:
        """Return the logarithm of each component's density, without its fraction: float64[K, n].

        Parameters
        ----------
        points : float64[n, d]
        """
        inverse = np.linalg.inv(self.factors)
        shifted = np.einsum("kij,kj->ki", inverse, self.means).reshape(-1, 1)
        scaled = inverse.reshape(-1, self.dimensions) @ points.T - shifted
        squares = np.square(scaled).reshape(self.components, self.dimensions, -1).sum(1)
        widths = np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(1)
        return np.asarray(-squares / 2 - (self.dimensions * _LOG_2PI / 2 + widths)[:, None])

    def log_density(self, points: Float64) -> Float64:
        """Return the logarithm of the density, float64[n]."""
        return log_sum(self.log_densities(points) + np.log(self.fractions)[:, None])

    def draw(self, n: int, random: np.random.Generator) -> Float64:
        """Return `n` points, float64[n, d]."""
        chosen = random.choice(self.components, n, p=self.fractions)
        normal = random.standard_normal((n, self.dimensions))
        return np.asarray(self.means[chosen] + np.einsum("nij,nj->ni", self.factors[chosen], normal))

    @property
    def covariances(self) -> Float64:
        """Covariance of each component, float64[K, d, d]."""
        return np.asarray(self.factors @ self.factors.transpose(0, 2, 1))

    def with_wide(self, factor: float, share: float, least: float = LEAST_WIDTH) -> Mixture:
        """Return a mixture with one more component, `factor` times as wide as all others together.

        In no direction is its standard deviation below `least`.
        """
        mean = self.fractions @ self.means
        away = self.means - mean
        covariance = np.tensordot(self.fractions, self.covariances, 1) + (away.T * self.fractions) @ away
        return Mixture(
            np.concatenate([self.fractions * (1 - share), [share]]),
            np.concatenate([self.means, mean[None]]),
            np.concatenate([self.factors, _factor(factor**2 * covariance, least)[None]]),
        )

    def evened(self, share: float) -> Mixture:
        """Return a mixture with `share` of each covariance replaced by the components' mean one.

        Components that a fit has squeezed against the edge of a region leave what lies just beyond them badly
        covered.
        """
        mean = np.tensordot(self.fractions, self.covariances, 1)
        evened = [_factor((1 - share) * each + share * mean) for each in self.covariances]
        return Mixture(self.fractions, self.means, np.array(evened))

    def to_json(self) -> list[dict[str, Any]]:
        """Return the components as plain values."""
        parts = zip(self.fractions, self.means, self.factors, strict=True)
        return [
            {"fraction": float(share), "mean": mean.tolist(), "factor": factor.tolist()}
            for share, mean, factor in parts
        ]

    @classmethod
    def from_json(cls, content: Sequence[dict[str, Any]]) -> Self:
        """Rebuild from `to_json`; raise `InputError` when that is no mixture."""
        try:
            made = cls(
                np.array([part["fraction"] for part in content], np.float64),
                np.array([part["mean"] for part in content], np.float64),
                np.array([part["factor"] for part in content], np.float64),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the components of a mixture cannot be read: {error!r}") from error
        k, d = made.means.shape if made.means.ndim == 2 else (0, 0)
        right = made.fractions.shape == (k,) and made.factors.shape == (k, d, d) and k * d > 0
        if not right or not all(np.isfinite(each).all() for each in vars(made).values()):
            raise InputError("the components of a mixture do not fit each other, or are not finite")
        if not ((made.fractions > 0).all() and (np.diagonal(made.factors, axis1=1, axis2=2) > 0).all()):
            raise InputError("a component of a mixture has no share or no width")
        return made


def log_sum(values: Float64) -> Float64:
    """Return log(sum(exp(values))) over the first axis, without overflow."""
    highest = values.max(0)
    finite = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(finite + np.log(np.exp(values - finite).sum(0)))


def fit(points: Float64, weights: Float64, components: int, random: np.random.Generator) -> Mixture:
    """Fit a mixture to weighted points by expectation and maximisation.

    A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39 (1977) 1. Covariances are shrunk towards
    the pooled one, so that components of few points keep a width; components that nothing is left of go.

    Parameters
    ----------
    points : float64[n, d]
    weights : float64[n]
        Not negative; some above zero.
    components : int
        At most.
    random : numpy.random.Generator
        Of the first means.
    """
    weights = weights / weights.sum()
    middle = weights @ points
    pooled = _covariance(points, weights, middle, np.zeros((points.shape[1],) * 2), 0.0)
    size = 1 / np.square(weights).sum()
    means = _spread_out(points, weights, components, random)
    pooled_factor = _factor(pooled)
    mixture = Mixture(np.full(len(means), 1 / len(means)), means, np.array([pooled_factor] * len(means)))
    before = -np.inf
    for _ in range(_ROUNDS):
        logs = mixture.log_densities(points) + np.log(mixture.fractions)[:, None]
        whole = log_sum(logs)
        mixture = _maximised(points, weights, np.exp(logs - whole), pooled, size)
        likelihood = float(weights @ whole)
        if likelihood - before < _GAIN:
            break
        before = likelihood
    return mixture


def _maximised(points: Float64, weights: Float64, shares: Float64, pooled: Float64, size: float) -> Mixture:
    """Return the mixture whose components have these `shares`, float64[K, n], of the points."""
    parts = []
    d = points.shape[1]
    for share in weights * shares:
        total = float(share.sum())
        # What is left of a component has to be worth more points than it has dimensions.
        if total**2 <= (d + 1) * np.square(share).sum():
            continue
        mean = share @ points / total
        count = total * size
        covariance = _covariance(points, share / total, mean, pooled, _SHRINKAGE / (count + _SHRINKAGE))
        parts.append((total, mean, _factor(covariance)))
    if not parts:
        parts = [(1.0, weights @ points, _factor(pooled))]
    fractions = np.array([part[0] for part in parts])
    return Mixture(
        fractions / fractions.sum(),
        np.array([part[1] for part in parts]),
        np.array([part[2] for part in parts]),
    )


def _covariance(points: Float64, weights: Float64, mean: Float64, other: Float64, share: float) -> Float64:
    """Return the covariance of weighted points (sum 1), `share` of it from another."""
    away = points - mean
    return (1 - share) * ((away * weights[:, None]).T @ away) + share * other


def _factor(covariance: Float64, least: float = LEAST_WIDTH) -> Float64:
    """Return the lower triangular factor, no direction narrower than `least`."""
    values, vectors = np.linalg.eigh(covariance)
    mended = (vectors * np.maximum(values, least**2)) @ vectors.T
    return np.asarray(np.linalg.cholesky((mended + mended.T) / 2))


def _spread_out(points: Float64, weights: Float64, count: int, random: np.random.Generator) -> Float64:
    """Return first means: points drawn by their weight and squared distance to those drawn before."""
    spread = np.sqrt(np.maximum(weights @ np.square(points - weights @ points), LEAST_WIDTH**2))
    scaled = points / spread
    chosen = [int(random.choice(len(points), p=weights))]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, np.square(scaled - scaled[chosen[-1]]).sum(1))
        chance = weights * nearest
        if not chance.sum() > 0:
            break
        chosen.append(int(random.choice(len(points), p=chance / chance.sum())))
    return points[chosen]
