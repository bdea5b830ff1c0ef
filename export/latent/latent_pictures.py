"""Pictures of a latent space: heat maps over two of its dimensions, and the effect of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.quantities import QUANTITIES
from shipgen_export.plots import Figure, LinearSegmentedColormap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.proposal import Proposal
    from shipgen_export.latent.dimensions import Study

#: Panels in a row.
_COLUMNS = 4

#: Quantity -> how pictures call it.
_NAMES = {"pt": r"$p_\mathrm{T}$", "px": "$p_x$", "py": "$p_y$", "pz": "$p_z$", "dphi": r"$|\Delta\varphi|$"}

#: Share that is written as 0, and colours of shares: white is none.
_NOTHING = 0.005
_SHARES = LinearSegmentedColormap.from_list("shares", ["#d3e4f3", "#6aaed6", "#08519c"]).with_extremes(
    under="white"
)

#: Quantities with a sign.
_SIGNED = ("x", "y", "px", "py")

#: Of cells of maps in which nothing is: no colour of theirs.
_EMPTY = "0.85"

#: Standard deviations at which a proposal's components are drawn.
_CONTOUR = 2.0


def _label(name: str) -> str:
    unit = QUANTITIES[name].unit
    return f"{_NAMES.get(name, name)} [{unit}]" if unit else _NAMES.get(name, name)


def draw_maps(study: Study, title: str) -> Figure:
    """Return heat maps over the two dimensions: means of quantities, change, region, classifier."""
    panels: list[tuple[str, Float64, dict[str, Any]]] = [
        (f"mean {_label(name)}", values, _colours(name, values)) for name, values in study.maps.items()
    ]
    moving = np.ma.masked_equal(study.change, 0)
    panels.append(("change by a step of one", moving, {"cmap": "cividis", "norm": "log"}))
    if study.region is not None:
        shown = np.ma.masked_equal(study.region, 0)
        panels.append(("share in the region (grey: none)", shown, {"cmap": "inferno", "vmin": 0, "vmax": 1}))
    if study.classifier is not None:
        panels.append(
            ("classifier (1: simulated)", study.classifier, {"cmap": "RdBu_r", "vmin": 0.3, "vmax": 0.7})
        )
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(4.1 * _COLUMNS, 3.5 * rows + 0.8), dpi=80, layout="constrained")
    figure.suptitle(title, fontsize="large")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    for ax, (name, values, style) in zip(axes, panels, strict=False):
        _map(ax, study, values, name, style)
        figure.colorbar(ax.images[0], ax=ax)
        if name.startswith("change") and study.dead.any():
            _hatch(ax, study)
        if name.startswith("share") and study.proposal is not None:
            _components(ax, study, study.proposal)
    return figure


def _colours(name: str, values: Float64) -> dict[str, Any]:
    """Return the colours of a quantity's map: of those with a sign white is zero."""
    if name not in _SIGNED:
        return {"cmap": "viridis"}
    reach = float(np.abs(values).max()) or 1.0
    return {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}


def _map(ax: Axes, study: Study, values: Float64, name: str, style: dict[str, Any]) -> None:
    """Draw one heat map with the circle that 99 % of all latents are inside of."""
    ends = study.edges[0], study.edges[-1]
    ax.set_facecolor(_EMPTY)
    ax.imshow(
        values.T, origin="lower", extent=(*ends, *ends), aspect="equal", interpolation="nearest", **style
    )
    angle = np.linspace(0, 2 * np.pi, 100)
    radius = (2 * np.log(100)) ** 0.5
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="0.6", linewidth=0.8, linestyle=":")
    ax.set_title(name, fontsize="medium")
    ax.set(
        xlabel=f"latent {study.dimensions[0]}", ylabel=f"latent {study.dimensions[1]}", xlim=ends, ylim=ends
    )


def _hatch(ax: Axes, study: Study) -> None:
    """Hatch the cells in which nothing happens."""
    middles = (study.edges[:-1] + study.edges[1:]) / 2
    ax.contourf(
        middles, middles, study.dead.T.astype(float), levels=[0.5, 1.5], hatches=["///"], colors="none"
    )


def _components(ax: Axes, study: Study, proposal: Proposal) -> None:
    """Draw the proposal's components, projected to the plane, at two standard deviations."""
    plane = np.zeros((2, proposal.latent_size))
    plane[[0, 1], list(study.dimensions)] = 1
    # In directions that the mixture does not change, latents are standard normal.
    rest = plane - plane @ proposal.basis @ proposal.basis.T
    angle = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    for mean, covariance in zip(proposal.mixture.means, proposal.mixture.covariances, strict=True):
        across = plane @ proposal.basis
        seen = across @ covariance @ across.T + rest @ rest.T
        outline = (across @ mean)[:, None] + _CONTOUR * np.linalg.cholesky(seen + 1e-9 * np.eye(2)) @ circle
        ax.plot(*outline, color="c", linewidth=0.9)


def draw_effects(study: Study, title: str) -> Figure:
    """Return a picture of the latents' effects: shares of variance that add up, and what is lost without."""
    size, count = study.effects.shape
    figure = Figure(figsize=(2.4 + 1.36 * count, 2.0 + 0.3 * min(size + 1, 40)), dpi=90, layout="constrained")
    figure.suptitle(f"{title}: shares of variance (white: less than half a per cent)", fontsize="medium")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    names = [f"latent {k}" for k in range(size)]
    _table(left, study.shares, [*names, "several together"], study)
    left.set_title("of each alone: columns add up to 1", fontsize="medium")
    _table(right, study.effects, names, study)
    right.set_title("that is lost without it", fontsize="medium")
    return figure


def _table(ax: Axes, values: Float64, names: list[str], study: Study) -> None:
    """Draw a table of shares, whose zeros have a colour of their own."""
    ax.imshow(np.where(values < _NOTHING, -1.0, values), cmap=_SHARES, vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(values.shape[1]), [_NAMES.get(name, name) for name in study.quantities])
    if len(names) > 41:
        ax.set_ylabel("latent")
        return
    ax.set_yticks(range(len(names)), names)
    for (row, column), value in np.ndenumerate(values):
        if value >= _NOTHING:
            colour = "w" if value > 0.55 else "k"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
