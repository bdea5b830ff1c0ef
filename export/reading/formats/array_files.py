"""Reader of arrays: npz, npy, HDF5, Parquet, pickles of arrays, and flat trees and RNTuples of any name.

`shipgen.files.arrays.foreign` finds the columns and says which unit and frame they are in; what nobody states
is assumed, and the numbers are looked at whether they agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.arrays.file_kinds import kind_of
from shipgen.files.arrays.foreign import open_array_muons
from shipgen.files.layouts import KIND_PRODUCED, PROVENANCE_KEY
from shipgen.files.rootfile import base_name, open_root, readable
from shipgen.provenance import read_objects
from shipgen_export.reading.formats.flat import NO_EVENTS, muons_only, produced_header
from shipgen_export.reading.formats.sources import MERGED, FileKind, Header, Identity, Source, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.files.rootfile import Location


@dataclass(frozen=True, slots=True)
class ArrayChoice:
    """What the user says of arrays that do not say it themselves.

    Attributes
    ----------
    unit : str, optional
        Of lengths, ``m`` or ``cm``.
    frame : str, optional
        One of `shipgen.muons.frames.FRAMES`.
    columns : tuple of str
        Names of the columns of an array of rows, in their order.
    """

    unit: str | None = None
    frame: str | None = None
    columns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.unit or self.frame or self.columns)


ARRAYS = FileKind(name="arrays", title="a file of arrays", group="entry")


def is_array_file(path: Location) -> bool:
    """Return whether a file on this machine is one of arrays, by how it begins."""
    with readable(path):
        return isinstance(path, Path) and path.is_file() and kind_of(path) is not None


def open_arrays(path: Path, choice: ArrayChoice) -> Source:
    """Look into a file of arrays; raises as `open_array_muons` does."""
    if not is_array_file(path):
        with open_root(path) as file, readable(path):
            if (cycles := len(read_objects(file, PROVENANCE_KEY))) > 1:
                raise InputError(f"{path}: {MERGED.format(cycles)}")
    with open_array_muons(path, unit=choice.unit, frame=choice.frame, columns=choice.columns) as muons:
        entries, provenance = len(muons), muons.provenance
        warnings = [text.removeprefix(f"{path}: ") for text in muons.warnings()]
    # Positions are given from where the target starts.
    if provenance is not None and provenance.get("kind") == KIND_PRODUCED:
        header = produced_header(provenance, Header(notes=tuple(warnings)), 0.0)
    else:
        header = Header(target_start=0.0, provenance=provenance, notes=(*warnings, NO_EVENTS))
    facts = path.stat()
    identity = Identity(base_name(path), facts.st_size, facts.st_mtime_ns, "")
    return Source(path, ARRAYS, entries, header, identity, choice)


def read_arrays(source: Source) -> Iterator[Step]:
    """Read a source of `open_arrays` in steps."""
    choice, first = source.choice or ArrayChoice(), 0
    path = Path(source.path)
    with open_array_muons(path, unit=choice.unit, frame=choice.frame, columns=choice.columns) as muons:
        for columns in muons.pieces():
            entries = len(columns["pdg"])
            kept, dropped = muons_only(columns, first)
            yield Step(kept, entries, {}, dropped)
            first += entries


def states_production(path: Path) -> bool:
    """Return whether a file of arrays says that shipgen produced its muons."""
    with open_array_muons(path) as muons:
        return (muons.provenance or {}).get("kind") == KIND_PRODUCED
