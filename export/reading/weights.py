"""What the weights of files stand for: muons per proton, for the protons simulated, or for a spill.

The rule: the number of protons (POT) that the sum of the weights stands for is stated by the files or by the
user, or it is unknown; it is never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen_export.reading.formats.sources import enumerated, labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen_export.reading.formats.sources import Source

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


class Beside:
    """Checks of each file whether its weights can be added to those of the files before it."""

    def __init__(self) -> None:
        #: The first file of each normalisation: productions have thousands of files.
        self._first: dict[tuple[str, str, bool], tuple[Source, float]] = {}

    def check(self, source: Source, largest: float) -> None:
        """Raise `InputError` if the weights, the largest of which is given, cannot be added."""
        for other, other_largest in self._first.values():
            _check_two(source, largest, other, other_largest)

    def add(self, source: Source, largest: float) -> None:
        """Take a file up among those that the next ones are compared with."""
        key = source.kind.name, meaning(source, largest), largest == 1
        self._first.setdefault(key, (source, largest))


def _check_two(source: Source, largest: float, other: Source, other_largest: float) -> None:
    if other.kind is not source.kind:
        raise InputError(
            f"{other.path} is {other.kind.title} but {source.path} {source.kind.title}: "
            "their weights cannot be merged, prepare them apart"
        )
    mine, theirs = meaning(source, largest), meaning(other, other_largest)
    if _contradict(mine, largest, theirs) or _contradict(theirs, other_largest, mine):
        raise InputError(
            f"{source.path} mixes normalisations: its weights (up to {largest:g}) stand "
            f"{_words(mine, source)}, those of {other.path} (up to {other_largest:g}) "
            f"{_words(theirs, other)}; prepare them apart"
        )


def _contradict(what: str, largest: float, beside: str) -> bool:
    """Return whether weights that stand for a spill are beside those of the protons simulated.

    A simulated muon counts exactly once in the latter, whether or not the POT is stated. Smaller weights
    alone may be those of a boosted channel in either.
    """
    return beside == OTHER and (what == STATED or (what == UNKNOWN and largest == 1))


def _words(what: str, source: Source) -> str:
    if what == UNKNOWN:
        return "for the protons simulated, each muon for itself"
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
    names = labels([source for source, _ in used])
    for (source, largest), name in zip(used, names, strict=True):
        pot = source.header.pot
        if pot is not None and meaning(source, largest) == OTHER:
            notes.append(
                f"{name} states {pot:g} POT, but its weights go up to {largest:g}: "
                "their sum stands for another number"
            )
            pot = None
        stated.append(pot)
    known = [pot for pot in stated if pot is not None]
    other = [
        (name, largest)
        for (source, largest), name in zip(used, names, strict=True)
        if meaning(source, largest) == OTHER
    ]
    if other:
        notes += _doubtful(used, names)
    if given is None and other:
        name, largest = other[0]
        notes.append(
            f"weights up to {largest:g} in {name} do not stand for the protons simulated: in the 2018 "
            "production they stand for a spill of 5e13 POT; say so with --pot"
        )
    if given is not None:
        if known:
            notes.append(f"{given:g} POT as given, where files state {sum(known):g}")
        return given, notes
    if known and len(known) < len(stated):
        without = [name for name, pot in zip(names, stated, strict=True) if pot is None]
        notes.append(f"the POT is not known of {enumerated(without)}")
    return (sum(known) if len(known) == len(stated) else None), notes


def _doubtful(used: Sequence[tuple[Source, float]], names: Sequence[str]) -> list[str]:
    """Say which files may be normalised differently: legitimate for boosted channels, charm and beauty."""
    groups: dict[str, list[str]] = {}
    for (source, largest), name in zip(used, names, strict=True):
        if largest > 0 and meaning(source, largest) in {OTHER, UNKNOWN}:
            groups.setdefault(f"{largest:g}", []).append(name)
    if len(groups) < 2:
        return []
    each = [f"up to {largest} in {enumerated(those)}" for largest, those in groups.items()]
    text = (
        f"files differ in their weights ({enumerated(each)}) and do not state what they stand for: their sum "
        "is right only if all stand for the same number of protons"
    )
    return [text]


def scales(sources: Sequence[Source]) -> list[float]:
    """Return the factor of each file's weights: its share of all POT where they are per POT, else 1."""
    if not sources[0].kind.per_pot:
        return [1.0] * len(sources)
    pots = [source.header.pot or 0.0 for source in sources]
    return [pot / sum(pots) for pot in pots]
