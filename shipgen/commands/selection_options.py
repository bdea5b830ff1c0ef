"""Options of the commands that produce: which muons, in which mixture, with which beam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shipgen.errors import InputError
from shipgen.generate.selection import Selection
from shipgen.muons.categories import CATEGORY_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (
    click.option(
        "--category",
        "categories",
        multiple=True,
        metavar="NAME",
        help="Only these categories; repeatable, or joined by commas.",
    ),
    click.option(
        "--charge-fraction",
        type=float,
        metavar="F",
        help="Share of positive muons; weights make up for it. [default: the bundle's]",
    ),
    click.option(
        "--smear-beam", type=float, default=0.0, metavar="CM", help="Move each muon by a Gaussian in x and y."
    ),
    click.option(
        "--paint-beam",
        type=float,
        default=0.0,
        metavar="CM",
        help="Move each muon onto a circle of this radius.",
    ),
)


#: How many factors stand beside the weights.
variations_option = click.option(
    "--variations",
    is_flag=False,
    flag_value="all",
    default=None,
    metavar="[NAMES]",
    help="Write the factors of these variations of the weights, joined by commas; all of the bundle if none "
    "is named.",
)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_selection(options: dict[str, Any]) -> Selection:
    """Take the options out of a command's values."""
    given = options.pop("categories")
    names = tuple(name.strip() for text in given for name in text.split(",") if name.strip())
    if given and not names:
        raise InputError(f"--category names none: choose from {', '.join(CATEGORY_NAMES)}")
    values = {name: options.pop(name) for name in ("charge_fraction", "smear_beam", "paint_beam")}
    asked = options.pop("variations", None)
    variations = tuple(name.strip() for name in (asked or "").split(",") if name.strip())
    if asked is not None and not variations:
        raise InputError("--variations names none: leave the names out for all")
    return Selection(categories=names, variations=variations, **values)
