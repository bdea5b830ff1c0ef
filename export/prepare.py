"""Prepare files of simulated muons for training: read, clean, split into categories, normalise, write.

Weights stay as they are but for one case: training samples hold muons per proton on target (POT), so several
of them are merged by weight x POT of the file / POT of all files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import CATEGORIES, FEATURE_UNITS
from shipgen.errors import InputError
from shipgen.files import check_output, complete_folder, sha256
from shipgen.progress import progress
from shipgen_export.prepared_facts import FileTally, collect_facts, sample_warnings, settle
from shipgen_export.readers import STEP, open_source, read_steps
from shipgen_export.sample import (
    INDEX,
    CategorySample,
    PreparedSample,
    category_of,
    split_by_group,
    write_sample,
)
from shipgen_export.sources import Dropped, finite_sum
from shipgen_export.transforms import Normalisation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from shipgen.categories import Category
    from shipgen.columns import Columns, Float32, Float64, Int64
    from shipgen_export.sources import Source


@dataclass
class _Parts:
    """Muons of one category, as they come in."""

    features: list[Float32] = field(default_factory=list)
    weights: list[Float64] = field(default_factory=list)
    group: list[Int64] = field(default_factory=list)


def prepare(
    files: Sequence[Path],
    output: Path,
    *,
    pot: float | None = None,
    energy_cut: float | None = None,
    target_start: float | None = None,
    span: float = 1.0,
    force: bool = False,
    step: int | str = STEP,
) -> PreparedSample:
    """Prepare a training sample.

    Parameters
    ----------
    files : sequence of Path
        Training samples of `shipgen simulate`, or FairShip's ``cbmsim`` files, not both.
    output : Path
        The folder to make.
    pot : float, optional
        Protons on target that the sum of all weights stands for; wins over what the files state.
    energy_cut : float, optional
        Least energy of the muons, GeV; wins over what the files state.
    target_start : float, optional
        z of the target's start in the frame of the files, cm; wins over what the files state. If neither
        states it, that of 2018 is assumed and recorded as assumed.
    span : float
        Features are normalised to [-span, span].
    force : bool
        Replace an existing prepared sample.
    step : int or str
        Entries, or uncompressed size, that are read at a time.

    Returns
    -------
    PreparedSample
        With all that was found in its index.

    Raises
    ------
    InputError
        A file cannot be used, files do not fit together, a weight is negative, or there is no muon.
    OutputError
        Writing failed.
    """
    _check_arguments(files, output, pot, energy_cut, target_start, span, force=force)
    sources = [open_source(path) for path in files]
    digests = [sha256(path) for path in files]
    _check_together(sources, digests)
    stated = settle(sources, pot, energy_cut, target_start)
    scales = _scales(sources)
    chunks = {category.name: _Parts() for category in CATEGORIES}
    tallies: list[FileTally] = []
    with progress("reading", sum(source.entries for source in sources), "entries") as advance:
        next_group = 0
        for source, scale in zip(sources, scales, strict=True):
            tallies.append(_read(source, scale, step, chunks, next_group, advance))
            next_group += tallies[-1].highest_group - tallies[-1].lowest_group + 1
    facts = collect_facts(sources, digests, scales, tallies, stated)
    if not any(tally.muons for tally in tallies):
        reasons = "; ".join(f"{entry['muons']:,} dropped: {entry['reason']}" for entry in facts["dropped"])
        raise InputError(
            f"no muon to train on in {', '.join(map(str, files))} ({reasons or 'no muon was found'})"
        )
    samples = [_sample(category, chunks.pop(category.name), span) for category in CATEGORIES]
    present = [sample for sample in samples if sample is not None]
    facts["warnings"] += sample_warnings(present, facts["target_start"])
    with complete_folder(output, index=INDEX, force=force) as folder:
        write_sample(folder, present, facts)
    return PreparedSample.open(output)


def _check_arguments(
    files: Sequence[Path],
    output: Path,
    pot: float | None,
    energy_cut: float | None,
    target_start: float | None,
    span: float,
    *,
    force: bool,
) -> None:
    """Refuse what would fail, or destroy something, after the reading."""
    if not files:
        raise InputError("no file to prepare: give outputs of `shipgen simulate` or of FairShip")
    if not 0 < span <= 1:
        raise InputError(f"a span of {span:g} is not in (0, 1]")
    for name, value in (("POT", pot), ("energy cut", energy_cut)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} of {value:g} is not a finite number above zero")
    if target_start is not None and not math.isfinite(target_start):
        raise InputError(f"a target start of {target_start:g} cm is not a finite number")
    check_output(output, force=force, index=INDEX)


def _check_together(sources: list[Source], digests: list[str]) -> None:
    """Refuse files whose muons would count twice or whose weights mean different things."""
    first: dict[str, Source] = {}
    seeds: dict[Any, Source] = {}
    for source, digest in zip(sources, digests, strict=True):
        if source.kind is not sources[0].kind:
            raise InputError(
                f"{sources[0].path} is {sources[0].kind.title} but {source.path} {source.kind.title}: "
                "their weights cannot be merged, prepare them apart"
            )
        if digest in first:
            raise InputError(f"{first[digest].path} and {source.path} are the same file: give it once")
        first[digest] = source
        seed = (source.header.provenance or {}).get("seed")
        if source.kind.per_pot and seed is not None:
            if seed in seeds:
                raise InputError(
                    f"{seeds[seed].path} and {source.path} were made with the same seed {seed} and share "
                    "protons: simulate with another --seed"
                )
            seeds[seed] = source


def _scales(sources: list[Source]) -> list[float]:
    """Return the factor of each file's weights: its share of all POT where they are per POT, else 1."""
    if not sources[0].kind.per_pot:
        return [1.0] * len(sources)
    pots = [source.header.pot or 0.0 for source in sources]
    return [pot / sum(pots) for pot in pots]


