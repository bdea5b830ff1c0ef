"""What an enhanced bundle shall make more of: a region, as a function of a muon's quantities.

A target's importance is how much denser its muons shall lie than plain ones do, up to a common factor: 1 in a
region and 0 elsewhere, or a table's weights. Its distance guides the search where no plain muon is inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from shipgen.errors import InputError, MissingExtraError
from shipgen.muons.categories import CATEGORIES
from shipgen.muons.quantities import DISCRETE, QUANTITIES, Quantities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.muons.columns import Float64
    from shipgen.muons.regions import Expression

    Values = Mapping[str, Float64]


class Wanted(Protocol):
    """Which muons are wanted, such as those of a region; instances do not change.

    Attributes
    ----------
    exact : bool
        Whether muons shall lie as the importance says, rather than cover all of the region well.
    """

    exact: ClassVar[bool]

    @property
    def text(self) -> str:
        """What it is, in one line."""

    @property
    def names(self) -> tuple[str, ...]:
        """Quantities that `refined` asks for."""

    def scaled(self, values: Values) -> Wanted:
        """Return it with distances in units of the spread of these plain muons."""

    def refined(self, values: Values, weights: Float64) -> Wanted:
        """Return it adapted to plain muons, which these are if weighted."""

    def importance(self, values: Values) -> Float64:
        """Return how much each muon is wanted, float64[n], not negative."""

    def distance(self, values: Values) -> Float64:
        """Return how far each muon is from being wanted, float64[n]; 0 where it is."""


@dataclass(frozen=True)
class Fixed:
    """A target that does not adapt."""

    exact: ClassVar[bool] = False

    @property
    def names(self) -> tuple[str, ...]:
        """Nothing is asked for."""
        return ()

    def refined(self, values: Values, weights: Float64) -> Any:  # noqa: ARG002
        """Return itself."""
        return self


@dataclass(frozen=True)
class Inside(Fixed):
    """The muons for which an expression holds."""

    expression: Expression
    scales: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The expression."""
        return self.expression.text

    def scaled(self, values: Values) -> Inside:
        """Return it with the comparisons' spreads."""
        return replace(self, scales=self.expression.scales(values))

    def importance(self, values: Values) -> Float64:
        """Return 1 inside, 0 outside."""
        return self.expression.holds(values).astype(np.float64)

    def distance(self, values: Values) -> Float64:
        """Return by how much comparisons fail."""
        return self.expression.distance(values, self.scales)


@dataclass(frozen=True, eq=False)
class Examples(Fixed):
    """The neighbourhood of example muons.

    Muons are compared in some quantities, each in units of its spread among plain muons of the category;
    inside are those of the same category not further than `radius` from an example. Without a radius it is,
    for each category, the median distance of an example to its `neighbours`-th nearest other one.

    Attributes
    ----------
    columns : dict of str to float64[n]
        ``x y z px py pz pdg category`` of the examples; cm, GeV, z from the target's start.
    text : str
        Where they came from.
    radius : float, optional
        In units of the spreads.
    neighbours : int
        Of an example.
    quantities : tuple of str
        What muons are compared in; the category's features when empty.
    """

    columns: dict[str, Float64]
    text: str = "examples"
    radius: float | None = None
    neighbours: int = 5
    quantities: tuple[str, ...] = ()
    _trees: dict[int, tuple[Any, Float64, float]] = field(default_factory=dict, repr=False)

    def scaled(self, values: Values) -> Examples:
        """Return it with the examples of the plain muons' category in units of their spread."""
        trees = dict(self._trees)
        for number in np.unique(values["category"]).astype(int).tolist():
            own = self.columns["category"] == number
            if own.any():
                plain = values["category"] == number
                spread = np.array([np.std(values[name][plain]) or 1.0 for name in self._compared(number)])
                trees[number] = self._tree(number, own, spread)
        return replace(self, _trees=trees)

    def _tree(self, number: int, own: Any, spread: Float64) -> tuple[Any, Float64, float]:
        """Return a search tree, the spreads and the radius of one category."""
        mine = Quantities({name: column[own] for name, column in self.columns.items()})
        points = np.stack([mine[name] for name in self._compared(number)], 1) / spread
        tree = _search_tree(points)
        if self.radius is not None:
            return tree, spread, self.radius
        if len(points) < 2:
            raise InputError(
                f"{self.text}: a single example of a category has a neighbourhood of no size: give a radius"
            )
        near = tree.query(points, min(self.neighbours, len(points) - 1) + 1)[0][:, -1]
        radius = float(np.median(near))
        if not radius > 0:
            raise InputError(f"{self.text}: most examples of a category are the same muon: give a radius")
        return tree, spread, radius

    def _compared(self, category: int) -> tuple[str, ...]:
        return self.quantities or CATEGORIES[category - 1].features

    def importance(self, values: Values) -> Float64:
        """Return 1 within the radius of an example."""
        return np.where(self.distance(values) == 0, 1.0, 0.0)

    def distance(self, values: Values) -> Float64:
        """Return the distance to the nearest example, less the radius."""
        found = np.full(len(values["p"]), np.inf)
        for number, (tree, spread, radius) in self._trees.items():
            own = values["category"] == number
            if own.any():
                points = np.stack([values[name][own] for name in self._compared(number)], 1) / spread
                found[own] = np.maximum(tree.query(points)[0] - radius, 0.0)
        return found


