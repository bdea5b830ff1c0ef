"""The classifiers of the figure of merit, the same trees in a fraction of the time.

scikit-learn's `GradientBoostingClassifier` sorts every feature anew in every node, and its histogram form
sorts all muons once for each of 255 borders of bins. Here features are sorted once. Trees are the same but
where two splits are equally good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import MissingExtraError
from shipgen_export.merit.classifiers import FORMS, derived

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float32, Float64, Int64
    from shipgen_export.merit.classifiers import Form
    from shipgen_export.merit.weighted_muons import WeightedMuons

#: Values that are no farther apart are equal to scikit-learn's trees (`FEATURE_THRESHOLD`).
_EQUAL = np.float32(1e-7)

#: Variance of the residuals in a node that is not split any more (`EPSILON`).
_PURE = np.finfo(np.float64).eps

#: Bins of a feature in the histogram form (`max_bins`).
_BINS = 255


def classify(
    real: tuple[WeightedMuons, WeightedMuons],
    generated: tuple[WeightedMuons, WeightedMuons],
    seed: int,
    form: Form = FORMS["source"],
    advance: Callable[[float], None] = lambda _: None,
) -> tuple[Float64, Float64]:
    """Train a classifier on the first of each pair, return its output for the second.

    Parameters and result are those of `shipgen_export.merit.classifiers.classify`.
    """
    seen = derived if form.derived else np.asarray
    # Both kinds have the same sum of weights, and a muon weighs about 1, which settings refer to.
    weights = [kind[0].weights / kind[0].weights.mean() for kind in (real, generated)]
    weights[0] *= len(weights[1]) / len(weights[0])
    fitted = np.concatenate([seen(kind[0].features) for kind in (real, generated)])
    applied = np.concatenate([seen(kind[1].features) for kind in (real, generated)])
    labels = np.repeat([1.0, 0.0], [len(real[0]), len(generated[0])])
    grow = _exact if "n_estimators" in form.settings else _by_histograms
    outputs = grow(fitted, labels, np.concatenate(weights), applied, seed, form.settings, advance)
    first, second = np.split(outputs, [len(real[1])])
    return first, second


def _by_histograms(
    fitted: Float32,
    labels: Float64,
    weights: Float64,
    applied: Float32,
    seed: int,
    settings: dict[str, Any],
    advance: Callable[[float], None],
) -> Float64:
    """Give scikit-learn's histogram form the numbers of the bins instead of the features."""
    try:
        import sklearn.ensemble
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("the figure of merit", "scikit-learn", "validate") from error
    codes = [np.empty(each.shape, np.float32) for each in (fitted, applied)]
    for number in range(fitted.shape[1]):
        borders = bin_borders(fitted[:, number], weights)
        for code, features in zip(codes, (fitted, applied), strict=True):
            code[:, number] = np.searchsorted(borders, features[:, number].astype(np.float64))
    classifier = sklearn.ensemble.HistGradientBoostingClassifier(**settings, random_state=seed % 2**32)
    # One thread: the output must not depend on the number of cores.
    with threadpool_limits(1, user_api="openmp"):
        classifier.fit(codes[0], labels, sample_weight=weights)
        outputs = classifier.predict_proba(codes[1])[:, 1]
    advance(settings["max_iter"])
    return np.asarray(outputs)


def bin_borders(values: Float32, weights: Float64) -> Float64:
    """Return the borders of at most 255 bins of about equal weight; a value belongs below its upper border.

    They are the averaged inverse of the weighted cumulative distribution (R. J. Hyndman and Y. Fan, Am.
    Stat. 50 (1996) 361, definition 2), as in scikit-learn; of few distinct values, the middles between them.
    """
    order = np.argsort(values)
    ordered = values[order].astype(np.float64)
    distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    if len(distinct) <= _BINS:
        return np.asarray((distinct[1:] + distinct[:-1]) / 2)
    cumulative = np.cumsum(weights[order])
    levels = np.linspace(0, 100, _BINS + 1)[1:-1] / 100 * cumulative[-1]
    place = np.minimum(np.searchsorted(cumulative, levels), len(ordered) - 1)
    above = cumulative[place] - levels > np.finfo(np.float64).eps
    following = np.minimum(place + 1, len(ordered) - 1)
    found = np.where(above, ordered[place], (ordered[place] + ordered[following]) / 2)
    return np.unique(found)


@dataclass
class _Node:
    """Muons in a node, by each feature ascending: their numbers and values."""

    index: list[Int64]
    values: list[Float32]


def _exact(
    fitted: Float32,
    labels: Float64,
    weights: Float64,
    applied: Float32,
    seed: int,  # noqa: ARG001 (nothing is random)
    settings: dict[str, Any],
    advance: Callable[[float], None],
) -> Float64:
    """Boost trees that try every split, as `GradientBoostingClassifier` with binomial deviance.

    Each tree fits the residuals y - p by weighted least squares; each leaf makes a Newton step
    (J. Friedman, T. Hastie and R. Tibshirani, Ann. Stat. 28 (2000) 337).
    """
    features = [np.ascontiguousarray(column) for column in fitted.T]
    index = [np.argsort(column, kind="stable") for column in features]
    root = _Node(index, [column[order] for column, order in zip(features, index, strict=True)])
    columns = np.ascontiguousarray(applied.T, dtype=np.float64)
    share = np.average(labels, weights=weights)
    start = np.log(share / (1 - share))
    raw, outputs = np.full(len(labels), start), np.full(applied.shape[0], start)
    for _ in range(settings["n_estimators"]):
        residual = labels - 1 / (1 + np.exp(-raw))
        tree = _Tree(root, weights, residual, labels, settings["max_depth"])
        raw += settings["learning_rate"] * tree.fitted
        outputs += settings["learning_rate"] * tree.apply(columns)
        advance(1)
    return np.asarray(1 / (1 + np.exp(-outputs)))


