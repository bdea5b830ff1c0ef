"""Classifier figures of merit of two samples, with the control of real against real muons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.muons.categories import CATEGORIES
from shipgen_export.merit.boosting import classify
from shipgen_export.merit.classifiers import FORMS
from shipgen_export.merit.figure_of_merit import merit_of
from shipgen_export.merit.weighted_muons import WeightedMuons, thin
from shipgen_export.validation.counting.compared_quantities import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipgen.muons.columns import Float64
    from shipgen_export.merit.figure_of_merit import FigureOfMerit

    Draws = Mapping[str, WeightedMuons]

#: Fewer muons than this in a part tell nothing.
_FEWEST = 200

#: All categories together are told apart by this form alone, with the charge as a feature.
_TOGETHER_FORM = "fast"


@dataclass(frozen=True, eq=False)
class Merit:
    """The figure of merit of one form, of its control, and the classifier's output.

    Attributes
    ----------
    merit : FigureOfMerit
        Reference against generated muons.
    control : FigureOfMerit, optional
        Reference against other muons of the reference: what a perfect generator would get.
    outputs : pair of float64[m] and float64[n]
        The classifier's output for reference and generated muons; high means reference.
    weights : pair of float64[m] and float64[n]
        Of these muons.
    """

    merit: FigureOfMerit
    control: FigureOfMerit | None
    outputs: tuple[Float64, Float64]
    weights: tuple[Float64, Float64]

    @property
    def pull(self) -> float:
        """How many standard errors the AUC is above 0.5."""
        return (self.merit.auc - 0.5) / max(self.merit.auc_error, 1e-12)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {**self.merit.to_json(), "control": self.control.to_json() if self.control else None}


def together(draws: Draws) -> WeightedMuons:
    """Return all muons with features x, y, z, px, py, pz and the charge, x = y = 0 on axis."""
    parts = []
    for category in CATEGORIES:
        muons = draws.get(category.name)
        if muons is None:
            continue
        features = np.zeros((len(muons), 7), np.float32)
        features[:, 6 - len(category.features) : 6] = muons.features
        features[:, 6] = 1 if category.pdg < 0 else -1
        parts.append(WeightedMuons(features, muons.weights, muons.group))
    return WeightedMuons(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.group for part in parts]),
    )


def _split(muons: WeightedMuons, parts: int) -> list[WeightedMuons]:
    """Split muons by proton."""
    of_proton = np.unique(muons.group, return_inverse=True)[1] % parts
    return [muons.at(of_proton == part) for part in range(parts)]


@dataclass(frozen=True, eq=False)
class ClassifierTask:
    """One classifier for one category, with its control.

    Attributes
    ----------
    category, form : str
        Which.
    generated, reference : WeightedMuons
    seed : int
    """

    category: str
    form: str
    generated: WeightedMuons
    reference: WeightedMuons
    seed: int

    def __str__(self) -> str:
        return f"the {self.form} classifier of {self.category}"

    def run(self) -> Merit:
        """Train on some protons, apply to others."""
        form = FORMS[self.form]
        place = [*(category.name for category in CATEGORIES), TOGETHER].index(self.category)
        random = np.random.default_rng((self.seed, place, list(FORMS).index(self.form)))
        fit, applied, *others = (
            thin(part, form.muons, random) for part in _split(self.reference, self._parts())
        )
        made = [thin(part, form.muons, random) for part in _split(self.generated, 2)]
        real, generated = (fit, applied), (made[0], made[1])
        outputs = classify(real, generated, self.seed, form)
        control = None
        if others:
            pair = others[0], others[1]
            control = merit_of(real, pair, classify(real, pair, self.seed, form))
        weights = applied.weights, made[1].weights
        return Merit(merit_of(real, generated, outputs), control, outputs, weights)

    def _parts(self) -> int:
        """Four where the reference is large enough for a control."""
        return 4 if len(self.reference) >= 20 * _FEWEST else 2

    @property
    def trees(self) -> int:
        """How many trees are grown."""
        return FORMS[self.form].trees * (self._parts() // 2)


def classifier_tasks(
    generated: Draws, reference: Draws, forms: Sequence[str], seed: int
) -> list[ClassifierTask]:
    """Return what there is to do, the largest first; categories with few muons are left out."""
    found = [
        ClassifierTask(name, form, generated[name], reference[name], seed)
        for form in sorted(forms, key=lambda form: -FORMS[form].muons)
        for name in reference
        if name in generated
    ]
    if _TOGETHER_FORM in forms and generated and reference:
        found.append(ClassifierTask(TOGETHER, _TOGETHER_FORM, together(generated), together(reference), seed))
    return [task for task in found if min(len(task.generated), len(task.reference)) >= 2 * _FEWEST]
