"""Pictures of a category in training: what its generator makes beside simulated muons, and how it got there.

They are drawn without pyplot: nothing of one picture is left when the next is drawn.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.files.outputs import complete_file
from shipgen.muons.categories import FEATURE_UNITS
from shipgen.muons.quantities import Quantities
from shipgen_export.merit.evaluate import MEASURES
from shipgen_export.plots import BLUE, Figure, draw_overlay, draw_pair, fill, hist

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.merit.evaluate import Evaluation

_BINS, _BINS_2D = 60, 50

#: Pictures of pairs show the ranges between these quantiles of the simulated muons.
_SHOWN = (0.002, 0.998)

_LABELS = {name: f"{name} [{unit}]" for name, unit in FEATURE_UNITS.items()} | {
    "p": "p [GeV]",
    "pt": r"$p_\mathrm{T}$ [GeV]",
}

#: Measure -> label and the value of a perfect generator.
_MERITS = {"auc": ("ROC AUC", 0.5), "chi2": (r"reduced $\chi^2$", 1.0), "overlap": ("overlap", 1.0)}


def draw_pictures(
    folder: Path,
    category: Category,
    evaluation: Evaluation,
    history: Sequence[Mapping[str, str]],
    merits: Sequence[Mapping[str, str]],
) -> list[Path]:
    """Draw all pictures of a category as it is now, in the place of those drawn before.

    Parameters
    ----------
    folder : Path
        Where to; made when it is not there.
    category : Category
        Which one.
    evaluation : Evaluation
        The muons compared and the classifier's output.
    history : sequence of dict
        Rows of losses: ``step``, ``seconds`` and a column a loss.
    merits : sequence of dict
        Rows of figures of merit: ``step`` and `shipgen_export.merit.evaluate.FIGURES`; empty is no value.

    Returns
    -------
    list of Path
        ``features.png``, ``pairs.png``, ``classifier.png``, and, where there are rows, ``losses.png`` and
        ``figure_of_merit.png``.

    Raises
    ------
    OutputError
        A file could not be written.
    """
    title = category.name
    if merits:
        title += f" after {int(merits[-1]['step']):,} steps"
    figures = {
        "features": _features(category, evaluation, title),
        "pairs": _pairs(category, evaluation, title),
        "classifier": _classifier(evaluation, title),
    }
    if history:
        figures["losses"] = _losses(history, category.name)
    if merits:
        figures["figure_of_merit"] = _merits(merits, category.name)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, figure in figures.items():
        with complete_file(folder / f"{name}.png", force=True) as part:
            figure.savefig(part, format="png")
        drawn.append(folder / f"{name}.png")
    return drawn


def _quantities(category: Category, features: Float32) -> dict[str, Float64]:
    """Return the features and p, pT by name, float64[n] each."""
    columns = dict(zip(category.features, features.T.astype(np.float64), strict=True))
    found = Quantities.of_rows(features)
    return {**columns, "p": found["p"], "pt": found["pt"]}


def _weights(evaluation: Evaluation) -> tuple[Float64, Float64]:
    """Return weights of real and generated muons, each with sum 1."""
    real = evaluation.real_weights
    real = np.ones(len(evaluation.real)) if real is None else real
    return real / real.sum(), np.full(len(evaluation.generated), 1 / len(evaluation.generated))


def _axis(low: float, high: float, bins: int) -> Any:
    """Return a regular axis a little wider than [low, high]."""
    margin = 0.02 * (high - low) or 1.0
    return hist.axis.Regular(bins, low - margin, high + margin)


def _features(category: Category, evaluation: Evaluation, title: str) -> Figure:
    """Draw each feature, p and pT over the whole range of the simulated muons."""
    real, generated = (_quantities(category, muons) for muons in (evaluation.real, evaluation.generated))
    weights = _weights(evaluation)
    columns = len(real) // 2
    figure = Figure(figsize=(4.2 * columns, 8.4), dpi=80)
    grid = figure.add_gridspec(
        2, columns, left=0.26 / columns, right=0.985, top=0.94, bottom=0.065, wspace=0.27, hspace=0.24
    )
    figure.suptitle(f"{title}: share of muons a bin", fontsize="large")
    for place, name in enumerate(real):
        inner = grid[divmod(place, grid.ncols)].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.06)
        axis = _axis(real[name].min(), real[name].max(), _BINS)
        draw_overlay(
            figure.add_subplot(inner[0]),
            figure.add_subplot(inner[1]),
            fill(axis, generated[name], weights[1]),
            fill(axis, real[name], weights[0]),
            _LABELS[name],
        )
    return figure


def _pairs(category: Category, evaluation: Evaluation, title: str) -> Figure:
    """Draw each pair of features, simulated on the left, generated on the right."""
    weights = _weights(evaluation)
    pairs = list(combinations(range(len(category.features)), 2))
    rows = -(-len(pairs) // 3)
    height = 1.1 + 2.75 * rows
    figure = Figure(figsize=(17, height), dpi=80)
    figure.suptitle(f"{title}: simulated (left) and generated (right), same colours", fontsize="large")
    grid = figure.add_gridspec(
        rows, 3, left=0.045, right=0.99, top=1 - 0.6 / height, bottom=0.55 / height, wspace=0.16, hspace=0.27
    )
    limits = [np.quantile(column, _SHOWN).tolist() for column in evaluation.real.T.astype(np.float64)]
    axes_of = [_axis(low, high, _BINS_2D) for low, high in limits]
    for place, (i, j) in enumerate(pairs):
        inner = grid[divmod(place, grid.ncols)].subgridspec(1, 2, wspace=0.04)
        axes = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
        histograms = [
            hist.Hist(axes_of[i], axes_of[j], storage=hist.storage.Double()).fill(
                muons[:, i], muons[:, j], weight=weight
            )
            for muons, weight in zip((evaluation.real, evaluation.generated), weights, strict=True)
        ]
        names = category.features[i], category.features[j]
        draw_pair(axes, (histograms[0], histograms[1]), (_LABELS[names[0]], _LABELS[names[1]]))
    return figure


def _classifier(evaluation: Evaluation, title: str) -> Figure:
    """Draw the classifier's output for the muons it was applied to, in the bins that chi2 is taken over."""
    weights = _weights(evaluation)[0][-len(evaluation.real_output) :]
    generated, real = evaluation.generated_output, evaluation.real_output
    axis = hist.axis.Regular(100, 0, 1)
    figure = Figure(figsize=(7, 6), dpi=90)
    upper, lower = figure.subplots(
        2, 1, sharex=True, height_ratios=(3, 1), gridspec_kw={"hspace": 0.06, "right": 0.97, "left": 0.11}
    )
    merits = evaluation.merits
    error = merits.get("auc_error")
    figures = [f"AUC {merits['auc']:.3f}" + (f" +- {error:.3f}" if error is not None else "")]
    figures += [f"{name} {merits[name]:.3g}" for name in ("chi2", "overlap") if merits.get(name) is not None]
    figure.suptitle(f"{title}: {', '.join(figures)}", fontsize="medium", y=0.935)
    draw_overlay(
        upper,
        lower,
        fill(axis, generated, np.full(len(generated), 1 / len(generated))),
        fill(axis, real, weights / weights.sum()),
        "classifier's output (high: simulated)",
        log=False,
    )
    upper.set_ylabel("share of muons a bin")
    return figure


