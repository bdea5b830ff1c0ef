"""Produce muons into files: generator -> clusters -> ROOT, streamed, resumable, with provenance."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from shipgen import interrupts
from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen.files.compressions import DEFAULT_COMPRESSION
from shipgen.files.journal import JOURNAL, read_journal
from shipgen.files.layouts import MUONBACK
from shipgen.files.outputs import (
    check_key,
    check_output,
    complete_file,
    damaged_work,
    discard_work,
    output_error,
    unfinished,
    work_folder,
)
from shipgen.files.rootfile import is_remote
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.order import Order
from shipgen.production.output_files import Production
from shipgen.production.preflight import check_request, check_stale, read_provenance
from shipgen.production.produced_file import ProducedFile
from shipgen.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shipgen.files.layouts import Layout
    from shipgen.files.rootfile import Location
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.shards import Shard
    from shipgen.provenance import ProducedFacts


#: What an interrupt leaves of a file of arrays.
NOTHING_KEPT = "nothing was kept, the same command begins anew"


@dataclass(frozen=True, slots=True)
class ProductionReport:
    """What a production made.

    Attributes
    ----------
    muons : int
        Entries written.
    weight : float
        Their sum of weights.
    counts : dict of str to int
        Muons of each category.
    seconds : float
        How long it took.
    kept : int
        Muons of these that an interrupted run had written.
    files : tuple of Path
        Where they are.
    found : bool
        Whether all of them stood there complete.
    """

    muons: int
    weight: float
    counts: dict[str, int]
    seconds: float
    kept: int
    files: tuple[Path, ...]
    found: bool = False


def produce(
    generator: MuonGenerator,
    path: Path,
    *,
    layout: Layout = MUONBACK,
    compression: str = DEFAULT_COMPRESSION,
    max_per_file: int | None = None,
    shard: Shard | None = None,
    force: bool = False,
    resume: bool = False,
    command: str = "",
    warn: Callable[[str], Any] = lambda _: None,
) -> ProductionReport:
    """Write all muons of `generator` to `path`, which appears when it is complete.

    What a run that is killed has written waits in ``PATH.work`` and is used with `resume`.

    Parameters
    ----------
    generator : MuonGenerator
        Bundle, amount, seed.
    path : Path
        The ROOT file.
    layout : Layout
        Tree and branches.
    compression : str
        ``zstd:1`` and the like, or ``none``.
    max_per_file : int, optional
        Split into files of so many muons, ``out_000.root`` and so on.
    shard : Shard, optional
        Write this part of the muons only; by convention to `shard.path` of a path that all shards share.
    force : bool
        Replace existing files, and drop what an interrupted run left.
    resume : bool
        Go on where an interrupted run stopped; begin where there was none; do nothing where the same
        production is complete.
    command : str
        The command line, for the file's provenance.
    warn : callable
        Takes a line where what an interrupted run left is damaged, or arrays are made anew.

    Raises
    ------
    InputError
        The output cannot be made, the Poisson draw gave no muon at all, or an interrupted run left something
        and `resume` is not given, or was another production.
    OutputError
        Writing failed; says what is kept, as do the following.
    BundleError, DeviceError
        A network failed, or made numbers that are not finite.
    MemoryError
        There is not enough.
    KeyboardInterrupt
        Interrupted.
    """
    check_request(path, layout, compression, max_per_file, force=force, resume=resume)
    order = Order.of(
        generator,
        path,
        layout=layout,
        compression=compression,
        max_per_file=max_per_file,
        shard=shard,
        force=force,
        command=command,
    )
    check_stale(order.files)
    if resume and not force and (report := find_complete(order)):
        return report
    return fulfil(order, resume=resume, warn=warn)


def fulfil(order: Order, *, resume: bool, warn: Callable[[str], Any]) -> ProductionReport:
    """Write what is ordered, checked beforehand, as `produce` says."""
    started, files, generator = time.perf_counter(), order.files, order.generator
    if order.layout.kind != "root":
        return _fulfil_arrays(order, resume=resume, warn=warn)
    if not resume:
        for file in range(len(files)):
            check_output(files.name(file), force=order.force)
        discard_work(files.path)
    if (damaged := damaged_work(files.path)) is not None:
        _check_journal(damaged, order)
        warn(f"{damaged.parent.name}/{damaged.name} is damaged: only what the journal tells is used")
    with work_folder(files.path, order.key(), own_keys=True) as folder:
        with Production(order, folder) as production:
            for note in production.notes:
                warn(note)
            _run(production, order)
        counts = production.counts()
    names = [entry.category.name for entry in generator.bundle.entries]
    return ProductionReport(
        muons=files.total,
        weight=order.weight(files.total) if production.weight is None else production.weight,
        counts=dict(zip(names, counts, strict=True)),
        seconds=time.perf_counter() - started,
        kept=production.kept,
        files=tuple(files.name(file) for file in range(len(files))),
    )


def _check_journal(damaged: Path, order: Order) -> None:
    """Raise `InputError` unless work is the order's by its journal; what else says so was `damaged`."""
    folder, wanted = damaged.parent, json.loads(json.dumps(order.key()))
    if unfinished(order.files.path) or not (folder / JOURNAL).is_file():
        # An earlier version's, which the folder's key tells of; or nothing that could be lost.
        return
    if (found := read_journal(folder / JOURNAL).key) is None:
        raise InputError(
            f"{damaged} and its journal are damaged, so that nobody can tell which muons are in "
            f"{folder.name}: remove that folder, and run again"
        )
    check_key(folder, found, wanted)


