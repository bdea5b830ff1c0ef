"""Which files are meant: lists, globs, URLs, and what a blacklist takes out."""

from __future__ import annotations

import glob
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from shipgen.errors import InputError, MissingExtraError
from shipgen.rootfile import base_name, is_remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.rootfile import Location

_MAGIC = "*?["


def expand(files: Sequence[Location]) -> list[Location]:
    """Return the files that `files` mean, in their order, those of a glob sorted.

    Parameters
    ----------
    files : sequence of Path or str
        Files, globs (``**`` for any folders), URLs, and lists: text files named ``.txt`` with one of them a
        line, where what follows a ``#`` is ignored.

    Raises
    ------
    InputError
        A glob matches nothing, or a list cannot be read.
    MissingExtraError
        A glob is remote, and the package that reads it is not installed.
    """
    found: list[Location] = []
    for item in files:
        if is_remote(item):
            found += _remote(str(item))
        elif str(item).endswith(".txt"):
            found += expand([line if is_remote(line) else Path(line) for line in read_lines(Path(item))])
        elif any(letter in str(item) for letter in _MAGIC) and not Path(item).exists():
            matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207 - the folder is part of the pattern
            if not matches:
                raise InputError(f"no file matches {item}: check the folder and the pattern")
            found += map(Path, matches)
        else:
            found.append(Path(item))
    return found


def _remote(url: str) -> list[Location]:
    """Return the URLs that a URL with ``*`` means."""
    if "*" not in url:
        return [url]
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        matches = sorted(str(system.unstrip_protocol(match)) for match in system.glob(path))
    except ImportError as error:
        raise MissingExtraError(f"reading {url}", "fsspec-xrootd", "xrootd") from error
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
        Names, paths, or globs of either.

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
        names = (str(file), base_name(file))
        hit = [pattern for pattern in patterns if any(fnmatchcase(name, pattern) for name in names)]
        used.update(hit)
        if hit:
            out.append({"name": base_name(file), "entry": base_name(hit[0])})
        else:
            kept.append(file)
    unused = [f"{base_name(p)!r} is to be left out, but names no file" for p in patterns if p not in used]
    if files and not kept:
        raise InputError(f"all {len(files)} files are left out: nothing remains to prepare")
    return kept, out, list(dict.fromkeys(unused))
