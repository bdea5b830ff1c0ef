"""Files of arrays, written in one pass as muons come: npz, npy (NumPy), HDF5 and Parquet.

Beside the arrays lie texts (JSON), as ROOT files have them. How many muons there will be is known before.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipgen.files.arrays.file_kinds import h5py, pyarrow
from shipgen.files.arrays.sealing import sealed, type_name
from shipgen.files.layouts import SEAL_KEY
from shipgen.muons.columns import CHUNK_SIZE, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Array, Columns


class ArrayWriter(Protocol):
    """A file of arrays that grows."""

    def append(self, blocks: Columns) -> None:
        """Write the next muons, as `blocks_of` makes them."""

    def finish(self, texts: Mapping[str, str]) -> None:
        """Write what the file says of itself, after the last muon."""


@contextmanager
def array_writer(path: Path, layout: Layout, rows: int) -> Iterator[ArrayWriter]:
    """Begin a file at `path` for `rows` muons in `layout`, of the layout's kind.

    Raises
    ------
    MissingExtraError
        The package for the kind is not installed.
    """
    with _WRITERS[layout.kind](path, layout, rows) as writer:
        yield writer


def blocks_of(layout: Layout, fields: Columns) -> dict[str, Array]:
    """Return muons as they lie in a file, in memory of their own.

    Parameters
    ----------
    layout : Layout
        Of the file.
    fields : mapping of str to array[n]
        As `Layout.fill` makes them.

    Returns
    -------
    dict of str to array
        The fields, or the layout's table of them: float64[n, fields].
    """
    if not layout.table:
        return {name: np.array(values) for name, values in fields.items()}
    return {layout.table: rows_of([fields[branch.name] for branch in layout.branches], np.float64)}


def _stored(layout: Layout) -> dict[str, Any]:
    """Return what a seal says of a file's columns."""
    little = {branch.name: type_name(np.dtype(branch.dtype).newbyteorder("<")) for branch in layout.branches}
    return {layout.table: type_name(np.dtype("<f8"), len(little))} if layout.table else little


class _Npz:
    """Arrays at places that are known from the start, since how long they get is: no pass over each.

    The archive's members are stored as they are, so their headers need but the checksums, at the end.
    """

    def __init__(self, file: Any, layout: Layout, rows: int) -> None:
        self._file, self._layout = file, layout
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._places: dict[str, int] = {}
        self._checks: dict[str, int] = {}
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            branch.name: ((rows,), branch.dtype) for branch in layout.branches
        }
        if layout.table:
            shapes = {layout.table: ((rows, len(layout.branches)), "f8")}
        place = 0
        for name, (shape, dtype) in shapes.items():
            place = self._begin(name, shape, np.dtype(dtype).newbyteorder("<"), place)
        self._end = place

    def _begin(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], place: int) -> int:
        """Write the headers of an array at `place`; return the place behind it."""
        member = zipfile.ZipInfo(f"{name}.npy")
        member.header_offset, member.CRC = place, 0
        self._file.seek(place + len(member.FileHeader(zip64=True)))
        header = _Counted(self._file)
        np.lib.format.write_array_header_1_0(
            header, {"descr": dtype.str, "fortran_order": False, "shape": shape}
        )
        member.file_size = member.compress_size = header.length + int(np.prod(shape)) * dtype.itemsize
        self._members[name], self._checks[name] = member, header.check
        self._places[name] = self._file.tell()
        return place + len(member.FileHeader(zip64=True)) + member.file_size

    def append(self, blocks: Columns) -> None:
        for name in self._members:
            data = blocks[name].data.cast("B")
            self._file.seek(self._places[name])
            self._file.write(data)
            self._places[name] += len(data)
            self._checks[name] = zlib.crc32(data, self._checks[name])

    def finish(self, texts: Mapping[str, str]) -> None:
        for name, member in self._members.items():
            member.CRC = self._checks[name]
            self._file.seek(member.header_offset)
            self._file.write(member.FileHeader(zip64=True))
        # The archive goes on, and closes, as if it had written them itself.
        self._file.seek(self._end)
        with zipfile.ZipFile(self._file, "w") as archive:
            for member in self._members.values():
                archive.filelist.append(member)
                archive.NameToInfo[member.filename] = member
            whole = sealed(texts, _stored(self._layout))
            # Not among the arrays, where others would read it as one.
            archive.comment = whole.pop(SEAL_KEY).encode()
            for name, text in whole.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.array(text), allow_pickle=False)


