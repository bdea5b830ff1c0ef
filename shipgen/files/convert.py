"""Files of produced muons from one layout to another, streamed; also to and from arrays.

Columns pass through in float64, so that float32 numbers come back as they were from any layout that keeps
them in the same unit or in float64.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.arrays.choose import LAYOUTS, RENAMED, choose_layout, layout_facts, stated_layout
from shipgen.files.arrays.fields import RootSource, open_source
from shipgen.files.arrays.file_kinds import kind_of
from shipgen.files.arrays.write import array_writer, blocks_of
from shipgen.files.cluster_file import ClusterFile
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import DEFAULT_COMPRESSION, check_compression, parse_compression
from shipgen.files.layouts import (
    FILE_SUMMARY_KEY,
    KIND_PRODUCED,
    PROVENANCE_KEY,
    SEAL_KEY,
    SHIELD,
    check_shield,
)
from shipgen.files.outputs import complete_file
from shipgen.files.rootfile import open_root, readable
from shipgen.files.seals import SEAL, check_clusters, read_stated
from shipgen.files.variation_columns import stated_variations, with_variations
from shipgen.muons.stated import StatedMuons
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from shipgen.files.arrays.fields import FieldSource
    from shipgen.files.arrays.foreign import ArrayMuons
    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Float64

#: ``kind`` in the provenance of what was somebody else's arrays.
KIND_FOREIGN = "converted-arrays"

#: What `convert` reads and writes, by name; the layout `SHIELD` is one of several kinds of files.
CONVERSIONS = {name: layout for name, layout in LAYOUTS.items() if layout is not SHIELD}


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

    def __init__(
        self,
        path: Path,
        kind: str,
        objects: tuple[list[dict[str, Any] | None], list[dict[str, Any] | None]],
        source: FieldSource,
    ) -> None:
        found, summaries = objects
        self.provenance = check_produced(path, found)
        self.summary = (summaries or [None])[0] or {}
        self._path, self._source = path, source
        with readable(path):
            self.energy_cut = float(self.provenance["energy_cut"])
            self.layout = _layout(path, self.provenance, kind)
        if len(self) != self.provenance.get("muons"):
            raise InputError(
                f"{path} has {len(self)} muons and says it has {self.provenance.get('muons')}: get it again"
            )

    def __len__(self) -> int:
        return self._source.rows

    @property
    def sealed(self) -> bool:
        """Whether what the file says of itself has been compared with a seal."""
        return SEAL in self.provenance or bool(self._source.objects(SEAL_KEY))

    def check(self) -> None:
        """Read all fields, whatever they are, so that checksums and statements are compared.

        Raises
        ------
        InputError
            They are not what was written.
        """
        for _ in self.columns([branch.column for branch in self.layout.branches], whole=True):
            pass

    def columns(self, names: Sequence[str], *, whole: bool = False) -> Iterator[dict[str, Float64]]:
        """Yield the columns called `names` in pieces: float64, cm, GeV, z = 0 where the target starts.

        Of two fields with the same column the first is read; `whole` reads all of the file.
        """
        wanted = {
            branch.column: branch.name for branch in reversed(self.layout.branches) if branch.column in names
        }
        fields = self._source.names if whole else list(wanted.values())
        pieces, seen = self._source.pieces(fields), StatedMuons(self._path, self.provenance)
        while True:
            with readable(self._path):
                if (piece := next(pieces, None)) is None:
                    seen.check()
                    return
                columns = self.layout.columns(piece)
                seen.see(columns)
            yield columns


def check_produced(path: Path, found: list[dict[str, Any] | None]) -> dict[str, Any]:
    """Return the provenance in `found`, all that a file has; raise `InputError` unless it is one of ours."""
    if len(found) != 1 or not found[0] or found[0].get("kind") != KIND_PRODUCED:
        what = "merged of several files" if len(found) > 1 else "not made by `shipgen produce`"
        theirs = (
            "" if len(found) > 1 else "; arrays of others: say --from-unit, --from-frame to `shipgen convert`"
        )
        raise InputError(f"{path} is {what}: give a file of `shipgen produce` or `shipgen merge`{theirs}")
    return found[0]


def _layout(path: Path, facts: Mapping[str, Any], kind: str) -> Layout:
    try:
        return stated_layout(facts, kind)
    except InputError as error:
        raise InputError(f"{path} {error}") from None


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
        with readable(path):
            kind = kind_of(path)
    with ExitStack() as stack:
        if kind is None:
            file = stack.enter_context(open_root(path))
            facts = check_produced(path, [read_stated(file, path)])
            with readable(path):
                objects = (read_objects(file, PROVENANCE_KEY), read_objects(file, FILE_SUMMARY_KEY))
                layout = _layout(path, facts, "root")
            check_clusters(file, path, facts, layout)
            with readable(path):
                source: FieldSource = RootSource(file, layout.tree)
        else:
            with readable(path):
                source = open_source(path, kind, stack)
                objects = (source.objects(PROVENANCE_KEY), source.objects(FILE_SUMMARY_KEY))
        yield MuonFile(path, kind or "root", objects, source)


def convert(
    path: Path,
    output: Path,
    layout: str | Layout,
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
    layout : str or Layout
        One of `CONVERSIONS`, or of `shipgen.files.arrays.choose.choose_layout`.
    names : mapping of str to str, optional
        Other names for fields of the layout, where FairShip does not look for them.
    compression : str
        For ROOT files, as for `shipgen.files.compressions.parse_compression`.
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
    chosen = _chosen(output, layout, names or {}, compression)
    with open_muons(path) as muons:
        chosen = with_variations(chosen, stated_variations(muons.provenance))
        with complete_file(output, force=force) as part:
            _write(part, muons, chosen, compression, _texts(muons, chosen, names or {}))
        return len(muons)


class _Theirs:
    """Muons of somebody else's arrays, as a file of ours gives them; no cut is known of them."""

    energy_cut = 0.0

    def __init__(self, muons: ArrayMuons) -> None:
        self._muons = muons

    def __len__(self) -> int:
        return len(self._muons)

    def columns(self, names: Sequence[str]) -> Iterator[dict[str, Float64]]:
        for piece in self._muons.pieces():
            yield {name: piece[name] for name in names if name in piece}


