"""What the weights of files stand for: muons per proton, for the protons simulated, or for a spill.

The rule: the number of protons (POT) that the sum of the weights stands for is stated by the files or by the
user, or it is unknown; it is never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen_export.reading.sources import Source

#: What a file's weights stand for.
PER_POT = "per POT"
STATED = "for the POT that the file states"
OTHER = "not for the POT simulated, for a spill perhaps"
UNKNOWN = "unknown"

#: If the sum stood for the simulated protons, no simulated muon would count more than once.
_MOST = 1 + 1e-6


def meaning(source: Source, largest: float) -> str:
    """Return what the weights of a file stand for, whose largest weight is `largest`.

    FairShip of 2026 weights muons by 1, or by 1/boost for boosted channels; its 2018 production is weighted
    to a spill, 768.75 for an unboosted muon, and so are its charm and beauty runs ("POT equivalent").
    """
    if source.kind.per_pot:
        return PER_POT
    if source.header.weighted:
        return STATED
    if source.header.spill or largest > _MOST:
        return OTHER
    return UNKNOWN if source.header.pot is None else STATED


def check_beside(source: Source, largest: float, others: Sequence[tuple[Source, float]]) -> None:
    """Raise `InputError` if the file's weights cannot be added to those of the `others`."""
    mine = meaning(source, largest)
    for other, other_largest in others:
        if other.kind is not source.kind:
            raise InputError(
                f"{other.path} is {other.kind.title} but {source.path} {source.kind.title}: "
                "their weights cannot be merged, prepare them apart"
            )
        theirs = meaning(other, other_largest)
        if {mine, theirs} == {STATED, OTHER}:
            raise InputError(
                f"{source.path} mixes normalisations: its weights (up to {largest:g}) stand "
                f"{_words(mine, source)}, those of {other.path} (up to {other_largest:g}) "
                f"{_words(theirs, other)}; prepare them apart"
            )


def _words(what: str, source: Source) -> str:
    return f"for its {source.header.pot:g} POT" if what == STATED else what


def settle_pot(used: Sequence[tuple[Source, float]], given: float | None) -> tuple[float | None, list[str]]:
    """Return how many protons the sum of the weights stands for, if that is certain, and what to say.

    Parameters
    ----------
    used : sequence of (Source, float)
        The files and their largest weights.
    given : float, optional
        What the user says.

    Raises
    ------
    InputError
        The user contradicts files whose weights are per POT.
    """
    if used[0][0].kind.per_pot:
        if given is None:
            return 1.0, []
        raise InputError(
            f"the files state that their weights are per POT, so {given:g} POT cannot be right for "
            "their sum: leave out --pot"
        )
    stated, notes = [], []
    for source, largest in used:
        pot = source.header.pot
        if pot is not None and meaning(source, largest) == OTHER:
            notes.append(
                f"{source.name} states {pot:g} POT, but its weights go up to {largest:g}: "
                "their sum stands for another number"
            )
            pot = None
        stated.append(pot)
    known = [pot for pot in stated if pot is not None]
    other = [(source, largest) for source, largest in used if meaning(source, largest) == OTHER]
    if given is None and other:
        source, largest = other[0]
        notes.append(
            f"weights up to {largest:g} in {source.name} do not stand for the protons simulated: in the 2018 "
            "production they stand for a spill of 5e13 POT; say so with --pot"
        )
    if given is not None:
        if known:
            notes.append(f"{given:g} POT as given, where files state {sum(known):g}")
        return given, notes
    if known and len(known) < len(stated):
        without = (source.name for (source, _), pot in zip(used, stated, strict=True) if pot is None)
        notes.append(f"the POT is not known of {', '.join(without)}")
    return (sum(known) if len(known) == len(stated) else None), notes


def scales(sources: Sequence[Source]) -> list[float]:
    """Return the factor of each file's weights: its share of all POT where they are per POT, else 1."""
    if not sources[0].kind.per_pot:
        return [1.0] * len(sources)
    pots = [source.header.pot or 0.0 for source in sources]
    return [pot / sum(pots) for pot in pots]
