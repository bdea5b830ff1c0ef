"""How good a generator is: the figure of merit on muons that training has not seen, in training and after it.

During training only the part ``validation`` is used, halved by proton: the classifier is trained on one half
and applied to the other. The measure at the end trains it on ``validation`` and applies it to ``test``, which
nothing before has looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError, ShipgenError
from shipgen.progress import progress
from shipgen_export.merit.classifiers import FORMS, classify
from shipgen_export.merit.figure_of_merit import figure_of_merit, merit_of
from shipgen_export.merit.weighted_muons import WeightedMuons, thin
from shipgen_export.sample.sample import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shipgen.muons.columns import Array, Float32, Float64
    from shipgen_export.sample.sample import CategorySample

#: Muons of each kind that the source's classifier is trained on, and applied to.
MUONS = FORMS["source"].muons

#: What is kept of an evaluation during training; see `FigureOfMerit`.
FIGURES = ("auc", "auc_error", "chi2", "chi2_bins", "chi2_share", "overlap")

#: Muons generated at once, which bounds the memory a wide network takes.
_SLICE = 10_000

#: Networks are compared by chi2 where its bins hold this share of both samples at least.
_LEAST_SHARE = 0.5

#: Streams of random numbers.
_FINAL, _DURING = 1, 2


def _distance(name: str, best: float) -> Callable[[Mapping[str, Any]], float]:
    """Return a key function: how far the merit called `name` is from `best`, infinity without a value."""

    def key(merits: Mapping[str, Any]) -> float:
        value = merits.get(name)
        distance = abs(float(value) - best) if value not in {None, ""} else np.inf
        return distance if distance == distance else np.inf  # noqa: PLR0124 (NaN is not equal to itself)

    return key


def _chi2(merits: Mapping[str, Any]) -> float:
    """Return chi2 where its bins hold enough of both samples, infinity elsewhere.

    Two samples that are hardly alike share a few bins at most, and may agree there.
    """
    share = float(merits.get("chi2_share") or 0)
    return _distance("chi2", 0.0)(merits) if share >= _LEAST_SHARE else np.inf


#: Measure -> key function of merits: smaller is better; infinity where the measure has no value.
MEASURES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "auc": _distance("auc", 0.5),
    "chi2": _chi2,
    "overlap": _distance("overlap", 1.0),
}


def generate(generator: Any, sample: CategorySample, muons: int, random: np.random.Generator) -> Float32:
    """Return muons in physical units made by a Keras generator, float32[muons, d], cm and GeV.

    Raises
    ------
    ShipgenError
        One is NaN or infinite.
    """
    latent_size = generator.input_shape[1]
    made = np.empty((muons, len(sample.form.features)), np.float32)
    for first in range(0, muons, _SLICE):
        part = made[first : first + _SLICE]
        latent = random.standard_normal((len(part), latent_size), np.float32)
        part[:] = sample.form.inverse(np.asarray(generator(latent, training=False), np.float64))
    if not np.isfinite(made).all():
        raise ShipgenError(
            f"the network of {sample.category.name} makes muons that are NaN or infinite: train again with a "
            "lower learning rate"
        )
    return made


def _muons(sample: CategorySample, chosen: Array) -> WeightedMuons:
    return WeightedMuons(sample.features[chosen], sample.weights[chosen], sample.group[chosen])


def _part(sample: CategorySample, name: str) -> WeightedMuons:
    return _muons(sample, sample.split == SPLITS.index(name))


def _halves(muons: WeightedMuons) -> tuple[WeightedMuons, WeightedMuons]:
    """Split by proton: every other one."""
    half = np.unique(muons.group, return_inverse=True)[1] % 2
    return muons.at(half == 0), muons.at(half == 1)


@dataclass(frozen=True)
class Evaluation:
    """What `Evaluator` found.

    Attributes
    ----------
    merits : dict of str to float or None
        ``auc``, ``auc_error``, ``chi2``, ``chi2_bins``, ``chi2_share`` and ``overlap`` of the fast form.
    real, generated : float32[n, d], float32[n, d]
        The muons compared, cm and GeV.
    real_output, generated_output : float64[m], float64[m]
        The classifier's output for those that it was applied to, the last m.
    real_weights : float64[n], optional
        Of the real muons; ``None`` when they are equal. Generated muons have none.
    """

    merits: dict[str, float | None]
    real: Float32
    generated: Float32
    real_output: Float64
    generated_output: Float64
    real_weights: Float64 | None = None


class Evaluator:
    """The fast figure of merit on validation muons, which are drawn once.

    Parameters
    ----------
    sample : CategorySample
        Its part ``validation`` is used.
    seed : int
        Decides the muons drawn, the latents (the same in every call) and the classifier.
    muons : int
        Muons of each kind at most, to train on and to apply to.

    Raises
    ------
    InputError
        The validation part has no two protons with weight.
    """

    def __init__(self, sample: CategorySample, seed: int, muons: int = FORMS["fast"].muons) -> None:
        self._sample = sample
        self._seed = seed
        random = self._random(0)
        halves = _halves(_part(sample, "validation"))
        if any(not half.weights.sum() > 0 for half in halves):
            raise InputError(
                f"{sample.category.name} has no two protons in its validation part, needed to compare "
                "networks during training: prepare a larger sample"
            )
        self._real = (thin(halves[0], muons, random), thin(halves[1], muons, random))

    def _random(self, stream: int) -> np.random.Generator:
        key = (self._seed, self._sample.category.number, _DURING, stream)
        return np.random.default_rng(np.random.SeedSequence(key))

    def __call__(self, generator: Any) -> Evaluation:
        """Evaluate a Keras generator, latent -> normalised features; the same one gives the same figures."""
        fit, applied = self._real
        made = generate(generator, self._sample, len(fit) + len(applied), self._random(1))
        generated = WeightedMuons.independent(made[: len(fit)]), WeightedMuons.independent(made[len(fit) :])
        outputs = classify(self._real, generated, self._seed, FORMS["fast"])
        merit = merit_of(self._real, generated, outputs)
        return Evaluation(
            {name: getattr(merit, name) for name in FIGURES},
            np.concatenate([fit.features, applied.features]),
            made,
            *outputs,
            real_weights=np.concatenate(
                [part.weights * len(part) / part.weights.sum() for part in self._real]
            ),
        )


def measure(sample: CategorySample, generator: Any, seed: int, muons: int | None = None) -> dict[str, Any]:
    """Return the figures of merit of `generator` and controls with real muons in its place, as plain values.

    The classifier is trained on the validation part and applied to the test part. The control's muons come
    from the training part, those to train on and those to apply to from different protons: it is what a
    perfect generator would get from this sample.

    Parameters
    ----------
    sample : CategorySample
        The category's muons.
    generator : keras.Model
        Latent -> normalised features.
    seed : int
        Decides the muons drawn, the latents and the classifier.
    muons : int, optional
        Muons of each kind at most, to train on and to apply to; what each form takes when not given.

    Returns
    -------
    dict
        The source's form, the hard one under ``"hard"``, each with ``"classifier"`` and ``"control"``.
    """
    found: dict[str, dict[str, Any]] = {}
    random = np.random.default_rng(np.random.SeedSequence((seed, sample.category.number, _FINAL)))
    halves = _halves(_part(sample, "train"))
    forms = {name: FORMS[name] for name in ("source", "hard")}
    trees = 2 * sum(form.trees for form in forms.values())
    with progress(f"comparing {sample.category.name}", trees, "trees") as advance:
        for name, form in forms.items():
            limit = form.muons if muons is None else muons
            fit, applied = (thin(_part(sample, part), limit, random) for part in ("validation", "test"))
            made = generate(generator, sample, len(fit) + len(applied), random)
            generated = (
                WeightedMuons.independent(made[: len(fit)]),
                WeightedMuons.independent(made[len(fit) :]),
            )
            control = thin(halves[0], len(fit), random), thin(halves[1], len(applied), random)
            merit, real = (
                figure_of_merit((fit, applied), other, seed, form, advance) for other in (generated, control)
            )
            found[name] = {
                "classifier": form.to_json(),
                "seed": seed,
                **merit.to_json(),
                "control": real.to_json(),
            }
    return {**found["source"], "hard": found["hard"]}
