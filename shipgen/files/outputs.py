"""Outputs that exist only when complete: written beside their place, renamed at the end.

Every writer of shipgen goes through here, so that a file or folder under its final name is never half a one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, OutputError
from shipgen.numbers import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_WORK_INDEX = "work.json"

#: In it: SHA-256 of all else.
_CHECKSUM = "checksum"

#: Bytes: parsed, JSON of small lists takes thirty times the memory.
_LARGEST_JSON = 2**25

#: Bytes of an output's name: what is beside it while it is made has a longer one.
_LONGEST_NAME = 255 - len("_000000.work.old")

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_output(path: Path, *, force: bool = False, index: str | None = None) -> None:
    """Raise `InputError` when `path` cannot become an output.

    Parameters
    ----------
    path : Path
        The file or folder to make.
    force : bool
        Whether it may be replaced.
    index : str, optional
        For a folder: the file that is in every folder of its kind. Only such a folder, or an empty one, is
        ever replaced.
    """
    where = _resolved(path, folder=index is not None)
    if path.exists() and not force:
        raise InputError(f"{path} exists: choose another name, or --force to replace it")
    if index is None and where.is_dir():
        raise InputError(f"{path} is a folder: choose a file name")
    if index is not None and where.is_file():
        raise InputError(f"{path} is a file: choose a folder name")
    if index is not None and where.is_dir() and any(where.iterdir()) and not (where / index).is_file():
        raise InputError(f"{path} holds something else (there is no {index} in it): choose another folder")
    if where.exists() and not (where.is_file() or where.is_dir()):
        raise InputError(f"{path} is neither a file nor a folder: choose another output")
    folder = where.parent
    if not folder.is_dir():
        raise InputError(f"the folder {path.parent} does not exist: create it or choose another output")
    if not os.access(folder, os.W_OK):
        raise InputError(f"the folder {path.parent} cannot be written to: choose another output")


def _resolved(path: Path, *, folder: bool = False) -> Path:
    """Return the full path of an output; raise `InputError` where it has no name that can be given."""
    try:
        where = path.resolve(strict=os.path.lexists(path))
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is a link that leads nowhere"
        raise InputError(f"{str(path)!r} cannot be an output ({reason}): choose another name") from error
    if not path.name and not folder:
        raise InputError(f"{str(path)!r} is a folder: choose a file name")
    # Links are followed, to where there may be nothing yet.
    if (length := len(os.fsencode(where.name))) > _LONGEST_NAME:
        raise InputError(
            f"the output's name has {length} bytes, more than {_LONGEST_NAME}: choose a shorter one"
        )
    return where


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in one line why writing `path` failed and what to do."""
    if error.errno in _FULL:
        return OutputError(
            f"no space left while writing {path}: free some or choose another disk, then run again "
            f"({os.strerror(error.errno or 0)})"
        )
    return OutputError(f"writing {path} failed: {error.strerror or error}")


def rename(part: Path, final: Path) -> None:
    """Give the file `part` the name `final`, whole also after a power cut: nothing is left in memory."""
    _sync(part)
    part.replace(final)
    # Where folders cannot be synchronised, some network disks, the name is on disk when the server wants.
    with suppress(OSError):
        _sync(final.parent)


def _sync(path: Path) -> None:
    """Have the system write a file or folder to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


@contextmanager
def _locked(part: Path, path: Path) -> Iterator[None]:
    """Keep other runs from writing `part`; the lock ends with the process, however that ends."""
    while True:
        with part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"another run is writing {path}: wait for it, or choose another name"
                ) from error
            # The other run may have renamed the file between our opening and locking it.
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                yield
                return


@contextmanager
def complete_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give the path to write to; on success it becomes `path`, on any failure it is removed.

    Raises
    ------
    InputError
        `path` cannot become an output, or another run is writing it.
    OutputError
        Writing failed, for example on a full disk.
    """
    check_output(path, force=force)
    final = path.resolve()
    part = _beside(final, ".part")
    try:
        with _locked(part, path):
            try:
                yield part
                if final.exists() and not force:
                    raise OutputError(f"{path} was made by something else meanwhile: it is kept, run again")
                rename(part, final)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


@contextmanager
def complete_folder(path: Path, *, index: str, force: bool = False) -> Iterator[Path]:
    """Do for a folder what `complete_file` does for a file; `index` as for `check_output`."""
    check_output(path, force=force, index=index)
    final = path.resolve()
    part, old = _beside(final, ".part"), _beside(final, ".old")
    try:
        with _locked(_beside(final, ".lock"), path):
            try:
                shutil.rmtree(part, ignore_errors=True)
                if old.exists() and not final.exists():
                    # Left by a run that was killed between giving away the name and giving it anew.
                    old.replace(final)
                    check_output(path, force=force, index=index)
                part.mkdir()
                yield part
                if final.exists():
                    final.replace(old)
                try:
                    part.replace(final)
                except OSError:
                    if old.exists():
                        old.replace(final)
                    raise
            finally:
                shutil.rmtree(part, ignore_errors=True)
                if final.exists():
                    shutil.rmtree(old, ignore_errors=True)
                _beside(final, ".lock").unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def unfinished(output: Path) -> dict[str, Any] | None:
    """Return the key of the work that an earlier run left for `output`, ``None`` when there is none.

    It is empty where it was damaged. What a run left that was killed while it removed its work is removed.
    """
    folder = _beside(_resolved(output), ".work")
    shutil.rmtree(_beside(folder, ".old"), ignore_errors=True)
    return _read_key(folder)[0] if os.path.lexists(folder / _WORK_INDEX) else None


