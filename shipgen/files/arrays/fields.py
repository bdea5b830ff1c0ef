"""Open files of arrays, whatever their kind: names, number of muons, and fields in pieces.

An array of two dimensions has a muon a row; its columns get the names they are said to have, else those of
`shipgen.muons.columns.ROW`.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipgen.files.arrays.file_kinds import h5py, pyarrow
from shipgen.files.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY
from shipgen.muons.columns import CHUNK_SIZE, ROW
from shipgen.provenance import parse_object, read_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.muons.columns import Array, Columns

TEXTS = (PROVENANCE_KEY, FILE_SUMMARY_KEY)


class FieldSource(Protocol):
    """An open file of muons.

    Attributes
    ----------
    names : tuple of str
        Its fields, in its order.
    rows : int
        How many muons there are.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Its fields, in its order."""

    @property
    def rows(self) -> int:
        """How many muons there are."""

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        """Return the JSON objects of that name."""

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yield the fields called `names`, `CHUNK_SIZE` muons at a time."""


def open_source(path: Path, kind: str, stack: ExitStack, order: Sequence[str] = ()) -> FieldSource:
    """Open a file of that `kind` until `stack` ends.

    Parameters
    ----------
    path, kind : Path and str
        A file, and what `kind_of` says of it.
    stack : ExitStack
        Closes it.
    order : sequence of str
        Names of the columns of an array of two dimensions.

    Raises
    ------
    MissingExtraError
        The package for it is not installed.
    Exception
        Whatever a damaged file leads to.
    """
    return _SOURCES[kind](path, stack, order)


