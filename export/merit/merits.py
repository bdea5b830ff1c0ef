"""The table of figures of merit over steps: which network was the best of each measure, and for how long.

All follows from the table alone, so that a continued run decides as an uninterrupted one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen_export.merit.evaluate import FIGURES, MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Columns of ``figures_of_merit.csv``; a figure without a value is empty.
COLUMNS = ("step", "seconds", *FIGURES)


def row(step: int, seconds: float, merits: Mapping[str, float | None]) -> dict[str, str]:
    """Return one line of the table; figures keep all their digits, since networks are compared by them."""
    figures = {name: merits.get(name) for name in FIGURES}
    return {
        "step": str(step),
        "seconds": f"{seconds:.1f}",
        **{name: _text(value) for name, value in figures.items()},
    }


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return repr(value if isinstance(value, int) else float(value))


def _improvements(rows: Sequence[Mapping[str, str]], measure: str) -> list[int]:
    """Return the places of the rows that were better than all before them."""
    values = np.array([MEASURES[measure](each) for each in rows])
    before = np.minimum.accumulate(np.concatenate([[np.inf], values]))[:-1]
    return [int(place) for place in np.flatnonzero(values < before)]


def best_steps(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return the step of the best network of each measure; measures that never had a value are left out."""
    found = {measure: _improvements(rows, measure) for measure in MEASURES}
    return {measure: int(rows[places[-1]]["step"]) for measure, places in found.items() if places}


def rows_since_best(rows: Sequence[Mapping[str, str]], every: int = 1) -> int:
    """Return how many of the last rows improved no measure, of those whose step is a multiple of `every`.

    The others are of the ends of calls: they may be the best, but do not wear out a run that is continued
    many times.
    """
    last = max((places[-1] for measure in MEASURES if (places := _improvements(rows, measure))), default=-1)
    return sum(int(row["step"]) % every == 0 for row in rows[last + 1 :])
