"""Whether muons are those that a file says it holds: their number, kinds, weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen.numbers import real, whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shipgen.muons.columns import Columns

#: Sums of weights may differ by as much: they are stored as float32.
_ROUNDING = 1e-6

_PDG = (-13, 13)


class StatedMuons:
    """Counts muons as they are read and compares them, at the end, with what their file states.

    Parameters
    ----------
    file : Path or str
        Where they come from, for messages.
    facts : mapping
        The provenance. What it does not state is not compared.
    strict : bool
        Whether muons that are none, or not finite, are refused; else they are the reader's to leave out.
    """

    def __init__(self, file: Path | str, facts: Mapping[str, Any], *, strict: bool = True) -> None:
        self._file = file
        self._facts, self._strict = facts, strict
        self._rows = 0
        self._weights: list[float] | None = None
        self._kinds: dict[int, int] | None = None

    def see(self, columns: Columns, rows: int | None = None) -> None:
        """Count the muons in `columns`, some or all of them; `rows` where the file has others beside them.

        Raises
        ------
        InputError
            A value is not finite, or a PDG code no muon's.
        """
        self._rows += len(next(iter(columns.values()))) if rows is None else rows
        for name, values in columns.items():
            if self._strict and not np.isfinite(values).all():
                raise self._error(f"{name} is not finite in {int((~np.isfinite(values)).sum()):,} places")
        if "weight" in columns:
            # Weights that cannot be added up are the reader's to name.
            with np.errstate(over="ignore", invalid="ignore"):
                total = float(columns["weight"].sum(dtype=np.float64))
            self._weights = [*(self._weights or []), total]
        if "pdg" in columns:
            found = {pdg: int(np.count_nonzero(columns["pdg"] == pdg)) for pdg in _PDG}
            if self._strict and (others := len(columns["pdg"]) - sum(found.values())):
                raise self._error(f"{others:,} PDG codes are not those of muons")
            self._kinds = {pdg: number + (self._kinds or {}).get(pdg, 0) for pdg, number in found.items()}

    def check(self) -> None:
        """Raise `InputError` where what was seen is not what is stated."""
        try:
            self._compare()
        except ValueError as error:
            raise self._error(str(error)) from error

    def _error(self, what: str) -> InputError:
        return InputError(f"{self._file} does not hold what it says: {what}; get it again")

    def _compare(self) -> None:
        if "muons" in self._facts and self._rows != (muons := whole(self._facts["muons"], "muons")):
            raise ValueError(f"it has {self._rows:,} muons and says it has {muons:,}")
        for pdg, number in _counts(self._facts).items() if self._kinds else ():
            if self._kinds and self._kinds[pdg] != number:
                raise ValueError(
                    f"{self._kinds[pdg]:,} muons have PDG code {pdg}, and it says that {number:,} have"
                )
        if self._weights is not None and "sum_of_weights" in self._facts:
            stated = real(self._facts["sum_of_weights"], "sum_of_weights")
            if not math.isclose(found := math.fsum(self._weights), stated, rel_tol=_ROUNDING):
                raise ValueError(f"its weights sum to {found:.9g}, and it says to {stated:.9g}")


def _counts(facts: Mapping[str, Any]) -> dict[int, int]:
    """Return the muons of each PDG code that a file states; none where it does not state all categories."""
    stated = facts.get("counts")
    if not isinstance(stated, dict) or not stated.keys() <= {category.name for category in CATEGORIES}:
        return {}
    found = dict.fromkeys(_PDG, 0)
    for category in CATEGORIES:
        found[category.pdg] += whole(stated.get(category.name, 0), f"the number of {category.name}")
    return found
