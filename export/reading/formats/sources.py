"""What a reader gives: muons in steps, what a file says of itself, and the description of a kind of file."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.files.rootfile import base_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from shipgen.files.rootfile import Location
    from shipgen.muons.columns import Array, Columns, Float64
    from shipgen_export.reading.formats.array_files import ArrayChoice


#: What a file of shipgen with several cycles of its provenance is refused with.
MERGED = "it was merged from {} files by hadd, and weights of different POT with it: give the files apart"

#: Larger weights (no float32) are no weights: their sums and squares overflow.
LARGEST_WEIGHT = float(np.finfo(np.float32).max)

#: What the first track of an event is: no hadron, a hadron that has a mother, a hadron without mother.
NO_PRIMARY, ODD_PRIMARY, USABLE_PRIMARY = 0, 1, 2


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

    def plus(self, more: Dropped) -> Dropped:
        """Add up what was left out for the same reason."""
        weight = None if self.weight is None or more.weight is None else self.weight + more.weight
        return Dropped(self.reason, self.muons + more.muons, weight)


@dataclass(frozen=True, slots=True)
class Step:
    """The muons of one range of entries.

    Attributes
    ----------
    columns : mapping of str to array[n]
        pdg, x, y, z (cm), px, py, pz (GeV), weight, group (number of the proton or event within the file);
        where the file has primary tracks also primary_x, primary_y (cm; start of the event's first track) and
        primary (`NO_PRIMARY`, `ODD_PRIMARY` or `USABLE_PRIMARY`); where it has factors of variations also
        these, by the names of their columns.
    entries : int
        Entries of the tree in this step.
    found : dict of str to int
        What was counted on the way, such as hits.
    dropped : tuple of Dropped
        What the matching left out.
    energy_cuts : tuple of two floats, optional
        The least and the largest energy cut that its muons state, GeV; 0 where they state none.
    """

    columns: Columns
    entries: int
    found: dict[str, int] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()
    energy_cuts: tuple[float, float] | None = None


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
        Statements that could not be used, and what is odd.
    spill : bool
        Whether it says that its weights stand for a spill, not for the protons simulated.
    unsmeared : bool
        Whether it says that its beam is at x = y = 0.
    weighted : bool
        Whether it says that the sum of its weights stands for `pot` protons, however large they are.
    boost : float
        Largest factor that it says a channel was boosted by; 1 for none.
    spread : float, optional
        Standard deviation that it states of the beam's x, and of its y, cm.
    """

    pot: float | None = None
    energy_cut: float | None = None
    target_start: float | None = None
    provenance: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    spill: bool = False
    unsmeared: bool = False
    weighted: bool = False
    boost: float = 1.0
    spread: float | None = None


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """One kind of file.

    Attributes
    ----------
    name : str
        As recorded in ``prepared.json``.
    title : str
        As shown to the user.
    group : str
        What ``group`` numbers: ``"proton"``, ``"event"``, or ``"entry"`` where the file tells neither.
    per_pot : bool
        Whether each file's weights are muons per POT already.
    unsmeared : bool
        Whether its beam is at x = y = 0 by definition.
    """

    name: str
    title: str
    group: str
    per_pot: bool = False
    unsmeared: bool = False


@dataclass(frozen=True, kw_only=True)
class TreeKind(FileKind):
    """One kind of ROOT file.

    Attributes
    ----------
    tree : str
        Name of its TTree or RNTuple.
    branches : tuple of str
        What `step` reads; a file that has them all is of this kind.
    header : callable
        Open ROOT file -> `Header`.
    step : callable
        (branch arrays, number of the first entry) -> `Step`.
    optional : tuple of str
        What `step` reads besides, where it is there.
    """

    tree: str
    branches: tuple[str, ...]
    header: Callable[[Any], Header]
    step: Callable[[Any, int], Step]
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a file from others without reading it all: `changed` in ns, ``None`` for a remote one."""

    name: str
    bytes: int
    changed: int | None
    uuid: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was looked into and can be read.

    Attributes
    ----------
    path : Path or str
        Where it is; a URL is text.
    kind : FileKind
        What it is.
    entries : int
        Entries of its tree.
    header : Header
        What it says of itself.
    identity : Identity
        What tells it from other files, and from itself before a change.
    choice : ArrayChoice, optional
        What the user says of arrays.
    """

    path: Location
    kind: FileKind
    entries: int
    header: Header
    identity: Identity
    choice: ArrayChoice | None = None

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return base_name(self.path)


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
    """Return the sum of the weights that are usable numbers."""
    values = np.asarray(weights, np.float64)
    return float(values[usable_weights(values)].sum())


def usable_weights(weights: Float64) -> npt.NDArray[np.bool_]:
    """Return which weights are numbers that can be added up and squared."""
    return np.abs(weights) <= LARGEST_WEIGHT


def labels(sources: Sequence[Source]) -> list[str]:
    """Return the names of files, with their number in the list where several have the same name."""
    count = Counter(source.name for source in sources)
    return [
        source.name if count[source.name] == 1 else f"{source.name} (file {place})"
        for place, source in enumerate(sources, 1)
    ]


def enumerated(names: Sequence[str], most: int = 5) -> str:
    """Join names, at most so many of them."""
    more = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + more
