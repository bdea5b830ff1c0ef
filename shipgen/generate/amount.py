"""How much to produce: muons, protons on target, or spills of the accelerator."""

from __future__ import annotations

from shipgen.errors import InputError
from shipgen.numbers import is_number

#: Protons on target in a spill of the SPS (SHiP, CERN-SPSC-2022-032: 4e13).
PROTONS_PER_SPILL = 4e13


def pot_of(
    n: float | None, pot: float | None, spills: float | None, protons_per_spill: float = PROTONS_PER_SPILL
) -> float | None:
    """Return the protons on target that are asked for, ``None`` where a number of muons is.

    Raises
    ------
    InputError
        Not exactly one of `n`, `pot` and `spills` is given, or one is out of range.
    """
    if sum(value is not None for value in (n, pot, spills)) != 1:
        raise InputError(
            "say how much by one of n (muons), pot (protons on target) and spills, "
            f"not by {sum(value is not None for value in (n, pot, spills))} of them"
        )
    if spills is None:
        return pot
    for name, value in (("spills", spills), ("protons_per_spill", protons_per_spill)):
        if not (is_number(value) and value > 0):
            raise InputError(f"{name} = {value!r} is not a finite number above zero")
    return float(spills) * float(protons_per_spill)