class _Tree:
    """A regression tree of residuals.

    Attributes
    ----------
    fitted : float64[n]
        The leaves' values for the muons that it was fitted to.
    """

    def __init__(self, root: _Node, weights: Float64, residual: Float64, labels: Float64, depth: int) -> None:
        n = len(labels)
        probability = labels - residual
        self._product = weights * residual
        self._square = self._product * residual
        self._curvature = weights * probability * (1 - probability)
        # One array to gather and to add up: the real part is the weighted residual, the other the weight.
        self._both = self._product + 1j * weights
        self._room, self._gain, self._rest = np.empty(n, complex), np.empty(n), np.empty(n)
        self._depth = depth
        self._inside = np.zeros(n, bool)
        self.fitted = np.zeros(n)
        # Of each node: feature, threshold, first of its two children (0 for a leaf), value.
        self._nodes: list[list[float]] = []
        self._grow(root, 0, self._new())

    def _new(self) -> int:
        self._nodes.append([0, np.inf, 0, 0.0])
        return len(self._nodes) - 1

    def _grow(self, node: _Node, depth: int, place: int) -> None:
        split = self._split(node) if depth < self._depth else None
        if split is None:
            members = node.index[0]
            curvature = self._curvature[members].sum()
            value = self._product[members].sum() / curvature if curvature > 1e-150 else 0.0
            self._nodes[place][3] = self.fitted[members] = value
            return
        feature, last, threshold = split
        children = self._new(), self._new()
        self._nodes[place][:3] = feature, threshold, children[0]
        parts = self._parts(node, feature, last, leaves=depth + 1 == self._depth)
        for child, part in zip(children, parts, strict=True):
            self._grow(part, depth + 1, child)

    def _split(self, node: _Node) -> tuple[int, int, float] | None:
        """Return feature, last muon on the left in its order, and threshold of the best split."""
        members = node.index[0]
        total = self._both[members].sum()
        if self._square[members].sum() / total.imag - (total.real / total.imag) ** 2 <= _PURE:
            return None
        best, found = -np.inf, None
        for feature, (index, values) in enumerate(zip(node.index, node.values, strict=True)):
            gain = self._gains(index)
            last = int(np.argmax(gain))
            if values[last + 1] <= values[last] + _EQUAL:
                # Only now it matters which neighbours are equal: it is rare, and takes long to see for all.
                np.copyto(gain, -np.inf, where=values[1:] <= values[:-1] + _EQUAL)
                last = int(np.argmax(gain))
            if gain[last] > best:
                threshold = float(values[last]) / 2 + float(values[last + 1]) / 2
                best, found = gain[last], (feature, last, threshold)
        return found

    def _gains(self, index: Int64) -> Float64:
        """Return what the squared residuals go down by, but for a constant, if split behind each muon."""
        room = self._room[: len(index)]
        np.take(self._both, index, out=room, mode="clip")
        np.cumsum(room, out=room)
        left, weight = room.real[:-1], room.imag[:-1]
        gain, rest = self._gain[: len(left)], self._rest[: len(left)]
        np.square(left, out=gain)
        gain /= weight
        np.subtract(room[-1].real, left, out=rest)
        np.square(rest, out=rest)
        rest /= room[-1].imag - weight
        gain += rest
        return gain

    def _parts(self, node: _Node, feature: int, last: int, *, leaves: bool) -> tuple[_Node, _Node]:
        """Part a node's muons, each feature's order kept; leaves need no order."""
        split = node.index[feature]
        members = split[: last + 1], split[last + 1 :]
        if leaves:
            return _Node([members[0]], []), _Node([members[1]], [])
        self._inside[members[0]] = True
        parts = _Node([], []), _Node([], [])
        for number, (index, values) in enumerate(zip(node.index, node.values, strict=True)):
            if number == feature:
                chosen: Any = (slice(last + 1), slice(last + 1, None))
            else:
                inside = self._inside[index]
                chosen = np.flatnonzero(inside), np.flatnonzero(~inside)
            for part, these in zip(parts, chosen, strict=True):
                part.index.append(index[these])
                part.values.append(values[these])
        self._inside[members[0]] = False
        return parts

    def apply(self, columns: Float64) -> Float64:
        """Return the leaf's value for each muon of float64[d, n]."""
        feature, threshold, child, value = np.array(self._nodes).T
        where, number = np.zeros(columns.shape[1], np.int64), np.arange(columns.shape[1])
        first, start = child.astype(np.int64), feature.astype(np.int64) * columns.shape[1]
        flat = columns.ravel()
        for _ in range(self._depth):
            right = flat[start[where] + number] > threshold[where]
            following = first[where]
            where = np.where(following > 0, following + right, where)
        return np.asarray(value[where])
