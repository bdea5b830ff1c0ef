"""One picture of the muons of a file, bundle or prepared sample: what ``shipgen plot`` draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm

from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen.files import check_output, complete_file
from shipgen_export.training.plots import Figure, draw_overlay, fill, hist
from shipgen_export.validation.quantities import TOGETHER, category_titles, label, quantities, shown_range
from shipgen_export.validation.samples import Choice, open_sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from shipgen.columns import Float64
    from shipgen_export.validation.samples import Sample

#: Endings that pictures may have.
ENDINGS = (".png", ".pdf", ".svg")

_QUANTITIES = ("p", "pt", "z", "r", "phi", "x")
_PAIRS = (("p", "pt"), ("x", "y"))
#: Quantities that on-axis muons do not have.
_OFF_AXIS = ("r", "x", "y")
_SHOWN = (0.0005, 0.9995)
_BINS, _BINS_2D = 60, 80


def plot(
    paths: Sequence[Path],
    output: Path,
    *,
    muons: int = 1_000_000,
    seed: int = 1,
    beam: str = "auto",
    force: bool = False,
) -> list[str]:
    """Draw the muons of `paths[0]`, over those of `paths[1]` if it is given.

    Parameters
    ----------
    paths : sequence of Path
        Bundles, prepared samples or ROOT files, one or two.
    output : Path
        PNG, PDF or SVG.
    muons : int
        Muons that a bundle makes, and most muons a category.
    seed : int
        Of them and of the draw.
    beam : str
        Of ROOT files, as for `prepare`.

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
    lines, tables, titles, normalised = [], [], [], []
    for number, path in enumerate(paths):
        with open_sample(path, Choice(muons, muons, seed + number, beam=beam)) as sample:
            tables.append(_columns(sample))
            lines += _lines(sample)
            titles.append(sample.label)
            normalised.append(sample.normalised)
    figure = _draw(tables, titles, per_pot=all(normalised))
    with complete_file(output, force=force) as part:
        figure.savefig(part, format=output.suffix[1:])
    return lines


def _columns(sample: Sample) -> dict[str, tuple[Float64, Float64]]:
    """Return values and weights of each quantity, of the categories that have it."""
    parts: dict[str, list[tuple[Float64, Float64]]] = {}
    for muons in sample.categories.values():
        for name, values in quantities(muons.features).items():
            parts.setdefault(name, []).append((values, muons.weights))
    return {
        name: (
            np.concatenate([values for values, _ in each]),
            np.concatenate([weights for _, weights in each]),
        )
        for name, each in parts.items()
    }


def _lines(sample: Sample) -> list[str]:
    unit = "muons per POT" if sample.normalised else "sum of weights, for an unknown number of protons"
    lines = [f"{sample.label}: {sum(sample.found.values()):,} muons, {sample.totals.sum():.4e} {unit}"]
    titles = category_titles()
    for place, category in enumerate(CATEGORIES):
        count, total = sample.found.get(category.name, 0), sample.totals[place]
        lines.append(
            f"  {titles[category.name]:14} {count:14,}  {total:.4e}  {total / sample.totals.sum():7.2%}"
        )
    return lines


def _draw(
    tables: Sequence[Mapping[str, tuple[Float64, Float64]]], titles: Sequence[str], *, per_pot: bool
) -> Any:
    figure = Figure(figsize=(18, 9.4), dpi=80)
    outer = figure.add_gridspec(2, 4, left=0.05, right=0.965, top=0.93, bottom=0.07, wspace=0.27, hspace=0.22)
    figure.suptitle(" and ".join(titles) + f", {category_titles()[TOGETHER]}", fontsize="x-large")
    names = [name for name in _QUANTITIES if all(name in table for table in tables)]
    for place, name in enumerate(names):
        values = [table[name] for table in tables]
        if not per_pot:
            values = [(column, weights / weights.sum()) for column, weights in values]
        axis = hist.axis.Regular(_BINS, *shown_range(name, *values[-1], _SHOWN))
        histograms = [fill(axis, *each) for each in values]
        cell = outer[divmod(place, 4)]
        text = label(name) + ", off axis" * (name in _OFF_AXIS)
        if len(tables) == 1:
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
        if all(name in tables[0] for name in pair):
            _pair(figure, figure.add_subplot(outer[divmod(place, 4)]), tables[0], pair, titles[0])
    return figure


def _pair(
    figure: Any,
    axes: Axes,
    table: Mapping[str, tuple[Float64, Float64]],
    pair: tuple[str, str],
    title: str,
) -> None:
    """Draw two quantities of the first file against each other."""
    columns, weights = [table[name][0] for name in pair], table[pair[0]][1]
    both = [
        hist.axis.Regular(_BINS_2D, *shown_range(name, column, weights, _SHOWN))
        for name, column in zip(pair, columns, strict=True)
    ]
    content = hist.Hist(*both, storage=hist.storage.Double()).fill(*columns, weight=weights).values()
    content /= content.sum()
    extent = (both[0].edges[0], both[0].edges[-1], both[1].edges[0], both[1].edges[-1])
    lowest = content[content > 0].min()
    norm = LogNorm(lowest, content.max()) if content.max() > lowest else None
    shown = np.ma.masked_equal(content.T, 0)
    image = axes.imshow(
        shown, origin="lower", extent=extent, aspect="auto", interpolation="nearest", norm=norm
    )
    off = ", off axis" * (pair[0] in _OFF_AXIS)
    axes.set(xlabel=label(pair[0]) + off, ylabel=label(pair[1]))
    axes.set_title(f"{title}: share of the muons a bin", fontsize="medium")
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
