"""Readers of flat ntuples: one muon an entry, without events and without the tracks the muon comes from.

``pythia8-Geant4`` is what FairShip's ``MuonBackGenerator`` reads (metres, float32); with 17 leaves or more it
takes the muon's origin from ``ox oy oz opx opy opz``. ``converted_ntuple`` is what its ``TTreeGenerator``
reads (cm). Both also hold other particles, which are left out and counted.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.layouts import KIND_PRODUCED, MUONBACK, PROVENANCE_KEY
from shipgen.files.variation_columns import is_variation
from shipgen.provenance import read_objects
from shipgen_export.reading.formats.headers import file_header
from shipgen_export.reading.formats.sources import MERGED, Dropped, Header, Step, TreeKind, finite_sum, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from shipgen.muons.columns import Columns, Float32

_MUON = 13
#: What is said of files without events.
NO_EVENTS = "it tells no event: muons of one proton may be in different parts of the split"
#: Branch with the energy cut, GeV, the same in all entries of one production.
_CUT = "ecut"
#: cm in the units of length that shipgen writes.
_CENTIMETRES = {"m": 100.0, "cm": 1.0}
#: Where the PDG code is in files of the published generators' tool, whose ``id`` is 0.
_CODE = "pythiaid"
#: What is counted of entries whose code is there.
CODE_ELSEWHERE = "codes from pythiaid"
#: Branches that the published generators' own tool adds.
_PUBLISHED_TOOL = {"event_id", "release_time", "mother_id", "process_id"}


def _header(file: Any, tree: str, target_start: float | None) -> Header:
    """Read what the file says; one that shipgen wrote says all."""
    stated = file_header(file)
    written = read_objects(file, PROVENANCE_KEY)
    produced = [entry for entry in written if entry and entry.get("kind") == KIND_PRODUCED]
    if produced and len(written) > 1:
        raise InputError(MERGED.format(len(written)))
    if produced:
        return produced_header(produced[0], replace(stated, notes=()), _target_start(produced[0]))
    notes = [*stated.notes, NO_EVENTS]
    names = set(file[tree].keys(full_paths=False))
    if names >= _PUBLISHED_TOOL:
        notes.append(
            "its branches are those of the published generators' tool, whose enhanced samples have no "
            "correct weights"
        )
    return replace(stated, target_start=target_start, notes=tuple(notes))


def produced_header(provenance: dict[str, Any], stated: Header, target_start: float | None) -> Header:
    """Return what a file of shipgen's own says: what is `stated` besides its provenance wins."""
    pot, cut = number(provenance, "pot"), number(provenance, "energy_cut")
    return Header(
        stated.pot if stated.pot is not None else pot,
        stated.energy_cut if stated.energy_cut is not None else cut,
        target_start,
        provenance,
        ("its muons were drawn from networks: training on them adds no knowledge", *stated.notes),
        unsmeared=str(provenance.get("beam", "")).startswith("not smeared"),
        weighted=pot is not None,
    )


def _target_start(provenance: Mapping[str, Any]) -> float | None:
    """Return z of the target's start in the frame of a produced file, cm, where it is stated."""
    stated = provenance.get("target_start")
    if not isinstance(stated, dict) or stated.get("unit") not in _CENTIMETRES:
        return None
    value = number(stated, "value")
    return None if value is None else value * _CENTIMETRES[stated["unit"]]


def _step(arrays: Any, first: int, *, branches: Mapping[str, str], scale: float) -> Step:
    """Take the muons of a range of entries; lengths in the file x `scale` are cm."""
    columns = {name: np.asarray(arrays[branch]) for name, branch in branches.items()}
    columns |= {name: np.asarray(arrays[name]) for name in arrays.fields if is_variation(name)}
    found = {}
    if _CODE in arrays.fields and not columns["pdg"].any():
        columns["pdg"] = np.asarray(arrays[_CODE])
        found = {CODE_ELSEWHERE: len(columns["pdg"])}
    muons, dropped = muons_only(columns, first)
    for name in ("x", "y", "z"):
        muons[name] = muons[name].astype(np.float64) * scale
    cuts = None
    if _CUT in arrays.fields:
        cuts = _cuts(np.asarray(arrays[_CUT], np.float32)[muons["group"] - first])
    return Step(muons, len(arrays), found, dropped, cuts)


def muons_only(columns: Columns, first: int) -> tuple[dict[str, npt.NDArray[Any]], tuple[Dropped, ...]]:
    """Return the muons among entries, numbered from `first` on, and what was left out."""
    muon = np.abs(columns["pdg"]) == _MUON
    dropped: tuple[Dropped, ...] = ()
    if others := int((~muon).sum()):
        dropped = (Dropped("not a muon", others, finite_sum(columns["weight"][~muon])),)
    kept: dict[str, npt.NDArray[Any]] = {name: values[muon] for name, values in columns.items()}
    kept["pdg"] = kept["pdg"].astype(np.int64)
    kept["group"] = first + np.flatnonzero(muon)
    return kept, dropped


def _cuts(values: Float32) -> tuple[float, float] | None:
    """Return the least and the largest energy cut, GeV; what is no number above zero states none: 0."""
    if not len(values):
        return None
    stated = np.where(np.isfinite(values) & (values > 0), values, 0)
    # Through text, so that a float32 of 0.1 is 0.1.
    return float(str(stated.min())), float(str(stated.max()))


def _kind(
    name: str,
    title: str,
    tree: str,
    branches: Mapping[str, str],
    scale: float,
    target_start: float | None = None,
) -> TreeKind:
    return TreeKind(
        name=name,
        title=title,
        tree=tree,
        branches=tuple(branches.values()),
        header=partial(_header, tree=tree, target_start=target_start),
        step=partial(_step, branches=branches, scale=scale),
        group="entry",
        optional=(_CUT, _CODE),
    )


_MOMENTA = {name: name for name in ("px", "py", "pz")}
_PLACES = {name: name for name in ("x", "y", "z")}

#: With the place behind the absorber in ``x y z`` and that of the origin in ``ox oy oz``.
FLAT_ORIGIN = _kind(
    "flat-origin",
    "a flat ntuple with ox oy oz opx opy opz",
    MUONBACK.tree,
    {"pdg": "id", **{name: f"o{name}" for name in (*_PLACES, *_MOMENTA)}, "weight": "w"},
    100.0,
)

#: What MuonBackGenerator reads, and `shipgen produce` writes.
FLAT = _kind(
    "flat",
    "a flat ntuple for MuonBackGenerator",
    MUONBACK.tree,
    {"pdg": "id", **_PLACES, **_MOMENTA, "weight": "w"},
    100.0,
)

#: What TTreeGenerator reads; it adds nothing to z, so that the target starts at z = 0 as in FairShip.
CONVERTED = _kind(
    "converted-ntuple",
    "a flat ntuple for TTreeGenerator",
    "converted_ntuple",
    {"pdg": "id", **_PLACES, **_MOMENTA, "weight": "w"},
    1.0,
    target_start=0.0,
)
