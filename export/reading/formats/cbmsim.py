"""Reader of FairShip's ``cbmsim``: the muons that left a hit behind the absorber.

Rule of A. M. Marshall, "GANs and VAEs testing" (2018), section 2: a muon's hit leads to its track in
``MCTrack``, whose start and weight are taken, once however many hits there are. Both generations keep the
members of their objects in branches of the same names, whether the objects were in a TClonesArray (2018:
hits in ``vetoPoint``) or in a std::vector (2026: ``PlaneHAPoint``); a hit's ``fTrackID`` is the position of
its track in ``MCTrack`` (FairShip's ``ShipStack::UpdateTrackIndex``). FairShip's ``FixedTargetGenerator``
puts the beam's proton (or, for charm and beauty, the hadron that made the pair) first, without mother.

``run_simScript.py`` has a ``vetoPoint`` as well, of the decay vessel's own detector. Hits behind the absorber
are those of a plane that ends all tracks, so that they have one z, and the number 111 for a detector in all
versions (``exitHadronAbsorber``); those of the vessel have neither.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen_export.reading.formats.headers import file_header
from shipgen_export.reading.formats.sources import (
    NO_PRIMARY,
    ODD_PRIMARY,
    USABLE_PRIMARY,
    Dropped,
    Step,
    TreeKind,
    finite_sum,
)

if TYPE_CHECKING:
    from shipgen.muons.columns import Array, Int64

_MUON = 13
#: PDG codes of hadrons and nuclei are above those of leptons and bosons.
_HADRONS = 100
_PROTON = 2212
#: Number of the plane behind the absorber, and how far apart in z its hits are at most, cm.
_PLANE, _THICKNESS = 111, 50.0
#: Slope of the beam's proton at most.
_ALONG = 1e-3
#: What is counted of muons whose mother is not in the file.
WITHOUT_MOTHER = "without mother"
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
_MOTHER = "MCTrack.fMotherId"


def _step(arrays: Any, first: int, *, hits: str) -> Step:
    """Match the muons' hits to their tracks: each track once, of the same event, of the same PDG code."""
    tracks_in = _counts(arrays[_TRACK_BRANCHES["pdg"]])
    hits_in = _counts(arrays[f"{hits}.fTrackID"])
    tracks = {name: _flat(arrays, branch, tracks_in) for name, branch in _TRACK_BRANCHES.items()}
    mother = _flat(arrays, _MOTHER, tracks_in)
    hit_id, hit_pdg = (
        _flat(arrays, f"{hits}.{member}", hits_in).astype(np.int64) for member in ("fTrackID", "fPdgCode")
    )
    muon = np.abs(hit_pdg) == _MUON
    _check_plane(arrays, hits, hits_in, muon)
    event = np.repeat(np.arange(len(hits_in)), hits_in)[muon]
    hit_id, hit_pdg = hit_id[muon], hit_pdg[muon]

    inside = (hit_id >= 0) & (hit_id < tracks_in[event])
    start = np.cumsum(tracks_in) - tracks_in
    track = start[event[inside]] + hit_id[inside]
    agrees = tracks["pdg"][track] == hit_pdg[inside]
    chosen = np.unique(track[agrees])
    other = np.setdiff1d(track[~agrees], chosen)

    columns = {name: values[chosen] for name, values in tracks.items()}
    at = np.searchsorted(np.cumsum(tracks_in), chosen, side="right")
    columns["group"] = first + at
    primary = start[at]
    columns["primary_x"], columns["primary_y"] = tracks["x"][primary], tracks["y"][primary]
    lost = (mother[chosen] < 0) & (chosen != primary)
    # Where tracks were left out, the first one may be any; the beam's proton is still known by its direction.
    slope = np.hypot(tracks["px"], tracks["py"]) / np.maximum(np.abs(tracks["pz"]), 1e-9)
    of_beam = (tracks["pdg"] == _PROTON) & (slope < _ALONG)
    usable = (mother[primary] == -1) & (of_beam[primary] | ~np.isin(at, at[lost]))
    columns["primary"] = np.where(usable, USABLE_PRIMARY, ODD_PRIMARY).astype(np.int8)
    columns["primary"][np.abs(tracks["pdg"][primary]) < _HADRONS] = NO_PRIMARY
    dropped = []
    if outside := int((~inside).sum()):
        dropped.append(Dropped("hit of a track that is not in MCTrack (hits counted)", outside, None))
    if len(other):
        weight = finite_sum(tracks["weight"][other])
        dropped.append(Dropped("PDG code of the track is not the hit's", len(other), weight))
    found = {"hits": int(hits_in.sum()), "muon hits": len(hit_id), "tracks": int(tracks_in.sum())}
    if lost.any():
        found[WITHOUT_MOTHER] = int(lost.sum())
    return Step(columns, len(arrays), found, tuple(dropped))


def _check_plane(arrays: Any, hits: str, counts: Int64, muon: Any) -> None:
    """Raise `InputError` where muons' hits are not those of the plane behind the absorber."""
    number, z = (
        _flat(arrays, name, counts)[muon] if name in arrays.fields else None for name in _optional(hits)
    )
    if z is None or not len(z) or (number is not None and (number == _PLANE).all()):
        return
    if np.ptp(z) > _THICKNESS:
        raise InputError(
            f"the hits in {hits} lie at z from {z.min():g} to {z.max():g} cm, in no plane behind the "
            "absorber; this is no production of run_fixedTarget.py but another simulation's output, whose "
            "muons are not those that leave the absorber: give the production"
        )


def _optional(hits: str) -> tuple[str, str]:
    return f"{hits}.fDetectorID", f"{hits}.fZ"


def _counts(jagged: Any) -> Int64:
    import awkward

    return np.asarray(awkward.num(jagged, axis=1), np.int64)


def _flat(arrays: Any, branch: str, counts: Int64) -> Array:
    """Return a jagged branch end to end, having checked that it runs parallel to its sisters."""
    import awkward

    if not np.array_equal(_counts(arrays[branch]), counts):
        raise ValueError(f"{branch} does not have as many values an event as its sister branches")
    return np.asarray(awkward.flatten(arrays[branch], axis=1))


def _kind(hits: str, target_start: float | None) -> TreeKind:
    return TreeKind(
        name=f"cbmsim-{hits}",
        title=f"FairShip's MCTrack and {hits}",
        tree="cbmsim",
        branches=(*_TRACK_BRANCHES.values(), _MOTHER, f"{hits}.fTrackID", f"{hits}.fPdgCode"),
        header=partial(file_header, target_start=target_start),
        step=partial(_step, hits=hits),
        group="event",
        optional=_optional(hits),
    )


#: Files of 2018. Their frame is not stated.
CBMSIM = _kind("vetoPoint", None)

#: Files of 2026, in FairShip's global frame, where the target starts at z = 0.
CBMSIM_PLANE = _kind("PlaneHAPoint", 0.0)
