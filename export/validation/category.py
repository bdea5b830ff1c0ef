"""What is found of one category, or of all together: distributions, tails, correlations, coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from shipgen_export.validation.counting.binning import features_of
from shipgen_export.validation.counting.compared_quantities import LABELS, TOGETHER, plain
from shipgen_export.validation.counting.findings import BothSides, Finding
from shipgen_export.validation.counting.statistics import (
    Comparison,
    compare,
    correlation_p,
    correlations,
    fraction,
    two_sided,
)

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.validation.copies import Copies
    from shipgen_export.validation.counting.tally import Tally
    from shipgen_export.validation.neighbours import Memory
    from shipgen_export.validation.samples.samples import Sample

#: Effective muons of a tail below which it is no test.
_FEWEST_IN_TAIL = 25

#: Errors of correlations that are none: those on the diagonal.
_ROUNDING = 1e-9

#: Muons and protons below which correlations have no errors.
_FEWEST_CORRELATED, _FEWEST_PROTONS = 2000, 1000

_SIDES = ("generated", "reference")


class SideSize(TypedDict):
    """Muons compared of one side, how many equal ones they are worth, and how many were drawn."""

    muons: int
    effective: float
    effective_protons: float
    drawn: int


class TailRow(BothSides):
    """Shares of the weight in a region; `muons` are those of generated and reference."""

    region: str
    ratio: float | None
    ratio_error: float | None
    pull: float
    muons: list[int]


class CoverageRow(TypedDict):
    """Ranges of a feature, and the share of the weight of each sample outside the other's range."""

    feature: str
    unit: str
    generated: list[float]
    reference: list[float]
    generated_outside: float
    generated_outside_muons: int
    reference_outside: float
    expected_outside: float


@dataclass(frozen=True, eq=False)
class CategoryResult:
    """What was found of one category, or of all together.

    Attributes
    ----------
    name : str
        Of the category.
    effective : dict of str to SideSize
        Generated and reference.
    histograms : dict of str to Comparison
        By quantity.
    tails : list of TailRow
    features : tuple of str
        Rows and columns of the matrices.
    correlations : dict of str to tuple of float64[d, d]
        ``pearson`` and ``spearman``: generated, reference, difference over its error.
    coverage : list of CoverageRow
    memory : Memory, optional
    copies : Copies, optional
    """

    name: str
    effective: dict[str, SideSize]
    histograms: dict[str, Comparison]
    tails: list[TailRow]
    features: tuple[str, ...]
    correlations: dict[str, tuple[Float64, Float64, Float64]]
    coverage: list[CoverageRow]
    memory: Memory | None = None
    copies: Copies | None = None

    def tail(self, region: str) -> TailRow | None:
        """Return what was found of a region, by name."""
        return next((row for row in self.tails if row["region"] == region), None)


def compare_category(
    name: str, samples: tuple[Sample, Sample], tallies: tuple[Tally, Tally]
) -> tuple[CategoryResult, list[Finding]]:
    """Compare one category of two samples, generated and reference.

    Returns
    -------
    CategoryResult
    list of Finding
        Of distributions, tails and correlations.
    """
    binning = tallies[0].binning
    histograms, tests = {}, []
    for quantity, bins in binning.bins[name].items():
        content = tallies[0].content(name, quantity), tallies[1].content(name, quantity)
        ends = np.array([tally.ends[name, quantity] for tally in tallies])
        both = np.array([ends[:, 0].min(), ends[:, 1].max()])
        histograms[quantity] = compare(content, bins, binning.borders[quantity], both)
        tests += _histogram_tests(name, quantity, histograms[quantity])
    rows, more = _tails(name, tallies)
    matrices, also = _correlations(name, tallies)
    sizes = [tally.size(name) for tally in tallies]
    numbers: dict[str, SideSize] = {
        side: {
            "muons": int(size[0]),
            "effective": float(size[1] ** 2 / size[2]),
            "effective_protons": float(size[1] ** 2 / size[3]),
            "drawn": sum(len(s.draws[m]) for m in s.draws if name in (m, TOGETHER)),
        }
        for side, size, s in zip(_SIDES, sizes, samples, strict=True)
    }
    coverage = [] if name == TOGETHER else _coverage(name, samples, tallies)
    result = CategoryResult(name, numbers, histograms, rows, features_of(name), matrices, coverage)
    return result, [*tests, *more, *also]


