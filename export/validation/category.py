"""What is found of one category, or of all together: distributions, tails, correlations, coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import CATEGORIES, category_by_name
from shipgen_export.training.figure_of_merit import Muons
from shipgen_export.validation.findings import Test
from shipgen_export.validation.neighbours import neighbours
from shipgen_export.validation.quantities import LABELS, TOGETHER, Region, plain, quantities
from shipgen_export.validation.samples import by_proton
from shipgen_export.validation.statistics import (
    Comparison,
    compare,
    correlation_p,
    correlations,
    effective,
    fraction,
    pearson,
    spearman,
    two_sided,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.columns import Float64
    from shipgen_export.validation.samples import Sample

#: Effective muons of a tail below which it is no test.
_FEWEST_IN_TAIL = 25

#: Errors of correlations that are none: those on the diagonal.
_ROUNDING = 1e-9

#: Muons below which correlations have no errors.
_FEWEST_CORRELATED = 2000


@dataclass(frozen=True, eq=False)
class CategoryResult:
    """What was found of one category, or of all together.

    Attributes
    ----------
    name : str
        Of the category.
    effective : dict
        Muons compared and effective numbers, generated and reference.
    histograms : dict of str to Comparison
        By quantity.
    tails : list of dict
        Shares above thresholds and in regions.
    features : tuple of str
        Rows and columns of the matrices.
    correlations : dict of str to tuple of float64[d, d]
        ``pearson`` and ``spearman``: generated, reference, difference over its error.
    coverage : list of dict
        A row a feature.
    memory : dict, optional
        From `neighbours`.
    """

    name: str
    effective: dict[str, Any]
    histograms: dict[str, Comparison]
    tails: list[dict[str, Any]]
    features: tuple[str, ...]
    correlations: dict[str, tuple[Float64, Float64, Float64]]
    coverage: list[dict[str, Any]]
    memory: dict[str, Any] | None


def joined(sample: Sample) -> Muons:
    """Return the muons of all categories with the features that all have: z, px, py, pz."""
    parts = list(sample.categories.values())
    return Muons(
        np.concatenate([muons.features[:, -4:] for muons in parts]),
        np.concatenate([muons.weights for muons in parts]),
        np.concatenate([muons.group for muons in parts]),
    )


def muons_of(sample: Sample, name: str) -> Muons:
    """Return the muons of a category, or of all together, sorted by proton."""
    return by_proton(joined(sample) if name == TOGETHER else sample.categories[name])


def features_of(name: str) -> tuple[str, ...]:
    """Return the features of a category, or those of all together."""
    return CATEGORIES[0].features if name == TOGETHER else category_by_name(name).features


def compare_category(
    name: str, generated: Sample, reference: Sample, regions: Sequence[Region], seed: int, *, memory: bool
) -> tuple[CategoryResult, list[Test]]:
    """Compare one category of two samples; parameters as for `compare.validate`.

    Returns
    -------
    CategoryResult
    list of Test
        Of distributions, tails, correlations and memory.
    """
    samples = muons_of(generated, name), muons_of(reference, name)
    values = [quantities(muons.features) for muons in samples]
    histograms, tests = {}, []
    for quantity in values[0]:
        comparison = compare(values[0][quantity], values[1][quantity], samples)
        if comparison is not None:
            histograms[quantity] = comparison
            tests += _histogram_tests(name, quantity, comparison)
    rows, more = _tails(name, values, samples, regions)
    features = features_of(name)
    matrices, also = _correlations(name, features, values, samples)
    nearest = neighbours(generated, reference, name, seed) if memory and name != TOGETHER else None
    sizes = [effective(muons) for muons in samples]
    numbers = {
        side: {"muons": len(muons), "effective": size[0], "effective_protons": size[1]}
        for side, muons, size in zip(("generated", "reference"), samples, sizes, strict=True)
    }
    coverage = _coverage(features, samples)
    result = CategoryResult(
        name, numbers, histograms, rows, features, matrices, coverage, nearest[0] if nearest else None
    )
    return result, [*tests, *more, *also, *(nearest[1] if nearest else [])]


def _histogram_tests(name: str, quantity: str, found: Comparison) -> list[Test]:
    low, high, pull = found.where
    unit = LABELS[quantity][1]
    chi2 = (
        f"chi2/dof {found.chi2 / found.dof:.2f}, most at {low:.4g} to {high:.4g} {unit} ({pull:+.1f} sigma)"
    )
    bins = len(found.pulls)
    # Of so many bins the largest pull; without it a narrow difference drowns in the other bins.
    largest = min(1.0, bins * two_sided(pull))
    place = f"{pull:+.1f} sigma at {low:.4g} to {high:.4g} {unit}, the largest of {bins} bins"
    distance = f"KS distance {found.distance:.4f} at {found.distance_at:.4g} {unit}"
    return [
        Test("histogram", name, plain(quantity), found.p, found.chi2 / found.dof, chi2),
        Test("bin", name, plain(quantity), largest, abs(pull), place),
        Test("KS", name, plain(quantity), found.distance_p, found.distance, distance),
    ]


def _tails(
    name: str,
    values: Sequence[dict[str, Float64]],
    samples: tuple[Muons, Muons],
    regions: Sequence[Region],
) -> tuple[list[dict[str, Any]], list[Test]]:
    """Compare shares of the weight in tails and regions."""
    rows, tests = [], []
    for region in regions:
        inside = [region.holds(each) for each in values]
        if any(each is None for each in inside):
            continue
        (a, error_a), (b, error_b) = (
            fraction(each, muons) for each, muons in zip(inside, samples, strict=True)
        )
        counts = [int(each.sum()) for each in inside]
        pull = (a - b) / float(np.hypot(error_a, error_b))
        ratio = a / b if b > 0 else None
        relative = float(np.hypot(error_a / a, error_b / b)) if a > 0 and b > 0 else None
        rows.append(
            {
                "region": region.name,
                "generated": a,
                "generated_error": error_a,
                "reference": b,
                "reference_error": error_b,
                "ratio": ratio,
                "ratio_error": ratio * relative if ratio is not None and relative is not None else None,
                "pull": pull,
                "muons": counts,
            }
        )
        enough = min((share / error) ** 2 for share, error in ((a, error_a), (b, error_b)))
        if max(counts) < len(inside[0]) and max(enough, _one_sided(a, b, error_a, error_b)) > _FEWEST_IN_TAIL:
            text = f"{a:.3g} of the muons, {b:.3g} in the reference"
            text += f": ratio {ratio:.3f}" if ratio is not None else ""
            tests.append(Test("tail", name, region.name, two_sided(pull), abs(pull), text))
    return rows, tests


def _one_sided(a: float, b: float, error_a: float, error_b: float) -> float:
    """Return the effective muons of the fuller tail when the other one is almost empty, else 0."""
    fuller, error = max((a, error_a), (b, error_b))
    return (fuller / error) ** 2 if min(a, b) < fuller / 4 else 0.0


def _correlations(
    name: str, features: tuple[str, ...], values: Sequence[dict[str, Float64]], samples: tuple[Muons, Muons]
) -> tuple[dict[str, tuple[Float64, Float64, Float64]], list[Test]]:
    if min(map(len, samples)) < _FEWEST_CORRELATED or min(int(muons.group[-1]) for muons in samples) < 1000:
        return {}, []
    found, tests = {}, []
    for title, measure in (("pearson", pearson), ("spearman", spearman)):
        (a, error_a), (b, error_b) = (
            correlations(np.array([each[feature] for feature in features]), muons, measure)
            for each, muons in zip(values, samples, strict=True)
        )
        sigma = np.hypot(error_a, error_b)
        pulls = np.divide(a - b, sigma, out=np.zeros_like(a), where=sigma > _ROUNDING)
        found[title] = (a, b, pulls)
        for i, j in zip(*np.triu_indices(len(features), 1), strict=True):
            pull = float(pulls[i, j])
            pair = f"{title.capitalize()} {features[i]}, {features[j]}"
            text = f"{a[i, j]:+.4f}, {b[i, j]:+.4f} in the reference ({pull:+.1f} sigma)"
            tests.append(Test("correlation", name, pair, correlation_p(pull), abs(pull), text))
    return found, tests


def _coverage(features: tuple[str, ...], samples: tuple[Muons, Muons]) -> list[dict[str, Any]]:
    """Return ranges and the share of the weight of each sample outside the other's range."""
    rows = []
    ranges = [(muons.features.min(0), muons.features.max(0)) for muons in samples]
    for number, feature in enumerate(features):
        outside = []
        for muons, (low, high) in zip(samples, ranges[::-1], strict=True):
            column = muons.features[:, number]
            chosen = (column < low[number]) | (column > high[number])
            outside.append((int(chosen.sum()), float(muons.weights[chosen].sum() / muons.weights.sum())))
        rows.append(
            {
                "feature": feature,
                "unit": LABELS[feature][1],
                "generated": [float(end[number]) for end in ranges[0]],
                "reference": [float(end[number]) for end in ranges[1]],
                "generated_outside": outside[0][1],
                "generated_outside_muons": outside[0][0],
                "reference_outside": outside[1][1],
                "expected_outside": 2 / (len(samples[1]) + 1),
            }
        )
    return rows
