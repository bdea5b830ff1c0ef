"""Muons by events, for simulations that read one event after the other: `shipgen.fairship` is one use.

Needs NumPy and ONNX Runtime, and neither ROOT nor the packages that write files. Muons are those of
`shipgen produce` with the same bundle and seed, in the same order, as far as a production's chunks are full:
latents of the last one, which is not, may be drawn in other batches.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from shipgen.bundle.bundle import Bundle
from shipgen.errors import InputError, is_number
from shipgen.generate.chunks import ChunkMaker
from shipgen.generate.plan import LARGEST, Plan
from shipgen.generate.selection import EVERYTHING
from shipgen.generate.streams import EVENTS, draw_seed, stream
from shipgen.muons.categories import CATEGORY_NAMES, MUON_MASS
from shipgen.provenance import bundle_facts, file_summary, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from shipgen.generate.selection import Selection
    from shipgen.muons.batch import Batch
    from shipgen.muons.columns import Float64
    from shipgen.provenance import FileSummary

#: Muons, and events, that are handed over together.
_BLOCK = 4096

#: An event of more muons than this would not fit into memory.
_MOST = 1e7

#: After so many muons in a row below the cut none are expected above it.
_MOST_BELOW = 10_000_000

#: What is passed of one muon: PDG code, px, py, pz, x, y, z, parent, tracking, energy, time, weight.
Track: TypeAlias = "tuple[int, float, float, float, float, float, float, int, bool, float, float, float]"

#: No parent; to be tracked; energy from mass and momentum; no time yet.
_PARENT, _TRACKED, _ENERGY, _TIME = -1, True, -9e9, 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Muons one after the other.

    Attributes
    ----------
    rows : float64[8, n]
        PDG code (0 for a muon that counts in its event and is not passed: it is below the cut), px, py, pz in
        GeV, x, y, z in cm, weight; contiguous.
    places : intp[n]
        Where among the muons drawn for this block each one was.
    drawn : int
        How many those were.
    """

    rows: Float64
    places: npt.NDArray[np.intp]
    drawn: int


