"""The journal of a production: which clusters are on disk, so that an interrupted one can go on.

A line is added when a cluster has been handed to the system, one JSON object a line. Whatever cuts the
journal off, its whole lines are good; whether the clusters they name are, their hashes tell. Its first line
is the hash of all that the clusters depend on: the journal of another production counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from shipgen.files.outputs import complete_file
from shipgen.files.root_storage import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


#: What it is called in a folder of unfinished work.
JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A cluster that was written, or a file that was completed.

    Attributes
    ----------
    file : int
        Number of the file, from 0.
    stored : Stored, optional
        The cluster; ``None`` says that the file stands complete under its name.
    counts : tuple of int
        Muons of each category in the cluster.
    """

    file: int
    stored: Stored | None = None
    counts: tuple[int, ...] = ()

    @classmethod
    def read(cls, line: str) -> Self:
        """Read one line; raise ValueError, KeyError or TypeError for half a line."""
        content = json.loads(line)
        stored = content["stored"]
        if stored is not None:
            stored = Stored(**{**stored, "sizes": tuple(stored["sizes"])})
        return cls(content["file"], stored, tuple(content["counts"]))

    def line(self) -> str:
        """Return the entry as a line."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


class Journal:
    """The file that entries are added to; a context manager, which closes it.

    Parameters
    ----------
    path : Path
        The journal; it begins anew with `entries`.
    key : mapping
        All that the clusters depend on, as JSON.
    entries : iterable of JournalEntry
        What it starts with.
    """

    def __init__(self, path: Path, key: Mapping[str, Any], entries: Iterable[JournalEntry]) -> None:
        with complete_file(path, force=True) as part:
            part.write_text(_head(key) + "".join(entry.line() for entry in entries), encoding="utf-8")
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def add(self, entry: JournalEntry) -> None:
        """Add `entry`; raise OSError where that fails."""
        text: Any = memoryview(entry.line().encode())
        while text:
            text = text[os.write(self._file, text) :]


def read_journal(path: Path, key: Mapping[str, Any] | None) -> list[JournalEntry]:
    """Return the entries of a journal up to the first that is not whole.

    There are none in the journal of another `key`; ``None`` takes any.
    """
    entries: list[JournalEntry] = []
    if not path.is_file():
        return entries
    head, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) or [""]
    if key is not None and head != _head(key):
        return entries
    for line in lines:
        try:
            if not line.endswith("\n"):
                raise ValueError("half a line")
            entries.append(JournalEntry.read(line))
        except (ValueError, KeyError, TypeError):
            break
    return entries


def kept_muons(folder: Path) -> int:
    """Return the muons that the journal in a folder of unfinished work names, of whatever key."""
    return sum(entry.stored.rows for entry in read_journal(folder / JOURNAL, None) if entry.stored)


def _head(key: Mapping[str, Any]) -> str:
    """Return a journal's first line."""
    text = json.dumps(key, sort_keys=True, allow_nan=False)
    return json.dumps({"key": hashlib.sha256(text.encode()).hexdigest()}) + "\n"
