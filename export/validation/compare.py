"""Compare generated muons with a reference: the library form of ``shipgen validate``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen.progress import progress
from shipgen_export.merit.classifiers import FORMS
from shipgen_export.validation import units
from shipgen_export.validation.category import CategoryResult, compare_category
from shipgen_export.validation.classifier_tasks import classifier_tasks
from shipgen_export.validation.copies import CopySearch
from shipgen_export.validation.counting.binning import choose
from shipgen_export.validation.counting.compared_quantities import Region, tails
from shipgen_export.validation.counting.findings import Finding, significant
from shipgen_export.validation.counting.statistics import one_sided
from shipgen_export.validation.counting.tally import Tally, count
from shipgen_export.validation.neighbours import neighbours
from shipgen_export.validation.rates import Totals, against_bundle, charge_ratios, compare_rates
from shipgen_export.validation.work import results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shipgen.bundle.bundle import Bundle
    from shipgen_export.merit.weighted_muons import WeightedMuons
    from shipgen_export.validation.classifier_tasks import Merit
    from shipgen_export.validation.copies import Copies
    from shipgen_export.validation.counting.binning import Binning
    from shipgen_export.validation.counting.tally import Ranges
    from shipgen_export.validation.neighbours import Memory
    from shipgen_export.validation.rates import AllRates, BundleRates
    from shipgen_export.validation.samples.samples import Sample
    from shipgen_export.validation.samples.stores import SampleStores

    Near = tuple[Memory, list[Finding]] | None
    Found = tuple[Copies, list[Finding]]

#: Blocks of muons that one task counts.
_BLOCKS = 4


@dataclass(frozen=True, eq=False)
class Result:
    """All that was found.

    Attributes
    ----------
    generated, reference : Sample
        What was compared.
    tallies : pair of Tally
        All that was counted of both.
    rates : AllRates
    bundle : Bundle, optional
        What the muons were generated with.
    against_bundle : BundleRates, optional
    categories : dict of str to CategoryResult
        By name, `quantities.TOGETHER` last.
    merits : dict of str to dict of str to Merit
        By category and form.
    tests : list of Finding
        All of them.
    failed : list of Finding
        Those that fail at `level`, the worst first.
    missing : list of str
        What could not be compared, and why.
    """

    generated: Sample
    reference: Sample
    tallies: tuple[Tally, Tally]
    rates: AllRates
    bundle: Bundle | None
    against_bundle: BundleRates | None
    categories: dict[str, CategoryResult]
    merits: dict[str, dict[str, Merit]]
    tests: list[Finding]
    failed: list[Finding]
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
    cores: int = 1,
    ignore_units: bool = False,
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
    cores : int
        Processes; the result does not depend on it. With more than one a script needs
        ``if __name__ == "__main__":``.
    ignore_units : bool
        Whether to compare what seems to be in other units or frames, and note it.

    Raises
    ------
    InputError
        A region cannot be read, or the samples are in different units or frames.
    """
    known = {region.name: region for region in [*tails(), *(Region.parse(text) for text in regions)]}
    if (odd := units.differ(generated, reference)) is not None:
        if not ignore_units:
            raise InputError(f"{odd}; --ignore-units compares them nevertheless")
        generated = replace(generated, notes=(*generated.notes, odd))
    samples = generated, reference
    both = [name for name in generated.draws if name in reference.draws]
    if not both:
        raise InputError(
            f"{generated.label} has {', '.join(generated.draws)} and {reference.label} "
            f"{', '.join(reference.draws)}: no category in common, nothing can be compared"
        )
    binning = choose(generated.draws, reference.draws, both, list(known.values()))
    tallies, merits, near, copies = _work(samples, binning, both, forms, seed, memory=memory, cores=cores)
    totals = [Totals.of(sample, tally) for sample, tally in zip(samples, tallies, strict=True)]
    rates, tests = compare_rates(totals[0], totals[1])
    rates["over"], more = charge_ratios(*tallies)
    tests += more
    bundle = bundle or generated.bundle
    against = None
    pot = generated.facts.get("pot")
    if bundle is not None and generated.normalised and pot:
        chosen = (generated.facts.get("selection") or {}).get("categories", ())
        against, more = against_bundle(totals[0], bundle, float(pot), chosen)
        tests += more
    missing, found = _absent(samples), {}
    for name in binning.names:
        found[name], more = compare_category(name, samples, tallies)
        tests += more
        if (of_name := near.get(name)) is not None:
            found[name] = replace(found[name], memory=of_name[0])
            tests += of_name[1]
        if name in copies:
            found[name] = replace(found[name], copies=copies[name][0])
            tests += copies[name][1]
        if not found[name].histograms:
            missing.append(f"{name}: too few muons for tests of distributions")
    tests += [
        Finding("classifier", name, form, one_sided(merit.pull), merit.pull, _merit_text(merit))
        for name, each in merits.items()
        for form, merit in each.items()
    ]
    failed = significant(tests, level)
    return Result(
        generated,
        reference,
        tallies,
        rates,
        bundle,
        against,
        found,
        merits,
        tests,
        failed,
        missing,
        level,
        seed,
    )


