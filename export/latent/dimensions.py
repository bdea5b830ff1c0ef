"""Latent space: what each dimension does, where muons of a region come from, and where nothing happens."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.quantities import DISCRETE, QUANTITIES
from shipgen_export.enhance.enhance import maker
from shipgen_export.enhance.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.bundle.bundle import Bundle
    from shipgen.bundle.entries import Entry
    from shipgen.bundle.network import Network
    from shipgen.muons.columns import Float64
    from shipgen.muons.quantities import Quantities
    from shipgen_export.enhance.regions.targets import Wanted
    from shipgen_export.sample.sample import CategorySample

#: Half the width of the grid, in standard deviations; all but 6e-5 of the latents are inside.
REACH = 4.0

#: Where the latent that chooses a component of a proposal lies for plain muons.
_PLAIN = -30.0

#: A cell is dead when a step there changes muons by less than this share of what it does on average.
DEAD = 0.05

#: Step that muons' change is measured with, in standard deviations.
_STEP = 0.1

#: Muons of each kind that the classifier is trained on.
_TRAINED = 50_000


@dataclass(frozen=True, eq=False)
class Study:
    """What was found of one category.

    Attributes
    ----------
    name : str
        The category's.
    quantities : tuple of str
        What is looked at.
    effects : float64[L, quantities]
        Share of each quantity's variance that goes when a latent is known along with all others but it: its
        total effect, between 0 and 1.
    shares : float64[L + 1, quantities]
        Share of each quantity's variance that comes of each latent alone, its main effect, and last what
        only comes of several together: they add up to 1.
    dimensions : (int, int)
        The latents that the grid goes over.
    edges : float64[n + 1]
        Of the grid, the same in both.
    maps : dict of str to float64[n, n]
        Mean of each quantity in each cell, the other latents drawn; first index along the first dimension.
    change : float64[n, n]
        Root mean square change of the quantities, in standard deviations, by a step of one along either.
    region : float64[n, n] or None
        Share of the muons of each cell that is in the region.
    share : float or None
        Of all muons.
    classifier : float64[n, n] or None
        Mean output of the classifier: 0.5 where it cannot tell generated from simulated muons, 1 simulated.
    proposal : Proposal or None
        Of an enhanced bundle.
    """

    name: str
    quantities: tuple[str, ...]
    effects: Float64
    shares: Float64
    dimensions: tuple[int, int]
    edges: Float64
    maps: dict[str, Float64]
    change: Float64
    region: Float64 | None
    share: float | None
    classifier: Float64 | None
    proposal: Proposal | None

    @property
    def dead(self) -> Float64:
        """Which cells are dead, bool[n, n]."""
        return np.asarray(self.change < DEAD * np.average(self.change, weights=self.density))

    @property
    def density(self) -> Float64:
        """Share of the latents in each cell, float64[n, n]."""
        below = np.array([erf(edge / 2**0.5) for edge in self.edges])
        share = np.diff(below) / 2
        return np.outer(share, share)

    def to_json(self) -> dict[str, Any]:
        """Return figures, and maps as lists."""
        density, dead = self.density, self.dead
        found: dict[str, Any] = {
            "dimensions": list(self.dimensions),
            "effects": {name: _plain(self.effects[:, k]) for k, name in enumerate(self.quantities)},
            "shares": {name: _plain(self.shares[:, k]) for k, name in enumerate(self.quantities)},
            "edges": _plain(self.edges),
            "dead_share_of_muons": float(density[dead].sum()),
            "change": _plain(self.change),
            "maps": {name: _plain(values) for name, values in self.maps.items()},
        }
        if self.region is not None:
            found |= {"region": _plain(self.region), "share_of_region": self.share}
        if self.classifier is not None:
            found["classifier"] = _plain(self.classifier)
        return found


def _plain(values: Float64) -> Any:
    """Return numbers of six digits as lists."""
    digits = 5 - np.floor(np.log10(np.maximum(np.abs(values), 1e-30))).astype(int)
    scale = 10.0 ** np.clip(digits, -30, 30)
    return (np.round(values * scale) / scale).tolist()


def study(
    bundle: Bundle,
    place: int,
    *,
    region: Wanted | None = None,
    sample: CategorySample | None = None,
    dimensions: tuple[int, int] | None = None,
    cells: int = 50,
    muons: int = 100_000,
    seed: int = 1,
) -> Study:
    """Study the latent space of one category's network.

    Parameters
    ----------
    bundle : Bundle
        Plain or enhanced; of the latter the plain network is looked at.
    place : int
        Which of its entries.
    region : Wanted, optional
        Muons to look for.
    sample : CategorySample, optional
        Simulated muons, for the classifier.
    dimensions : (int, int), optional
        Two latents, counted from 0; when not given those of the largest effects on the region, or without one
        on p, pT and z.
    cells : int
        Of the grid, along each.
    muons : int
        For the effects and, together, for the grid.
    seed : int
        Decides all that is drawn.

    Raises
    ------
    InputError
        A dimension is not there, or there is a single one.
    """
    entry, network = bundle.entries[place], bundle.networks[place]
    make, size = _plain_maker(entry, network, bundle.target_start)
    random = np.random.default_rng(np.random.SeedSequence((seed, entry.category.number)))
    if size < 2:
        raise InputError(
            f"the latent of {entry.category.name} has {size} dimension: there is no plane to draw"
        )
    names = _names(on_axis=entry.category.on_axis)
    points = random.standard_normal((muons, size))
    values = make(points)
    inside = None if region is None else region.scaled(values)
    effects, shares, on_region = _effects(make, points, values, names, inside, random)
    decisive = effects[:, [names.index(name) for name in ("p", "pt", "z")]].sum(1)
    chosen = _choose(dimensions, decisive if inside is None else on_region, entry.category.name)
    edges = np.linspace(-REACH, REACH, cells + 1)
    each = max(4, muons // cells**2)
    grid = _grid(chosen, size, edges, each, random)
    there = make(grid)

    def mean(values: Float64) -> Float64:
        return np.asarray(values.reshape(cells, cells, each).mean(2))

    spreads = {name: float(np.std(values[name])) or 1.0 for name in names}
    stated = entry.details.get("proposal")
    return Study(
        entry.category.name,
        names,
        effects,
        shares,
        chosen,
        edges,
        {name: mean(there[name]) for name in names},
        _change(make, grid, there, chosen, spreads, mean),
        None if inside is None else mean(np.where(inside.importance(there) > 0, 1.0, 0.0)),
        None if inside is None else float((inside.importance(values) > 0).mean()),
        None if sample is None else mean(_outputs(sample, values, there, bundle.target_start, seed)),
        None if stated is None else Proposal.from_json(stated),
    )


def _plain_maker(
    entry: Entry, network: Network, target_start: float
) -> tuple[Callable[[Float64], Quantities], int]:
    """Return what makes quantities of plain latents, and how many of these there are."""
    make = maker(entry, network, target_start)
    if "proposal" not in entry.details:
        return make, entry.latent_size
    size = int(entry.details["proposal"]["plain_latent_size"])
    return lambda points: make(np.column_stack([points, np.full((len(points), 1), _PLAIN)])), size


def _names(*, on_axis: bool) -> tuple[str, ...]:
    """Return what is looked at; the azimuth by the direction's cosine and sine, which have no jump."""
    left_out = {*DISCRETE, "theta", "energy", "ekin", "phi", "phi_xy"} | (
        {"x", "y", "r", "dphi"} if on_axis else set()
    )
    return tuple(name for name in QUANTITIES if name not in left_out)


