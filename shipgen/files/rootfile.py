"""ROOT files given by the user: opened with one clear line for whatever is wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from shipgen.errors import InputError, MissingExtraError, ShipgenError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A file on this machine, or the address of one elsewhere (``root://host//path``, ``https://host/path``).
Location: TypeAlias = Path | str


def is_remote(location: Location) -> bool:
    """Return whether `location` is a URL."""
    return isinstance(location, str) and "://" in location


def base_name(location: Location) -> str:
    """Return the name of a file without its folder."""
    return str(location).rsplit("/", 1)[-1]


#: What files of arrays begin with, by kind, so that they are told as such; gzip is how pickles are packed.
MAGIC = {
    b"PK\x03\x04": "npz",
    b"\x93NUM": "npy",
    b"\x89HDF": "hdf5",
    b"PAR1": "parquet",
    b"\x1f\x8b\x08": "pickle",
    b"\x80": "pickle",
}


@contextmanager
def open_root(path: Location) -> Iterator[Any]:
    """Open a ROOT file, without caches, which would keep what was read.

    Raises
    ------
    InputError
        The file is missing, no ROOT file, or shorter than it says.
    MissingExtraError
        It is remote, and the package that reads it is not installed.
    """
    with _open_remote(str(path)) if is_remote(path) else _open_local(Path(path)) as file:
        if (size := file.file.source.num_bytes) < file.file.fEND:
            raise InputError(
                f"{path} is damaged or truncated, get it again "
                f"({size:,} bytes are there of {file.file.fEND:,})"
            )
        yield file


def _open_local(path: Path) -> Any:
    import uproot

    try:
        if not path.is_file():
            odd = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise InputError(f"{path} {'is a folder' if path.is_dir() else odd}: give a ROOT file or arrays")
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if magic != b"root":
        what = "no ROOT file" if magic.startswith(tuple(MAGIC)) else "neither a ROOT file nor arrays"
        raise InputError(f"{path} is {what}: give the output of shipgen or of FairShip")
    with readable(path):
        return uproot.open({path: None}, object_cache=None, array_cache=None)


def _open_remote(url: str) -> Any:
    import uproot

    # Its own reader of web addresses needs no further package.
    web = {"handler": uproot.source.http.HTTPSource} if url.startswith(("https://", "http://")) else {}
    try:
        return uproot.open({url: None}, object_cache=None, array_cache=None, **web)
    except ImportError as error:
        raise missing_package(url, error) from error
    except Exception as error:
        raise InputError(f"{url} cannot be opened ({_reason(error)}): check address and access") from error


def missing_package(url: str, error: ImportError, task: str = "reading") -> ShipgenError:
    """Say what to install for a task with `url`."""
    if url.startswith(("root://", "xrootd://")):
        return MissingExtraError(f"{task} {url}", "fsspec-xrootd", "xrootd")
    scheme = url.partition("://")[0]
    return InputError(
        f"{task} {url} failed: a package for {scheme}:// is not installed ({_reason(error)}); install it "
        "or copy the file to this machine"
    )


@contextmanager
def readable(path: Location) -> Iterator[None]:
    """Turn what uproot, awkward and the decompressors raise on a damaged file into one line."""
    try:
        yield
    except (ShipgenError, MemoryError):
        raise
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise InputError(f"{path} is damaged or truncated, get it again ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Return class and first line of an exception."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0].rstrip(',')}"
