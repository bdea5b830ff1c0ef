"""Files of produced muons from one layout to another, streamed; and to arrays for codes that read no ROOT.

Columns pass through in float64, so that float32 numbers come back as they were from any layout that keeps
them in the same unit or in float64.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.cluster_file import ClusterFile
from shipgen.clusters import ClusterEncoder
from shipgen.errors import InputError, MissingExtraError
from shipgen.files import complete_file
from shipgen.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, OUTPUT_LAYOUTS, PROVENANCE_KEY
from shipgen.plan import CHUNK_SIZE
from shipgen.provenance import read_objects
from shipgen.rootfile import open_root, readable
from shipgen.writers import DEFAULT_COMPRESSION, parse_compression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from shipgen.columns import Float64
    from shipgen.layouts import Layout

#: Arrays for codes that read no ROOT: name -> column and type; cm, GeV, z = 0 where the target starts.
ARRAYS = {
    "px": ("px", "<f4"),
    "py": ("py", "<f4"),
    "pz": ("pz", "<f4"),
    "x": ("x", "<f4"),
    "y": ("y", "<f4"),
    "z": ("z", "<f4"),
    "pdg": ("pdg", "<i4"),
    "w": ("weight", "<f4"),
}

_ARRAY_UNITS = dict.fromkeys(("px", "py", "pz"), "GeV") | dict.fromkeys(("x", "y", "z"), "cm")


class Muons:
    """The muons of an open file.

    Attributes
    ----------
    layout : Layout
        How they are stored.
    provenance, summary : dict
        What the file says of itself.
    """

    def __init__(self, path: Path, file: Any) -> None:
        found = read_objects(file, PROVENANCE_KEY)
        if len(found) != 1 or not found[0] or found[0].get("kind") != KIND_PRODUCED:
            what = "merged of several files" if len(found) > 1 else "not made by `shipgen produce`"
            raise InputError(f"{path} is {what}: give files of `shipgen produce`, one at a time")
        self.provenance = found[0]
        name = self.provenance.get("layout")
        if name not in OUTPUT_LAYOUTS:
            raise InputError(
                f"{path} has the layout {name!r}: this shipgen knows {', '.join(OUTPUT_LAYOUTS)}"
            )
        self.layout = OUTPUT_LAYOUTS[name]
        self.summary = (read_objects(file, FILE_SUMMARY_KEY) or [None])[0] or {}
        self._path, self._tree = path, file[self.layout.tree]

    def __len__(self) -> int:
        return int(self._tree.num_entries)

    def columns(self, names: Sequence[str]) -> Iterator[dict[str, Float64]]:
        """Yield the columns called `names` by clusters: float64, cm, GeV, z = 0 where the target starts."""
        branches: dict[str, Any] = {}
        for branch in self.layout.branches:
            if branch.column in names:
                branches.setdefault(branch.column, branch)
        wanted = [branch.name for branch in branches.values()]
        for start in range(0, len(self), CHUNK_SIZE):
            stop = min(start + CHUNK_SIZE, len(self))
            with readable(self._path):
                read = self._tree.arrays(wanted, entry_start=start, entry_stop=stop, library="np")
            yield {
                column: (read[branch.name].astype(np.float64) - (branch.target_start or 0.0)) / branch.scale
                for column, branch in branches.items()
            }


def convert(
    path: Path, output: Path, layout: str, *, compression: str = DEFAULT_COMPRESSION, force: bool = False
) -> int:
    """Write the muons of the file `path` to `output`; return how many there are.

    Parameters
    ----------
    path : Path
        A file of `shipgen produce` in any layout.
    output : Path
        It appears when it is complete.
    layout : str
        One of `CONVERSIONS`.
    compression : str
        For ROOT files, as for `shipgen.writers.parse_compression`.
    force : bool
        Replace an existing file.

    Raises
    ------
    InputError
        The input is not what it should be, the output cannot be made, or there is no such layout.
    MissingExtraError
        The layout needs a package that is not installed.
    OutputError
        Writing failed.
    """
    if layout not in CONVERSIONS:
        raise InputError(f"no layout {layout!r}: choose from {', '.join(CONVERSIONS)}")
    parse_compression(compression)
    with open_root(path) as file:
        muons = Muons(path, file)
        with complete_file(output, force=force) as part:
            if layout in OUTPUT_LAYOUTS:
                _write_root(part, muons, OUTPUT_LAYOUTS[layout], compression)
            else:
                _ARRAY_WRITERS[layout](part, muons)
        return len(muons)


def _provenance(muons: Muons, layout: str, units: dict[str, str], target_start: dict[str, Any]) -> str:
    """Return the provenance of a converted file, JSON."""
    changed = {"layout": layout, "units": units, "target_start": target_start}
    content = {**muons.provenance, **changed, "converted_from": muons.layout.name}
    return json.dumps(content, allow_nan=False)


def _write_root(part: Path, muons: Muons, layout: Layout, compression: str) -> None:
    chosen = parse_compression(compression)
    constants = {"energy_cut": float(muons.provenance["energy_cut"])}
    encode = ClusterEncoder(layout, constants, 0.0, chosen)
    z = next(branch for branch in layout.branches if branch.target_start is not None)
    objects = {
        FILE_SUMMARY_KEY: json.dumps(muons.summary, allow_nan=False),
        PROVENANCE_KEY: _provenance(
            muons,
            layout.name,
            {branch.name: branch.unit for branch in layout.branches if branch.unit},
            {"value": z.target_start, "unit": z.unit},
        ),
    }
    with ClusterFile(part, layout, chosen) as file:
        for columns in muons.columns([branch.column for branch in layout.branches]):
            file.append(encode(columns))
        file.finish(objects)


def _write_npz(part: Path, muons: Muons) -> None:
    """Write a NumPy archive, one array after the other, each in a pass over its branch."""
    with zipfile.ZipFile(part, "w") as archive:
        for name, (column, dtype) in ARRAYS.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": dtype, "fortran_order": False, "shape": (len(muons),)}
                np.lib.format.write_array_header_1_0(member, header)
                for columns in muons.columns([column]):
                    member.write(columns[column].astype(dtype).tobytes())
        with archive.open("shipgen.npy", "w") as member:
            np.lib.format.write_array(member, np.array(_array_facts(muons, "npz")), allow_pickle=False)


def _write_hdf5(part: Path, muons: Muons) -> None:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("writing HDF5", "h5py", "arrays") from error
    # The file is locked already, by `complete_file`.
    with h5py.File(part, "w", locking=False) as file:
        sets = {
            name: file.create_dataset(name, len(muons), dtype, chunks=(min(len(muons), CHUNK_SIZE),))
            for name, (_, dtype) in ARRAYS.items()
        }
        start = 0
        for columns in muons.columns([column for column, _ in ARRAYS.values()]):
            stop = start + len(columns["z"])
            for name, (column, dtype) in ARRAYS.items():
                sets[name][start:stop] = columns[column].astype(dtype)
            start = stop
        file.attrs["shipgen"] = _array_facts(muons, "hdf5")


def _array_facts(muons: Muons, layout: str) -> str:
    return _provenance(muons, layout, _ARRAY_UNITS, {"value": 0.0, "unit": "cm"})


_ARRAY_WRITERS: dict[str, Callable[[Path, Muons], None]] = {"npz": _write_npz, "hdf5": _write_hdf5}

#: What `convert` can write.
CONVERSIONS = (*OUTPUT_LAYOUTS, *_ARRAY_WRITERS)
