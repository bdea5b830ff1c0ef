"""The files of a production: grown by clusters, published when complete, taken up again after a stop."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from shipgen.errors import InputError, OutputError
from shipgen.files.cluster_file import ClusterFile, intact
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import parse_compression
from shipgen.files.journal import JOURNAL, Journal, JournalContent, JournalEntry, read_journal
from shipgen.files.outputs import check_output, rename
from shipgen.files.root_storage import content_hash
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.preflight import read_provenance
from shipgen.production.produced_file import ProducedFile

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.files.clusters import Cluster
    from shipgen.files.root_storage import Stored
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch
    from shipgen.production.order import Order

#: Ending of a file while it grows: no name of an output is one of the bookkeeping's.
_GROWING = ".growing"


@dataclass(frozen=True, slots=True)
class Part:
    """Muons on their way to a file.

    Attributes
    ----------
    file : int
        Number of the file, from 0.
    cluster : Cluster
        The muons.
    counts : tuple of int
        How many of each category.
    """

    file: int
    cluster: Cluster
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartEncoder:
    """Encodes muons of a chunk, cut where files end; runs in the workers, in other processes as well.

    Attributes
    ----------
    encode : ClusterEncoder
        From columns to clusters.
    rows : range
        Numbers in the plan of the muons to encode.
    first, limit : int
        Number in the plan of the first file's first muon, and muons of each file.
    categories : int
        How many there are.
    weighted : bool
        Whether muons differ in weight.
    """

    encode: ClusterEncoder
    rows: range
    first: int
    limit: int
    categories: int
    weighted: bool

    def __call__(self, chunk: Chunk, batch: Batch) -> list[Part]:
        """Encode those muons of `chunk` that are to be encoded."""
        # A file's first muon may lie within a chunk.
        start = chunk.index * CHUNK_SIZE
        row, stop = max(start, self.rows.start), min(start + chunk.size, self.rows.stop)
        columns = batch.columns()
        if not self.weighted:
            # The same for all muons: stored as a constant.
            del columns["weight"]
        parts = []
        while row < stop:
            file = (row - self.first) // self.limit
            end = min(stop, self.first + (file + 1) * self.limit)
            own = slice(row - start, end - start)
            counts = replace(chunk, labels=chunk.labels[own]).counts(self.categories)
            cluster = self.encode({name: column[own] for name, column in columns.items()})
            parts.append(Part(file, cluster, counts))
            row = end
        return parts


class Production:
    """Takes the muons of a generator to their files; a context manager, which closes what is open.

    Parameters
    ----------
    order : Order
        Whose muons, where to, and how.
    folder : Path
        For what is not complete; what an interrupted production left there is used if its journal is of the
        order's key.

    Attributes
    ----------
    rows : int
        Muons on disk.
    kept : int
        How many of them an earlier run left.
    notes : list of str
        What of an earlier run could not be used, and why.
    """

    def __init__(self, order: Order, folder: Path) -> None:
        self._order, self._files, self._folder = order, order.files, folder
        bundle, self._layout = order.generator.bundle, order.layout
        self._categories, self._weighted = len(bundle.entries), order.generator.weighted
        self._compression = parse_compression(order.compression)
        constants = {"energy_cut": bundle.energy_cut, "weight": order.generator.plan.weight}
        self._encode = ClusterEncoder(order.layout, constants, bundle.target_start, self._compression)
        self._open: ClusterFile | None = None
        self.notes: list[str] = []
        path, key = folder / JOURNAL, order.key()
        self._found = self._take_up(read_journal(path))
        self._journal = Journal(path, key, self._found)
        self._counts = np.zeros((len(order.files), self._categories), np.int64)
        self._weights: list[float] = []
        for entry in self._found:
            self._counts[entry.file] += entry.counts or 0
            self._add_weight(entry.stored or entry)
        self.kept = self.rows = int(self._counts.sum())

    def __enter__(self) -> Self:
        try:
            self._complete()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()
        if self._open is not None:
            self._open.__exit__()
        if not self.rows:
            # Nothing to go on with.
            for path in (self._folder / JOURNAL, *self._folder.glob(f"*{_GROWING}")):
                path.unlink(missing_ok=True)

    @property
    def weight(self) -> float | None:
        """Sum of the weights of the muons on disk, ``None`` where all weights are the same."""
        return math.fsum(self._weights) if self._weighted else None

    def counts(self, file: int | None = None) -> tuple[int, ...]:
        """Return the muons of each category on disk, in file number `file` or in all."""
        counts = self._counts.sum(0) if file is None else self._counts[file]
        return tuple(counts.tolist())

    def _growing(self, file: int) -> Path:
        """Return the path of file number `file` while it is not complete."""
        return self._folder / f"{self._files.name(file).name}{_GROWING}"

    def _take_up(self, journal: JournalContent) -> list[JournalEntry]:
        """Return what of the journal is there: whole files, and good clusters of one that is not."""
        same = journal.key == json.loads(json.dumps(self._order.key()))
        entries = self._fitting(journal.entries) if same else []
        damaged = journal.damaged or (same and len(entries) < len(journal.entries))
        if damaged:
            self.notes.append(f"{self._folder.name}/{JOURNAL} is damaged: what it cannot tell is made anew")
        taken: list[JournalEntry] = []
        for file in range(len(self._files)):
            mine = [entry for entry in entries if entry.file == file]
            stored = [entry.stored for entry in mine if entry.stored]
            if mine and mine[-1].stored is None:
                self._check_published(file, stored)
                taken += mine
            elif (damaged or self._is_full(file, stored)) and (found := self._published(file)):
                # Stopped between giving the file its name and noting that, or the note is lost.
                taken += [*mine, JournalEntry(file)] if self._is_full(file, stored) else [found]
            elif not mine:
                break
            else:
                good = intact(self._growing(file), self._layout, stored)
                if len(good) < len(stored):
                    self.notes.append(
                        f"{self._folder.name}/{self._growing(file).name} is damaged: the first "
                        f"{sum(one.rows for one in good):,} of its muons are kept"
                    )
                return [*taken, *mine[: len(good)]]
        return taken

    def _fitting(self, entries: list[JournalEntry]) -> list[JournalEntry]:
        """Return the first of `entries` that follow each other as this production writes them."""
        file = rows = 0
        for number, entry in enumerate(entries):
            if entry.file != file or file == len(self._files):
                return entries[:number]
            whole, muons = self._files.rows(file), sum(entry.counts)
            if entry.stored is None:
                if (rows, muons) not in {(whole, 0), (0, whole)}:
                    return entries[:number]
                file, rows = file + 1, 0
            else:
                place = self._files.place(file) + rows
                if muons != min(CHUNK_SIZE - place % CHUNK_SIZE, whole - rows):
                    return entries[:number]
                rows += muons
        return entries

    def _is_full(self, file: int, stored: list[Stored]) -> bool:
        return sum(one.rows for one in stored) == self._files.rows(file)

    def _published(self, file: int) -> JournalEntry | None:
        """Return an entry of file number `file` if it stands complete under its name, its hash compared."""
        name = self._files.name(file)
        if self._growing(file).exists() or not name.exists():
            return None
        facts = read_provenance(name, self._layout.tree)
        if facts is None or not self._order.is_file(file, facts):
            return None
        ProducedFile.open(name).check()
        weight = float(facts["sum_of_weights"]) if self._weighted else None
        return JournalEntry(file, None, tuple(facts["counts"].values()), weight)

    def _check_published(self, file: int, stored: list[Stored]) -> None:
        """Raise `InputError` where another file has the name of one that was completed; none is told."""
        name = self._files.name(file)
        if not name.exists():
            self.notes.append(
                f"{name} was complete and is not here any more: it is not made again (--force begins anew)"
            )
            return
        facts = read_provenance(name, self._layout.tree)
        if (
            facts is None
            or not self._order.is_file(file, facts)
            or (stored and facts["clusters"]["xxh3"] != content_hash(stored))
        ):
            raise InputError(
                f"{name} is not the file that was made of these muons: move it away, then go on by --resume"
            )
        ProducedFile.open(name).check()

    def _complete(self) -> None:
        """Publish what only lacked that."""
        published = {entry.file for entry in self._found if entry.stored is None}
        for file in {entry.file for entry in self._found} - published:
            if self._counts[file].sum() == self._files.rows(file):
                self._publish(file, self._grow(file))
                published.add(file)
        for file in range(len(self._files)):
            if file not in published:
                check_output(self._files.name(file), force=self._order.force)

    @property
    def encode(self) -> PartEncoder:
        """What makes parts of those muons of a chunk that are not on disk."""
        first, limit = self._files.first, self._files.limit
        rows = range(first + self.kept, first + self._files.total)
        return PartEncoder(self._encode, rows, first, limit, self._categories, self._weighted)

    def append(self, part: Part) -> None:
        """Write `part`, and publish its file when that is full; raise OSError where that fails."""
        growing = self._open or self._grow(part.file)
        stored = growing.append(part.cluster)
        self._journal.add(JournalEntry(part.file, stored, part.counts))
        self._add_weight(stored)
        self._counts[part.file] += part.counts
        self.rows += part.cluster.rows
        if self._counts[part.file].sum() == self._files.rows(part.file):
            self._publish(part.file, growing)

    def _add_weight(self, stored: Stored | JournalEntry) -> None:
        if stored.weight is not None:
            self._weights.append(stored.weight)

    def _grow(self, file: int) -> ClusterFile:
        """Open file number `file` behind its last cluster."""
        stored = [entry.stored for entry in self._found if entry.file == file and entry.stored]
        self._found = []
        self._open = ClusterFile(self._growing(file), self._layout, self._compression, stored)
        return self._open

    def _publish(self, file: int, growing: ClusterFile) -> None:
        """Complete file number `file` and give it its name."""
        growing.finish(self._order.objects(file, self.counts(file), growing.stored))
        growing.__exit__()
        self._open = None
        name = self._files.name(file)
        if name.exists() and not self._order.force:
            raise OutputError(f"{name} was made by something else meanwhile: it is kept")
        rename(self._growing(file), name.resolve())
        self._journal.add(JournalEntry(file))
