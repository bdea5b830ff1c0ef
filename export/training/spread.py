"""How well a network is known: the statistics of what it learnt from, and the spread of its teachers.

The coordinates' tables are those of the whole part ``train`` for all teachers: single coordinates are known
as well as this part knows them, which its sums over protons tell. How the coordinates depend on each other
is what teachers learn, and those of other seeds and of bootstrap samples of the protons differ from the one
of all protons as trainings on other samples of the same size would.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from shipgen.muons.quantities import Quantities
from shipgen_export.maps.muon_map import tame
from shipgen_export.merit.evaluate import generate
from shipgen_export.sample.sample import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.maps.muon_map import MuonMap
    from shipgen_export.sample.sample import CategorySample

#: Muons that each network makes.
MUONS = 2_000_000

#: Stream of random numbers.
_LATENT = 4

#: Muons whose quantities are computed at once: bounds the memory of intermediate steps.
_SLICE = 500_000


class QuantitySpread(TypedDict):
    """What is known of one quantity, as `uncertainty` says."""

    sample: float
    error: float
    train: float
    train_error: float
    student: float
    made_error: float
    mean: float
    spread: float


class StudentSpread(TypedDict):
    """What is known of a student."""

    muons: int
    teachers: int
    quantities: dict[str, QuantitySpread]


def tails(features: Float64, start: float) -> dict[str, NDArray[np.bool_]]:
    """Return which muons lie in each of some tails, by name; parameters as for `quantities`."""
    q = Quantities.of_rows(features, start)
    p, pt = q["p"], q["pt"]
    far = {f"r > {limit} cm": q["r"] > limit for limit in (5, 7)} if "r" in q else {}
    return {
        "p > 60 GeV": p > 60,
        "p > 100 GeV": p > 100,
        "p > 200 GeV": p > 200,
        "pT > 1.5 GeV": pt > 1.5,
        "pT > 2.5 GeV": pt > 2.5,
        "p > 60 GeV, pT > 1 GeV": (p > 60) & (pt > 1),
        "z > 100 cm from the start": q["z"] > 100,
        **far,
    }


def quantities(features: Float64, start: float) -> dict[str, Float64]:
    """Return what is averaged over muons, by name: shares of muons in tails, and means.

    Parameters
    ----------
    features : float64[n, d]
        (x, y,) z, px, py, pz in cm and GeV.
    start : float
        z of the target's start, cm.

    Returns
    -------
    dict of str to float64[n]
    """
    q = Quantities.of_rows(features, start)
    p, pt, z = q["p"], q["pt"], q["z"]
    means = {"mean p, GeV": p, "mean pT, GeV": pt, "mean z from the start, cm": z}
    if "r" in q:
        means["mean r, cm"] = q["r"]
    return {**{name: chosen.astype(np.float64) for name, chosen in tails(features, start).items()}, **means}


def uncertainty(
    muons: CategorySample,
    start: float,
    student: Any,
    teachers: Sequence[Any],
    seed: int,
    made: int = MUONS,
    own: MuonMap | None = None,
) -> StudentSpread:
    """Compare a student, its teachers and the sample in some quantities.

    Parameters
    ----------
    muons : CategorySample
        With the map of all networks.
    start : float
        z of the target's start, cm.
    student : generator
        Latents -> normal numbers.
    teachers : sequence of generators
        First the one of all protons, then one or more of bootstrap samples. The same latents are given to
        all, so that their spread is not that of the latents.
    seed : int
        Of the latents.
    made : int
        Muons that each makes.
    own : MuonMap, optional
        The student's, where it has one of its own.

    Returns
    -------
    StudentSpread
        ``muons``, ``teachers`` and, under ``quantities``, by name: the value in the ``sample``'s parts that
        no network has seen (validation and test) and its ``error`` (from sums over protons); the same of the
        part ``train`` as networks learn it, ``train`` and ``train_error``; the ``student``'s and its
        ``made_error`` (from the number of muons made), the teachers' ``mean``, and their ``spread``: the root
        mean square of the differences between teachers of bootstrap samples and that of all protons.
    """
    learnt = muons.split == SPLITS.index("train")
    sample, error = _of_part(muons, ~learnt, muons.weights[~learnt], start)
    train, train_error = _of_part(muons, learnt, tame(muons.weights[learnt])[0], start)
    key = (seed, muons.category.number, _LATENT)

    def of(generator: Any, like: CategorySample) -> tuple[dict[str, float], dict[str, float]]:
        random = np.random.default_rng(np.random.SeedSequence(key))
        return _means(generate(generator, like, made, random), start)

    mine = muons if own is None else replace(muons, map=own)
    (value_of, error_of), others = of(student, mine), [of(teacher, muons)[0] for teacher in teachers]
    found: dict[str, QuantitySpread] = {}
    for name, value in sample.items():
        values = np.array([other[name] for other in others])
        found[name] = {
            "sample": value,
            "error": error[name],
            "train": train[name],
            "train_error": train_error[name],
            "student": value_of[name],
            "made_error": error_of[name],
            "mean": float(values.mean()),
            "spread": float(np.sqrt(np.square(values[1:] - values[0]).mean())),
        }
    return {"muons": made, "teachers": len(others), "quantities": found}


def _means(features: Float32, start: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return the quantities' means over muons that count alike, and the errors of these."""
    sums: dict[str, Float64] = {}
    for first in range(0, len(features), _SLICE):
        part = features[first : first + _SLICE].astype(np.float64)
        for name, values in quantities(part, start).items():
            sums[name] = sums.get(name, np.zeros(2)) + np.array([values.sum(), values @ values])
    n = len(features)
    means = {name: float(first) / n for name, (first, _) in sums.items()}
    variances = {name: max(second / n - means[name] ** 2, 0.0) for name, (_, second) in sums.items()}
    errors = {name: float(np.sqrt(variance / n)) for name, variance in variances.items()}
    return means, errors


def _of_part(
    muons: CategorySample, chosen: NDArray[np.bool_], own: Float64, start: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Return means of the `chosen` muons with weights `own` and their errors, which come from the protons."""
    rows = np.flatnonzero(chosen)
    protons, of_muon = np.unique(muons.group[rows], return_inverse=True)
    weights = np.bincount(of_muon, own, minlength=len(protons))
    totals: dict[str, Float64] = {}
    for first in range(0, len(rows), _SLICE):
        part = slice(first, first + _SLICE)
        for name, values in quantities(muons.features[rows[part]].astype(np.float64), start).items():
            product = own[part] * values
            sums = np.asarray(np.bincount(of_muon[part], product, minlength=len(protons)), np.float64)
            totals[name] = totals[name] + sums if name in totals else sums
    whole = float(weights.sum())
    means = {name: float(sums.sum()) / whole for name, sums in totals.items()}
    errors = {
        name: float(np.sqrt(np.square(sums - means[name] * weights).sum())) / whole
        for name, sums in totals.items()
    }
    return means, errors
