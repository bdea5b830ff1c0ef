"""One picture of the muons of files, bundles or prepared samples: what ``shipgen plot`` draws."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_file
from shipgen.muons.categories import CATEGORIES
from shipgen_export.validation.counting.compared_quantities import category_titles
from shipgen_export.validation.plotting.bins import (
    CHARGE,
    DRAWN,
    PAIRS,
    Ends,
    charge_edges,
    edges_of,
    pair_edges,
)
from shipgen_export.validation.plotting.counts import count
from shipgen_export.validation.plotting.figure import MOST, Scene, draw
from shipgen_export.validation.plotting.slabs import gaps_of
from shipgen_export.validation.samples.samples import Choice, open_sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen_export.reading.formats.array_files import ArrayChoice
    from shipgen_export.validation.samples.samples import Sample

#: Endings that pictures may have.
ENDINGS = (".png", ".pdf", ".svg")

#: Muons a category that decide where the bulk of a file is.
_DRAWN = 50_000


def plot(
    paths: Sequence[Path],
    output: Path,
    *,
    muons: int = 1_000_000,
    seed: int = 1,
    beam: str = "auto",
    arrays: ArrayChoice | None = None,
    target_start: float | None = None,
    target: str | None = None,
    spill: float | None = None,
    force: bool = False,
    names: Sequence[str] = (),
) -> list[str]:
    """Draw the muons of a file, or of several, compared with the last one.

    Parameters
    ----------
    paths : sequence of Path
        Bundles, prepared samples or files of muons.
    output : Path
        PNG, PDF or SVG.
    muons : int
        Muons that a bundle makes; of files all are drawn.
    seed : int
        Of them.
    beam : str
        Of ROOT files, as for `prepare`.
    arrays : ArrayChoice, optional
        Unit, frame and columns of arrays that do not state them.
    target_start : float, optional
        z of the target's start in files that do not state it, cm, as for `prepare`.
    target : str, optional
        A target of `simulate`, by name or file, whose gaps are drawn along z; that of the first file that
        states one if not given.
    spill : float, optional
        Protons on target that rates are given for; one if not given.
    names : sequence of str
        What the picture calls them; their own names if not given.

    Returns
    -------
    list of str
        Lines for each path: number of muons and rate by category.

    Raises
    ------
    InputError
        A path cannot be used, rates are asked for that are not known, or the output's ending is none of
        `ENDINGS`.
    """
    if output.suffix not in ENDINGS:
        raise InputError(f"{output} is no picture: take a name that ends in {', '.join(ENDINGS)}")
    if len(paths) > MOST:
        raise InputError(f"{len(paths)} files are too many for one picture: give {MOST} or fewer")
    check_output(output, force=force)
    name, gaps = gaps_of(paths, target)
    with ExitStack() as stack:
        samples = []
        for number, path in enumerate(paths):
            choice = Choice(_DRAWN, muons, seed + number, beam=beam, arrays=arrays, target_start=target_start)
            samples.append(stack.enter_context(open_sample(path, choice)))
        scene = replace(_scene(samples, names, spill), target=name, gaps=gaps)
        lines = [line for sample in samples for line in _lines(sample, spill)]
    with complete_file(output, force=force) as part:
        draw(scene).savefig(part, format=output.suffix[1:])
    return lines


def _scene(samples: list[Sample], names: Sequence[str], spill: float | None) -> Scene:
    """Count the muons of all samples in the same bins, and bring them to the same unit."""
    per_pot = all(sample.normalised for sample in samples)
    if spill is not None and not per_pot:
        unknown = next(sample.label for sample in samples if not sample.normalised)
        raise InputError(
            f"muons a spill are asked for, and it is not known how many protons those of {unknown} stand "
            "for: leave --spill out"
        )
    ends = [Ends.of(sample) for sample in samples]
    there = [name for name in DRAWN if name == "phi" or any(name in each.high for each in ends)]
    edges = {name: edges_of(name, samples, ends) for name in there}
    edges[CHARGE] = charge_edges(edges["p"], samples)
    maps = {pair: pair_edges(pair, ends) for pair in PAIRS if any(pair[0] in each.high for each in ends)}
    counted = []
    for number, sample in enumerate(samples):
        label = names[number] if number < len(names) else sample.label
        one = count(sample, label, edges, maps)
        factor = (spill or 1.0) if per_pot else 1 / one.total
        spectra = {name: spectrum.scaled(factor) for name, spectrum in one.spectra.items()}
        tables = {pair: table * factor for pair, table in one.tables.items()}
        counted.append(replace(one, spectra=spectra, tables=tables))
    unit, short = "share of the muons", "share"
    if per_pot:
        unit, short = "muons per proton on target", "muons / POT"
    if spill is not None:
        unit, short = f"muons per spill of {spill:.3g} protons on target", "muons / spill"
    return Scene(counted, edges, maps, unit, short)


def _lines(sample: Sample, spill: float | None) -> list[str]:
    unit = "muons per POT" if sample.normalised else "sum of weights, for an unknown number of protons"
    totals = {name: survey.total for name, survey in sample.source.surveys.items()}
    whole = sum(totals.values())
    a_spill = f", {whole * spill:.4e} a spill of {spill:.3g} POT" if spill is not None else ""
    lines = [f"{sample.label}: {sample.source.muons:,} muons, {whole:.4e} {unit}{a_spill}"]
    titles = category_titles()
    for category in CATEGORIES:
        count_, total = sample.found.get(category.name, 0), totals.get(category.name, 0.0)
        lines.append(f"  {titles[category.name]:14} {count_:14,}  {total:.4e}  {total / whole:7.2%}")
    return lines
