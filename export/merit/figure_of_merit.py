"""The figure of merit: how well a classifier tells generated muons from simulated ones.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), section 4: boosted decision trees are trained on
50,000 real and as many generated muons and applied to as many others. Area under the ROC curve, reduced chi2
and overlap compare what the trees say of the two. Two further forms: a fast one for use during training and a
hard one, with more trees and derived features. In all of them a real muon counts with its weight.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float32, Float64, Int64

_BINS = 100
_FEWEST_ENTRIES = 9


@dataclass(frozen=True)
class Form:
    """One form of the figure of merit.

    Attributes
    ----------
    classifier : str
        A class of `sklearn.ensemble`.
    muons : int
        Muons of each kind that it is trained on, and applied to, at most.
    settings : dict
        The classifier's settings.
    derived : bool
        Whether it also sees p, pT, r and azimuths.
    """

    classifier: str
    muons: int
    settings: dict[str, Any] = field(default_factory=dict)
    derived: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what decides the figure as plain values."""
        seen = {"derived_features": True} if self.derived else {}
        return {"name": self.classifier, **self.settings, **seen}

    @property
    def trees(self) -> int:
        """How many trees are grown."""
        return int(self.settings.get("n_estimators") or self.settings["max_iter"])


#: Early stopping is off: it would judge by muons of the same protons.
FORMS = {
    #: The source's own.
    "source": Form(
        "GradientBoostingClassifier", 50_000, {"n_estimators": 100, "learning_rate": 0.1, "max_depth": 4}
    ),
    "fast": Form(
        "HistGradientBoostingClassifier",
        20_000,
        {"max_iter": 100, "learning_rate": 0.1, "early_stopping": False},
    ),
    #: Faster learning overfits on 30,000 muons, and sees less.
    "hard": Form(
        "HistGradientBoostingClassifier",
        200_000,
        {"max_iter": 500, "learning_rate": 0.05, "min_samples_leaf": 100, "early_stopping": False},
        derived=True,
    ),
}


@dataclass(frozen=True, eq=False)
class Muons:
    """Muons to compare.

    Attributes
    ----------
    features : float32[n, d]
        In the category's order, cm and GeV.
    weights : float64[n]
        In any unit.
    group : int64[n]
        Proton each comes from; muons of one proton are not independent.
    """

    features: Float32
    weights: Float64
    group: Int64

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def independent(cls, features: Float32) -> Self:
        """Return muons of equal weight and a proton each, such as generated ones."""
        return cls(features, np.ones(len(features)), np.arange(len(features)))

    def at(self, index: Any) -> Muons:
        """Return the muons at `index`, a mask or places."""
        return Muons(self.features[index], self.weights[index], self.group[index])


def thin(muons: Muons, limit: int, random: np.random.Generator) -> Muons:
    """Draw at most `limit` muons in proportion to their weights, and give them the weights that are left.

    Up to `limit` muons stay as they are. Of more, those heavier than a threshold t stay with their weights
    w, the others with probability w / t and weight t: no muon comes twice, and every sum of weights stays
    right on average (threshold sampling; N. Duffield, C. Lund and M. Thorup, J. ACM 54 (2007) 32).

    Parameters
    ----------
    muons : Muons
        What to draw from; those without weight are dropped.
    limit : int
        How many to draw at most.
    random : numpy.random.Generator
        Source of the one offset of systematic sampling.

    Raises
    ------
    InputError
        There is no muon with weight.
    """
    muons = muons.at(muons.weights > 0)
    if not len(muons):
        raise InputError(
            "the figure of merit needs held-out muons and there are none: prepare a larger sample"
        )
    if len(muons) <= limit:
        return muons
    heaviest = np.sort(muons.weights)[::-1][:limit]
    # t if the k heaviest stay as they are; the first that none of the others exceeds is the right one.
    thresholds = (muons.weights.sum() - np.cumsum(heaviest) + heaviest) / np.arange(limit, 0, -1)
    threshold = thresholds[np.argmax(heaviest <= thresholds)]
    cumulative = np.cumsum(np.minimum(1, muons.weights / threshold))
    places = np.searchsorted(cumulative, np.arange(limit) + random.random(), side="right")
    index = np.unique(np.minimum(places, len(muons) - 1))
    chosen = muons.at(index)
    return Muons(chosen.features, np.maximum(chosen.weights, threshold), chosen.group)


