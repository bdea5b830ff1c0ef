"""Whether generated muons are near to those that the networks were trained on.

Coordinates are scaled by the reference's standard deviations. A network that has memorised its sample makes
muons nearer to that sample than other muons are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from shipgen_export.merit.weighted_muons import WeightedMuons, thin
from shipgen_export.validation.counting.findings import Finding
from shipgen_export.validation.counting.protons import effective
from shipgen_export.validation.counting.statistics import one_sided

if TYPE_CHECKING:
    from shipgen.muons.columns import Float32, Float64

#: Muons in each set, and muons whose neighbours are looked for.
_MUONS, _ASKED = 50_000, 10_000
_FEWEST = 1000


class Memory(TypedDict):
    """What nearest neighbours say.

    ``distance_ratio``: median distance to the reference, over that of the reference's own muons of other
    protons. Where it is known what the networks were trained on also ``nearer_to_training``: share of
    generated muons nearer to muons trained on than to as many others, 0.5 for a network that has not
    memorised, and its error.
    """

    asked: int
    compared_with: int
    distance_ratio: float | None
    nearer_to_training: NotRequired[float]
    nearer_to_training_error: NotRequired[float]


def neighbours(
    name: str, made: WeightedMuons, real: WeightedMuons, train: WeightedMuons | None, seed: int
) -> tuple[Memory, list[Finding]] | None:
    """Look for the nearest neighbours of a category's generated muons; ``None`` with too few muons.

    Parameters
    ----------
    name : str
        The category.
    made, real : WeightedMuons
        Generated muons and those of the reference.
    train : WeightedMuons, optional
        Those that networks were trained on.
    seed : int
        Of draws.

    Returns
    -------
    Memory
    list of Finding
    """
    if min(len(made), len(real)) < 2 * _FEWEST:
        return None
    random = np.random.default_rng((seed, 5))
    half = np.unique(real.group, return_inverse=True)[1] % 2
    sets = [thin(real.at(half == part), _MUONS, random) for part in (0, 1)]
    asked, other = thin(made, _ASKED, random), thin(sets[1], _ASKED, random)
    scale = sets[0].features.std(0, dtype=np.float64)
    scale[scale == 0] = 1
    to_real = _distances(sets[0].features, asked.features, scale)
    own = _distances(sets[0].features, other.features, scale)
    typical = float(np.median(own))
    found: Memory = {
        "asked": len(asked),
        "compared_with": len(sets[0]),
        "distance_ratio": float(np.median(to_real)) / typical if typical > 0 else None,
    }
    if train is None or len(train) < _FEWEST:
        return found, []
    number = min(len(train), len(real), _MUONS)
    both = [thin(muons, number, random) for muons in (train, real)]
    nearest = [_distances(muons.features, asked.features, scale) for muons in both]
    share = float(np.mean(nearest[0] < nearest[1]) + np.mean(nearest[0] == nearest[1]) / 2)
    error = _error(asked, both)
    pull = (share - 0.5) / error
    found |= {"nearer_to_training": share, "nearer_to_training_error": error}
    text = f"{share:.2%} of generated muons are nearer to muons trained on, where 50 % are expected"
    return found, [Finding("memory", name, "nearest neighbour", one_sided(pull), abs(pull), text)]


def _distances(muons: Float32, asked: Float32, scale: Float64) -> Float64:
    from scipy.spatial import cKDTree

    tree = cKDTree(muons / scale)
    return np.asarray(tree.query(asked / scale, k=1)[0])


def _error(asked: WeightedMuons, both: list[WeightedMuons]) -> float:
    """Return the standard error of the share: of the muons asked, and of either set by protons."""
    sizes = [len(asked), *(effective(muons)[1] for muons in both)]
    return float(0.5 * np.sqrt(sum(1 / size for size in sizes)))
