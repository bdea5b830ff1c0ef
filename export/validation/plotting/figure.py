"""The picture of files: spectra of mu+ and mu- with ratios, their charge ratio, and maps of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.plots import (
    BAND,
    ERRORS,
    GREY,
    Curve,
    Figure,
    Line2D,
    LogNorm,
    MaxNLocator,
    Patch,
    draw_curves,
    draw_points,
    draw_ratios,
)
from shipgen_export.validation.counting.compared_quantities import LABELS, label
from shipgen_export.validation.counting.variations import ALTERNATIVES, name_of
from shipgen_export.validation.plotting.bins import CHARGE
from shipgen_export.validation.plotting.counts import MINUS, PLUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.gridspec import SubplotSpec

    from shipgen.muons.columns import Float64
    from shipgen_export.validation.plotting.counts import Counted

    Pair = tuple[str, str]

#: Colours of files before the last, which is grey, and of charges.
_FILES = ("C0", "C3", "C2", "C4", "C5")
_CHARGES = {PLUS: ("C3", r"$\mu^+$"), MINUS: ("C0", r"$\mu^-$")}

#: Files that a picture holds.
MOST = len(_FILES) + 1

#: Inches and dots an inch; letters of a line of the legend.
_WIDTH, _DPI, _LETTERS = 18.0, 80, 160

#: Places of the panels: quantity, row and columns.
_ALONE = (("p", 0, 0, 1), ("pt", 0, 1, 2), ("z", 0, 2, 4), ("r", 1, 0, 1), ("phi", 1, 1, 2))
_OF_CHARGE = (("p", 0, 1), ("pt", 1, 2), ("z", 2, 4))


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn.

    Attributes
    ----------
    counted : list of Counted
        In the unit; the last one is what the others are compared with.
    edges : mapping of str to float64[b + 1]
        By quantity.
    maps : mapping of (str, str) to pair of float64[b + 1]
        By pair.
    unit, short : str
        Such as ``muons per POT``, and how axes write it.
    target : str
        Whose slabs are known; empty where they are not.
    gaps : list of (float, float)
        Between the slabs, along z from the target's start, cm.
    """

    counted: Sequence[Counted]
    edges: Mapping[str, Float64]
    maps: Mapping[Pair, tuple[Float64, Float64]]
    unit: str
    short: str
    target: str = ""
    gaps: Sequence[tuple[float, float]] = ()

    def curve(self, number: int, name: str, charges: Sequence[int], colour: str, text: str = "") -> Curve:
        """Return the density of a quantity of a file; of nothing where the file has none of it."""
        one, edges = self.counted[number], self.edges[name]
        found, widths = one.spectra.get(name), np.diff(edges)
        if found is None:
            return Curve(text, edges, np.zeros(len(widths)), np.zeros(len(widths)), colour)
        of = list(charges)
        variances = found.both if len(of) == 2 else found.variances[of[0]]
        band = found.band(of, one.steps)
        return Curve(
            text,
            edges,
            found.sums[of].sum(0) / widths,
            np.sqrt(np.maximum(variances, 0)) / widths,
            colour,
            filled=colour == GREY,
            band=None if band is None else band / widths,
        )

    def colour(self, number: int) -> str:
        """Return that of a file."""
        return GREY if number == len(self.counted) - 1 else _FILES[number]

    def beyond(self, name: str, charges: Sequence[int]) -> str:
        """Return how many muons of each file a panel does not show; nothing where it shows all."""
        of = list(charges)
        numbers = [
            int(one.spectra[name].beyond[of].sum()) if name in one.spectra else 0 for one in self.counted
        ]
        text = " and ".join(f"{number:,}" for number in numbers)
        return f"{text} {'muon' if numbers == [1] else 'muons'} beyond" if any(numbers) else ""


