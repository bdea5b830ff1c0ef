"""The classifiers of the figure of merit: which there are, what they see, and scikit-learn's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import MissingExtraError
from shipgen.muons.quantities import Quantities

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.merit.weighted_muons import WeightedMuons


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
    known = Quantities.of_rows(features)
    columns = [known[name] for name in ("p", "pt", "phi", "r", "phi_xy", "dphi") if name in known]
    return np.column_stack([features, *columns]).astype(np.float32)


def classify(
    real: tuple[WeightedMuons, WeightedMuons],
    generated: tuple[WeightedMuons, WeightedMuons],
    seed: int,
    form: Form = FORMS["source"],
    advance: Callable[[float], None] = lambda _: None,
) -> tuple[Float64, Float64]:
    """Train a classifier on the first of each pair and return its output for the second.

    Trees are grown by one thread, so that the output does not depend on the number of cores.

    Parameters
    ----------
    real, generated : pair of WeightedMuons
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
