"""Files of arrays of anybody: which column is what, in which unit and frame.

What a file says of itself counts, then what its user says; where neither says anything, what the codes that
optimise the muon shield use: metres, z = 0 at the shield's entrance. `shipgen.files.arrays.doubts` looks
whether the numbers agree.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.arrays.doubts import doubts
from shipgen.files.arrays.fields import RootSource, open_source
from shipgen.files.arrays.file_kinds import kind_of
from shipgen.files.layouts import PROVENANCE_KEY
from shipgen.files.rootfile import open_root, readable
from shipgen.files.seals import check_open
from shipgen.files.variation_columns import is_variation
from shipgen.muons.columns import ROW
from shipgen.muons.frames import FRAMES, UNITS, check_unit, target_start_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.files.arrays.fields import FieldSource
    from shipgen.muons.columns import Float64

#: What is assumed where nothing is said.
ASSUMED_UNIT, ASSUMED_FRAME = "m", "shield"

#: Column -> names that fields have for it, in small letters.
_NAMES = {name: (name,) for name in ROW} | {
    "pdg": ("pdg", "pdg_id", "pdgid", "pdgcode", "id"),
    "weight": ("weight", "weights", "w"),
}

#: A muon's charge instead of its code.
_CHARGE = ("charge", "q")


@dataclass(frozen=True)
class ArrayMuons:
    """The muons of an open file of arrays.

    Attributes
    ----------
    path : Path
        The file.
    fields : dict of str to str
        Column -> its field; ``charge`` may stand for ``pdg``, and ``weight`` be missing.
    unit : str
        Of x, y, z, as they are stored.
    target_start : float
        z of the target's start in the file's frame, in `unit`.
    assumed : tuple of str
        Which of ``unit`` and ``frame`` neither the file nor its user states.
    provenance : dict, optional
        What the file says of itself.
    """

    path: Path
    fields: dict[str, str]
    unit: str
    target_start: float
    assumed: tuple[str, ...]
    provenance: dict[str, Any] | None
    _source: FieldSource = field(repr=False)

    def __len__(self) -> int:
        return self._source.rows

    def pieces(self) -> Iterator[dict[str, Float64]]:
        """Yield the columns `ROW` in pieces: float64[n]; cm, GeV, z = 0 where the target starts.

        With those of variations, if there are any. Without a field for it the weight is 1.

        Raises
        ------
        InputError
            The file is damaged, or has a number that is not finite.
        """
        stored = self._source.pieces(list(self.fields.values()))
        while True:
            with readable(self.path):
                if (piece := next(stored, None)) is None:
                    return
                found = {name: np.asarray(piece[own], np.float64) for name, own in self.fields.items()}
            for name, values in found.items():
                if not np.isfinite(values).all():
                    raise InputError(f"{self.path} has a number that is not finite in {self.fields[name]}")
            yield self._columns(found)

    def warnings(self) -> list[str]:
        """Return what was assumed of the file, and what looks wrong about its first muons, if anything."""
        unsaid = {"unit": f"lengths in {self.unit}", "frame": f"the frame {ASSUMED_FRAME}"}
        found = []
        if self.assumed:
            told = " and ".join(unsaid[name] for name in self.assumed)
            found.append(f"it does not say {' and '.join(self.assumed)}: {told} assumed")
        first = next(self.pieces(), None)
        start = self.target_start / UNITS[self.unit]
        found += doubts(first, start) if first is not None else ["it has no muon"]
        return [f"{self.path}: {text}" for text in found]

    def _columns(self, found: dict[str, Float64]) -> dict[str, Float64]:
        if "charge" in found:
            found["pdg"] = -13 * np.sign(found.pop("charge"))
        if "weight" not in found:
            found["weight"] = np.ones(len(found["z"]))
        found["z"] = found["z"] - self.target_start
        for name in "xyz":
            found[name] = found[name] / UNITS[self.unit]
        return {name: values for name, values in found.items() if name in ROW or is_variation(name)}


@contextmanager
def open_array_muons(
    path: Path,
    *,
    columns: Sequence[str] | Mapping[str, str] = (),
    unit: str | None = None,
    frame: str | float | None = None,
) -> Iterator[ArrayMuons]:
    """Open a file of arrays: npz, npy, HDF5, Parquet, a pickle of arrays, or a flat tree or RNTuple.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence or mapping of str
        Names of the columns of an array of rows, in order; or column -> name of its field. Found by name, or
        taken in the order of `ROW`, where not given.
    unit : str, optional
        Of lengths, ``m`` or ``cm``; assumed to be metres where the file says nothing.
    frame : str or float, optional
        One of `FRAMES`, or z of the target's start in `unit`; assumed to be ``shield`` like that.

    Raises
    ------
    InputError
        The file is missing, damaged or none of these, lacks a column, or says something else.
    MissingExtraError
        The package that reads it is not installed.
    """
    order = () if isinstance(columns, dict) else tuple(columns)
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file: give a file of arrays of muons")
    with ExitStack() as stack:
        with readable(path):
            kind = kind_of(path)
        source: FieldSource
        if kind is None:
            file = stack.enter_context(open_root(path))
            check_open(file, path)
            source = RootSource(file, _only_tree(path, file))
        else:
            with readable(path):
                source = open_source(path, kind, stack, order)
        with readable(path):
            said = (source.objects(PROVENANCE_KEY) or [None])[-1]
        named = dict(columns) if isinstance(columns, dict) else {}
        fields = _find(path, source.names, named, said)
        yield _as_stated(path, source, fields, said, unit, frame)


def _only_tree(path: Path, file: Any) -> str:
    """Return the name of the only tree or RNTuple that has momenta of muons."""
    with readable(path):
        trees = [
            name
            for name, kind in file.classnames(cycle=False).items()
            if ("RNTuple" in kind or kind in ("TTree", "TNtuple", "TNtupleD"))
            and {"px", "py", "pz"} <= {str(one).lower() for one in file[name].keys(recursive=False)}
        ]
    if len(trees) != 1:
        several = f"several ({', '.join(trees)})" if trees else "none"
        raise InputError(f"{path}: one tree or RNTuple with px, py and pz is wanted, and it has {several}")
    return str(trees[0])


def _find(
    path: Path, names: Sequence[str], named: Mapping[str, str], said: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return the field of each column."""
    for column, name in named.items():
        if column not in (*ROW, "charge") or name not in names:
            raise InputError(
                f"{path}: {column}={name} is not possible: columns are {', '.join(ROW)} and charge, fields "
                f"are {', '.join(names)}"
            )
    renamed = {_column(old): new for old, new in ((said or {}).get("names") or {}).items()}
    small = {name.lower(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for column in ROW:
        choices = [small[name] for name in _NAMES[column] if name in small]
        wanted = [named.get(column, ""), str(renamed.get(column, "")), *choices]
        if own := [name for name in wanted if name in names]:
            found[column] = own[0]
    charge = named.get("charge") or next((small[name] for name in _CHARGE if name in small), None)
    if charge and ("pdg" not in found or "charge" in named):
        found.pop("pdg", None)
        found["charge"] = charge
    found |= {name: name for name in names if is_variation(name)}
    missing = [name for name in ROW[:7] if name not in found and not (name == "pdg" and charge)]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: its fields are {', '.join(names)[:200]}")
    return found


def _column(name: str) -> str:
    """Return the column that a layout's field of that name holds."""
    return next((column for column, names in _NAMES.items() if name in names), name)


def _as_stated(
    path: Path,
    source: FieldSource,
    fields: dict[str, str],
    said: dict[str, Any] | None,
    unit: str | None,
    frame: str | float | None,
) -> ArrayMuons:
    """Put together what the file and its user say of unit and frame."""
    if unit is not None:
        check_unit(unit)
    own_unit, own_start = _stated(path, fields, said)
    if unit is not None and own_unit not in (None, unit):
        raise InputError(f"{path} says that its lengths are in {own_unit}, not {unit}")
    assumed = [
        what
        for what, given in (("unit", unit or own_unit), ("frame", frame if own_start is None else own_start))
        if given is None
    ]
    used = unit or own_unit or ASSUMED_UNIT
    start = target_start_in(ASSUMED_FRAME if frame is None else frame, used)
    if own_start is not None:
        if frame is not None and not math.isclose(start, own_start, rel_tol=1e-6, abs_tol=1e-6):
            raise InputError(
                f"{path} says that its target starts at z = {own_start:g} {used}, not {start:g} {used} "
                f"(frame {frame}): frames are {', '.join(FRAMES)}"
            )
        start = own_start
    return ArrayMuons(path, fields, used, start, tuple(assumed), said, source)


def _stated(
    path: Path, fields: Mapping[str, str], said: Mapping[str, Any] | None
) -> tuple[str | None, float | None]:
    """Return unit and z of the target's start as the file says them."""
    if not said or "target_start" not in said:
        return None, None
    with readable(path):
        unit, start = said["units"][fields["z"]], said["target_start"]
        check_unit(unit)
        if start["unit"] != unit or any(said["units"][fields[name]] != unit for name in "xy"):
            raise ValueError("its lengths are in several units")
        return unit, float(start["value"])
