"""The writer of single trees: columns into a ROOT tree of any flat layout."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from shipgen.files.cluster_file import ClusterFile
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import DEFAULT_COMPRESSION, parse_compression
from shipgen.files.outputs import complete_file
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Columns


class RootWriter:
    """Streams columns into one TTree, sealed when it is complete.

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
        ``ALGORITHM:LEVEL``, see `shipgen.files.compressions.COMPRESSIONS`, or ``none``.
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
        force: bool = False,
    ) -> None:
        self._path, self._layout, self._force = path, layout, force
        self._compression = parse_compression(compression)
        self._encode = ClusterEncoder(layout, constants or {}, target_start, self._compression)
        self._objects: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            part = stack.enter_context(complete_file(self._path, force=self._force))
            self._file = stack.enter_context(ClusterFile(part, self._layout, self._compression))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None:
                # To what removes the file.
                raise error
            self._file.finish(self._objects)

    def extend(self, columns: Columns) -> None:
        """Append the muons in `columns` (cm, GeV, z in the writer's frame)."""
        rows = len(next(iter(columns.values())))
        for start in range(0, rows, CHUNK_SIZE):
            self._file.append(
                self._encode({name: values[start : start + CHUNK_SIZE] for name, values in columns.items()})
            )

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Store `content` as a TObjString that holds JSON."""
        self._objects[name] = json.dumps(content, allow_nan=False)
