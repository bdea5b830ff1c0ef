"""What ``prepared.json`` says beside the categories: sources, POT, frame, cut, what was dropped, warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.layouts import TARGET_START_2018
from shipgen.provenance import versions, without_folders
from shipgen_export.sample import SPLITS, effective_size
from shipgen_export.sources import Dropped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shipgen_export.sample import CategorySample
    from shipgen_export.sources import Source

#: A muon that carries more of its category's weight than this is reported.
LARGE_SHARE = 0.01
#: How far muons start upstream and downstream of the target's start, cm: target and absorber.
_UPSTREAM, _DOWNSTREAM = 1.0, 2000.0
_SPLIT_RULE = "by proton or event number (splitmix64): muons of one proton are in one part"
#: Entries of a file's provenance that may name files.
_TEXTS_WITH_PATHS = ("command", "FileHeader")


@dataclass(frozen=True, slots=True)
class Stated:
    """What is stated, by the user or by all files alike; ``None`` if it is not.

    Attributes
    ----------
    pot : float, optional
        Protons on target that the sum of all weights stands for, only if the user says so.
    energy_cut : float, optional
        GeV.
    target_start : float, optional
        cm.
    notes : tuple of str
        Where the user overruled the files.
    """

    pot: float | None
    energy_cut: float | None
    target_start: float | None
    notes: tuple[str, ...] = ()


@dataclass
class FileTally:
    """What one file gave; `largest` is the largest weight, the groups are its own numbers."""

    found: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, Dropped] = field(default_factory=dict)
    muons: int = 0
    weight: float = 0.0
    largest: float = 0.0
    lowest_group: int = 0
    highest_group: int = -1

    def count(self, found: dict[str, int]) -> None:
        """Add up what a step counted."""
        for what, number in found.items():
            self.found[what] = self.found.get(what, 0) + number

    def drop(self, dropped: Dropped) -> None:
        """Add up what was dropped for the same reason."""
        self.dropped[dropped.reason] = _add(self.dropped.get(dropped.reason), dropped)


def settle(
    sources: Sequence[Source], pot: float | None, energy_cut: float | None, target_start: float | None
) -> Stated:
    """Settle what holds for all files: the user's word, or else what every file states.

    Raises
    ------
    InputError
        Files state different values and the user none.
    """
    cut, cut_notes = _agreed("energy cut", "GeV", "energy_cut", sources, energy_cut)
    start, start_notes = _agreed("target start", "cm", "target_start", sources, target_start)
    return Stated(pot, cut, start, (*cut_notes, *start_notes))


def collect_facts(
    sources: Sequence[Source],
    digests: Sequence[str],
    scales: Sequence[float],
    tallies: Sequence[FileTally],
    stated: Stated,
) -> dict[str, Any]:
    """Return what goes into ``prepared.json``: see `Stated`, `FileTally` and `Source` for the meaning.

    ``pot`` is the number of protons on target that the sum of the stored weights stands for, or ``None``.
    """
    pot, warnings = _pot(sources, tallies, stated.pot)
    total: dict[str, Dropped] = {}
    for tally in tallies:
        for reason, dropped in tally.dropped.items():
            total[reason] = _add(total.get(reason), dropped)
    described = zip(sources, digests, scales, tallies, strict=True)
    return {
        "sources": [_source(*parts) for parts in described],
        "pot": pot,
        "weight_unit": "unknown" if pot is None else "per POT" if pot == 1 else f"per {pot:g} POT",
        "energy_cut": stated.energy_cut,
        "target_start": TARGET_START_2018 if stated.target_start is None else stated.target_start,
        "target_start_assumed": stated.target_start is None,
        "dropped": _dropped(total),
        "split": _SPLIT_RULE,
        "versions": versions("shipgen", "numpy", "uproot", "awkward"),
        "warnings": [
            *(f"{source.path.name}: {note}" for source in sources for note in source.header.notes),
            *stated.notes,
            *warnings,
        ],
    }


def sample_warnings(samples: Iterable[CategorySample], target_start: float) -> Iterator[str]:
    """Yield what training on these muons, whose target starts at z = `target_start` cm, may stumble over."""
    outside = total = 0.0
    for sample in samples:
        name, weight = sample.category.name, float(sample.weights.sum())
        share = float(sample.weights.max()) / weight
        if share > LARGE_SHARE:
            yield (
                f"{name}: one muon carries {share:.2%} of the weight; the {len(sample.weights):,} muons "
                f"are worth {effective_size(sample.weights):,.1f} of equal weight"
            )
        flat = sample.normalisation.maximum == sample.normalisation.minimum
        for number in np.flatnonzero(flat):
            value = sample.normalisation.minimum[number]
            yield f"{name}: {sample.category.features[number]} is {value:g} for every muon"
        empty = [part for number, part in enumerate(SPLITS) if not (sample.split == number).any()]
        if empty:
            yield f"{name}: no muon is in the part {' or '.join(empty)}"
        depth = sample.features[:, sample.category.features.index("z")] - target_start
        outside += float(sample.weights[(depth < -_UPSTREAM) | (depth > _DOWNSTREAM)].sum())
        total += weight
    if outside > LARGE_SHARE * total:
        yield (
            f"{outside / total:.1%} of the weight starts outside target and absorber if the target starts "
            f"at z = {target_start:g} cm: give the right --target-start"
        )


def _agreed(
    what: str, unit: str, name: str, sources: Sequence[Source], given: float | None
) -> tuple[float | None, list[str]]:
    """Return the value called `name` that the user gives or all files state, and where the two differ."""
    stated = {source.path.name: getattr(source.header, name) for source in sources}
    values = sorted({value for value in stated.values() if value is not None})
    if given is not None:
        other = [f"{value:g}" for value in values if value != given]
        note = f"{what} of {given:g} {unit} as given, where files state {' and '.join(other)} {unit}"
        return given, [note] if other else []
    if len(values) > 1:
        option = "--" + name.replace("_", "-")
        each = ", ".join(f"{file} {value:g} {unit}" for file, value in stated.items() if value is not None)
        raise InputError(
            f"files differ in their {what} ({each}): prepare them apart, or state it with {option}"
        )
    return (values[0], []) if values and None not in stated.values() else (None, [])


def _pot(
    sources: Sequence[Source], tallies: Sequence[FileTally], given: float | None
) -> tuple[float | None, list[str]]:
    """Return how many protons the sum of the weights stands for, if that is certain, and what to say."""
    if sources[0].kind.per_pot:
        if given is None:
            return 1.0, []
        raise InputError(
            f"the files state that their weights are per POT, so {given:g} POT cannot be right for "
            "their sum: leave out --pot"
        )
    stated, notes = [], []
    for source, tally in zip(sources, tallies, strict=True):
        pot = source.header.pot
        if pot is not None and tally.largest > 1 + 1e-6:
            # If the sum stood for the simulated protons, no simulated muon would count more than once.
            notes.append(
                f"{source.path.name} states {pot:g} POT, but its weights go up to {tally.largest:g}: "
                "their sum stands for another number"
            )
            pot = None
        stated.append(pot)
    known = [pot for pot in stated if pot is not None]
    if given is not None:
        if known:
            notes.append(f"{given:g} POT as given, where files state {sum(known):g}")
        return given, notes
    if known and len(known) < len(stated):
        without = (source.path.name for source, pot in zip(sources, stated, strict=True) if pot is None)
        notes.append(f"the POT is not known of {', '.join(without)}")
    return (sum(known) if len(known) == len(stated) else None), notes


def _source(source: Source, digest: str, scale: float, tally: FileTally) -> dict[str, Any]:
    """Describe one file; no path, so that a sample tells nothing of the machine it was made on."""
    header = source.header
    return {
        "name": source.path.name,
        "sha256": digest,
        "kind": source.kind.name,
        "entries": source.entries,
        "found": tally.found,
        "muons": tally.muons,
        "weight": tally.weight,
        "scale": scale,
        "pot": header.pot,
        "energy_cut": header.energy_cut,
        "target_start": header.target_start,
        "dropped": _dropped(tally.dropped),
        "provenance": _without_folders(header.provenance),
    }


def _without_folders(provenance: dict[str, Any] | None) -> dict[str, Any] | None:
    """Take the folders out of the texts of `provenance`, such as a command with its output."""
    if provenance is None:
        return None
    return {
        key: without_folders(value) if isinstance(value, str) and key in _TEXTS_WITH_PATHS else value
        for key, value in provenance.items()
    }


def _dropped(dropped: dict[str, Dropped]) -> list[dict[str, Any]]:
    return [
        {"reason": entry.reason, "muons": entry.muons, "weight": entry.weight} for entry in dropped.values()
    ]


def _add(known: Dropped | None, more: Dropped) -> Dropped:
    if known is None:
        return more
    weight = None if known.weight is None or more.weight is None else known.weight + more.weight
    return Dropped(more.reason, known.muons + more.muons, weight)
