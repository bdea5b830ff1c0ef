"""What FairShip's files say of themselves: ``FileSummary`` (JSON) and the title of ``FileHeader``.

`hadd` adds up trees and histograms, but of other objects it keeps all cycles (``;1 ;2 ;3``) of all files, so
that each cycle counts. FairShip's ``run_fixedTarget.py`` writes ``FileSummary`` once, ``FileHeader`` twice:
what is there once a file besides, such as its folder ``cbmroot``, tells how many files were merged.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from shipgen.files.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY
from shipgen.provenance import cycles, read_objects
from shipgen_export.reading.formats.fixed_target import FixedTargetRun
from shipgen_export.reading.formats.sources import Header

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = "FileHeader"
#: Beginnings of the classes that `hadd` adds up.
_ADDED_UP = (
    "TTree",
    "TNtuple",
    "ROOT::RNTuple",
    "TH",
    "TProfile",
    "TEfficiency",
    "TGraph",
    "TParameter",
    "TDir",
)


def file_header(file: Any, target_start: float | None = None) -> Header:
    """Read ``FileSummary`` and the title of ``FileHeader``, where they are there, in all their cycles.

    The POT of merged files is the sum, the energy cut what all of them state; a note says why where either
    cannot be told.
    """
    summaries = read_objects(file, FILE_SUMMARY_KEY)
    files = _merged_files(file)
    titles = _once_a_file([_title(file, key) for key in cycles(file, _HEADER)], files)
    stated, titled = (
        list(map(FixedTargetRun.of_summary, summaries)),
        list(map(FixedTargetRun.of_title, titles)),
    )
    runs = [*stated, *titled]
    notes = []
    if not all(summaries):
        notes.append(f"its {FILE_SUMMARY_KEY} holds no JSON and is not used")
    notes += dict.fromkeys(note for run in runs for note in run.notes)
    drawn, spill = any(run.drawn for run in runs), any(run.spill for run in runs)
    # Of a run of our own source what was told at its end counts, not what the macro had written.
    believed = [run for run in titled if run.drawn == drawn and not any(each.spill for each in titled)]
    pot = _pot(stated, believed, files == len(titles), notes)
    if not drawn and cycles(file, PROVENANCE_KEY):
        notes.append("a part of its muons was drawn by shipgen's source, which its POT does not count")
        pot = None
    if any(run.uncounted for run in runs):
        pot = None
    found = {FILE_SUMMARY_KEY: _plain(summaries), _HEADER: _plain(titles)}
    provenance = {key: value for key, value in found.items() if value}
    return Header(
        pot,
        _energy_cut(stated, titled, notes),
        target_start,
        provenance or None,
        tuple(notes),
        spill=spill,
        weighted=drawn and pot is not None,
        boost=max((run.boost for run in runs), default=1.0),
        spread=next((run.spread for run in runs if run.spread is not None), None),
    )


def _merged_files(file: Any) -> int | None:
    """Return how many files were merged into one; ``None`` where no object tells."""
    count: Counter[str] = Counter()
    for key in file.keys(recursive=False):
        name = key.rpartition(";")[0]
        if name not in (FILE_SUMMARY_KEY, _HEADER) and not file.classname_of(key).startswith(_ADDED_UP):
            count[name] += 1
    return min(count.values(), default=None)


def _once_a_file(titles: list[str], files: int | None) -> list[str]:
    """Return one title a file where the same stands in as many cycles of each file."""
    copies, odd = divmod(len(titles), files or 1)
    parts = [set(titles[first : first + copies]) for first in range(0, len(titles), copies or 1)]
    if files is None or odd or any(len(part) > 1 for part in parts):
        return titles
    return [title for part in parts for title in part]


def _title(file: Any, key: str) -> str:
    """Return the title of a TNamed, ``""`` when its class cannot be read."""
    try:
        return str(file[key].member("fTitle", none_if_missing=True) or "")
    except Exception:  # noqa: BLE001 - a header class that uproot cannot read says nothing, which is allowed
        return ""


def _plain(cycle_contents: Sequence[Any]) -> Any:
    """Return what all cycles hold, a single one without a list around it."""
    return cycle_contents[0] if len(cycle_contents) == 1 else list(cycle_contents)


def _pot(
    stated: Sequence[FixedTargetRun], titled: Sequence[FixedTargetRun], told: bool, notes: list[str]
) -> float | None:
    """Return the protons of all cycles, ``None`` with a note where some may be missing or counted twice.

    Parameters
    ----------
    stated, titled : sequence of FixedTargetRun
        What the cycles of ``FileSummary`` and ``FileHeader`` say.
    told : bool
        Whether it is known that there is a title a merged file.
    notes : list of str
        Gets what the user should know.
    """
    in_summaries, in_titles = [run.protons for run in stated], [run.protons for run in titled]
    merged = len(set(in_titles)) > 1 or (told and len(titled) > 1)
    if any(pot is not None for pot in in_summaries):
        if len(stated) == 1 and not (merged and None not in in_titles):
            return _positive(in_summaries)
        if len(stated) > 1 and len(titled) <= len(stated) and (pot := _positive(in_summaries)):
            notes.append(f"it was merged from {len(stated)} files: their POT are added up")
            return pot
        notes.append(
            f"it was merged, but not each of the merged files states its POT ({len(stated)} cycles of "
            f"{FILE_SUMMARY_KEY}, {len(titled)} of {_HEADER}): the POT is not known"
        )
        return None
    if len(titled) <= 1 or not any(in_titles):
        return _positive(in_titles)
    if merged and (pot := _positive(in_titles)):
        notes.append(f"it was merged from {len(titled)} files: their POT are added up")
        return pot
    each = "; ".join("none" if pot is None else f"{pot:g} POT" for pot in dict.fromkeys(in_titles))
    notes.append(
        f"there are {len(titled)} cycles of {_HEADER} ({each}): whether it was merged from as many files "
        "cannot be told, and the POT is not known"
    )
    return None


def _positive(values: Sequence[float | None]) -> float | None:
    """Return the sum of `values`, ``None`` unless all are there and above zero."""
    there = [value for value in values if value is not None and value > 0]
    return sum(there) if there and len(there) == len(values) else None


def _energy_cut(
    stated: Sequence[FixedTargetRun], titled: Sequence[FixedTargetRun], notes: list[str]
) -> float | None:
    """Return the energy cut that all cycles state, ``None`` with a note where they do not agree."""
    cuts = [run.energy_cut for run in stated]
    if not any(cut is not None for cut in cuts):
        cuts = [run.energy_cut for run in titled]
    values = sorted({cut for cut in cuts if cut is not None})
    if len(values) == 1 and None not in cuts:
        return values[0]
    if values:
        each = " and ".join(f"{value:g} GeV" for value in values)
        notes.append(
            f"it was merged from files with different energy cuts ({each}"
            f"{', some not stated' if None in cuts else ''}): the cut is not known"
        )
    return None
