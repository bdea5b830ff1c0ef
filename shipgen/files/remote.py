"""Files at addresses such as ``root://host//path``: copied there when they are complete.

ROOT files are not written in place where a system cannot change what was written: they are made on the
machine at work and then copied, under another name until all of the copy is there.
"""

from __future__ import annotations

import posixpath
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen.files.rootfile import base_name, missing_package

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes copied at once.
_PIECE = 2**24

_XROOTD = ("root://", "xrootd://", "roots://")


def beside(url: str, name: str) -> str:
    """Return the address of the file `name` in the folder of `url`."""
    return url[: len(url) - len(base_name(url))] + name


def check_upload(url: str, *, force: bool = False) -> None:
    """Raise what `upload` would raise before it copies, as far as that can be told."""
    try:
        system, path = _file_system(url)
    except ShipgenError:
        if not _has_xrdcp(url):
            raise
        return
    if not force and _exists(system, path, url):
        raise InputError(f"{url} exists: choose another name, or --force to replace it")


def upload(file: Path, url: str, *, force: bool = False) -> None:
    """Copy `file` to `url`, which appears when it is complete.

    By fsspec, for ``root://`` with the package fsspec-xrootd; where that is missing, by the command
    ``xrdcp``, which compares checksums.

    Raises
    ------
    InputError
        There is a file already, and not `force`.
    MissingExtraError
        Nothing is installed that writes there.
    OutputError
        Copying failed.
    """
    try:
        system, path = _file_system(url)
    except ShipgenError:
        if not _has_xrdcp(url):
            raise
        _xrdcp(file, url, force=force)
        return
    check_upload(url, force=force)
    try:
        if system.exists(path):
            system.rm(path)
        part = f"{path}.part"
        system.makedirs(posixpath.dirname(path), exist_ok=True)
        with file.open("rb") as source, system.open(part, "wb") as copy:
            shutil.copyfileobj(source, copy, _PIECE)
        system.mv(part, path)
        if (size := system.info(path)["size"]) != file.stat().st_size:
            raise OutputError(f"the copy at {url} has {size:,} of {file.stat().st_size:,} bytes: run again")
    except ShipgenError:
        raise
    except Exception as error:
        raise OutputError(f"writing {url} failed ({_reason(error)}): check address and access") from error


def open_remote(url: str) -> Any:
    """Open the file at `url` for reading, by fsspec; a binary file.

    Raises
    ------
    InputError
        It cannot be reached or is not there.
    MissingExtraError
        Nothing is installed that reads there.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, use_listings_cache=False)[0].open(url, "rb")
    except ImportError as error:
        raise missing_package(url, error) from error
    except Exception as error:
        raise InputError(f"{url} cannot be read ({_reason(error)}): check address and access") from error


def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system of `url` and the path in it."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise missing_package(url, error, "writing") from error
    except Exception as error:
        raise InputError(f"{url} cannot be reached ({_reason(error)}): check address and access") from error
    return system, path


def _exists(system: Any, path: str, url: str) -> bool:
    try:
        return bool(system.exists(path))
    except Exception as error:
        raise InputError(f"{url} cannot be reached ({_reason(error)}): check address and access") from error


def _has_xrdcp(url: str) -> bool:
    return url.startswith(_XROOTD) and shutil.which("xrdcp") is not None


def _xrdcp(file: Path, url: str, *, force: bool) -> None:
    """Copy by XRootD's own command; what is not complete does not stay."""
    options = ["--nopbar", "--posc", "--cksum", "adler32", *(["--force"] if force else [])]
    done = subprocess.run(  # noqa: S603 (no shell; the address is one word)
        ["xrdcp", *options, str(file), url],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise OutputError(f"writing {url} by xrdcp failed: {reason}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
