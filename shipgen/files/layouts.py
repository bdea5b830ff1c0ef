"""Layouts as data: a ROOT tree's name, branches, types and units. Writers and readers know no other names.

Sources of the rules: FairShip's ``MuonBackGenerator`` for `MUONBACK` (flat trees are bound as ``Float_t``,
at most 16 leaves, metres, and the reader adds 70.845 m to z, in 2019 50 m) and its ``TTreeGenerator`` for
`TTREE` (``Double_t`` and ``Int_t``, cm, nothing added).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import InputError
from shipgen.files.precision import rounded, with_precision
from shipgen.muons.frames import UNITS, frame_of, target_start_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.muons.columns import Array, Columns, Float64

#: Name of the JSON object (TObjString) that says how a file was made.
PROVENANCE_KEY = "shipgen"

#: ``kind`` in the provenance of what `shipgen simulate` and `shipgen produce` write.
KIND_TRAINING, KIND_PRODUCED = "training-sample", "muons"

#: Name of the JSON object (TObjString) that FairShip merges into the header of its own output.
FILE_SUMMARY_KEY = "FileSummary"

#: The seal of files of arrays; ROOT files have it in the provenance.
SEAL_KEY = "muon_seal"

#: z where the target starts in the frame of the 2018 production and of `shipgen simulate`, cm.
TARGET_START_2018 = -7084.5


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch and the column it is filled from.

    Attributes
    ----------
    name : str
        The branch's name in the file.
    column : str
        The column, or the constant, that fills it.
    dtype : str
        NumPy type in the file.
    unit : str
        Unit in the file, ``""`` for pure numbers.
    scale : float
        File value = column x scale.
    target_start : float, optional
        For the branch of z: where the target starts in the file, in the branch's unit; ``None`` keeps the
        frame of the column.
    bits : int, optional
        Bits of the mantissa that are kept; all where not given.
    """

    name: str
    column: str
    dtype: str = "f4"
    unit: str = ""
    scale: float = 1.0
    target_start: float | None = None
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A flat table with one muon an entry: a ROOT tree, or arrays.

    Attributes
    ----------
    name : str
        What ``--layout`` takes.
    tree : str
        The tree's name; ``""`` for arrays.
    branches : tuple of Branch
        In the order of the file.
    defaults : mapping of str to float
        Constants for columns that a batch may lack.
    rntuple : bool
        Whether it is an RNTuple; TTrees are what FairShip reads.
    kind : str
        The kind of file: ``root``, or one of `shipgen.files.arrays.file_kinds.ENDINGS`.
    table : str
        Name of the one array of float64 whose rows are muons; ``""`` where each field is an array.
    """

    name: str
    tree: str
    branches: tuple[Branch, ...]
    defaults: Mapping[str, float] | None = None
    rntuple: bool = False
    kind: str = "root"
    table: str = ""

    def branch_types(self) -> dict[str, np.dtype[np.generic]]:
        """Return the tree's branches and their NumPy types, as uproot's ``mktree`` takes them."""
        return {branch.name: np.dtype(branch.dtype) for branch in self.branches}

    def fill(self, columns: Columns, constants: Mapping[str, float], target_start: float) -> dict[str, Array]:
        """Turn `columns` (cm, GeV, z in a frame with the target at `target_start` cm) into branches.

        Parameters
        ----------
        columns : mapping of str to array[n]
            What varies from muon to muon.
        constants : mapping of str to float
            Columns with one value for the whole file; columns win over them, they win over the defaults.
        target_start : float
            z of the target's start in the frame of ``columns["z"]``, cm.

        Returns
        -------
        dict of str to array[n]
            A branch each, of the branch's type and unit.

        Raises
        ------
        KeyError
            A column is neither given nor constant.
        """
        length = len(next(iter(columns.values())))
        values = {**(self.defaults or {}), **constants}
        return {
            branch.name: _convert(branch, columns[branch.column], target_start)
            if branch.column in columns
            else np.full(length, values[branch.column] * branch.scale, branch.dtype)
            for branch in self.branches
        }

    def renamed(self, names: Mapping[str, str]) -> Layout:
        """Return the layout with other names for its branches, given as ``{name: new name}``.

        Raises
        ------
        InputError
            There is no such branch, a name is none, or two branches would have the same.
        """
        known = [branch.name for branch in self.branches]
        for name, new in names.items():
            if name not in known:
                raise InputError(f"layout {self.name} has no field {name!r}: choose from {', '.join(known)}")
            if not re.fullmatch(r"[A-Za-z_]\w*", new, re.ASCII) or new in (PROVENANCE_KEY, FILE_SUMMARY_KEY):
                raise InputError(f"{new!r} is no name for a field: choose letters, digits and underscores")
        found = [names.get(name, name) for name in known]
        if len(set(found)) < len(found):
            raise InputError(f"two fields would have the same name: {', '.join(found)}")
        branches = (replace(branch, name=new) for branch, new in zip(self.branches, found, strict=True))
        return replace(self, branches=tuple(branches))

    def placed(self, unit: str | None = None, frame: str | float | None = None) -> Layout:
        """Return the layout with lengths in another unit, and z in another frame.

        Parameters
        ----------
        unit, frame : str or float, optional
            As for `shipgen.muons.frames.target_start_in`; as the layout has them where not given.
        """
        z = self.z
        unit = unit or z.unit
        if frame is None and z.target_start is not None:
            frame = frame_of(z.target_start, z.unit)
            frame = z.target_start * UNITS[unit] / UNITS[z.unit] if frame is None else frame
        start = target_start_in("target" if frame is None else frame, unit)
        lengths = {"x": None, "y": None, "z": start}
        branches = (
            replace(branch, unit=unit, scale=UNITS[unit], target_start=lengths[branch.column])
            if branch.column in lengths
            else branch
            for branch in self.branches
        )
        return replace(self, branches=tuple(branches))

    @property
    def z(self) -> Branch:
        """The branch of z."""
        return next(branch for branch in self.branches if branch.column == "z")

    def columns(self, stored: Columns) -> dict[str, Float64]:
        """Turn branches back into columns: float64, cm, GeV, z = 0 where the target starts.

        Parameters
        ----------
        stored : mapping of str to array[n]
            Some branches of the layout; of two that hold the same column, the first counts.
        """
        found: dict[str, Float64] = {}
        for branch in self.branches:
            if branch.name in stored and branch.column not in found:
                values = stored[branch.name].astype(np.float64) - (branch.target_start or 0.0)
                found[branch.column] = values / branch.scale
        return found

    def units(self) -> dict[str, str]:
        """Return the units of those branches that have one."""
        return {branch.name: branch.unit for branch in self.branches if branch.unit}


def _convert(branch: Branch, column: Array, target_start: float) -> Array:
    try:
        with np.errstate(over="raise"):
            values = _stored(branch, column, target_start)
            return values if branch.bits is None else rounded(values, branch.bits)
    except FloatingPointError:
        raise InputError(
            f"{branch.column} of a muon is too large for {branch.name}, which is {np.dtype(branch.dtype)}: "
            "no muon is there; look for it in the file, or choose a layout of float64"
        ) from None


def _stored(branch: Branch, column: Array, target_start: float) -> Array:
    if branch.target_start is not None:
        # In float64: the offsets are a hundred times larger than the target.
        shifted = (column.astype(np.float64) - target_start) * branch.scale + branch.target_start
        return shifted.astype(branch.dtype)
    if branch.scale != 1.0:
        # In the wider type of the two.
        column = column.astype(np.promote_types(column.dtype, branch.dtype), copy=False)
        column = column * np.asarray(branch.scale, column.dtype)
    return np.ascontiguousarray(column, dtype=branch.dtype)


def _positions(
    dtype: str = "f4", unit: str = "cm", scale: float = 1.0, target_start: float | None = None
) -> tuple[Branch, ...]:
    x, y, z = (Branch(name, name, dtype, unit, scale) for name in "xyz")
    return x, y, replace(z, target_start=target_start)


def _momenta(dtype: str = "f4") -> tuple[Branch, ...]:
    return tuple(Branch(name, name, dtype, "GeV") for name in ("px", "py", "pz"))


#: Factors of the variations that `shipgen simulate` states beside the weight.
VARIATION_COLUMNS = tuple(
    f"vary_{name}"
    for name in (
        "pions", "kaons", "charge", "nuclei", "projectiles", "hadrons", "charm", "beauty", "pairs", "photons",
        "jpsi",
    )
)  # fmt: skip

#: What `shipgen simulate` writes and `shipgen prepare` reads: weighted muons, per proton on target.
TRAINING = Layout(
    name="training",
    tree="muons",
    branches=(
        Branch("pdg", "pdg", "i4"),
        *_positions(),
        *_momenta(),
        Branch("weight", "weight", "f8", "muons per POT"),
        Branch("parent", "parent", "i4"),
        Branch("process", "process", "i4"),
        Branch("proton", "proton", "i8"),
        Branch("survival", "survival"),
        *(Branch(name, name) for name in VARIATION_COLUMNS),
    ),
    defaults=dict.fromkeys(("survival", *VARIATION_COLUMNS), 1.0),
)

#: The flat tree that FairShip reads with ``--MuonBack``.
MUONBACK = Layout(
    name="muonback",
    tree="pythia8-Geant4",
    branches=(
        Branch("id", "pdg"),
        Branch("parentid", "parent"),
        Branch("pythiaid", "pdg"),
        Branch("ecut", "energy_cut", unit="GeV"),
        Branch("w", "weight"),
        *_positions(unit="m", scale=0.01, target_start=-70.845),
        *_momenta(),
    ),
    # The reader takes ``parentid`` as the weight of an untracked mother: 0 keeps it out of every sum.
    defaults={"parent": 0.0},
)

#: The same for FairShip of 2019, whose reader adds 50 m to z.
MUONBACK_2019 = replace(
    MUONBACK,
    name="muonback2019",
    branches=tuple(
        branch if branch.target_start is None else replace(branch, target_start=-50.0)
        for branch in MUONBACK.branches
    ),
)

#: The tree that FairShip reads with ``--ttree``; z = 0 where the target starts.
TTREE = Layout(
    name="ttree",
    tree="converted_ntuple",
    branches=(
        *_momenta("f8"),
        *_positions("f8", target_start=0.0),
        Branch("w", "weight", "f8"),
        Branch("id", "pdg", "i4"),
    ),
)

#: ROOT's coming format, for analysis; z = 0 where the target starts. Positions in float64, so that those of
#: any other layout come back as they were.
RNTUPLE = Layout(
    name="rntuple",
    tree="events",
    branches=(
        Branch("pdg", "pdg", "i4"),
        Branch("weight", "weight"),
        *_positions("f8", target_start=0.0),
        *_momenta(),
    ),
    rntuple=True,
)

#: Arrays for codes that read no ROOT: those that optimise the muon shield take these columns.
ARRAYS = Layout(
    name="arrays",
    tree="",
    branches=(
        *_momenta(),
        *_positions("f8", target_start=0.0),
        Branch("pdg", "pdg", "i4"),
        Branch("w", "weight"),
    ),
)

#: Those arrays as the codes have them: metres, z = 0 at the entrance of the muon shield.
SHIELD = replace(ARRAYS, name="shield").placed("m", "shield").renamed({"w": "weight"})


def check_shield(layout: Layout) -> None:
    """Raise `InputError` where a `layout` called `SHIELD` is another: its readers look at nothing else."""
    if layout.name == SHIELD.name and with_precision(layout, None).branches != SHIELD.branches:
        raise InputError(
            "layout shield is in m, in the frame shield, with the fields "
            f"{' '.join(branch.name for branch in SHIELD.branches)}, as codes of the muon shield expect: "
            "leave --layout out for another unit, frame or names"
        )


#: The layouts of ROOT files that `shipgen produce` can write.
OUTPUT_LAYOUTS = {layout.name: layout for layout in (MUONBACK, MUONBACK_2019, TTREE, RNTUPLE)}