def _fulfil_arrays(order: Order, *, resume: bool, warn: Callable[[str], Any]) -> ProductionReport:
    """Write files of arrays: each appears when it is complete, and one that is not is begun anew."""
    # Only this needs it.
    from shipgen.generate.array_file import write_array_file

    started, files, kept = time.perf_counter(), order.files, 0
    names = [entry.category.name for entry in order.generator.bundle.entries]
    counts: Counter[str] = Counter()
    weights = []
    there = {file: _complete(order, file) for file in range(len(files))} if resume and not order.force else {}
    for file in range(len(files)):
        if not there.get(file):
            check_output(files.name(file), force=order.force)
    if resume:
        warn(
            "files of arrays are made anew: a production goes on where it was interrupted in ROOT files only"
        )
    complete = 0
    with (
        whole_or_nothing(order.layout, lambda: complete, files.total),
        progress("producing", files.total, "muons") as advance,
    ):
        for file in range(len(files)):
            if facts := there.get(file):
                counts.update(facts["counts"])
                weights.append(facts["sum_of_weights"])
                kept += files.rows(file)
                complete += files.rows(file)
                advance(files.rows(file))
                continue
            with complete_file(files.name(file), force=order.force) as part:
                found, weight = write_array_file(
                    part,
                    order.generator,
                    order.layout,
                    range(files.place(file), files.place(file) + files.rows(file)),
                    partial(order.array_objects, file),
                    advance,
                )
            complete += files.rows(file)
            counts.update(dict(zip(names, found, strict=True)))
            weights.append(weight)
    paths = tuple(files.name(file) for file in range(len(files)))
    seconds = time.perf_counter() - started
    return ProductionReport(files.total, math.fsum(weights), dict(counts), seconds, kept, paths)


@contextmanager
def whole_or_nothing(
    layout: Layout, complete: Callable[[], int] = lambda: 0, total: int = 0
) -> Iterator[None]:
    """Say of an interrupt in the context what is kept of arrays, muons in `complete` files of `total`."""
    try:
        yield
    except (ShipgenError, OSError, KeyboardInterrupt) as error:
        if layout.kind == "root" or not (interrupts.seen() or isinstance(error, KeyboardInterrupt)):
            raise
        kept = f"{complete():,} of {total:,} muons are kept in complete files: go on by --resume"
        raise KeyboardInterrupt(kept if complete() else NOTHING_KEPT) from None


def _run(production: Production, order: Order) -> None:
    """Stream the muons that are not on disk to their files, with progress; say what is kept on a failure."""
    files, total, path = order.files, order.files.total, order.files.path
    first, stop = (files.first + production.kept) // CHUNK_SIZE, -(-(files.first + total) // CHUNK_SIZE)
    try:
        with progress("producing", total, "muons") as advance:
            advance(production.kept)
            if production.kept == total:
                return
            for parts in order.generator.run(production.encode, first=first, stop=stop, apart=True):
                for part in parts:
                    interrupts.check()
                    production.append(part)
                    advance(part.cluster.rows)
    except (ShipgenError, OSError, MemoryError, KeyboardInterrupt) as error:
        kept = ""
        if production.rows:
            kept = f"{production.rows:,} of {total:,} muons are kept in {path.name}.work: go on by --resume"
        _tell_kept(path, error, kept)


def _tell_kept(path: Path, error: BaseException, kept: str) -> NoReturn:
    """Raise `error` again as what the command line tells in one line, with what is `kept`."""
    end = f"; {kept}" if kept else ""
    if interrupts.seen():
        raise KeyboardInterrupt(kept) from None
    if isinstance(error, ShipgenError):
        error.args = (f"{error}{end}",)
        raise error
    if isinstance(error, OSError):
        raise OutputError(f"{output_error(path, error)}{end}") from error
    if isinstance(error, MemoryError):
        raise MemoryError(f"fewer --workers take less{end}") from error
    raise KeyboardInterrupt(kept) from None


def _complete(
    order: Order, file: int, at: Callable[[Path], Location] = lambda path: path
) -> ProducedFacts | None:
    """Return what file number `file` says of itself if it is complete and the one that is ordered."""
    tree = order.layout.tree if order.layout.kind == "root" else None
    location = at(order.files.name(file))
    found = read_provenance(location, tree)
    if found is None or not order.is_file(file, found):
        return None
    # What is said to be complete is so to the last bit; what is at a URL was read back by who sent it.
    if tree is None and isinstance(location, Path):
        # Only this needs it.
        from shipgen.files.convert import open_muons

        with open_muons(location) as muons:
            muons.check()
    elif not is_remote(location) and "clusters" in found:
        ProducedFile.open(location).check()
    return found


def find_complete(
    order: Order, at: Callable[[Path], Location] = lambda path: path
) -> ProductionReport | None:
    """Return the report of the same production if it stands complete, ``None`` otherwise.

    The same has the same seed, bundle, amount, shard, layout and number of files; `at` says where a file is
    that is kept elsewhere.
    """
    files, total = order.files, order.files.total
    if unfinished(files.path) is not None:
        return None
    counts: Counter[str] = Counter()
    weights = []
    for file in range(len(files)):
        if (found := _complete(order, file, at)) is None:
            return None
        counts.update(found["counts"])
        weights.append(found["sum_of_weights"])
    paths = tuple(files.name(file) for file in range(len(files)))
    return ProductionReport(total, math.fsum(weights), dict(counts), 0.0, total, paths, found=True)