def draw(scene: Scene) -> Any:
    """Return the figure of one or more files."""
    files, maps = len(scene.counted), list(scene.maps)
    rows = 2 if files == 1 else 1 + _place(len(maps) - 1, files - 1, files)[0]
    legend = _legend(scene)
    head = 0.62 + 0.235 * len(legend)
    height = 4.15 * rows + head
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
    grid = figure.add_gridspec(
        rows,
        4,
        left=0.052,
        right=0.975,
        top=1 - head / height,
        bottom=0.58 / height,
        wspace=0.28,
        hspace=0.26,
    )
    figure.suptitle(
        f"Muons where they are produced: {scene.unit}", fontsize="x-large", y=1 - 0.1 / height, va="top"
    )
    figure.legend(
        handles=legend,
        loc="upper left",
        bbox_to_anchor=(0.045, 1 - 0.38 / height),
        frameon=False,
        fontsize="medium",
        labelspacing=0.25,
    )
    if files == 1:
        for name, row, first, last in _ALONE:
            _charges(figure, grid[row, first:last], scene, name)
        places = [(1, 2 + k) for k in range(len(maps))]
    else:
        for row, charge in enumerate(_CHARGES):
            for name, first, last in _OF_CHARGE:
                _files(figure, grid[row, first:last], scene, name, (charge,))
            _files(figure, grid[2, row], scene, "r", (charge,))
        _files(figure, grid[2, 2], scene, "phi", (PLUS, MINUS))
        _charge_ratio(figure.add_subplot(grid[2, 3]), scene)
        places = [_place(k // files, k % files, files) for k in range(len(maps) * files)]
    _maps(figure, [grid[place] for place in places], scene, maps)
    return figure


def _place(pair: int, file: int, files: int) -> tuple[int, int]:
    """Return row and column of a map: all of two files in one row, else rows for each pair."""
    if files == 2:
        return 3, 2 * pair + file
    return 3 + pair * -(-files // 4) + file // 4, file % 4


def shortened(text: str, letters: int = _LETTERS) -> str:
    """Return a text with its middle left out where it is too long for a line."""
    half = (letters - 3) // 2
    return text if len(text) <= letters else f"{text[:half]}...{text[-half:]}"


def _legend(scene: Scene) -> list[Artist]:
    """Return the lines of the legend: one a file, so that names may be long, and what bands are."""
    found: list[Artist] = []
    for number, one in enumerate(scene.counted):
        text = shortened(one.label) + (
            ": errors by proton" if one.protons else ": errors as of independent muons"
        )
        if len(scene.counted) == 1:
            found.append(Patch(color="none", label=text))
            continue
        found.append(Patch(color=scene.colour(number), label=text))
    if len(scene.counted) == 1:
        found += [Patch(color=colour, label=text) for colour, text in _CHARGES.values()]
    else:
        found.append(Patch(color=ERRORS, label="its standard error, in ratios"))
    with_band = next((one for one in reversed(scene.counted) if one.steps), None)
    if with_band is not None:
        names = ", ".join(name_of(with_band.variations[place]) for place in with_band.steps)
        found.append(Patch(color=BAND, label=f"variations in quadrature: {names}"))
        other = [name_of(name) for name in with_band.variations if name in ALTERNATIVES]
        if other and with_band is scene.counted[-1] and len(scene.counted) > 1:
            text = f"variation {', '.join(other)}, not in the band"
            found.append(Line2D([], [], color="0.35", linestyle="--", linewidth=0.9, label=text))
    return found


def _panels(figure: Any, cell: SubplotSpec) -> tuple[Axes, Axes]:
    inner = cell.subgridspec(2, 1, height_ratios=(3, 1.15), hspace=0.06)
    upper = figure.add_subplot(inner[0])
    return upper, figure.add_subplot(inner[1], sharex=upper)


def _charges(figure: Any, cell: SubplotSpec, scene: Scene, name: str) -> None:
    """Draw mu+ and mu- of a single file, and their ratio."""
    upper, lower = _panels(figure, cell)
    curves = [scene.curve(0, name, (charge,), colour, text) for charge, (colour, text) in _CHARGES.items()]
    _spectra(upper, scene, name, curves, (PLUS, MINUS))
    found = scene.counted[0].spectra.get(name)
    if found is not None:
        ratio, error, band = found.charge_ratio(scene.counted[0].steps)
        # What is not known to a half says nothing.
        ratio = np.where(error < 0.5 * ratio, ratio, np.nan)
        draw_points(lower, scene.edges[name], [(ratio, error, "k")], None if band is None else (ratio, band))
    _below(lower, scene, name, r"$\mu^+$ / $\mu^-$")


def _files(figure: Any, cell: SubplotSpec, scene: Scene, name: str, charges: Sequence[int]) -> None:
    """Draw a charge, or both, of several files, and ratios to the last one."""
    upper, lower = _panels(figure, cell)
    curves = [scene.curve(k, name, charges, scene.colour(k)) for k in range(len(scene.counted))]
    _spectra(upper, scene, name, curves, charges)
    text = " and ".join(_CHARGES[charge][1] for charge in charges) + ", off axis" * (name == "r")
    upper.text(0.965, 0.95, text, ha="right", va="top", transform=upper.transAxes, fontsize="large")
    draw_ratios(lower, curves)
    _alternatives(lower, scene, name, charges)
    _below(lower, scene, name, "ratio")


def _spectra(ax: Axes, scene: Scene, name: str, curves: Sequence[Curve], charges: Sequence[int]) -> None:
    draw_curves(ax, curves, log=name != "phi")
    ax.set_ylabel(f"{scene.short} / {LABELS[name][1]}")
    if name == "phi":
        ax.ticklabel_format(axis="y", scilimits=(-2, 3))
    ax.tick_params(labelbottom=False)
    if name == "p":
        ax.set_xscale("log")
    if name == "z":
        for low, high in scene.gaps:
            ax.axvspan(low, high, color="#bcd9f2", linewidth=0, zorder=0.1)
    beyond = scene.beyond(name, charges)
    ax.text(0.965, 0.84, beyond, ha="right", va="top", transform=ax.transAxes, fontsize="small", color="0.3")


def _below(ax: Axes, scene: Scene, name: str, text: str) -> None:
    ax.set(xlabel=f"{label(name)}{_bins(scene, name)}", ylabel=text)
    ax.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    if name == "p":
        _ticks(ax, scene.edges["p"])


def _bins(scene: Scene, name: str) -> str:
    """Return how wide the bins are."""
    widths = np.diff(scene.edges[name])
    if name == "p":
        return f", bins of {100 * widths[0] / scene.edges[name][0]:.2g} %"
    wider = bool(widths.max() > 1.01 * widths[0])
    text = f", bins of {widths[0]:.3g} {LABELS[name][1]}" + ", then wider" * wider
    return text + (f"; blue: gaps of {scene.target}" if name == "z" and scene.gaps else "")


def _alternatives(ax: Axes, scene: Scene, name: str, charges: Sequence[int]) -> None:
    """Draw what another model makes of the last file, dashed."""
    one = scene.counted[-1]
    found = one.spectra.get(name)
    for place, column in enumerate(one.variations):
        if column in ALTERNATIVES and found is not None:
            of = list(charges)
            usual, other = found.sums[of].sum(0), found.varied[place][of].sum(0)
            ratio = np.divide(other, usual, out=np.full(len(usual), np.nan), where=usual > 0)
            ax.stairs(ratio, scene.edges[name], baseline=None, color="0.35", linestyle="--", linewidth=0.9)


def _charge_ratio(ax: Axes, scene: Scene) -> None:
    """Draw the charge ratio over momentum of all files."""
    points, band = [], None
    for number, one in enumerate(scene.counted):
        if (found := one.spectra.get(CHARGE)) is not None:
            ratio, error, of_variations = found.charge_ratio(one.steps)
            colour = "0.45" if scene.colour(number) == GREY else scene.colour(number)
            points.append((ratio, error, colour))
            band = (ratio, of_variations) if of_variations is not None else band
    draw_points(ax, scene.edges[CHARGE], points, band)
    ax.set_xscale("log")
    ax.set(xlabel=label("p"), ylabel=r"$\mu^+$ / $\mu^-$")
    _ticks(ax, scene.edges[CHARGE])


def _maps(figure: Any, cells: Sequence[SubplotSpec], scene: Scene, maps: Sequence[Pair]) -> None:
    """Draw two quantities of each file against each other, all on the same scale of colours."""
    places = iter(cells)
    for pair in maps:
        tables = [one.tables.get(pair) for one in scene.counted]
        filled = np.concatenate([table[table > 0] for table in tables if table is not None])
        # A muon of small weight among many is not to take half of the colours.
        lowest = max(float(np.quantile(filled, 0.02)), float(filled.max()) * 1e-8)
        norm = LogNorm(lowest, filled.max(), clip=True) if lowest < filled.max() else None
        for one, table in zip(scene.counted, tables, strict=True):
            ax = figure.add_subplot(next(places))
            image = ax.pcolormesh(
                *scene.maps[pair], np.ma.masked_equal(np.zeros((1, 1)) if table is None else table.T, 0),
                norm=norm, rasterized=True,
            )  # fmt: skip
            off = ", off axis" * (pair[0] == "x")
            ax.set(xlabel=label(pair[0]) + off, ylabel=label(pair[1]))
            ax.set_title(f"{shortened(one.label, 24)}: {scene.short} / bin", fontsize="medium")
            if pair[0] == "p":
                ax.set_xscale("log")
                _ticks(ax, scene.maps[pair][0])
            else:
                ax.set_aspect("equal")
            # Its numbers are inside what it takes of the panel, not in the next one's label.
            figure.colorbar(image, ax=ax, fraction=0.14, pad=0.02, aspect=28)


def _ticks(ax: Axes, edges: Float64) -> None:
    """Put round momenta to a logarithmic axis."""
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 400) if edges[0] <= tick <= edges[-1]]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.xaxis.set_minor_formatter("")
