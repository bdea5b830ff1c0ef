"""Small files of simulated muons, written by the tests themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import awkward
import numpy as np
import uproot

from shipgen.files.layouts import PROVENANCE_KEY, TARGET_START_2018, TRAINING
from shipgen.files.tree_writer import RootWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Rows = Sequence[Sequence[Sequence[float]]]

TRACK_MEMBERS = ("fPdgCode", "fStartX", "fStartY", "fStartZ", "fPx", "fPy", "fPz", "fW", "fMotherId")
#: The beam's proton at x = y = 0, as FairShip puts it first.
PROTON = (2212, 0.0, 0.0, -7084.5, 0.0, 0.0, 400.0, 1.0, -1)
HIT_MEMBERS = ("fTrackID", "fPdgCode")


def muon_columns(n: int, seed: int = 1) -> dict[str, Any]:
    """Return muons of all four categories, as `shipgen simulate` writes them, three a proton."""
    rng = np.random.default_rng(seed)
    on_axis = rng.random(n) < 0.25
    return {
        "pdg": rng.choice([-13, 13], n),
        "x": np.where(on_axis, 0, rng.normal(0, 1.5, n)),
        "y": np.where(on_axis, 0, rng.normal(0, 1.5, n)),
        "z": TARGET_START_2018 + rng.exponential(40, n),
        "px": rng.normal(0, 0.4, n),
        "py": rng.normal(0, 0.4, n),
        "pz": 10 + rng.exponential(10, n),
        "weight": rng.uniform(0.5e-4, 1.5e-4, n),
        "parent": np.full(n, 211),
        "process": np.ones(n, int),
        "proton": np.arange(n) // 3,
    }


def write_training(
    path: Path, columns: Mapping[str, Any], *, provenance: Mapping[str, Any] | None = None, **changed: object
) -> Path:
    """Write a training sample; `changed` replaces entries of the usual provenance."""
    usual = {
        "kind": "training-sample",
        "pot": 1000,
        "weight_unit": "per POT",
        "target_start": TARGET_START_2018,
        "energy_cut": 10.0,
    }
    with RootWriter(path, TRAINING, target_start=TARGET_START_2018) as writer:
        writer.extend(columns)
        if provenance is None:
            provenance = {**usual, **changed}
        if provenance:
            writer.write_json(PROVENANCE_KEY, provenance)
    return path


def write_cbmsim(
    path: Path,
    tracks: Rows,
    hits: Rows,
    *,
    summary: object = None,
    hit_branch: str = "vetoPoint",
    tree: str = "cbmsim",
) -> Path:
    """Write a FairShip-like file, branches named as those of split TClonesArrays.

    Parameters
    ----------
    path : Path
        The file.
    tracks, hits : sequence of events, each of rows
        Rows have the members of `TRACK_MEMBERS` and `HIT_MEMBERS`.
    summary : object, optional
        What ``FileSummary`` holds: JSON of it, a text as it stands.
    hit_branch, tree : str
        Other names make files that cannot be read.
    """
    branches = {
        "MCTrack": _jagged(tracks, TRACK_MEMBERS),
        hit_branch: _jagged(hits, HIT_MEMBERS),
    }
    types = {name: awkward.type(array).content for name, array in branches.items()}
    with uproot.recreate(path) as file:
        file.mktree(tree, types, field_name=lambda outer, inner: f"{outer}.{inner}").extend(branches)
        if summary is not None:
            file["FileSummary"] = summary if isinstance(summary, str) else json.dumps(summary)
    return path


def _jagged(events: Rows, members: Sequence[str]) -> Any:
    counts = [len(event) for event in events]
    table = np.array([row for event in events for row in event], np.float64).reshape(-1, len(members))
    columns = {}
    for number, member in enumerate(members):
        kind = np.int32 if member in {"fPdgCode", "fTrackID", "fMotherId"} else np.float32
        columns[member] = awkward.unflatten(table[:, number].astype(kind), counts)
    return awkward.zip(columns)