def derived(features: Float32) -> Float32:
    """Return features with p, pT, azimuth of the momentum and, off axis, r, azimuth and azimuth difference.

    Parameters
    ----------
    features : float32[n, d]
        Columns (x, y,) z, px, py, pz in cm and GeV.

    Returns
    -------
    float32[n, d + 3] or float32[n, d + 6]
        The difference of the azimuths of momentum and position lies in [0, pi].
    """
    *position, _, px, py, pz = features.T.astype(np.float64)
    columns = [np.hypot(np.hypot(px, py), pz), np.hypot(px, py), np.arctan2(py, px)]
    if position:
        x, y = position
        azimuth = np.arctan2(y, x)
        between = np.abs((columns[2] - azimuth + np.pi) % (2 * np.pi) - np.pi)
        columns += [np.hypot(x, y), azimuth, between]
    return np.column_stack([features, *columns]).astype(np.float32)


@dataclass(frozen=True)
class FigureOfMerit:
    """What the classifier says of one sample against another.

    Attributes
    ----------
    auc : float
        Area under the ROC curve on muons it was not trained on: 0.5 when it cannot tell, 1 when it can.
    auc_error : float
        Its standard error.
    chi2 : float or None
        Reduced chi2 of the two histograms of its output, 1 when they agree; ``None`` without a bin to use.
    chi2_bins : int
        Bins of width 0.01 on [0, 1] with more than 9 (effective) entries in both, which chi2 is taken over.
    chi2_share : float
        Share of the weight in these bins, of the sample that has less there; where small, chi2 says little.
    overlap : float
        Common area of the two histograms, each normalised to 1: 1 when they are equal, 0 when disjoint.
    fitted, applied : int
        Muons of each kind that the classifier was trained on and applied to (of the fewer, where unequal).
    """

    auc: float
    auc_error: float
    chi2: float | None
    chi2_bins: int
    chi2_share: float
    overlap: float
    fitted: int
    applied: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain numbers."""
        return asdict(self)


def _share_below(values: Float64, others: Float64, weights: Float64) -> Float64:
    """Return for each value the share of the others' weight that lies below it, ties counting half."""
    order = np.argsort(others)
    cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])
    first, last = (np.searchsorted(others[order], values, side) for side in ("left", "right"))
    return np.asarray((cumulative[first] + cumulative[last]) / (2 * cumulative[-1]))


def _variance_of_mean(values: Float64, muons: Muons) -> float:
    """Return the variance of the weighted mean of `values`; muons of a proton vary together."""
    mean = np.average(values, weights=muons.weights)
    group = np.unique(muons.group, return_inverse=True)[1]
    sums = np.bincount(group, muons.weights * (values - mean))
    protons = len(sums)
    return float(np.square(sums).sum() / muons.weights.sum() ** 2 * protons / max(1, protons - 1))


def roc_auc(real: Muons, generated: Muons, outputs: tuple[Float64, Float64]) -> tuple[float, float]:
    """Return area under the ROC curve and its standard error, with weights.

    The error is that of E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988) 837, in
    the form for clusters of N. A. Obuchowski, Biometrics 53 (1997) 567, a proton being a cluster.

    Parameters
    ----------
    real, generated : Muons
        What the classifier was applied to, m and n of them.
    outputs : pair of float64[m] and float64[n]
        The classifier's output for the two; high means real.
    """
    # For each real muon the share of generated ones below it, and the other way round.
    below = _share_below(outputs[0], outputs[1], generated.weights)
    above = 1 - _share_below(outputs[1], outputs[0], real.weights)
    variance = _variance_of_mean(below, real) + _variance_of_mean(above, generated)
    return float(np.average(below, weights=real.weights)), float(np.sqrt(variance))


