"""What an enhanced bundle gains: measured with its own networks, against what plain muons would give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.quantities import Quantities
from shipgen_export.enhance.known_error import RegionTails
from shipgen_export.enhance.regions.targets import Around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.adapt import Learned

#: Muons a category that the gain is measured with, and latents a call.
MUONS, _SLICE = 400_000, 16_384

#: How far mean and spread may be from what was asked for, in units of the spread, before that is said.
_OFF = 0.2


@dataclass(frozen=True)
class Row:
    """Figures of one category, or of all together.

    Attributes
    ----------
    name : str
        The category's, or ``together``.
    plain, enhanced : float
        Share of the generated muons that is in the region.
    gain : float
        Effective number of muons in the region, (sum w f)^2 / sum (w f)^2, over that of as many plain
        muons; 0 without any. f is how much a muon is wanted: 1 in a region, or its bin's weight in a table.
    largest : float
        Largest w f in the region over the mean there.
    outside : float
        Effective number of muons outside, over that of as many plain muons.
    weight, error : float
        Mean weight of all muons, which has to be 1, and its standard error.
    share, share_error : float
        Share of the region by weight, which has to be `plain`.
    """

    name: str
    plain: float
    enhanced: float
    gain: float
    largest: float
    outside: float
    weight: float
    error: float
    share: float
    share_error: float


@dataclass(frozen=True)
class Gain:
    """Figures by category and, last, of all together.

    Attributes
    ----------
    rows : tuple of Row
        Them.
    muons : int
        Muons a category that they were measured with.
    kinematics : dict of str to (float, float)
        Mean and standard deviation of the quantities that muons were asked for around, among those near.
    asked : dict of str to (float, float)
        Value and spread that they were asked for with.
    known : tuple of str
        A line a category: what the plain bundle states of its error there.
    """

    rows: tuple[Row, ...]
    muons: int
    kinematics: dict[str, tuple[float, float]]
    asked: dict[str, tuple[float, float]] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield them as a table."""
        yield (
            f"  {'category':16} {'in region':>10} {'now':>7} {'more':>6} {'ESS gain':>9} {'largest w':>10} "
            f"{'ESS outside':>12} {'mean weight':>18}"
        )
        for row in self.rows:
            more = f"{row.enhanced / row.plain:6.0f}" if row.plain else f"{'':6}"
            outside = f"{row.outside:12.2f}" if row.plain < 1 else f"{'':12}"
            yield (
                f"  {row.name:16} {row.plain:10.3e} {row.enhanced:7.2%} {more} {row.gain:9.1f} "
                f"{row.largest:10.1f} {outside} {row.weight:9.4f} +- {row.error:.4f}"
            )
        yield (
            f"  measured with {self.muons:,} muons a category; ESS is (sum w)^2 / sum w^2 against as many "
            "plain muons;"
        )
        yield "  largest w: largest weight in the region over the mean there; with a table's, their product"
        if self.known:
            yield "  more muons do not make the plain networks better; their known error in the region:"
        yield from self.known
        for name, (mean, spread) in self.kinematics.items():
            line = f"  {name} of the muons in the region: mean {mean:.5g}, standard deviation {spread:.4g}"
            if name not in self.asked:
                yield line
                continue
            middle, wanted = self.asked[name]
            yield f"{line}; asked for {middle:g} +- {wanted:g}"
            if abs(mean - middle) > _OFF * wanted or abs(spread / wanted - 1) > _OFF:
                yield (
                    f"  that is not what was asked for: too many latents decide {name}; try more "
                    "--components, a larger --share, or networks with conditions"
                )


