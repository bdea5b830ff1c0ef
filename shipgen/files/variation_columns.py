"""Columns of factors: what a muon's weight is multiplied with when a named quantity is varied.

They are called ``vary_NAME``, in samples and in files of produced muons; commands and functions take ``NAME``
as well.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.layouts import MUONBACK, MUONBACK_2019, SHIELD, Branch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from shipgen.files.layouts import Layout

#: What names of such columns begin with.
PREFIX = "vary_"

#: Stands for all that there are.
ALL = "all"

#: FairShip takes a tree with more leaves for one of another kind.
_MOST_LEAVES = 16


def is_variation(name: object) -> bool:
    """Return whether a name is that of a column of factors."""
    return isinstance(name, str) and re.fullmatch(rf"{PREFIX}\w{{1,80}}", name, re.ASCII) is not None


def column_of(name: str) -> str:
    """Return the column of a variation, which may be given by its name."""
    return name if name.startswith(PREFIX) else f"{PREFIX}{name}"


def choose(asked: Sequence[str], there: Iterable[str], of: str) -> tuple[str, ...]:
    """Return the columns that are asked for, in the order of those that are there.

    Parameters
    ----------
    asked : sequence of str
        Names or columns; `ALL` among them stands for all.
    there : iterable of str
        The columns that there are.
    of : str
        What has them, for messages.

    Raises
    ------
    InputError
        One is not there.
    """
    there = tuple(there)
    if not asked:
        return ()
    if not there:
        raise InputError(
            f"{of} has no variations: add those of its sample by `shipgen train variations PREPARED --bundle "
            "BUNDLE -o OUT`, or choose another"
        )
    wanted = {column_of(name) for name in asked if name != ALL}
    if missing := sorted(wanted - set(there)):
        names = ", ".join(name.removeprefix(PREFIX) for name in there)
        raise InputError(f"{of} has no variation {missing[0].removeprefix(PREFIX)!r}: choose from {names}")
    return there if ALL in asked else tuple(name for name in there if name in wanted)


def with_variations(layout: Layout, columns: Iterable[str]) -> Layout:
    """Return a layout with a float32 field more for each column of factors, behind its others.

    Raises
    ------
    InputError
        The layout has no room for so many.
    """
    columns = tuple(columns)
    if not columns:
        return layout
    if layout.name == SHIELD.name:
        raise InputError(
            "layout shield has the fields that codes of the muon shield expect, and none for variations: "
            "leave --layout out and say --frame shield --unit m, or leave the variations out"
        )
    room = _MOST_LEAVES - len(layout.branches)
    if layout.name in (MUONBACK.name, MUONBACK_2019.name) and len(columns) > room:
        raise InputError(
            f"layout {layout.name} has room for {room} variations, and {len(columns)} are asked for: "
            f"FairShip takes a tree with more than {_MOST_LEAVES} leaves for another; name fewer, or choose "
            "--layout ttree or an array file"
        )
    return replace(layout, branches=(*layout.branches, *(Branch(name, name) for name in columns)))


def stated_variations(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of factors that a file of produced muons states; raise ValueError for odd ones."""
    stated = facts.get("variations") or {}
    if not isinstance(stated, dict) or not all(map(is_variation, stated)):
        raise ValueError("its variations are not stated as names and meanings")
    return tuple(stated)
