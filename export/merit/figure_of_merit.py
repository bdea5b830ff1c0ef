"""The figure of merit: how well a classifier tells generated muons from simulated ones.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), section 4: boosted decision trees are trained on
50,000 real and as many generated muons and applied to as many others. Area under the ROC curve, reduced chi2
and overlap compare what the trees say of the two. Two further forms: a fast one for use during training and a
hard one, with more trees and derived features. In all of them a real muon counts with its weight.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.merit.classifiers import FORMS, classify

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float64
    from shipgen_export.merit.classifiers import Form
    from shipgen_export.merit.weighted_muons import WeightedMuons

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


def _variance_of_mean(values: Float64, muons: WeightedMuons) -> float:
    """Return the variance of the weighted mean of `values`; muons of a proton vary together."""
    mean = np.average(values, weights=muons.weights)
    group = np.unique(muons.group, return_inverse=True)[1]
    sums = np.bincount(group, muons.weights * (values - mean))
    protons = len(sums)
    return float(np.square(sums).sum() / muons.weights.sum() ** 2 * protons / max(1, protons - 1))


def roc_auc(
    real: WeightedMuons, generated: WeightedMuons, outputs: tuple[Float64, Float64]
) -> tuple[float, float]:
    """Return area under the ROC curve and its standard error, with weights.

    The error is that of E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988) 837, in
    the form for clusters of N. A. Obuchowski, Biometrics 53 (1997) 567, a proton being a cluster.

    Parameters
    ----------
    real, generated : WeightedMuons
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
    real: WeightedMuons, generated: WeightedMuons, outputs: tuple[Float64, Float64]
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


def figure_of_merit(
    real: tuple[WeightedMuons, WeightedMuons],
    generated: tuple[WeightedMuons, WeightedMuons],
    seed: int,
    form: Form = FORMS["source"],
    advance: Callable[[float], None] = lambda _: None,
) -> FigureOfMerit:
    """Train a classifier on a pair of samples and apply it to another; parameters as for `classify`."""
    return merit_of(real, generated, classify(real, generated, seed, form, advance))


def merit_of(
    real: tuple[WeightedMuons, WeightedMuons],
    generated: tuple[WeightedMuons, WeightedMuons],
    outputs: tuple[Float64, Float64],
) -> FigureOfMerit:
    """Return the figures of what `classify` gave for the same two pairs."""
    auc, auc_error = roc_auc(real[1], generated[1], outputs)
    chi2, bins, share, overlap = compare_histograms(real[1], generated[1], outputs)
    fitted, applied = (min(len(real[i]), len(generated[i])) for i in (0, 1))
    return FigureOfMerit(auc, auc_error, chi2, bins, share, overlap, fitted, applied)
