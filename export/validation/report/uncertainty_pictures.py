"""A picture of how well the networks of a bundle are known, as far as the bundle states it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.plots import BLUE, Figure, Line2D, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Per cent up to which the axis is linear, and where it ends at most.
_LINEAR, _END = 0.1, 100.0

_LEARNT, _BOTH = "0.55", "0.82"


def draw_uncertainty(
    found: Mapping[str, Mapping[str, Mapping[str, float]]], titles: Mapping[str, str]
) -> Any:
    """Draw, for each network and quantity, its uncertainty, and how far it is from held-out muons.

    Parameters
    ----------
    found : mapping
        By category and quantity, as `stated_uncertainty.network_uncertainty` returns it.
    titles : mapping of str to str
        Of the categories.
    """
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    figure = Figure(figsize=(13.0, 1.75 + 0.34 * len(names)), dpi=110)
    height = figure.get_figheight()
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.165, right=0.99, top=1 - 0.78 / height, bottom=0.62 / height, wspace=0.06)
    rows = -np.arange(len(names))
    ends = [0.5]
    for ax, (category, each) in zip(panels, found.items(), strict=True):
        for row, name in zip(rows, names, strict=True):
            if (figures := each.get(name)) is None:
                continue
            sample, both = 100 * figures["sample"], 100 * figures["all"]
            ax.barh(row, 2 * both, left=-both, height=0.72, color=_BOTH)
            ax.barh(row, 2 * sample, left=-sample, height=0.72, color=_LEARNT)
            ends.append(both)
            if "apart" in figures:
                apart, error = 100 * figures["apart"], 100 * figures["apart_error"]
                ax.errorbar(apart, row, xerr=error, fmt="o", color=BLUE, markersize=4, elinewidth=1.3)
                ends.append(abs(apart) + error)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.set_title(titles[category], fontsize="medium")
        ax.set_xscale("symlog", linthresh=_LINEAR, linscale=0.5)
    end = min(_END, 1.3 * max(ends))
    ticks = [tick for tick in (0.1, 1.0, 10.0, 100.0) if tick <= end]
    for ax in panels:
        ax.set_xlim(-end, end)
        places = [*(-tick for tick in reversed(ticks)), 0.0, *ticks]
        # Numbers near the ends and near zero would run into others.
        named = [f"{place:g}" if abs(place) in (0.0, 1.0, 10.0) else "" for place in places]
        ax.set_xticks(places, named)
        ax.minorticks_off()
        ax.tick_params(axis="x", labelsize="small")
        ax.grid(axis="x", color="0.9", linewidth=0.8, zorder=0)
        ax.set_axisbelow(True)
        ax.set_xlabel("per cent")
    panels[0].set_yticks(rows, names)
    panels[0].set_ylim(rows[-1] - 0.6, 0.6)
    handles = [
        Patch(color=_LEARNT, label="from the protons that it learnt from"),
        Patch(color=_BOTH, label="and the spread of networks of other seeds and protons"),
        Line2D([], [], marker="o", color=BLUE, label="network over held-out muons, minus 1, all errors"),
    ]
    figure.legend(handles=handles, loc="upper center", ncols=3, frameon=False)
    return figure
