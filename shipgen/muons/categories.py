"""The four muon categories and their features, numbered and named as in the method's description.

Category: charge of the muon x where it starts. On-axis muons start at exactly x = y = 0 (prompt decays
at the proton's first interaction), all others are off-axis, those with a single zero coordinate included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from shipgen.muons.columns import Array

#: Feature -> unit. x, y, z is where the muon starts, px, py, pz its momentum there.
FEATURE_UNITS = {"x": "cm", "y": "cm", "z": "cm", "px": "GeV", "py": "GeV", "pz": "GeV"}

#: The muon's mass, GeV (PDG 2024).
MUON_MASS = 0.1056583755


@dataclass(frozen=True, slots=True)
class Category:
    """One of the four categories.

    Attributes
    ----------
    number : int
        1 to 4, as in the method's description.
    name : str
        ``muplus_onaxis`` and so on, used in files and on the command line.
    pdg : int
        PDG code; 13 is the negative muon.
    features : tuple of str
        What the category's network makes, in the order of its output columns.
    """

    number: int
    name: str
    pdg: int
    features: tuple[str, ...]

    @property
    def on_axis(self) -> bool:
        """Whether its muons start at x = y = 0."""
        return "x" not in self.features


_ON_AXIS = ("z", "px", "py", "pz")
_OFF_AXIS = ("x", "y", "z", "px", "py", "pz")

CATEGORIES = (
    Category(1, "muplus_onaxis", -13, _ON_AXIS),
    Category(2, "muminus_onaxis", 13, _ON_AXIS),
    Category(3, "muplus_offaxis", -13, _OFF_AXIS),
    Category(4, "muminus_offaxis", 13, _OFF_AXIS),
)

CATEGORY_NAMES = tuple(category.name for category in CATEGORIES)


def category_by_name(name: str) -> Category:
    """Return the category called `name`; raise `InputError` naming the choices otherwise."""
    for category in CATEGORIES:
        if category.name == name:
            return category
    raise InputError(f"no category {name!r}: choose from {', '.join(CATEGORY_NAMES)}")


def category_of(pdg: Array, x: Array, y: Array) -> npt.NDArray[np.int8]:
    """Return each muon's place in `CATEGORIES`, -1 for what is no muon.

    Parameters
    ----------
    pdg : int[n]
        PDG code.
    x, y : float[n]
        Where it starts, cm; on-axis is exactly 0 in both.
    """
    on_axis = (np.asarray(x) == 0) & (np.asarray(y) == 0)
    place = np.full(len(pdg), -1, np.int8)
    for number, category in enumerate(CATEGORIES):
        place[(pdg == category.pdg) & (on_axis == category.on_axis)] = number
    return place
