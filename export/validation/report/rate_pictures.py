"""Pictures of rates and charge ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.plots import BLUE, Figure, MaxNLocator
from shipgen_export.validation.counting.compared_quantities import TOGETHER, category_titles, label, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from shipgen_export.validation.rates import AllRates, ChargeCurve

_SIDES = ("generated", "reference")
_RATIO = "gen. / ref."


def draw_rates(rates: AllRates) -> Any:
    """Draw rates by category with their ratio, and the charge ratio over p and pT."""
    figure = Figure(figsize=(13, 4.4), dpi=110)
    grid = figure.add_gridspec(
        2, 3, left=0.07, right=0.99, top=0.95, bottom=0.13, height_ratios=(3, 1.2), hspace=0.08, wspace=0.28
    )
    rows = rates["rows"]
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
    upper.set(ylabel=rates["unit"], xticks=places)
    upper.tick_params(labelbottom=False)
    upper.legend(frameon=False, loc="upper left")
    upper.ticklabel_format(axis="y", scilimits=(-2, 2))
    ratios = [np.nan if row["ratio"] is None else row["ratio"] for row in rows]
    errors = [np.nan if row["ratio_error"] is None else row["ratio_error"] for row in rows]
    lower.errorbar(places, ratios, errors, fmt="o", color=BLUE)
    lower.axhline(1, color="0.5", linewidth=0.8)
    titles = category_titles()
    lower.set(ylabel=_RATIO, xlim=upper.get_xlim())
    lower.set_xticks(places, [titles[row["category"]] for row in rows], fontsize="small")
    for column, name in enumerate(("p", "pt"), 1):
        _charge(figure.add_subplot(grid[:, column]), rates["over"], name)
    return figure


def _charge(axes: Axes, over: Sequence[ChargeCurve], name: str) -> None:
    """Draw the ratio of positive to negative muons over a quantity."""
    found = next((row for row in over if row["where"] == TOGETHER and row["quantity"] == name), None)
    axes.set(xlabel=label(name), ylabel=r"$\mu^+$ / $\mu^-$")
    if found is None:
        axes.text(0.5, 0.5, "too few muons", ha="center", va="center", transform=axes.transAxes)
        return
    edges = np.array(found["edges"])
    values, errors = np.array(found["reference"]), np.array(found["reference_error"])
    axes.stairs(values + errors, edges, baseline=values - errors, fill=True, color="0.75", label=_SIDES[1])
    # The first and the last bin end with the muons; half of the last is where few of them are.
    middle = np.sqrt(edges[1:] * np.maximum(edges[:-1], edges[1] / 2))
    axes.errorbar(
        middle,
        found["generated"],
        found["generated_error"],
        fmt="o",
        markersize=4,
        color=BLUE,
        label=_SIDES[0],
    )
    axes.set(xscale="log", xlim=(edges[1] / 2, edges[-1]))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter("{x:g}")
    text = rf"$\chi^2$/dof = {found['chi2']:.0f}/{found['dof']}, p = {found['p']:.2g}"
    title = f"charge ratio over {plain(name)}; {text}"
    axes.legend(frameon=False, title=title, loc="upper center", ncols=2, title_fontsize="small")