def _effects(
    make: Callable[[Float64], Quantities],
    points: Float64,
    values: Quantities,
    names: tuple[str, ...],
    region: Wanted | None,
    random: np.random.Generator,
) -> tuple[Float64, Float64, Float64]:
    """Return total effects of latents on quantities, shares that add up, and total effects on the region.

    With x' being x with that latent taken from other latents y, the total effect is
    E[(f(x) - f(x'))^2] / (2 Var f), and the main effect 1 - E[(f(y) - f(x'))^2] / (2 Var f): M. J. W. Jansen,
    Comput. Phys. Commun. 117 (1999) 35. For the region f is the distance from it.

    Returns
    -------
    float64[L, quantities], float64[L + 1, quantities], float64[L]
        See `Study`.
    """

    def columns(made: Quantities) -> Float64:
        distance = np.zeros(made.muons) if region is None else np.minimum(region.distance(made), 1e6)
        return np.stack([*(made[name] for name in names), distance])

    before = columns(values)
    variances = np.var(before, axis=1)
    total, main = np.zeros((2, points.shape[1], len(before)))
    others = random.standard_normal(points.shape)
    there = columns(make(others))
    for dimension in range(points.shape[1]):
        mixed = points.copy()
        mixed[:, dimension] = others[:, dimension]
        made = columns(make(mixed))
        for found, of, sign in ((total, before, 1), (main, there, -1)):
            differences = np.mean(np.square(of - made), axis=1)
            share = np.divide(differences, 2 * variances, out=np.zeros(len(before)), where=variances > 0)
            found[dimension] = share if sign > 0 else np.where(variances > 0, 1 - share, 0)
    return total[:, :-1], _add_up(main[:, :-1]), total[:, -1]


