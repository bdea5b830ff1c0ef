"""Which files are meant: lists, globs, URLs, and what a blacklist takes out."""

from __future__ import annotations

import glob
import os.path
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.rootfile import base_name, is_remote, missing_package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.files.rootfile import Location

_MAGIC = "*?["


def expand(files: Sequence[Location], lists: dict[Location, str] | None = None) -> list[Location]:
    """Return the files that `files` mean, in their order, those of a glob sorted.

    Parameters
    ----------
    files : sequence of Path or str
        Files, globs (``**`` for any folders), URLs, and lists: text files named ``.txt`` with one of them a
        line, where what follows a ``#`` is ignored. Relative names in a list are relative to the folder in
        which the program runs, as for `hadd` and `tar`, not to the list's own.
    lists : dict, optional
        Gets the list of each file that was named in one.

    Raises
    ------
    InputError
        A name is empty, a glob matches nothing, or a list cannot be read, names no file, or names itself.
    MissingExtraError
        A glob is remote, and the package that reads it is not installed.
    """
    return _expand(files, {} if lists is None else lists, ())


def _expand(
    files: Sequence[Location], lists: dict[Location, str], within: tuple[Path, ...]
) -> list[Location]:
    """Expand names that come from the innermost list of `within`, if any."""
    found: list[Location] = []
    for item in files:
        try:
            found += _expand_one(item, lists, within)
        except InputError as error:
            if within and "(named in the list" not in str(error):
                raise InputError(f"{error} (named in the list {within[-1]})") from error
            raise
    if within:
        for file in found:
            lists.setdefault(file, str(within[-1]))
    return found


def _expand_one(item: Location, lists: dict[Location, str], within: tuple[Path, ...]) -> list[Location]:
    if is_remote(item):
        return _remote(str(item))
    if not str(item).strip():
        raise InputError("an empty name is no file: is a variable of the command empty?")
    path = Path(item)
    if path.suffix == ".txt":
        if path.resolve() in [one.resolve() for one in within]:
            raise InputError(f"the list {path} names itself: take that line out")
        lines = read_lines(path)
        if not lines:
            raise InputError(f"the list {path} names no file: it is empty, or has comments only")
        return _expand([line if is_remote(line) else Path(line) for line in lines], lists, (*within, path))
    if any(letter in str(item) for letter in _MAGIC) and not path.exists():
        matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207 - the folder is part of the pattern
        if not matches:
            raise InputError(f"no file matches {item}: check the folder and the pattern")
        return list(map(Path, matches))
    return [path]


def _remote(url: str) -> list[Location]:
    """Return the URLs that a URL with ``*`` means."""
    if "*" not in url:
        return [url]
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        matches = sorted(str(system.unstrip_protocol(match)) for match in system.glob(path))
    except ImportError as error:
        raise missing_package(url, error) from error
    except Exception as error:
        raise InputError(f"{url} cannot be listed ({type(error).__name__}: {error})") from error
    if not matches:
        raise InputError(f"no file matches {url}: check the folder and the pattern")
    return list(matches)


def read_lines(path: Path) -> list[str]:
    """Read a list of names: one a line, without comments and empty lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read: {error}") from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


def take_out(
    files: Sequence[Location], patterns: Sequence[str]
) -> tuple[list[Location], list[dict[str, str]], list[str]]:
    """Take out the files that a blacklist names.

    Parameters
    ----------
    files : sequence of Path or str
        From `expand`.
    patterns : sequence of str
        Names, ends of paths, absolute paths, or globs of any.

    Returns
    -------
    list of Path or str
        What is left.
    list of dict
        ``name`` and ``entry`` of what was taken out.
    list of str
        Warnings: entries that name no file.
    """
    kept: list[Location] = []
    out, used = [], set()
    for file in files:
        hit = [pattern for pattern in patterns if _is_meant(file, pattern)]
        used.update(hit)
        if hit:
            out.append({"name": base_name(file), "entry": _shown(hit[0])})
        else:
            kept.append(file)
    unused = [f"{_shown(p)!r} is to be left out, but names no file" for p in patterns if p not in used]
    if files and not kept:
        raise InputError(f"all {len(files)} files are left out: nothing remains to prepare")
    return kept, out, list(dict.fromkeys(unused))


def _is_meant(file: Location, pattern: str) -> bool:
    """Return whether a line of a blacklist means `file`, however either is spelt (``./x.root``)."""
    name = str(file)
    if pattern in {name, base_name(file)} or fnmatchcase(name, pattern):
        return True
    if is_remote(file) or is_remote(pattern):
        return not pattern.startswith("/") and PurePosixPath(name).match(pattern)
    # From the right; an absolute pattern has to match all of the path.
    plain = os.path.normpath(pattern)
    if plain.startswith(".."):
        plain = os.path.abspath(plain)  # noqa: PTH100 - links stay as they are
    return PurePosixPath(os.path.abspath(name)).match(plain)  # noqa: PTH100


def _shown(pattern: str) -> str:
    """Return a line as written, of an absolute path the name alone: no folder of this machine is stored."""
    return base_name(pattern) if pattern.startswith("/") or is_remote(pattern) else pattern
