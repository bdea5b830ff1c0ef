"""Names and sizes of the files of a production."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Files:
    """Names and sizes of the files of a production.

    Attributes
    ----------
    path : Path
        The file, or what the names of several are made of.
    total : int
        Muons in all files.
    most : int, optional
        Muons a file; ``None`` puts all into one.
    first : int
        Number that the first muon has in the plan; not 0 for a shard.
    """

    path: Path
    total: int
    most: int | None = None
    first: int = 0

    def __len__(self) -> int:
        return 1 if self.most is None else -(-self.total // self.most)

    @property
    def limit(self) -> int:
        """Muons of a full file."""
        return self.most or max(self.total, 1)

    def name(self, file: int) -> Path:
        """Return the path of file number `file`: ``out_000.root`` and so on where there may be several."""
        if self.most is None:
            return self.path
        digits = max(3, len(str(len(self) - 1)))
        return self.path.with_name(f"{self.path.stem}_{file:0{digits}}{self.path.suffix}")

    def rows(self, file: int) -> int:
        """Return the muons of file number `file`."""
        return min(self.limit, self.total - file * self.limit)

    def place(self, file: int) -> int:
        """Return the number that the first muon of file number `file` has in the plan."""
        return self.first + file * self.limit

    def stale(self) -> list[Path]:
        """Return the files that look like more of this production, left by one of more files."""
        if self.most is None:
            return []
        mine = {self.name(file).name for file in range(len(self))}
        return [path for path in numbered(self.path) if path.name not in mine]


def numbered(path: Path) -> list[Path]:
    """Return the files beside `path` whose names are of its production, in the order of their numbers."""
    name = re.compile(rf"{re.escape(path.stem)}_(\d{{3,}}){re.escape(path.suffix)}")
    found = [(name.fullmatch(other.name), other) for other in path.parent.glob("*")]
    return [other for _, other in sorted((int(match[1]), other) for match, other in found if match)]
