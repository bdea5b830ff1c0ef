"""Flat ntuples as FairShip and others write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import uproot

from helpers.muon_files import muon_columns

if TYPE_CHECKING:
    from pathlib import Path

N = 900


def flat_columns(n: int = N, seed: int = 1, scale: float = 0.01) -> dict[str, Any]:
    """Return muons in metres, and between them particles that are none."""
    columns = muon_columns(n, seed)
    branches = {name: (columns[name] * scale).astype(np.float32) for name in "xyz"}
    branches |= {name: columns[name].astype(np.float32) for name in ("px", "py", "pz")}
    branches["id"] = columns["pdg"].astype(np.float32)
    branches["id"][::10] = 14
    branches["w"] = np.random.default_rng(seed).choice([0.01, 1.0], n).astype(np.float32)
    zero = np.zeros(n, np.float32)
    return {**branches, "parentid": zero, "pythiaid": branches["id"], "ecut": zero + np.float32(10)}


def write_flat(path: Path, columns: dict[str, Any], tree: str = "pythia8-Geant4") -> Path:
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: values.dtype for name, values in columns.items()}).extend(columns)
    return path
