"""Panels that several pictures share: spectra with errors over each other, ratios, pairs of quantities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import MissingExtraError
from shipgen_export.silence import away_from_home

try:
    with away_from_home():
        import hist
        import mplhep
        from matplotlib.colors import LinearSegmentedColormap, LogNorm
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch
        from matplotlib.ticker import MaxNLocator, NullLocator
except ImportError as error:
    raise MissingExtraError("drawing pictures", "hist, matplotlib and mplhep", "plot") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from shipgen.muons.columns import Array, Float64

__all__ = [
    "BAND",
    "BLUE",
    "ERRORS",
    "GREY",
    "Curve",
    "Figure",
    "Line2D",
    "LinearSegmentedColormap",
    "LogNorm",
    "MaxNLocator",
    "NullLocator",
    "Patch",
    "draw_curves",
    "draw_overlay",
    "draw_pair",
    "draw_points",
    "draw_ratios",
    "fill",
    "hist",
    "ratio_limits",
]

#: Colours of generated and of real muons.
BLUE, GREY = "C0", "0.75"

#: Of bands of variations, and of statistical errors of what ratios are taken to.
BAND, ERRORS = "#f2b84b", "0.82"

#: Relative errors above which a bin does not decide on the limits of axes.
_VAGUE, _VAGUE_RATIO = 0.75, 0.2

#: Half the width of a ratio's axis, at least, and its largest end.
_NARROWEST, _HIGHEST = 0.04, 10.0


@dataclass(frozen=True, eq=False)
class Curve:
    """A distribution in bins.

    Attributes
    ----------
    label : str
        What it is called; none for no entry in a legend.
    edges : float64[b + 1]
    values, errors : float64[b]
        Content of the bins and its standard errors.
    colour : str
    filled : bool
        Whether it is an area, as of what others are compared with.
    band : float64[b], optional
        Half the height of its band of variations.
    places : float64[b], optional
        Where points are drawn; in the middles of the bins if not given.
    """

    label: str
    edges: Float64
    values: Float64
    errors: Float64
    colour: str = BLUE
    filled: bool = False
    band: Float64 | None = None
    places: Float64 | None = None

    @classmethod
    def of(cls, histogram: Any, label: str, colour: str = BLUE, *, filled: bool = False) -> Curve:
        """Return that of a histogram with variances."""
        errors = np.sqrt(np.maximum(histogram.variances(), 0))
        return cls(label, histogram.axes[0].edges, histogram.values(), errors, colour, filled)

    def until(self, bins: int) -> Curve:
        """Return the first bins of it."""
        return replace(
            self,
            edges=self.edges[: bins + 1],
            values=self.values[:bins],
            errors=self.errors[:bins],
            band=None if self.band is None else self.band[:bins],
            places=None if self.places is None else self.places[:bins],
        )

    @property
    def middles(self) -> Float64:
        """Where points are drawn."""
        if self.places is not None:
            return self.places
        return np.asarray((self.edges[:-1] + self.edges[1:]) / 2)


def fill(axis: Any, values: Array, weights: Float64 | None = None) -> Any:
    """Return a histogram over the `hist` axis that keeps the sums of squared weights."""
    return hist.Hist(axis, storage=hist.storage.Weight()).fill(values, weight=weights)


def draw_curves(ax: Axes, curves: Sequence[Curve], *, log: bool = True) -> None:
    """Draw distributions with their errors, over the range that they say something of.

    Bins below the axis, on a logarithmic one, are marked at its lower end.
    """
    for number, curve in enumerate(curves):
        style = {"ax": ax, "color": curve.colour, "flow": "none", "yerr": False}
        # What is not there is not drawn down to nothing.
        values = np.where(curve.values > 0, curve.values, np.nan) if log else curve.values
        if curve.band is not None:
            _band(ax, curve.edges, values - curve.band, values + curve.band, BAND, 1.5 - 0.01 * number)
        if curve.filled:
            mplhep.histplot(values, curve.edges, histtype="fill", label=curve.label, zorder=1, **style)
            _band(ax, curve.edges, values - curve.errors, values + curve.errors, "0.55", 1.6)
        else:
            mplhep.histplot(values, curve.edges, histtype="step", label=curve.label, linewidth=1, **style)
            ax.errorbar(
                curve.middles, values, curve.errors, fmt="none", ecolor=curve.colour, elinewidth=0.8, zorder=3
            )
    ax.set_xlim(curves[0].edges[0], curves[0].edges[-1])
    highest = max(float(curve.values.max()) for curve in curves)
    if log and highest > 0:
        sure = [curve.values[_known(curve, _VAGUE)] for curve in curves]
        there = np.concatenate(sure) if any(map(len, sure)) else np.concatenate([c.values for c in curves])
        lowest = there[there > 0].min() / 3
        ax.set_yscale("log")
        ax.set_ylim(lowest, highest * 3)
        # Drawing ticks is what takes the time.
        ax.yaxis.set_minor_locator(NullLocator())
        for curve in curves:
            _mark(ax, curve.middles, np.where(curve.values > 0, curve.values, np.nan), curve.colour)
    else:
        ax.set_ylim(0, 1.3 * highest if highest > 0 else 1)


def _known(curve: Curve, vague: float) -> Any:
    return (curve.values > 0) & (curve.errors < vague * curve.values)


def _band(ax: Axes, edges: Float64, low: Float64, high: Float64, colour: str, zorder: float) -> None:
    ax.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.6, linewidth=0, zorder=zorder)


def _mark(ax: Axes, x: Float64, y: Float64, colour: str) -> None:
    """Put triangles at the ends of the axis where points are beyond."""
    low, high = ax.get_ylim()
    for beyond, end, marker in ((y < low, low, "v"), (y > high, high, "^")):
        if beyond.any():
            places = x[beyond]
            ax.plot(
                places, np.full(len(places), end), marker, color=colour, markersize=5, clip_on=False, zorder=5
            )


def ratio_limits(
    ratios: Sequence[tuple[Float64, Float64]], bands: Sequence[Float64] = ()
) -> tuple[float, float]:
    """Return limits of an axis of ratios: what is known well, and 1, are inside.

    Parameters
    ----------
    ratios : sequence of (float64[b], float64[b])
        Values and errors, NaN where there are none.
    bands : sequence of float64[b]
        Half heights of bands around 1.
    """
    low, high = 1 - _NARROWEST, 1 + _NARROWEST
    for values, errors in ratios:
        there = np.isfinite(values) & np.isfinite(errors)
        sure = there & (errors < _VAGUE_RATIO * np.abs(values))
        if not sure.any():
            sure = there & (errors <= np.min(errors[there], initial=np.inf))
        if sure.any():
            low = min(low, float((values - errors)[sure].min()))
            high = max(high, float((values + errors)[sure].max()))
    for band in bands:
        if np.isfinite(band).any():
            reach = min(0.5, float(np.nanmax(band)))
            low, high = min(low, 1 - reach), max(high, 1 + reach)
    margin = 0.08 * (high - low)
    return max(0.0, low - margin), min(_HIGHEST, high + margin)


def draw_ratios(ax: Axes, curves: Sequence[Curve], *, limits: tuple[float, float] | None = None) -> None:
    """Draw the ratios of all curves but the last to the last; where points leave the axis, triangles say so.

    Errors of points are those of the curves; the last one's relative error is the grey band around 1, and its
    band of variations a coloured one.
    """
    last = curves[-1]
    there = last.values > 0
    relative = np.divide(last.errors, last.values, out=np.full(len(there), np.nan), where=there)
    bands = []
    if last.band is not None:
        bands.append(np.divide(last.band, last.values, out=np.full(len(there), np.nan), where=there))
        _band(ax, last.edges, 1 - bands[0], 1 + bands[0], BAND, 0.5)
    _band(ax, last.edges, 1 - relative, 1 + relative, "0.6", 0.6)
    ax.axhline(1, color="0.4", linewidth=0.8)
    found = []
    for curve in curves[:-1]:
        ratio = np.divide(curve.values, last.values, out=np.full(len(there), np.nan), where=there)
        error = np.divide(curve.errors, last.values, out=np.full(len(there), np.nan), where=there)
        found.append((ratio, error))
    both = [(ratio, np.hypot(error, ratio * relative)) for ratio, error in found]
    ax.set_ylim(*(limits or ratio_limits(both, bands)))
    for curve, (ratio, error) in zip(curves, found, strict=False):
        ax.errorbar(
            curve.middles, ratio, error, fmt=".", color=curve.colour, markersize=3, elinewidth=0.8, zorder=3
        )
        _mark(ax, curve.middles, ratio, curve.colour)
    ax.set_xlim(last.edges[0], last.edges[-1])


def draw_points(
    ax: Axes,
    edges: Float64,
    points: Sequence[tuple[Float64, Float64, str]],
    band: tuple[Float64, Float64] | None = None,
) -> None:
    """Draw values with errors and colours, such as charge ratios, over the range of what is known well.

    `band` are the middle and half the height of a band of variations; where points leave the axis,
    triangles say so.
    """
    middles = (edges[:-1] + edges[1:]) / 2
    low, high = np.inf, -np.inf
    for value, error, colour in points:
        ax.errorbar(middles, value, error, fmt=".", color=colour, markersize=4, elinewidth=0.9)
        there = np.isfinite(value) & np.isfinite(error)
        sure = there & (error < _VAGUE_RATIO / 2 * np.abs(value))
        sure = sure if sure.any() else there
        low, high = min(low, *(value - error)[sure], low), max(high, *(value + error)[sure], high)
    if band is not None:
        middle, half = band
        _band(ax, edges, middle - half, middle + half, BAND, 0.5)
    ax.set_xlim(edges[0], edges[-1])
    if not low < high:
        return
    margin = 0.08 * (high - low)
    ax.set_ylim(max(0.0, low - margin), high + margin)
    if low <= 1 <= high:
        ax.axhline(1, color="0.4", linewidth=0.8)
    for value, _, colour in points:
        _mark(ax, middles, value, colour)


def draw_overlay(
    upper: Axes,
    lower: Axes | None,
    generated: Any,
    real: Any,
    label: str,
    *,
    names: Sequence[str] = ("generated", "simulated"),
    log: bool = True,
    band: Float64 | None = None,
) -> None:
    """Draw generated over real muons and below it their ratio, with standard errors of both.

    Parameters
    ----------
    upper, lower : Axes
        Where to; without `real` there is no ratio and no `lower`.
    generated, real : hist.Hist
        From `fill`, over the same axis; `real` may be ``None``.
    label : str
        Of the quantity, with unit.
    names : sequence of str
        What the two are called.
    log : bool
        Whether entries are on a logarithmic scale.
    band : float64[b], optional
        Half the height of the band of variations of the real ones.
    """
    curves = [Curve.of(generated, names[0])]
    if real is not None:
        errors = np.sqrt(np.maximum(real.variances(), 0))
        edges = real.axes[0].edges
        curves.append(Curve(names[1], edges, real.values(), errors, GREY, filled=True, band=band))
    draw_curves(upper, curves, log=log)
    low, high = upper.get_ylim()
    # Room for the legend.
    upper.set_ylim(low, high * (high / low) ** 0.12 if upper.get_yscale() == "log" else high)
    upper.legend(loc="upper right", frameon=False, ncols=2, fontsize="small")
    if lower is None or real is None:
        upper.set_xlabel(label)
        return
    draw_ratios(lower, curves)
    lower.set(ylabel="gen. / sim.", xlabel=label)
    lower.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    upper.tick_params(labelbottom=False)
    upper.set_xlabel("")


def draw_pair(axes: tuple[Axes, Axes], histograms: tuple[Any, Any], labels: tuple[str, str]) -> Any:
    """Draw two two-dimensional histograms side by side, on one logarithmic scale of colours.

    Parameters
    ----------
    axes : pair of Axes
        Left and right.
    histograms : pair of hist.Hist
        Over the same two axes.
    labels : pair of str
        Of the horizontal and the vertical quantity.

    Returns
    -------
    AxesImage
        What a bar of the colours can be made for.
    """
    values = [histogram.values() for histogram in histograms]
    highest = max(part.max() for part in values)
    # One generated muon is the faintest colour; simulated ones may weigh less.
    lowest = min(values[1][values[1] > 0], default=highest)
    norm = LogNorm(lowest, highest, clip=True) if 0 < lowest < highest else None
    image = None
    for ax, histogram, content in zip(axes, histograms, values, strict=True):
        x, y = (axis.edges for axis in histogram.axes)
        # Not by mplhep, which leaves a figure open in pyplot each time.
        image = ax.imshow(
            np.ma.masked_equal(content.T, 0),
            origin="lower",
            extent=(x[0], x[-1], y[0], y[-1]),
            aspect="auto",
            interpolation="nearest",
            norm=norm,
        )
        ax.set_xlabel(labels[0])
        ax.tick_params(labelsize="x-small")
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_locator(MaxNLocator(5) if ax is axes[0] else NullLocator())
    axes[0].set_ylabel(labels[1])
    return image
