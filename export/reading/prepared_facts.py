"""What ``prepared.json`` says beside the categories: sources, POT, frame, cut, beam, what was dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from shipgen.errors import InputError
from shipgen.files.layouts import TARGET_START_2018
from shipgen.provenance import versions, without_folders
from shipgen_export.reading.beam_position import CASES, TAKEN
from shipgen_export.reading.formats.sources import enumerated, labels
from shipgen_export.reading.troubles import TELLING, known_troubles
from shipgen_export.reading.weights import meaning, settle_pot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipgen_export.reading.beam_position import Look
    from shipgen_export.reading.formats.sources import Dropped, Source
    from shipgen_export.reading.gather import Share
    from shipgen_export.reading.read_file import ReadFile
    from shipgen_export.sample.prepared_index import BeamPlaces, DroppedFacts, GatheredEntry, SourceFacts

_SPLIT_RULES = {
    "proton": "by proton (splitmix64 of its number): muons of one proton are in one part",
    "event": "by event, that is proton (splitmix64 of its number): muons of one event are in one part",
    "entry": "by entry (splitmix64 of its number), for the files tell no event",
}
#: Entries of a file's provenance that may name files.
_TEXTS_WITH_PATHS = ("command", "FileHeader")


@dataclass(frozen=True, slots=True)
class Stated:
    """What is stated, by the user or by all files alike; ``None`` if it is not.

    Attributes
    ----------
    energy_cut : float, optional
        GeV.
    target_start : float, optional
        cm.
    notes : tuple of str
        Where the user overruled the files.
    """

    energy_cut: float | None
    target_start: float | None
    notes: tuple[str, ...] = ()

    @property
    def start(self) -> float:
        """Where the target starts in z, cm; as in 2018 where it is not stated."""
        return TARGET_START_2018 if self.target_start is None else self.target_start


@dataclass(frozen=True)
class Used:
    """A file that was read: what it is, what its first muons showed, what it gave."""

    source: Source
    look: Look
    piece: ReadFile

    @classmethod
    def after_reading(cls, source: Source, look: Look, piece: ReadFile) -> Self:
        """Complete what was known of a file before by what all its muons show: beam and energy cut."""
        tally = piece.tally
        if tally.case != look.case:
            look = replace(look, found=tally.case, case=tally.case)
        header = source.header
        if header.energy_cut is None and tally.energy_cuts is not None:
            low, high = tally.energy_cuts
            if low == high > 0:
                header = replace(header, energy_cut=low)
            elif high > 0:
                text = f"its muons state energy cuts from {low:g} to {high:g} GeV: the cut is not known"
                header = replace(header, notes=(*header.notes, text))
        unweighted = header.boost > 1 and tally.muons >= TELLING and tally.smallest == tally.largest
        pot = None if unweighted else header.pot
        header = replace(
            header, pot=pot, notes=(*header.notes, *known_troubles(header, tally, unweighted=unweighted))
        )
        return cls(replace(source, header=header), look, piece)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return (*self.source.header.notes, *([self.look.note] if self.look.note else []))

    @property
    def largest(self) -> float:
        """The largest weight."""
        return self.piece.tally.largest


def settle(sources: Sequence[Source], energy_cut: float | None, target_start: float | None) -> Stated:
    """Settle what holds for all files: the user's word, or else what every file states.

    Raises
    ------
    InputError
        Files state different values and the user none.
    """
    cut, cut_notes = _agreed("energy cut", "GeV", "energy_cut", sources, energy_cut)
    start, start_notes = _agreed("target start", "cm", "target_start", sources, target_start)
    return Stated(cut, start, (*cut_notes, *start_notes))


def _agreed(
    what: str, unit: str, name: str, sources: Sequence[Source], given: float | None
) -> tuple[float | None, list[str]]:
    """Return the value called `name` that the user gives or all files state, and where the two differ."""
    stated = [(source, getattr(source.header, name)) for source in sources]
    values = sorted({value for _, value in stated if value is not None})
    if given is not None:
        other = [f"{value:g}" for value in values if value != given]
        note = f"{what} of {given:g} {unit} as given, where files state {' and '.join(other)} {unit}"
        return given, [note] if other else []
    if len(values) > 1:
        option = "--" + name.replace("_", "-")
        # The first file of each value.
        first: dict[float, Source] = {}
        for source, value in stated:
            if value is not None:
                first.setdefault(value, source)
        unique = len({source.name for source in first.values()}) == len(first)
        each = ", ".join(
            f"{source.name if unique else source.path} {value:g} {unit}" for value, source in first.items()
        )
        raise InputError(
            f"files differ in their {what} ({each}): prepare them apart, or state it with {option}"
        )
    without = [label for label, (_, value) in zip(labels(sources), stated, strict=True) if value is None]
    if values and without:
        return None, [
            f"the {what} is not known of {enumerated(without)}, the others state {values[0]:g} {unit}"
        ]
    return (values[0] if values else None), []


def collect_facts(
    used: Sequence[Used],
    shares: Sequence[Share],
    categories: Mapping[str, GatheredEntry],
    stated: Stated,
    given_pot: float | None,
) -> dict[str, Any]:
    """Return what goes into ``prepared.json``.

    ``pot`` is the number of protons on target that the sum of the stored weights stands for, or ``None``.

    Parameters
    ----------
    used : sequence of Used
        The files.
    shares : sequence of Share
        What they became, in the same order.
    categories : mapping of str to dict
        From `gather`.
    stated : Stated
        From `settle`.
    given_pot : float, optional
        What the user says.
    """
    names = labels([one.source for one in used])
    pot, warnings = settle_pot([(one.source, one.largest) for one in used], given_pot)
    return {
        "sources": [
            _source(one, share.scale, {name: entry["files"][i] for name, entry in categories.items()})
            for i, (one, share) in enumerate(zip(used, shares, strict=True))
        ],
        "pot": pot,
        "weight_unit": "unknown" if pot is None else "per POT" if pot == 1 else f"per {pot:g} POT",
        "energy_cut": stated.energy_cut,
        "target_start": stated.start,
        "target_start_assumed": stated.target_start is None,
        "dropped": _dropped(total_dropped(used)),
        "split": _SPLIT_RULES[used[0].source.kind.group],
        "versions": versions("shipgen", "numpy", "uproot", "awkward"),
        "warnings": [
            *(f"{name}: {note}" for name, one in zip(names, used, strict=True) for note in one.notes),
            *stated.notes,
            *warnings,
        ],
    }


def describe_beam(used: Sequence[Used], choice: str, places: BeamPlaces | None) -> dict[str, Any]:
    """Return the ``beam`` entry: the case found in all files, how it came about, the distribution."""
    found = list(dict.fromkeys(one.look.found for one in used))
    taken = list(dict.fromkeys(one.look.case for one in used))
    return {
        "case": "; ".join(CASES[case] for case in found),
        "xy": "; ".join(TAKEN[case] for case in taken),
        "choice": choice,
        **(places or {}),
    }


def total_dropped(used: Sequence[Used]) -> dict[str, Dropped]:
    """Return what was dropped from all files, by reason."""
    total: dict[str, Dropped] = {}
    for one in used:
        for reason, dropped in one.piece.tally.dropped.items():
            total[reason] = total[reason].plus(dropped) if reason in total else dropped
    return total


def _source(one: Used, scale: float, weights: Mapping[str, float]) -> SourceFacts:
    """Describe one file; no path, so that a sample tells nothing of the machine it was made on."""
    header, tally = one.source.header, one.piece.tally
    return {
        "name": one.source.name,
        "sha256": tally.sha256,
        "kind": one.source.kind.name,
        "entries": one.source.entries,
        "found": tally.found,
        "muons": tally.muons,
        "weight": sum(weights.values()) / scale,
        "scale": scale,
        "weights": meaning(one.source, tally.largest),
        "pot": header.pot,
        "energy_cut": header.energy_cut,
        "target_start": header.target_start,
        "beam": CASES[one.look.found],
        "group": one.source.kind.group,
        "categories": {
            name: {**entry, "weight": weights[name] / scale} for name, entry in tally.categories.items()
        },
        "dropped": _dropped(tally.dropped),
        "provenance": _without_folders(header.provenance),
    }


def _without_folders(provenance: dict[str, Any] | None) -> dict[str, Any] | None:
    """Take the folders out of the texts of `provenance`, such as a command with its output."""
    if provenance is None:
        return None
    return {key: _strip(value) if key in _TEXTS_WITH_PATHS else value for key, value in provenance.items()}


def _strip(value: Any) -> Any:
    if isinstance(value, list):
        return [_strip(item) for item in value]
    return without_folders(value) if isinstance(value, str) else value


def _dropped(dropped: Mapping[str, Dropped]) -> list[DroppedFacts]:
    return [
        {"reason": entry.reason, "muons": entry.muons, "weight": entry.weight} for entry in dropped.values()
    ]
