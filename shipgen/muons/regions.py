"""Regions of muons as expressions, such as ``pt > 1.5 and (p > 50 or r > 3)``.

The grammar: comparisons joined by ``and`` (or commas), ``or`` and ``not``; arithmetic, a few functions, the
names of `shipgen.muons.quantities.QUANTITIES` and of the categories. Python's parser finds the structure, of
which anything else is refused; nothing is ever evaluated by Python.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen.muons.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from shipgen.muons.columns import Float64

    Values = Mapping[str, Float64]
    Number = Callable[[Values], Any]

#: Longest expression, in characters: far more than anybody writes, and no burden for the parser.
_LONGEST = 4000

#: How deep it may be nested.
_DEEPEST = 100

#: Names of values.
CONSTANTS = {"pi": math.pi, **{category.name: float(category.number) for category in CATEGORIES}}

#: Functions: what computes them and with how many arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "abs": (np.abs, 1),
    "sqrt": (np.sqrt, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "log10": (np.log10, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tan": (np.tan, 1),
    "atan2": (np.arctan2, 2),
    "hypot": (np.hypot, 2),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
}

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}

_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_SIGNS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class _Comparison:
    """Two numbers compared; `place` counts the comparisons of an expression."""

    left: Number
    sign: str
    right: Number
    place: int

    def difference(self, values: Values) -> Float64:
        """Return left - right, float64[n]."""
        return np.asarray(self.left(values) - self.right(values), np.float64)


@dataclass(frozen=True)
class _Joined:
    """Conditions joined by ``and`` (`every`) or ``or``."""

    parts: tuple[_Comparison | _Joined, ...]
    every: bool


@dataclass(frozen=True)
class Expression:
    """A region given by an expression.

    Attributes
    ----------
    text : str
        As it was written, without comments and line ends.
    names : tuple of str
        The quantities it asks for.
    """

    text: str
    names: tuple[str, ...]
    _tree: _Comparison | _Joined = field(repr=False, compare=False)
    _comparisons: tuple[_Comparison, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read an expression; ``#`` begins a comment.

        Raises
        ------
        InputError
            It cannot be read; says where and what is allowed.
        """
        plain = " ".join(line.partition("#")[0].strip() for line in text.splitlines()).strip()
        reader = _Reader(plain)
        tree = reader.read()
        return cls(plain, tuple(dict.fromkeys(reader.names)), tree, tuple(reader.comparisons))

    def holds(self, values: Values) -> npt.NDArray[np.bool_]:
        """Return which muons are in the region, bool[n].

        Parameters
        ----------
        values : mapping of str to float64[n]
            `shipgen.muons.quantities.Quantities`.
        """
        with np.errstate(all="ignore"):
            found: npt.NDArray[np.bool_] = _holds(self._tree, values)
        return found

    def scales(self, values: Values) -> tuple[float, ...]:
        """Return the standard deviation of each comparison's difference among some muons, for `distance`."""
        with np.errstate(all="ignore"):
            found = [each.difference(values) for each in self._comparisons]
            spread = [
                float(np.std(each[np.isfinite(each)])) if np.isfinite(each).any() else 0.0 for each in found
            ]
        return tuple(each if each > 0 and math.isfinite(each) else 1.0 for each in spread)

    def distance(self, values: Values, scales: Sequence[float]) -> Float64:
        """Return how far muons are from the region, float64[n]: 0 inside, infinity where it is not defined.

        Comparisons that fail count by what they fail by, in units of the `scales`; ``and`` adds them up,
        ``or`` takes the least. Searches for rare regions go down this slope.
        """
        with np.errstate(all="ignore"):
            return _distance(self._tree, values, scales)


def _holds(node: _Comparison | _Joined, values: Values) -> Any:
    if isinstance(node, _Joined):
        join = np.logical_and if node.every else np.logical_or
        return join.reduce([_holds(part, values) for part in node.parts])
    return _compare(node.sign, node.difference(values))


def _compare(sign: str, difference: Float64) -> Any:
    return _SIGNS[sign](difference, 0.0) & ~np.isnan(difference)


def _distance(node: _Comparison | _Joined, values: Values, scales: Sequence[float]) -> Float64:
    if isinstance(node, _Joined):
        parts = [_distance(part, values, scales) for part in node.parts]
        return np.asarray(np.sum(parts, axis=0) if node.every else np.min(parts, axis=0))
    difference = node.difference(values)
    far = np.where(node.sign == "!=", 1.0, np.abs(difference) / scales[node.place])
    # Just on the wrong side of a strict inequality is not inside.
    failed = np.maximum(far, np.finfo(float).tiny)
    found = np.where(_compare(node.sign, difference), 0.0, failed)
    return np.where(np.isnan(difference), np.inf, found)


