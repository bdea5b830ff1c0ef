"""What an event is: options of `shipgen.generate.events` and of FairShip's sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.variation_columns import column_of
from shipgen.generate.selection import EVERYTHING, Selection
from shipgen.muons.categories import CATEGORY_NAMES
from shipgen.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Callable

#: An event of more muons than this would not fit into memory.
MOST_IN_EVENT = 1e7

#: What their numbers are in.
UNITS = dict.fromkeys(("smear_beam", "paint_beam", "target_z", "offset_x", "offset_y"), "cm") | {
    "energy_cut": "GeV"
}

#: Nothing is further away, cm: float64 has to resolve the target there.
_FARTHEST = 1e7


@dataclass(frozen=True, slots=True)
class EventOptions:
    """Options of a series of events.

    Attributes
    ----------
    seed : int, optional
        0 to 2**63 - 1; drawn anew when not given.
    muons_per_event : int, optional
        Muons of each event; 1 when neither this nor `pot_per_event` is given.
    pot_per_event : float, optional
        Protons on target that an event stands for. Alone: a Poisson number of muons of weight 1, which may be
        none. With `muons_per_event`: that many muons, of the weight with which they stand for these protons.
    energy_cut : float, optional
        Leave out muons of a kinetic energy not above it, GeV.
    target_z : float
        Where the target starts in the geometry, cm.
    offset_x, offset_y : float
        Where the beam hits the target in the geometry, cm.
    selection : Selection
        Which muons of the bundle, in which mixture, with which beam; as for files.
    variation : str, optional
        Name of a variation of the bundle, such as ``kaons``: weights are multiplied with its factors.

    Raises
    ------
    InputError
        An option is out of range.
    """

    seed: int | None = None
    muons_per_event: int | None = None
    pot_per_event: float | None = None
    energy_cut: float | None = None
    target_z: float = 0.0
    offset_x: float = 0.0
    offset_y: float = 0.0
    selection: Selection = EVERYTHING
    variation: str | None = None

    def __post_init__(self) -> None:
        """Raise `InputError` where something cannot be."""
        self._check("muons_per_event", lambda value: 1 <= value <= MOST_IN_EVENT and value == int(value))
        self._check("pot_per_event", lambda value: value > 0)
        self._check("energy_cut", lambda value: value >= 0)
        for name in ("target_z", "offset_x", "offset_y"):
            self._check(name, lambda value: abs(value) <= _FARTHEST)
        if None not in (self.energy_cut, self.muons_per_event, self.pot_per_event):
            raise InputError(
                "with an energy cut, the weight that makes muons_per_event muons stand for pot_per_event "
                "protons is not known beforehand: give one of the two"
            )

    @property
    def size(self) -> int | None:
        """Muons of each event, ``None`` where their number is drawn."""
        if self.muons_per_event is not None:
            return int(self.muons_per_event)
        return 1 if self.pot_per_event is None else None

    def to_json(self) -> dict[str, Any]:
        """Return all but the seed and the cut, which the bundle may say, as plain values."""
        selection = self.selection
        return {
            "muons_per_event": self.size,
            "pot_per_event": self.pot_per_event,
            "categories": [name for name in CATEGORY_NAMES if name in selection.categories],
            "charge_fraction": selection.charge_fraction,
            "smear_beam": selection.smear_beam,
            "paint_beam": selection.paint_beam,
            "target_z": self.target_z,
            "offset_x": self.offset_x,
            "offset_y": self.offset_y,
            **({} if self.variation is None else {"variation": column_of(self.variation)}),
        }

    def _check(self, name: str, good: Callable[[float], bool]) -> None:
        """Raise `InputError` unless an option is not given or a finite number in its range."""
        value = getattr(self, name)
        if value is not None and not (is_number(value) and good(value)):
            raise InputError(f"{name} = {value!r} is out of range")


#: One muon an event, with a new seed.
ONE_MUON = EventOptions()