def _add_up(main: Float64) -> Float64:
    """Return main effects and what is left for several latents together; the sum of each column is 1."""
    main = np.maximum(main, 0)
    # Statistical fluctuations may lead beyond all.
    main = main / np.maximum(main.sum(0), 1)
    return np.vstack([main, np.maximum(1 - main.sum(0), 0)])


def _choose(dimensions: tuple[int, int] | None, effects: Float64, name: str) -> tuple[int, int]:
    """Return two dimensions: those asked for, or those of the largest effects."""
    if dimensions is None:
        first, second = np.argsort(-effects)[:2]
        return int(min(first, second)), int(max(first, second))
    one, other = dimensions
    if one == other or not all(0 <= each < len(effects) for each in dimensions):
        raise InputError(
            f"{one} and {other} are not two of the dimensions of {name}, which are 0 to {len(effects) - 1}"
        )
    return one, other


def _grid(
    dimensions: tuple[int, int], size: int, edges: Float64, each: int, random: np.random.Generator
) -> Float64:
    """Return latents, `each` of them in every cell, the other dimensions drawn: float64[n * n * each, L]."""
    cells = len(edges) - 1
    points = random.standard_normal((cells, cells, each, size))
    width = edges[1] - edges[0]
    for axis, dimension in enumerate(dimensions):
        low = edges[:-1].reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        points[..., dimension] = low + width * random.random((cells, cells, each))
    return np.asarray(points.reshape(-1, size))


def _change(
    make: Callable[[Float64], Quantities],
    grid: Float64,
    there: Quantities,
    dimensions: tuple[int, int],
    spreads: dict[str, float],
    mean: Callable[[Float64], Float64],
) -> Float64:
    """Return the root mean square change of all quantities by a step of one along either dimension."""
    total = np.zeros(len(grid))
    for dimension in dimensions:
        moved = grid.copy()
        moved[:, dimension] += _STEP
        other = make(moved)
        for name, spread in spreads.items():
            total += np.square((other[name] - there[name]) / (spread * _STEP))
    return np.sqrt(mean(total))


def _outputs(
    sample: CategorySample, values: Quantities, there: Quantities, target_start: float, seed: int
) -> Float64:
    """Return the classifier's output for the muons of the grid: high where they look simulated."""
    from shipgen_export.merit.classifiers import FORMS, classify
    from shipgen_export.merit.weighted_muons import WeightedMuons, thin

    def features(made: Quantities) -> WeightedMuons:
        names = sample.category.features
        columns = [made[name] + (target_start if name == "z" else 0.0) for name in names]
        return WeightedMuons.independent(np.stack(columns, 1).astype(np.float32))

    random = np.random.default_rng((seed, sample.category.number))
    real = thin(WeightedMuons(sample.features, sample.weights, sample.group), _TRAINED, random)
    generated = features(values)
    fitted = generated.at(slice(0, _TRAINED))
    return classify((real, real.at(slice(0, 10))), (fitted, features(there)), seed, FORMS["fast"])[1]
