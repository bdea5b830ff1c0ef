"""Clusters: muons of a chunk as they go to disk, one compressed block a branch. Made by the workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shipgen.plan import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.columns import Array, Columns
    from shipgen.layouts import Branch, Layout


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """One branch's values of a cluster.

    Attributes
    ----------
    size : int
        Bytes before compression.
    data : bytes-like
        What is stored.
    """

    size: int
    data: Any


@dataclass(frozen=True, eq=False, slots=True)
class Cluster:
    """Muons that are stored together: a basket of each branch of a TTree, a page of each RNTuple column.

    Attributes
    ----------
    rows : int
        Muons.
    blocks : tuple of Block
        In the order of the layout's branches.
    """

    rows: int
    blocks: tuple[Block, ...]


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
    compression : uproot.compression.Compression or None
        As `shipgen.writers.parse_compression` gives it.
    """

    def __init__(
        self, layout: Layout, constants: Mapping[str, float], target_start: float, compression: Any
    ) -> None:
        self._layout = layout
        self._constants = constants
        self._target_start = target_start
        self._compression = compression
        # TTree stores big-endian numbers, RNTuple little-endian ones.
        self._order: Literal["<", ">"] = "<" if layout.rntuple else ">"
        self._kept: dict[str, Block] = {}

    def __call__(self, columns: Columns) -> Cluster:
        """Encode all muons in `columns` (cm, GeV)."""
        rows = len(next(iter(columns.values())))
        blocks: dict[Branch, Block] = {}
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
        return Cluster(rows, tuple(blocks[replace(branch, name="")] for branch in self._layout.branches))

    def _fill(self, branch: Branch, columns: Columns) -> Array:
        layout = replace(self._layout, branches=(branch,))
        return layout.fill(columns, self._constants, self._target_start)[branch.name]

    def _block(self, values: Array) -> Block:
        from uproot.compression import compress

        stored = values.astype(values.dtype.newbyteorder(self._order), copy=False)
        content = stored.view(np.uint8)
        data = compress(content, self._compression)
        if data is content and np.may_share_memory(stored, values):
            # Not compressed: still the caller's memory, which the next chunk overwrites.
            data = content.copy()
        return Block(stored.nbytes, data)
