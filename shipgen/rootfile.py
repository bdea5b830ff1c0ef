"""ROOT files given by the user: opened with one clear line for whatever is wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_root(path: Path) -> Iterator[Any]:
    """Open a ROOT file, without caches, which would keep what was read.

    Raises
    ------
    InputError
        The file is missing, no ROOT file, or shorter than it says.
    """
    import uproot

    if not path.is_file():
        raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: give a ROOT file")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"root":
        raise InputError(f"{path} is no ROOT file: give the output of shipgen or of FairShip")
    with readable(path):
        file = uproot.open({path: None}, object_cache=None, array_cache=None)
    with file:
        if path.stat().st_size < file.file.fEND:
            raise InputError(
                f"{path} is damaged or truncated, get it again "
                f"({path.stat().st_size:,} bytes are there of {file.file.fEND:,})"
            )
        yield file


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what uproot, awkward and the decompressors raise on a damaged file into one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(",")
        raise InputError(
            f"{path} is damaged or truncated, get it again ({type(error).__name__}: {reason})"
        ) from error
