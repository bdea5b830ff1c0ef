"""Simulate a training sample: blocks of protons in worker processes, muons into one ROOT file.

Physics: Pythia 8's hadron-nucleus cascade through plain slabs with forced, weighted decays, pions and kaons
weighted to measured yields. It is not the experiment's simulation, and what is made from it says so
(`GENERATORS`). Limits: photons from hadrons convert, but there are no electromagnetic showers; no elastic
scattering of hadrons; charm, beauty and J/psi from first collisions only; no Drell-Yan, no D -> tau -> mu nor
b -> c -> mu, no muons from hyperons and K_S; plain slabs for geometry, no magnetic field in the absorber.

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
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY, TRAINING
from shipgen.files.outputs import check_output, unfinished, work_folder
from shipgen.files.tree_writer import RootWriter
from shipgen.generate.streams import draw_seed
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.simulation.block import SimulationSettings, simulate_block
from shipgen_export.simulation.block_files import block_file, read_block, write_block
from shipgen_export.simulation.muon_counts import MuonCounts
from shipgen_export.simulation.physics.cascade import BEAM_MOMENTUM
from shipgen_export.simulation.physics.hadron_weights import HADRONS
from shipgen_export.simulation.physics.muon_range import MuonRange
from shipgen_export.simulation.physics.pythia import import_pythia
from shipgen_export.simulation.sample_facts import code_digest, provenance
from shipgen_export.simulation.target import read_target
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_WORK = "shipgen simulate"

#: The most protons that share the starts of Pythia (2 s) and a place in the order of the file.
BLOCK_PROTONS = 6000
#: Protons that tell how many it takes for a number of muons, and how many more are taken to be sure.
PILOT_PROTONS, _MARGIN = 600, 1.005
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
        How much: so many protons, or as many as it takes for that many muons or a few more. One of the two.
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
    _check_possible(settings)
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


def _check_possible(settings: SimulationSettings) -> None:
    """Raise `InputError` where no muon can come out, or the survival table is not that of the slabs."""
    if settings.momentum_cut >= BEAM_MOMENTUM:
        raise InputError(
            f"no muon has the momentum cut of {settings.momentum_cut:g} GeV: "
            f"the beam has {BEAM_MOMENTUM:g} GeV"
        )
    # Nothing that could make a muon gets far into slabs that thick.
    front, along = np.array([settings.target.start]), np.array([[0.0, 0.0, BEAM_MOMENTUM]])
    muon_range = MuonRange(settings.target)
    if not muon_range.survival(front, along)[0]:
        raise InputError(
            f"no muon comes out of the target {settings.target.name}: its slabs take "
            f"{muon_range.crossing_energy:.3g} GeV, and the beam has {BEAM_MOMENTUM:g} GeV"
        )


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


def _tasks(settings: SimulationSettings, first: int, protons: int, size: int) -> Iterator[BlockTask]:
    """Yield blocks of `size` protons, `protons` in all, numbered from `first`; the last one is smaller."""
    for number in range(math.ceil(protons / size)):
        yield BlockTask(settings, first + number, min(size, protons - number * size))


def _enough(
    folder: Path, settings: SimulationSettings, protons: int | None, muons: int | None, workers: Any
) -> list[FinishedBlock]:
    """Simulate all blocks of `protons`, or as many as it takes for `muons`."""
    finished: list[FinishedBlock] = []
    work = partial(_simulate, folder)
    amount, unit = (protons or muons), ("protons" if protons else "muons")
    with progress("simulating", amount, unit) as advance:

        def take(blocks: Iterable[FinishedBlock]) -> None:
            for block in blocks:
                finished.append(block)
                advance(block.task.protons if protons else block.muons)

        if protons is not None:
            with workers(work, _tasks(settings, 0, protons, settings.block_protons)) as results:
                take(results)
        elif muons is not None:
            # A few protons tell how many it takes; what is then still missing is little, and made here too.
            take([work(BlockTask(settings, 0, min(PILOT_PROTONS, settings.block_protons)))])
            if more := _missing(folder, finished, muons):
                size = even_blocks(more, settings.block_protons)
                with workers(work, _tasks(settings, len(finished), more, size)) as results:
                    take(results)
            while more := _missing(folder, finished, muons):
                take([work(BlockTask(settings, len(finished), min(more, settings.block_protons)))])
    return finished


def _missing(folder: Path, finished: list[FinishedBlock], muons: int) -> int:
    """Return how many more protons it takes for so many muons, by what those so far have given."""
    made = sum(block.muons for block in finished)
    protons = sum(block.task.protons for block in finished)
    if not made:
        _remove(folder, [block.task for block in finished])
        raise InputError(f"no muon came out of the first {protons} protons: say how much by protons")
    return math.ceil(max(muons - made, 0) * _MARGIN * protons / made)


def _remove(folder: Path, tasks: list[BlockTask]) -> None:
    for task in tasks:
        block_file(folder, task.number, task.protons).unlink()


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
    with RootWriter(output, TRAINING, target_start=settings.target.start, force=force) as writer:
        for task in tasks:
            block = read_block(block_file(folder, task.number, task.protons))
            columns = {**block.columns, "weight": block.weight / pot}
            if len(columns["weight"]):
                writer.extend(columns)
            tally.add(columns, block.heavy_events)
        if not tally.muons:
            _remove(folder, tasks)
            raise InputError(f"no muon came out of {pot} protons: simulate more")
        writer.write_json(PROVENANCE_KEY, provenance(settings, pot, tally, command))
        summary = {"PoT": pot, "EnergyCut": settings.muon_energy_cut, "prodSite": "shipgen simulate"}
        writer.write_json(FILE_SUMMARY_KEY, summary)
    return tally
