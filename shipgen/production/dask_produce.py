"""A production on a Dask cluster: a task a shard, whose file counts when it was read back and is right."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.outputs import (
    check_idle,
    check_output,
    complete_file,
    discard_work,
    unfinished,
    write_json,
)
from shipgen.files.rootfile import base_name, is_remote
from shipgen.generate.shards import Shard
from shipgen.generate.streams import draw_seed
from shipgen.production.dask_cluster import as_completed, connect
from shipgen.production.manifest import Manifest
from shipgen.production.order import Order
from shipgen.production.preflight import check_stale, earlier_seed
from shipgen.production.produced_file import ProducedFile
from shipgen.production.request import carry_out
from shipgen.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from shipgen.files.rootfile import Location
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.plan import Plan
    from shipgen.production.request import Request

#: So many shards where that is not said, unless they would be larger than so many chunks: 67 million muons,
#: half a minute of a core and 1.4 GB.
_SHARDS, _LARGEST = 16, 256

#: How long a task waits for another worker that still makes the same shard, and how often it looks, s.
_PATIENCE, _INTERVAL = 900.0, 5.0


@dataclass(frozen=True)
class ShardTask:
    """A shard to make, by a bundle of that hash."""

    request: Request
    bundle: str

    def __str__(self) -> str:
        return f"shard {self.request.shard}"


@dataclass(frozen=True)
class ShardMade:
    """The files of a shard, their muons, and whether they stood there complete."""

    locations: tuple[Location, ...]
    muons: int
    found: bool


@dataclass(frozen=True)
class DaskProduction:
    """What was made on a cluster.

    Attributes
    ----------
    manifest : Manifest
        All files.
    path : Path
        Where it was written.
    generator : MuonGenerator
        Bundle and plan.
    seconds : float
        How long it took.
    found : int
        Muons of an earlier run.
    """

    manifest: Manifest
    path: Path
    generator: MuonGenerator
    seconds: float
    found: int


def default_shards(plan: Plan) -> int:
    """Return the number of shards where that is not said; it follows from the amount alone."""
    return min(len(plan), max(_SHARDS, -(-len(plan) // _LARGEST)))


def produce_on(
    where: str,
    request: Request,
    *,
    shards: int | None = None,
    jobs: int | None = None,
    warn: Callable[[str], Any] = lambda _: None,
) -> DaskProduction:
    """Produce on a Dask cluster, all shards of `request`; write their manifest beside them.

    A shard whose worker is lost is made by another one, from where it stopped if that can be seen from there.

    Parameters
    ----------
    where, jobs
        As for `shipgen.production.dask_cluster.connect`.
    request : Request
        What to produce; `resume` goes on with what an interrupted run left.
    shards : int, optional
        How many.
    warn : callable
        Takes a warning.

    Raises
    ------
    InputError
        A number is out of range, an output cannot be made, or the cluster cannot be reached.
    ShipgenError
        A shard failed; those that are complete stay.
    KeyboardInterrupt
        Interrupted; says what is kept.
    """
    started = time.perf_counter()
    # What cannot be made is said before anything is.
    _ = request.root_layout, request.location
    request = _with_seed(request)
    generator = request.generator()
    if not generator.plan.total:
        raise InputError("the Poisson draw gave no muon: ask for more, or for an exact number (--exact)")
    number = shards or default_shards(generator.plan)
    tasks = _tasks(request, generator, number)
    manifest_path = _manifest_path(request)
    check_output(manifest_path, force=True)
    _check_outputs(request, generator, tasks)
    if number > len(generator.plan):
        warn(f"{number:,} shards of {len(generator.plan):,} chunks: several make the same chunk, in parts")
    files: list[ProducedFile] = []
    found = 0
    with (
        connect(where, jobs, warn) as client,
        progress("producing", generator.plan.total, "muons") as advance,
    ):
        try:
            for _, done in as_completed(client, make_shard, tasks):
                # As this machine sees them; their hashes were compared where they were written.
                files += [ProducedFile.open(location) for location in done.locations]
                found += done.muons if done.found else 0
                advance(done.muons)
        except KeyboardInterrupt:
            muons = sum(file.muons for file in files)
            raise KeyboardInterrupt(
                f"{muons:,} of {generator.plan.total:,} muons are in complete shards: go on by --resume"
            ) from None
    manifest = Manifest.of(files)
    with complete_file(manifest_path, force=True) as part:
        write_json(part, manifest.to_json(manifest_path.absolute().parent))
    return DaskProduction(manifest, manifest_path, generator, time.perf_counter() - started, found)


def make_shard(task: ShardTask) -> ShardMade:
    """Make one shard, or go on with it, and read back what was written; runs in a worker."""
    location = task.request.location
    if isinstance(location, Path):
        _wait_for_others(location)
    made = carry_out(task.request, lambda _: None)
    if made.generator.bundle.sha256 != task.bundle:
        raise InputError(f"the bundle {made.generator.bundle.path} is another one where {task} was made")
    for place in made.locations:
        file = ProducedFile.open(place)
        if not made.report.found:
            file.check()
    return ShardMade(made.locations, made.report.muons, made.report.found)


def _wait_for_others(path: Path) -> None:
    """Wait while another worker, perhaps cut off from the scheduler, makes the same shard."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            check_idle(path)
        except InputError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_INTERVAL)
        else:
            return


def _with_seed(request: Request) -> Request:
    """Return the request with a seed: that of what an interrupted run left, or a new one."""
    if request.seed is not None:
        return request
    seeds = _earlier_seeds(Path(request.output)) if request.resume and not is_remote(request.output) else ()
    return replace(request, seed=next(iter(seeds), None) or draw_seed())


def _earlier_seeds(output: Path) -> Iterator[int]:
    """Yield the seeds of the shards that stand or were begun."""
    names = f"{escape(output.stem)}_shard*of*{escape(output.suffix)}"
    for path in (*output.parent.glob(names), *output.parent.glob(f"{names}.work")):
        seed = earlier_seed(path.with_suffix("") if path.suffix == ".work" else path, split=False)
        if seed is not None:
            yield seed


def _tasks(request: Request, generator: MuonGenerator, shards: int) -> list[ShardTask]:
    """Return a task a shard, good in any folder of any machine that shares this one's disks."""
    remote = is_remote(request.output)
    common = replace(
        request,
        output=request.output if remote else str(Path(request.output).absolute()),
        bundle=str(generator.bundle.path.absolute()),
        # A worker has as many tasks as threads.
        workers=request.workers or 1,
        resume=True,
    )
    digest = generator.bundle.sha256
    return [ShardTask(replace(common, shard=shard), digest) for shard in Shard.all(shards)]


def _manifest_path(request: Request) -> Path:
    """Return where the manifest goes: beside the output, or here where that is at a URL."""
    output = Path(base_name(request.output) if is_remote(request.output) else request.output)
    return output.with_suffix(".json")


def _check_outputs(request: Request, generator: MuonGenerator, tasks: list[ShardTask]) -> None:
    """Raise `InputError` where a shard's file cannot be made; remove what is to be replaced."""
    for task in tasks:
        location = task.request.location
        if isinstance(location, str):
            continue
        shard = task.request.shard
        files = Order.of(generator, location, max_per_file=request.max_per_file, shard=shard).files
        check_stale(files)
        if request.force:
            discard_work(location)
        elif not request.resume:
            if unfinished(location) is not None:
                raise InputError(f"{location.name} was begun: --resume goes on, --force begins anew")
            for file in range(len(files)):
                check_output(files.name(file), force=False)
