"""Which muons of a bundle are produced, in which mixture, and where the beam is; weights stay right.

Categories left out have a rate of 0, so that a number of protons still gives the right number of the others.
Another share of positive muons changes the numbers of each charge, and weights make up for it. A smeared beam
moves muons and changes no weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.variation_columns import PREFIX, choose
from shipgen.generate.plan import Rates
from shipgen.generate.streams import BEAM, stream
from shipgen.muons.beam import Beam
from shipgen.muons.categories import CATEGORY_NAMES, category_by_name
from shipgen.numbers import is_number

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for beside the amount.

    Attributes
    ----------
    categories : tuple of str
        Names of those that are produced, or one name; all when empty.
    charge_fraction : float, optional
        Share of positive muons among those produced; as the bundle has it when not given.
    smear_beam, paint_beam : float
        Standard deviation of the beam's position in x and y, and radius of the circle it is painted on, cm;
        drawn for each muon. FairShip's ``MuonBackGenerator`` takes 0.8 and 5 when it reads a file.
    variations : tuple of str
        Names of those whose factors stand beside the weights, such as ``kaons``, or one name; ``all`` stands
        for all of the bundle.

    Raises
    ------
    InputError
        A category is unknown, or a number out of range.
    """

    categories: tuple[str, ...] = ()
    charge_fraction: float | None = None
    smear_beam: float = 0.0
    paint_beam: float = 0.0
    variations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `InputError` where something cannot be."""
        given: Any = self.categories
        object.__setattr__(self, "categories", (given,) if isinstance(given, str) else tuple(given))
        for name in self.categories:
            category_by_name(name)
        asked: Any = self.variations
        object.__setattr__(self, "variations", (asked,) if isinstance(asked, str) else tuple(asked))
        fraction = self.charge_fraction
        if fraction is not None and not (is_number(fraction) and 0 < fraction < 1):
            raise InputError(
                f"charge_fraction = {fraction!r} is not between 0 and 1: for one charge choose its categories"
            )
        # Checks the numbers.
        _ = self.beam

    @property
    def beam(self) -> Beam:
        """Where the beam is."""
        return Beam(self.smear_beam, self.paint_beam)

    def to_json(self) -> dict[str, Any]:
        """Return what differs from all that the bundle makes, as plain values."""
        content: dict[str, Any] = {}
        if self.categories:
            content["categories"] = [name for name in CATEGORY_NAMES if name in self.categories]
        if self.charge_fraction is not None:
            content["charge_fraction"] = self.charge_fraction
        if self.beam.moved:
            content |= {"smear_beam_cm": self.smear_beam, "paint_beam_cm": self.paint_beam}
        if self.variations:
            content["variations"] = sorted({name.removeprefix(PREFIX) for name in self.variations})
        return content

    def words(self) -> list[str]:
        """Return the options of a command line that give it."""
        found = [word for name in self.categories for word in ("--category", name)]
        if self.charge_fraction is not None:
            found += ["--charge-fraction", repr(self.charge_fraction)]
        if self.smear_beam:
            found += ["--smear-beam", repr(self.smear_beam)]
        if self.paint_beam:
            found += ["--paint-beam", repr(self.paint_beam)]
        if self.variations:
            found += ["--variations", ",".join(self.variations)]
        return found

    def columns(self, bundle: Bundle) -> tuple[str, ...]:
        """Return the columns of the variations that are asked for, such as ``vary_kaons``.

        Raises
        ------
        InputError
            The bundle has none of that name.
        """
        return choose(self.variations, bundle.variations, f"bundle {bundle.name}")

    def rates(self, bundle: Bundle) -> Rates:
        """Return the rates that muons of `bundle` are drawn with, and the factors of their weights.

        Raises
        ------
        InputError
            No muons are left, or those of one charge are missing.
        """
        missing = [each.category.name for each in bundle.missing if each.category.name in self.categories]
        if missing:
            raise InputError(f"bundle {bundle.name} has no network of {', '.join(missing)}: leave it out")
        chosen = [
            entry.rate if not self.categories or entry.category.name in self.categories else 0.0
            for entry in bundle.entries
        ]
        total = math.fsum(chosen)
        if not total > 0:
            raise InputError(f"bundle {bundle.name} makes no muons of {', '.join(self.categories)}")
        if self.charge_fraction is None:
            return Rates(tuple(chosen), (1.0,) * len(chosen))
        codes, shares = [entry.category.pdg for entry in bundle.entries], {}
        for pdg, wanted in ((-13, self.charge_fraction), (13, 1 - self.charge_fraction)):
            there = math.fsum(rate for code, rate in zip(codes, chosen, strict=True) if code == pdg)
            if not there > 0:
                raise InputError("a charge fraction needs categories of both charges: choose some of each")
            shares[pdg] = wanted * total / there
        drawn = tuple(rate * shares[code] for code, rate in zip(codes, chosen, strict=True))
        return Rates(drawn, tuple(1 / shares[code] for code in codes))

    def move(self, chunk: Chunk, batch: Batch) -> None:
        """Move the muons of a chunk in place; depends on the chunk's number and the seed alone."""
        if self.beam.moved:
            self.beam.move(batch.x, batch.y, stream(chunk.seed, chunk.index, BEAM))


#: All muons of a bundle as they are.
EVERYTHING = Selection()


def unknown_argument(name: str) -> TypeError:
    """Return the error for an argument that `MuonGenerator` does not have, which `Selection` may."""
    if name in {field.name for field in fields(Selection)}:
        return TypeError(f"{name} is part of the selection: give selection=shipgen.Selection({name}=...)")
    return TypeError(f"MuonGenerator and generate_muons have no argument {name!r}: see help(MuonGenerator)")
