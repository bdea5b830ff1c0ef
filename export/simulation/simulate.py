"""Simulate a training sample: blocks of protons in worker processes, muons into one ROOT file.

Physics: Pythia 8's hadron-nucleus cascade through plain slabs with forced, weighted decays. It is not the
experiment's simulation, and what is made from it says so (`GENERATOR`). Limits: photons from hadrons convert,
but there are no electromagnetic showers; no elastic scattering of hadrons; charm, beauty and J/psi from first
collisions only and without nuclear effects; no Drell-Yan, no D -> tau -> mu nor b -> c -> mu, no muons from
hyperons and K_S; plain slabs for geometry, no magnetic field in the absorber; the kaon yield is uncertain by
a factor of two.

Blocks are kept beside the output until it is complete: an interrupted run goes on, and memory is needed for a
few blocks only, however many muons are asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from itertools import count
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_TRAINING, PROVENANCE_KEY, TRAINING
from shipgen.files.outputs import check_output, unfinished, work_folder
from shipgen.files.tree_writer import RootWriter
from shipgen.generate.streams import draw_seed
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.simulation.block import SimulationSettings, simulate_block
from shipgen_export.simulation.block_files import block_file, read_block, write_block
from shipgen_export.simulation.muon_counts import MuonCounts
from shipgen_export.simulation.particles import Process
from shipgen_export.simulation.physics.hadron_weights import HADRONS
from shipgen_export.simulation.physics.heavy_flavour import HEAVY_FLAVOURS
from shipgen_export.simulation.physics.muon_range import MuonRange
from shipgen_export.simulation.physics.pythia import import_pythia
from shipgen_export.simulation.physics.variations import meanings
from shipgen_export.simulation.target import read_target
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

GENERATOR = "Pythia 8 cascade, SHiP-like"

_WORK = "shipgen simulate"
#: What the choice of hadrons means.
_HADRONS = {
    "data": "pions and kaons weighted to measured yields (Bonesini et al., EPJ C 20 (2001) 13)",
    "pythia": "pions and kaons of Pythia",
}

#: The most protons that share the starts of Pythia (2 s) and a place in the order of the file.
BLOCK_PROTONS = 6000
#: Momentum below which muons are left out, GeV: the default, and the least that is allowed.
MOMENTUM_CUT, LEAST_MOMENTUM_CUT = 10.0, 1.0


@dataclass(frozen=True)
class BlockTask:
    """A block to be simulated, unless it is in the work folder."""

    settings: SimulationSettings
    number: int
    protons: int

    def __str__(self) -> str:
        first = self.number * self.settings.block_protons
        return f"the simulation of protons {first} to {first + self.protons - 1}"


@dataclass(frozen=True)
class FinishedBlock:
    """A block that is in the work folder: its task, its muons, and whether an earlier run had left it."""

    task: BlockTask
    muons: int
    found: bool


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation made.

    Attributes
    ----------
    protons : int
        Protons on target.
    tally : MuonCounts
        Counts and weights (a proton) of the muons.
    seed : int
        The seed.
    seconds : float
        How long it took.
    blocks : int
        Blocks of protons; no more worker processes than that had work.
    found : int
        Protons whose muons an earlier, interrupted run had left.
    """

    protons: int
    tally: MuonCounts
    seed: int
    seconds: float
    blocks: int
    found: int


