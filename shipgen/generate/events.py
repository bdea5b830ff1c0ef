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
from shipgen.errors import InputError
from shipgen.files.variation_columns import choose, column_of
from shipgen.generate.chunks import ChunkMaker
from shipgen.generate.event_options import MOST_IN_EVENT, ONE_MUON, UNITS
from shipgen.generate.factors import FactorMaker
from shipgen.generate.plan import LARGEST, Plan
from shipgen.generate.streams import EVENTS, draw_seed, stream
from shipgen.muons.categories import MUON_MASS
from shipgen.provenance import bundle_facts, file_summary, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from shipgen.generate.event_options import EventOptions
    from shipgen.muons.batch import Batch
    from shipgen.muons.columns import Float64
    from shipgen.provenance import FileSummary

#: Muons, and events, that are handed over together.
_BLOCK = 4096

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
    options : EventOptions
        What an event is.

    Attributes
    ----------
    options : EventOptions
        They may be changed until the first event is read.
    read : array of int
        Events and muons that have been read; who reads `blocks` and `counts` in place of `next_event` keeps
        it up to date.
    """

    def __init__(self, bundle: Bundle | Path | str | None = None, options: EventOptions = ONE_MUON) -> None:
        self.options = options
        self.read = array("l", [0, 0])
        self._drawn_seed = draw_seed()
        self._source = bundle
        self._bundle: Bundle | None = None
        self._plan: Plan | None = None
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
        if self._plan is not None:
            return False
        bundle = self.bundle
        options = self.options
        plan = Plan.make(options.selection.rates(bundle), n=LARGEST, seed=self.seed, exact=True)
        if options.energy_cut is not None and options.energy_cut < bundle.energy_cut:
            raise InputError(
                f"energy_cut = {options.energy_cut:g} GeV is below that of bundle {bundle.name}, "
                f"{bundle.energy_cut:g} GeV, under which muons are missing: choose a higher one or none"
            )
        mean = 0.0 if options.pot_per_event is None else plan.rate * options.pot_per_event
        if options.size is None and mean > MOST_IN_EVENT:
            raise InputError(
                f"pot_per_event = {options.pot_per_event:g} gives {mean:.3g} muons an event: choose "
                f"less than {MOST_IN_EVENT / plan.rate:.3g}"
            )
        variation = self.variation
        self._factors = None if variation is None else FactorMaker(bundle, (variation,))
        self._plan = plan
        self._make = ChunkMaker(
            bundle.entries, bundle.networks, plan.weight, factors=plan.factors, reuse=True
        )
        self._tracks = chain.from_iterable(map(_tracks, self.blocks()))
        self._sizes = chain.from_iterable(counts.tolist() for counts in self.counts())
        return True

    @property
    def seed(self) -> int:
        """The seed: the one given, or the one drawn."""
        return self._drawn_seed if self.options.seed is None else self.options.seed

    @property
    def bundle(self) -> Bundle:
        """The networks and what is known of them, loaded when it is first asked for."""
        if self._bundle is None:
            source = self._source
            self._bundle = source if isinstance(source, Bundle) else Bundle.open(source)
        return self._bundle

    @property
    def variation(self) -> str | None:
        """Column of the bundle whose factors are in the weights; raises `InputError` where it has no such."""
        asked, bundle = self.options.variation, self.bundle
        if asked is None:
            return None
        return choose((column_of(asked),), bundle.variations, f"bundle {bundle.name}")[0]

    @property
    def plan(self) -> Plan:
        """All muons that there are."""
        self.open()
        assert self._plan is not None  # noqa: S101
        return self._plan

    @property
    def rate(self) -> float:
        """Muons per proton on target, of the categories that are asked for."""
        return self.plan.rate

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
        options = self.options
        if options.size is None or options.pot_per_event is None:
            return 1.0
        return options.pot_per_event * self.rate / options.size

    @property
    def energy_cut(self) -> float:
        """No muon's kinetic energy is meant to be below this, GeV: the cut asked for or the bundle's."""
        cut = self.options.energy_cut
        return self.bundle.energy_cut if cut is None else cut

    @property
    def pot(self) -> float:
        """Protons on target that the events read so far stand for; a bundle's weights are 1 on average."""
        if self.options.pot_per_event is not None:
            return self.events * self.options.pot_per_event
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
            "energy_cut": self.energy_cut,
            "survival": bundle.survival,
            **self.options.to_json(),
            "events": self.events,
            "muons": self.muons,
            "pot": self.pot,
            "weight": self.weight,
            "units": UNITS,
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
            if self.options.size is not None:
                yield np.full(_BLOCK, self.options.size)
            elif self.options.pot_per_event is not None:
                yield rng.poisson(self.rate * self.options.pot_per_event, _BLOCK)

    def blocks(self) -> Iterator[Block]:
        """Yield all muons, in blocks; ask for the next one when all muons before it are counted in `read`."""
        self.open()
        below, options = 0, self.options
        for chunk in self.plan:
            batch = self._make(chunk)
            factor = (
                np.float64(1) if self._factors is None else next(iter(self._factors(chunk, batch).values()))
            )
            options.selection.move(chunk, batch)
            above = self._above(batch)
            # In float64: the offset is a hundred times larger than the target.
            x, y = (
                batch.x.astype(np.float64) + options.offset_x,
                batch.y.astype(np.float64) + options.offset_y,
            )
            z = batch.z.astype(np.float64) - self.bundle.target_start + options.target_z
            weight = batch.weight.astype(np.float64) * self.weight * factor
            columns = (batch.pdg, batch.px, batch.py, batch.pz, x, y, z, weight)
            for start in range(0, len(batch), _BLOCK):
                part = slice(start, start + _BLOCK)
                rows = np.array([column[part] for column in columns], np.float64)
                drawn, places = rows.shape[1], np.flatnonzero(above[part])
                if options.size is None:
                    rows[0][~above[part]] = 0
                elif len(places) < drawn:
                    rows = np.ascontiguousarray(rows[:, places])
                below = 0 if rows.size else below + drawn
                if below >= _MOST_BELOW:
                    raise InputError(
                        f"none of {_MOST_BELOW:g} muons in a row is above energy_cut = "
                        f"{options.energy_cut:g} GeV: choose a lower one"
                    )
                if rows.size:
                    self._places = places
                    yield Block(rows, places, drawn)
                self._drawn += drawn
                self._passed = self.muons
        raise InputError(f"{LARGEST:g} muons have been read with seed {self.seed}: choose another seed")

    def _above(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """Return which muons pass the cut."""
        cut = self.options.energy_cut
        if cut is None:
            return np.ones(len(batch), bool)
        px, py, pz = (column.astype(np.float64) for column in (batch.px, batch.py, batch.pz))
        return np.greater(px**2 + py**2 + pz**2, (cut + MUON_MASS) ** 2 - MUON_MASS**2)


def _tracks(block: Block) -> Iterator[Track]:
    """Return the muons of a block one by one; code 0 for those that are not passed."""
    pdg, *numbers, weight = block.rows
    columns = [pdg.astype(int).tolist(), *(column.tolist() for column in numbers)]
    same = (repeat(value) for value in (_PARENT, _TRACKED, _ENERGY, _TIME))
    return zip(*columns, *same, weight.tolist(), strict=False)
