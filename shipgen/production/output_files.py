"""The files of a production: grown by clusters, published when complete, taken up again after a stop."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import OutputError
from shipgen.files.cluster_file import ClusterFile, intact
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.journal import Journal, JournalEntry, read_journal
from shipgen.files.outputs import check_output, rename
from shipgen.files.tree_writer import parse_compression
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from shipgen.files.clusters import Cluster
    from shipgen.files.layouts import Layout
    from shipgen.files.root_storage import Stored
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch

_JOURNAL = "journal"

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
class Files:
    """Names and sizes of the files of a production.

    Attributes
    ----------
    path : Path
        The file, or what the names of several are made of.
    total : int
        Muons in all files.
    most : int, optional
        Muons a file; ``None`` puts all into one.
    first : int
        Number that the first muon has in the plan; not 0 for a shard.
    """

    path: Path
    total: int
    most: int | None = None
    first: int = 0

    def __len__(self) -> int:
        return 1 if self.most is None else -(-self.total // self.most)

    @property
    def limit(self) -> int:
        """Muons of a full file."""
        return self.most or max(self.total, 1)

    def name(self, file: int) -> Path:
        """Return the path of file number `file`: ``out_000.root`` and so on where there may be several."""
        if self.most is None:
            return self.path
        digits = max(3, len(str(len(self) - 1)))
        return self.path.with_name(f"{self.path.stem}_{file:0{digits}}{self.path.suffix}")

    def rows(self, file: int) -> int:
        """Return the muons of file number `file`."""
        return min(self.limit, self.total - file * self.limit)

    def place(self, file: int) -> int:
        """Return the number that the first muon of file number `file` has in the plan."""
        return self.first + file * self.limit

    def stale(self) -> list[Path]:
        """Return the files that look like more of this production, left by one of more files."""
        if self.most is None:
            return []
        mine = {self.name(file).name for file in range(len(self))}
        return [path for path in numbered(self.path) if path.name not in mine]


def numbered(path: Path) -> list[Path]:
    """Return the files beside `path` whose names are of its production, in the order of their numbers."""
    name = re.compile(rf"{re.escape(path.stem)}_(\d{{3,}}){re.escape(path.suffix)}")
    found = [(name.fullmatch(other.name), other) for other in path.parent.glob("*")]
    return [other for _, other in sorted((int(match[1]), other) for match, other in found if match)]


def content_hash(stored: Iterable[Stored]) -> str:
    """Return the hash (XXH3, 64 bits) of a file's clusters, made of their own in order."""
    import xxhash

    return str(xxhash.xxh3_64_hexdigest("".join(one.check for one in stored).encode()))


def kept_muons(folder: Path) -> int:
    """Return the muons that the journal in a production's work folder names, of whatever key."""
    return sum(entry.stored.rows for entry in read_journal(folder / _JOURNAL, None) if entry.stored)


