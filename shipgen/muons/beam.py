"""Where the beam hits the target: smearing and painting, one rule for files, library and FairShip's sources.

Each muon is moved by itself, since each is another proton's. All steps round to float32, in which muons are
stored, so that a file's muons and those of a source lie at the same place to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import InputError
from shipgen.numbers import is_number

if TYPE_CHECKING:
    from shipgen.muons.columns import Float32

#: No beam is wider, cm.
_WIDEST = 1e4


@dataclass(frozen=True, slots=True)
class Beam:
    """A beam that does not hit one point.

    Attributes
    ----------
    smear : float
        Standard deviation of its position in x and in y, cm.
    paint : float
        Radius of the circle that it is painted on, cm.

    Raises
    ------
    InputError
        One of them is out of range.
    """

    smear: float = 0.0
    paint: float = 0.0

    def __post_init__(self) -> None:
        """Raise `InputError` where something cannot be."""
        for name, value in (("smear_beam", self.smear), ("paint_beam", self.paint)):
            if not (is_number(value) and 0 <= value <= _WIDEST):
                raise InputError(f"{name} = {value!r} is not a number of centimetres from 0 to {_WIDEST:g}")

    @property
    def moved(self) -> bool:
        """Whether muons are moved with it."""
        return self.smear > 0 or self.paint > 0

    def __str__(self) -> str:
        """Say what is done to it, for the provenance."""
        if not self.moved:
            return "not smeared: prompt muons start at x = y = 0"
        return (
            f"smeared by {self.smear:g} cm in x and y and painted on a circle of {self.paint:g} "
            "cm, each muon by itself: read without smearing it again"
        )

    def move(self, x: Float32, y: Float32, rng: np.random.Generator) -> None:
        """Move muons at `x` and `y`, float32[n], cm, in place; draw all in x, all in y, then the angles."""
        if self.smear:
            x += rng.normal(0, self.smear, len(x)).astype(np.float32)
            y += rng.normal(0, self.smear, len(y)).astype(np.float32)
        if self.paint:
            phi = rng.uniform(0, 2 * math.pi, len(x))
            x += (self.paint * np.cos(phi)).astype(np.float32)
            y += (self.paint * np.sin(phi)).astype(np.float32)
