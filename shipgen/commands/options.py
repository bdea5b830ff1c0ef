"""Option types that several commands share."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipgen.errors import OutputError
from shipgen.generate.amount import PROTONS_PER_SPILL, pot_of
from shipgen.muons.frames import FRAMES, UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Count(click.ParamType[int]):
    """A whole number above zero that may be written 1e9."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; fail with one line that says what is allowed."""
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number: write 1000000 or 1e6", param, ctx)
        if not number.is_finite() or number != number.to_integral_value():
            self.fail(f"{value!r} is not a whole number", param, ctx)
        if number <= 0:
            self.fail(f"{value!r} is not above zero", param, ctx)
        if number > 10**18:
            self.fail(f"{value!r} is more than 1e18", param, ctx)
        return int(number)


class Positive(click.ParamType[float]):
    """A finite number above zero, such as 5e13 protons or 2.5 minutes."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail with one line that says what is allowed."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not 0 < number < float("inf"):
            self.fail(f"{value!r} is not a finite number above zero", param, ctx)
        return number


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Print within the context what was made; where that fails, say that `what` is so all the same."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{what}, but nothing can be printed: {error.strerror}") from error


class Renamed(click.Option):
    """An option that still answers to its `old` names, which no help shows."""

    def __init__(self, *arguments: Any, old: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.old = list(old)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Take the option under all of its names."""
        super().add_to_parser(parser, ctx)
        if self.old:
            parser.add_option(self, self.old, dest=self.name, nargs=self.nargs)


COUNT = Count()
POSITIVE = Positive()
PATH = click.Path(path_type=Path)
BEAM = click.Choice(["auto", "origin", "primary"])
SEED = click.IntRange(0, 2**63 - 1)

#: How many muons, and how many processes or threads work at once: alike for all commands.
muons_option = partial(click.option, "-n", "--n", "--muons", "n", type=COUNT, metavar="N")
workers_option = partial(click.option, "--workers", cls=Renamed, type=click.IntRange(1), metavar="W")

#: As of `shipgen.files.precision`, which commands that only tell their help do not import.
precision_option = click.option(
    "--precision",
    type=click.IntRange(1, 23),
    metavar="BITS",
    help="Bits of mantissa to keep of x, y and momenta, such as 16; all if not given.",
)


def layout_options(layouts: Sequence[str]) -> Callable[[Any], Any]:
    """Return what adds the options for the layout of a file to a command."""
    options = (
        click.option(
            "--layout",
            type=click.Choice(layouts),
            help="As the file's ending says if not given; of ROOT files muonback.",
        ),
        click.option("--unit", type=click.Choice(list(UNITS)), help="Of lengths, of arrays."),
        click.option("--frame", type=click.Choice(list(FRAMES)), help="Where z = 0 is, of arrays."),
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def spill_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for an amount given in spills to a command."""
    per_spill = click.option(
        "--protons-per-spill",
        type=POSITIVE,
        default=PROTONS_PER_SPILL,
        show_default=True,
        metavar="P",
        help="What --spills counts.",
    )
    return click.option("--spills", type=POSITIVE, metavar="N", help="Spills to produce muons for.")(
        per_spill(command)
    )


def take_spills(
    n: float | None, pot: float | None, spills: float | None, protons_per_spill: float
) -> float | None:
    """Return the protons that the options ask for; raise `click.UsageError` unless one amount is given."""
    if sum(value is not None for value in (n, pot, spills)) != 1:
        raise click.UsageError("say how much: one of --muons N, --pot P (protons on target) and --spills N")
    return pot_of(n, pot, spills, protons_per_spill)
