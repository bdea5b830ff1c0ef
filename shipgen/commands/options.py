"""Option types that several commands share."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click


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


COUNT = Count()
POSITIVE = Positive()
PATH = click.Path(path_type=Path)
BEAM = click.Choice(["auto", "origin", "primary"])
SEED = click.IntRange(0, 2**63 - 1)
