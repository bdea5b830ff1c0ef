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
        deviation of networks of other seeds and bootstrap samples; ``all``: both added in quadrature.
    """
    found = {}
    for entry in bundle.entries:
        quantities = entry.details.get("uncertainty", {}).get("quantities", {})
        each = {name: _relative(figures) for name, figures in quantities.items()}
        known = {name: relative for name, relative in each.items() if relative is not None}
        if known:
            found[entry.category.name] = known
    return found


def _relative(figures: Mapping[str, Any]) -> dict[str, float] | None:
    # Bundles of old state all of the sample, and not what was learnt from.
    value, error = ("train", "train_error") if "train_error" in figures else ("sample", "error")
    try:
        size = abs(float(figures[value]))
        sample, spread = float(figures[error]) / size, float(figures["spread"]) / size
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return {"sample": sample, "spread": spread, "all": math.hypot(sample, spread)}
