"""Figures of merit of generators: on which muons they are taken, that they repeat, what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.synthetic import synthetic_category
from shipgen.errors import InputError, ShipgenError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.merit import evaluate
from shipgen_export.merit.evaluate import MEASURES, Evaluator, measure
from shipgen_export.sample.sample import SPLITS

if TYPE_CHECKING:
    from shipgen.muons.columns import Array, Float32
    from shipgen_export.merit.weighted_muons import WeightedMuons
    from shipgen_export.sample.sample import CategorySample

CATEGORY = CATEGORIES[2]


class Generator:
    """Stands in for a Keras generator: tanh of `factor` times the latents."""

    def __init__(self, factor: float = 1.0) -> None:
        self.input_shape = (None, 6)
        self.factor = factor

    def __call__(self, latent: Float32, *, training: bool) -> Float32:
        assert not training
        return np.tanh(self.factor * latent)


@pytest.fixture(scope="module")
def sample() -> CategorySample:
    return synthetic_category(CATEGORY, 3000, seed=1)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the classifiers were given."""
    seen: list[dict[str, Any]] = []
    original = evaluate.classify

    def note(real: Any, generated: Any, seed: int, form: Any, *rest: Any) -> Any:
        seen.append({"real": real, "generated": generated, "form": form})
        return original(real, generated, seed, form, *rest)

    def note_merit(real: Any, generated: Any, seed: int, form: Any, advance: Any) -> Any:
        return merit(real, generated, note(real, generated, seed, form, advance))

    def merit(real: Any, generated: Any, outputs: Any) -> Any:
        return evaluate.merit_of(real, generated, outputs)

    monkeypatch.setattr(evaluate, "classify", note)
    monkeypatch.setattr(evaluate, "figure_of_merit", note_merit)
    return seen


def parts_of(sample: CategorySample, muons: WeightedMuons) -> set[str]:
    """Return the names of the parts that these muons' protons are in."""
    return {SPLITS[part] for part in sample.split[np.isin(sample.group, muons.group)]}


def test_training_is_judged_by_validation_muons_alone(
    sample: CategorySample, compared: list[dict[str, Any]]
) -> None:
    evaluation = Evaluator(sample, seed=1)(Generator())
    (seen,) = compared
    assert seen["form"] is evaluate.FORMS["fast"]
    fit, applied = seen["real"]
    for half in (fit, applied):
        assert parts_of(sample, half) == {"validation"}
    assert not np.isin(fit.group, applied.group).any()
    assert len(fit) + len(applied) == (sample.split == 1).sum()
    # All arrays fit together.
    assert len(evaluation.real) == len(evaluation.generated) == len(fit) + len(applied)
    assert len(evaluation.real_output) == len(evaluation.generated_output) == len(applied)
    np.testing.assert_array_equal(evaluation.real[-len(applied) :], applied.features)
    assert evaluation.real_weights is not None
    ratio = evaluation.real_weights[-len(applied) :] / applied.weights
    np.testing.assert_allclose(ratio, ratio[0])


def test_the_final_measure_is_of_test_muons_and_its_control_of_training_muons(
    sample: CategorySample, compared: list[dict[str, Any]]
) -> None:
    found = measure(sample, Generator(), seed=1)
    assert [seen["form"] for seen in compared] == [
        form for form in (evaluate.FORMS["source"], evaluate.FORMS["hard"]) for _ in range(2)
    ]
    for seen in compared:
        assert [parts_of(sample, muons) for muons in seen["real"]] == [{"validation"}, {"test"}]
    for control in compared[1::2]:
        assert [parts_of(sample, muons) for muons in control["generated"]] == [{"train"}, {"train"}]
        assert not np.isin(control["generated"][0].group, control["generated"][1].group).any()
    for figures in (found, found["hard"]):
        # A wrong generator is seen, real muons are not.
        assert figures["auc"] > 0.9
        assert abs(figures["control"]["auc"] - 0.5) < 4 * figures["control"]["auc_error"]
        assert figures["fitted"] == (sample.split == 1).sum()
        assert figures["applied"] == (sample.split == 2).sum()
    assert found["classifier"] == {
        "name": "GradientBoostingClassifier",
        "n_estimators": 100,
        "learning_rate": 0.1,
        "max_depth": 4,
    }
    assert found["hard"]["classifier"]["derived_features"] is True


