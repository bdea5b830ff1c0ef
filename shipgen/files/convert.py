"""Files of produced muons from one layout to another, streamed; also to and from arrays.

Columns pass through in float64, so that float32 numbers come back as they were from any layout that keeps
them in the same unit or in float64.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.arrays import ARRAY_LAYOUTS, MAGIC, open_arrays, write_arrays
from shipgen.files.cluster_file import ClusterFile
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, OUTPUT_LAYOUTS, PROVENANCE_KEY, RNTUPLE
from shipgen.files.outputs import complete_file
from shipgen.files.rootfile import open_root, readable
from shipgen.files.tree_writer import DEFAULT_COMPRESSION, parse_compression
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.files.arrays import FieldSource
    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Array, Float64

#: What `convert` reads and writes, by name.
CONVERSIONS = {**OUTPUT_LAYOUTS, **ARRAY_LAYOUTS}

#: Those whose fields nobody finds by a fixed name.
_RENAMED = (RNTUPLE.name, *ARRAY_LAYOUTS)


class _Root:
    """Muons in a ROOT file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def objects(self, name: str) -> list[dict[str, Any] | None]:
        return read_objects(self._file, name)

    def rows(self, layout: Layout) -> int:
        return int(self._file[layout.tree].num_entries)

    def pieces(self, layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        tree = self._file[layout.tree]
        for start in range(0, tree.num_entries, CHUNK_SIZE):
            stop = min(start + CHUNK_SIZE, tree.num_entries)
            yield tree.arrays(list(names), entry_start=start, entry_stop=stop, library="np")


class MuonFile:
    """The muons of an open file.

    Attributes
    ----------
    layout : Layout
        How they are stored.
    energy_cut : float
        The cut, GeV.
    provenance, summary : dict
        What the file says of itself.
    """

    def __init__(self, path: Path, table: FieldSource) -> None:
        with readable(path):
            found, summaries = table.objects(PROVENANCE_KEY), table.objects(FILE_SUMMARY_KEY)
        if len(found) != 1 or not found[0] or found[0].get("kind") != KIND_PRODUCED:
            what = "merged of several files" if len(found) > 1 else "not made by `shipgen produce`"
            raise InputError(f"{path} is {what}: give a file of `shipgen produce` or `shipgen merge`")
        self.provenance = found[0]
        name = self.provenance.get("layout")
        if name not in CONVERSIONS:
            raise InputError(f"{path} has the layout {name!r}: this shipgen knows {', '.join(CONVERSIONS)}")
        self.summary = (summaries or [None])[0] or {}
        self._path, self._table = path, table
        with readable(path):
            self.energy_cut = float(self.provenance["energy_cut"])
            self.layout = CONVERSIONS[name].renamed(self.provenance.get("names", {}))
            self._rows = table.rows(self.layout)
        if self._rows != self.provenance.get("muons"):
            raise InputError(
                f"{path} has {self._rows} muons and says it has {self.provenance.get('muons')}: get it again"
            )

    def __len__(self) -> int:
        return self._rows

    def columns(self, names: Sequence[str]) -> Iterator[dict[str, Float64]]:
        """Yield the columns called `names` in pieces: float64, cm, GeV, z = 0 where the target starts."""
        wanted = {
            branch.column: branch.name for branch in reversed(self.layout.branches) if branch.column in names
        }
        pieces = self._table.pieces(self.layout, list(wanted.values()))
        while True:
            with readable(self._path):
                if (piece := next(pieces, None)) is None:
                    return
            yield self.layout.columns(piece)


@contextmanager
def open_muons(path: Path) -> Iterator[MuonFile]:
    """Open a file of muons in any layout.

    Raises
    ------
    InputError
        It is missing, damaged, or not made by `shipgen produce` or `shipgen convert`.
    MissingExtraError
        The package that reads it is not installed.
    """
    kind = None
    if path.is_file():
        with readable(path), path.open("rb") as file:
            kind = MAGIC.get(file.read(4))
    with ExitStack() as stack:
        if kind is None:
            table: FieldSource = _Root(stack.enter_context(open_root(path)))
        else:
            with readable(path):
                table = open_arrays(path, kind, stack)
        yield MuonFile(path, table)


def convert(
    path: Path,
    output: Path,
    layout: str,
    *,
    names: Mapping[str, str] | None = None,
    compression: str = DEFAULT_COMPRESSION,
    force: bool = False,
) -> int:
    """Write the muons of the file `path` to `output`; return how many there are.

    Parameters
    ----------
    path : Path
        A file of `shipgen produce` or of this, in any layout.
    output : Path
        It appears when it is complete.
    layout : str
        One of `CONVERSIONS`.
    names : mapping of str to str, optional
        Other names for fields of the layout, where FairShip does not look for them.
    compression : str
        For ROOT files, as for `shipgen.files.tree_writer.parse_compression`.
    force : bool
        Replace an existing file.

    Raises
    ------
    InputError
        The input is not what it should be, the output cannot be made, or there is no such layout.
    MissingExtraError
        A layout needs a package that is not installed.
    OutputError
        Writing failed.
    """
    if layout not in CONVERSIONS:
        raise InputError(f"no layout {layout!r}: choose from {', '.join(CONVERSIONS)}")
    if names and layout not in _RENAMED:
        raise InputError(
            f"FairShip finds the fields of layout {layout} by their names: choose {', '.join(_RENAMED)}"
        )
    parse_compression(compression)
    chosen = CONVERSIONS[layout].renamed(names or {})
    with open_muons(path) as muons, complete_file(output, force=force) as part:
        texts = _texts(muons, chosen, names or {})
        if layout in ARRAY_LAYOUTS:
            write_arrays(part, chosen, len(muons), muons.columns, texts)
        else:
            _write_root(part, muons, chosen, compression, texts)
        return len(muons)


def _texts(muons: MuonFile, layout: Layout, names: Mapping[str, str]) -> dict[str, str]:
    """Return what a converted file says of itself, JSON by name."""
    # The hash of the clusters is that of the file as it was.
    kept = {name: value for name, value in muons.provenance.items() if name not in ("clusters", "names")}
    z = next(branch for branch in layout.branches if branch.target_start is not None)
    changed = {
        "layout": layout.name,
        "units": layout.units(),
        "target_start": {"value": z.target_start, "unit": z.unit},
        "converted_from": muons.layout.name,
    }
    if names:
        changed["names"] = dict(names)
    objects = {FILE_SUMMARY_KEY: muons.summary, PROVENANCE_KEY: {**kept, **changed}}
    return {name: json.dumps(content, allow_nan=False) for name, content in objects.items()}


def _write_root(
    part: Path, muons: MuonFile, layout: Layout, compression: str, texts: Mapping[str, str]
) -> None:
    chosen = parse_compression(compression)
    encode = ClusterEncoder(layout, {"energy_cut": muons.energy_cut}, 0.0, chosen)
    with ClusterFile(part, layout, chosen) as file:
        for columns in muons.columns([branch.column for branch in layout.branches]):
            file.append(encode(columns))
        file.finish(texts)
