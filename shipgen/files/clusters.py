"""Clusters: muons of a chunk as they go to disk, one compressed block a branch. Made by the workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shipgen.errors import InputError
from shipgen.files.compressions import Zstd, compressor, zstd_head
from shipgen.files.two_signs import is_two_signs, two_signs
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.files.compressions import Compression
    from shipgen.files.layouts import Branch, Layout
    from shipgen.muons.columns import Array, Columns


#: Protocol from which on pickles may leave buffers to others.
_OUT_OF_BAND = 5


@dataclass(frozen=True, eq=False, slots=True)
class BranchBlock:
    """One branch's values of a cluster.

    Attributes
    ----------
    size : int
        Bytes before compression.
    data : bytes-like
        What is stored, but for its first bytes if these are in `head`.
    head : bytes
        How it was compressed; apart, so that nothing need be copied behind it.
    """

    size: int
    data: Any
    head: bytes = b""

    def __len__(self) -> int:
        """Return the bytes that are stored."""
        return len(self.head) + len(self.data)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Leave the data where it is, if a process that hands it on asks for that."""
        data = PickleBuffer(self.data) if int(protocol) >= _OUT_OF_BAND else bytes(self.data)
        return type(self), (self.size, data, self.head)


@dataclass(frozen=True, eq=False, slots=True)
class Cluster:
    """Muons that are stored together: a basket of each branch of a TTree, a page of each RNTuple column.

    Attributes
    ----------
    rows : int
        Muons.
    blocks : tuple of BranchBlock
        In the order of the layout's branches.
    weight : float, optional
        Sum of the muons' weights, where these differ.
    """

    rows: int
    blocks: tuple[BranchBlock, ...]
    weight: float | None = None


class ClusterEncoder:
    """Turns columns into clusters; calls from several threads are independent.

    Branches that hold the same values share a block, and blocks of constants are made once.

    Parameters
    ----------
    layout : Layout
        Branches, types and units.
    constants : mapping of str to float
        Columns with one value for the whole file.
    target_start : float
        z of the target's start in the frame of the columns, cm.
    compression : Compression, optional
        How blocks are compressed, if they are.
    """

    def __init__(
        self,
        layout: Layout,
        constants: Mapping[str, float],
        target_start: float,
        compression: Compression | None,
    ) -> None:
        for branch in layout.branches:
            stored = np.array(constants.get(branch.column, 0.0) * branch.scale)
            if not abs(stored) <= np.finfo(np.float32).max:
                raise InputError(f"{branch.column} = {stored:g} is too large for branch {branch.name}")
        self._layout = layout
        self._constants = constants
        self._target_start = target_start
        self._compress = compressor(compression)
        # TTree stores big-endian numbers, RNTuple little-endian ones.
        self._order: Literal["<", ">"] = "<" if layout.rntuple else ">"
        self._kept: dict[str, BranchBlock] = {}

    def __call__(self, columns: Columns) -> Cluster:
        """Encode all muons in `columns` (cm, GeV)."""
        rows = len(next(iter(columns.values())))
        blocks: dict[Branch, BranchBlock] = {}
        for branch in self._layout.branches:
            same = replace(branch, name="")
            if same in blocks:
                continue
            if branch.column in columns:
                blocks[same] = self._block(self._fill(branch, columns))
            elif rows == CHUNK_SIZE:
                if branch.name not in self._kept:
                    self._kept[branch.name] = self._block(self._fill(branch, columns))
                blocks[same] = self._kept[branch.name]
            else:
                blocks[same] = self._block(self._fill(branch, columns))
        stored = tuple(blocks[replace(branch, name="")] for branch in self._layout.branches)
        weights = columns.get("weight")
        return Cluster(rows, stored, None if weights is None else float(weights.sum(dtype=np.float64)))

    def again(self, values: Mapping[str, Array]) -> Cluster:
        """Encode the branches `values`, all that a cluster had, as they were read from it."""
        blocks = tuple(self._block(values[branch.name]) for branch in self._layout.branches)
        return Cluster(len(next(iter(values.values()))), blocks)

    def _fill(self, branch: Branch, columns: Columns) -> Array:
        layout = replace(self._layout, branches=(branch,))
        return layout.fill(columns, self._constants, self._target_start)[branch.name]

    def _block(self, values: Array) -> BranchBlock:
        if isinstance(self._compress, Zstd) and self._order == ">" and is_two_signs(values):
            frame = two_signs(values)
            return BranchBlock(values.nbytes, frame, zstd_head(len(frame), values.nbytes))
        stored = values.astype(values.dtype.newbyteorder(self._order), copy=False)
        content = stored.view(np.uint8)
        head, data = self._compress(content)
        if data is content and np.may_share_memory(stored, values):
            # Not compressed: still the caller's memory, which the next chunk overwrites.
            data = content.copy()
        return BranchBlock(stored.nbytes, data, head)