class _Reader:
    """Turns Python's syntax tree into comparisons, refusing whatever is not in the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self.comparisons: list[_Comparison] = []

    def read(self) -> _Comparison | _Joined:
        """Return the tree; raise `InputError` where there is none."""
        if not self.text:
            raise InputError("the region is empty: write a condition such as pt > 1.5 and p > 50")
        if len(self.text) > _LONGEST:
            raise InputError(
                f"the region has {len(self.text)} characters, more than {_LONGEST}: give a table"
            )
        for mark, word in (("&&", "and"), ("||", "or"), ("&", "and"), ("|", "or")):
            if mark in self.text:
                raise self._wrong(self.text.index(mark), f"write {word!r} for {mark!r}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(self.text, mode="eval")
        except SyntaxError as error:
            # Python counts from 1, and has no place for what is missing at the end.
            place = error.offset - 1 if error.offset else len(self.text)
            raise self._wrong(place, error.msg) from None
        except (ValueError, MemoryError, RecursionError):
            raise self._wrong(0, "it cannot be read") from None
        if _depth(tree) > _DEEPEST:
            raise self._wrong(0, f"it is nested more than {_DEEPEST} deep")
        return self._truth(tree.body, positive=True)

    def _wrong(self, place: int, why: str) -> InputError:
        """Say in which part of the text what is wrong."""
        near = repr(self.text[place : place + 20]) if place < len(self.text) else "its end"
        return InputError(f"the region {self.text[:200]!r} is wrong at character {place + 1} ({near}): {why}")

    def _wrong_at(self, node: ast.AST, why: str) -> InputError:
        # Python counts bytes.
        start = self.text.encode()[: getattr(node, "col_offset", 0)]
        return self._wrong(len(start.decode(errors="ignore")), why)

    def _truth(self, node: ast.expr, *, positive: bool) -> _Comparison | _Joined:
        """Read something that is true or false; its opposite unless `positive`."""
        if isinstance(node, ast.BoolOp):
            every = isinstance(node.op, ast.And) == positive
            return _Joined(tuple(self._truth(each, positive=positive) for each in node.values), every)
        if isinstance(node, ast.Tuple):
            if not node.elts:
                raise self._wrong_at(node, "there is no condition in the parentheses")
            return _Joined(tuple(self._truth(each, positive=positive) for each in node.elts), positive)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._truth(node.operand, positive=not positive)
        if isinstance(node, ast.Compare):
            return self._compared(node, positive=positive)
        raise self._wrong_at(node, "a condition is wanted here, such as p > 50")

    def _compared(self, node: ast.Compare, *, positive: bool) -> _Comparison | _Joined:
        sides: list[Number] = []
        named: list[bool] = []
        for each in (node.left, *node.comparators):
            before = len(self.names)
            sides.append(self._number(each))
            named.append(len(self.names) > before)
        found: list[_Comparison | _Joined] = []
        for place, operator in enumerate(node.ops):
            left, right = sides[place : place + 2]
            if type(operator) not in _COMPARISONS:
                raise self._wrong_at(node, f"compare by one of {', '.join(_COMPARISONS.values())}")
            if not any(named[place : place + 2]):
                raise self._wrong_at(
                    node, "this is the same for all muons: compare a quantity, such as p > 50"
                )
            sign = _COMPARISONS[type(operator)]
            made = _Comparison(left, sign if positive else _OPPOSITE[sign], right, len(self.comparisons))
            self.comparisons.append(made)
            found.append(made)
        return found[0] if len(found) == 1 else _Joined(tuple(found), positive)

    def _number(self, node: ast.expr) -> Number:
        """Read something that is a number a muon."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self._number(node.operand)
            return (lambda values: -inner(values)) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            compute = _ARITHMETIC[type(node.op)]
            left, right = self._number(node.left), self._number(node.right)
            return lambda values: compute(left(values), right(values))
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.BoolOp | ast.Compare) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            raise self._wrong_at(node, "a number is wanted here, not a condition")
        raise self._wrong_at(node, "only numbers, quantities, + - * / ** and functions are allowed here")

    def _constant(self, node: ast.Constant) -> Number:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self._wrong_at(node, f"{node.value!r} is no number")
        try:
            value = np.float64(node.value)
        except OverflowError:
            raise self._wrong_at(node, "the number is too large") from None
        return lambda _: value

    def _name(self, node: ast.Name) -> Number:
        name = node.id.lower()
        if name in CONSTANTS:
            value = np.float64(CONSTANTS[name])
            return lambda _: value
        if name not in QUANTITIES:
            raise self._wrong_at(
                node, f"no quantity {node.id!r}: {_nearest(name, [*QUANTITIES, *CONSTANTS])}"
            )
        self.names.append(name)
        return lambda values: values[name]

    def _call(self, node: ast.Call) -> Number:
        name = node.func.id.lower() if isinstance(node.func, ast.Name) else "this"
        if name not in FUNCTIONS:
            raise self._wrong_at(node, f"no function {name!r}: {_nearest(name, list(FUNCTIONS))}")
        compute, count = FUNCTIONS[name]
        if node.keywords or len(node.args) != count:
            raise self._wrong_at(node, f"{name} takes {count} number{'s' * (count > 1)}")
        inner = [self._number(each) for each in node.args]
        return lambda values: compute(*(each(values) for each in inner))


def _depth(tree: ast.AST) -> int:
    """Return how deep a syntax tree is, without recursion."""
    depth, level = 0, [tree]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _nearest(name: str, known: list[str]) -> str:
    """Say which names come near, or all of them."""
    near = difflib.get_close_matches(name, known, 3, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
