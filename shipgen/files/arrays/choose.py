"""Which layout a file is to get, from its name and what is asked for; contradictions are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.arrays.file_kinds import ENDINGS, PICKLES
from shipgen.files.layouts import ARRAYS, MUONBACK, OUTPUT_LAYOUTS, RNTUPLE, SHIELD
from shipgen.files.variation_columns import stated_variations, with_variations
from shipgen.muons.frames import FRAMES, UNITS, frame_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.files.layouts import Layout

#: The layout of each kind of arrays; an npy file holds one array of rows.
ARRAY_LAYOUTS = {
    kind: replace(ARRAYS, name=kind, kind=kind, table="muons" if kind == "npy" else "")
    for kind in dict.fromkeys(ENDINGS.values())
    if kind != "root"
}

#: All layouts of produced muons, by name; of `SHIELD` the kind follows from the file's name.
LAYOUTS: dict[str, Layout] = {**OUTPUT_LAYOUTS, **ARRAY_LAYOUTS, SHIELD.name: SHIELD}

#: Those whose fields nobody finds by a fixed name.
RENAMED = (RNTUPLE.name, *ARRAY_LAYOUTS, SHIELD.name)

#: Endings of what is no file of muons here.
_OTHERS = (*PICKLES, ".csv", ".txt", ".gz", ".feather", ".arrow", ".mat", ".hdf", ".zip")


def choose_layout(
    output: str, name: str | None = None, *, unit: str | None = None, frame: str | None = None
) -> Layout:
    """Return the layout of the file called `output`.

    Parameters
    ----------
    output : str
        Its name, path or URL; the ending says the kind.
    name : str, optional
        One of `LAYOUTS`; where not given, the one that is named after the ending, `MUONBACK` for ROOT files
        and names without an ending.
    unit, frame : str, optional
        Of lengths and z, for arrays.

    Raises
    ------
    InputError
        The ending and `name` contradict each other, there is no such layout, or a ROOT file is to have
        another unit or frame.
    """
    if name is not None and name not in LAYOUTS:
        raise InputError(f"no layout {name!r}: choose from {', '.join(LAYOUTS)}")
    kind = ENDINGS.get(PurePath(output).suffix.lower())
    file = PurePath(output).name
    if kind is None and (ending := next((end for end in _OTHERS if file.lower().endswith(end)), None)):
        told = "pickles are read, not written" if ending in PICKLES else f"{ending} is no file of muons here"
        raise InputError(f"{file}: {told}; name it {', '.join(ENDINGS)}")
    if kind is None and name is None and (ending := PurePath(output).suffix):
        raise InputError(
            f"{file}: {ending} is no ending of files of muons, which says how they are written; name it "
            f"{', '.join(ENDINGS)}, or say --layout"
        )
    layout = LAYOUTS[name or (kind if kind not in (None, "root") else MUONBACK.name)]
    if layout is SHIELD:
        layout = _shield(file, kind)
    elif kind is not None and kind != layout.kind:
        raise InputError(
            f"{file} would be {_told(kind)} by its name, and layout {layout.name} is {_told(layout.kind)}: "
            "name the file accordingly, or leave --layout out"
        )
    if unit is None and frame is None:
        return layout
    if layout.kind == "root":
        raise InputError(
            f"unit and frame of layout {layout.name} are fixed, its readers expect them: arrays have any "
            f"({', '.join(ending for ending, kind in ENDINGS.items() if kind != 'root')})"
        )
    return layout.placed(unit, frame)


def _shield(file: str, kind: str | None) -> Layout:
    if kind in (None, "root"):
        raise InputError(f"{file}: layout shield is one of arrays: name the file .h5, .npy, .npz or .parquet")
    return replace(SHIELD, kind=kind, table="muons" if kind in ("npy", "npz") else "")


def _told(kind: str) -> str:
    return "a ROOT file" if kind == "root" else f"a file of {kind} arrays"


def stated_layout(facts: Mapping[str, Any], kind: str) -> Layout:
    """Return the layout of a file of that `kind`, as its provenance states it.

    Raises
    ------
    InputError
        This version has no such layout.
    KeyError, TypeError, ValueError
        What it states is damaged.
    """
    name = facts.get("layout")
    if not isinstance(name, str) or name not in LAYOUTS:
        raise InputError(f"has the layout {name!r}: this shipgen knows {', '.join(LAYOUTS)}")
    layout = with_variations(replace(LAYOUTS[name], kind=kind), stated_variations(facts))
    layout = layout.renamed(facts.get("names", {}))
    if kind == "root":
        return layout
    start = facts["target_start"]
    return layout.placed(facts["units"][layout.z.name], float(start["value"]))


def layout_facts(layout: Layout) -> dict[str, Any]:
    """Return what a file's provenance says of its layout."""
    z = layout.z
    facts: dict[str, Any] = {
        "layout": layout.name,
        "units": layout.units(),
        "target_start": {"value": z.target_start, "unit": z.unit},
    }
    if layout.kind != "root":
        facts["frame"] = frame_of(z.target_start or 0.0, z.unit)
        facts["columns"] = [branch.name for branch in layout.branches]
    return facts


#: What the commands offer.
UNIT_CHOICES, FRAME_CHOICES = tuple(UNITS), tuple(FRAMES)
