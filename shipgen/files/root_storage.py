"""How ROOT stores clusters: baskets of a TTree, or pages of an RNTuple, and what points to them.

Clusters were written beforehand; the description of an RNTuple is made by uproot, with what it has no public
interface for. Tests read the files back by uproot and by ROOT.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipgen.files.compressions import NO_COMPRESSION
from shipgen.files.root.records import DIRECTORY, KEY, KEY_VERSION, frame, string, text_record
from shipgen.files.root.trees import TreeBranch, tree_record
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from shipgen.files.compressions import Compression
    from shipgen.files.layouts import Layout

#: Where clusters begin, with room for a file's head.
HEAD = 2**13

#: What a TBasket adds to its key: version, buffer size, bytes an entry, entries, end of the data, a flag.
_BASKET = struct.Struct(">HiiiiB")
_BASKET_VERSION, _BUFFER_SIZE = 3, 32000

#: 1 January 2020, 0:00 as ROOT packs dates: with the time of writing, equal muons would be unequal bytes.
_DATE = (2020 - 1995) << 26 | 1 << 22 | 1 << 17


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a cluster lies in its file.

    Attributes
    ----------
    start, length : int
        Its first byte and how many there are.
    rows : int
        Muons in it.
    sizes : tuple of int
        Bytes of each stored block, without its header.
    check : str
        Hash (XXH3, 64 bits) of all its bytes, headers included.
    weight : float, optional
        Sum of its muons' weights, where these differ.
    """

    start: int
    length: int
    rows: int
    sizes: tuple[int, ...]
    check: str
    weight: float | None = None

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.length


def content_hash(stored: Iterable[Stored]) -> str:
    """Return the hash (XXH3, 64 bits) of a file's clusters, made of their own in order."""
    import xxhash

    return str(xxhash.xxh3_64_hexdigest("".join(one.check for one in stored).encode()))


def end_of(clusters: Sequence[Stored]) -> int:
    """Return the first byte behind `clusters`."""
    return clusters[-1].end if clusters else HEAD


class ClusterStorage(Protocol):
    """A way to store clusters."""

    def header(self, column: int, rows: int, size: int, stored: int, place: int) -> bytes:
        """Return what stands before a block.

        Parameters
        ----------
        column : int
            Number of the branch.
        rows : int
            Muons in the block.
        size, stored : int
            Its bytes before and after compression.
        place : int
            Where in the file the header begins.
        """

    def finish(
        self,
        path: Path,
        clusters: Sequence[Stored],
        objects: Mapping[str, str],
        compression: Compression | None,
    ) -> None:
        """Write what points to `clusters`, the last of the file at `path`, and make it one of ROOT.

        Parameters
        ----------
        path : Path
            The file; it ends with the clusters.
        clusters : sequence of Stored
            What is in it.
        objects : mapping of str to str
            Name and text of what is stored beside them.
        compression : Compression, optional
            Of the clusters.
        """


class Baskets:
    """Records of a TTree."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sizes = [np.dtype(branch.dtype).itemsize for branch in layout.branches]
        self._names = [
            string("TBasket") + string(branch.name) + string(layout.tree) for branch in layout.branches
        ]
        self._keys = [KEY.size + len(names) + _BASKET.size for names in self._names]

    def header(self, column: int, rows: int, size: int, stored: int, place: int) -> bytes:
        """Return the key of a basket."""
        key = self._keys[column]
        fixed = KEY.pack(key + stored, KEY_VERSION, size, _DATE, key, 0, place, DIRECTORY)
        basket = _BASKET.pack(_BASKET_VERSION, _BUFFER_SIZE, self._sizes[column], rows, key + size, 0)
        return fixed + self._names[column] + basket

    def finish(
        self,
        path: Path,
        clusters: Sequence[Stored],
        objects: Mapping[str, str],
        compression: Compression | None,
    ) -> None:
        """Write the tree behind its baskets, and the file around it."""
        rows = np.array([cluster.rows for cluster in clusters], np.int64)
        stored = np.array([cluster.sizes for cluster in clusters], np.int64).reshape(-1, len(self._keys))
        stored += self._keys
        starts = np.array([cluster.start for cluster in clusters], np.int64)
        places = starts[:, None] + np.cumsum(stored, 1) - stored
        branches = [
            TreeBranch(
                branch.name,
                branch.dtype,
                places[:, column],
                stored[:, column],
                int((rows * self._sizes[column] + self._keys[column]).sum()),
            )
            for column, branch in enumerate(self._layout.branches)
        ]
        # Lets ROOT's threads share the work by whole clusters.
        whole = {"flush": CHUNK_SIZE} if (rows[:-1] == CHUNK_SIZE).all() else {}
        records = [tree_record(self._layout.tree, branches, rows, **whole)]
        records += [text_record(name, text) for name, text in objects.items()]
        end, code = end_of(clusters), compression.code if compression else NO_COMPRESSION
        head, tail = frame(HEAD, end, records, code)
        with path.open("r+b") as file:
            file.seek(end)
            file.write(tail)
            file.seek(0)
            file.write(head)


class _Untruncated(io.BufferedRandom):
    """A file that keeps its content where uproot would begin with an empty one."""

    def truncate(self, size: int | None = None) -> int:
        """Refuse, which uproot takes for the file's nature."""
        raise io.UnsupportedOperation(f"not to {size} bytes")


