"""Pictures of rates and charge ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from shipgen.categories import CATEGORIES
from shipgen_export.training.plots import BLUE, Figure
from shipgen_export.validation.quantities import category_titles, label, plain, quantities
from shipgen_export.validation.statistics import weighted_quantiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shipgen.columns import Float64
    from shipgen_export.validation.compare import Result

_SIDES = ("generated", "reference")
_RATIO = "gen. / ref."
#: Bins of the charge ratio, of equal content.
_CHARGE_BINS = 12


def draw_rates(result: Result) -> Any:
    """Draw rates by category with their ratio, and the charge ratio over p and pT."""
    figure = Figure(figsize=(18, 5), dpi=72)
    grid = figure.add_gridspec(
        2, 3, left=0.055, right=0.99, top=0.95, bottom=0.13, height_ratios=(3, 1.2), hspace=0.08, wspace=0.22
    )
    rows = result.rates["rows"]
    upper, lower = (figure.add_subplot(grid[row, 0]) for row in (0, 1))
    places = np.arange(len(rows))
    upper.bar(places, [row["reference"] for row in rows], color="0.75", label=_SIDES[1])
    upper.errorbar(
        places,
        [row["generated"] for row in rows],
        [row["generated_error"] for row in rows],
        fmt="o",
        color=BLUE,
        label=_SIDES[0],
    )
    upper.set(ylabel=result.rates["unit"], xticks=places)
    upper.tick_params(labelbottom=False)
    upper.legend(frameon=False, loc="upper left")
    ratios = [np.nan if row["ratio"] is None else row["ratio"] for row in rows]
    errors = [np.nan if row["ratio_error"] is None else row["ratio_error"] for row in rows]
    lower.errorbar(places, ratios, errors, fmt="o", color=BLUE)
    lower.axhline(1, color="0.5", linewidth=0.8)
    titles = category_titles()
    lower.set(ylabel=_RATIO, xlim=upper.get_xlim())
    lower.set_xticks(places, [titles[row["category"]] for row in rows])
    for column, name in enumerate(("p", "pt"), 1):
        _charge(figure.add_subplot(grid[:, column]), result, name)
    return figure


def _charge(axes: Axes, result: Result, name: str) -> None:
    """Draw the ratio of positive to negative muons over a quantity; muons taken as independent."""
    edges = middle = None
    for sample, color, side, shift in (
        (result.reference, "0.45", _SIDES[1], 1.0),
        (result.generated, BLUE, _SIDES[0], 1.015),
    ):
        sums: dict[int, list[Float64]] = {}
        values: dict[str, tuple[Float64, Float64]] = {
            category.name: (
                quantities(sample.categories[category.name].features)[name],
                sample.categories[category.name].weights,
            )
            for category in CATEGORIES
            if category.name in sample.categories
        }
        if edges is None or middle is None:
            joined = [np.concatenate(parts) for parts in zip(*values.values(), strict=True)]
            levels = np.linspace(0, 1, 2 * _CHARGE_BINS + 1)
            points = weighted_quantiles(joined[0], joined[1], levels)
            edges, middle = points[::2], points[1::2]
        for category in CATEGORIES:
            if category.name in values:
                found = [
                    np.histogram(values[category.name][0], edges, weights=values[category.name][1] ** k)[0]
                    for k in (1, 2)
                ]
                known = sums.setdefault(category.pdg, [np.zeros(len(edges) - 1)] * 2)
                sums[category.pdg] = [known[0] + found[0], known[1] + found[1]]
        if len(sums) < 2:
            continue
        plus, minus = sums[-13], sums[13]
        good = (plus[0] > 0) & (minus[0] > 0)
        ratio = plus[0][good] / minus[0][good]
        error = ratio * np.sqrt(plus[1][good] / plus[0][good] ** 2 + minus[1][good] / minus[0][good] ** 2)
        axes.errorbar(middle[good] * shift, ratio, error, fmt="o", markersize=4, color=color, label=side)
    axes.set(xlabel=label(name), ylabel=r"$\mu^+$ / $\mu^-$", xscale="log")
    axes.yaxis.set_major_locator(MaxNLocator(6))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, title=f"charge ratio over {plain(name)}")
