"""One picture of the muons of a file, bundle or prepared sample: what ``shipgen plot`` draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_file
from shipgen.muons.categories import CATEGORIES
from shipgen.progress import progress
from shipgen_export.plots import Figure, LogNorm, draw_overlay
from shipgen_export.validation.counting.compared_quantities import (
    TOGETHER,
    category_titles,
    label,
    quantities,
    shown_range,
)
from shipgen_export.validation.counting.tally import histogram, pair_table
from shipgen_export.validation.report.comparison_pictures import make_histogram
from shipgen_export.validation.samples.samples import Choice, open_sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from matplotlib.axes import Axes

    from shipgen.muons.columns import Float64
    from shipgen_export.reading.formats.array_files import ArrayChoice
    from shipgen_export.validation.samples.samples import Sample

    Ranges = Mapping[str, tuple[float, float]]

#: Endings that pictures may have.
ENDINGS = (".png", ".pdf", ".svg")

_QUANTITIES = ("p", "pt", "z", "r", "phi", "x")
_PAIRS = (("p", "pt"), ("x", "y"))
#: Quantities that on-axis muons do not have.
_OFF_AXIS = ("r", "x", "y")
_SHOWN = (0.0005, 0.9995)
#: Muons a category that decide on the ranges.
_DRAWN = 100_000


@dataclass(frozen=True, eq=False)
class _Counted:
    """The muons of one source: sum of weights, a histogram (sums of w, w^2) a quantity, a table a pair."""

    title: str
    lines: list[str]
    per_pot: bool
    total: float
    histograms: dict[str, Float64]
    tables: dict[tuple[str, str], Float64]


def plot(
    paths: Sequence[Path],
    output: Path,
    *,
    muons: int = 1_000_000,
    seed: int = 1,
    beam: str = "auto",
    arrays: ArrayChoice | None = None,
    force: bool = False,
    names: Sequence[str] = (),
) -> list[str]:
    """Draw the muons of `paths[0]`, over those of `paths[1]` if it is given.

    Parameters
    ----------
    paths : sequence of Path
        Bundles, prepared samples or files of muons, one or two.
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
    names : sequence of str
        What the picture calls them; their own names if not given.

    Returns
    -------
    list of str
        A line a path: number of muons and rate by category.

    Raises
    ------
    InputError
        A path cannot be used, or the output's ending is none of `ENDINGS`.
    """
    if output.suffix not in ENDINGS:
        raise InputError(f"{output} is no picture: take a name that ends in {', '.join(ENDINGS)}")
    check_output(output, force=force)
    counted: list[_Counted] = []
    ranges: Ranges | None = None
    # The last one decides on the ranges.
    for number, path in reversed(list(enumerate(paths))):
        with open_sample(path, Choice(_DRAWN, muons, seed + number, beam=beam, arrays=arrays)) as sample:
            ranges = ranges or _ranges(sample)
            title = names[number] if number < len(names) else sample.label
            counted.insert(0, _count(sample, ranges, title))
    assert ranges is not None  # noqa: S101 (there is a path)
    figure = _draw(counted, ranges)
    with complete_file(output, force=force) as part:
        figure.savefig(part, format=output.suffix[1:])
    return [line for one in counted for line in one.lines]


def _ranges(sample: Sample) -> Ranges:
    """Return the range of each quantity, of the categories that have it."""
    parts: dict[str, list[tuple[Float64, Float64]]] = {}
    for muons in sample.draws.values():
        for name, values in quantities(muons.features).items():
            parts.setdefault(name, []).append((values, muons.weights))
    return {
        name: shown_range(
            name, np.concatenate([v for v, _ in each]), np.concatenate([w for _, w in each]), _SHOWN
        )
        for name, each in parts.items()
    }


def _count(sample: Sample, ranges: Ranges, title: str) -> _Counted:
    """Fill histograms of all muons; where rates are unknown, of shares."""
    histograms: dict[str, Float64] = {}
    tables: dict[tuple[str, str], Float64] = {}
    whole = sum(one.total for one in sample.source.surveys.values())
    total = 1.0 if sample.normalised else whole
    bar: AbstractContextManager[Any] = progress("counting", sample.source.muons, "muons")
    with bar as advance:
        for block in sample.source.blocks():
            for muons in block.muons.values():
                weights = muons.weights / total
                values = quantities(muons.features)
                for name in ranges.keys() & values.keys() & set(_QUANTITIES):
                    found = histogram(values[name], ranges[name], weights, np.square(weights))
                    histograms[name] = histograms.get(name, 0) + found
                for a, b in _PAIRS:
                    if {a, b} <= ranges.keys() & values.keys():
                        table = pair_table((values[a], values[b]), (ranges[a], ranges[b]), weights)
                        tables[a, b] = tables.get((a, b), 0) + table
                advance(len(muons))
    return _Counted(title, _lines(sample), sample.normalised, whole, histograms, tables)


def _lines(sample: Sample) -> list[str]:
    unit = "muons per POT" if sample.normalised else "sum of weights, for an unknown number of protons"
    totals = {name: survey.total for name, survey in sample.source.surveys.items()}
    whole = sum(totals.values())
    lines = [f"{sample.label}: {sample.source.muons:,} muons, {whole:.4e} {unit}"]
    titles = category_titles()
    for category in CATEGORIES:
        count, total = sample.found.get(category.name, 0), totals.get(category.name, 0.0)
        lines.append(f"  {titles[category.name]:14} {count:14,}  {total:.4e}  {total / whole:7.2%}")
    return lines


def _draw(counted: Sequence[_Counted], ranges: Ranges) -> Any:
    figure = Figure(figsize=(18, 9.4), dpi=80)
    outer = figure.add_gridspec(2, 4, left=0.05, right=0.965, top=0.93, bottom=0.07, wspace=0.27, hspace=0.22)
    titles = [one.title for one in counted]
    figure.suptitle(" and ".join(titles) + f", {category_titles()[TOGETHER]}", fontsize="x-large")
    per_pot = all(one.per_pot for one in counted)
    names = [name for name in _QUANTITIES if all(name in one.histograms for one in counted)]
    for place, name in enumerate(names):
        histograms = []
        for one in counted:
            sums = one.histograms[name]
            if not per_pot and one.per_pot:
                sums = sums / np.array([[one.total], [one.total**2]])
            histograms.append(make_histogram(ranges[name], sums))
        cell = outer[divmod(place, 4)]
        text = label(name) + ", off axis" * (name in _OFF_AXIS)
        if len(counted) == 1:
            upper, lower = figure.add_subplot(cell), None
        else:
            inner = cell.subgridspec(2, 1, height_ratios=(3, 1), hspace=0.06)
            upper, lower = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
        other = histograms[1] if lower is not None else None
        draw_overlay(upper, lower, histograms[0], other, text, names=titles, log=name != "phi")
        upper.set_ylabel("muons per POT" if per_pot else "share of the muons")
        if lower is not None:
            lower.set_ylabel("ratio")
    for place, pair in enumerate(_PAIRS, 6):
        if pair in counted[0].tables:
            axes = figure.add_subplot(outer[divmod(place, 4)])
            _pair(figure, axes, counted[0].tables[pair], pair, ranges, titles[0])
    return figure


def _pair(figure: Any, axes: Axes, table: Float64, pair: tuple[str, str], ranges: Ranges, title: str) -> None:
    """Draw two quantities of the first file against each other."""
    content = table / table.sum()
    lowest = content[content > 0].min()
    image = axes.imshow(
        np.ma.masked_equal(content.T, 0),
        origin="lower",
        extent=(*ranges[pair[0]], *ranges[pair[1]]),
        aspect="auto",
        interpolation="nearest",
        norm=LogNorm(lowest, content.max()) if content.max() > lowest else None,
    )
    off = ", off axis" * (pair[0] in _OFF_AXIS)
    axes.set(xlabel=label(pair[0]) + off, ylabel=label(pair[1]))
    axes.set_title(f"{title}: share of the muons a bin", fontsize="medium")
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
