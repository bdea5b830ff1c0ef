"""Arrays of rows and columns: their names, headers, and what lies behind them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.files.arrays.sealing import behind_end
from shipgen.muons.columns import ROW
from shipgen.provenance import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipgen.muons.columns import Array


class OddTableError(ValueError):
    """An array that is whole, and whose columns nobody has named."""


def names_of(
    dtype: np.dtype[np.generic],
    shape: tuple[int, ...],
    order: Sequence[str],
    said: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the names of an array's columns: of its type, given, `said` in the file, or by its width."""
    if dtype.names:
        return dtype.names
    if len(shape) != 2:
        raise OddTableError(f"an array of shape {shape}: a row a muon is wanted")
    if not order and said:
        if len(said) != shape[1]:
            raise ValueError(f"an array of {shape[1]} columns, and {len(said)} names for them")
        return tuple(said)
    if not order and shape[1] not in (len(ROW) - 1, len(ROW)):
        raise OddTableError(
            f"an array of {shape[1]} columns: say what they are (`shipgen convert --from-columns`, "
            f"elsewhere --columns), or give {' '.join(ROW)}"
        )
    if order and len(order) != shape[1]:
        raise OddTableError(f"an array of {shape[1]} columns, and {len(order)} names for them")
    return tuple(order) or ROW[: shape[1]]


def check_numbers(dtype: np.dtype[np.generic], name: str) -> None:
    """Raise ValueError unless a type is one of numbers."""
    if dtype.hasobject or (not dtype.names and dtype.kind not in "fiub"):
        raise ValueError(f"{name} is no array of numbers")


def split_rows(block: Any, names: Sequence[str], wanted: Sequence[str]) -> dict[str, Array]:
    """Return columns of a block of rows."""
    if block.dtype.names:
        return {name: block[name] for name in wanted}
    return {name: block[:, names.index(name)] for name in wanted}


def said_behind(path: Path, end: int) -> dict[str, Any]:
    """Return what an npy file says of itself, in a second array behind the first, which ends at `end`."""
    with path.open("rb") as file:
        if (size := file.seek(0, 2)) <= end:
            return {}
        file.seek(end)
        if not np.lib.format.MAGIC_PREFIX.startswith(file.read(len(np.lib.format.MAGIC_PREFIX))):
            raise behind_end(path, end, size)
        file.seek(end)
        shape, _, dtype = read_header(file, "what it says of itself")
        if shape or dtype.kind != "U":
            raise behind_end(path, end, size)
        file.seek(end)
        text = np.lib.format.read_array(file, allow_pickle=False)
        if size > file.tell():
            raise behind_end(path, file.tell(), size)
    if (said := parse_object(str(text))) is None:
        raise ValueError("what it says of itself cannot be read")
    return said


@contextmanager
def whole_header(name: str) -> Iterator[None]:
    """Say that the header of an array is damaged, in place of what Python says of its text."""
    try:
        yield
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{name} does not begin as an array does") from error


def read_header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Return shape, whether it is stored column after column, and type of the array at `file`'s place."""
    with whole_header(name):
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[np.lib.format.read_magic(file)]
        return read(file)


def take_rows(member: Any, rows: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """Return the next rows of an array."""
    width = 1 if len(shape) == 1 else shape[1]
    values = np.frombuffer(member.read(rows * width * dtype.itemsize), dtype, rows * width)
    return values if len(shape) == 1 else values.reshape(rows, width)
