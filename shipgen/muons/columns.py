"""Types of columns that pass between modules: NumPy arrays, one a quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Array = npt.NDArray[np.generic]
Columns = Mapping[str, npt.NDArray[np.generic]]

#: Muons of a full chunk, the unit of all work on columns: one basket of 1 MiB a float32 branch.
CHUNK_SIZE = 2**18

#: The columns of a muon in a row, in the order in which the codes that optimise the muon shield take them.
ROW = ("px", "py", "pz", "x", "y", "z", "pdg", "weight")

#: Rows that are filled at once: they stay in the cache until all of their columns are there.
_ROWS = 4096


def rows_of(columns: Sequence[Array], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return columns of n entries as the columns of one array: dtype[n, len(columns)]."""
    rows = np.empty((len(columns[0]), len(columns)), dtype)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        for place, column in enumerate(columns):
            rows[part, place] = column[part]
    return rows
