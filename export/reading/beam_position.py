"""Where the beam was: finding out, and taking the beam's position off x and y.

In the 2018 production prompt muons start at exactly x = y = 0. Where the production itself smears the beam
(FairShip's defaults of 2026), each event has its own position, and a prompt muon starts exactly there: at the
start of the event's primary track. On-axis then means: where the primary starts. Both numbers are float32 of
the same sum, so that the comparison is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen_export.reading.formats.readers import read_steps
from shipgen_export.reading.formats.sources import (
    NO_PRIMARY,
    USABLE_PRIMARY,
    Dropped,
    finite_sum,
    usable_weights,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from shipgen.muons.columns import Columns, Float64
    from shipgen_export.reading.formats.sources import Source

#: What the user can ask for.
AUTO, ORIGIN, PRIMARY = "auto", "origin", "primary"
CHOICES = (AUTO, ORIGIN, PRIMARY)

_UNKNOWN = "unknown"
#: How `prepared.json` calls what was found, and what x and y are.
CASES = {
    ORIGIN: "at the origin",
    PRIMARY: "smeared: prompt muons start where the event's primary track starts",
    _UNKNOWN: "unknown",
}
TAKEN = {ORIGIN: "as they are", PRIMARY: "relative to the start of the event's primary track"}

_NO_PRIMARY = "its event has no usable primary track, so that the beam's position is not known"
#: Entries that are looked at before a file is read.
_FIRST = 5_000


@dataclass(frozen=True, slots=True)
class Look:
    """What the first entries of a file show.

    Attributes
    ----------
    found : str
        Where the beam is: a key of `CASES`.
    case : str
        What x and y are taken relative to: a key of `TAKEN`.
    largest : float
        The largest weight among them.
    note : str, optional
        What the user should know.
    """

    found: str
    case: str
    largest: float
    note: str | None = None


def look(source: Source, choice: str = AUTO, entries: int = _FIRST) -> Look:
    """Look at the first muons of a file: where the beam is, and how large the weights are.

    If they do not tell where the beam is, as in a file merged from several, the look goes on.

    Raises
    ------
    InputError
        The beam's position cannot be told and the user does not choose.
    """
    if source.kind.unsmeared and choice != PRIMARY:
        # Nothing to find out: such files are weighted per POT, too.
        return Look(ORIGIN, ORIGIN, 0.0)
    unsmeared = source.header.unsmeared
    usable = elsewhere = on_axis = primaries = 0
    largest, seen, muons = 0.0, 0, 0
    for step in read_steps(source, entries):
        told = usable or on_axis or unsmeared or choice != AUTO
        if muons and seen >= entries and told:
            break
        columns = step.columns
        seen, muons = seen + step.entries, muons + len(columns["pdg"])
        weights = np.asarray(columns["weight"], np.float64)
        largest = max(largest, float(weights[usable_weights(weights)].max(initial=0.0)))
        on_axis += int(((columns["x"] == 0) & (columns["y"] == 0)).sum())
        if "primary" in columns:
            good = columns["primary"] == USABLE_PRIMARY
            off = (columns["primary_x"] != 0) | (columns["primary_y"] != 0)
            usable += int(good.sum())
            elsewhere += int((good & off).sum())
            primaries += int((columns["primary"] != NO_PRIMARY).sum())
    found = PRIMARY if elsewhere else ORIGIN if usable or on_axis or unsmeared or not muons else _UNKNOWN
    if choice != AUTO:
        return Look(found, choice, largest, _check_choice(source, choice, muons, primaries, elsewhere))
    if found != _UNKNOWN:
        return Look(found, found, largest)
    raise InputError(
        f"{source.path}: where the beam was cannot be told: no muon starts at x = y = 0 and "
        f"{'its primary tracks have mothers' if primaries else 'there is no usable primary track'}; choose "
        "--beam origin to take x and y as they are"
        + (", or --beam primary to trust the first track of each event" if primaries else "")
    )


def _check_choice(source: Source, choice: str, muons: int, primaries: int, elsewhere: int) -> str | None:
    """Return what is odd about the user's choice for this file."""
    if choice == PRIMARY and muons and not primaries:
        raise InputError(f"{source.path} has no primary tracks: choose --beam origin or leave it to auto")
    if choice == ORIGIN and elsewhere:
        return (
            "x and y are taken as they are, as asked for, though its primary tracks do not start at x = y = 0"
        )
    return None


def relative(
    columns: Columns, case: str, choice: str
) -> tuple[dict[str, npt.NDArray[Any]], Float64 | None, tuple[Dropped, ...]]:
    """Take the beam's position off x and y.

    Parameters
    ----------
    columns : mapping of str to array[n]
        Of a `Step`.
    case, choice : str
        Of `look`; `choice` `PRIMARY` trusts primaries that have a mother, too.

    Returns
    -------
    dict of str to array[n]
        Without the columns of the primary.
    float64[m, 2], optional
        x and y of the beam in each event that has a muon, cm, where they differ from event to event.
    tuple of Dropped
        Muons of events without usable primary.
    """
    rest: dict[str, npt.NDArray[Any]] = {
        name: values for name, values in columns.items() if not name.startswith("primary")
    }
    if case == ORIGIN or "primary" not in columns:
        return rest, None, ()
    least = USABLE_PRIMARY if choice == AUTO else NO_PRIMARY + 1
    place = np.stack([np.asarray(columns[f"primary_{axis}"], np.float64) for axis in "xy"], 1)
    good = (np.asarray(columns["primary"], np.int8) >= least) & np.isfinite(place).all(1)
    dropped: tuple[Dropped, ...] = ()
    if lost := int((~good).sum()):
        dropped = (Dropped(_NO_PRIMARY, lost, finite_sum(rest["weight"][~good])),)
        rest = {name: values[good] for name, values in rest.items()}
        place = place[good]
    for number, axis in enumerate("xy"):
        rest[axis] = np.asarray(rest[axis], np.float64) - place[:, number]
    _, events = np.unique(rest["group"], return_index=True)
    return rest, place[events], dropped


def off_origin(columns: Columns) -> int:
    """Return how many muons have a usable primary that does not start at x = y = 0."""
    if "primary" not in columns:
        return 0
    off = (columns["primary_x"] != 0) | (columns["primary_y"] != 0)
    return int((off & (columns["primary"] == USABLE_PRIMARY)).sum())