def _losses(history: Sequence[Mapping[str, str]], title: str) -> Figure:
    """Draw each loss over steps, in a panel of its own since their scales differ."""
    names = [name for name in history[0] if name not in {"step", "seconds"}]
    steps = np.array([int(row["step"]) for row in history])
    figure = Figure(figsize=(8, 1 + 2.2 * len(names)), dpi=90)
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.1, right=0.97, top=1 - 0.4 / height, bottom=0.5 / height, hspace=0.08)
    for panel, name in zip(panels, names, strict=True):
        panel.plot(steps, [_value(row, name) for row in history], color=BLUE, linewidth=0.9)
        panel.set_ylabel(name)
    panels[0].set_title(title, fontsize="large")
    panels[-1].set_xlabel("steps")
    return figure


def _merits(rows: Sequence[Mapping[str, str]], title: str) -> Figure:
    """Draw each measure over steps, the best network marked."""
    steps = np.array([int(row["step"]) for row in rows])
    figure = Figure(figsize=(8, 8), dpi=90)
    panels = figure.subplots(len(_MERITS), 1, sharex=True)
    figure.subplots_adjust(left=0.1, right=0.97, top=0.95, bottom=0.065, hspace=0.08)
    for panel, (measure, (label, perfect)) in zip(panels, _MERITS.items(), strict=True):
        values = np.array([_value(row, measure) for row in rows])
        errors = [_value(row, "auc_error") for row in rows] if measure == "auc" else None
        panel.errorbar(steps, values, errors, fmt=".-", color=BLUE, linewidth=0.9, capsize=2)
        panel.axhline(perfect, color="0.5", linewidth=0.8, linestyle="--")
        panel.set_ylabel(label)
        distances = [MEASURES[measure](row) for row in rows]
        best = int(np.argmin(distances))
        if np.isfinite(distances[best]):
            _mark(panel, steps[best], values[best])
        if measure == "chi2":
            panel.set_yscale("log")
    panels[0].set_title(
        f"{title}: fast form, on validation muons; dashed: a perfect generator", fontsize="medium"
    )
    panels[-1].set_xlabel("steps")
    return figure


def _mark(panel: Axes, step: int, value: float) -> None:
    panel.plot(
        [step], [value], "*", color="C3", markersize=12, label=f"best: {value:.4g} after {step:,} steps"
    )
    panel.legend(frameon=False, loc="best", fontsize="small")


def _value(row: Mapping[str, str], name: str) -> float:
    return float(row[name]) if row.get(name) else np.nan