def _read(
    source: Source,
    scale: float,
    step: int | str,
    chunks: dict[str, _Parts],
    next_group: int,
    advance: Callable[[float], None],
) -> FileTally:
    """Read one file into `chunks`; its groups are numbered from `next_group` on."""
    tally = FileTally()
    negative, smallest, new = 0, 0.0, []
    for part in read_steps(source, step):
        tally.count(part.found)
        for dropped in part.dropped:
            tally.drop(dropped)
        columns, place, below = _clean(part.columns, tally)
        negative += len(below)
        smallest = min(smallest, float(below.min(initial=0.0)))
        new += _distribute(columns, place, scale, chunks)
        tally.muons += len(place)
        tally.weight += float(columns["weight"].sum())
        tally.largest = max(tally.largest, float(columns["weight"].max(initial=0.0)))
        tally.lowest_group = int(columns["group"].min(initial=tally.lowest_group))
        tally.highest_group = int(columns["group"].max(initial=tally.highest_group))
        advance(part.entries)
    if negative:
        raise InputError(
            f"{source.path}: {negative:,} muons have a negative weight (down to {smallest:g}), which no "
            "probability can stand for: take a production without negative weights"
        )
    for group in new:
        np.add(group, next_group - tally.lowest_group, out=group)
    return tally


def _clean(columns: Columns, tally: FileTally) -> tuple[dict[str, Any], npt.NDArray[np.int8], Float64]:
    """Keep the muons that can be trained on, count the others by reason.

    Returns
    -------
    dict of str to array[n]
        x, y, z, px, py, pz as float32, weight as float64, group.
    int8[n]
        Place in `CATEGORIES`.
    float64[m]
        The negative weights among them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        kept: dict[str, Any] = {name: np.asarray(columns[name], np.float32) for name in FEATURE_UNITS}
    kept["weight"] = np.asarray(columns["weight"], np.float64)
    kept["group"] = np.asarray(columns["group"], np.int64)
    place = category_of(columns["pdg"], kept["x"], kept["y"])
    finite = np.logical_and.reduce([np.isfinite(kept[name]) for name in FEATURE_UNITS])
    reasons = (
        ("not a muon", place < 0),
        ("a feature is NaN or infinite", ~finite),
        ("the weight is NaN or infinite", ~np.isfinite(kept["weight"])),
        ("the weight is zero", kept["weight"] == 0),
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
    return kept, place, kept["weight"][kept["weight"] < 0]


def _distribute(
    columns: dict[str, Any], place: npt.NDArray[np.int8], scale: float, chunks: dict[str, _Parts]
) -> list[Int64]:
    """Append the muons to their categories; return the new arrays of groups."""
    new = []
    for number, category in enumerate(CATEGORIES):
        chosen = np.flatnonzero(place == number)
        if not len(chosen):
            continue
        parts = chunks[category.name]
        parts.features.append(np.stack([columns[name][chosen] for name in category.features], axis=1))
        parts.weights.append(columns["weight"][chosen] * scale)
        parts.group.append(columns["group"][chosen])
        new.append(parts.group[-1])
    return new


def _sample(category: Category, parts: _Parts, span: float) -> CategorySample | None:
    """Join a category's chunks and fit its normalisation; ``None`` when it has no muon."""
    if not parts.weights:
        return None
    features = np.concatenate(parts.features)
    group = np.concatenate(parts.group)
    return CategorySample(
        category,
        features=features,
        weights=np.concatenate(parts.weights),
        group=group,
        split=split_by_group(group),
        normalisation=Normalisation.fit(category.features, features.astype(np.float64), span),
    )
