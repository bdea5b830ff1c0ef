"""Reader of FairShip's ``cbmsim`` with split TClonesArrays: the muons that left a hit behind the absorber.

Rule of A. M. Marshall, "GANs and VAEs testing" (2018), section 2: a muon's hit in ``vetoPoint`` leads to its
track in ``MCTrack``, whose start and weight are taken, once however many hits there are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.layouts import FILE_SUMMARY_KEY
from shipgen.provenance import read_object
from shipgen_export.sources import Dropped, FileKind, Header, Step, finite_sum, number

if TYPE_CHECKING:
    from shipgen.columns import Array, Int64

_MUON = 13
_TRACK_BRANCHES = {
    "pdg": "MCTrack.fPdgCode",
    "x": "MCTrack.fStartX",
    "y": "MCTrack.fStartY",
    "z": "MCTrack.fStartZ",
    "px": "MCTrack.fPx",
    "py": "MCTrack.fPy",
    "pz": "MCTrack.fPz",
    "weight": "MCTrack.fW",
}
_HIT_ID, _HIT_PDG = "vetoPoint.fTrackID", "vetoPoint.fPdgCode"

_NUMBER = r"\s*=\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_POT, _CUT = re.compile(rf"POT( equivalent)?{_NUMBER}"), re.compile(rf"ecut{_NUMBER}")


def _header(file: Any) -> Header:
    """Read FairShip's ``FileSummary`` (JSON) and the title of its ``FileHeader``, where they are there."""
    summary = read_object(file, FILE_SUMMARY_KEY) or {}
    title = _title(file, "FileHeader")
    found = {key: value for key, value in (("FileSummary", summary), ("FileHeader", title)) if value}
    notes = []
    if FILE_SUMMARY_KEY in file and not summary:
        notes.append(f"its {FILE_SUMMARY_KEY} holds no JSON and is not used")
    pot = number(summary, "PoT")
    if pot is None and (stated := _POT.search(title)):
        if stated[1]:
            # A charm or beauty run: run_fixedTarget.py weights it to a spill, not to these protons.
            notes.append(f"{stated[0]!r} in FileHeader is not used: such weights stand for a spill")
        else:
            pot = float(stated[2])
    cut = number(summary, "EnergyCut")
    if cut is None and (stated := _CUT.search(title)):
        cut = float(stated[1])
    return Header(pot if pot and pot > 0 else None, cut, None, found or None, tuple(notes))


def _title(file: Any, key: str) -> str:
    """Return the title of a TNamed, ``""`` when there is none or its class cannot be read."""
    if key not in file:
        return ""
    try:
        return str(file[key].member("fTitle", none_if_missing=True) or "")
    except Exception:  # noqa: BLE001 - a header class that uproot cannot read says nothing, which is allowed
        return ""


def _step(arrays: Any, first: int) -> Step:
    """Match the muons' hits to their tracks: each track once, of the same event, of the same PDG code."""
    tracks_in = _counts(arrays[_TRACK_BRANCHES["pdg"]])
    hits_in = _counts(arrays[_HIT_ID])
    tracks = {name: _flat(arrays, branch, tracks_in) for name, branch in _TRACK_BRANCHES.items()}
    hit_id, hit_pdg = (_flat(arrays, branch, hits_in).astype(np.int64) for branch in (_HIT_ID, _HIT_PDG))
    muon = np.abs(hit_pdg) == _MUON
    event = np.repeat(np.arange(len(hits_in)), hits_in)[muon]
    hit_id, hit_pdg = hit_id[muon], hit_pdg[muon]

    inside = (hit_id >= 0) & (hit_id < tracks_in[event])
    start = np.cumsum(tracks_in) - tracks_in
    track = start[event[inside]] + hit_id[inside]
    agrees = tracks["pdg"][track] == hit_pdg[inside]
    chosen = np.unique(track[agrees])
    other = np.setdiff1d(track[~agrees], chosen)

    columns = {name: values[chosen] for name, values in tracks.items()}
    columns["group"] = first + np.searchsorted(np.cumsum(tracks_in), chosen, side="right")
    dropped = []
    if outside := int((~inside).sum()):
        dropped.append(Dropped("hit of a track that is not in MCTrack (hits counted)", outside, None))
    if len(other):
        weight = finite_sum(tracks["weight"][other])
        dropped.append(Dropped("PDG code of the track is not the hit's", len(other), weight))
    found = {"hits": int(hits_in.sum()), "muon hits": len(hit_id), "tracks": int(tracks_in.sum())}
    return Step(columns, len(arrays), found, tuple(dropped))


def _counts(jagged: Any) -> Int64:
    import awkward

    return np.asarray(awkward.num(jagged, axis=1), np.int64)


def _flat(arrays: Any, branch: str, counts: Int64) -> Array:
    """Return a jagged branch end to end, having checked that it runs parallel to its sisters."""
    import awkward

    if not np.array_equal(_counts(arrays[branch]), counts):
        raise ValueError(f"{branch} does not have as many values an event as its sister branches")
    return np.asarray(awkward.flatten(arrays[branch], axis=1))


CBMSIM = FileKind(
    name="cbmsim-vetoPoint",
    title="FairShip's MCTrack and vetoPoint",
    tree="cbmsim",
    branches=(*_TRACK_BRANCHES.values(), _HIT_ID, _HIT_PDG),
    per_pot=False,
    header=_header,
    step=_step,
)
