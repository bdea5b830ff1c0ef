"""Compare generated muons with a reference: the library form of ``shipgen validate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen.progress import progress
from shipgen_export.training.figure_of_merit import FORMS
from shipgen_export.validation.category import CategoryResult, compare_category, joined
from shipgen_export.validation.classifiers import Merit, figures_of_merit
from shipgen_export.validation.findings import Test, significant
from shipgen_export.validation.quantities import LABELS, TOGETHER, Region, plain, quantities, tails
from shipgen_export.validation.rates import against_bundle, compare_rates
from shipgen_export.validation.statistics import one_sided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.bundle import Bundle
    from shipgen.columns import Float64
    from shipgen_export.validation.samples import Sample

#: Largest factor between typical lengths or momenta of two samples in the same units.
_SAME_UNIT = 20.0

#: Largest distance of the typical z of two samples in the same frame, cm.
_SAME_FRAME = 1000.0


@dataclass(frozen=True, eq=False)
class Result:
    """All that was found.

    Attributes
    ----------
    generated, reference : Sample
        What was compared.
    rates : dict
        From `rates.compare_rates`.
    bundle : dict, optional
        From `rates.against_bundle`.
    categories : dict of str to CategoryResult
        By name, `quantities.TOGETHER` last.
    merits : dict of str to dict of str to Merit
        By category and form.
    tests : list of Test
        All of them.
    failed : list of Test
        Those that fail at `level`, the worst first.
    missing : list of str
        What could not be compared, and why.
    """

    generated: Sample
    reference: Sample
    rates: dict[str, Any]
    bundle: dict[str, Any] | None
    categories: dict[str, CategoryResult]
    merits: dict[str, dict[str, Merit]]
    tests: list[Test]
    failed: list[Test]
    missing: list[str]
    level: float
    seed: int


def validate(
    generated: Sample,
    reference: Sample,
    *,
    seed: int = 1,
    forms: Sequence[str] = tuple(FORMS),
    regions: Sequence[str] = (),
    bundle: Bundle | None = None,
    level: float = 0.01,
    memory: bool = True,
    cores: int | None = None,
) -> Result:
    """Compare two samples by category and together.

    Parameters
    ----------
    generated, reference : Sample
        From `samples.open_sample`.
    seed : int
        Of classifiers and draws.
    forms : sequence of str
        Forms of the figure of merit, of `FORMS`; none to leave it out.
    regions : sequence of str
        Regions whose share is compared besides the usual tails, such as ``"p > 100, pt > 2"``.
    bundle : Bundle, optional
        What the muons were generated with; that of `generated` when it is a bundle.
    level : float
        Probability that two samples of the same distribution get any test that fails.
    memory : bool
        Whether to look for copies of training muons.
    cores : int, optional
        Threads; all available when not given.

    Raises
    ------
    InputError
        A region cannot be read, or the samples are in different units or frames.
    """
    chosen = [*tails(), *(Region.parse(text) for text in regions)]
    check_units(generated, reference)
    rates, tests = compare_rates(generated, reference)
    bundle = bundle or generated.bundle
    against = None
    if bundle is not None and generated.facts.get("pot"):
        against, more = against_bundle(generated, bundle)
        tests += more
    missing, found = [], {}
    both = [name for name in generated.categories if name in reference.categories]
    for sample, other in ((generated, reference), (reference, generated)):
        missing += [
            f"{sample.label} has no muons of {category.name}"
            for category in CATEGORIES
            if category.name not in sample.categories and category.name in other.categories
        ]
    with progress("comparing", len(both) + 1, "categories") as advance:
        for name in [*both, TOGETHER]:
            found[name], more = compare_category(name, generated, reference, chosen, seed, memory=memory)
            tests += more
            if not found[name].histograms:
                missing.append(f"{name}: too few muons for tests")
            advance(1)
    merits = figures_of_merit(generated, reference, forms, seed, cores)
    tests += [
        Test("classifier", name, form, one_sided(merit.pull), merit.pull, _merit_text(merit))
        for name, each in merits.items()
        for form, merit in each.items()
    ]
    failed = significant(tests, level)
    return Result(generated, reference, rates, against, found, merits, tests, failed, missing, level, seed)


def _merit_text(merit: Merit) -> str:
    text = f"AUC {merit.merit.auc:.4f} +- {merit.merit.auc_error:.4f}"
    return text + (f", of the reference's own muons {merit.control.auc:.4f}" if merit.control else "")


def check_units(generated: Sample, reference: Sample) -> None:
    """Raise `InputError` when lengths, momenta or z of two samples cannot be in the same units and frame."""
    first, second = (quantities(joined(sample).features) for sample in (generated, reference))
    for name in ("p", "pt"):
        _check_scale(name, first[name], second[name], generated, reference)
    for category in CATEGORIES:
        if not category.on_axis and all(category.name in s.categories for s in (generated, reference)):
            places = [quantities(s.categories[category.name].features)["r"] for s in (generated, reference)]
            _check_scale("r", places[0], places[1], generated, reference)
    middle = [float(np.median(values["z"])) for values in (first, second)]
    if abs(middle[0] - middle[1]) > _SAME_FRAME:
        raise InputError(
            f"z of {generated.label} is typically {middle[0]:.4g} cm from the target's start, that of "
            f"{reference.label} {middle[1]:.4g} cm: one is in another frame or unit; prepare it with "
            "`shipgen prepare --target-start`"
        )


def _check_scale(name: str, a: Float64, b: Float64, generated: Sample, reference: Sample) -> None:
    typical = [float(np.median(np.abs(values))) for values in (a, b)]
    if len(a) < 100 or len(b) < 100 or min(typical) <= 0:
        return
    if max(typical) > _SAME_UNIT * min(typical):
        unit = LABELS[name][1]
        raise InputError(
            f"{plain(name)} of {generated.label} is typically {typical[0]:.3g} {unit}, that of "
            f"{reference.label} {typical[1]:.3g} {unit}, {max(typical) / min(typical):.3g} times: one of "
            "them is in other units (m and cm, MeV and GeV); nothing is compared"
        )
