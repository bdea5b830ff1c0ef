"""Files of arrays, for codes that read no ROOT: npz (NumPy), HDF5 and Parquet, written and read in pieces.

Beside the arrays lie texts (JSON), as ROOT files have them. Nothing is pickled, and what is pickled is
not read.
"""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from shipgen.errors import MissingExtraError
from shipgen.files.layouts import ARRAYS, FILE_SUMMARY_KEY, PROVENANCE_KEY
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.provenance import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Array, Columns

    #: Gives columns (float64, cm, GeV, z = 0 where the target starts) by their names, in pieces.
    Read: TypeAlias = Callable[[Sequence[str]], Iterator[Columns]]

#: What each kind of file begins with.
MAGIC = {b"PK\x03\x04": "npz", b"\x89HDF": "hdf5", b"PAR1": "parquet"}

#: The layout of each kind.
ARRAY_LAYOUTS = {kind: replace(ARRAYS, name=kind) for kind in MAGIC.values()}

_TEXTS = (PROVENANCE_KEY, FILE_SUMMARY_KEY)


class FieldSource(Protocol):
    """An open file of muons, whatever its kind."""

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        """Return the JSON objects of that name."""

    def rows(self, layout: Layout) -> int:
        """Return how many muons there are."""

    def pieces(self, layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yield the fields called `names`, `CHUNK_SIZE` muons at a time."""


def write_arrays(path: Path, layout: Layout, rows: int, read: Read, texts: Mapping[str, str]) -> None:
    """Write `rows` muons, which `read` gives, and `texts` to a file of the kind that `layout` is named after.

    Raises
    ------
    MissingExtraError
        The package for the kind is not installed.
    """
    _WRITERS[layout.name](path, layout, rows, read, texts)


def open_arrays(path: Path, kind: str, stack: ExitStack) -> FieldSource:
    """Open a file of that `kind` until `stack` ends; raise `MissingExtraError` without the package for it."""
    return _TABLES[kind](path, stack)


def _fill(layout: Layout, columns: Columns) -> dict[str, Array]:
    return layout.fill(columns, {}, 0.0)


def _write_npz(path: Path, layout: Layout, rows: int, read: Read, texts: Mapping[str, str]) -> None:
    """Write the arrays one after the other, each in a pass over its column."""
    with zipfile.ZipFile(path, "w") as archive:
        for branch in layout.branches:
            one = replace(layout, branches=(branch,))
            dtype = np.dtype(branch.dtype).newbyteorder("<")
            with archive.open(f"{branch.name}.npy", "w", force_zip64=True) as member:
                header = {"descr": dtype.str, "fortran_order": False, "shape": (rows,)}
                np.lib.format.write_array_header_1_0(member, header)
                for columns in read([branch.column]):
                    member.write(_fill(one, columns)[branch.name].astype(dtype, copy=False).tobytes())
        for name, text in texts.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(text), allow_pickle=False)


class _Npz:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._archive = stack.enter_context(zipfile.ZipFile(path))

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        if f"{name}.npy" not in self._archive.namelist():
            return []
        with self._archive.open(f"{name}.npy") as member:
            return [parse_object(str(np.lib.format.read_array(member, allow_pickle=False)))]

    def rows(self, layout: Layout) -> int:
        with ExitStack() as stack:
            return self._begin(layout.branches[0].name, stack)[1]

    def pieces(self, layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        rows = self.rows(layout)
        with ExitStack() as stack:
            members = {name: self._begin(name, stack) for name in names}
            for start in range(0, rows, CHUNK_SIZE):
                n = min(CHUNK_SIZE, rows - start)
                yield {
                    name: np.frombuffer(member.read(n * dtype.itemsize), dtype, n)
                    for name, (member, _, dtype) in members.items()
                }

    def _begin(self, name: str, stack: ExitStack) -> tuple[Any, int, np.dtype[np.generic]]:
        """Open an array; return its file behind the header, its length and type."""
        member = stack.enter_context(self._archive.open(f"{name}.npy"))
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"array {name} is of another version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        if len(shape) != 1 or dtype.hasobject:
            raise ValueError(f"array {name} is no column of numbers")
        return member, shape[0], dtype


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("HDF5", "h5py", "arrays") from error
    return h5py


def _write_hdf5(path: Path, layout: Layout, rows: int, read: Read, texts: Mapping[str, str]) -> None:
    # The file is locked already, by `complete_file`.
    with _h5py().File(path, "w", locking=False) as file:
        chunks = (min(rows, CHUNK_SIZE),)
        for branch in layout.branches:
            file.create_dataset(branch.name, rows, f"<{branch.dtype}", chunks=chunks)
        start = 0
        for columns in read([branch.column for branch in layout.branches]):
            filled = _fill(layout, columns)
            stop = start + len(columns["z"])
            for name, values in filled.items():
                file[name][start:stop] = values
            start = stop
        file.attrs.update(texts)


class _Hdf5:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._file = stack.enter_context(_h5py().File(path, locking=False))

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        return [parse_object(str(self._file.attrs[name]))] if name in self._file.attrs else []

    def rows(self, layout: Layout) -> int:
        return len(self._file[layout.branches[0].name])

    def pieces(self, layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        for start in range(0, self.rows(layout), CHUNK_SIZE):
            yield {name: self._file[name][start : start + CHUNK_SIZE] for name in names}


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "arrays") from error
    return pyarrow


def _write_parquet(path: Path, layout: Layout, rows: int, read: Read, texts: Mapping[str, str]) -> None:
    del rows
    arrow = _pyarrow()
    fields = [arrow.field(name, arrow.from_numpy_dtype(kind)) for name, kind in layout.branch_types().items()]
    schema = arrow.schema(fields, metadata=dict(texts))
    with arrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for columns in read([branch.column for branch in layout.branches]):
            file.write_table(arrow.table(_fill(layout, columns), schema=schema))


class _Parquet:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._file = stack.enter_context(_pyarrow().parquet.ParquetFile(path))

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        texts = self._file.schema_arrow.metadata or {}
        return [parse_object(texts[name.encode()].decode())] if name.encode() in texts else []

    def rows(self, layout: Layout) -> int:
        del layout
        return int(self._file.metadata.num_rows)

    def pieces(self, layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        if missing := set(names) - set(self._file.schema_arrow.names):
            raise ValueError(f"no column {missing.pop()}")
        del layout
        for batch in self._file.iter_batches(CHUNK_SIZE, columns=list(names)):
            yield {name: batch.column(name).to_numpy() for name in names}


_WRITERS: dict[str, Callable[[Path, Layout, int, Read, Mapping[str, str]], None]] = {
    "npz": _write_npz,
    "hdf5": _write_hdf5,
    "parquet": _write_parquet,
}
_TABLES: dict[str, Callable[[Path, ExitStack], FieldSource]] = {
    "npz": _Npz,
    "hdf5": _Hdf5,
    "parquet": _Parquet,
}