def measure_gain(
    bundle: Bundle, learned: Sequence[Learned], *, seed: Sequence[int], muons: int = MUONS
) -> Gain:
    """Return the figures of an enhanced bundle.

    Parameters
    ----------
    bundle : Bundle
        The enhanced one.
    learned : sequence of Learned
        The region and its share of the plain muons, a category each.
    seed : sequence of int
        Of the latents.
    muons : int
        A category.
    """
    parts: list[tuple[float, float, Float64, Float64]] = []
    near: dict[str, list[Float64]] = {}
    known = []
    for entry, network, found in zip(bundle.entries, bundle.networks, learned, strict=True):
        random = np.random.default_rng(np.random.SeedSequence((*seed, entry.category.number)))
        count = min(muons, 40_000_000 // network.latent_size)
        wanted, weights = [], []
        known.append(RegionTails(entry))
        for first in range(0, count, _SLICE):
            latent = random.standard_normal(network.latent_shape(min(_SLICE, count - first)), np.float32)
            columns = network.columns(latent)
            features, weight = columns[: network.features], columns[network.features :]
            values = Quantities.of_features(entry.category, features, bundle.target_start)
            wanted.append(found.target.importance(values))
            for name in found.target.names:
                # All categories alike: spreads are as asked for in each.
                near.setdefault(name, []).append(values[name][wanted[-1] > 0])
            weights.append(weight[0].astype(np.float64) if network.weighted else np.ones(features.shape[1]))
            known[-1].add(features, bundle.target_start, wanted[-1] * weights[-1])
        parts.append((entry.rate / bundle.rate, found.share, np.concatenate(wanted), np.concatenate(weights)))
    rows = [
        _row(entry.category.name, [(1.0, *part[1:])])
        for entry, part in zip(bundle.entries, parts, strict=True)
    ]
    joined = {name: np.concatenate(values) for name, values in near.items()}
    kinematics = {name: (float(v.mean()), float(v.std())) for name, v in joined.items() if len(v)}
    target = learned[0].target
    asked = {}
    if isinstance(target, Around):
        asked = {name: (target.middle[name], target.spread[name]) for name in target.names}
    told = tuple(each.line() for each in known)
    return Gain((*rows, _row("together", parts)), muons, kinematics, asked, told)


def _row(name: str, parts: Sequence[tuple[float, float, Float64, Float64]]) -> Row:
    """Return the figures of some categories.

    Each part has the category's share of the muons, the region's share of its plain muons, and of the muons
    made how much each is wanted and its weight.
    """

    def mean(of: Callable[[Float64, Float64], Float64]) -> float:
        """Return the mean over the muons made of a function of how much they are wanted and their weights."""
        return sum(share * float(np.mean(of(wanted, weights))) for share, _, wanted, weights in parts)

    plain = sum(part[0] * part[1] for part in parts)
    inside, heavy = mean(lambda f, w: w * (f > 0)), mean(lambda f, w: w * f)
    squares = mean(lambda f, w: (w * f) ** 2)
    # What as many plain muons would be worth: their share, less where they are wanted unequally.
    even = heavy**2 / mean(lambda f, w: w * f**2) / inside if inside > 0 else 1.0
    left = mean(lambda f, w: w * (f == 0)) ** 2
    left_squares = mean(lambda f, w: w**2 * (f == 0))
    enhanced = mean(lambda f, w: np.where(f > 0, 1.0, 0.0 * w))
    largest = max((float((f * w).max(initial=0.0)) for _, _, f, w in parts), default=0.0)
    n = min(len(part[2]) for part in parts)
    variance = sum(share * float(np.var(w)) for share, _, _, w in parts)
    share_variance = sum(share * float(np.var(w * (f > 0))) for share, _, f, w in parts)
    return Row(
        name,
        plain,
        enhanced,
        heavy**2 / squares / (plain * even) if squares > 0 and plain > 0 else 0.0,
        largest * enhanced / heavy if heavy > 0 else 0.0,
        left / left_squares / (1 - plain) if left_squares > 0 and plain < 1 else 0.0,
        mean(lambda f, w: w),  # noqa: ARG005
        (variance / n) ** 0.5,
        inside,
        (share_variance / n) ** 0.5,
    )
