"""Rates: muons of each category per proton on target, against the reference and against the bundle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import CATEGORIES
from shipgen_export.validation.findings import Test
from shipgen_export.validation.quantities import TOGETHER
from shipgen_export.validation.statistics import chi2_p, two_sided

if TYPE_CHECKING:
    from shipgen.bundle import Bundle
    from shipgen.columns import Float64
    from shipgen_export.validation.samples import Sample

#: What charge ratios are taken of: categories of positive and negative muons, as places in `CATEGORIES`.
_CHARGES = {"on axis": ((0,), (1,)), "off axis": ((2,), (3,)), TOGETHER: ((0, 2), (1, 3))}


def compare_rates(generated: Sample, reference: Sample) -> tuple[dict[str, Any], list[Test]]:
    """Compare rates where both are known per POT, shares of the categories elsewhere.

    Returns
    -------
    dict
        ``unit``, a row a category under ``rows``, ``chi2`` and ``p`` of all four with their covariance, and
        under ``charge`` the ratio of positive to negative muons.
    list of Test
    """
    per_pot = generated.normalised and reference.normalised
    values, errors = [], []
    covariance = np.zeros((4, 4))
    for sample in (generated, reference):
        value, its = sample.totals, sample.covariance
        if not per_pot:
            value, its = _shares(value, its)
        values.append(value)
        errors.append(np.sqrt(np.maximum(np.diag(its), 0)))
        covariance += its
    difference = values[0] - values[1]
    unit = "muons per POT" if per_pot else "share of the muons"
    rows, tests = [], []
    for place, category in enumerate(CATEGORIES):
        sigma = math.hypot(errors[0][place], errors[1][place])
        pull = float(difference[place] / sigma) if sigma > 0 else None
        ratio = _ratio(values[0][place], values[1][place])
        rows.append(
            {
                "category": category.name,
                "generated": float(values[0][place]),
                "generated_error": float(errors[0][place]),
                "reference": float(values[1][place]),
                "reference_error": float(errors[1][place]),
                "ratio": ratio,
                "ratio_error": _relative(values, errors, place) * ratio if ratio else None,
                "pull": pull,
                "found": [sample.found.get(category.name, 0) for sample in (generated, reference)],
            }
        )
        if pull is not None:
            text = f"{unit} {ratio:.4g} of the reference's" if ratio is not None else "none in the reference"
            tests.append(Test("rates", category.name, "rate", two_sided(pull), abs(pull), text))
    inner = slice(None) if per_pot else slice(None, -1)
    chi2 = float(
        difference[inner] @ np.linalg.pinv(covariance[inner, inner], hermitian=True) @ difference[inner]
    )
    charge = _charge(generated, reference)
    for row in charge:
        if row["pull"] is not None:
            text = f"mu+/mu- is {row['generated']:.4g}, {row['reference']:.4g} in the reference"
            pull = row["pull"]
            tests.append(Test("charge ratio", row["where"], "mu+/mu-", two_sided(pull), abs(pull), text))
    dof = len(difference[inner])
    found = {"unit": unit, "rows": rows, "chi2": chi2, "dof": dof, "p": chi2_p(chi2, dof), "charge": charge}
    return found, tests


def _shares(totals: Float64, covariance: Float64) -> tuple[Float64, Float64]:
    """Return shares of the total and their covariance."""
    whole = totals.sum()
    shares = totals / whole
    slope = (np.eye(4) - shares[:, None]) / whole
    return shares, slope @ covariance @ slope.T


def _ratio(a: float, b: float) -> float | None:
    return float(a / b) if b > 0 else None


def _relative(values: list[Float64], errors: list[Float64], place: int) -> float:
    relative = [errors[k][place] / values[k][place] if values[k][place] > 0 else 0.0 for k in (0, 1)]
    return math.hypot(*relative)


def _charge(generated: Sample, reference: Sample) -> list[dict[str, Any]]:
    """Return the ratios of positive to negative muons with errors from the covariance of the totals."""
    rows = []
    for where, (plus, minus) in _CHARGES.items():
        found = [_charge_of(sample, plus, minus) for sample in (generated, reference)]
        if found[0] is None or found[1] is None:
            continue
        (a, relative_a), (b, relative_b) = found[0], found[1]
        sigma = math.hypot(relative_a, relative_b)
        rows.append(
            {
                "where": where,
                "generated": a,
                "generated_error": a * relative_a,
                "reference": b,
                "reference_error": b * relative_b,
                "pull": math.log(a / b) / sigma if sigma > 0 else None,
            }
        )
    return rows


def _charge_of(sample: Sample, plus: tuple[int, ...], minus: tuple[int, ...]) -> tuple[float, float] | None:
    sums = [float(sample.totals[list(places)].sum()) for places in (plus, minus)]
    if min(sums) <= 0:
        return None
    slope = np.zeros(4)
    slope[list(plus)], slope[list(minus)] = 1 / sums[0], -1 / sums[1]
    return sums[0] / sums[1], math.sqrt(max(0.0, float(slope @ sample.covariance @ slope)))


def against_bundle(generated: Sample, bundle: Bundle) -> tuple[dict[str, Any], list[Test]]:
    """Compare the numbers of muons of a production with what the bundle's rates give for its POT.

    Pulls are those of Poisson numbers: (n - e) / sqrt(e).
    """
    pot = generated.facts["pot"]
    rows, tests = [], []
    for entry in bundle.entries:
        expected = entry.rate * float(pot)
        number = generated.found.get(entry.category.name, 0)
        pull = (number - expected) / math.sqrt(expected) if expected > 0 else None
        name = entry.category.name
        rows.append({"category": name, "muons": number, "expected": expected, "pull": pull})
        if pull is not None:
            text = f"{number:,} muons where the bundle's rate gives {expected:,.1f}"
            tests.append(Test("rates of the bundle", name, "muons", two_sided(pull), abs(pull), text))
    return {"bundle": bundle.name, "sha256": bundle.sha256, "pot": pot, "rows": rows}, tests
