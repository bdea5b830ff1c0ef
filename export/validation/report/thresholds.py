"""Limits that a batch job sets, and the table for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, ShipgenError
from shipgen_export.validation.copies import too_many
from shipgen_export.validation.counting.compared_quantities import (
    SUMMARY_TAILS,
    TOGETHER,
    category_titles,
    tails,
)
from shipgen_export.validation.report.stated_uncertainty import network_uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shipgen_export.validation.compare import Result


class LimitError(ShipgenError):
    """The muons are worse than a limit allows."""

    exit_code = 8


@dataclass(frozen=True)
class Limit:
    """A limit and what was found.

    Attributes
    ----------
    name : str
        Such as ``max_auc``.
    limit, value : float
        What is allowed and the worst that was found.
    where : str
        Where that is.
    met : bool
        Whether the value is within the limit.
    """

    name: str
    limit: float
    value: float
    where: str
    met: bool


def _aucs(form: str) -> Any:
    def values(result: Result) -> dict[str, float]:
        return {name: each[form].merit.auc for name, each in result.merits.items() if form in each}

    return values


def _chi2(result: Result) -> dict[str, float]:
    return {
        f"{name}, {quantity}": each.chi2 / each.dof
        for name, found in result.categories.items()
        for quantity, each in found.histograms.items()
    }


def _ks(result: Result) -> dict[str, float]:
    return {
        f"{name}, {quantity}": each.distance
        for name, found in result.categories.items()
        for quantity, each in found.histograms.items()
    }


def _rates(result: Result) -> dict[str, float]:
    return {row["category"]: abs(row["pull"]) for row in result.rates["rows"] if row["pull"] is not None}


def _tails(result: Result) -> dict[str, float]:
    """Return deviations of tails from a ratio of 1 beyond one standard error."""
    return {
        f"{name}, {row['region']}": max(0.0, abs(row["ratio"] - 1) - row["ratio_error"])
        for name, found in result.categories.items()
        for row in found.tails
        if row["ratio"] is not None and row["ratio_error"] is not None
    }


#: Limit -> what it is compared with, by place.
LIMITS = {
    "max_auc": _aucs("source"),
    "max_fast_auc": _aucs("fast"),
    "max_hard_auc": _aucs("hard"),
    "max_chi2": _chi2,
    "max_ks": _ks,
    "max_rate_pull": _rates,
    "max_tail": _tails,
}


#: Limits on what only one form of the classifiers measures.
_OF_FORMS = {"max_auc": "source", "max_fast_auc": "fast", "max_hard_auc": "hard"}


def check_forms(limits: Mapping[str, float | None], forms: Sequence[str]) -> None:
    """Raise `InputError` where a limit asks for a classifier that is not among the `forms`."""
    for name, form in _OF_FORMS.items():
        if limits.get(name) is not None and form not in forms:
            raise InputError(f"{_option(name)} cannot be checked: {form} is not among --forms")


def check_limits(
    result: Result, limits: Mapping[str, float | None], *, max_failed: int | None = None
) -> tuple[list[Limit], list[str]]:
    """Compare what was found with limits, by name in `LIMITS`.

    Returns
    -------
    list of Limit
    list of str
        Limits that nothing could be compared with.
    """
    found, unknown = [], []
    for name, limit in limits.items():
        if limit is None:
            continue
        values = LIMITS[name](result)
        if not values:
            unknown.append(name)
            continue
        where = max(values, key=lambda place: values[place])
        found.append(Limit(name, limit, values[where], where, values[where] <= limit))
    if max_failed is not None:
        number = len(result.failed)
        found.append(Limit("max_failed", max_failed, number, "tests", number <= max_failed))
    return found, unknown


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def raise_copies(result: Result, report: object) -> None:
    """Raise `LimitError` when so many muons are copies that the rest of the report means nothing."""
    if found := too_many(result.failed):
        names: dict[str, list[str]] = {}
        for test in found:
            names.setdefault(test.text, []).append(test.category)
        each = "; ".join(f"{text} ({', '.join(those)})" for text, those in names.items())
        raise LimitError(
            f"copies, so that agreement says nothing: {each}; give samples of different seeds that have no "
            f"muons in common (see {report})"
        )


def raise_beyond(limits: list[Limit], unknown: list[str], report: object) -> None:
    """Raise `LimitError` when a limit is not met, `InputError` when one could not be checked."""
    broken = [
        f"{_option(one.name)} {one.limit:g}: {one.value:.4g} ({one.where})" for one in limits if not one.met
    ]
    if broken:
        raise LimitError(f"not within the limits: {'; '.join(broken)}; see {report}")
    if unknown:
        raise InputError(
            f"{', '.join(map(_option, unknown))} cannot be checked: too few muons to measure it; see {report}"
        )


def table(result: Result, most: int = 12) -> Iterator[str]:
    """Yield lines for the terminal: a row a category, then the worst tests."""
    titles = category_titles()
    yield f"{result.generated.label} against {result.reference.label}"
    forms = list(dict.fromkeys(form for each in result.merits.values() for form in each))
    yield (
        f"  {'category':14} {'generated':>11} {'reference':>11} {'rate ratio':>16} {'chi2/dof':>8} "
        + " ".join(f"{region:>15}" for region in SUMMARY_TAILS)
    )
    ratios = {row["category"]: row for row in result.rates["rows"]}
    for name, found in result.categories.items():
        numbers = [found.effective[side]["muons"] for side in ("generated", "reference")]
        worst = max((c.chi2 / c.dof for c in found.histograms.values()), default=None)
        tails_ = [found.tail(region) for region in SUMMARY_TAILS]
        row = ratios.get(name)
        yield (
            f"  {_short(titles[name]):14} {numbers[0]:11,} {numbers[1]:11,} "
            f"{_pm(row['ratio'], row['ratio_error']) if row else '':>16} {_pm(worst, None, 2):>8} "
            + " ".join(f"{_pm(tail['ratio'], tail['ratio_error'], 3) if tail else '':>15}" for tail in tails_)
        )
    yield (
        f"  chi2/dof: the worst quantity; {' and '.join(SUMMARY_TAILS)}: share of the muons there, "
        "generated over reference"
    )
    if forms:
        yield f"  {'AUC':14}" + "".join(f" {form:>16}" for form in forms)
    for name, merits in result.merits.items():
        yield f"  {_short(titles[name]):14}" + "".join(
            f" {_pm(merits[form].merit.auc, merits[form].merit.auc_error) if form in merits else '':>16}"
            for form in forms
        )
    yield from (f"  note: {text}" for text in (*result.generated.notes, *result.reference.notes))
    yield from (f"  not compared: {text}" for text in result.missing)
    yield from _known(result)
    yield from _regions(result)
    expected = f"at level {result.level:g}"
    if not result.failed:
        yield f"  none of {len(result.tests)} tests fails {expected}"
        return
    yield f"  {len(result.failed)} of {len(result.tests)} tests fail {expected}; the worst:"
    for test in result.failed[:most]:
        place = test.category if test.category == TOGETHER else titles.get(test.category, test.category)
        yield f"    {test.family}, {place}, {test.quantity}: {test.text}"


def _short(title: str) -> str:
    """Return a category's title for a narrow table."""
    return title.removeprefix("all categories ")


