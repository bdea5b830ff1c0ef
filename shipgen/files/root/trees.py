"""The description of a flat TTree whose baskets are in the file already: ROOT's classes, number for number.

Versions: TTree 20, TBranch 13, TLeaf 2, TLeafF and the like 1, as ROOT writes them since 6.14 (io/doc/TFile/
ttree.md, tree/tree/inc). Tests compare the bytes with those of uproot.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.files.root.records import (
    DIRECTORY,
    Record,
    any_object,
    named,
    object_array,
    string,
    versioned,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Int64

#: ROOT's letter of each type, and the numbers that its leaf has of least and largest value, here 0.
_LETTERS = {"f4": "F", "f8": "D", "i4": "I", "i8": "L"}
_RANGES = {"F": 8, "D": 16, "I": 8, "L": 16}

#: Bits of a tree, which its directory deletes, of a branch, and of an array that owns what is in it.
_TREE_BITS, _BRANCH_BITS, _OWNER_BITS = 1 << 3, 1 << 22, 1 << 14

#: Entries, bytes before and after compression, bytes saved and flushed, weight, timer, fields of a scan,
#: update, length of offsets, ranges of clusters, most entries, of a loop too, memory, when to save and to
#: flush, entries to estimate from.
_TREE = struct.Struct(">qqqqqdiiiiIqqqqqq")
_SCAN_FIELDS, _OFFSETS, _MOST, _AUTO_SAVE, _ESTIMATE = 25, 1000, 10**12, -300_000_000, 10**6

#: Bytes between flushes, which is what ROOT makes of a tree whose clusters are not alike.
_FLUSH_BYTES = -30_000_000

#: Compression, buffer size, length of offsets, baskets, entry.
_BRANCH_BEGIN = struct.Struct(">iiiiq")
_BUFFER = 32000

#: Offset, room for baskets, split level, entries, first entry, bytes before and after compression.
_BRANCH_END = struct.Struct(">iIiqqqq")

#: Elements of an entry, bytes of each, offset, range known, unsigned.
_LEAF = struct.Struct(">iii??")

#: Line, fill and marker: blue, solid, no fill, dots. ROOT's I/O features: none.
_LINE = versioned(2, struct.pack(">hhh", 602, 1, 1))
_FILL = versioned(2, struct.pack(">hh", 0, 1001))
_MARKER = versioned(2, struct.pack(">hhf", 1, 1, 1.0))
_FEATURES = bytes.fromhex("40000007 0000 1aa12f10 00")


@dataclass(frozen=True, eq=False, slots=True)
class TreeBranch:
    """A branch and its baskets.

    Attributes
    ----------
    name, dtype : str
        Its name, and the NumPy type of an entry.
    places, sizes : int64[baskets]
        Where each basket begins in the file, and its bytes there, key included.
    size : int
        Bytes of all of them before compression, keys included.
    """

    name: str
    dtype: str
    places: Int64
    sizes: Int64
    size: int


def tree_record(name: str, branches: Sequence[TreeBranch], rows: Int64, flush: int = _FLUSH_BYTES) -> Record:
    """Return the tree `name`.

    Parameters
    ----------
    name : str
        Its name.
    branches : sequence of TreeBranch
        Each with as many baskets.
    rows : int64[baskets]
        Entries in each basket.
    flush : int
        Entries of each cluster, or minus the bytes where clusters are not alike.
    """
    entries = int(rows.sum())
    begin = named(name, "", _TREE_BITS) + _LINE + _FILL + _MARKER + _TREE.pack(
        entries, sum(branch.size for branch in branches), sum(int(branch.sizes.sum()) for branch in branches),
        0, 0, 1.0, 0, _SCAN_FIELDS, 0, _OFFSETS, 0, _MOST, _MOST, 0, _AUTO_SAVE, flush, _ESTIMATE,
    )  # fmt: skip
    # No ranges of clusters.
    begin += b"\0\0" + _FEATURES
    # Leaves are told by their place: behind the key, the sizes of tree and array, and the array's head.
    empty = Record("TTree", name, "", b"")
    place = len(empty.key(DIRECTORY)) + len(versioned(20, begin)) + len(object_array([]))
    stored, leaves = [], []
    for branch in branches:
        content, leaf = _branch(branch, rows)
        # And the two numbers that say where the object is that the place is of.
        leaves.append((place + leaf + 2).to_bytes(4, "big"))
        stored.append(content)
        place += len(content)
    # Aliases, index and its values, their tree, friends, the user's, references: none.
    content = begin + object_array(stored, _OWNER_BITS) + object_array(leaves) + bytes(28)
    return Record("TTree", name, "", versioned(20, content))


def _branch(branch: TreeBranch, rows: Int64) -> tuple[bytes, int]:
    """Return a branch, and where in that its leaf begins."""
    letter, number, entries = _LETTERS[branch.dtype], len(rows), int(rows.sum())
    begin = named(branch.name, f"{branch.name}/{letter}", _BRANCH_BITS) + _FILL
    # Compression as of the file: ROOT looks at each basket.
    begin += _BRANCH_BEGIN.pack(0, _BUFFER, 0, number, entries) + _FEATURES
    # Room for one more, as ROOT has it.
    begin += _BRANCH_END.pack(0, number + 1, 0, entries, 0, branch.size, int(branch.sizes.sum()))
    begin += object_array([])
    leaf = named(branch.name, branch.name)
    leaf += _LEAF.pack(1, np.dtype(branch.dtype).itemsize, 0, False, False) + bytes(4)
    leaf = any_object(f"TLeaf{letter}", versioned(1, versioned(2, leaf) + bytes(_RANGES[letter])))
    ends = np.cumsum(rows)
    baskets = b"".join(
        b"\x01" + np.asarray(values, dtype).tobytes()
        for values, dtype in (
            ([*branch.sizes, 0], ">i4"),
            ([0, *ends], ">i8"),
            ([*branch.places, 0], ">i8"),
        )
    )
    content = begin + object_array([leaf]) + object_array([]) + baskets + string("")
    found = any_object("TBranch", versioned(13, content))
    return found, len(found) - len(content) + len(begin) + len(object_array([]))
