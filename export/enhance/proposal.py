"""The proposal of an enhanced network: which latents are drawn, and the weight that makes up for it.

Latents x are drawn from q(x) = (1 - s) N(x) + s M(x): a standard normal distribution N, and for the share s a
mixture M of normal distributions in some directions, standard normal in the others. Their weight is
N(x) / q(x), at most 1 / (1 - s), and 1 on average (a defensive mixture: T. Hesterberg, Technometrics 37
(1995) 185). One more latent, a normal number too, chooses the component.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen_export.enhance.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.muons.columns import Float64


@dataclass(frozen=True, eq=False)
class Proposal:
    """A defensive mixture.

    Attributes
    ----------
    share : float
        Share of the muons that is drawn from the mixture, in (0, 1).
    basis : float64[L, d]
        Orthonormal columns: the directions of latent space that the mixture changes.
    mixture : Mixture
        In these directions.
    """

    share: float
    basis: Float64
    mixture: Mixture

    #: Latents beside those of the plain network.
    extra = 1

    @property
    def latent_size(self) -> int:
        """Latents of the plain network, L."""
        return len(self.basis)

    @property
    def shares(self) -> Float64:
        """Shares of the plain normal and of the mixture's components, float64[1 + K]."""
        return np.concatenate([[1 - self.share], self.share * self.mixture.fractions])

    @property
    def thresholds(self) -> Float64:
        """Normal numbers from which on the extra latent chooses the next component, float64[K]."""
        quantile = NormalDist().inv_cdf
        return np.array([quantile(below) for below in np.cumsum(self.shares)[:-1].tolist()])

    def __call__(self, latent: Float64) -> tuple[Float64, Float64]:
        """Return the plain network's latents and the weight of each: the reference of the graph.

        Parameters
        ----------
        latent : float64[n, L + 1]
            Standard normal numbers, the last one choosing the component.

        Returns
        -------
        float64[n, L], float64[n]
        """
        normal, choice = np.split(np.asarray(latent, np.float64), [self.latent_size], axis=1)
        component = np.searchsorted(self.thresholds, choice[:, 0], side="right")
        here = normal @ self.basis
        moved = here.copy()
        for k, (mean, factor) in enumerate(zip(self.mixture.means, self.mixture.factors, strict=True)):
            own = component == k + 1
            moved[own] = mean + here[own] @ factor.T
        x = normal + (moved - here) @ self.basis.T
        return x, self.weights(x)

    def log_ratio(self, x: Float64) -> Float64:
        """Return log(q / N), the logarithm of the inverse of the weight, of plain latents: float64[n]."""
        here = x @ self.basis
        plain = -np.square(here).sum(1) / 2 - here.shape[1] * np.log(2 * np.pi) / 2
        mixture = self.mixture.log_density(here) - plain
        return np.asarray(np.logaddexp(np.log1p(-self.share), np.log(self.share) + mixture))

    def weights(self, x: Float64) -> Float64:
        """Return N / q of plain latents, float64[n, L] -> float64[n]."""
        return np.exp(-self.log_ratio(x))

    def draw(self, n: int, random: np.random.Generator) -> Float64:
        """Return `n` plain latents drawn from q, float64[n, L]."""
        return self(random.standard_normal((n, self.latent_size + 1)))[0]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "share": self.share,
            "basis": self.basis.tolist(),
            "components": self.mixture.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`; raise `InputError` when that is no proposal."""
        try:
            basis = np.array(content["basis"], np.float64)
            made = cls(float(content["share"]), basis, Mixture.from_json(content["components"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the proposal cannot be read: {error!r}") from error
        if basis.ndim != 2 or basis.shape[1] != made.mixture.dimensions or not 0 < made.share < 1:
            raise InputError("the proposal's parts do not fit each other, or its share is not in (0, 1)")
        if not np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-6):
            raise InputError("the proposal's directions are not orthonormal")
        return made
