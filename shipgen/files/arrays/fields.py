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

from shipgen.errors import InputError
from shipgen.files.arrays.file_kinds import h5py, pyarrow
from shipgen.files.arrays.sealing import TEXTS, behind_end, check_end, check_footer, check_source, type_name
from shipgen.files.arrays.tables import (
    OddTableError,
    check_numbers,
    names_of,
    read_header,
    said_behind,
    split_rows,
    take_rows,
    whole_header,
)
from shipgen.files.layouts import PROVENANCE_KEY, SEAL_KEY
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.provenance import parse_object, read_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from shipgen.muons.columns import Array, Columns


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


class ArraySource(FieldSource, Protocol):
    """An open file of arrays."""

    def stored(self) -> dict[str, Any]:
        """Return names and types of what is stored, as its seal has them: JSON by name."""


def open_source(path: Path, kind: str, stack: ExitStack, order: Sequence[str] = ()) -> ArraySource:
    """Open a file of that `kind` until `stack` ends; what it says of itself is compared with its seal.

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
    InputError
        It is not as it was written, goes on behind its end, or has columns that have no name.
    MissingExtraError
        The package for it is not installed.
    Exception
        Whatever a damaged file leads to.
    """
    check_end(path, kind)
    try:
        source = _SOURCES[kind](path, stack, order)
    except OddTableError as error:
        raise InputError(f"{path}: {error}") from error
    check_source(path, source)
    return source


class _Memory:
    """Arrays that are in memory as a whole, or mapped into it: rows of one, or one a name."""

    def __init__(self, content: Array | Columns, order: Sequence[str], said: Sequence[str] = ()) -> None:
        self._whole = content if isinstance(content, np.ndarray) else None
        if isinstance(content, np.ndarray):
            check_numbers(content.dtype, "it")
            self.names, self.rows = names_of(content.dtype, content.shape, order, said), len(content)
            return
        self._columns = {name: np.asarray(values) for name, values in content.items()}
        self._columns = {name: values for name, values in self._columns.items() if values.ndim == 1}
        for name, values in self._columns.items():
            check_numbers(values.dtype, name)
        if len(lengths := {len(values) for values in self._columns.values()}) != 1:
            raise ValueError(f"columns of {len(lengths)} lengths")
        self.names, self.rows = tuple(self._columns), lengths.pop()

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        del name
        return []

    def stored(self) -> dict[str, Any]:
        return {}

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        for start in range(0, self.rows, CHUNK_SIZE):
            piece = slice(start, start + CHUNK_SIZE)
            if self._whole is not None:
                yield split_rows(self._whole[piece], self.names, names)
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
        del stack
        with whole_header("it"):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        self._said = said_behind(path, array.offset + array.nbytes)
        super().__init__(array, order, tuple(self._said.get("columns", ())))

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        found = self._said.get(name)
        return [found] if isinstance(found, dict) else []

    def stored(self) -> dict[str, Any]:
        assert self._whole is not None  # noqa: S101 (an array, always)
        table = type_name(self._whole.dtype, *self._whole.shape[1:])
        return {"muons": table, **{name: self._said.get(name) for name in ("columns", "crc32")}}

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        assert self._whole is not None  # noqa: S101 (an array, always)
        check = 0
        for start in range(0, self.rows, CHUNK_SIZE):
            block = np.ascontiguousarray(self._whole[start : start + CHUNK_SIZE])
            check = zlib.crc32(block.data, check)
            yield split_rows(block, self.names, names)
        if self._said.get("crc32", check) != check:
            raise ValueError("its numbers are not those that were written")


