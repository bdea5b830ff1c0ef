"""Shards: parts of one production that are made apart, on a batch farm perhaps, and join without a seam.

A shard is a contiguous range of the plan's chunks. What a chunk holds depends on seed and number alone, so
the muons of all shards, one after the other, are those of the whole production in their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from shipgen.errors import InputError
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shard:
    """One of so many parts of a production.

    Attributes
    ----------
    number, of : int
        From 1 to `of`.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3/8``; raise `InputError` for anything else."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"the shard {text!r} is not I/N with I from 1 to N, such as 3/8")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def all(cls, of: int) -> list[Self]:
        """Return all shards of so many."""
        return [cls(number, of) for number in range(1, of + 1)]

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def name(self, name: str) -> str:
        """Return the name of this shard's file: ``out_shard03of16.root`` for ``out.root``.

        All jobs of a batch say the same output; numbers are filled up with zeros, so that names sort.
        """
        stem, dot, ending = name.rpartition(".")
        stem = stem or name
        number = f"{self.number:0{len(str(self.of))}}"
        return f"{stem}_shard{number}of{self.of}{f'{dot}{ending}' if stem != name else ''}"

    def path(self, path: Path) -> Path:
        """Return the path of this shard's file, beside `path`."""
        return path.with_name(self.name(path.name))

    def muons(self, total: int) -> tuple[int, int]:
        """Return the first of `total` muons that is in this shard, and the first behind it.

        More shards than chunks cut chunks, each of which is then made by several shards, in parts.

        Raises
        ------
        InputError
            There are more shards than muons.
        """
        if self.of > total:
            raise InputError(f"{self.of:,} shards of {total:,} muons: ask for fewer shards")
        chunks = -(-total // CHUNK_SIZE)
        pieces, size = (chunks, CHUNK_SIZE) if self.of <= chunks else (total, 1)
        first, stop = ((self.number - last) * pieces // self.of * size for last in (1, 0))
        return first, min(stop, total)


def as_shard(value: Shard | str | tuple[int, int] | None) -> Shard | None:
    """Return a shard however it is given; raise `InputError` for anything else."""
    if value is None or isinstance(value, Shard):
        return value
    return Shard.parse("/".join(map(str, value)) if isinstance(value, tuple | list) else str(value))