def _regions(result: Result) -> Iterator[str]:
    """Yield what was found of the regions that the user asked for."""
    usual, titles = {region.name for region in tails()}, category_titles()
    asked = [one.name for one in result.tallies[0].binning.regions if one.name not in usual]
    for name in asked:
        yield f"  share of the muons in the region {name}: generated, reference, ratio, muons"
        for category, found in result.categories.items():
            row = next(row for row in found.tails if row["region"] == name)
            both = f"{row['generated']:.3e} +- {row['generated_error']:.0e}  {row['reference']:.3e} +- "
            both += f"{row['reference_error']:.0e}  {_pm(row['ratio'], row['ratio_error'], 3):>15}"
            counts = " and ".join(f"{count:,}" for count in row["muons"])
            yield f"    {_short(titles[category]):14} {both} ({row['pull']:+.1f} sigma)  {counts}"


def _known(result: Result) -> Iterator[str]:
    """Yield how well networks are known in the tails, where their bundle says so."""
    known = network_uncertainty(result.bundle) if result.bundle is not None else {}
    found = {}
    for name in ("p > 100 GeV", "pT > 1.5 GeV"):
        values = [100 * each[name]["all"] for each in known.values() if name in each]
        if values:
            found[name] = f"{min(values):.2g} to {max(values):.2g} % ({name})"
    if found:
        yield f"  networks are known to {', '.join(found.values())}, by the statistics of their training"


def _pm(value: float | None, error: float | None, digits: int = 4) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" +- {error:.{digits}f}" if error is not None else "")