class Production:
    """Takes the muons of a generator to their files; a context manager, which closes what is open.

    Parameters
    ----------
    generator : MuonGenerator
        Bundle and plan.
    files : Files
        Where to.
    folder : Path
        For what is not complete; what an interrupted production left there is used.
    key : mapping
        All that the files' bytes depend on, as JSON; the journal of another key is not used.
    layout : Layout
        Tree and branches.
    compression : str
        As for `shipgen.files.tree_writer.parse_compression`.
    describe : callable
        Gives the objects (name to text) to store in a file, from its number, its muons of each category and
        its clusters.
    force : bool
        Replace existing files.

    Attributes
    ----------
    rows : int
        Muons on disk.
    kept : int
        How many of them an earlier run left.
    """

    def __init__(
        self,
        generator: MuonGenerator,
        files: Files,
        folder: Path,
        *,
        key: Mapping[str, Any],
        layout: Layout,
        compression: str,
        describe: Callable[[int, tuple[int, ...], Sequence[Stored]], Mapping[str, str]],
        force: bool,
    ) -> None:
        self._describe = describe
        bundle, self._files, self._folder, self._force = generator.bundle, files, folder, force
        self._categories, self._weighted = len(bundle.entries), generator.weighted
        self._layout, self._compression = layout, parse_compression(compression)
        constants = {"energy_cut": bundle.energy_cut, "weight": generator.plan.weight}
        self._encode = ClusterEncoder(layout, constants, bundle.target_start, self._compression)
        self._open: ClusterFile | None = None
        self._found = self._take_up(read_journal(folder / _JOURNAL, key))
        self._journal = Journal(folder / _JOURNAL, key, self._found)
        self._counts = np.zeros((len(files), self._categories), np.int64)
        self._weights: list[float] = []
        for entry in self._found:
            self._counts[entry.file] += entry.counts or 0
            self._add_weight(entry.stored)
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
            for path in (self._folder / _JOURNAL, *self._folder.glob(f"*{_GROWING}")):
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

    def _take_up(self, entries: list[JournalEntry]) -> list[JournalEntry]:
        """Return what of `entries` is there: whole files, and good clusters of one that is not."""
        last = max((entry.file for entry in entries), default=0)
        stored = [entry.stored for entry in entries if entry.file == last and entry.stored]
        if not stored or any(entry.file == last and entry.stored is None for entry in entries):
            return entries
        full = sum(one.rows for one in stored) == self._files.rows(last)
        if full and self._files.name(last).exists() and not self._growing(last).exists():
            # Stopped between giving the file its name and noting that.
            return [*entries, JournalEntry(last)]
        good = intact(self._growing(last), stored)
        return [entry for entry in entries if entry.file < last] + [
            entry for entry in entries if entry.file == last
        ][: len(good)]

    def _complete(self) -> None:
        """Publish what only lacked that."""
        published = {entry.file for entry in self._found if entry.stored is None}
        for file in {entry.file for entry in self._found} - published:
            if self._counts[file].sum() == self._files.rows(file):
                self._publish(file, self._grow(file))
                published.add(file)
        for file in range(len(self._files)):
            if file not in published:
                check_output(self._files.name(file), force=self._force)

    def encode(self, chunk: Chunk, batch: Batch) -> list[Part]:
        """Encode those muons of a chunk that are not on disk, cut where files end; runs in the workers."""
        # Rows count from the first muon of the first file on, which may lie within a chunk.
        first, limit = chunk.index * CHUNK_SIZE - self._files.first, self._files.limit
        row, stop = max(first, self.kept), min(first + chunk.size, self._files.total)
        columns = batch.columns()
        if not self._weighted:
            # The same for all muons: stored as a constant.
            del columns["weight"]
        parts = []
        while row < stop:
            end = min(stop, (row // limit + 1) * limit)
            rows = slice(row - first, end - first)
            counts = replace(chunk, labels=chunk.labels[rows]).counts(self._categories)
            cluster = self._encode({name: column[rows] for name, column in columns.items()})
            parts.append(Part(row // limit, cluster, counts))
            row = end
        return parts

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

    def _add_weight(self, stored: Stored | None) -> None:
        if stored is not None and stored.weight is not None:
            self._weights.append(stored.weight)

    def _grow(self, file: int) -> ClusterFile:
        """Open file number `file` behind its last cluster."""
        stored = [entry.stored for entry in self._found if entry.file == file and entry.stored]
        self._found = []
        self._open = ClusterFile(self._growing(file), self._layout, self._compression, stored)
        return self._open

    def _publish(self, file: int, growing: ClusterFile) -> None:
        """Complete file number `file` and give it its name."""
        growing.finish(self._describe(file, self.counts(file), growing.stored))
        growing.__exit__()
        self._open = None
        name = self._files.name(file)
        if name.exists() and not self._force:
            raise OutputError(f"{name} was made by something else meanwhile: it is kept")
        rename(self._growing(file), name.resolve())
        self._journal.add(JournalEntry(file))
