"""Muons <-> normal numbers: coordinates and a table for each, as the flow and its students are trained in."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen_export.maps.coordinates import Shape, described, read_coordinates
from shipgen_export.maps.marginals import Marginal
from shipgen_export.maps.symmetry import choose_coordinates
from shipgen_export.sample.sample import ARRAYS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float64
    from shipgen_export.maps.coordinates import Cartesian, Cylinder
    from shipgen_export.sample.sample import CategorySample

#: Coordinates whose upper tail falls off smoothly without an end that the sample's physics sets.
_TAILED = ("p", "pt", "offset")

#: A muon is unusual when its squared weight is more than this share of all, and of so many muons.
_LARGEST_SHARE, _LEAST_MUONS = 1e-2, 1_000

#: Muons that fly upstream are left out where they have no more than this share of the weight: one of them
#: would cost all others the coordinates that suit them.
_UPSTREAM_SHARE = 1e-3

#: Muons that are turned into normal numbers at once: bounds the memory of intermediate steps.
_SLICE = 500_000


@dataclass(frozen=True)
class Unusual:
    """Weights that were cut because single muons had too much of the sample's statistics.

    Attributes
    ----------
    muons : int
        How many were cut.
    limit : float
        What they were cut to.
    share : float
        Share of the category's weight that was cut off.
    """

    muons: int
    limit: float
    share: float


def tame(weights: Float64) -> tuple[Float64, Unusual | None]:
    """Cut weights so that no muon carries more than a hundredth of the sum of squares.

    One such muon would be drawn again and again, and a network would learn it by heart.

    Parameters
    ----------
    weights : float64[n]
        Of one category's muons.
    """
    if len(weights) < _LEAST_MUONS:
        return weights, None
    ascending = np.sort(weights)
    # With a limit at the k-th weight: the squares below it, and as many limits as there are muons above.
    squares = np.cumsum(ascending**2) + ascending**2 * np.arange(len(weights) - 1, -1, -1)
    allowed = ascending**2 <= _LARGEST_SHARE * squares
    if allowed[-1]:
        return weights, None
    limit = float(ascending[np.flatnonzero(allowed)[-1]])
    cut = weights > limit
    share = float((weights[cut] - limit).sum() / weights.sum())
    return np.minimum(weights, limit), Unusual(int(cut.sum()), limit, share)


def without_upstream(sample: CategorySample) -> tuple[CategorySample, dict[str, Any] | None]:
    """Leave out the few muons of the part ``train`` that fly upstream, and say which share they had.

    The other parts keep theirs, so that what lacks them is compared with all muons.
    """
    upstream = (sample.features[:, -1] <= 0) & (sample.split == 0)
    weight = sample.weights[sample.split == 0].sum()
    share = float(sample.weights[upstream].sum() / weight) if weight > 0 else 0.0
    if not upstream.any() or share > _UPSTREAM_SHARE:
        return sample, None
    arrays = {name: getattr(sample, name)[~upstream] for name in ARRAYS}
    return replace(sample, **arrays), {
        "muons": int(upstream.sum()),
        "share": share,
        "why": "they fly upstream (pz <= 0), and the networks make none of these",
    }


@dataclass(frozen=True, eq=False)
class MuonMap:
    """Features of a category's muons <-> numbers of which each by itself is standard normal.

    It stands where a `Normalisation` stands for networks that make normalised features.

    Attributes
    ----------
    features : tuple of str
        The features, in the category's order.
    coordinates : Cylinder or Cartesian
        What the muons are described by.
    marginals : tuple of Marginal
        One a coordinate.
    minimum, maximum : float64[f]
        Range of each feature in the sample, cm and GeV.
    facts : dict
        What was found in the sample: tests of its symmetries, edges, unusual weights, muons left out; plain
        values.
    """

    features: tuple[str, ...]
    coordinates: Cylinder | Cartesian
    marginals: tuple[Marginal, ...]
    minimum: Float64
    maximum: Float64
    facts: dict[str, Any]

    @property
    def shape(self) -> Shape:
        """What a network of these numbers has to make."""
        return Shape(len(self.marginals), self.coordinates.drawn, self.coordinates.on_axis)

    @classmethod
    def fit(
        cls,
        sample: CategorySample,
        start: float,
        edges: Sequence[float] = (),
        materials: Sequence[int] = (),
        origin: MuonMap | None = None,
    ) -> Self:
        """Choose coordinates by the sample's symmetries and tabulate them; the part ``train`` is used.

        Parameters
        ----------
        sample : CategorySample
            A category's muons.
        start : float
            z of the target's start, cm.
        edges : sequence of float
            z where materials meet, cm.
        materials : sequence of int
            The material between each two of them, where known.
        origin : MuonMap, optional
            Of a sample like it, known better: its tables are corrected where few protons allow no better.

        Raises
        ------
        InputError
            The coordinates are others than those of `origin`.
        """
        sample, left_out = without_upstream(sample)
        features, weights = sample.part("train")
        protons = sample.group[sample.split == SPLITS.index("train")]
        weights, unusual = tame(weights)
        coordinates, symmetries = choose_coordinates(sample, weights, start)
        if origin is not None and described(coordinates) != described(origin.coordinates):
            raise InputError(
                f"{sample.category.name} is described by {described(coordinates)}, for its symmetries, "
                f"and what it starts from by {described(origin.coordinates)}: train it from nothing, "
                "with `shipgen train best --from none`"
            )
        depths = tuple(edge - start for edge in edges)
        marginals = []
        for number, name in enumerate(coordinates.names):
            values = np.concatenate(
                [
                    coordinates.forward(features[first : first + _SLICE].astype(np.float64))[:, number]
                    for first in range(0, len(features), _SLICE)
                ]
            )
            inside = {"depth": depths, "z": tuple(edges)}.get(name, ())
            marginals.append(
                Marginal.fit(
                    values,
                    weights,
                    edges=inside,
                    materials=materials if inside else (),
                    ruled=name in {"depth", "z"},
                    smooth_tail=name in _TAILED,
                    protons=protons,
                    origin=None if origin is None else origin.marginals[number].distribution(),
                )
            )
        facts = {
            "symmetries": symmetries.to_json(),
            "edges": list(edges),
            "tables": dict(zip(coordinates.names, (one.facts for one in marginals), strict=True)),
            "unusual_weights": None if unusual is None else vars(unusual),
            "left_out": left_out,
        }
        normalisation = sample.normalisation
        return cls(
            sample.category.features,
            coordinates,
            tuple(marginals),
            normalisation.minimum,
            normalisation.maximum,
            facts,
        )

    def forward(self, features: Float64, random: np.random.Generator | None = None) -> Float64:
        """Features -> normal numbers.

        Parameters
        ----------
        features : float64[n, f]
            cm, GeV.
        random : numpy.random.Generator, optional
            Spreads values that many muons share; always the same numbers when not given.

        Returns
        -------
        float64[n, d]
        """
        random = np.random.default_rng(0) if random is None else random
        columns = self.coordinates.forward(features).T
        pairs = zip(self.marginals, columns, strict=True)
        return np.stack([marginal.to_normal(column, random) for marginal, column in pairs], axis=1)

    def inverse(self, normal: Float64) -> Float64:
        """Make features of normal numbers.

        Parameters
        ----------
        normal : float64[n, d + drawn]
            The last `drawn` ones decide what the sample has no preference in.

        Returns
        -------
        float64[n, f]
            cm, GeV.
        """
        normal = np.asarray(normal, np.float64)
        made = normal[:, : len(self.marginals)].T
        pairs = zip(self.marginals, made, strict=True)
        columns = np.stack([marginal.from_normal(column) for marginal, column in pairs], axis=1)
        return self.coordinates.inverse(columns, normal[:, len(self.marginals) :])

    def write(self, path: Path) -> None:
        """Write all of it to the new ``.npz`` file `path`."""
        tables: dict[str, Any] = {f"values_{k}": marginal.values for k, marginal in enumerate(self.marginals)}
        rulers: dict[str, Any] = {
            f"ruler_{k}": marginal.ruler
            for k, marginal in enumerate(self.marginals)
            if marginal.ruler is not None
        }
        text = json.dumps({"coordinates": self.coordinates.to_json(), "facts": self.facts})
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                json=np.frombuffer(text.encode(), np.uint8),
                minimum=self.minimum,
                maximum=self.maximum,
                **tables,
                **rulers,
            )

    @classmethod
    def read(cls, path: Path, category: Category) -> Self:
        """Read what `write` wrote for `category`; raise `InputError` when it is something else."""
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                content = json.loads(file["json"].tobytes())
                coordinates = read_coordinates(content["coordinates"])
                marginals = tuple(
                    Marginal(file[f"values_{k}"], file.get(f"ruler_{k}"))
                    for k in range(len(coordinates.names))
                )
                made = cls(
                    category.features,
                    coordinates,
                    marginals,
                    file["minimum"],
                    file["maximum"],
                    content["facts"],
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} cannot be read ({error}): train the category again") from error
        if made.coordinates.on_axis != category.on_axis:
            raise InputError(f"{path} is not of category {category.name}: train the category again")
        return made
