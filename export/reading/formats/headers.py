"""What FairShip's files say of themselves: ``FileSummary`` (JSON) and the title of ``FileHeader``.

`hadd` adds up trees, but of these objects it keeps one cycle (``;1 ;2 ;3``) a merged file, so that each cycle
counts. FairShip's ``run_fixedTarget.py`` writes ``FileSummary`` once, but copies ``FileHeader`` twice: two
cycles of the same title are one job or two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shipgen.files.layouts import FILE_SUMMARY_KEY
from shipgen.provenance import cycles, read_objects
from shipgen_export.reading.formats.sources import Header, number

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = "FileHeader"
_NUMBER = r"\s*=\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_POT, _CUT = re.compile(rf"POT( equivalent)?{_NUMBER}"), re.compile(rf"ecut{_NUMBER}")


def file_header(file: Any, target_start: float | None = None) -> Header:
    """Read ``FileSummary`` and the title of ``FileHeader``, where they are there, in all their cycles.

    The POT of merged files is the sum, the energy cut what all of them state; a note says why where either
    cannot be told.
    """
    summaries = read_objects(file, FILE_SUMMARY_KEY)
    titles = [_title(file, key) for key in cycles(file, _HEADER)]
    notes = []
    if not all(summaries):
        notes.append(f"its {FILE_SUMMARY_KEY} holds no JSON and is not used")
    equivalent = [match[0] for match in map(_POT.search, titles) if match and match[1]]
    if equivalent:
        # A charm or beauty run: run_fixedTarget.py weights it to a spill, not to these protons.
        notes.append(f"{equivalent[0]!r} in {_HEADER} is not used: such weights stand for a spill")
    pot = _pot(summaries, [] if equivalent else titles, notes)
    cut = _energy_cut(summaries, titles, notes)
    found = {FILE_SUMMARY_KEY: _plain(summaries), _HEADER: _plain(titles)}
    provenance = {key: value for key, value in found.items() if value}
    return Header(pot, cut, target_start, provenance or None, tuple(notes), spill=bool(equivalent))


def _title(file: Any, key: str) -> str:
    """Return the title of a TNamed, ``""`` when its class cannot be read."""
    try:
        return str(file[key].member("fTitle", none_if_missing=True) or "")
    except Exception:  # noqa: BLE001 - a header class that uproot cannot read says nothing, which is allowed
        return ""


def _plain(cycle_contents: Sequence[Any]) -> Any:
    """Return what all cycles hold, a single one without a list around it."""
    return cycle_contents[0] if len(cycle_contents) == 1 else list(cycle_contents)


def _pot(summaries: Sequence[dict[str, Any] | None], titles: Sequence[str], notes: list[str]) -> float | None:
    """Return the protons of all cycles, ``None`` with a note where some may be missing or counted twice."""
    in_summaries = [number(summary or {}, "PoT") for summary in summaries]
    in_titles = [float(match[2]) if (match := _POT.search(title)) else None for title in titles]
    merged = len(set(titles)) > 1
    if any(pot is not None for pot in in_summaries):
        if len(summaries) == 1 and not (merged and len(set(in_titles)) > 1 and None not in in_titles):
            return _positive(in_summaries)
        if len(summaries) > 1 and len(titles) <= len(summaries) and (pot := _positive(in_summaries)):
            notes.append(f"it was merged from {len(summaries)} files: their POT are added up")
            return pot
        notes.append(
            f"it was merged, but not each of the merged files states its POT ({len(summaries)} cycles of "
            f"{FILE_SUMMARY_KEY}, {len(titles)} of {_HEADER}): the POT is not known"
        )
        return None
    if len(titles) <= 1 or not any(in_titles):
        return _positive(in_titles)
    if merged and (pot := _positive(in_titles)):
        notes.append(f"it was merged from {len(titles)} files: their POT are added up")
        return pot
    notes.append(
        f"there are {len(titles)} cycles of {_HEADER} ({'; '.join(dict.fromkeys(titles))}): whether it was "
        "merged from as many files cannot be told, and the POT is not known"
    )
    return None


def _positive(values: Sequence[float | None]) -> float | None:
    """Return the sum of `values`, ``None`` unless all are there and above zero."""
    there = [value for value in values if value is not None and value > 0]
    return sum(there) if there and len(there) == len(values) else None


def _energy_cut(
    summaries: Sequence[dict[str, Any] | None], titles: Sequence[str], notes: list[str]
) -> float | None:
    """Return the energy cut that all cycles state, ``None`` with a note where they do not agree."""
    cuts = [number(summary or {}, "EnergyCut") for summary in summaries]
    if not any(cut is not None for cut in cuts):
        cuts = [float(match[1]) if (match := _CUT.search(title)) else None for title in titles]
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
