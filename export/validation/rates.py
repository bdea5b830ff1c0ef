"""Rates: muons of each category per proton on target, against the reference and against the bundle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from shipgen.muons.categories import CATEGORIES
from shipgen_export.validation.counting.binning import CHARGES, STEEP
from shipgen_export.validation.counting.compared_quantities import LABELS, TOGETHER, plain
from shipgen_export.validation.counting.findings import BothSides, Finding
from shipgen_export.validation.counting.statistics import chi2_p, compare_ratios, two_sided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float64
    from shipgen_export.validation.counting.tally import Tally
    from shipgen_export.validation.samples.samples import Sample

#: What charge ratios are taken of: categories of positive and negative muons, as places in `CATEGORIES`.
_CHARGES = {"on axis": ((0,), (1,)), "off axis": ((2,), (3,)), TOGETHER: ((0, 2), (1, 3))}


class ChargeRow(BothSides):
    """Ratios of positive to negative muons of one set of categories."""

    where: str
    pull: float | None


class RateRow(BothSides):
    """Rates of one category, or its shares; `found` are the muons of generated and reference."""

    category: str
    ratio: float | None
    ratio_error: float | None
    pull: float | None
    found: list[int]


class ChargeCurve(TypedDict):
    """Charge ratios of a set of categories in bins of a quantity."""

    where: str
    quantity: str
    unit: str
    edges: list[float]
    generated: list[float]
    generated_error: list[float]
    reference: list[float]
    reference_error: list[float]
    chi2: float
    dof: int
    p: float


class AllRates(TypedDict):
    """Rates of all categories; `chi2` and `p` of all four with their covariance."""

    unit: str
    rows: list[RateRow]
    chi2: float
    dof: int
    p: float
    charge: list[ChargeRow]
    over: list[ChargeCurve]


class BundleRow(TypedDict):
    """Muons of one category, and what the bundle's rate gives for their POT."""

    category: str
    muons: int
    weight: float
    expected: float
    pull: float | None


class BundleRates(TypedDict):
    """A production against its bundle."""

    bundle: str
    sha256: str
    pot: float
    rows: list[BundleRow]


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums of weights of one sample.

    Attributes
    ----------
    totals : float64[4]
        In the order of `CATEGORIES`.
    covariance : float64[4, 4]
        Muons of a proton vary together.
    found : dict of str to int
        Muons by category.
    normalised : bool
        Whether weights are muons per POT.
    """

    totals: Float64
    covariance: Float64
    found: dict[str, int]
    normalised: bool

    @classmethod
    def of(cls, sample: Sample, tally: Tally) -> Totals:
        """Return those of a sample.

        With the sums of weights w_g of proton g by category the covariance is the sum of w_g w_g^T, less
        the product of the totals over the number of protons where that is known, for it is fixed in a
        simulation.
        """
        totals, covariance = tally.sums["totals",], tally.sums["moments",]
        if sample.source.protons and sample.simulated:
            covariance = covariance - np.outer(totals, totals) / sample.simulated
        return cls(totals, covariance, sample.found, sample.normalised)


#: Relative errors below are rounding: a single proton's muons have none.
_LEAST_ERROR = 1e-6


def compare_rates(generated: Totals, reference: Totals) -> tuple[AllRates, list[Finding]]:
    """Compare rates where both are known per POT, shares of the categories elsewhere.

    Returns
    -------
    AllRates
        Without curves of the charge ratio.
    list of Finding
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
    rows: list[RateRow] = []
    tests = []
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
            tests.append(Finding("rates", category.name, "rate", two_sided(pull), abs(pull), text))
    inner = slice(None) if per_pot else slice(None, -1)
    chi2 = float(
        difference[inner] @ np.linalg.pinv(covariance[inner, inner], hermitian=True) @ difference[inner]
    )
    charge = _charge(generated, reference)
    for row in charge:
        if row["pull"] is not None:
            text = f"mu+/mu- is {row['generated']:.4g}, {row['reference']:.4g} in the reference"
            pull = row["pull"]
            tests.append(Finding("charge ratio", row["where"], "mu+/mu-", two_sided(pull), abs(pull), text))
    dof = len(difference[inner])
    found: AllRates = {
        "unit": unit,
        "rows": rows,
        "chi2": chi2,
        "dof": dof,
        "p": chi2_p(chi2, dof),
        "charge": charge,
        "over": [],
    }
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


def _charge(generated: Totals, reference: Totals) -> list[ChargeRow]:
    """Return the ratios of positive to negative muons with errors from the covariance of the totals."""
    rows: list[ChargeRow] = []
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
                "pull": math.log(a / b) / sigma if sigma > _LEAST_ERROR else None,
            }
        )
    return rows


