"""Panels that several pictures share: two samples over each other with ratio, and pairs of quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import MissingExtraError

try:
    import hist
    import mplhep
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullLocator
except ImportError as error:
    raise MissingExtraError("drawing pictures", "hist, matplotlib and mplhep", "plot") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from shipgen.muons.columns import Array, Float64

__all__ = ["BLUE", "GREY", "Figure", "LogNorm", "MaxNLocator", "draw_overlay", "draw_pair", "fill", "hist"]

#: Colours of generated and of real muons.
BLUE, GREY = "C0", "0.75"


def fill(axis: Any, values: Array, weights: Float64 | None = None) -> Any:
    """Return a histogram over the `hist` axis that keeps the sums of squared weights."""
    return hist.Hist(axis, storage=hist.storage.Weight()).fill(values, weight=weights)


def draw_overlay(
    upper: Axes,
    lower: Axes | None,
    generated: Any,
    real: Any,
    label: str,
    *,
    names: Sequence[str] = ("generated", "simulated"),
    log: bool = True,
) -> None:
    """Draw generated over real muons and below it their ratio with statistical errors.

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
    """
    if real is not None:
        mplhep.histplot(real, ax=upper, label=names[1], flow="none", color=GREY, histtype="fill")
    mplhep.histplot(generated, ax=upper, label=names[0], flow="none", color=BLUE, histtype="step", yerr=False)
    both = [histogram.values() for histogram in (generated, real) if histogram is not None]
    highest = max(values.max() for values in both)
    axis = generated.axes[0]
    upper.set_xlim(axis.edges[0], axis.edges[-1])
    if log and highest > 0:
        # Bins of one real muon are the lowest that say anything.
        lowest = min(values[values > 0].min() for values in both if (values > 0).any())
        upper.set_yscale("log")
        upper.set_ylim(lowest / 2, highest * 8)
        # Drawing ticks is what takes the time.
        upper.yaxis.set_minor_locator(NullLocator())
    else:
        upper.set_ylim(0, 1.35 * highest if highest > 0 else 1)
    upper.legend(loc="upper right", frameon=False, ncols=2, fontsize="small")
    if lower is None or real is None:
        upper.set_xlabel(label)
        return
    ratio, deviation = _ratio(generated, real)
    lower.errorbar(axis.centers, ratio, deviation, fmt=".", color=BLUE, markersize=3, linewidth=0.8)
    lower.axhline(1, color="0.5", linewidth=0.8)
    lower.set(ylim=(0, 2), ylabel="gen. / sim.", xlabel=label, xlim=upper.get_xlim())
    upper.tick_params(labelbottom=False)
    upper.set_xlabel("")


def _ratio(generated: Any, real: Any) -> tuple[Float64, Float64]:
    """Return generated / real and its standard error a bin; NaN where there are no real muons."""
    relative = np.zeros(len(real.values()))
    for histogram in (generated, real):
        values, variances = histogram.values(), histogram.variances()
        relative += np.divide(variances, values**2, out=np.zeros(len(values)), where=values > 0)
    there = real.values() > 0
    ratio = np.full(len(there), np.nan)
    np.divide(generated.values(), real.values(), out=ratio, where=there)
    return ratio, ratio * np.sqrt(relative)


def draw_pair(axes: tuple[Axes, Axes], histograms: tuple[Any, Any], labels: tuple[str, str]) -> None:
    """Draw two two-dimensional histograms side by side, on one logarithmic scale of colours.

    Parameters
    ----------
    axes : pair of Axes
        Left and right.
    histograms : pair of hist.Hist
        Over the same two axes.
    labels : pair of str
        Of the horizontal and the vertical quantity.
    """
    values = [histogram.values() for histogram in histograms]
    highest = max(part.max() for part in values)
    # One generated muon is the faintest colour; simulated ones may weigh less.
    lowest = min(values[1][values[1] > 0], default=highest)
    norm = LogNorm(lowest, highest, clip=True) if 0 < lowest < highest else None
    for ax, histogram, content in zip(axes, histograms, values, strict=True):
        x, y = (axis.edges for axis in histogram.axes)
        # Not by mplhep, which leaves a figure open in pyplot each time.
        ax.imshow(
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