def compare_histograms(
    real: Muons, generated: Muons, outputs: tuple[Float64, Float64]
) -> tuple[float | None, int, float, float]:
    """Return reduced chi2, number and share of its bins, and overlap of two outputs in 100 bins on [0, 1].

    With shares A and B of the weight in a bin, chi2 is the mean over the bins used of (A - B)^2 / (variance
    of A + variance of B). For equal numbers without weights that is the source's (a - b)^2 / (a + b). A
    bin's effective entries are (sum of weights)^2 / (sum of squared weights).

    Parameters as for `roc_auc`.
    """
    shares, variances, entries = [], [], []
    for muons, output in zip((real, generated), outputs, strict=True):
        sums, squares = (
            np.histogram(output, _BINS, (0, 1), weights=muons.weights**power)[0] for power in (1, 2)
        )
        total = muons.weights.sum()
        shares.append(sums / total)
        variances.append(squares / total**2)
        entries.append(np.divide(sums**2, squares, out=np.zeros(_BINS), where=squares > 0))
    overlap = float(np.minimum(*shares).sum())
    # Rounding must not lift a bin of exactly 9 equal weights above 9.
    used = np.minimum(*entries) > _FEWEST_ENTRIES * (1 + 1e-9)
    share = float(min(each[used].sum() for each in shares))
    terms = (shares[0] - shares[1])[used] ** 2 / (variances[0] + variances[1])[used]
    return float(terms.mean()) if used.any() else None, int(used.sum()), share, overlap


def classify(
    real: tuple[Muons, Muons],
    generated: tuple[Muons, Muons],
    seed: int,
    form: Form = FORMS["source"],
    advance: Callable[[float], None] = lambda _: None,
) -> tuple[Float64, Float64]:
    """Train a classifier on the first of each pair and return its output for the second.

    Trees are grown by one thread, so that the output does not depend on the number of cores.

    Parameters
    ----------
    real, generated : pair of Muons
        To train on and, from other protons, to apply to; for a control both are simulated.
    seed : int
        Of the classifier.
    form : Form
        Which classifier; its limit on the number of muons is the caller's business.
    advance : callable, optional
        Called with numbers of trees grown.

    Returns
    -------
    pair of float64[m] and float64[n]
        In [0, 1]; high means real.
    """
    try:
        import sklearn.ensemble
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("the figure of merit", "scikit-learn", "train") from error

    def monitor(*_: object) -> bool:
        advance(1)
        return False

    seen = derived if form.derived else np.asarray
    classifier = getattr(sklearn.ensemble, form.classifier)(**form.settings, random_state=seed % 2**32)
    by_tree = "n_estimators" in form.settings
    # Both kinds have the same sum of weights, and a muon weighs about 1, which settings refer to.
    weights = [kind[0].weights / kind[0].weights.mean() for kind in (real, generated)]
    weights[0] *= len(weights[1]) / len(weights[0])
    features = np.concatenate([seen(kind[0].features) for kind in (real, generated)])
    labels = np.repeat([1, 0], [len(real[0]), len(generated[0])])
    with threadpool_limits(1, user_api="openmp"):
        classifier.fit(
            features,
            labels,
            sample_weight=np.concatenate(weights),
            **({"monitor": monitor} if by_tree else {}),
        )
        outputs = [classifier.predict_proba(seen(kind[1].features))[:, 1] for kind in (real, generated)]
    if not by_tree:
        advance(form.trees)
    return outputs[0], outputs[1]


def figure_of_merit(
    real: tuple[Muons, Muons],
    generated: tuple[Muons, Muons],
    seed: int,
    form: Form = FORMS["source"],
    advance: Callable[[float], None] = lambda _: None,
) -> FigureOfMerit:
    """Train a classifier on a pair of samples and apply it to another; parameters as for `classify`."""
    return merit_of(real, generated, classify(real, generated, seed, form, advance))


def merit_of(
    real: tuple[Muons, Muons], generated: tuple[Muons, Muons], outputs: tuple[Float64, Float64]
) -> FigureOfMerit:
    """Return the figures of what `classify` gave for the same two pairs."""
    auc, auc_error = roc_auc(real[1], generated[1], outputs)
    chi2, bins, share, overlap = compare_histograms(real[1], generated[1], outputs)
    fitted, applied = (min(len(real[i]), len(generated[i])) for i in (0, 1))
    return FigureOfMerit(auc, auc_error, chi2, bins, share, overlap, fitted, applied)
