"""From two paths to a report: what ``shipgen validate`` does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shipgen.bundle import library
from shipgen.bundle.bundle import Bundle
from shipgen.errors import InputError
from shipgen.files.outputs import check_output
from shipgen_export.validation.compare import validate
from shipgen_export.validation.report.report import INDEX, PAGE, write_report
from shipgen_export.validation.report.thresholds import (
    check_forms,
    check_limits,
    raise_beyond,
    raise_copies,
    table,
)
from shipgen_export.validation.samples.samples import Choice, open_sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen_export.reading.formats.array_files import ArrayChoice
    from shipgen_export.validation.samples.samples import Sample


def validate_paths(
    generated: Path,
    reference: Path,
    output: Path,
    *,
    muons: int,
    limit: int,
    seed: int,
    parts: tuple[str, ...] | None,
    forms: Sequence[str],
    regions: Sequence[str],
    beam: str,
    bundle: Path | None,
    level: float,
    cores: int,
    limits: Mapping[str, float | None],
    max_failed: int | None,
    command: str,
    pictures: bool,
    force: bool,
    arrays: ArrayChoice | None = None,
    ignore_units: bool = False,
) -> Iterator[str]:
    """Compare two sources, write the report and yield lines for the terminal.

    Parameters
    ----------
    generated, reference : Path
        Bundles, prepared samples, ROOT files or files of arrays.
    output : Path
        The folder to make.
    muons, limit : int
        Muons that a bundle is asked for; most muons a category.
    parts : tuple of str, optional
        Of a prepared sample that is the reference; all if ``None``.
    beam : str
        Of ROOT files, as for `prepare`.
    arrays : ArrayChoice, optional
        Unit, frame and columns of arrays that do not state them.
    ignore_units : bool
        Whether to compare what seems to be in other units.
    bundle : Path, optional
        What `generated` was made with; bundles with a name are found by their hash.
    limits : mapping of str to float or None
        By name in `thresholds.LIMITS`; `max_failed` is the largest number of tests that may fail.

    Other parameters as for `compare.validate`.

    Raises
    ------
    LimitError
        A limit is not met, or muons are copies; the report is written nevertheless.
    InputError
        A source cannot be used, both are the same, the bundle is another one, or nothing was measured that
        has a limit.
    """
    check_output(output, force=force, index=INDEX)
    both_bundles = any((path / "bundle.json").is_file() for path in (generated, reference))
    if generated.resolve() == reference.resolve() and generated.exists() and not both_bundles:
        raise InputError(f"{generated} is both generated and reference: give two samples")
    check_forms(limits, forms)
    known = Bundle.open(bundle) if bundle is not None else None
    first = Choice(limit, muons, seed, beam=beam, arrays=arrays)
    second = Choice(limit, muons, seed + 1, parts, beam, arrays)
    with open_sample(generated, first) as one, open_sample(reference, second) as other:
        labelled, made_with = _made_with(one, known)
        result = validate(
            labelled,
            other,
            seed=seed,
            forms=forms,
            regions=regions,
            bundle=made_with,
            level=level,
            cores=cores,
            ignore_units=ignore_units,
        )
    checked, unknown = check_limits(result, limits, max_failed=max_failed)
    write_report(result, output, limits=checked, command=command, pictures=pictures, force=force, cores=cores)
    yield from table(result)
    yield f"{output / PAGE}"
    raise_copies(result, output / PAGE)
    raise_beyond(checked, unknown, output / PAGE)


def _made_with(sample: Sample, given: Bundle | None) -> tuple[Sample, Bundle | None]:
    """Return the bundle that muons were produced with: the one given, or the one with a name that it is."""
    stated = sample.facts.get("bundle_sha256")
    if given is not None and stated is not None and given.sha256 != stated:
        raise InputError(
            f"{sample.label} was not produced with the bundle at {given.path} but with one called "
            f"{sample.facts['bundle']}, sha256 {stated}: give that one, or none"
        )
    if given is not None or stated is None:
        return sample, given or sample.bundle
    if (found := library.known(stated)) is not None:
        return sample, Bundle.open(found[1])
    note = f"produced with a bundle called {sample.facts['bundle']}: --bundle shows its rates and uncertainty"
    return replace(sample, notes=(*sample.notes, note)), None
