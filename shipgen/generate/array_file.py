"""From a generator to a file of arrays, streamed: workers make the blocks as they lie in the file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from shipgen.files.arrays.write import array_writer, blocks_of
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shipgen.files.layouts import Layout
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch
    from shipgen.muons.columns import Array


@dataclass(frozen=True, slots=True)
class _BlockEncoder:
    """Makes blocks of muons of a chunk as they lie in the file; runs in the workers, also in processes."""

    layout: Layout
    rows: range
    target_start: float
    categories: int

    def __call__(self, chunk: Chunk, batch: Batch) -> tuple[dict[str, Array], tuple[int, ...], float, int]:
        """Return blocks, muons of each category, sum of weights and number of muons."""
        start = chunk.index * CHUNK_SIZE
        own = slice(max(self.rows.start - start, 0), min(self.rows.stop - start, chunk.size))
        columns = {name: column[own] for name, column in batch.columns().items()}
        fields = self.layout.fill(columns, {}, self.target_start)
        counts = replace(chunk, labels=chunk.labels[own]).counts(self.categories)
        weight = float(columns["weight"].sum(dtype=np.float64))
        return blocks_of(self.layout, fields), counts, weight, len(columns["z"])


def write_array_file(
    part: Path,
    generator: MuonGenerator,
    layout: Layout,
    rows: range,
    describe: Callable[[tuple[int, ...], float], Mapping[str, str]],
    advance: Callable[[float], None] = lambda _: None,
) -> tuple[tuple[int, ...], float]:
    """Write some muons of a generator; return how many of each category there are, and their sum of weights.

    Parameters
    ----------
    part : Path
        The file, of the layout's kind.
    generator : MuonGenerator
        Bundle and plan.
    layout : Layout
        Of arrays.
    rows : range
        Numbers in the plan of the muons to write.
    describe : callable
        Gives the texts that the file says of itself, from counts and sum of weights.
    advance : callable
        Called with numbers of muons written.

    Raises
    ------
    MissingExtraError
        The package for the kind is not installed.
    BundleError, DeviceError
        A network failed.
    """
    categories = len(generator.bundle.entries)
    encode = _BlockEncoder(layout, rows, generator.bundle.target_start, categories)
    counts, weights = np.zeros(categories, np.int64), []
    first, stop = rows.start // CHUNK_SIZE, -(-rows.stop // CHUNK_SIZE)
    with array_writer(part, layout, len(rows)) as file:
        for blocks, found, weight, muons in generator.run(encode, first=first, stop=stop, apart=True):
            file.append(blocks)
            counts += found
            weights.append(weight)
            advance(muons)
        whole = tuple(counts.tolist()), math.fsum(weights)
        file.finish(describe(*whole))
    return whole