def damaged_work(output: Path) -> Path | None:
    """Return what says of which kind the work is that an earlier run left for `output`, if it was damaged."""
    folder = _beside(_resolved(output), ".work")
    index = folder / _WORK_INDEX
    return index if os.path.lexists(index) and not _read_key(folder)[1] else None


def _read_key(folder: Path) -> tuple[dict[str, Any], bool]:
    """Return the key of the work in `folder`, and whether it is what was written; empty if it is not.

    Without a checksum it may be of an earlier version.
    """
    try:
        content = read_json(folder / _WORK_INDEX)
    except InputError:
        return {}, False
    stated = content.pop(_CHECKSUM, None)
    good = stated == _checksum(content)
    return (content if good or stated is None else {}), good


def _checksum(key: Mapping[str, Any]) -> str:
    text = json.dumps(key, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_idle(output: Path) -> None:
    """Raise `InputError` when another run is at work in what an earlier one left for `output`."""
    folder = _beside(_resolved(output), ".work")
    try:
        if folder.is_dir():
            with _locked(folder / "lock", output):
                pass
    except OSError as error:
        raise output_error(folder, error) from error


def discard_work(output: Path) -> None:
    """Remove what an earlier run left for `output`.

    Raises
    ------
    InputError
        Another run is at work there.
    OutputError
        It cannot be removed.
    """
    folder = _beside(_resolved(output), ".work")
    try:
        if folder.is_dir():
            with _locked(folder / "lock", output):
                _remove(folder)
    except OSError as error:
        raise output_error(folder, error) from error


def _remove(folder: Path) -> None:
    """Remove a work folder, first its name: what a kill leaves of it is never taken for work."""
    old = _beside(folder, ".old")
    shutil.rmtree(old, ignore_errors=True)
    folder.replace(old)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def work_folder(output: Path, key: Mapping[str, Any], *, own_keys: bool = False) -> Iterator[Path]:
    """Give a folder beside `output`, ``OUTPUT.work``, for pieces that a later run can use.

    It is removed when the context ends well, or without a piece in it; otherwise it stays, and a run with the
    same `key` finds the pieces again. Pieces have to be complete when they appear (`complete_file`).

    Parameters
    ----------
    output : Path
        What the pieces are for.
    key : mapping
        All that the pieces depend on, as JSON: settings, seed, digests of inputs.
    own_keys : bool
        Whether pieces say by themselves what they depend on, and those of another `key` are not used: then
        it does no harm if the folder's own key was damaged.

    Raises
    ------
    InputError
        The folder holds pieces of another `key`, or another run is at work there.
    OutputError
        It cannot be made.
    """
    folder = _beside(_resolved(output), ".work")
    lock, index = folder / "lock", folder / _WORK_INDEX
    try:
        folder.mkdir(exist_ok=True)
        with _locked(lock, output):
            wanted = json.loads(json.dumps(key))
            found, good = _read_key(folder)
            if own_keys and not good:
                # Of an earlier version, which may have said less. Other work is not overwritten.
                said = found.keys() & wanted.keys()
                check_key(
                    folder, *({name: key[name] for name in wanted if name in said} for key in (found, wanted))
                )
            if not os.path.lexists(index) or (own_keys and not good):
                with complete_file(index, force=True) as part:
                    write_json(part, {**wanted, _CHECKSUM: _checksum(wanted)})
            elif found:
                check_key(folder, found, wanted)
            else:
                raise InputError(f"{index} is damaged: remove the folder {folder.name}, and run again")
            try:
                yield folder
            except BaseException:
                if {item.name for item in folder.iterdir()} <= {lock.name, index.name}:
                    with suppress(OSError):
                        _remove(folder)
                raise
            with suppress(OSError):
                _remove(folder)
    except OSError as error:
        raise output_error(folder, error) from error


def check_key(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `InputError` that names the first difference between two keys."""
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            raise InputError(
                f"{folder} holds unfinished work with {name} {_said(found.get(name))}, but "
                f"{_said(wanted.get(name))} is asked for: run the earlier command again to go on with it, or "
                "remove the folder"
            )


def _said(value: object) -> object:
    """Return what is said of a value of a key."""
    return "not given" if value is None else value


def sha256(path: Path) -> str:
    """Return the file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as readable JSON; NaN and infinity are refused."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_text(path: Path) -> str:
    """Read a file of JSON as text; raise `InputError` where it is none, has no end or cannot be read.

    Text that is not UTF-8 is a ValueError.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"cannot read {path}: it is no file")
        if (size := path.stat().st_size) > _LARGEST_JSON:
            raise InputError(f"{path} is larger than any JSON of shipgen: {size:,} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        The file is missing, is no JSON, or holds something other than an object.
    """
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object")
    return content
