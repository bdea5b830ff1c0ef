"""Pictures of a validation: drawn without pyplot, as those of training are."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.plots import (
    BLUE,
    GREY,
    Curve,
    Figure,
    MaxNLocator,
    draw_overlay,
    draw_pair,
    draw_ratios,
    fill,
    hist,
)
from shipgen_export.validation.counting.binning import SHOWN, SHOWN_2D
from shipgen_export.validation.counting.compared_quantities import LABELS, category_titles, label
from shipgen_export.validation.report.picture_data import pair_shares, shares, shares_above, varied_sums
from shipgen_export.validation.report.rate_pictures import draw_rates
from shipgen_export.validation.report.stated_uncertainty import network_uncertainty
from shipgen_export.validation.report.uncertainty_pictures import draw_uncertainty
from shipgen_export.validation.report.variation_tables import band, draw_variations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matplotlib.axes import Axes

    from shipgen.muons.columns import Float64
    from shipgen_export.validation.classifier_tasks import Merit
    from shipgen_export.validation.compare import Result
    from shipgen_export.validation.counting.statistics import Comparison

_SIDES = ("generated", "reference")
_RATIO = "gen. / ref."
_LINEAR = ("phi", "phi_xy", "dphi")
#: Effective muons of the reference that a point of a tail curve needs.
_FEWEST = 10
_RED = "C3"
#: Of all pictures: inches, and dots an inch. The page shows them less than a foot wide.
_WIDTH, _DPI = 13.0, 110
#: Of the labels of vertical axes, in widths of the axes.
_LABEL_AT = -0.155
_DISTRIBUTIONS = (
    ": share of the muons a bin, ratio, and pulls of the bins of the test (about equal content, errors by "
    "proton where protons are known). Bands: the reference's standard error, and its variations where it has "
    "some. Triangles: points beyond the axis. Red: the bin with the largest pull."
)

#: Range of a picture, for both samples the shares of the bins and their variances, and half the height of the
#: reference's band.
Shown = tuple[tuple[float, float], tuple["Float64", "Float64"], "Float64 | None"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture to draw.

    Attributes
    ----------
    name, caption : str
    draw : callable
        Of this module, so that another process finds it; returns a figure.
    data : tuple
        What it takes.
    """

    name: str
    caption: str
    draw: Callable[..., Any]
    data: tuple[Any, ...]

    def __str__(self) -> str:
        return f"the picture {self.name}"

    def run(self) -> tuple[bytes, bytes]:
        """Return it as PNG and as PDF."""
        figure = self.draw(*self.data)
        files = []
        for form, settings in (("png", {}), ("pdf", {"metadata": {"CreationDate": None}})):
            content = BytesIO()
            figure.savefig(content, format=form, **settings)
            files.append(content.getvalue())
        return files[0], files[1]


