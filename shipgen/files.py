"""Outputs that exist only when complete: written beside their place, renamed at the end.

Every writer of shipgen goes through here, so that a file or folder under its final name is never half a one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_output(path: Path, *, force: bool = False) -> None:
    """Raise `InputError` when `path` cannot become an output: taken, or its folder missing or read-only."""
    if path.exists() and not force:
        raise InputError(f"{path} exists: choose another name, or --force to replace it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist: create it or choose another output")
    if not os.access(folder, os.W_OK):
        raise InputError(f"the folder {folder} cannot be written to: choose another output")


def part_path(path: Path) -> Path:
    """Return the name under which `path` is written until it is complete."""
    return path.with_name(path.name + ".part")


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in one line why writing `path` failed and what to do."""
    if error.errno in _FULL:
        return OutputError(
            f"no space left while writing {path}: free some or choose another disk, then run again "
            f"({os.strerror(error.errno or 0)})"
        )
    return OutputError(f"writing {path} failed: {error.strerror or error}")


@contextmanager
def complete_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give the path to write to; on success it becomes `path`, on any failure it is removed.

    Raises
    ------
    InputError
        `path` exists and `force` is not set, or its folder is missing or read-only.
    OutputError
        Writing failed, for example on a full disk.
    """
    check_output(path, force=force)
    if path.is_dir():
        raise InputError(f"{path} is a folder: choose a file name")
    part = part_path(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def complete_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Do for a folder what `complete_file` does for a file."""
    check_output(path, force=force)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file: choose a folder name")
    part = part_path(path)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        yield part
        if path.exists():
            shutil.rmtree(path)
        part.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sha256(path: Path) -> str:
    """Return the file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as readable JSON; NaN and infinity are refused."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        The file is missing, is no JSON, or holds something other than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object")
    return content