class MuonEvents:
    """An endless series of events; reading is reproducible from the bundle, the seed and the options.

    Parameters
    ----------
    bundle : Bundle or path, optional
        The networks; the default bundle when not given.
    seed : int, optional
        0 to 2**63 - 1; drawn anew when not given, see `seed`.
    muons_per_event : int, optional
        Muons of each event; 1 when neither this nor `pot_per_event` is given.
    pot_per_event : float, optional
        Protons on target that an event stands for. Alone: a Poisson number of muons of weight 1, which may be
        none. With `muons_per_event`: that many muons, of the weight with which they stand for these protons.
    energy_cut : float, optional
        Leave out muons of a kinetic energy not above it, GeV.
    target_z : float
        Where the target starts in the geometry, cm.
    selection : Selection
        Which muons of the bundle, in which mixture, with which beam; as for files.

    Attributes
    ----------
    seed : int
        The seed.
    read : array of int
        Events and muons that have been read; who reads `blocks` and `counts` in place of `next_event` keeps
        it up to date.

    Raises
    ------
    InputError
        An option is out of range. What is wrong with the bundle is said by `open`.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str | None = None,
        *,
        seed: int | None = None,
        muons_per_event: int | None = None,
        pot_per_event: float | None = None,
        energy_cut: float | None = None,
        target_z: float = 0.0,
        selection: Selection = EVERYTHING,
    ) -> None:
        if muons_per_event is None and pot_per_event is None:
            muons_per_event = 1
        _check("muons_per_event", muons_per_event, lambda value: 1 <= value <= _MOST and value == int(value))
        _check("pot_per_event", pot_per_event, lambda value: value > 0)
        _check("energy_cut", energy_cut, lambda value: value >= 0)
        _check("target_z", target_z, lambda _: True)
        if energy_cut is not None and muons_per_event is not None and pot_per_event is not None:
            raise InputError(
                "with an energy cut, the weight that makes muons_per_event muons stand for pot_per_event "
                "protons is not known beforehand: give one of the two"
            )
        self.seed = draw_seed() if seed is None else seed
        self.read = array("l", [0, 0])
        self._source = bundle
        self._size = None if muons_per_event is None else int(muons_per_event)
        self._pot = pot_per_event
        self._cut = energy_cut
        self._target_z, self.selection = target_z, selection
        self._bundle: Bundle | None = None
        # Of the block that is being read: muons drawn and passed before it, and where its muons were drawn.
        self._drawn = self._passed = 0
        self._places: npt.NDArray[np.intp] = np.empty(0, np.intp)

    def open(self) -> bool:
        """Load the bundle, and return whether it was not before; done by whatever needs it.

        Raises
        ------
        BundleError
            The bundle cannot be used.
        InputError
            The seed or the energy cut is out of range.
        MissingExtraError
            ONNX Runtime is not installed.
        """
        if self._bundle is not None:
            return False
        source = self._source
        bundle = source if isinstance(source, Bundle) else Bundle.open(source)
        plan = Plan.make(self.selection.rates(bundle), n=LARGEST, seed=self.seed, exact=True)
        if self._cut is not None and self._cut < bundle.energy_cut:
            raise InputError(
                f"energy_cut = {self._cut:g} GeV is below that of bundle {bundle.name}, "
                f"{bundle.energy_cut:g} GeV, under which muons are missing: choose a higher one or none"
            )
        if self._size is None and self._pot is not None and plan.rate * self._pot > _MOST:
            raise InputError(
                f"pot_per_event = {self._pot:g} gives {plan.rate * self._pot:.3g} muons an event: choose "
                f"less than {_MOST / plan.rate:.3g}"
            )
        self._bundle, self._plan = bundle, plan
        self._make = ChunkMaker(
            bundle.entries, bundle.networks, plan.weight, factors=plan.factors, reuse=True
        )
        self._tracks = chain.from_iterable(map(_tracks, self.blocks()))
        self._sizes = chain.from_iterable(counts.tolist() for counts in self.counts())
        return True

    @property
    def bundle(self) -> Bundle:
        """The networks and what is known of them."""
        self.open()
        assert self._bundle is not None  # noqa: S101
        return self._bundle

    @property
    def rate(self) -> float:
        """Muons per proton on target, of the categories that are asked for."""
        self.open()
        return self._plan.rate

    @property
    def events(self) -> int:
        """Events read."""
        return self.read[0]

    @property
    def muons(self) -> int:
        """Muons passed."""
        return self.read[1]

    @property
    def weight(self) -> float:
        """What the weights of the bundle's muons are multiplied by; of most bundles these are 1."""
        if self._size is None or self._pot is None:
            return 1.0
        return self._pot * self.rate / self._size

    @property
    def energy_cut(self) -> float:
        """No muon's kinetic energy is meant to be below this, GeV: the cut asked for or the bundle's."""
        return self.bundle.energy_cut if self._cut is None else self._cut

    @property
    def pot(self) -> float:
        """Protons on target that the events read so far stand for; a bundle's weights are 1 on average."""
        if self._pot is not None:
            return self.events * self._pot
        here = self.muons - self._passed
        drawn = self._drawn + (int(self._places[here - 1]) + 1 if here else 0)
        return drawn / self.rate

    def file_summary(self) -> FileSummary:
        """Return the keys of FairShip's ``FileSummary`` for the events read so far."""
        return file_summary(self.pot, self.energy_cut)

    def provenance(self) -> dict[str, Any]:
        """Return what it takes to make the events read so far again, and what they stand for."""
        bundle = self.bundle
        return {
            "kind": "muon source",
            "bundle": bundle_facts(bundle),
            "seed": self.seed,
            "muons_per_event": self._size,
            "pot_per_event": self._pot,
            "energy_cut": self.energy_cut,
            "survival": bundle.survival,
            "categories": [name for name in CATEGORY_NAMES if name in self.selection.categories],
            "charge_fraction": self.selection.charge_fraction,
            "smear_beam": self.selection.smear_beam,
            "paint_beam": self.selection.paint_beam,
            "target_z": self._target_z,
            "events": self.events,
            "muons": self.muons,
            "pot": self.pot,
            "weight": self.weight,
            "units": dict.fromkeys(("smear_beam", "paint_beam", "target_z"), "cm") | {"energy_cut": "GeV"},
            "versions": versions("shipgen", "numpy", "onnxruntime"),
        }

    def next_event(self, add_track: Callable[..., object]) -> None:
        """Pass the muons of the next event to `add_track`, one a call, as `Track` says; GeV, cm.

        The arguments are those of ``FairPrimaryGenerator::AddTrack``.

        Raises
        ------
        BundleError
            A network fails, or makes numbers that are not finite.
        InputError
            The series ended by an earlier error.
        """
        self.open()
        for _ in repeat(None, next(self._sizes)):
            track = next(self._tracks, None)
            if track is None:
                raise InputError("no more muons after an error: make a new source")
            if track[0]:
                add_track(*track)
                self.read[1] += 1
        self.read[0] += 1

    def counts(self) -> Iterator[npt.NDArray[np.int_]]:
        """Yield the numbers of muons of the events, in arrays; of muons drawn where a cut thins events."""
        self.open()
        rng = stream(self.seed, 0, EVENTS)
        while True:
            if self._size is not None:
                yield np.full(_BLOCK, self._size)
            elif self._pot is not None:
                yield rng.poisson(self.rate * self._pot, _BLOCK)

    def blocks(self) -> Iterator[Block]:
        """Yield all muons, in blocks; ask for the next one when all muons before it are counted in `read`."""
        self.open()
        below = 0
        for chunk in self._plan:
            batch = self._make(chunk)
            self.selection.move(chunk, batch)
            above = self._above(batch)
            # In float64: the offset is a hundred times larger than the target.
            z = batch.z.astype(np.float64) - self.bundle.target_start + self._target_z
            weight = batch.weight.astype(np.float64) * self.weight
            columns = (batch.pdg, batch.px, batch.py, batch.pz, batch.x, batch.y, z, weight)
            for start in range(0, len(batch), _BLOCK):
                part = slice(start, start + _BLOCK)
                rows = np.array([column[part] for column in columns], np.float64)
                drawn, places = rows.shape[1], np.flatnonzero(above[part])
                if self._size is None:
                    rows[0][~above[part]] = 0
                elif len(places) < drawn:
                    rows = np.ascontiguousarray(rows[:, places])
                below = 0 if rows.size else below + drawn
                if below >= _MOST_BELOW:
                    raise InputError(
                        f"none of {_MOST_BELOW:g} muons in a row is above energy_cut = {self._cut:g} GeV: "
                        "choose a lower one"
                    )
                if rows.size:
                    self._places = places
                    yield Block(rows, places, drawn)
                self._drawn += drawn
                self._passed = self.muons
        raise InputError(f"{LARGEST:g} muons have been read with seed {self.seed}: choose another seed")

    def _above(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """Return which muons pass the cut."""
        if self._cut is None:
            return np.ones(len(batch), bool)
        px, py, pz = (column.astype(np.float64) for column in (batch.px, batch.py, batch.pz))
        return np.greater(px**2 + py**2 + pz**2, (self._cut + MUON_MASS) ** 2 - MUON_MASS**2)


def _tracks(block: Block) -> Iterator[Track]:
    """Return the muons of a block one by one; code 0 for those that are not passed."""
    pdg, *numbers, weight = block.rows
    columns = [pdg.astype(int).tolist(), *(column.tolist() for column in numbers)]
    same = (repeat(value) for value in (_PARENT, _TRACKED, _ENERGY, _TIME))
    return zip(*columns, *same, weight.tolist(), strict=False)


def _check(name: str, value: float | None, good: Callable[[float], bool]) -> None:
    """Raise `InputError` unless an option is not given or a finite number in its range."""
    if value is not None and not (is_number(value) and good(value)):
        raise InputError(f"{name} = {value!r} is out of range")