class _Counted:
    """Counts and checks what is written through it."""

    def __init__(self, file: Any) -> None:
        self._file, self.length, self.check = file, 0, 0

    def write(self, data: bytes) -> int:
        self.length, self.check = self.length + len(data), zlib.crc32(data, self.check)
        return int(self._file.write(data))


@contextmanager
def _npz(path: Path, layout: Layout, rows: int) -> Iterator[_Npz]:
    with path.open("wb") as file:
        yield _Npz(file, layout, rows)


class _Npy:
    """Rows of one array; what the file says of itself is a second array behind it, as NumPy allows it."""

    def __init__(self, file: Any, layout: Layout, rows: int) -> None:
        self._file, self._layout, self._check = file, layout, 0
        header = {"descr": "<f8", "fortran_order": False, "shape": (rows, len(layout.branches))}
        np.lib.format.write_array_header_1_0(file, header)

    def append(self, blocks: Columns) -> None:
        data = blocks[self._layout.table].data.cast("B")
        self._check = zlib.crc32(data, self._check)
        self._file.write(data)

    def finish(self, texts: Mapping[str, str]) -> None:
        names = [branch.name for branch in self._layout.branches]
        said: dict[str, Any] = {"columns": names, "crc32": self._check}
        whole = sealed(texts, {**_stored(self._layout), **said})
        said |= {name: json.loads(text) for name, text in whole.items()}
        np.lib.format.write_array(self._file, np.array(json.dumps(said)), allow_pickle=False)


@contextmanager
def _npy(path: Path, layout: Layout, rows: int) -> Iterator[_Npy]:
    with path.open("wb") as file:
        yield _Npy(file, layout, rows)


class _Hdf5:
    """A dataset a field, each chunk with a checksum."""

    def __init__(self, file: Any, layout: Layout, rows: int) -> None:
        self._file, self._layout, self._at = file, layout, 0
        for branch in layout.branches:
            file.create_dataset(
                branch.name, rows, f"<{branch.dtype}", chunks=(min(rows, CHUNK_SIZE),), fletcher32=True
            )

    def append(self, blocks: Columns) -> None:
        stop = self._at + len(next(iter(blocks.values())))
        for name, values in blocks.items():
            self._file[name][self._at : stop] = values
        self._at = stop

    def finish(self, texts: Mapping[str, str]) -> None:
        self._file.attrs.update(sealed(texts, _stored(self._layout)))


@contextmanager
def _hdf5(path: Path, layout: Layout, rows: int) -> Iterator[_Hdf5]:
    # The file is locked already, by `complete_file`.
    with h5py().File(path, "w", locking=False) as file:
        yield _Hdf5(file, layout, rows)


class _Parquet:
    """A column a field, each page with a checksum."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._arrow, self._layout = pyarrow(), layout
        types = layout.branch_types().items()
        self._schema = self._arrow.schema(
            [self._arrow.field(name, self._arrow.from_numpy_dtype(kind)) for name, kind in types]
        )
        self.file = self._arrow.parquet.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
            store_schema=False,
        )

    def append(self, blocks: Columns) -> None:
        self.file.write_table(self._arrow.table(dict(blocks), schema=self._schema))

    def finish(self, texts: Mapping[str, str]) -> None:
        self.file.add_key_value_metadata(sealed(texts, _stored(self._layout)))


@contextmanager
def _parquet(path: Path, layout: Layout, rows: int) -> Iterator[_Parquet]:
    del rows
    writer = _Parquet(path, layout)
    with writer.file:
        yield writer


_WRITERS: dict[str, Callable[[Path, Layout, int], Any]] = {
    "npz": _npz,
    "npy": _npy,
    "hdf5": _hdf5,
    "parquet": _parquet,
}