def simulate(
    output: Path,
    *,
    protons: int | None = None,
    muons: int | None = None,
    seed: int | None = None,
    cores: int = 1,
    dask: str | None = None,
    jobs: int | None = None,
    momentum_cut: float = MOMENTUM_CUT,
    target: str | Path | None = None,
    hadrons: str = "data",
    block_protons: int = BLOCK_PROTONS,
    force: bool = False,
    command: str = "",
) -> SimulationReport:
    """Simulate muons and write them to `output`.

    The muons depend on seed, amount, cut, target and `block_protons`, not on `cores`, nor on interruptions:
    finished blocks wait in ``OUTPUT.work`` and are used when the same is asked for again.

    Parameters
    ----------
    output : Path
        The ROOT file; it appears when it is complete.
    protons, muons : int, optional
        How much: so many protons, or as many whole blocks as give at least so many muons. One of the two.
    seed : int, optional
        Of everything; if not given, that of unfinished work for `output`, or a new one.
    cores : int
        Worker processes.
    dask, jobs
        Workers of a Dask cluster in their place, as for `shipgen.production.dask_cluster.connect`; they reach
        the folder of `output`.
    momentum_cut : float
        Muons below are left out, GeV.
    target : str or Path, optional
        A target's name or file, see `read_target`.
    hadrons : str
        Of `HADRONS`: pions and kaons as measured (``data``) or as Pythia has them (``pythia``).
    block_protons : int
        The most protons a block.
    force : bool
        Replace an existing file.
    command : str
        The command line, for the file's provenance.

    Raises
    ------
    InputError
        An argument cannot be used, the output cannot be made, another simulation was left unfinished there,
        or no muon came out.
    MissingExtraError
        Pythia is not installed.
    ShipgenError
        A worker died or failed.
    KeyboardInterrupt
        Interrupted; says what is kept.
    """
    if (protons is None) == (muons is None):
        raise InputError("say how much to simulate: either a number of protons or a number of muons")
    if not momentum_cut >= LEAST_MOMENTUM_CUT:
        raise InputError(f"the momentum cut of {momentum_cut:g} GeV is below {LEAST_MOMENTUM_CUT:g} GeV")
    check_output(output, force=force)
    import_pythia()
    size = block_protons if protons is None else even_blocks(protons, block_protons)
    if hadrons not in HADRONS:
        raise InputError(f"hadrons are of {' or '.join(HADRONS)}, not of {hadrons!r}")
    seed = _seed(output) if seed is None else seed
    settings = SimulationSettings(seed, momentum_cut, read_target(target), size, hadrons)
    MuonRange(settings.target)  # fails early where the target's survival table is not that of its slabs
    started = time.perf_counter()
    with work_folder(output, _key(settings)) as folder:
        try:
            workers = partial(in_order, cores=cores, dask=dask, jobs=jobs)
            blocks = _enough(folder, settings, protons, muons, workers)
            tasks = [block.task for block in blocks]
            pot = sum(task.protons for task in tasks)
            tally = _write(output, folder, tasks, pot, settings, command, force=force)
        except KeyboardInterrupt:
            done = _found(folder)
            if not done:
                raise
            raise KeyboardInterrupt(
                f"{done:,} simulated protons are kept in {folder.name}: run the same command again to go on"
            ) from None
    found = sum(block.task.protons for block in blocks if block.found)
    return SimulationReport(pot, tally, settings.seed, time.perf_counter() - started, len(blocks), found)


def even_blocks(protons: int, largest: int) -> int:
    """Return the size of blocks of at most `largest` protons, about even, for `protons` in all.

    Their number is even unless one of half the size is enough: so two, and mostly four, cores end together.
    """
    if protons <= largest // 2:
        return protons
    return math.ceil(protons / (2 * math.ceil(protons / (2 * largest))))


def _seed(output: Path) -> int:
    """Return the seed of unfinished work for `output`, or a new one; other work is for others to refuse."""
    left = unfinished(output) or {}
    seed = left.get("seed") if left.get("work") == _WORK else None
    return seed if isinstance(seed, int) else draw_seed()


def code_digest(folder: Traversable | None = None) -> str:
    """Return a digest of the simulation's source: blocks of other physics must not be mixed in."""
    content = "\0".join(_sources(folder or resources.files("shipgen_export.simulation")))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _sources(folder: Traversable) -> Iterator[str]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith((".py", ".json")):
            yield f"{entry.name}\0{entry.read_text(encoding='utf-8')}"


