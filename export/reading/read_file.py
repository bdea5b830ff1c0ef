"""One source file -> one piece: its muons by category on disk, and what was counted on the way.

Pieces are made in worker processes, a file each. A piece exists when it is complete (`complete_folder`), so
that a run that was interrupted goes on with the pieces that are there.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import complete_folder, read_json, sha256, write_json
from shipgen.files.rootfile import is_remote
from shipgen.files.variation_columns import is_variation
from shipgen.muons.categories import CATEGORIES, FEATURE_UNITS, MUON_MASS, category_of
from shipgen_export.reading.beam_position import AUTO, ORIGIN, PRIMARY, off_origin, relative
from shipgen_export.reading.formats.readers import read_steps
from shipgen_export.reading.formats.sources import LARGEST_WEIGHT, Dropped, finite_sum, usable_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Columns, Float32, Float64, Int64
    from shipgen_export.reading.formats.sources import Source
    from shipgen_export.sample.prepared_index import CategoryRange

INDEX = "piece.json"
BEAM = "beam"

#: Muons that are handled at a time when pieces are joined; whatever step they were read in.
BLOCK = 1 << 18


@dataclass
class FileTally:
    """What one file gave.

    Attributes
    ----------
    found : dict of str to int
        What was counted, such as hits.
    dropped : dict of str to Dropped
        By reason.
    muons : int
        How many are kept.
    largest, smallest : float
        The largest and the smallest weight.
    lowest_energy : float, optional
        Of all muons, GeV.
    lowest_group, highest_group : int
        The file's own numbers.
    places : int
        Events whose beam position was taken off.
    categories : dict
        For each category with muons: ``muons``, and ``minimum`` and ``maximum`` of each feature.
    case : str
        What x and y were taken relative to: `beam.look`'s, or `PRIMARY` where a later event showed it.
    energy_cuts : list of two floats, optional
        The least and the largest energy cut that its muons state, GeV; 0 for none.
    variations : list of str
        Columns of the factors of variations that its muons have.
    sha256 : str, optional
        Of the file; ``None`` for a remote one.
    """

    found: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, Dropped] = field(default_factory=dict)
    muons: int = 0
    largest: float = 0.0
    smallest: float | None = None
    lowest_energy: float | None = None
    lowest_group: int = 0
    highest_group: int = -1
    places: int = 0
    categories: dict[str, CategoryRange] = field(default_factory=dict)
    case: str = ORIGIN
    energy_cuts: list[float] | None = None
    sha256: str | None = None
    variations: list[str] = field(default_factory=list)

    def count(self, found: dict[str, int]) -> None:
        """Add up what a step counted."""
        for what, number in found.items():
            self.found[what] = self.found.get(what, 0) + number

    def drop(self, dropped: Dropped) -> None:
        """Add up what was dropped for the same reason."""
        known = self.dropped.get(dropped.reason)
        self.dropped[dropped.reason] = dropped if known is None else known.plus(dropped)

    def widen_cuts(self, cuts: tuple[float, float]) -> None:
        """Widen the range of the energy cuts that muons state."""
        low, high = self.energy_cuts or cuts
        self.energy_cuts = [min(low, cuts[0]), max(high, cuts[1])]

    def keep(self, category: Category, features: Float32) -> None:
        """Count muons of a category and widen its range."""
        low, high, muons = features.min(0), features.max(0), len(features)
        if (known := self.categories.get(category.name)) is not None:
            low = np.minimum(low, np.asarray(known["minimum"], np.float32))
            high = np.maximum(high, np.asarray(known["maximum"], np.float32))
            muons += known["muons"]
        self.categories[category.name] = {"muons": muons, "minimum": low.tolist(), "maximum": high.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuild from what `dataclasses.asdict` gave."""
        dropped = {reason: Dropped(**entry) for reason, entry in content["dropped"].items()}
        return cls(**{**content, "dropped": dropped})


@dataclass(frozen=True)
class ReadTask:
    """What a worker needs to make a piece; `case` and `choice` are those of `beam.look`."""

    source: Source
    folder: Path
    case: str
    choice: str
    step: int | str

    def __str__(self) -> str:
        return f"reading {self.source.path}"


