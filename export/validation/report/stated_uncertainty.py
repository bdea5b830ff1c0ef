"""How well a bundle's networks are known, from what the bundle states of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.bundle.bundle import Bundle


def network_uncertainty(bundle: Bundle) -> dict[str, dict[str, dict[str, float]]]:
    """Return relative uncertainties of the networks by category and quantity, as far as they are stated.

    Returns
    -------
    dict
        ``sample``: of the muons that the networks learnt from, by sums over protons; ``spread``: standard
        deviation of networks of other seeds and bootstrap samples; ``all``: both added in quadrature;
        where it is stated ``apart``, the network over held-out muons minus 1, and its ``apart_error``.
    """
    found = {}
    for entry in bundle.entries:
        quantities = entry.details.get("uncertainty", {}).get("quantities", {})
        each = {name: (_relative(figures), _apart(figures)) for name, figures in quantities.items()}
        known = {name: relative | far for name, (relative, far) in each.items() if relative}
        if known:
            found[entry.category.name] = known
    return found


def _relative(figures: Mapping[str, Any]) -> dict[str, float]:
    # Bundles of old state all of the sample, and not what was learnt from.
    value, error = ("train", "train_error") if "train_error" in figures else ("sample", "error")
    try:
        size = abs(float(figures[value]))
        sample, spread = float(figures[error]) / size, float(figures["spread"]) / size
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return {}
    return {"sample": sample, "spread": spread, "all": math.hypot(sample, spread)}


def _apart(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return how far a network is from held-out muons, relatively, and its error; {} where not stated.

    The error is that of held-out muons, of those learnt from, of the spread, and of the number made.
    """
    try:
        sample = float(figures["sample"])
        parts = [float(figures[name]) for name in ("error", "spread", "made_error")]
        error = math.hypot(*parts, float(figures.get("train_error", 0.0))) / abs(sample)
        value = float(figures["student"]) / sample - 1
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return {}
    # Of so few muons that the error is as large as what it is of, nothing is known.
    return {"apart": value, "apart_error": error} if error < 1 and math.isfinite(value) else {}