def all_pictures(result: Result) -> Iterator[Picture]:
    """Yield the pictures of a report."""
    titles = category_titles()
    caption = (
        "Rates of the categories, and charge ratio of all muons over p and pT; "
        "bands are the reference and its standard error."
    )
    yield Picture("rates", caption, draw_rates, (result.rates,))
    if result.bundle is not None and (known := network_uncertainty(result.bundle)):
        caption = (
            "Uncertainty of each network, as its bundle states it: grey, of the network; points, how far it "
            "is from muons that it did not learn from."
        )
        yield Picture("uncertainty", caption, draw_uncertainty, (known, titles))
    for side, sample, tally in zip(_SIDES, (result.generated, result.reference), result.tallies, strict=True):
        if sample.source.variations:
            caption = f"Variations of the {side} muons; band: all in quadrature but what is dashed."
            data: tuple[Any, ...] = (
                varied_sums(tally),
                sample.source.variations,
                f"Variations of {sample.label}",
            )
            yield Picture(f"variations_{side}", caption, draw_variations, data)
    binning = result.tallies[0].binning
    variations = result.reference.source.variations
    for name, found in result.categories.items():
        title = titles[name]
        shown = {
            q: (ends, shares(result.tallies, name, q), band(result.tallies[1], name, q, variations))
            for q, ends in binning.shown[name].items()
        }
        data = (found.histograms, shown, title)
        yield Picture(f"{name}_distributions", title + _DISTRIBUTIONS, _distributions, data)
        above = {
            q: (thresholds, shares_above(result.tallies, name, q))
            for q, thresholds in binning.thresholds[name].items()
        }
        caption = f"{title}: share of the muons above a threshold; errors by proton where protons are known."
        yield Picture(f"{name}_tails", caption, _tails, (above, title))
        tables = {
            pair: (ends, pair_shares(result.tallies, name, pair))
            for pair, ends in binning.pairs[name].items()
        }
        caption = (
            f"{title}: pairs of quantities, generated on the left, reference on the right, same colours."
        )
        yield Picture(f"{name}_pairs", caption, _pairs, (tables, title))
        if found.correlations:
            caption = f"{title}: correlation coefficients, and the difference over its standard error."
            data = (found.features, found.correlations, title)
            yield Picture(f"{name}_correlations", caption, _correlations, data)
        if name in result.merits:
            caption = (
                f"{title}: output of the classifiers for muons they were not trained on; high: reference."
            )
            yield Picture(f"{name}_classifiers", caption, _classifiers, (result.merits[name], title))


def make_histogram(ends: tuple[float, float], sums: Float64) -> Any:
    """Return a histogram of sums of w and of w^2."""
    histogram = hist.Hist(hist.axis.Regular(SHOWN, *ends), storage=hist.storage.Weight())
    view = histogram.view()
    view.value, view.variance = sums
    return histogram


def _distributions(found: Mapping[str, Comparison], shown: Mapping[str, Shown], title: str) -> Any:
    """Draw each quantity with ratio and pulls."""
    columns, rows = 3, -(-len(shown) // 3)
    height = 4.6 * rows + 0.3
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.065,
        right=0.99,
        top=1 - 0.5 / height,
        bottom=0.55 / height,
        wspace=0.27,
        hspace=0.2,
    )
    figure.suptitle(title, fontsize="x-large", y=1 - 0.12 / height, va="top")
    for place, (name, (ends, sums, half)) in enumerate(shown.items()):
        inner = grid[divmod(place, columns)].subgridspec(3, 1, height_ratios=(3, 1.1, 1.1), hspace=0.08)
        upper, lower, lowest = (figure.add_subplot(inner[row]) for row in range(3))
        both = [make_histogram(ends, each) for each in sums]
        log = name not in _LINEAR
        draw_overlay(upper, lower, both[0], both[1], label(name), names=_SIDES, log=log, band=half)
        width = f"{(ends[1] - ends[0]) / SHOWN:.2g} {LABELS[name][1]}"
        upper.set_ylabel(f"share of the muons / {width}")
        lower.set(ylabel=_RATIO, xlabel="")
        lower.tick_params(labelbottom=False)
        _pulls(lowest, found.get(name), name, upper.get_xlim())
        for axes in (upper, lower, lowest):
            # Looking for where labels have room takes a sixth of the time.
            axes.yaxis.set_label_coords(_LABEL_AT, 0.5)
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
        fontsize="small",
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
    )