@dataclass(frozen=True)
class ReadFile:
    """A piece on disk."""

    folder: Path
    tally: FileTally

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what was counted."""
        return cls(folder, FileTally.from_json(read_json(folder / INDEX)))

    def ranges(self, category: Category) -> Iterator[tuple[int, int]]:
        """Yield first place and size of the blocks of a category."""
        known = self.tally.categories.get(category.name)
        muons = known["muons"] if known is not None else 0
        for first in range(0, muons, BLOCK):
            yield first, min(BLOCK, muons - first)

    def weights(self, category: Category) -> Iterator[Float64]:
        """Yield the weights of a category in the same blocks as `blocks`."""
        for first, count in self.ranges(category):
            yield self._load(category.name, "weights", np.float64, first, count)

    def blocks(self, category: Category) -> Iterator[tuple[Float32, Float64, Int64]]:
        """Yield features (physical), weights and groups (from 0 on) of a category in blocks."""
        width = len(category.features)
        for first, count in self.ranges(category):
            features = self._load(category.name, "features", np.float32, first * width, count * width)
            weights = self._load(category.name, "weights", np.float64, first, count)
            group = self._load(category.name, "group", np.int64, first, count)
            yield features.reshape(count, width), weights, group - self.tally.lowest_group

    def variations(self, category: Category) -> Iterator[Float32]:
        """Yield the factors of its variations of a category in the same blocks as `blocks`."""
        width = len(self.tally.variations)
        for first, count in self.ranges(category):
            factors = self._load(category.name, "variations", np.float32, first * width, count * width)
            yield factors.reshape(count, width)

    def places(self) -> Iterator[Float64]:
        """Yield the beam's positions in blocks, float64[n, 2], cm."""
        for first in range(0, self.tally.places, BLOCK):
            count = min(BLOCK, self.tally.places - first)
            yield self._load(BEAM, "xy", np.float64, 2 * first, 2 * count).reshape(count, 2)

    def _load(self, name: str, what: str, dtype: Any, first: int, count: int) -> Any:
        offset = first * np.dtype(dtype).itemsize
        return np.fromfile(self.folder / f"{name}.{what}", dtype, count, offset=offset)