def test_same_seed_same_evaluation(sample: CategorySample) -> None:
    evaluator = Evaluator(sample, seed=3, muons=100)
    first, again = evaluator(Generator()), Evaluator(sample, seed=3, muons=100)(Generator())
    assert first.merits == again.merits == evaluator(Generator()).merits
    np.testing.assert_array_equal(first.generated, again.generated)
    assert len(first.real) == 200
    assert evaluator(Generator(0.5)).merits != first.merits
    assert Evaluator(sample, seed=4, muons=100)(Generator()).merits != first.merits


def test_a_better_generator_has_better_merits() -> None:
    muons = synthetic_category(CATEGORY, 20_000, seed=1)
    evaluator = Evaluator(muons, seed=1, muons=3000)
    drawn = muons.normalisation.forward(synthetic_category(CATEGORY, 20_000, seed=2).features)

    class Drawn(Generator):
        """Gives simulated muons, blurred."""

        def __init__(self, blur: float) -> None:
            super().__init__()
            self.blur = blur

        def __call__(self, latent: Array, *, training: bool) -> Array:
            assert not training
            return drawn[: len(latent)] + self.blur * latent

    good, bad = (evaluator(Drawn(blur)).merits for blur in (0.0, 0.2))
    assert abs(good["auc"] - 0.5) < 5 * good["auc_error"]  # type: ignore[operator]
    for key in MEASURES.values():
        assert key(good) < key(bad)
    assert good["chi2_share"] > 0.5 > bad["chi2_share"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("measure_name", "better", "worse"),
    [("auc", 0.51, 0.52), ("auc", 0.495, 0.51), ("chi2", 1.2, 3), ("overlap", 0.9, 0.8)],
)
def test_smaller_keys_are_better(measure_name: str, better: float, worse: float) -> None:
    key = MEASURES[measure_name]
    rest = {"chi2_share": 0.5}
    values = [key({measure_name: value, **rest}) for value in (better, worse, None)]
    assert values == sorted(values)
    assert np.isfinite(values[:2]).all()
    assert values[2] == np.inf
    # As read from a table.
    assert key({measure_name: str(better), "chi2_share": "0.5"}) == values[0]
    for nothing in ({}, {measure_name: ""}, {measure_name: "nan"}, {measure_name: np.nan}):
        assert key({**nothing, **rest}) == np.inf


def test_chi2_of_bins_with_few_muons_has_no_rank(sample: CategorySample) -> None:
    key = MEASURES["chi2"]
    for share in (0.49, "0.49", "", "nan", None, np.nan):
        assert key({"chi2": 1.2, "chi2_bins": 3, "chi2_share": share}) == np.inf
    merits = Evaluator(sample, seed=1)(Generator()).merits
    # A generator that is far off: what few bins there are hold little of the simulated muons.
    assert merits["chi2_bins"] is not None
    assert merits["chi2_bins"] < 10
    assert key(merits) == np.inf


def test_muons_that_are_not_finite(sample: CategorySample) -> None:
    with pytest.raises(ShipgenError, match=r"network of muplus_offaxis makes muons that are NaN or infinite"):
        Evaluator(sample, seed=1)(Generator(np.nan))


def test_too_few_validation_muons(sample: CategorySample) -> None:
    one = sample.group[sample.split == 1][0]
    lonely = replace(sample, split=np.where(sample.group == one, 1, 0).astype(np.uint8))
    with pytest.raises(InputError, match=r"muplus_offaxis has no two protons in its validation part"):
        Evaluator(lonely, seed=1)