def _search_tree(points: Float64) -> Any:
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise MissingExtraError("a region of example muons", "scipy", "enhance") from error
    return cKDTree(points)


@dataclass(frozen=True, eq=False)
class Around:
    """Muons around given kinematics: each quantity normally distributed around a value.

    The plain muons' own density is divided out, as far as it is normal where they are wanted.

    Attributes
    ----------
    middle, spread : dict of str to float
        Value and standard deviation of each quantity.
    """

    middle: dict[str, float]
    spread: dict[str, float]
    _found: tuple[Float64, Float64] | None = None

    exact: ClassVar[bool] = True

    #: Standard deviations beyond which no muon is wanted.
    reach: ClassVar[float] = 5.0

    def __post_init__(self) -> None:
        """Raise `InputError` when a quantity is unknown or a spread no number above zero."""
        for name, spread in self.spread.items():
            if name not in QUANTITIES or name in DISCRETE:
                known = ", ".join(each for each in QUANTITIES if each not in DISCRETE)
                raise InputError(f"muons cannot be made around {name!r}: choose from {known}")
            if not (0 < spread < np.inf and np.isfinite(self.middle[name])):
                raise InputError(f"{name} = {self.middle[name]} +- {spread} is no value with a spread")

    @property
    def text(self) -> str:
        """The values."""
        each = (
            f"{name} {self.middle[name]:g} +- {spread:g} {QUANTITIES[name].unit}".strip()
            for name, spread in self.spread.items()
        )
        return "around " + ", ".join(each)

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities."""
        return tuple(self.spread)

    def scaled(self, values: Values) -> Around:  # noqa: ARG002
        """Return itself: the spreads are the scale."""
        return self

    def refined(self, values: Values, weights: Float64) -> Around:
        """Return it with mean and covariance of the plain muons times the wanted density, in its units."""
        away = self._away(values)
        wanted = weights * np.exp(-np.square(away).sum(0) / 2) * (np.square(away).sum(0) < self.reach**2)
        total = wanted.sum()
        if not total**2 > 100 * len(away) * np.square(wanted).sum():
            return self
        mean = away @ wanted / total
        rest = away - mean[:, None]
        return replace(self, _found=(mean, (rest * wanted) @ rest.T / total))

    def importance(self, values: Values) -> Float64:
        """Return the wanted density over the plain one."""
        away = self._away(values)
        square = np.square(away).sum(0)
        logs = -square / 2
        if self._found is not None:
            mean, covariance = self._found
            rest = away - mean[:, None]
            # Plain times wanted is N(mean, covariance): the plain density is that over the wanted one.
            logs = -square + (rest * np.linalg.solve(covariance, rest)).sum(0) / 2
        return np.where(square < self.reach**2, np.exp(np.minimum(logs, 5.0)), 0.0)

    def distance(self, values: Values) -> Float64:
        """Return how many standard deviations a muon is beyond the reach."""
        return np.asarray(np.maximum(np.sqrt(np.square(self._away(values)).sum(0)) - self.reach, 0.0))

    def _away(self, values: Values) -> Float64:
        """Return the differences in units of the spreads, float64[quantities, n]."""
        found = []
        for name, spread in self.spread.items():
            difference = values[name] - self.middle[name]
            if name in {"phi", "phi_xy"}:
                difference = (difference + np.pi) % (2 * np.pi) - np.pi
            found.append(difference / spread)
        return np.stack(found)
