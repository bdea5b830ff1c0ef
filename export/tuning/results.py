"""What a search has found: a table of all trials, and the best settings as a file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.files.outputs import complete_file, write_json
from shipgen_export.tuning.study import run_name, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_FIGURES = ("auc", "auc_error", "chi2", "overlap")


@dataclass(frozen=True)
class TrialRow:
    """A trial.

    Attributes
    ----------
    number : int
        Optuna's.
    state : str
        ``complete``, ``pruned``, ``failed``, ``interrupted``, ``running`` or ``waiting``.
    value : float or None
        The measure's distance from a perfect network, of a complete trial; else of its last evaluation.
    steps : int
        Where it was evaluated last.
    merits : dict
        Step and figures of merit of its best evaluation.
    curve : dict of int to float
        The value at each step.
    seconds : float or None
        From its beginning to its end.
    run : str
        Its run folder.
    settings : dict
        What was tried.
    """

    number: int
    state: str
    value: float | None
    steps: int
    merits: dict[str, Any]
    curve: dict[int, float]
    seconds: float | None
    run: str
    settings: dict[str, Any]

    def flat(self, names: Sequence[str]) -> dict[str, Any]:
        """Return it as a line of the table."""
        return {
            "trial": self.number,
            "state": self.state,
            "value": self.value,
            "steps": self.steps,
            **{name: self.merits.get(name) for name in _FIGURES},
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "run": self.run,
            **{name: self.settings.get(name) for name in names},
        }


def rows(study: Any) -> list[TrialRow]:
    """Return all trials of an Optuna study."""
    found = []
    for trial in study.get_trials(deepcopy=False):
        curve = dict(sorted(trial.intermediate_values.items()))
        last = curve[max(curve)] if curve else None
        found.append(
            TrialRow(
                number=trial.number,
                state=state(trial),
                value=trial.value if state(trial) == "complete" else last,
                steps=max(curve, default=0),
                merits=trial.user_attrs.get("merits", {}),
                curve=curve,
                seconds=trial.duration.total_seconds() if trial.duration else None,
                run=run_name(trial),
                settings=dict(trial.params),
            )
        )
    return found


def best(table: Sequence[TrialRow]) -> TrialRow | None:
    """Return the complete trial with the smallest value, if there is one."""
    complete = [row for row in table if row.state == "complete" and row.value is not None]
    return min(complete, key=lambda row: (row.value, row.number), default=None)


def write_table(path: Path, table: Sequence[TrialRow]) -> None:
    """Write a line a trial, CSV."""
    names = list(dict.fromkeys(name for row in table for name in row.settings))
    lines = [row.flat(names) for row in table]
    with complete_file(path, force=True) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(lines[0]) if lines else ["trial"])
        writer.writeheader()
        writer.writerows(lines)


def write_best(
    path: Path, row: TrialRow, model: str, fixed: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Write the settings of a trial as ``shipgen train --settings`` takes them, and how they were found."""
    found = {"trial": row.number, "value": row.value, **row.merits, **facts}
    with complete_file(path, force=True) as part:
        write_json(part, {"model": model, "settings": {**fixed, **row.settings}, "found": found})


def summary(table: Sequence[TrialRow]) -> Iterator[str]:
    """Yield the table in lines, the best first, trials without a value last."""
    order = {"complete": 0, "pruned": 1}
    yield f"{'trial':>5}  {'state':11} {'steps':>7} {'value':>9} {'AUC':>16}  settings"
    for row in sorted(table, key=lambda row: (order.get(row.state, 2), row.value is None, row.value)):
        value = "" if row.value is None else f"{row.value:.4g}"
        auc, error = (row.merits.get(name) for name in ("auc", "auc_error"))
        text = "" if auc is None else f"{auc:.3f}" + ("" if error is None else f" +- {error:.3f}")
        settings = " ".join(f"{name}={_short(value)}" for name, value in row.settings.items())
        yield f"{row.number:5}  {row.state:11} {row.steps:7,} {value:>9} {text:>16}  {settings}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
