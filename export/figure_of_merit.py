"""The source's figure of merit: how well a classifier tells generated muons from simulated ones.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), section 4: boosted decision trees are trained on
50,000 real and as many generated muons and applied to as many others. Area under the ROC curve, reduced chi2
and overlap compare what the trees say of the two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError, MissingExtraError
from shipgen_export.sample import effective_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.columns import Float32, Float64

#: Muons of each kind that the classifier is trained on, and applied to.
MUONS = 50_000

#: The classifier's settings in the source.
CLASSIFIER = {"n_estimators": 100, "learning_rate": 0.1, "max_depth": 4}

_BINS = 100
_FEWEST_ENTRIES = 9


@dataclass(frozen=True)
class FigureOfMerit:
    """What the classifier says of one sample against another.

    Attributes
    ----------
    auc : float
        Area under the ROC curve on muons it was not trained on: 0.5 when it cannot tell, 1 when it can.
    auc_error : float
        Its standard error (DeLong, DeLong and Clarke-Pearson 1988).
    chi2 : float or None
        Reduced chi2 of the two histograms of its output, 1 when they agree; ``None`` without a bin to use.
    chi2_bins : int
        Bins of width 0.01 on [0, 1] with more than 9 entries in both, which chi2 is taken over.
    overlap : float
        Common area of the two histograms, each normalised to 1: 1 when they are equal, 0 when disjoint.
    fitted, applied : int
        Muons of each kind that the classifier was trained on and applied to.
    """

    auc: float
    auc_error: float
    chi2: float | None
    chi2_bins: int
    overlap: float
    fitted: int
    applied: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain numbers."""
        return asdict(self)


def draw(features: Float32, weights: Float64, limit: int, random: np.random.Generator) -> Float32:
    """Draw muons in proportion to their weights by systematic resampling, which repeats as few as possible.

    Parameters
    ----------
    features : float32[n, d]
        The muons.
    weights : float64[n]
        Their weights.
    limit : int
        How many to draw at most. No more are drawn than the effective size of the sample, so that
        statistical errors hold.
    random : numpy.random.Generator
        Source of the one offset and of the order.

    Raises
    ------
    InputError
        There is no muon with weight.
    """
    size = min(limit, int(effective_size(weights)))
    if size < 1:
        raise InputError(
            "the figure of merit needs held-out muons and there are none: prepare a larger sample"
        )
    cumulative = np.cumsum(weights)
    places = (np.arange(size) + random.random()) * (cumulative[-1] / size)
    index = np.minimum(np.searchsorted(cumulative, places, side="right"), len(weights) - 1)
    return features[random.permutation(index)]


def roc_auc(real: Float64, generated: Float64) -> tuple[float, float]:
    """Return area under the ROC curve and its standard error.

    The error is that of E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988) 837, in
    the form with mid-ranks of X. Sun and W. Xu, IEEE Signal Process. Lett. 21 (2014) 1389.

    Parameters
    ----------
    real, generated : float64[m], float64[n]
        The classifier's output; high means real.
    """
    from scipy.stats import rankdata

    m, n = len(real), len(generated)
    ranks = rankdata(np.concatenate([real, generated]))
    # For each real muon the share of generated ones below it, and the other way round.
    below = (ranks[:m] - rankdata(real)) / n
    above = 1 - (ranks[m:] - rankdata(generated)) / m
    variance = sum(part.var(ddof=1) / len(part) for part in (below, above) if len(part) > 1)
    return float(below.mean()), float(np.sqrt(variance))


def compare_histograms(real: Float64, generated: Float64) -> tuple[float | None, int, float]:
    """Return reduced chi2, its number of bins, and overlap of two outputs in 100 bins on [0, 1].

    With a and b entries in a bin and m and n in all, chi2 is the mean over the bins used of
    (a sqrt(n / m) - b sqrt(m / n))^2 / (a + b), which is the source's (a - b)^2 / (a + b) when m = n.

    Parameters
    ----------
    real, generated : float64[m], float64[n]
        The classifier's output.
    """
    m, n = len(real), len(generated)
    a, b = (np.histogram(output, _BINS, (0, 1))[0] for output in (real, generated))
    used = (a > _FEWEST_ENTRIES) & (b > _FEWEST_ENTRIES)
    overlap = float(np.minimum(a / m, b / n).sum())
    if not used.any():
        return None, 0, overlap
    terms = (a * np.sqrt(n / m) - b * np.sqrt(m / n))[used] ** 2 / (a + b)[used]
    return float(terms.mean()), int(used.sum()), overlap


def figure_of_merit(
    real: tuple[Float32, Float32],
    generated: tuple[Float32, Float32],
    seed: int,
    advance: Callable[[float], None] = lambda _: None,
) -> FigureOfMerit:
    """Train the classifier on a pair of samples and apply it to another.

    Parameters
    ----------
    real : pair of float32[n, d]
        Simulated muons to train on and, from other protons, to apply to; physical units, no weights.
    generated : pair of float32[n, d]
        Generated muons (for a control: simulated ones). The longer one of a kind is cut.
    seed : int
        Of the classifier.
    advance : callable, optional
        Called with 1 for each of the classifier's 100 trees.

    Raises
    ------
    MissingExtraError
        scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import GradientBoostingClassifier
    except ImportError as error:
        raise MissingExtraError("the figure of merit", "scikit-learn", "train") from error

    fitted, applied = (min(len(real[i]), len(generated[i])) for i in (0, 1))

    def monitor(*_: object) -> bool:
        advance(1)
        return False

    classifier = GradientBoostingClassifier(**CLASSIFIER, random_state=seed % 2**32)
    classifier.fit(
        np.concatenate([real[0][:fitted], generated[0][:fitted]]),
        np.repeat([1, 0], fitted),
        monitor=monitor,
    )
    outputs = [classifier.predict_proba(kind[1][:applied])[:, 1] for kind in (real, generated)]
    auc, auc_error = roc_auc(*outputs)
    chi2, bins, overlap = compare_histograms(*outputs)
    return FigureOfMerit(auc, auc_error, chi2, bins, overlap, fitted, applied)