def _charge_of(sample: Totals, plus: tuple[int, ...], minus: tuple[int, ...]) -> tuple[float, float] | None:
    sums = [float(sample.totals[list(places)].sum()) for places in (plus, minus)]
    if min(sums) <= 0:
        return None
    slope = np.zeros(4)
    slope[list(plus)], slope[list(minus)] = 1 / sums[0], -1 / sums[1]
    return sums[0] / sums[1], math.sqrt(max(0.0, float(slope @ sample.covariance @ slope)))


def charge_ratios(generated: Tally, reference: Tally) -> tuple[list[ChargeCurve], list[Finding]]:
    """Compare the charge ratio in bins of p and pT.

    Returns
    -------
    list of ChargeCurve
    list of Finding
    """
    rows: list[ChargeCurve] = []
    tests = []
    for where, by_quantity in generated.binning.charges.items():
        for q in STEEP:
            sums = tuple(
                tally.sums.get((where, "charge", q), np.zeros(2)) for tally in (generated, reference)
            )
            if min(map(len, sums)) < 4 or min(each.min() for each in sums) <= 0:
                continue
            moments = tuple(tally.sums[where, "charge moments", q] for tally in (generated, reference))
            difference, error, chi2 = compare_ratios((sums[0], sums[1]), (moments[0], moments[1]))
            bins, dof = by_quantity[q], len(difference)
            inner = generated.binning.borders[q][np.flatnonzero(np.diff(bins))]
            known = [t.ends[name, q] for t in (generated, reference) for name in CHARGES[where]]
            ends = [min(each[0] for each in known), *inner.tolist(), max(each[1] for each in known)]
            worst = int(np.argmax(np.abs(difference / error)))
            pull = float(difference[worst] / error[worst])
            unit = LABELS[q][1]
            text = (
                f"mu+/mu- over {plain(q)}: chi2/dof {chi2 / dof:.2f}, most at {ends[worst]:.4g} to "
                f"{ends[worst + 1]:.4g} {unit} ({np.exp(difference[worst]):.3f} of the reference's, "
                f"{pull:+.1f} sigma)"
            )
            p = chi2_p(chi2, dof)
            rows.append(
                {
                    "where": where,
                    "quantity": q,
                    "unit": unit,
                    "edges": [float(end) for end in ends],
                    "generated": _ratios(sums[0]),
                    "generated_error": _ratio_errors(sums[0], moments[0]),
                    "reference": _ratios(sums[1]),
                    "reference_error": _ratio_errors(sums[1], moments[1]),
                    "chi2": chi2,
                    "dof": dof,
                    "p": p,
                }
            )
            tests.append(Finding("charge ratio", where, f"mu+/mu- over {plain(q)}", p, chi2 / dof, text))
    return rows, tests


def _ratios(sums: Float64) -> list[float]:
    half = len(sums) // 2
    found: list[float] = (sums[:half] / sums[half:]).tolist()
    return found


def _ratio_errors(sums: Float64, moments: Float64) -> list[float]:
    half = len(sums) // 2
    slope = np.hstack([np.diag(1 / sums[:half]), -np.diag(1 / sums[half:])])
    relative = np.sqrt(np.maximum(np.diag(slope @ moments @ slope.T), 0))
    found: list[float] = (relative * sums[:half] / sums[half:]).tolist()
    return found


def against_bundle(
    totals: Totals, bundle: Bundle, pot: float, chosen: Sequence[str] = ()
) -> tuple[BundleRates, list[Finding]]:
    """Compare a production with what the bundle's rates give for its POT.

    Pulls are those of Poisson numbers, (n - e) / sqrt(e); of muons with weights, of their sums, with e times
    the mean weight, weighted, for the variance.

    Parameters
    ----------
    totals : Totals
        Of the production, with weights per POT.
    bundle : Bundle
    pot : float
        That the production stands for.
    chosen : sequence of str
        Categories that were produced; all if empty.
    """
    rows: list[BundleRow] = []
    tests = []
    for place, entry in enumerate(bundle.entries):
        name = entry.category.name
        if chosen and name not in chosen:
            continue
        expected, weight = entry.rate * pot, float(totals.totals[place]) * pot
        heavy = float(totals.covariance[place, place]) * pot**2 / weight if weight > 0 else 1.0
        pull = (weight - expected) / math.sqrt(expected * heavy) if expected > 0 else None
        number = totals.found.get(name, 0)
        rows.append({"category": name, "muons": number, "weight": weight, "expected": expected, "pull": pull})
        if pull is not None:
            text = f"{weight:,.8g} muons where the bundle's rate gives {expected:,.1f}"
            tests.append(Finding("rates of the bundle", name, "muons", two_sided(pull), abs(pull), text))
    return {"bundle": bundle.name, "sha256": bundle.sha256, "pot": pot, "rows": rows}, tests
