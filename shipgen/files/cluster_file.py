"""A ROOT file that grows by clusters and can be taken up again where it stopped.

Clusters are appended as the records that ROOT stores them in, so a file that was cut off anywhere is good up
to its last whole cluster. Only `ClusterFile.finish` adds what points to them, and makes it a ROOT file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from shipgen.files.compressions import compression_name
from shipgen.files.layouts import PROVENANCE_KEY
from shipgen.files.root_storage import HEAD, Stored, cluster_storage, end_of
from shipgen.files.seals import seal, with_room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shipgen.files.clusters import Cluster
    from shipgen.files.compressions import Compression
    from shipgen.files.layouts import Layout

#: Clusters whose bytes may wait in the system's memory.
_WAITING = 8


class ClusterFile:
    """One TTree or RNTuple in a growing file; a context manager, which closes it.

    Parameters
    ----------
    path : Path
        The growing file; made if nothing is `stored` in it.
    layout : Layout
        Tree, branches, types and units.
    compression : Compression, optional
        That of the clusters, for those who read the file.
    stored : sequence of Stored
        Clusters that are in the file already, as `intact` gives them; what lies behind them is cut off.

    Raises
    ------
    OSError
        The file cannot be written.
    """

    def __init__(
        self, path: Path, layout: Layout, compression: Compression | None, stored: Sequence[Stored] = ()
    ) -> None:
        self._path = path
        self._compression = compression
        self._storage = cluster_storage(layout)
        self.stored = list(stored)
        self._end = end_of(stored)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    @property
    def rows(self) -> int:
        """Muons in the file."""
        return sum(stored.rows for stored in self.stored)

    def append(self, cluster: Cluster) -> Stored:
        """Append `cluster`; an OSError leaves the file as it was, but for bytes behind its end."""
        import xxhash

        buffers: list[Any] = []
        check, place = xxhash.xxh3_64(), self._end
        for column, block in enumerate(cluster.blocks):
            header = self._storage.header(column, cluster.rows, block.size, len(block), place)
            place += len(header) + len(block)
            for buffer in (header + block.head, block.data):
                buffers.append(buffer)
                check.update(buffer)
        _write(self._file, buffers, self._end)
        sizes = tuple(len(block) for block in cluster.blocks)
        length = place - self._end
        self.stored.append(Stored(self._end, length, cluster.rows, sizes, check.hexdigest(), cluster.weight))
        self._end = place
        self._write_behind()
        return self.stored[-1]

    def _write_behind(self) -> None:
        """Have the system begin to write what is new, and forget what is on disk.

        Left alone it keeps all of a file in memory that nobody reads: memory that it takes anew for every
        page, which costs several times what writing does, and a long wait at the end.
        """
        if hasattr(os, "posix_fadvise"):
            start = self.stored[-_WAITING:][0].start
            with suppress(OSError):
                os.posix_fadvise(self._file, start, self._end - start, os.POSIX_FADV_DONTNEED)

    def finish(self, objects: Mapping[str, str]) -> None:
        """Make the file a ROOT file, with `objects` (name to text) stored beside the muons, and seal it."""
        texts = dict(objects)
        if PROVENANCE_KEY in texts:
            texts[PROVENANCE_KEY] = with_room(
                texts, self.stored, HEAD, self._end, compression_name(self._compression)
            )
        # Without what an interrupted attempt may have written before.
        os.ftruncate(self._file, self._end)
        self._storage.finish(self._path, self.stored, texts, self._compression)
        if PROVENANCE_KEY in texts:
            seal(self._path, texts[PROVENANCE_KEY])


def intact(path: Path, layout: Layout, stored: Sequence[Stored]) -> list[Stored]:
    """Return those first clusters of `stored` that the file at `path` holds unharmed, without a gap."""
    if not path.is_file():
        return []
    end = HEAD
    with path.open("rb") as file:
        for number, one in enumerate(stored):
            file.seek(one.start)
            if one.start != end or not _is_cluster(file.read(one.length), layout, one):
                return list(stored[:number])
            end = one.end
    return list(stored)


def _is_cluster(content: bytes, layout: Layout, stored: Stored) -> bool:
    """Return whether `content` has the hash of `stored`, and its rows and sizes."""
    import xxhash

    if xxhash.xxh3_64_hexdigest(content) != stored.check or len(stored.sizes) != len(layout.branches):
        return False
    storage, place = cluster_storage(layout), stored.start
    for column, (size, dtype) in enumerate(zip(stored.sizes, layout.branch_types().values(), strict=True)):
        header = storage.header(column, stored.rows, stored.rows * dtype.itemsize, size, place)
        if not content.startswith(header, place - stored.start):
            return False
        place += len(header) + size
    return place == stored.end


def _write(file: int, buffers: Sequence[Any], place: int) -> None:
    """Write all of `buffers` from `place` on."""
    left = [memoryview(buffer).cast("B") for buffer in buffers]
    while left:
        # No system takes more than 1024 buffers a call.
        written = os.pwritev(file, left[:512], place)
        place += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]
