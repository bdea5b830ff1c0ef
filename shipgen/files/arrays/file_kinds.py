"""Kinds of files of arrays: their endings, how they begin, and the packages that read and write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipgen.errors import MissingExtraError
from shipgen.files.rootfile import MAGIC

if TYPE_CHECKING:
    from pathlib import Path

#: Ending -> kind of file that is written; ``root`` is no file of arrays.
ENDINGS = {
    ".root": "root",
    ".npz": "npz",
    ".npy": "npy",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".parquet": "parquet",
}

#: Endings of pickles, which are read, by a reader that builds arrays alone, and never written.
PICKLES = (".pkl", ".pkl.gz", ".pickle")


def kind_of(path: Path) -> str | None:
    """Return the kind of a file from its first bytes, ``None`` for what is no file of arrays."""
    with path.open("rb") as file:
        start = file.read(4)
    found = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
    # The oldest form of pickles is text.
    return "pickle" if found is None and path.name.endswith(PICKLES) else found


def h5py() -> Any:
    """Return the module; raise `MissingExtraError` without it."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("HDF5", "h5py", "arrays") from error
    return h5py


def pyarrow() -> Any:
    """Return the module; raise `MissingExtraError` without it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "arrays") from error
    return pyarrow
