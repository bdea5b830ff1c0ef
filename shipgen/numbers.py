"""What files state, taken strictly: JSON, numbers and names, in one place for all that is read.

JSON here is that of RFC 8259: no NaN, no infinity, no number beyond float64, no key twice, no half of a
surrogate pair; and nothing is nested deeper than `DEEPEST`, which Python could neither show nor write. A
number is a number: not ``true``, not ``"1"``. All functions raise ValueError with what was found.
"""

from __future__ import annotations

import json
import math
import re
from numbers import Real
from typing import Any

#: Levels of lists and objects within each other.
DEEPEST = 100

#: Characters of a value that a message shows.
_SHOWN = 40

#: An escaped half of a surrogate pair, such as ``\\ud800``, perhaps without the other one.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def is_number(value: object) -> bool:
    """Return whether an option's value is a finite number, of Python or NumPy."""
    return isinstance(value, Real) and math.isfinite(value)


def parse_json(text: str) -> Any:
    """Return what the JSON in `text` says; raise ValueError where it is none, or one that nobody writes."""
    try:
        content = json.loads(
            text, parse_float=_finite, parse_constant=_no_number, object_pairs_hook=_without_doubles
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
    else:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    if not text.isascii() or _HALF.search(text):
        json.dumps(content, ensure_ascii=False).encode()
    return content


def real(value: object, what: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return `value`, called `what`, as a float; raise ValueError unless it is finite and in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{what} is {shown(value)}, no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{what} is {shown(value)}, {_range(low, high)}")
    return number


def whole(value: object, what: str, *, low: int = 0, high: int = 2**63 - 1) -> int:
    """Return `value`, called `what`, as an int; raise ValueError unless it is whole and in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{what} is {shown(value)}, no whole number")
    if not low <= value <= high:
        raise ValueError(f"{what} is {shown(value)}, {_range(low, high)}")
    return value


def plain_text(value: object, what: str, *, most: int = 1000) -> str:
    """Return `value`, called `what`, as a text that may be shown: printable, of 1 to `most` characters."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} is {shown(value)}, no text")
    if len(value) > most:
        raise ValueError(f"{what} has {len(value):,} characters, more than {most:,}")
    if not value.isprintable():
        raise ValueError(f"{what} is {shown(value)}: it holds characters that cannot be shown")
    return value


def shown(value: object) -> str:
    """Return `value` in a few characters, none of which does anything to a terminal."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value):,}"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a whole number of {value.bit_length()} bits"
    text = json.dumps(value) if value is None or isinstance(value, bool) else ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _range(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "not finite"
    if math.isinf(high):
        return f"less than {low:g} or not finite"
    return f"not from {low:g} to {high:g}"


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:_SHOWN]} is too large")
    return number


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return content
