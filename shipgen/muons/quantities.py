"""What can be said of a muon in a region: its features and what follows from them, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.categories import FEATURE_UNITS, MUON_MASS, category_of

if TYPE_CHECKING:
    from shipgen.muons.batch import Batch
    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64


@dataclass(frozen=True)
class Quantity:
    """One quantity.

    Attributes
    ----------
    unit : str
        ``""`` for pure numbers.
    meaning : str
        In a few words.
    make : callable, optional
        Quantities -> its values; ``None`` for what a muon is stored by.
    """

    unit: str
    meaning: str
    make: Callable[[Quantities], Float64] | None = None


def _turn(q: Quantities) -> Float64:
    return np.abs((q["phi"] - q["phi_xy"] + np.pi) % (2 * np.pi) - np.pi)


def _category(q: Quantities) -> Float64:
    return category_of(q["pdg"], q["x"], q["y"]).astype(np.float64) + 1


#: Name -> quantity. Angles are in rad; z is counted from where the target starts.
QUANTITIES = {
    "x": Quantity("cm", "where the muon starts"),
    "y": Quantity("cm", "where the muon starts"),
    "z": Quantity("cm", "where the muon starts, from the target's start"),
    "px": Quantity("GeV", "momentum"),
    "py": Quantity("GeV", "momentum"),
    "pz": Quantity("GeV", "momentum"),
    "pdg": Quantity("", "PDG code, 13 is the negative muon"),
    "pt": Quantity("GeV", "transverse momentum", lambda q: np.hypot(q["px"], q["py"])),
    "p": Quantity("GeV", "momentum", lambda q: np.hypot(q["pt"], q["pz"])),
    "theta": Quantity("rad", "angle between momentum and beam", lambda q: np.arctan2(q["pt"], q["pz"])),
    "phi": Quantity("rad", "azimuth of the momentum", lambda q: np.arctan2(q["py"], q["px"])),
    "r": Quantity("cm", "distance of the start from the beam", lambda q: np.hypot(q["x"], q["y"])),
    "phi_xy": Quantity("rad", "azimuth of the start", lambda q: np.arctan2(q["y"], q["x"])),
    "dphi": Quantity("rad", "angle between the two azimuths, 0 to pi", _turn),
    "energy": Quantity("GeV", "total energy", lambda q: np.hypot(q["p"], MUON_MASS)),
    "ekin": Quantity("GeV", "kinetic energy", lambda q: q["energy"] - MUON_MASS),
    "charge": Quantity("", "+1 or -1", lambda q: -np.sign(q["pdg"])),
    "category": Quantity("", "1 to 4, or compared with a category's name", _category),
}

#: Those that take a few values only.
DISCRETE = ("pdg", "charge", "category")


class Quantities(Mapping[str, "Float64"]):
    """Quantities of muons, computed when asked for; float64[n] each.

    Parameters
    ----------
    columns : mapping of str to float[n]
        ``x y z px py pz pdg``; cm, GeV. What follows from a column that is not there is not in the mapping.
    target_start : float
        z of the target's start in the frame of the columns, cm.
    """

    def __init__(self, columns: Mapping[str, np.ndarray], target_start: float = 0.0) -> None:
        self._known: dict[str, Float64] = {}
        for name, quantity in QUANTITIES.items():
            if quantity.make is None and name in columns:
                self._known[name] = np.asarray(columns[name], np.float64)
        self._known["z"] = self._known["z"] - target_start

    @classmethod
    def of_batch(cls, batch: Batch, target_start: float) -> Quantities:
        """Return those of a batch."""
        return cls(batch.columns(), target_start)

    @classmethod
    def of_features(cls, category: Category, features: Float32 | Float64, target_start: float) -> Quantities:
        """Return those of one category's muons, features in rows: float[d, n]."""
        n = features.shape[1]
        zero = np.zeros(n)
        columns = {"x": zero, "y": zero, "pdg": np.full(n, float(category.pdg))}
        return cls(columns | dict(zip(category.features, features, strict=True)), target_start)

    @classmethod
    def of_rows(cls, features: Float32 | Float64, target_start: float = 0.0) -> Quantities:
        """Return those of muons of any category, one a row: float[n, d] of (x, y,) z, px, py, pz.

        Without x and y, those that follow from the place, such as ``r``, are not in it.
        """
        names = tuple(FEATURE_UNITS)[-features.shape[1] :]
        return cls(dict(zip(names, features.T, strict=True)), target_start)

    def __getitem__(self, name: str) -> Float64:
        if name not in self._known:
            make = QUANTITIES[name].make
            if make is None:
                raise KeyError(name)
            self._known[name] = make(self)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(QUANTITIES)

    def __len__(self) -> int:
        return len(QUANTITIES)

    @property
    def muons(self) -> int:
        """How many muons there are."""
        return len(next(iter(self._known.values())))