def _names_of(dtype: np.dtype[np.generic], shape: tuple[int, ...], order: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of an array, from its type or its width."""
    if dtype.names:
        return dtype.names
    if len(shape) != 2:
        raise ValueError(f"an array of shape {shape}: a row a muon is wanted")
    if not order and shape[1] not in (len(ROW) - 1, len(ROW)):
        raise ValueError(f"an array of {shape[1]} columns: say what they are, or give {' '.join(ROW)}")
    if order and len(order) != shape[1]:
        raise ValueError(f"an array of {shape[1]} columns, and {len(order)} names for them")
    return tuple(order) or ROW[: shape[1]]


def _numbers(dtype: np.dtype[np.generic], name: str) -> None:
    if dtype.hasobject or (not dtype.names and dtype.kind not in "fiub"):
        raise ValueError(f"{name} is no array of numbers")


def _split(block: Any, names: Sequence[str], wanted: Sequence[str]) -> dict[str, Array]:
    """Return columns of a block of rows."""
    if block.dtype.names:
        return {name: block[name] for name in wanted}
    return {name: block[:, names.index(name)] for name in wanted}


class _Memory:
    """Arrays that are in memory as a whole, or mapped into it: rows of one, or one a name."""

    def __init__(self, content: Array | Columns, order: Sequence[str]) -> None:
        self._whole = content if isinstance(content, np.ndarray) else None
        if isinstance(content, np.ndarray):
            _numbers(content.dtype, "it")
            self.names, self.rows = _names_of(content.dtype, content.shape, order), len(content)
            return
        self._columns = {name: np.asarray(values) for name, values in content.items()}
        self._columns = {name: values for name, values in self._columns.items() if values.ndim == 1}
        for name, values in self._columns.items():
            _numbers(values.dtype, name)
        if len(lengths := {len(values) for values in self._columns.values()}) != 1:
            raise ValueError(f"columns of {len(lengths)} lengths")
        self.names, self.rows = tuple(self._columns), lengths.pop()

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        del name
        return []

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        for start in range(0, self.rows, CHUNK_SIZE):
            piece = slice(start, start + CHUNK_SIZE)
            if self._whole is not None:
                yield _split(self._whole[piece], self.names, names)
            else:
                yield {name: self._columns[name][piece] for name in names}


def _pickle(path: Path, stack: ExitStack, order: Sequence[str]) -> _Memory:
    from shipgen.files.arrays.unpickle import read_pickle

    del stack
    content = read_pickle(path)
    if isinstance(content, list):
        content = np.array(content)
    if not isinstance(content, np.ndarray | dict):
        raise ValueError(f"a {type(content).__name__} is no table of muons")
    return _Memory(content, order)


class _Npy(_Memory):
    """Rows, and behind them what the file says of itself, as a second array."""

    def __init__(self, path: Path, stack: ExitStack, order: Sequence[str]) -> None:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        self._said: Mapping[str, Any] = {}
        with path.open("rb") as file:
            end = array.offset + array.nbytes
            if file.seek(0, 2) > end:
                file.seek(end)
                said = parse_object(str(np.lib.format.read_array(file, allow_pickle=False)))
                self._said = said or {}
        super().__init__(array, tuple(order) or tuple(self._said.get("columns", ())))
        del stack

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        found = self._said.get(name)
        return [found] if isinstance(found, dict) else []

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        assert self._whole is not None  # noqa: S101 (an array, always)
        check = 0
        for start in range(0, self.rows, CHUNK_SIZE):
            block = np.ascontiguousarray(self._whole[start : start + CHUNK_SIZE])
            check = zlib.crc32(block.data, check)
            yield _split(block, self.names, names)
        if self._said.get("crc32", check) != check:
            raise ValueError("its numbers are not those that were written")


class _Npz:
    """An array a name, or rows under one name."""

    def __init__(self, path: Path, stack: ExitStack, order: Sequence[str]) -> None:
        self._archive = stack.enter_context(zipfile.ZipFile(path))
        shapes = {}
        for member in self._archive.namelist():
            name = member.removesuffix(".npy")
            if name not in TEXTS and member != name:
                with ExitStack() as one:
                    _, shape, dtype = self._begin(name, one)
                shapes[name] = shape, dtype
        tables = [name for name, (shape, dtype) in shapes.items() if len(shape) == 2 or dtype.names]
        self._table = tables[0] if len(tables) == 1 else None
        if self._table is not None:
            shape, dtype = shapes[self._table]
            said = (self.objects(PROVENANCE_KEY) or [None])[0] or {}
            self.names = _names_of(dtype, shape, tuple(order) or tuple(said.get("columns", ())))
            self.rows = shape[0]
            return
        columns = {name: shape[0] for name, (shape, _) in shapes.items() if len(shape) == 1}
        if not columns:
            raise ValueError("there is no table of muons in it")
        self.names, self._lengths = tuple(columns), columns
        self.rows = next(iter(columns.values()))

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        if f"{name}.npy" not in self._archive.namelist():
            return []
        with self._archive.open(f"{name}.npy") as member:
            return [parse_object(str(np.lib.format.read_array(member, allow_pickle=False)))]

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        wanted = [self._table] if self._table is not None else names
        with ExitStack() as stack:
            members = {name: self._begin(name, stack) for name in wanted}
            if any(shape[0] != self.rows for _, shape, _ in members.values()):
                raise ValueError("its columns have several lengths")
            for start in range(0, self.rows, CHUNK_SIZE):
                n = min(CHUNK_SIZE, self.rows - start)
                found = {
                    name: _take(member, n, shape, dtype) for name, (member, shape, dtype) in members.items()
                }
                yield found if self._table is None else _split(found[self._table], self.names, names)
            # Behind the last byte the archive's own check of the bytes is done.
            if any(member.read(1) for member, _, _ in members.values()):
                raise ValueError("there is more in it than it says")

    def _begin(self, name: str, stack: ExitStack) -> tuple[Any, tuple[int, ...], np.dtype[np.generic]]:
        """Open an array; return its file behind the header, its shape and type."""
        member = stack.enter_context(self._archive.open(f"{name}.npy"))
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[np.lib.format.read_magic(member)]
        shape, fortran, dtype = read(member)
        _numbers(dtype, name)
        if fortran and len(shape) > 1:
            raise ValueError(f"array {name} is stored column after column: store it row after row")
        return member, shape, dtype


def _take(member: Any, rows: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """Return the next rows of an array."""
    width = 1 if len(shape) == 1 else shape[1]
    values = np.frombuffer(member.read(rows * width * dtype.itemsize), dtype, rows * width)
    return values if len(shape) == 1 else values.reshape(rows, width)


class _Hdf5:
    """A dataset a name, or rows in one dataset."""

    def __init__(self, path: Path, stack: ExitStack, order: Sequence[str]) -> None:
        module = h5py()
        self._file = stack.enter_context(module.File(path, "r", locking=False))
        data = {name: one for name, one in self._file.items() if isinstance(one, module.Dataset)}
        flat = [name for name, one in data.items() if one.ndim == 1 and not one.dtype.names]
        tables = [name for name, one in data.items() if one.ndim == 2 or one.dtype.names]
        self._table = tables[0] if len(tables) == 1 and not flat else None
        if self._table is not None:
            table = data[self._table]
            _numbers(table.dtype, self._table)
            self.names, self.rows = _names_of(table.dtype, table.shape, order), len(table)
            return
        if not flat:
            raise ValueError("there is no table of muons in it")
        self.names, self.rows = tuple(flat), len(data[flat[0]])

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        return [parse_object(str(self._file.attrs[name]))] if name in self._file.attrs else []

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        columns = {} if self._table is not None else {name: self._file[name] for name in names}
        for name, column in columns.items():
            _numbers(column.dtype, name)
            if len(column) != self.rows:
                raise ValueError("its columns have several lengths")
        for start in range(0, self.rows, CHUNK_SIZE):
            piece = slice(start, start + CHUNK_SIZE)
            if self._table is not None:
                yield _split(self._file[self._table][piece], self.names, names)
            else:
                yield {name: column[piece] for name, column in columns.items()}


class _Parquet:
    """A column a name."""

    def __init__(self, path: Path, stack: ExitStack, order: Sequence[str]) -> None:
        del order
        # Pages without a checksum pass.
        file = pyarrow().parquet.ParquetFile(path, page_checksum_verification=True)
        self._file = stack.enter_context(file)
        self.names = tuple(self._file.schema_arrow.names)
        self.rows = int(self._file.metadata.num_rows)

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        texts = self._file.schema_arrow.metadata or {}
        return [parse_object(texts[name.encode()].decode())] if name.encode() in texts else []

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        if missing := set(names) - set(self.names):
            raise ValueError(f"no column {missing.pop()}")
        for batch in self._file.iter_batches(CHUNK_SIZE, columns=list(names)):
            found = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}
            for name, values in found.items():
                _numbers(values.dtype, name)
            yield found


_SOURCES: dict[str, Callable[[Path, ExitStack, Sequence[str]], FieldSource]] = {
    "npz": _Npz,
    "npy": _Npy,
    "hdf5": _Hdf5,
    "parquet": _Parquet,
    "pickle": _pickle,
}


class RootSource:
    """A tree or RNTuple of one number a muon and field, in an open ROOT file."""

    def __init__(self, file: Any, tree: str) -> None:
        self._file, self._tree = file, file[tree]
        self.names = tuple(str(name) for name in self._tree.keys(recursive=False))
        self.rows = int(self._tree.num_entries)

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        """Return the JSON objects of that name."""
        return read_objects(self._file, name)

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yield the fields called `names`, `CHUNK_SIZE` muons at a time."""
        for start in range(0, self.rows, CHUNK_SIZE):
            stop = min(start + CHUNK_SIZE, self.rows)
            yield self._tree.arrays(list(names), entry_start=start, entry_stop=stop, library="np")