class _Npz:
    """An array a name, or rows under one name."""

    def __init__(self, path: Path, stack: ExitStack, order: Sequence[str]) -> None:
        self._archive = stack.enter_context(zipfile.ZipFile(path))
        if first := min((one.header_offset for one in self._archive.infolist()), default=0):
            raise behind_end(path, first, path.stat().st_size)
        shapes: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]] = {}
        for member in self._archive.namelist():
            name = member.removesuffix(".npy")
            if name not in TEXTS and member != name:
                with ExitStack() as one:
                    _, shape, dtype = self._begin(name, one)
                shapes[name] = shape, dtype
        self._shapes = shapes
        tables = [name for name, (shape, dtype) in shapes.items() if len(shape) == 2 or dtype.names]
        self._table = tables[0] if len(tables) == 1 else None
        if self._table is not None:
            shape, dtype = shapes[self._table]
            said = (self.objects(PROVENANCE_KEY) or [None])[0] or {}
            self.names = names_of(dtype, shape, order, tuple(said.get("columns", ())))
            self.rows = shape[0]
            return
        columns = {name: shape[0] for name, (shape, _) in shapes.items() if len(shape) == 1}
        if not columns:
            raise ValueError("there is no table of muons in it")
        self.names, self._lengths = tuple(columns), columns
        self.rows = next(iter(columns.values()))

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        if name == SEAL_KEY:
            found = parse_object(self._archive.comment.decode("utf-8", "replace"))
            return [found] if found else []
        if f"{name}.npy" not in self._archive.namelist():
            return []
        with self._archive.open(f"{name}.npy") as member, whole_header(name):
            text = np.lib.format.read_array(member, allow_pickle=False)
        return [parse_object(str(text))]

    def stored(self) -> dict[str, Any]:
        return {name: type_name(dtype, *shape[1:]) for name, (shape, dtype) in self._shapes.items()}

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        wanted = [self._table] if self._table is not None else names
        with ExitStack() as stack:
            members = {name: self._begin(name, stack) for name in wanted}
            if any(shape[0] != self.rows for _, shape, _ in members.values()):
                raise ValueError("its columns have several lengths")
            for start in range(0, self.rows, CHUNK_SIZE):
                n = min(CHUNK_SIZE, self.rows - start)
                found = {
                    name: take_rows(member, n, shape, dtype)
                    for name, (member, shape, dtype) in members.items()
                }
                yield found if self._table is None else split_rows(found[self._table], self.names, names)
            # Behind the last byte the archive's own check of the bytes is done.
            if any(member.read(1) for member, _, _ in members.values()):
                raise ValueError("there is more in it than it says")

    def _begin(self, name: str, stack: ExitStack) -> tuple[Any, tuple[int, ...], np.dtype[np.generic]]:
        """Open an array; return its file behind the header, its shape and type."""
        member = stack.enter_context(self._archive.open(f"{name}.npy"))
        shape, fortran, dtype = read_header(member, f"array {name}")
        check_numbers(dtype, name)
        if fortran and len(shape) > 1:
            raise ValueError(f"array {name} is stored column after column: store it row after row")
        return member, shape, dtype


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
            check_numbers(table.dtype, self._table)
            self.names, self.rows = names_of(table.dtype, table.shape, order), len(table)
            return
        if not flat:
            raise ValueError("there is no table of muons in it")
        self.names, self.rows = tuple(flat), len(data[flat[0]])

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        return [parse_object(str(self._file.attrs[name]))] if name in self._file.attrs else []

    def stored(self) -> dict[str, Any]:
        return {
            name: type_name(one.dtype, *one.shape[1:]) if hasattr(one, "dtype") else "group"
            for name, one in self._file.items()
        }

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        columns = {} if self._table is not None else {name: self._file[name] for name in names}
        for name, column in columns.items():
            check_numbers(column.dtype, name)
            if len(column) != self.rows:
                raise ValueError("its columns have several lengths")
        for start in range(0, self.rows, CHUNK_SIZE):
            piece = slice(start, start + CHUNK_SIZE)
            if self._table is not None:
                yield split_rows(self._file[self._table][piece], self.names, names)
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
        if self.objects(SEAL_KEY):
            check_footer(path, self._file.metadata)

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        texts = self._file.schema_arrow.metadata or {}
        return [parse_object(texts[name.encode()].decode())] if name.encode() in texts else []

    def stored(self) -> dict[str, Any]:
        return {one.name: type_name(np.dtype(one.type.to_pandas_dtype())) for one in self._file.schema_arrow}

    def pieces(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        if missing := set(names) - set(self.names):
            raise ValueError(f"no column {missing.pop()}")
        for batch in self._file.iter_batches(CHUNK_SIZE, columns=list(names)):
            found = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}
            for name, values in found.items():
                check_numbers(values.dtype, name)
            yield found


_SOURCES: dict[str, Callable[[Path, ExitStack, Sequence[str]], ArraySource]] = {
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
