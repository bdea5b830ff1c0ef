"""Where z = 0 is, and in which unit lengths are: the frames that files and arrays of muons are given in."""

from __future__ import annotations

from shipgen.errors import InputError

#: Frame -> z of the target's start in it, cm. ``target``: z = 0 where the target starts. ``global``: that of
#: FairShip itself since 2025, where the target starts at 0 as well. ``fairship``: that of the files that
#: FairShip's `MuonBackGenerator` reads, which adds 70.845 m. ``shield``: z = 0 at the entrance of the muon
#: shield, its first magnet being the hadron absorber; the codes that optimise it (MuonsAndMatter, 2026)
#: put the target 2.14 m before it.
FRAMES = {"target": 0.0, "shield": -214.0, "fairship": -7084.5, "global": 0.0}

#: Unit of lengths -> what a centimetre is in it.
UNITS = {"cm": 1.0, "m": 0.01}


def target_start_in(frame: str | float, unit: str = "cm") -> float:
    """Return z of the target's start in a frame, in `unit`.

    Parameters
    ----------
    frame : str or float
        One of `FRAMES`, or z of the target's start itself, in `unit`.
    unit : str
        One of `UNITS`.

    Raises
    ------
    InputError
        There is no such frame or unit.
    """
    check_unit(unit)
    if not isinstance(frame, str):
        return float(frame)
    if frame not in FRAMES:
        raise InputError(f"frame = {frame!r} is none: choose from {', '.join(FRAMES)}")
    # Divided, 7084.5 cm are 70.845 m to the last bit.
    return FRAMES[frame] / (100.0 if unit == "m" else 1.0)


def check_unit(unit: str) -> None:
    """Raise `InputError` unless `unit` is one of `UNITS`."""
    if unit not in UNITS:
        raise InputError(f"unit = {unit!r} is none for lengths: choose from {', '.join(UNITS)}")


def frame_of(target_start: float, unit: str = "cm") -> str | None:
    """Return the frame in which the target starts there, ``None`` for one without a name."""
    return next((name for name in FRAMES if target_start_in(name, unit) == target_start), None)