@dataclass(frozen=True, eq=False)
class _Count:
    """Some blocks of a sample to count."""

    place: int
    source: SampleStores
    parts: list[tuple[int, int]]
    binning: Binning
    beyond: Ranges
    muons: float

    def __str__(self) -> str:
        return "counting"

    def run(self) -> Tally:
        return count(self.source, self.parts, self.binning, self.beyond)


@dataclass(frozen=True, eq=False)
class _Near:
    """The nearest neighbours of a category's muons to look for."""

    name: str
    made: WeightedMuons
    real: WeightedMuons
    train: WeightedMuons | None
    seed: int

    def __str__(self) -> str:
        return f"the nearest neighbours of {self.name}"

    def run(self) -> Near:
        return neighbours(self.name, self.made, self.real, self.train, self.seed)


def _work(
    samples: tuple[Sample, Sample],
    binning: Binning,
    both: Sequence[str],
    forms: Sequence[str],
    seed: int,
    *,
    memory: bool,
    cores: int,
) -> tuple[tuple[Tally, Tally], dict[str, dict[str, Merit]], dict[str, Near], dict[str, Found]]:
    """Count all muons, train the classifiers, look for neighbours and for copies."""
    counts, stores = list(_counts(samples, binning, both)), [sample.source.stores for sample in samples]
    fits = classifier_tasks(samples[0].draws, samples[1].draws, forms, seed)
    near = [
        _Near(name, samples[0].draws[name], samples[1].draws[name], samples[1].train.get(name), seed)
        for name in (both if memory else ())
    ]
    copies = [CopySearch(name, (stores[0][name], stores[1][name])) for name in both]
    tallies: dict[int, Tally] = {}
    merits: dict[str, dict[str, Merit]] = {}
    with results([*counts, *fits, *near, *copies], cores) as found:
        with progress("counting", sum(sample.source.muons for sample in samples), "muons") as advance:
            for one in counts:
                part = next(found)
                if one.place in tallies:
                    tallies[one.place].add(part)
                else:
                    tallies[one.place] = part
                advance(one.muons)
        with progress("comparing", sum(fit.trees for fit in fits), "trees") as advance:
            for fit in fits:
                merits.setdefault(fit.category, {})[fit.form] = next(found)
                advance(fit.trees)
        # The largest were done first; this is the order of the report.
        merits = {
            name: {form: merits[name][form] for form in FORMS if form in merits[name]}
            for name in binning.names
            if name in merits
        }
        neighbours_found = {one.name: next(found) for one in near}
        return (tallies[0], tallies[1]), merits, neighbours_found, {one.name: next(found) for one in copies}


def _counts(samples: tuple[Sample, Sample], binning: Binning, both: Sequence[str]) -> Iterator[_Count]:
    for place, (sample, other) in enumerate((samples, samples[::-1])):
        surveys = other.source.surveys
        beyond: Ranges = {name: (surveys[name].low, surveys[name].high) for name in both}
        parts = sample.source.parts()
        for first in range(0, len(parts), _BLOCKS):
            these = parts[first : first + _BLOCKS]
            muons = sample.source.muons * len(these) / len(parts)
            yield _Count(place, sample.source, these, binning, beyond, muons)


def _absent(samples: tuple[Sample, Sample]) -> list[str]:
    """Return lines on categories that cannot be compared."""
    lines = []
    for sample, other in (samples, samples[::-1]):
        for category in CATEGORIES:
            name = category.name
            if name in sample.weightless:
                lines.append(
                    f"the {sample.weightless[name]:,} muons of {name} in {sample.label} have no weight"
                )
            elif name not in sample.draws and name in other.found:
                lines.append(f"{sample.label} has no muons of {name}")
    return lines


def _merit_text(merit: Merit) -> str:
    text = f"AUC {merit.merit.auc:.4f} +- {merit.merit.auc_error:.4f}"
    return text + (f", of the reference's own muons {merit.control.auc:.4f}" if merit.control else "")
