"""What named variations make of a sample's rates and tails: figures for tables, pictures and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from shipgen_export.plots import BAND, Figure, MaxNLocator
from shipgen_export.validation.counting.compared_quantities import (
    SUMMARY_TAILS,
    TOGETHER,
    category_titles,
    label,
)
from shipgen_export.validation.counting.variations import ALTERNATIVES, name_of, quadrature, steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipgen.muons.columns import Float64
    from shipgen_export.validation.counting.tally import Tally

#: Of the total band among the rows.
TOTAL = "in quadrature"

#: Quantities of the picture, and the smallest share of the muons in a bin that is drawn.
_OVER, _LEAST = ("p", "pt"), 1e-4


class VariedRow(TypedDict):
    """Relative changes by a variation: of the rate by category, of the rate in regions (all categories)."""

    variation: str
    meaning: str
    rate: dict[str, float]
    regions: dict[str, float]


def varied_rows(
    tally: Tally, variations: Sequence[str], meanings: Mapping[str, str], more: Sequence[str] = ()
) -> list[VariedRow]:
    """Return what each variation changes, and all that are parts of the total band in quadrature.

    Parameters
    ----------
    tally : Tally
    variations : sequence of str
        Columns of factors, in the order of the tally; none for no rows.
    meanings : mapping of str to str
        By column.
    more : sequence of str
        Regions besides `SUMMARY_TAILS`.
    """
    if not variations or (tally.binning.names[0], "varied") not in tally.sums:
        return []
    rates = {name: tally.sums[name, "varied"] / tally.size(name)[1] - 1 for name in tally.binning.names}
    regions = {}
    for region in (*SUMMARY_TAILS, *more):
        usual = float(tally.sums[TOGETHER, "region", region][1])
        if usual > 0:
            regions[region] = tally.sums[TOGETHER, "varied region", region] / usual - 1
    rows: list[VariedRow] = [
        {
            "variation": name_of(column),
            "meaning": meanings.get(column, ""),
            "rate": {name: float(each[place]) for name, each in rates.items()},
            "regions": {name: float(each[place]) for name, each in regions.items()},
        }
        for place, column in enumerate(variations)
    ]
    chosen = steps(variations)
    left_out = [name_of(column) for column in variations if column in ALTERNATIVES]
    rows.append(
        {
            "variation": TOTAL,
            "meaning": "all but " + ", ".join(left_out) if left_out else "all",
            "rate": {name: float(quadrature(each[chosen])) for name, each in rates.items()},
            "regions": {name: float(quadrature(each[chosen])) for name, each in regions.items()},
        }
    )
    return rows


def band(tally: Tally, name: str, quantity: str, variations: Sequence[str]) -> Float64 | None:
    """Return half the height of the total band of a distribution's shares; ``None`` where it is not known."""
    varied = tally.sums.get((name, "varied", quantity))
    if varied is None or not variations:
        return None
    chosen = steps(variations)
    shares = varied[chosen] / tally.sums[name, "varied"][chosen, None]
    return quadrature(shares - tally.sums[name, "shown", quantity][0] / tally.size(name)[1])


def draw_variations(curves: Mapping[str, Mapping[str, Any]], variations: Sequence[str], title: str) -> Any:
    """Draw varied over usual distributions: a line a variation, the total as a band.

    Parameters
    ----------
    curves : mapping of str to mapping of str to (ends, float64[bins], float64[v, bins])
        By category and quantity the range, the usual sums and the varied ones.
    variations : sequence of str
        Columns of factors.
    title : str
        What varies.
    """
    titles = category_titles()
    figure = Figure(figsize=(13.0, 6.6), dpi=110)
    figure.suptitle(title, fontsize="x-large")
    panels = figure.subplots(len(_OVER), len(curves), squeeze=False, sharey="row")
    figure.subplots_adjust(left=0.06, right=0.99, top=0.87, bottom=0.19, wspace=0.08, hspace=0.3)
    chosen = steps(variations)
    for column, (name, by_quantity) in enumerate(curves.items()):
        for row, quantity in enumerate(_OVER):
            ax = panels[row, column]
            (low, high), usual, varied = by_quantity[quantity]
            edges = np.linspace(low, high, len(usual) + 1)
            there = usual > _LEAST * usual.sum()
            ratio = np.divide(varied, usual, out=np.full(varied.shape, np.nan), where=there)
            total = quadrature(ratio[chosen] - 1)
            ax.stairs(1 + total, edges, baseline=1 - total, fill=True, color=BAND, alpha=0.5, label=TOTAL)
            for place, variation in enumerate(variations):
                # Matplotlib has ten colours.
                line = "--" if variation in ALTERNATIVES else "-" if place < 10 else ":"
                style = {"color": f"C{place % 10}", "linestyle": line, "linewidth": 1.2, "baseline": None}
                ax.stairs(ratio[place], edges, label=name_of(variation), **style)
            ax.axhline(1, color="0.4", linewidth=0.8)
            ax.set(xlabel=label(quantity), xlim=(low, high))
            ax.yaxis.set_major_locator(MaxNLocator(6))
            if row == 0:
                ax.set_title(titles[name], fontsize="medium")
            if column == 0:
                ax.set_ylabel("varied / as it is")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=7, frameon=False)
    return figure
