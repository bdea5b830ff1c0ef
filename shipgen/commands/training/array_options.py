"""Options of the commands that read files of arrays: what these do not say themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shipgen.files.arrays.choose import FRAME_CHOICES, UNIT_CHOICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen_export.reading.formats.array_files import ArrayChoice

_OPTIONS = (
    click.option(
        "--unit",
        type=click.Choice(UNIT_CHOICES),
        help="Of lengths in arrays that do not say it (m).",
    ),
    click.option(
        "--frame",
        type=click.Choice(FRAME_CHOICES),
        help="Where z = 0 is in arrays that do not say it (shield).",
    ),
    click.option("--columns", metavar="C,C,...", help="Of an array of rows (px,py,pz,x,y,z,pdg,weight)."),
)


def array_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def array_choice(unit: str | None, frame: str | None, columns: str | None) -> ArrayChoice:
    """Return what the user says of arrays."""
    from shipgen_export.reading.formats.array_files import ArrayChoice

    names = tuple(name.strip() for name in columns.split(",")) if columns else ()
    return ArrayChoice(unit, frame, names)
