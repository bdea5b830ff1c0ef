"""Muons with weights and the protons they come from, and fair draws of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from shipgen.muons.columns import Float32, Float64, Int64


@dataclass(frozen=True, eq=False)
class WeightedMuons:
    """Muons to compare, with weights.

    Attributes
    ----------
    features : float32[n, d]
        In the category's order, cm and GeV.
    weights : float64[n]
        In any unit.
    group : int64[n]
        Proton each comes from; muons of one proton are not independent.
    """

    features: Float32
    weights: Float64
    group: Int64

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def independent(cls, features: Float32) -> Self:
        """Return muons of equal weight and a proton each, such as generated ones."""
        return cls(features, np.ones(len(features)), np.arange(len(features)))

    def at(self, index: Any) -> WeightedMuons:
        """Return the muons at `index`, a mask or places."""
        return WeightedMuons(self.features[index], self.weights[index], self.group[index])


def thin(muons: WeightedMuons, limit: int, random: np.random.Generator) -> WeightedMuons:
    """Draw at most `limit` muons in proportion to their weights, and give them the weights that are left.

    Up to `limit` muons stay as they are. Of more, those heavier than a threshold t stay with their weights
    w, the others with probability w / t and weight t: no muon comes twice, and every sum of weights stays
    right on average (threshold sampling; N. Duffield, C. Lund and M. Thorup, J. ACM 54 (2007) 32).

    Parameters
    ----------
    muons : WeightedMuons
        What to draw from; those without weight are dropped.
    limit : int
        How many to draw at most.
    random : numpy.random.Generator
        Source of the one offset of systematic sampling.

    Raises
    ------
    InputError
        There is no muon with weight.
    """
    muons = muons.at(muons.weights > 0)
    if not len(muons):
        raise InputError(
            "the figure of merit needs held-out muons and there are none: prepare a larger sample"
        )
    if len(muons) <= limit:
        return muons
    heaviest = np.sort(muons.weights)[::-1][:limit]
    # t if the k heaviest stay as they are; the first that none of the others exceeds is the right one.
    thresholds = (muons.weights.sum() - np.cumsum(heaviest) + heaviest) / np.arange(limit, 0, -1)
    threshold = thresholds[np.argmax(heaviest <= thresholds)]
    cumulative = np.cumsum(np.minimum(1, muons.weights / threshold))
    places = np.searchsorted(cumulative, np.arange(limit) + random.random(), side="right")
    index = np.unique(np.minimum(places, len(muons) - 1))
    chosen = muons.at(index)
    return WeightedMuons(chosen.features, np.maximum(chosen.weights, threshold), chosen.group)
