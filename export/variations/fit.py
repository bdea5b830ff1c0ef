"""Training of a network of mean factors: regression on the factors of a sample's muons.

The mean of a factor at given features is what least squares give. It stays the same however muons are drawn
by their features, so that muons of tails are drawn more often: each of the bins of p, pT, r and z gets its
share. The last layer is solved for exactly in the end, together with lines that bend along each input, which
makes sums over the sample right, in all and along each input.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.quantities import Quantities
from shipgen_export.maps.muon_map import tame
from shipgen_export.sample.sample import SPLITS
from shipgen_export.variations.inputs import VariationInputs
from shipgen_export.variations.network import SLOPE, FactorModel, last_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from shipgen.muons.columns import Float32, Float64, Int64
    from shipgen_export.sample.sample import CategorySample

    FactorOf = Callable[[Float32], Float32]

#: Nodes of the hidden layers, steps, muons a step, learning rate at first.
HIDDEN, STEPS, BATCH, RATE = (24, 24), 6_000, 2048, 4e-3

#: Muons drawn to learn from and to choose by, at most, and how often each of a sample is drawn at most.
_POOL, _OFTEN = 2_000_000, 6
_HELD_OUT = 400_000

#: Steps between looks at the held-out muons.
_LOOK = 500

#: Quantities whose tails are drawn more often, bins of each, and by how much at most.
BINNED, BINS, _MOST = ("p", "pt", "r", "z"), 30, 100.0

#: Bends along each of the numbers that are looked at: sums by each alone are right to their distance.
_KNOTS = 8

#: Shares of the sums of squares, one of which keeps the last layer's weights small.
_RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

#: Least factor that a network gives, over the mean one.
_LEAST = 1e-3

#: Streams of random numbers.
_KERNELS, _DRAWN, _CHOSEN = range(3)


@dataclass(frozen=True)
class Fitted:
    """A network of mean factors and how it was trained.

    Attributes
    ----------
    model : FactorModel
        The network.
    steps : int
        Of the training.
    seconds : float
        How long it took.
    constant : tuple of str
        Variations of which the held-out muons show no dependence on the features: their mean is given.
    """

    model: FactorModel
    steps: int
    seconds: float
    constant: tuple[str, ...]


def fit(
    muons: CategorySample,
    factors: Mapping[str, Float32],
    start: float,
    edges: Sequence[float] = (),
    *,
    seed: int = 1,
    steps: int = STEPS,
    hidden: Sequence[int] = HIDDEN,
    others: Mapping[str, FactorOf] | None = None,
) -> Fitted:
    """Train a network of the mean factors of a category's muons.

    Parameters
    ----------
    muons : CategorySample
        Parts ``train`` and ``validation`` are used.
    factors : mapping of str to float32[n]
        Of the variations, by column; finite and not negative.
    start : float
        z of the target's start, cm.
    edges : sequence of float
        z where materials meet, cm.
    seed : int
        Decides everything random.
    steps : int
        Of the training.
    hidden : sequence of int
        Nodes of the hidden layers.
    others : mapping of str to callable
        Further factors that follow from the features, float32[n, d] -> float32[n], 1 on average.

    Raises
    ------
    InputError
        A factor is negative or not finite, or there is no muon to learn from or to choose by.
    """
    began = time.monotonic()
    others = others or {}
    columns = (*factors, *others)
    if not columns:
        raise InputError(f"{muons.category.name}: there is no variation to learn")
    pools = [
        _Pool.draw(muons, factors, part, start, number, (seed, muons.category.number, _DRAWN)).plus(others)
        for part, number in (("train", _POOL), ("validation", _HELD_OUT))
    ]
    train = pools[0]
    inputs = VariationInputs.fit(train.features, np.ones(len(train.features)), train.factors, start, edges)
    low, high = _ends(train.factors)
    scale = np.maximum(train.factors.std(0, dtype=np.float64), 1e-6)
    mean = train.factors.mean(0, dtype=np.float64)
    plain = np.array([_mean_factor(muons, column) for column in factors.values()] + [1.0] * len(others))
    # In units of each variation's own deviations.
    wanted = [((pool.factors - mean) / scale).astype(np.float32) for pool in pools]
    looked = [inputs(pool.features).astype(np.float32) for pool in pools]
    varied = high > low
    layers = _train(looked, wanted, (seed, muons.category.number), steps, hidden)
    bends = _bends(looked[0])
    kernel, bias, useful = _solve(layers, bends, looked, wanted)
    useful &= varied
    kernel, bias = kernel * np.where(useful, scale, 0), np.where(useful, bias * scale + mean, plain)
    model = FactorModel(columns, inputs, (*layers, kernel, bias), bends, low, high)
    constant = tuple(name for name, one in zip(columns, useful, strict=True) if not one)
    return Fitted(model, steps, time.monotonic() - began, constant)


def _ends(factors: Float32) -> tuple[Float64, Float64]:
    """Return the least and the largest factor of each variation, float64[v] both; the least is above 0."""
    mean = factors.mean(0, dtype=np.float64)
    low = np.maximum(factors.min(0).astype(np.float64), _LEAST * np.maximum(mean, _LEAST))
    return low, np.maximum(factors.max(0).astype(np.float64), low)


@dataclass(frozen=True)
class _Pool:
    """Muons drawn by their weights, those of tails more often: float32[n, d], and factors float32[n, v]."""

    features: Float32
    factors: Float32

    @classmethod
    def draw(
        cls,
        muons: CategorySample,
        factors: Mapping[str, Float32],
        part: str,
        start: float,
        number: int,
        key: tuple[int, ...],
    ) -> _Pool:
        """Draw at most `number` muons of a part."""
        rows = np.flatnonzero(muons.split == SPLITS.index(part))
        random = np.random.default_rng(np.random.SeedSequence((*key, SPLITS.index(part))))
        if len(rows) > 2 * number:
            rows = np.sort(random.choice(rows, 2 * number, replace=False))
        weights = tame(np.asarray(muons.weights[rows], np.float64))[0]
        if not weights.sum() > 0:
            raise InputError(f"no muon of {muons.category.name} in the part {part}: prepare a larger sample")
        features = np.asarray(muons.features[rows])
        share = np.cumsum(weights * flattening(features, weights, start))
        n = min(number, _OFTEN * len(rows))
        # One in each of n equal parts: less noise than drawing each on its own.
        places = (np.arange(n) + random.random(n)) / n * share[-1]
        chosen = np.minimum(np.searchsorted(share, places, side="right"), len(rows) - 1)
        drawn = np.empty((n, len(factors)), np.float32)
        for place, column in enumerate(factors.values()):
            drawn[:, place] = column[rows][chosen]
        for name, values in zip(factors, drawn.T, strict=True):
            if not (np.isfinite(values).all() and values.min() >= 0):
                raise InputError(f"{muons.category.name}: {name} has a factor that is negative or not finite")
        return cls(features[chosen], drawn)

    def plus(self, others: Mapping[str, FactorOf]) -> _Pool:
        """Return the pool with further factors."""
        more = [np.asarray(factor(self.features), np.float32) for factor in others.values()]
        return _Pool(self.features, np.column_stack([self.factors, *more])) if more else self


def flattening(features: Float32, weights: Float64, start: float) -> Float64:
    """Return how many times as often muons are to be drawn, so that bins of each quantity have their share.

    Parameters
    ----------
    features : float32[n, d]
        (x, y,) z, px, py, pz in cm and GeV.
    weights : float64[n]
    start : float
        z of the target's start, cm.
    """
    q = Quantities.of_rows(features.astype(np.float64), start)
    whole = float(weights.sum())
    found = np.zeros(len(weights))
    names = [name for name in BINNED if name in q]
    for name in names:
        places = bin_of(name, q[name])
        share = np.bincount(places, weights, minlength=BINS) / whole
        found += np.minimum(1 / (BINS * np.maximum(share[places], 1e-12)), _MOST)
    return 1 + found / len(names)


def bin_of(name: str, values: Float64, bins: int = BINS) -> Int64:
    """Return in which of `bins` from the least to the largest value each lies; p and pT by logarithm."""
    scaled = np.log(np.maximum(values, 1e-3)) if name in ("p", "pt") else values
    low, high = float(scaled.min()), float(scaled.max())
    return np.clip((scaled - low) / max(high - low, 1e-9) * bins, 0, bins - 1).astype(np.int64)


def _train(
    looked: Sequence[Float32],
    wanted: Sequence[Float32],
    seed: tuple[int, int],
    steps: int,
    hidden: Sequence[int],
) -> list[Float64]:
    """Return the hidden layers of the network that was best for the held-out muons."""
    from shipgen_export.backend import configure, keras, tf
    from shipgen_export.models.dense import apply_dense, make_dense

    configure(1)
    sizes = [looked[0].shape[1], *hidden, wanted[0].shape[1]]
    random = np.random.default_rng(np.random.SeedSequence((*seed, _KERNELS)))
    variables = make_dense(sizes, random, last=0.3)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps, alpha=1e-2))
    optimizer.build(variables)

    def activation(values: Any) -> Any:
        return tf.nn.leaky_relu(values, SLOPE)

    def loss(values: Any, factors: Any) -> Any:
        return tf.reduce_mean((apply_dense(variables, values, activation) - factors) ** 2)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def gradients(values: Any, factors: Any) -> Any:
        with tf.GradientTape() as tape:
            found = loss(values, factors)
        return tape.gradient(found, variables)

    @tf.function  # type: ignore[untyped-decorator]
    def some(values: Any, factors: Any) -> None:
        for k in tf.range(tf.shape(values)[0]):
            optimizer.apply(gradients(values[k], factors[k]), variables)

    drawn = np.random.default_rng(np.random.SeedSequence((*seed, _CHOSEN)))
    evaluate = tf.function(loss, jit_compile=True)
    best, kept = np.inf, [one.numpy() for one in variables]
    done = 0
    while done < steps:
        count = min(_LOOK, steps - done)
        chosen = drawn.integers(0, len(looked[0]), (count, BATCH))
        some(tf.constant(looked[0][chosen]), tf.constant(wanted[0][chosen]))
        done += count
        now = float(evaluate(looked[1], wanted[1]))
        if now < best:
            best, kept = now, [one.numpy() for one in variables]
    return [one.astype(np.float64) for one in kept[:-2]]


def _mean_factor(muons: CategorySample, factors: Float32) -> float:
    """Return the mean factor of the muons that are learnt from."""
    chosen = muons.split == SPLITS.index("train")
    weights = np.asarray(muons.weights[chosen], np.float64)
    return float(weights @ factors[chosen] / weights.sum())


def _bends(looked: Float32) -> tuple[Float64, Float64]:
    """Return nodes that bend along each input but the last, at its quantiles: kernel and bias."""
    kernels, biases = [], []
    width = looked.shape[1]
    for place, column in enumerate(looked.T[:-1]):
        for knot in np.unique(np.quantile(column, np.linspace(0, 1, _KNOTS + 2)[1:-1])):
            kernels.append(np.eye(width)[place])
            biases.append(-float(knot))
    return np.stack(kernels, axis=1), np.array(biases)


def _solve(
    layers: list[Float64],
    bends: tuple[Float64, Float64],
    looked: Sequence[Float32],
    wanted: Sequence[Float32],
) -> tuple[Float64, Float64, NDArray[np.bool_]]:
    """Return kernel and bias of the last layer with the least squared error, and which columns they help.

    Weights are kept as small as suits the held-out muons best, each variation's by itself.
    """
    square, product = _products(layers, bends, looked[0], wanted[0])
    other, crossed = _products(layers, bends, looked[1], wanted[1])
    number = other[-1, -1]
    # What the mean alone leaves, to begin with.
    best = np.zeros(wanted[0].shape[1])
    solution = np.zeros((len(square), len(best)))
    for ridge in _RIDGES:
        damped = square + ridge * np.diag(np.append(np.diag(square)[:-1], 0)) + 1e-9 * np.eye(len(square))
        found = np.linalg.solve(damped, product)
        change = (np.einsum("kv,kl,lv->v", found, other, found) - 2 * (found * crossed).sum(0)) / number
        better = change < best
        best, solution = np.where(better, change, best), np.where(better, found, solution)
    return solution[:-1], solution[-1], best < 0


def _products(
    layers: list[Float64], bends: tuple[Float64, Float64], looked: Float32, wanted: Float32
) -> tuple[Float64, Float64]:
    """Return the sums of products of what the last layer takes with itself, and with what is wanted."""
    size = len(layers[-1]) + len(bends[1]) + 1
    square, product = np.zeros((size, size)), np.zeros((size, wanted.shape[1]))
    for first in range(0, len(looked), 100_000):
        part = last_values(layers, bends, looked[first : first + 100_000].astype(np.float64))
        part = np.column_stack([part, np.ones(len(part))])
        square += part.T @ part
        product += part.T @ wanted[first : first + 100_000]
    return square, product
