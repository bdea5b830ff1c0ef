"""Pictures of a validation: drawn without pyplot, as those of training are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from shipgen.categories import category_by_name
from shipgen_export.training.plots import BLUE, Figure, draw_overlay, draw_pair, fill, hist
from shipgen_export.validation.category import muons_of
from shipgen_export.validation.quantities import (
    LABELS,
    TOGETHER,
    category_titles,
    label,
    pairs,
    quantities,
    shown_range,
)
from shipgen_export.validation.rate_pictures import draw_rates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes

    from shipgen.columns import Float64
    from shipgen_export.training.figure_of_merit import Muons
    from shipgen_export.validation.category import CategoryResult
    from shipgen_export.validation.classifiers import Merit
    from shipgen_export.validation.compare import Result
    from shipgen_export.validation.statistics import Comparison

_BINS, _BINS_2D = 60, 50
#: Pictures show the ranges between these quantiles of the reference.
_SHOWN, _SHOWN_2D = (0.0002, 0.9998), (0.002, 0.998)
_SIDES = ("generated", "reference")
_RATIO = "gen. / ref."
_LINEAR = ("phi", "phi_xy", "dphi")
#: Largest number of points of a curve.
_POINTS = 40
_RED = "C3"
_DISTRIBUTIONS = (
    ": share of the muons a bin, ratio, and pulls of the bins of the test (about equal content, errors by "
    "proton where protons are known). Red: the bin with the largest pull."
)


def draw_all(result: Result) -> Iterator[tuple[str, str, Any]]:
    """Yield name, caption and figure of each picture."""
    titles = category_titles()
    yield "rates", "Rates of the categories, and charge ratio as a function of momentum.", draw_rates(result)
    for name, found in result.categories.items():
        samples = muons_of(result.generated, name), muons_of(result.reference, name)
        values = [quantities(muons.features) for muons in samples]
        title = titles[name]
        yield (
            f"{name}_distributions",
            title + _DISTRIBUTIONS,
            _distributions(found, values, samples, title),
        )
        yield (
            f"{name}_tails",
            f"{title}: share of the muons above a threshold.",
            _tails(values, samples, title),
        )
        category = None if name == TOGETHER else category_by_name(name)
        yield (
            f"{name}_pairs",
            f"{title}: pairs of quantities, generated on the left, reference on the right, same colours.",
            _pairs(values, samples, pairs(category), title),
        )
        if found.correlations:
            yield (
                f"{name}_correlations",
                f"{title}: correlation coefficients, and the difference over its standard error.",
                _correlations(found, title),
            )
        if name in result.merits:
            yield (
                f"{name}_classifiers",
                f"{title}: output of the classifiers for muons they were not trained on; high: reference.",
                _classifiers(result.merits[name], title),
            )


def _normal(muons: Muons) -> Float64:
    return np.asarray(muons.weights / muons.weights.sum())


def _distributions(
    found: CategoryResult, values: list[dict[str, Float64]], samples: tuple[Muons, Muons], title: str
) -> Any:
    """Draw each quantity with ratio and pulls."""
    names = list(values[0])
    columns, rows = 4, -(-len(names) // 4)
    height = 4.6 * rows + 0.6
    figure = Figure(figsize=(18, height), dpi=72)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.05,
        right=0.99,
        top=1 - 0.6 / height,
        bottom=0.55 / height,
        wspace=0.24,
        hspace=0.2,
    )
    figure.suptitle(f"{title}: share of the muons a bin", fontsize="x-large")
    weights = [_normal(muons) for muons in samples]
    for place, name in enumerate(names):
        inner = grid[divmod(place, columns)].subgridspec(3, 1, height_ratios=(3, 1.1, 1.1), hspace=0.08)
        upper, lower, lowest = (figure.add_subplot(inner[row]) for row in range(3))
        axis = hist.axis.Regular(_BINS, *shown_range(name, values[1][name], samples[1].weights, _SHOWN))
        both = [fill(axis, each[name], w) for each, w in zip(values, weights, strict=True)]
        draw_overlay(upper, lower, both[0], both[1], label(name), names=_SIDES, log=name not in _LINEAR)
        lower.set(ylabel=_RATIO, xlabel="", ylim=(0.5, 1.5), yticks=(0.75, 1, 1.25))
        lower.tick_params(labelbottom=False)
        _pulls(lowest, found.histograms.get(name), name, upper.get_xlim())
        figure.align_ylabels([upper, lower, lowest])
    return figure


def _pulls(axes: Axes, comparison: Comparison | None, name: str, limits: tuple[float, float]) -> None:
    """Draw the pulls of the bins of the test, and mark the largest."""
    axes.set(xlabel=label(name), ylabel="pull", xlim=limits)
    axes.axhline(0, color="0.5", linewidth=0.8)
    if comparison is None:
        axes.text(0.5, 0.5, "too few muons for a test", ha="center", va="center", transform=axes.transAxes)
        return
    largest = max(4.0, 1.1 * float(np.abs(comparison.pulls).max()))
    axes.set_ylim(-largest, largest)
    edges = np.clip(comparison.edges, *limits)
    axes.stairs(comparison.pulls, edges, fill=True, color=BLUE)
    worst = int(np.argmax(np.abs(comparison.pulls)))
    # Bins may be too narrow to be seen.
    axes.plot([edges[worst : worst + 2].mean()], [comparison.pulls[worst]], "D", color=_RED, markersize=5)
    axes.stairs(comparison.pulls[worst : worst + 1], edges[worst : worst + 2], fill=True, color=_RED)
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="both", integer=True))
    text = rf"$\chi^2$/dof = {comparison.chi2:.0f}/{comparison.dof}, p = {comparison.p:.2g}"
    axes.text(
        0.985,
        0.95,
        text,
        ha="right",
        va="top",
        transform=axes.transAxes,
        fontsize="x-small",
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
    )


def _above(values: Float64, weights: Float64, thresholds: Float64) -> tuple[Float64, Float64]:
    """Return the share of weight above thresholds and its relative error, muons taken as independent."""
    order = np.argsort(values)
    first = np.searchsorted(values[order], thresholds)
    sums, squares = (
        np.append(np.cumsum((weights**k)[order][::-1])[::-1], 0.0)[first] / weights.sum() ** k for k in (1, 2)
    )
    return sums, np.sqrt(np.divide(squares, sums**2, out=np.zeros_like(sums), where=sums > 0))


def _tails(values: list[dict[str, Float64]], samples: tuple[Muons, Muons], title: str) -> Any:
    """Draw the shares above thresholds of p and pT, and their ratio."""
    figure = Figure(figsize=(13, 5), dpi=72)
    figure.suptitle(title, fontsize="x-large")
    grid = figure.add_gridspec(
        2, 2, left=0.07, right=0.985, top=0.9, bottom=0.12, height_ratios=(3, 1.2), hspace=0.08
    )
    for column, name in enumerate(("p", "pt")):
        upper, lower = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        last = np.sort(values[1][name])[-min(20, len(samples[1]))]
        thresholds = np.linspace(values[1][name].min(), last, _POINTS)
        shares, errors = zip(
            *(
                _above(each[name], muons.weights, thresholds)
                for each, muons in zip(values, samples, strict=True)
            ),
            strict=True,
        )
        upper.fill_between(thresholds, shares[1], color="0.75", label=_SIDES[1], step=None)
        upper.plot(thresholds, np.where(shares[0] > 0, shares[0], np.nan), color=BLUE, label=_SIDES[0])
        upper.set(yscale="log", ylabel="share above threshold", xlim=(thresholds[0], thresholds[-1]))
        upper.set_ylim(shares[1][-1] / 3, 2)
        upper.tick_params(labelbottom=False)
        upper.legend(frameon=False, loc="upper right")
        ratio = shares[0] / shares[1]
        lower.errorbar(thresholds, ratio, ratio * np.hypot(*errors), fmt=".-", color=BLUE, linewidth=0.8)
        lower.axhline(1, color="0.5", linewidth=0.8)
        lower.set(xlabel=f"threshold of {label(name)}", ylabel=_RATIO, ylim=(0, 2), xlim=upper.get_xlim())
    return figure


def _pairs(
    values: list[dict[str, Float64]],
    samples: tuple[Muons, Muons],
    names: tuple[tuple[str, str], ...],
    title: str,
) -> Any:
    rows = -(-len(names) // 3)
    height = 0.9 + 3.1 * rows
    figure = Figure(figsize=(18, height), dpi=72)
    figure.suptitle(f"{title}: generated (left), reference (right)", fontsize="x-large")
    grid = figure.add_gridspec(
        rows, 3, left=0.045, right=0.99, top=1 - 0.55 / height, bottom=0.6 / height, wspace=0.17, hspace=0.28
    )
    weights = [_normal(muons) for muons in samples]
    for place, pair in enumerate(names):
        inner = grid[divmod(place, 3)].subgridspec(1, 2, wspace=0.04)
        axes = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
        both = [
            hist.axis.Regular(_BINS_2D, *shown_range(name, values[1][name], samples[1].weights, _SHOWN_2D))
            for name in pair
        ]
        histograms = [
            hist.Hist(*both, storage=hist.storage.Double()).fill(*(each[name] for name in pair), weight=w)
            for each, w in zip(values, weights, strict=True)
        ]
        draw_pair(axes, (histograms[0], histograms[1]), (label(pair[0]), label(pair[1])))
    return figure


def _correlations(found: CategoryResult, title: str) -> Any:
    """Draw both kinds of correlation: generated, reference, and the difference over its error."""
    rows = len(found.correlations)
    figure = Figure(figsize=(14, 4.4 * rows + 0.5), dpi=72)
    figure.suptitle(title, fontsize="x-large")
    panels = figure.subplots(rows, 3, squeeze=False)
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.05, right=0.97, top=1 - 0.9 / height, bottom=0.35 / height, wspace=0.3, hspace=0.25
    )
    names = [LABELS[name][0] if name != "z" else "z" for name in found.features]
    for row, (kind, matrices) in zip(panels, found.correlations.items(), strict=True):
        for axes, matrix, text in zip(
            row, matrices, ("generated", "reference", "difference / error"), strict=True
        ):
            limit = 1.0 if text != "difference / error" else max(4.0, float(np.abs(matrix).max()))
            image = axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes.set_xticks(range(len(names)), names)
            axes.set_yticks(range(len(names)), names)
            axes.set_title(f"{kind.capitalize()}, {text}", fontsize="medium")
            for i, j in np.ndindex(matrix.shape):
                dark = abs(matrix[i, j]) > 0.6 * limit
                shown = f"{matrix[i, j]:.2f}" if limit == 1 else f"{matrix[i, j]:.1f}"
                axes.text(
                    j,
                    i,
                    "" if i == j else shown,
                    ha="center",
                    va="center",
                    color="w" if dark else "k",
                    fontsize=9,
                )
            figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    return figure


def _classifiers(merits: Mapping[str, Merit], title: str) -> Any:
    """Draw the output of each classifier for both kinds."""
    figure = Figure(figsize=(6.5 * len(merits), 4.8), dpi=72)
    figure.suptitle(title, fontsize="x-large")
    grid = figure.add_gridspec(
        2,
        len(merits),
        left=0.16 / (1 + len(merits)),
        right=0.985,
        top=0.84,
        bottom=0.12,
        height_ratios=(3, 1.2),
        hspace=0.08,
    )
    axis = hist.axis.Regular(100, 0, 1)
    for column, (form, merit) in enumerate(merits.items()):
        upper, lower = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        real, generated = (
            fill(axis, output, w / w.sum()) for output, w in zip(merit.outputs, merit.weights, strict=True)
        )
        text = "classifier's output"
        draw_overlay(upper, lower, generated, real, text, names=_SIDES, log=False)
        lower.set_ylabel(_RATIO)
        figures = merit.merit
        upper.set_title(
            f"{form}: AUC {figures.auc:.4f} $\\pm$ {figures.auc_error:.4f}, overlap {figures.overlap:.3f}",
            fontsize="medium",
        )
    return figure
