"""Join pieces into a prepared sample, block by block, with a cap on the muons of a category if asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES
from shipgen_export.sample.prepared_index import BeamPlaces, Spread
from shipgen_export.sample.sample import CategoryWriter, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64, Int64
    from shipgen_export.reading.read_file import ReadFile
    from shipgen_export.sample.prepared_index import GatheredEntry, VariationsEntry

BEAM_FILE = "beam.npy"
#: Beam positions that are kept.
_PLACES = 100_000
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
#: How far muons start upstream and downstream of the target's start, cm: target and absorber.
_UPSTREAM, _DOWNSTREAM = 1.0, 2000.0
#: Draws of the beam's positions are apart from those of the categories, which are numbered from 1.
_BEAM_STREAM = 0


@dataclass(frozen=True)
class Share:
    """A piece and what its muons become in the sample.

    Attributes
    ----------
    piece : ReadFile
        From one file.
    scale : float
        Factor of its weights.
    first_group : int
        Number of its first proton or event.
    """

    piece: ReadFile
    scale: float
    first_group: int

    def weights(self, category: Category) -> Iterator[Float64]:
        """Yield the weights as they are stored, but for a cap."""
        for weights in self.piece.weights(category):
            yield weights * self.scale

    def blocks(self, category: Category) -> Iterator[tuple[Float32, Float64, Int64]]:
        """Yield features, weights and groups as they are stored, but for a cap."""
        for features, weights, group in self.piece.blocks(category):
            yield features, weights * self.scale, group + self.first_group


def gather(
    folder: Path,
    shares: Sequence[Share],
    *,
    target_start: float,
    cap: int | None,
    seed: int,
    span: float,
) -> dict[str, GatheredEntry]:
    """Write the arrays of all categories into `folder`.

    Parameters
    ----------
    folder : Path
        Where to.
    shares : sequence of Share
        In the order of the files, which is the order of the muons.
    target_start : float
        z of the target's start, cm.
    cap : int, optional
        Most muons a category: each muon of it has the same chance to be kept, and the weights of those kept
        are multiplied so that their sum is that of all.
    seed : int
        Of that draw.
    span : float
        Features are normalised to [-span, span].

    Returns
    -------
    dict of str to GatheredEntry
        The categories with muons; ``minimum`` and ``maximum`` of all muons, ``files`` the weight by file.
    """
    categories = {}
    for category in CATEGORIES:
        if any(category.name in share.piece.tally.categories for share in shares):
            drawn = _draw_category(category, shares, cap, seed)
            categories[category.name] = _write(folder, category, shares, drawn, target_start, span)
    return categories


@dataclass(frozen=True)
class _Drawn:
    """Which muons of a category are kept.

    Attributes
    ----------
    found : int
        Muons there are.
    places : list of int64[n], optional
        Those to keep of each block; ``None`` for all.
    files : list of float
        Sum of all weights by file.
    factor : float
        What the weights of those kept are multiplied with, so that their sum is that of all.
    """

    found: int
    places: list[Int64] | None
    files: list[float]
    factor: float

    @property
    def muons(self) -> int:
        """How many are kept."""
        return self.found if self.places is None else sum(map(len, self.places))


def _draw_category(category: Category, shares: Sequence[Share], cap: int | None, seed: int) -> _Drawn:
    """Draw the muons to keep, and add up all weights and those kept."""
    sizes = [size for share in shares for _, size in share.piece.ranges(category)]
    found = sum(sizes)
    places = draw(sizes, cap, (seed, category.number)) if cap is not None and cap < found else None
    files, kept, number = [], 0.0, 0
    for share in shares:
        files.append(0.0)
        for weights in share.weights(category):
            files[-1] += float(weights.sum())
            if places is not None:
                kept += float(weights[places[number]].sum())
            number += 1
    return _Drawn(found, places, files, 1.0 if places is None else sum(files) / kept)


def _write(
    folder: Path,
    category: Category,
    shares: Sequence[Share],
    drawn: _Drawn,
    target_start: float,
    span: float,
) -> GatheredEntry:
    """Write the muons kept; the normalisation is that of all."""
    z, outside = category.features.index("z"), 0.0
    with CategoryWriter(folder, category, drawn.muons) as writer:
        blocks = (block for share in shares for block in share.blocks(category))
        for number, (features, weights, group) in enumerate(blocks):
            these = slice(None) if drawn.places is None else drawn.places[number]
            kept, kept_weights = features[these], weights[these] * drawn.factor
            writer.append(kept, kept_weights, group[these], drawn_from=features)
            depth = kept[:, z] - np.float32(target_start)
            outside += float(kept_weights[(depth < -_UPSTREAM) | (depth > _DOWNSTREAM)].sum())
    tallies = [share.piece.tally.categories.get(category.name) for share in shares]
    there = [tally for tally in tallies if tally is not None]
    entry = writer.entry(span)
    return {
        **entry,
        **_write_variations(folder, category, shares, drawn),
        # By definition: rounding apart, it is what the writer added up.
        "weight": entry["weight"] if drawn.places is None else sum(drawn.files),
        "found": drawn.found,
        "weight_factor": drawn.factor,
        "minimum": np.min([tally["minimum"] for tally in there], axis=0).tolist(),
        "maximum": np.max([tally["maximum"] for tally in there], axis=0).tolist(),
        "outside": outside,
        "files": drawn.files,
    }


def _write_variations(
    folder: Path, category: Category, shares: Sequence[Share], drawn: _Drawn
) -> VariationsEntry:
    """Write the factors of those variations of the muons kept that all files have."""
    there = [share.piece.tally.variations for share in shares]
    columns = [name for name in there[0] if all(name in names for names in there)]
    if not columns:
        return {}
    path = folder / file_name(category.name, "variations")
    shape = (drawn.muons, len(columns))
    kept = np.lib.format.open_memmap(path, mode="w+", dtype="<f4", shape=shape)
    blocks = (
        block[:, [names.index(name) for name in columns]]
        for share, names in zip(shares, there, strict=True)
        for block in share.piece.variations(category)
    )
    first = 0
    for number, block in enumerate(blocks):
        these = block if drawn.places is None else block[drawn.places[number]]
        kept[first : first + len(these)] = these
        first += len(these)
    kept.flush()
    return {"variations": {"columns": columns, "sha256": sha256(path)}}


def draw(sizes: Sequence[int], number: int, seed: tuple[int, ...]) -> list[Int64]:
    """Draw `number` of all items of blocks of the given `sizes`, each set of them with the same chance.

    Each item is taken with the chance number / all, independently; then items drawn evenly are added or
    taken away until there are `number`. Either step treats all items alike, so that the result does, and no
    step has a limit to their number (as NumPy's hypergeometric draws have, at 1e9).

    Returns
    -------
    list of int64[n]
        For each block the places in it, ascending.
    """
    random = np.random.default_rng(seed)
    all_of = np.asarray(sizes, np.int64)
    counts = np.asarray(random.binomial(all_of, number / all_of.sum()), np.int64)
    more = number - int(counts.sum())
    pool = all_of - counts if more > 0 else counts
    moved = random.choice(int(pool.sum()), abs(more), replace=False, shuffle=False)
    block = np.searchsorted(np.cumsum(pool), moved, side="right")
    counts += np.sign(more) * np.bincount(block, minlength=len(sizes))
    return [
        np.sort(random.choice(size, count, replace=False, shuffle=False))
        for size, count in zip(sizes, counts.tolist(), strict=True)
    ]


def gather_beam(folder: Path, pieces: Sequence[ReadFile], seed: int) -> BeamPlaces | None:
    """Write a fair sample of the beam's positions, at most 100,000; describe their distribution.

    Returns
    -------
    BeamPlaces, optional
        Mean and standard deviation of all events, quantiles of those kept; ``None`` where no position was
        taken off.
    """
    sizes = [len(block) for piece in pieces for block in piece.places()]
    if not sizes:
        return None
    total, sums = sum(sizes), np.zeros((2, 3))
    kept = draw(sizes, _PLACES, (seed, _BEAM_STREAM)) if total > _PLACES else None
    chosen: list[npt.NDArray[np.float64]] = []
    for number, block in enumerate(block for piece in pieces for block in piece.places()):
        values = _with_radius(block)
        sums += values.sum(0), np.square(values).sum(0)
        chosen.append(block if kept is None else block[kept[number]])
    places = np.concatenate(chosen)
    np.save(folder / BEAM_FILE, places)
    mean = sums[0] / total
    deviation = np.sqrt(np.maximum(sums[1] / total - mean**2, 0))
    quantiles = np.quantile(_with_radius(places), _QUANTILES, axis=0)
    shape = [
        Spread(
            mean=float(mean[i]),
            standard_deviation=float(deviation[i]),
            quantiles={f"{q:g}": float(value) for q, value in zip(_QUANTILES, quantiles[:, i], strict=True)},
        )
        for i in range(3)
    ]
    digest = sha256(folder / BEAM_FILE)
    return BeamPlaces(
        events=total,
        kept=len(places),
        file=BEAM_FILE,
        sha256=digest,
        unit="cm",
        x=shape[0],
        y=shape[1],
        r=shape[2],
    )


def _with_radius(places: Float64) -> Float64:
    return np.column_stack([places, np.hypot(places[:, 0], places[:, 1])])