def _key(settings: SimulationSettings) -> dict[str, object]:
    """Return all that a block's muons depend on, beside its number and its protons."""
    target = json.dumps(asdict(settings.target), sort_keys=True)
    return {
        "work": _WORK,
        "seed": settings.seed,
        "momentum_cut": settings.momentum_cut,
        "target": f"{settings.target.name} {hashlib.sha256(target.encode()).hexdigest()[:16]}",
        "hadrons": settings.hadrons,
        "block_protons": settings.block_protons,
        "code": code_digest(),
        "versions": versions("shipgen", "pythia8mc", "numpy"),
    }


def _found(folder: Path) -> int:
    """Return the number of protons whose blocks are finished."""
    return sum(int(path.stem.rpartition("-")[2]) for path in folder.glob("block-*.npz"))


def _simulate(folder: Path, task: BlockTask) -> FinishedBlock:
    """Simulate a block, unless it is there and sound."""
    path = block_file(folder, task.number, task.protons)
    with suppress(InputError):
        if path.is_file():
            return FinishedBlock(task, len(read_block(path).weight), found=True)
    block = simulate_block(task.settings, task.number, task.protons)
    write_block(path, block)
    return FinishedBlock(task, len(block.weight), found=False)


def _tasks(settings: SimulationSettings, protons: int | None) -> Iterator[BlockTask]:
    """Yield the blocks of so many protons, the last one smaller; full blocks without end if ``None``."""
    for number in count():
        left = settings.block_protons if protons is None else protons - number * settings.block_protons
        if left <= 0:
            return
        yield BlockTask(settings, number, min(left, settings.block_protons))


def _enough(
    folder: Path, settings: SimulationSettings, protons: int | None, muons: int | None, workers: Any
) -> list[FinishedBlock]:
    """Simulate all blocks of `protons`, or the shortest run of blocks that has so many `muons`."""
    finished: list[FinishedBlock] = []
    made = 0
    with (
        progress("simulating", protons or muons, "protons" if protons else "muons") as advance,
        workers(partial(_simulate, folder), _tasks(settings, protons)) as results,
    ):
        for block in results:
            finished.append(block)
            made += block.muons
            advance(block.task.protons if protons else block.muons)
            if muons is not None and made >= muons:
                break
    return finished


def _write(
    output: Path,
    folder: Path,
    tasks: list[BlockTask],
    pot: int,
    settings: SimulationSettings,
    command: str,
    *,
    force: bool,
) -> MuonCounts:
    """Write the muons of all blocks with weights per proton on target."""
    tally = MuonCounts()
    with RootWriter(
        output, TRAINING, target_start=settings.target.start, baskets=len(tasks), force=force
    ) as writer:
        for task in tasks:
            block = read_block(block_file(folder, task.number, task.protons))
            columns = {**block.columns, "weight": block.weight / pot}
            if len(columns["weight"]):
                writer.extend(columns)
            tally.add(columns, block.heavy_events)
        if not tally.muons:
            for task in tasks:
                block_file(folder, task.number, task.protons).unlink()
            raise InputError(f"no muon came out of {pot} protons: simulate more")
        writer.write_json(PROVENANCE_KEY, provenance(settings, pot, tally, command))
        summary = {"PoT": pot, "EnergyCut": settings.muon_energy_cut, "prodSite": "shipgen simulate"}
        writer.write_json(FILE_SUMMARY_KEY, summary)
    return tally


def provenance(settings: SimulationSettings, pot: int, tally: MuonCounts, command: str) -> dict[str, object]:
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
        "weight_meaning": "sum of weights = muons per proton on target that leave the last slab",
        "survival": "probability to leave the last slab; the weights contain it",
        "hadrons": _HADRONS[settings.hadrons],
        "variations": meanings(),
        "units": {branch.name: branch.unit for branch in TRAINING.branches if branch.unit},
        # Name, slabs with their materials' constants, survival. At the edges the density of starts jumps.
        "target": {**asdict(target), "end": target.end},
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
        **tally.record(),
        "code": code_digest(),
        "versions": versions("shipgen", "pythia8mc", "numpy", "uproot"),
    }