def convert_arrays(
    path: Path,
    output: Path,
    layout: Layout,
    *,
    columns: Sequence[str] | Mapping[str, str] = (),
    unit: str | None = None,
    frame: str | float | None = None,
    names: Mapping[str, str] | None = None,
    compression: str = DEFAULT_COMPRESSION,
    force: bool = False,
    warn: Callable[[str], Any] = lambda _: None,
) -> int:
    """Write muons of somebody else's arrays in one of our layouts; return how many there are.

    The file states its layout, unit and frame, and claims no protons on target and no cut.

    Parameters
    ----------
    path, columns, unit, frame
        As for `shipgen.files.arrays.foreign.open_array_muons`.
    output, layout, names, compression, force
        As for `convert`.
    warn : callable
        Takes what was assumed, and what looks wrong about the muons.

    Raises
    ------
    InputError, MissingExtraError, OutputError
        As there.
    """
    # Only this needs it.
    from shipgen.files.arrays.foreign import open_array_muons

    chosen = _chosen(output, layout, names or {}, compression)
    with open_array_muons(path, columns=columns, unit=unit, frame=frame) as muons:
        for text in muons.warnings():
            warn(text)
        with complete_file(output, force=force) as part:
            facts = {"kind": KIND_FOREIGN, "muons": len(muons), **layout_facts(chosen)}
            if names:
                facts["names"] = dict(names)
            text = json.dumps({**facts, "converted_from": path.name}, allow_nan=False)
            _write(part, _Theirs(muons), chosen, compression, {PROVENANCE_KEY: text})
        return len(muons)


def _chosen(output: Path, layout: str | Layout, names: Mapping[str, str], compression: str) -> Layout:
    """Return the layout to write, with other names for fields; raise `InputError` where it cannot be."""
    if isinstance(layout, str):
        layout = CONVERSIONS.get(layout) or choose_layout(output.name, layout)
    if names and layout.name not in RENAMED:
        raise InputError(
            f"FairShip finds the fields of layout {layout.name} by their names: choose {', '.join(RENAMED)}"
        )
    check_compression(compression, layout.kind)
    layout = layout.renamed(names)
    check_shield(layout)
    return layout


def _write(
    part: Path, muons: MuonFile | _Theirs, layout: Layout, compression: str, texts: Mapping[str, str]
) -> None:
    if layout.kind == "root":
        _write_root(part, muons, layout, compression, texts)
    else:
        _write_arrays(part, muons, layout, texts)


def _texts(muons: MuonFile, layout: Layout, names: Mapping[str, str]) -> dict[str, str]:
    """Return what a converted file says of itself, JSON by name."""
    # The hash of the clusters is that of the file as it was.
    gone = ("clusters", SEAL, "names", "frame", "columns")
    kept = {name: value for name, value in muons.provenance.items() if name not in gone}
    changed = {**layout_facts(layout), "converted_from": muons.layout.name}
    if names:
        changed["names"] = dict(names)
    objects = {FILE_SUMMARY_KEY: muons.summary, PROVENANCE_KEY: {**kept, **changed}}
    return {name: json.dumps(content, allow_nan=False) for name, content in objects.items()}


def _write_root(
    part: Path, muons: MuonFile | _Theirs, layout: Layout, compression: str, texts: Mapping[str, str]
) -> None:
    chosen = parse_compression(compression)
    encode = ClusterEncoder(layout, {"energy_cut": muons.energy_cut}, 0.0, chosen)
    with ClusterFile(part, layout, chosen) as file:
        for columns in muons.columns([branch.column for branch in layout.branches]):
            file.append(encode(columns))
        file.finish(texts)


def _write_arrays(part: Path, muons: MuonFile | _Theirs, layout: Layout, texts: Mapping[str, str]) -> None:
    with array_writer(part, layout, len(muons)) as file:
        for columns in muons.columns([branch.column for branch in layout.branches]):
            file.append(blocks_of(layout, layout.fill(columns, {}, 0.0)))
        file.finish(texts)