def _histogram_tests(name: str, quantity: str, found: Comparison) -> list[Finding]:
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
        Finding("histogram", name, plain(quantity), found.p, found.chi2 / found.dof, chi2),
        Finding("bin", name, plain(quantity), largest, abs(pull), place),
        Finding("KS", name, plain(quantity), found.distance_p, found.distance, distance),
    ]


def _tails(name: str, tallies: tuple[Tally, Tally]) -> tuple[list[TailRow], list[Finding]]:
    """Compare shares of the weight in tails and regions."""
    rows: list[TailRow] = []
    tests = []
    sizes = [tally.size(name) for tally in tallies]
    for region in tallies[0].binning.regions:
        found = [tally.sums[name, "region", region.name] for tally in tallies]
        (a, error_a), (b, error_b) = (
            fraction(one[1], size[1], (one[2], one[3], size[3]), size[0])
            for one, size in zip(found, sizes, strict=True)
        )
        counts = [int(one[0]) for one in found]
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
        enough = max(enough, _one_sided(a, b, error_a, error_b))
        if counts[0] < sizes[0][0] and counts[1] < sizes[1][0] and enough > _FEWEST_IN_TAIL:
            text = f"{a:.3g} of the muons, {b:.3g} in the reference"
            text += f": ratio {ratio:.3f}" if ratio is not None else ""
            tests.append(Finding("tail", name, region.name, two_sided(pull), abs(pull), text))
    return rows, tests


def _one_sided(a: float, b: float, error_a: float, error_b: float) -> float:
    """Return the effective muons of the fuller tail when the other one is almost empty, else 0."""
    fuller, error = max((a, error_a), (b, error_b))
    return (fuller / error) ** 2 if min(a, b) < fuller / 4 else 0.0


def _correlations(
    name: str, tallies: tuple[Tally, Tally]
) -> tuple[dict[str, tuple[Float64, Float64, Float64]], list[Finding]]:
    sizes = [tally.size(name) for tally in tallies]
    if min(one[0] for one in sizes) < _FEWEST_CORRELATED or min(one[4] for one in sizes) < _FEWEST_PROTONS:
        return {}, []
    features, found, tests = features_of(name), {}, []
    for title in ("pearson", "spearman"):
        (a, error_a), (b, error_b) = (correlations(tally.sums[name, title]) for tally in tallies)
        sigma = np.hypot(error_a, error_b)
        pulls = np.divide(a - b, sigma, out=np.zeros_like(a), where=sigma > _ROUNDING)
        found[title] = (a, b, pulls)
        for i, j in zip(*np.triu_indices(len(features), 1), strict=True):
            pull = float(pulls[i, j])
            pair = f"{title.capitalize()} {features[i]}, {features[j]}"
            text = f"{a[i, j]:+.4f}, {b[i, j]:+.4f} in the reference ({pull:+.1f} sigma)"
            tests.append(Finding("correlation", name, pair, correlation_p(pull), abs(pull), text))
    return found, tests


def _coverage(name: str, samples: tuple[Sample, Sample], tallies: tuple[Tally, Tally]) -> list[CoverageRow]:
    """Return ranges and the share of the weight of each sample outside the other's range."""
    rows: list[CoverageRow] = []
    surveys = [sample.source.surveys[name] for sample in samples]
    for number, feature in enumerate(features_of(name)):
        outside = [tally.sums[name, "outside"][number] for tally in tallies]
        rows.append(
            {
                "feature": feature,
                "unit": LABELS[feature][1],
                "generated": [float(surveys[0].low[number]), float(surveys[0].high[number])],
                "reference": [float(surveys[1].low[number]), float(surveys[1].high[number])],
                "generated_outside": float(outside[0][1] / tallies[0].size(name)[1]),
                "generated_outside_muons": int(outside[0][0]),
                "reference_outside": float(outside[1][1] / tallies[1].size(name)[1]),
                "expected_outside": 2 / (surveys[1].counted + 1),
            }
        )
    return rows
