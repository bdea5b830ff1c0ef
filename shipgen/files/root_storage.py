"""How ROOT stores clusters: baskets of a TTree, or pages of an RNTuple, and what points to them.

What uproot has no public interface for is here: clusters were written beforehand, and only the description of
the tree is made by uproot. Tests read the files back by uproot and by ROOT.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shipgen.files.layouts import Layout

#: Fixed part of a key in a file of any size (ROOT, io/doc/TFile/datarecord.md): bytes in all, version, bytes
#: of the object, date, bytes of the key, cycle, place, place of the directory.
_KEY = struct.Struct(">ihiIhhqq")
_KEY_VERSION = 1004

#: What a TBasket adds to its key: version, buffer size, bytes an entry, entries, end of the data, a flag.
_BASKET = struct.Struct(">HiiiiB")
_BASKET_VERSION, _BUFFER_SIZE = 3, 32000

#: Place of the file's first directory.
_DIRECTORY = 100

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

    def finish(self, file: Any, clusters: Sequence[Stored]) -> None:
        """Write what points to `clusters` into the open uproot `file`."""


class Baskets:
    """Records of a TTree."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sizes = [np.dtype(branch.dtype).itemsize for branch in layout.branches]
        self._names = [
            _string("TBasket") + _string(branch.name) + _string(layout.tree) for branch in layout.branches
        ]
        self._keys = [_KEY.size + len(names) + _BASKET.size for names in self._names]

    def header(self, column: int, rows: int, size: int, stored: int, place: int) -> bytes:
        """Return the key of a basket."""
        key = self._keys[column]
        fixed = _KEY.pack(key + stored, _KEY_VERSION, size, _DATE, key, 0, place, _DIRECTORY)
        basket = _BASKET.pack(_BASKET_VERSION, _BUFFER_SIZE, self._sizes[column], rows, key + size, 0)
        return fixed + self._names[column] + basket

    def finish(self, file: Any, clusters: Sequence[Stored]) -> None:
        """Write the tree."""
        writable = file.mktree(
            self._layout.tree, self._layout.branch_types(), initial_basket_capacity=len(clusters) + 1
        )
        tree = writable._cascading  # noqa: SLF001
        rows = np.array([cluster.rows for cluster in clusters])
        stored = np.array([cluster.sizes for cluster in clusters]) + self._keys
        places = np.array([cluster.start for cluster in clusters])[:, None] + np.cumsum(stored, 1) - stored
        for column, datum in enumerate(tree._branch_data):  # noqa: SLF001
            datum["fBasketBytes"][: len(clusters)] = stored[:, column]
            datum["fBasketEntry"][1 : len(clusters) + 1] = np.cumsum(rows)
            datum["fBasketSeek"][: len(clusters)] = places[:, column]
            datum["fTotBytes"] = int((rows * self._sizes[column] + self._keys[column]).sum())
            datum["fZipBytes"] = int(stored[:, column].sum())
            datum["arrays_write_stop"] = len(clusters)
            for name in ("fTotBytes", "fZipBytes"):
                tree._metadata[name] += datum[name]  # noqa: SLF001
        tree._num_entries = int(rows.sum())  # noqa: SLF001
        tree._num_baskets = len(clusters)  # noqa: SLF001
        if (rows[:-1] == CHUNK_SIZE).all():
            # Lets ROOT's threads share the work by whole clusters.
            tree._metadata["fAutoFlush"] = CHUNK_SIZE  # noqa: SLF001
        tree.write_updates(file.file.sink)


class Pages:
    """Records of an RNTuple (ROOT, tree/ntuple/doc/BinaryFormatSpecification.md)."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = _string("RBlob") + _string("") + _string("")
        self._key = _KEY.size + len(self._names)

    def header(self, column: int, rows: int, size: int, stored: int, place: int) -> bytes:  # noqa: ARG002
        """Return the key of a page."""
        fixed = _KEY.pack(self._key + stored, _KEY_VERSION, size, _DATE, self._key, 0, place, 0)
        return fixed + self._names

    def finish(self, file: Any, clusters: Sequence[Stored]) -> None:
        """Write the page list, the footer and the anchor."""
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


def _string(text: str) -> bytes:
    """Return a short string as ROOT stores it."""
    content = text.encode()
    return bytes([len(content)]) + content