def _tails(curves: Mapping[str, tuple[Float64, tuple[Float64, Float64]]], title: str) -> Any:
    """Draw the shares above thresholds of p and pT, and their ratio."""
    figure = Figure(figsize=(_WIDTH, 5), dpi=_DPI)
    figure.suptitle(title, fontsize="x-large")
    grid = figure.add_gridspec(
        2, 2, left=0.07, right=0.985, top=0.9, bottom=0.12, height_ratios=(3, 1.2), hspace=0.08
    )
    for column, (name, (thresholds, both)) in enumerate(curves.items()):
        upper, lower = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        (made, made_error), (real, real_error) = both
        enough = real**2 > _FEWEST * real_error**2
        last = max(1, int(np.flatnonzero(enough)[-1])) if enough.any() else 1
        upper.fill_between(thresholds, real, color="0.75", label=_SIDES[1], step=None)
        upper.errorbar(
            thresholds,
            np.where(made > 0, made, np.nan),
            made_error,
            color=BLUE,
            elinewidth=0.8,
            label=_SIDES[0],
        )
        upper.set(yscale="log", ylabel="share above threshold", xlim=(thresholds[0], thresholds[last]))
        upper.set_ylim(max(real[last], np.finfo(float).tiny) / 3, 2)
        upper.tick_params(labelbottom=False)
        upper.legend(frameon=False, loc="upper right")
        # Each point is an edge's: bins around it, for the panel below.
        middles = (thresholds[1:] + thresholds[:-1]) / 2
        edges = np.concatenate([thresholds[:1], middles, thresholds[-1:]])
        both_curves = [
            Curve(_SIDES[0], edges, made, made_error, places=thresholds),
            Curve(_SIDES[1], edges, real, real_error, GREY, filled=True, places=thresholds),
        ]
        draw_ratios(lower, [one.until(last + 1) for one in both_curves])
        lower.set(xlabel=f"threshold of {label(name)}", ylabel=_RATIO, xlim=upper.get_xlim())
    return figure


def _pairs(tables: Mapping[tuple[str, str], Any], title: str) -> Any:
    rows = -(-len(tables) // 2)
    height = 0.9 + 3.1 * rows
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
    figure.suptitle(f"{title}: share of the muons a bin, logarithmic", fontsize="x-large")
    grid = figure.add_gridspec(
        rows, 2, left=0.06, right=0.955, top=1 - 0.75 / height, bottom=0.6 / height, wspace=0.24, hspace=0.36
    )
    for place, (pair, (ends, both)) in enumerate(tables.items()):
        inner = grid[divmod(place, 2)].subgridspec(1, 3, wspace=0.06, width_ratios=(1, 1, 0.05))
        axes = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
        histograms: list[Any] = []
        for table in both:
            histograms.append(hist.Hist(*(hist.axis.Regular(SHOWN_2D, *each) for each in ends)))
            histograms[-1].view()[:] = table
        image = draw_pair(axes, (histograms[0], histograms[1]), (label(pair[0]), label(pair[1])))
        figure.colorbar(image, cax=figure.add_subplot(inner[2])).ax.tick_params(labelsize="small")
        for one, side in zip(axes, _SIDES, strict=True):
            one.set_title(side, fontsize="medium")
            one.tick_params(labelsize="small")
    return figure


def _correlations(
    features: tuple[str, ...], found: Mapping[str, tuple[Float64, Float64, Float64]], title: str
) -> Any:
    """Draw both kinds of correlation: generated, reference, and the difference over its error."""
    rows = len(found)
    figure = Figure(figsize=(_WIDTH, 4.1 * rows + 0.5), dpi=_DPI)
    figure.suptitle(title, fontsize="x-large")
    panels = figure.subplots(rows, 3, squeeze=False)
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.05, right=0.97, top=1 - 0.9 / height, bottom=0.35 / height, wspace=0.3, hspace=0.25
    )
    names = [LABELS[name][0] if name != "z" else "z" for name in features]
    for row, (kind, matrices) in zip(panels, found.items(), strict=True):
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
                # Rounded first: there is no -0.00.
                shown = f"{float(matrix[i, j].round(2)) + 0:.2f}" if limit == 1 else f"{matrix[i, j]:.1f}"
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
    figure = Figure(figsize=(_WIDTH / 3 * max(2, len(merits)), 4.6), dpi=_DPI)
    figure.suptitle(title, fontsize="x-large")
    grid = figure.add_gridspec(
        2,
        len(merits),
        left=0.2 / (1 + max(2, len(merits))),
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
        upper.set_ylabel("share of the muons a bin" if column == 0 else "")
        lower.set_ylabel(_RATIO)
        figures = merit.merit
        upper.set_title(
            f"{form}: AUC {figures.auc:.4f} $\\pm$ {figures.auc_error:.4f}",
            fontsize="medium",
        )
    return figure