class _Store:
    """The growing files of a piece."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def put(self, name: str, what: str, values: npt.NDArray[Any]) -> None:
        """Append `values` to a file."""
        key = f"{name}.{what}"
        if key not in self._files:
            self._files[key] = self._stack.enter_context((self._folder / key).open("wb"))
        self._files[key].write(np.ascontiguousarray(values).data)


def read_file(task: ReadTask, advance: Callable[[float], None] | None = None) -> str | None:
    """Read one file and write its piece; return why the file cannot be used, ``None`` if it can.

    Raises
    ------
    OutputError
        The piece cannot be written.
    """
    try:
        with complete_folder(task.folder, index=INDEX, force=True) as folder:
            try:
                tally = _read(task, folder, advance)
            except _BeamMoves as found:
                # Whatever the order of its events, the whole file is taken relative to the primaries.
                for file in folder.iterdir():
                    file.unlink()
                if advance is not None:
                    advance(-found.entries)
                tally = _read(replace(task, case=PRIMARY), folder, advance)
            if not is_remote(task.source.path):
                tally.sha256 = sha256(task.source.path)  # type: ignore[arg-type]
            write_json(folder / INDEX, asdict(tally))
    except InputError as error:
        return str(error)
    return None


class _BeamMoves(Exception):  # noqa: N818 - no error
    """The beam is not at x = y = 0, as the first entries had shown."""

    def __init__(self, entries: int) -> None:
        super().__init__(entries)
        self.entries = entries


def _read(task: ReadTask, folder: Path, advance: Callable[[float], None] | None) -> FileTally:
    """Read a file in steps; weights that no probability can stand for make it unusable."""
    tally = FileTally(case=task.case)
    bad = _BadWeights()
    groups: list[int] = []
    entries = 0
    with _Store(folder) as store:
        for part in read_steps(task.source, task.step):
            if task.case == ORIGIN and task.choice == AUTO and off_origin(part.columns):
                raise _BeamMoves(entries)
            tally.count(part.found)
            if part.energy_cuts is not None:
                tally.widen_cuts(part.energy_cuts)
            columns, places, lost = relative(part.columns, task.case, task.choice)
            for dropped in (*part.dropped, *lost):
                tally.drop(dropped)
            if places is not None:
                tally.places += len(places)
                store.put(BEAM, "xy", places)
            kept, place = clean(columns, tally)
            bad.count(kept["weight"])
            _distribute(kept, place, store, tally)
            groups += [int(end) for end in (kept["group"].min(), kept["group"].max())] if len(place) else []
            entries += part.entries
            if advance is not None:
                advance(part.entries)
    bad.check(task.source)
    if groups:
        tally.lowest_group, tally.highest_group = min(groups), max(groups)
    return tally


@dataclass
class _BadWeights:
    """Weights that make a file unusable."""

    strange: int = 0
    negative: int = 0
    smallest: float = 0.0

    def count(self, weights: Float64) -> None:
        self.strange += int((~usable_weights(weights)).sum())
        below = weights[weights < 0]
        self.negative += len(below)
        self.smallest = min(self.smallest, float(below.min(initial=0.0)))

    def check(self, source: Source) -> None:
        if self.strange:
            raise InputError(
                f"{source.path}: {self.strange:,} muons have a weight that is NaN or infinite (or above "
                f"{LARGEST_WEIGHT:.2g}), so that rates cannot be stated: leave the file out"
            )
        if self.negative:
            raise InputError(
                f"{source.path}: {self.negative:,} muons have a negative weight (down to {self.smallest:g}), "
                "which no probability can stand for: take a production without negative weights"
            )


def clean(columns: Columns, tally: FileTally) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.int8]]:
    """Keep the muons that can be trained on, count the others by reason.

    Returns
    -------
    dict of str to array[n]
        x, y, z, px, py, pz as float32, weight as float64 (not checked), group.
    int8[n]
        Place in `CATEGORIES`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        kept: dict[str, npt.NDArray[Any]] = {
            name: np.asarray(columns[name], np.float32) for name in FEATURE_UNITS
        }
    kept["weight"] = np.asarray(columns["weight"], np.float64)
    kept["group"] = np.asarray(columns["group"], np.int64)
    if names := [name for name in columns if is_variation(name)]:
        with np.errstate(over="ignore", invalid="ignore"):
            kept["variations"] = np.stack([np.asarray(columns[name], np.float32) for name in names], axis=1)
        tally.variations = names
    place = category_of(columns["pdg"], kept["x"], kept["y"])
    finite = np.logical_and.reduce([np.isfinite(kept[name]) for name in FEATURE_UNITS])
    reasons = (
        ("not a muon", place < 0),
        ("a feature is NaN or infinite", ~finite),
        ("the weight is zero", kept["weight"] == 0),
        ("a factor of a variation is negative or not finite", _odd_factors(kept)),
    )
    left = np.ones(len(place), bool)
    for reason, bad in reasons:
        hit = left & bad
        if number := int(hit.sum()):
            tally.drop(Dropped(reason, number, finite_sum(kept["weight"][hit])))
            left &= ~bad
    if not left.all():
        kept = {name: values[left] for name, values in kept.items()}
        place = place[left]
    return kept, place


def _odd_factors(kept: Columns) -> npt.NDArray[np.bool_]:
    """Return which muons have a factor that no weight can be multiplied with."""
    if "variations" not in kept:
        return np.zeros(len(kept["weight"]), bool)
    factors = np.asarray(kept["variations"], np.float32)
    return np.asarray(~np.logical_and(np.isfinite(factors), factors >= 0).all(1))


def _distribute(
    columns: dict[str, npt.NDArray[Any]], place: npt.NDArray[np.int8], store: _Store, tally: FileTally
) -> None:
    """Append the muons to the files of their categories."""
    tally.muons += len(place)
    weights = columns["weight"]
    if len(weights):
        # Not finite ones make the file unusable anyway.
        low, high = float(weights.min()), float(weights.max())
        tally.largest = max(tally.largest, high)
        tally.smallest = low if tally.smallest is None else min(tally.smallest, low)
        square = sum(np.square(columns[name], dtype=np.float64) for name in ("px", "py", "pz"))
        energy = float(np.sqrt(square.min() + MUON_MASS**2))
        tally.lowest_energy = min(energy, tally.lowest_energy or energy)
    for number, category in enumerate(CATEGORIES):
        chosen = np.flatnonzero(place == number)
        if not len(chosen):
            continue
        features = np.stack([columns[name][chosen] for name in category.features], axis=1)
        tally.keep(category, features)
        store.put(category.name, "features", features)
        store.put(category.name, "weights", weights[chosen])
        store.put(category.name, "group", columns["group"][chosen])
        if "variations" in columns:
            store.put(category.name, "variations", columns["variations"][chosen])
