"""The writer of single trees: columns into a ROOT tree of any flat layout. Compressions by name."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from shipgen.errors import InputError
from shipgen.files.outputs import complete_file, output_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Columns

#: Algorithms ROOT knows and uproot writes, with the levels each takes.
COMPRESSIONS = {"zstd": range(1, 23), "lz4": range(13), "zlib": range(10), "lzma": range(10)}
DEFAULT_COMPRESSION = "zstd:1"

#: Baskets that room is made for at the start; the header grows by itself beyond.
_MOST_BASKETS = 10_000


class RootWriter:
    """Streams columns into one TTree; each `extend` is one basket a branch.

    Parameters
    ----------
    path : Path
        The file; it appears there when the context ends without an exception.
    layout : Layout
        Tree, branches, types and units.
    constants : mapping of str to float, optional
        Columns that have one value for the whole file.
    target_start : float
        z of the target's start in the frame of the columns, cm.
    compression : str
        ``ALGORITHM:LEVEL``, see `COMPRESSIONS`, or ``none``.
    baskets : int
        Expected number of calls of `extend`; room for them is made in the tree's header beforehand.
    force : bool
        Replace an existing file (at the end, so that a failed run loses nothing).

    Raises
    ------
    InputError
        The output cannot be made or the compression is unknown.
    OutputError
        Writing failed, for example on a full disk.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        *,
        constants: Mapping[str, float] | None = None,
        target_start: float,
        compression: str = DEFAULT_COMPRESSION,
        baskets: int = 10,
        force: bool = False,
    ) -> None:
        self._path = path
        self._layout = layout
        self._constants = dict(constants or {})
        self._target_start = target_start
        self._compression = parse_compression(compression)
        self._baskets = baskets
        self._force = force
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        import uproot

        with ExitStack() as stack:
            part = stack.enter_context(complete_file(self._path, force=self._force))
            try:
                # `recreate` leaves nothing open when it fails.
                self._file = stack.enter_context(uproot.recreate(part, compression=self._compression))
                # Not by assignment: that writes an RNTuple, which FairShip's reader cannot open.
                self._tree = self._file.mktree(
                    self._layout.tree,
                    self._layout.branch_types(),
                    initial_basket_capacity=min(max(self._baskets, 10), _MOST_BASKETS),
                )
            except OSError as error:
                raise output_error(self._path, error) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def extend(self, columns: Columns) -> None:
        """Append the muons in `columns` (cm, GeV, z in the writer's frame)."""
        branches = self._layout.fill(columns, self._constants, self._target_start)
        try:
            self._tree.extend(branches)
        except OSError as error:
            raise output_error(self._path, error) from error

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Store `content` as a TObjString that holds JSON."""
        try:
            self._file[name] = json.dumps(content, allow_nan=False)
        except OSError as error:
            raise output_error(self._path, error) from error


def parse_compression(text: str) -> Any:
    """Turn ``zstd:1`` and the like into uproot's compression; ``none`` into ``None``."""
    if text == "none":
        return None
    name, _, level = text.partition(":")
    levels = COMPRESSIONS.get(name)
    if levels is None or not (level or "1").isdecimal() or int(level or "1") not in levels:
        choices = ", ".join(f"{key}:{span[0]} to {key}:{span[-1]}" for key, span in COMPRESSIONS.items())
        raise InputError(f"no compression {text!r}: choose none or {choices}")
    import uproot

    return getattr(uproot, name.upper())(int(level or "1"))
