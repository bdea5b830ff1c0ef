"""What a reader gives: muons in steps, what a file says of itself, and the description of a kind of file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shipgen.columns import Array, Columns


@dataclass(frozen=True, slots=True)
class Dropped:
    """Muons left out for one reason.

    Attributes
    ----------
    reason : str
        Why.
    muons : int
        How many.
    weight : float, optional
        Sum of their finite weights, ``None`` where a weight cannot be told.
    """

    reason: str
    muons: int
    weight: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """The muons of one range of entries.

    Attributes
    ----------
    columns : mapping of str to array[n]
        pdg, x, y, z (cm), px, py, pz (GeV), weight, group (proton or event number within the file).
    entries : int
        Entries of the tree in this step.
    found : dict of str to int
        What was counted on the way, such as hits.
    dropped : tuple of Dropped
        What the matching left out.
    """

    columns: Columns
    entries: int
    found: dict[str, int] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; ``None`` where it says nothing.

    Attributes
    ----------
    pot : float, optional
        Protons simulated for the file.
    energy_cut : float, optional
        GeV.
    target_start : float, optional
        z of the target's start in the file's frame, cm.
    provenance : dict, optional
        All of it, as found.
    notes : tuple of str
        Statements that could not be used.
    """

    pot: float | None = None
    energy_cut: float | None = None
    target_start: float | None = None
    provenance: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of file.

    Attributes
    ----------
    name : str
        As recorded in ``prepared.json``.
    title : str
        As shown to the user.
    tree : str
        Name of its TTree.
    branches : tuple of str
        What `step` reads; a file that has them all is of this kind.
    per_pot : bool
        Whether each file's weights are muons per POT already.
    header : callable
        Open ROOT file -> `Header`.
    step : callable
        (branch arrays, number of the first entry) -> `Step`.
    """

    name: str
    title: str
    tree: str
    branches: tuple[str, ...]
    per_pot: bool
    header: Callable[[Any], Header]
    step: Callable[[Any, int], Step]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was looked into and can be read."""

    path: Path
    kind: FileKind
    entries: int
    header: Header


def number(content: Mapping[str, Any], key: str) -> float | None:
    """Return the finite number under `key`, ``None`` when there is none."""
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        converted = float(value)
    except ValueError:
        return None
    return converted if math.isfinite(converted) else None


def finite_sum(weights: Array) -> float:
    """Return the sum of the weights that are finite numbers."""
    values = np.asarray(weights, np.float64)
    return float(values[np.isfinite(values)].sum())
