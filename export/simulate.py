"""Simulate a training sample: blocks of protons in worker processes, muons into one ROOT file.

Physics: Pythia 8's hadron-nucleus cascade through plain slabs with forced, weighted decays. It is not the
experiment's simulation, and what is made from it says so (`GENERATOR`). Limits: photons from hadrons convert,
but there are no electromagnetic showers; no elastic scattering of hadrons; charm, beauty and J/psi from first
collisions only and without nuclear effects; no Drell-Yan, no D -> tau -> mu nor b -> c -> mu, no muons from
hyperons and K_S; plain slabs for geometry, no magnetic field in the absorber; the kaon yield is uncertain by
a factor of two.

Memory: about 60 bytes a muon when a number of muons is asked for, because the weights are known at the end
only; a few blocks when a number of protons is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files import check_output
from shipgen.layouts import FILE_SUMMARY_KEY, KIND_TRAINING, PROVENANCE_KEY, TRAINING
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen.writers import RootWriter
from shipgen_export.simulation.block import Block, Settings, simulate_block
from shipgen_export.simulation.heavy_flavour import HEAVY_FLAVOURS
from shipgen_export.simulation.muons import Process
from shipgen_export.simulation.pythia import import_pythia
from shipgen_export.simulation.tally import Tally
from shipgen_export.simulation.target import read_target
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

GENERATOR = "Pythia 8 cascade, SHiP-like"

#: Protons that share a start of Pythia (2.5 s) and a place in the order of the file.
BLOCK_PROTONS = 4000
#: Momentum below which muons are left out, GeV: the default, and the least that is allowed.
MOMENTUM_CUT, LEAST_MOMENTUM_CUT = 10.0, 1.0


@dataclass(frozen=True)
class Task:
    """A block to be simulated."""

    settings: Settings
    number: int
    protons: int

    def __str__(self) -> str:
        first = self.number * self.settings.block_protons
        return f"the simulation of protons {first} to {first + self.protons - 1}"


@dataclass(frozen=True)
class Report:
    """What a simulation made.

    Attributes
    ----------
    protons : int
        Protons on target.
    tally : Tally
        Counts and weights (a proton) of the muons.
    seconds : float
        How long it took.
    """

    protons: int
    tally: Tally
    seconds: float


def simulate(
    output: Path,
    *,
    protons: int | None = None,
    muons: int | None = None,
    seed: int = 1,
    cores: int = 1,
    momentum_cut: float = MOMENTUM_CUT,
    target: Path | None = None,
    block_protons: int = BLOCK_PROTONS,
    force: bool = False,
    command: str = "",
) -> Report:
    """Simulate muons and write them to `output`.

    The muons depend on seed, amount, cut, target and `block_protons`, not on `cores`.

    Parameters
    ----------
    output : Path
        The ROOT file; it appears when it is complete.
    protons, muons : int, optional
        How much: so many protons, or as many whole blocks as give at least so many muons. One of the two.
    seed : int
        Of everything.
    cores : int
        Worker processes.
    momentum_cut : float
        Muons below are left out, GeV.
    target : Path, optional
        A target's file, see `read_target`.
    block_protons : int
        Protons a block.
    force : bool
        Replace an existing file.
    command : str
        The command line, for the file's provenance.

    Raises
    ------
    InputError
        An argument cannot be used, the output cannot be made, or no muon came out.
    MissingExtraError
        Pythia is not installed.
    ShipgenError
        A worker died or failed.
    """
    if (protons is None) == (muons is None):
        raise InputError("say how much to simulate: either a number of protons or a number of muons")
    if not momentum_cut >= LEAST_MOMENTUM_CUT:
        raise InputError(f"the momentum cut of {momentum_cut:g} GeV is below {LEAST_MOMENTUM_CUT:g} GeV")
    check_output(output, force=force)
    import_pythia()
    settings = Settings(seed, momentum_cut, read_target(target), block_protons)
    started = time.perf_counter()
    if protons is not None:
        with (
            progress("simulating", protons, "protons") as advance,
            in_order(_simulate, _tasks(settings, protons), cores) as results,
        ):
            return _write(
                output, _counted(results, advance), protons, settings, command, started, force=force
            )
    blocks = _enough(settings, muons or 0, cores)
    total = sum(block.protons for block in blocks)
    return _write(output, blocks, total, settings, command, started, force=force)


def _simulate(task: Task) -> Block:
    return simulate_block(task.settings, task.number, task.protons)


def _tasks(settings: Settings, protons: int | None = None) -> Iterator[Task]:
    """Yield the blocks of so many protons, the last one smaller; full blocks without end if ``None``."""
    for number in count():
        left = settings.block_protons if protons is None else protons - number * settings.block_protons
        if left <= 0:
            return
        yield Task(settings, number, min(left, settings.block_protons))


def _enough(settings: Settings, muons: int, cores: int) -> list[Block]:
    """Simulate block after block until there are so many muons; the shortest run of blocks that has them."""
    blocks: list[Block] = []
    done = 0
    with (
        progress("simulating", muons, "muons") as advance,
        in_order(_simulate, _tasks(settings), cores) as results,
    ):
        for block in results:
            blocks.append(block)
            done += len(block.weight)
            advance(len(block.weight))
            if done >= muons:
                break
    return blocks


def _counted(blocks: Iterable[Block], advance: Callable[[float], None]) -> Iterator[Block]:
    for block in blocks:
        advance(block.protons)
        yield block


def _write(
    output: Path,
    blocks: Iterable[Block],
    pot: int,
    settings: Settings,
    command: str,
    started: float,
    *,
    force: bool,
) -> Report:
    """Write all blocks with weights per proton on target."""
    tally = Tally()
    with RootWriter(
        output,
        TRAINING,
        target_start=settings.target.start,
        baskets=-(-pot // settings.block_protons),
        force=force,
    ) as writer:
        for block in blocks:
            columns = {**block.columns, "weight": block.weight / pot}
            if len(columns["weight"]):
                writer.extend(columns)
            tally.add(columns, block.heavy_events)
        if not tally.muons:
            raise InputError(f"no muon came out of {pot} protons: simulate more")
        writer.write_json(PROVENANCE_KEY, provenance(settings, pot, tally, command))
        summary = {"PoT": pot, "EnergyCut": settings.muon_energy_cut, "prodSite": "shipgen simulate"}
        writer.write_json(FILE_SUMMARY_KEY, summary)
    return Report(pot, tally, time.perf_counter() - started)


def provenance(settings: Settings, pot: int, tally: Tally, command: str) -> dict[str, Any]:
    """Return all that is needed to make the sample again and to know what its columns mean."""
    target = settings.target
    return {
        "kind": KIND_TRAINING,
        "generator": GENERATOR,
        "command": command,
        "seed": settings.seed,
        "block_protons": settings.block_protons,
        "pot": pot,
        "weight_unit": "per POT",
        "weight_meaning": "sum of weights = muons per proton on target",
        "units": {branch.name: branch.unit for branch in TRAINING.branches if branch.unit},
        "target": {
            "name": target.name,
            "description": target.description,
            "end": target.end,
            "survival": target.survival,
        },
        "target_start": target.start,
        "beam": "400 GeV protons along z, not smeared: prompt muons of first collisions start at x = y = 0",
        "momentum_cut": settings.momentum_cut,
        "energy_cut": settings.muon_energy_cut,
        "hadron_energy_cut": settings.energy_cut,
        "processes": {process.name: int(process) for process in Process},
        "normalisation": {
            flavour.process.name: {
                "rate": flavour.rate,
                "unit": "J/psi per interacting proton"
                if flavour.per_hadron
                else "pairs per interacting proton",
                "events": tally.heavy_events[flavour.process.name],
            }
            for flavour in HEAVY_FLAVOURS
        },
        **tally.to_json(),
        "versions": versions("shipgen", "pythia8mc", "numpy", "uproot"),
    }
