"""The journal of a production: which clusters are on disk, so that an interrupted one can go on.

A line is added when a cluster has been handed to the system: a checksum, and a JSON object. The first line's
object is all that the clusters depend on: the journal of another production counts for nothing. Checksums
are chained, each covers the one before, so that a line that was changed, left out, doubled or moved ends what
counts. Whatever cuts the journal off, its whole lines are good; whether the clusters they name are, their
hashes tell.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from shipgen.files.outputs import complete_file
from shipgen.files.root_storage import Stored
from shipgen.numbers import parse_json, plain_text, real, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: What it is called in a folder of unfinished work.
JOURNAL = "journal"

#: No cluster has so many bytes, nor so many muons.
_MOST = 2**31 - 1

#: Hexadecimal digits of a checksum (XXH3, 64 bits).
_DIGITS = 16


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
        Muons of each category in the cluster; or in a file that was found complete, none of whose clusters
        is named.
    weight : float, optional
        Sum of the weights in such a file, where these differ.
    """

    file: int
    stored: Stored | None = None
    counts: tuple[int, ...] = ()
    weight: float | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read an entry; raise ValueError, KeyError or TypeError for anything else."""
        content = parse_json(text)
        file, stored = whole(content["file"], "file"), content["stored"]
        counts = tuple(whole(number, "counts") for number in content["counts"])
        if stored is None:
            return cls(file, None, counts, _weight(content))
        one = Stored(
            start=whole(stored["start"], "start"),
            **{name: whole(stored[name], name, high=_MOST) for name in ("length", "rows")},
            sizes=tuple(whole(size, "sizes", high=_MOST) for size in stored["sizes"]),
            check=plain_text(stored["check"], "check"),
            weight=_weight(stored),
        )
        if sum(counts) != one.rows:
            raise ValueError(f"{one.rows} muons of which {counts} are of the categories")
        return cls(file, one, counts)

    def text(self) -> str:
        """Return the entry as it is written."""
        return json.dumps(asdict(self), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What can be read of a journal.

    Attributes
    ----------
    key : mapping, optional
        All that the clusters depend on; ``None`` where not even that can be read.
    entries : list of JournalEntry
        Up to the first line that is not what was written.
    damaged : bool
        Whether there is such a line; not one that was cut off, as a kill leaves it.
    """

    key: Mapping[str, Any] | None
    entries: list[JournalEntry]
    damaged: bool


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
        self._last = ""
        texts = [json.dumps(key, allow_nan=False), *(entry.text() for entry in entries)]
        with complete_file(path, force=True) as part:
            part.write_text("".join(map(self._line, texts)), encoding="utf-8")
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def add(self, entry: JournalEntry) -> None:
        """Add `entry`; raise OSError where that fails."""
        text: Any = memoryview(self._line(entry.text()).encode())
        while text:
            text = text[os.write(self._file, text) :]

    def _line(self, text: str) -> str:
        self._last = _checksum(self._last, text)
        return f"{self._last} {text}\n"


def read_journal(path: Path) -> JournalContent:
    """Return what can be read of the journal at `path`, which need not exist."""
    if not path.is_file():
        return JournalContent(None, [], damaged=False)
    lines = path.read_bytes().split(b"\n")
    # What has no end was cut off.
    last = lines.pop()
    found: list[Any] = []
    check = ""
    for line in lines:
        try:
            stated, text = line[:_DIGITS].decode(), line[_DIGITS + 1 :].decode()
            check = _checksum(check, text)
            if (stated, line[_DIGITS : _DIGITS + 1]) != (check, b" "):
                raise ValueError("another checksum")
            found.append(JournalEntry.read(text) if found else parse_json(text))
        except (ValueError, KeyError, TypeError):
            break
    damaged = len(found) < len(lines) or (not lines and bool(last))
    key, *entries = found or [None]
    return JournalContent(key if isinstance(key, dict) else None, entries, damaged)


def kept_muons(folder: Path) -> int:
    """Return the muons that the journal in a folder of unfinished work names, of whatever key."""
    return sum(sum(entry.counts) for entry in read_journal(folder / JOURNAL).entries)


def _weight(content: Mapping[str, Any]) -> float | None:
    return None if content["weight"] is None else real(content["weight"], "weight")


def _checksum(before: str, text: str) -> str:
    """Return the checksum of a line that follows the one with the checksum `before`."""
    import xxhash

    return str(xxhash.xxh3_64_hexdigest(f"{before} {text}".encode()))