class Pages:
    """Records of an RNTuple (ROOT, tree/ntuple/doc/BinaryFormatSpecification.md)."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = string("RBlob") + string("") + string("")
        self._key = KEY.size + len(self._names)

    def header(self, column: int, rows: int, size: int, stored: int, place: int) -> bytes:  # noqa: ARG002
        """Return the key of a page."""
        fixed = KEY.pack(self._key + stored, KEY_VERSION, size, _DATE, self._key, 0, place, 0)
        return fixed + self._names

    def finish(
        self,
        path: Path,
        clusters: Sequence[Stored],
        objects: Mapping[str, str],
        compression: Compression | None,
    ) -> None:
        """Write the description by uproot, and with it the file around it."""
        import uproot

        chosen, end = compression.uproots() if compression else None, end_of(clusters)
        # Not `update`: that cannot move what it finds beyond 2 GB.
        with (
            _Untruncated(io.FileIO(path, "r+")) as raw,
            uproot.recreate(raw, compression=chosen) as file,
        ):
            free = file._cascading.freesegments  # noqa: SLF001
            # All up to here is in use but for what is left of the head.
            head = free.allocate(end - free.key.location)
            free.release(head, HEAD)
            free.write(file.file.sink)
            self._describe(file, clusters)
            # As plain text, in which the seal has its place.
            file.compression = None
            for name, text in objects.items():
                file[name] = text
            file.compression = chosen
            for start, stop in free.data.slices:
                # How ROOT marks a gap, for those who walk from record to record.
                file.file.sink.write(start, struct.pack(">i", start - stop))

    def _describe(self, file: Any, clusters: Sequence[Stored]) -> None:
        """Write the page list, the footer and the anchor into the open uproot `file`."""
        from uproot.writing import _cascadentuple as uproot_ntuple

        writable = file.mkrntuple(self._layout.tree, self._layout.branch_types())
        ntuple, sink = writable._cascading, file.file.sink  # noqa: SLF001
        code = uproot_ntuple._compression_code(ntuple.freesegments.fileheader.compression)  # noqa: SLF001
        summaries, pages, first = [], [], 0
        for cluster in clusters:
            summaries.append(uproot_ntuple.NTuple_ClusterSummary(first, cluster.rows))
            columns, place = [], cluster.start
            for stored in cluster.sizes:
                locator = uproot_ntuple.NTuple_Locator(stored, place + self._key)
                page = uproot_ntuple.NTuple_PageDescription(cluster.rows, locator)
                columns.append(uproot_ntuple.NTuple_ColumnPageListDescription([page], first, code))
                place += self._key + stored
            pages.append(columns)
            first += cluster.rows
        checksum = ntuple._header._checksum  # noqa: SLF001
        text = uproot_ntuple.NTuple_PageListEnvelope(checksum, summaries, pages).serialize()
        link = self._blob(ntuple, sink, text)
        group = uproot_ntuple.NTuple_ClusterGroupRecord(
            0, first, len(clusters), uproot_ntuple.NTuple_EnvLink(len(text), link)
        )
        self._replace_footer(ntuple, sink, group)

    @staticmethod
    def _blob(ntuple: Any, sink: Any, text: bytes) -> Any:
        from uproot.writing._cascadentuple import NTuple_Locator

        key = ntuple.add_rblob(sink, text, len(text))
        return NTuple_Locator(len(text), key.location + key.allocation)

    def _replace_footer(self, ntuple: Any, sink: Any, group: Any) -> None:
        """Put a footer with `group` in the place of the empty one, which stays as free space."""
        ntuple._footer.cluster_group_record_frames.append(group)  # noqa: SLF001
        text = ntuple._footer.serialize()  # noqa: SLF001
        anchor = ntuple._anchor  # noqa: SLF001
        anchor.seek_footer = self._blob(ntuple, sink, text).offset
        anchor.nbytes_footer = anchor.len_footer = len(text)
        sink.write(anchor.location, anchor.serialize())
        ntuple.sync(sink)


def cluster_storage(layout: Layout) -> ClusterStorage:
    """Return the way in which `layout` stores clusters."""
    return Pages(layout) if layout.rntuple else Baskets(layout)
