"""Pictures of a search: trials in their order, figures over steps, and each setting against the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.files.outputs import complete_file
from shipgen_export.plots import BLUE, GREY, Figure
from shipgen_export.tuning.results import best

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from shipgen_export.tuning.results import TrialRow

#: State -> marker and colour; what came to no end is left out.
_MARKS = {"complete": ("o", BLUE), "pruned": ("x", "0.45")}

_COLUMNS = 3


def draw_pictures(folder: Path, table: Sequence[TrialRow], label: str, title: str) -> list[Path]:
    """Draw ``history.png``, ``steps.png`` and ``settings.png`` of those trials that have a value.

    Parameters
    ----------
    folder : Path
        Where to, in the place of those drawn before.
    table : sequence of TrialRow
        The trials.
    label : str
        What the value is.
    title : str
        What was searched.

    Returns
    -------
    list of Path
        The pictures; none where no trial has a finite value.
    """
    shown = [row for row in table if row.state in _MARKS and row.value is not None and np.isfinite(row.value)]
    if not shown:
        return []
    figures = {
        "history": _history(shown, label, title),
        "steps": _steps(shown, label, title),
        "settings": _settings(shown, label, title),
    }
    drawn = []
    for name, figure in figures.items():
        with complete_file(folder / f"{name}.png", force=True) as part:
            figure.savefig(part, format="png")
        drawn.append(folder / f"{name}.png")
    return drawn


def _logarithmic(axes: Axes, table: Sequence[TrialRow]) -> None:
    """Let values that differ by factors share an axis."""
    values = [row.value or 0.0 for row in table]
    if min(values) > 0:
        axes.set_yscale("log")


def _scatter(axes: Axes, table: Sequence[TrialRow], places: Sequence[Any]) -> None:
    for state, (marker, colour) in _MARKS.items():
        chosen = [(place, row.value) for place, row in zip(places, table, strict=True) if row.state == state]
        if chosen:
            x, y = zip(*chosen, strict=True)
            axes.scatter(x, y, marker=marker, color=colour, s=28, label=state, zorder=3)


def _history(table: Sequence[TrialRow], label: str, title: str) -> Figure:
    figure = Figure(figsize=(7.5, 4.5), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    _scatter(axes, table, [row.number for row in table])
    complete = [row for row in table if row.state == "complete"]
    if complete:
        numbers, values = zip(*((row.number, row.value) for row in complete), strict=True)
        axes.step(
            numbers,
            np.minimum.accumulate(values),
            where="post",
            color="C1",
            linewidth=1.2,
            label="best so far",
        )
    _logarithmic(axes, table)
    axes.set(xlabel="trial", ylabel=label, title=title)
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def _steps(table: Sequence[TrialRow], label: str, title: str) -> Figure:
    figure = Figure(figsize=(7.5, 4.5), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    least = best(table)
    for row in sorted(table, key=lambda row: row.state == "complete"):
        steps, values = zip(*row.curve.items(), strict=True)
        pruned = row.state == "pruned"
        style: dict[str, Any] = {"color": GREY if pruned else BLUE, "linewidth": 1.0}
        if row is least:
            style |= {"color": "C1", "linewidth": 1.8, "label": f"best: trial {row.number}", "zorder": 4}
        axes.plot(steps, values, ".-", markersize=4, **style)
        if pruned:
            axes.plot(steps[-1], values[-1], "x", color="0.45", markersize=7, zorder=3)
    # One entry a state, not a trial.
    axes.plot([], [], ".-", color=BLUE, label="complete")
    axes.plot([], [], "x-", color=GREY, markeredgecolor="0.45", label="pruned")
    _logarithmic(axes, table)
    axes.set(xlabel="steps", ylabel=label, title=title)
    axes.legend(frameon=False)
    return figure


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """Choose the scale of a setting's axis and a few marks on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if min(values) > 0 and max(values) / min(values) > 8:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize="small")
    elif all(isinstance(value, int) for value in values):
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _settings(table: Sequence[TrialRow], label: str, title: str) -> Figure:
    names = list(dict.fromkeys(name for row in table for name in row.settings))
    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(1 + 3.4 * columns, 0.7 + 2.7 * lines), dpi=90, layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    for number, (panel, name) in enumerate(zip(panels.flat, names, strict=False)):
        tried = [row for row in table if name in row.settings]
        values = [row.settings[name] for row in tried]
        numbers = all(isinstance(value, (int, float)) for value in values)
        _scatter(panel, tried, values if numbers else [str(value) for value in values])
        if numbers:
            _ticks(panel, values)
        panel.set_xlabel(name)
        if number % columns == 0:
            panel.set_ylabel(label)
    _logarithmic(panels[0, 0], table)
    panels[0, 0].legend(frameon=False, fontsize="small")
    return figure
