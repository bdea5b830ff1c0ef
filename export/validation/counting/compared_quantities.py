"""What is compared of muons: quantities, their labels and units, tails and regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.categories import CATEGORIES
from shipgen.muons.quantities import Quantities
from shipgen.muons.regions import Expression
from shipgen_export.validation.counting.statistics import weighted_quantiles

if TYPE_CHECKING:
    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64

#: Where angles end.
_ANGLES = {"phi": (-np.pi, np.pi), "phi_xy": (-np.pi, np.pi), "dphi": (0.0, np.pi)}

#: All categories together.
TOGETHER = "together"

#: Name of a quantity -> how pictures call it, and its unit.
LABELS = {
    "x": ("x", "cm"),
    "y": ("y", "cm"),
    "z": ("z from target's start", "cm"),
    "px": (r"$p_x$", "GeV"),
    "py": (r"$p_y$", "GeV"),
    "pz": (r"$p_z$", "GeV"),
    "pt": (r"$p_\mathrm{T}$", "GeV"),
    "p": ("p", "GeV"),
    "phi": (r"$\varphi$ of momentum", "rad"),
    "r": ("r", "cm"),
    "phi_xy": (r"$\varphi$ of position", "rad"),
    "dphi": (r"$|\Delta\varphi|$ of momentum and position", "rad"),
}

#: The same in plain text.
NAMES = {
    "pt": "pT",
    "phi": "phi of momentum",
    "phi_xy": "phi of position",
    "dphi": "phi between momentum and position",
}

#: Quantity -> thresholds of tails.
TAILS = {"p": (30.0, 60.0, 100.0, 150.0, 200.0), "pt": (0.5, 1.0, 1.5, 2.0, 2.5), "z": (100.0, 200.0)}

#: Those of summaries.
SUMMARY_TAILS = ("p > 100 GeV", "pT > 1.5 GeV")

#: Pairs that are drawn.
PAIRS = {
    True: (("p", "pt"), ("z", "p"), ("px", "py")),
    False: (("p", "pt"), ("z", "p"), ("x", "y"), ("r", "pt"), ("x", "px"), ("z", "r")),
}


def label(name: str) -> str:
    """Return how pictures call a quantity, with its unit."""
    text, unit = LABELS[name]
    return f"{text} [{unit}]"


def plain(name: str) -> str:
    """Return a quantity's name in plain text."""
    return NAMES.get(name, name)


def quantities(features: Float32) -> dict[str, Float64]:
    """Return what is compared, by name, float64[n] each.

    Parameters
    ----------
    features : float32[n, d]
        (x, y,) z, px, py, pz in cm and GeV, z from the target's start.
    """
    known = Quantities.of_rows(features)
    return {name: known[name] for name in LABELS if name in known}


@dataclass(frozen=True)
class Region:
    """A region of muons.

    Attributes
    ----------
    name : str
        How the report calls it.
    text : str
        The expression, see `shipgen.muons.regions`.
    """

    name: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read an expression such as ``p > 100 and pt > 2``; raise `InputError` where it cannot be read."""
        return cls(_parsed(text).text, text)

    def holds(self, category: Category, features: Float32) -> Any:
        """Return which muons are in it, bool[n]; `features` as for `quantities`."""
        return _parsed(self.text).holds(Quantities.of_features(category, features.T, 0.0))


@cache
def _parsed(text: str) -> Expression:
    return Expression.parse(text)


def tails() -> list[Region]:
    """Return the tails that are always compared."""
    return [
        Region(f"{plain(name)} > {threshold:g} {LABELS[name][1]}", f"{name} > {threshold!r}")
        for name, thresholds in TAILS.items()
        for threshold in thresholds
    ]


def category_titles() -> dict[str, str]:
    """Return how the report calls each category."""
    sign = {-13: "mu+", 13: "mu-"}
    return {c.name: f"{sign[c.pdg]} {'on' if c.on_axis else 'off'} axis" for c in CATEGORIES} | {
        TOGETHER: "all categories together"
    }


def pairs(category: Category | None) -> tuple[tuple[str, str], ...]:
    """Return the pairs of quantities that are drawn; ``None`` is all categories together."""
    return PAIRS[category is None or category.on_axis]


def shown_range(
    name: str, values: Float64, weights: Float64, share: tuple[float, float]
) -> tuple[float, float]:
    """Return the limits of an axis: between two quantiles and a margin, or all of an angle.

    Parameters
    ----------
    name : str
        The quantity.
    values, weights : float64[n]
        Of the muons that decide.
    share : (float, float)
        Share of the weight below the lower and the upper quantile.
    """
    if name in _ANGLES:
        return _ANGLES[name]
    low, high = weighted_quantiles(values, weights, np.array(share)).tolist()
    margin = 0.02 * (high - low) or 1.0
    return low - margin, high + margin
