"""The published normalisation: range, way back, degenerate features, JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES, Category
from shipgen_export.sample.transforms import Normalisation

#: What a float32 feature in cm or GeV can be, and more: the frame of z reaches 1e4 cm.
VALUES = st.floats(-1e5, 1e5, width=32)
SPANS = st.floats(0.05, 1.0)


@st.composite
def muons(draw: st.DrawFn) -> tuple[Category, Any]:
    """Draw a category and values for its features; equal values, and columns of one value, are frequent."""
    category = draw(st.sampled_from(CATEGORIES))
    shape = (draw(st.integers(1, 30)), len(category.features))
    values = draw(arrays(np.float32, shape, elements=VALUES, fill=VALUES))
    return category, values.astype(np.float64)


def tolerance(values: Any, extent: Any) -> Any:
    """Return 1e-9 of the range, and what float64 cannot tell apart at the size of the values."""
    return 1e-9 * extent + 8 * np.finfo(np.float64).eps * np.abs(values)


@given(muons(), SPANS)
@example((CATEGORIES[2], np.zeros((1, 6))), 1.0)
@example((CATEGORIES[3], np.full((5, 6), -7084.5)), 0.97)
@example((CATEGORIES[0], np.array([[0.0, 0, 0, 0], [0, 1e-30, 0, 1e5]])), 1.0)
def test_way_there_and_back(case: tuple[Category, Any], span: float) -> None:
    category, values = case
    normalisation = Normalisation.fit(category.features, values, span)
    normalised = normalisation.forward(values)
    assert np.isfinite(normalised).all()
    assert (np.abs(normalised) <= span * (1 + 1e-12)).all()

    back = normalisation.inverse(normalised)
    extent = values.max(0) - values.min(0)
    assert (np.abs(back - values) <= tolerance(values, extent)).all()


@given(muons(), SPANS)
def test_ends_of_the_range_are_reached(case: tuple[Category, Any], span: float) -> None:
    category, values = case
    normalisation = Normalisation.fit(category.features, values, span)
    normalised = normalisation.forward(values)
    flat = values.max(0) == values.min(0)
    np.testing.assert_allclose(normalised.min(0), -span, rtol=1e-12)
    np.testing.assert_allclose(normalised.max(0)[~flat], span, rtol=1e-12)
    np.testing.assert_allclose(normalised.max(0)[flat], -span, rtol=1e-12)


@given(muons(), SPANS, st.integers(0, 2**32 - 1))
def test_whatever_a_network_says_stays_in_the_range(
    case: tuple[Category, Any], span: float, seed: int
) -> None:
    category, values = case
    normalisation = Normalisation.fit(category.features, values, span)
    drawn = np.random.default_rng(seed).uniform(-span, span, (50, len(category.features)))
    physical = normalisation.inverse(drawn)
    slack = tolerance(np.abs(values).max(0), values.max(0) - values.min(0))
    assert (physical >= values.min(0) - slack).all()
    assert (physical <= values.max(0) + slack).all()


@given(muons(), SPANS)
def test_order_is_kept(case: tuple[Category, Any], span: float) -> None:
    category, values = case
    normalised = Normalisation.fit(category.features, values, span).forward(values)
    for column in range(values.shape[1]):
        order = np.argsort(values[:, column])
        assert (np.diff(normalised[order, column]) >= -1e-12).all()


@given(muons(), SPANS)
def test_json_keeps_every_digit(case: tuple[Category, Any], span: float) -> None:
    category, values = case
    normalisation = Normalisation.fit(category.features, values, span)
    content = json.loads(json.dumps(normalisation.to_json(), allow_nan=False))
    again = Normalisation.from_json(content)
    assert again.features == category.features
    np.testing.assert_array_equal(again.forward(values), normalisation.forward(values))


def test_against_the_text_step_by_step() -> None:
    """Section 2: scale, subtract the mean, signed square root, add the mean, scale again; x and y only."""
    x = np.array([-4.0, -1.0, 0.0, 0.0, 6.0])
    values = np.stack([x, x + 1, x, x, x, x], 1)
    scaled = (x + 4) / 10 * 2 - 1
    mean = scaled.mean()
    rooted = np.sign(scaled - mean) * np.sqrt(abs(scaled - mean)) + mean
    again = (rooted - rooted.min()) / (rooted.max() - rooted.min()) * 2 - 1
    normalised = Normalisation.fit(("x", "y", "z", "px", "py", "pz"), values).forward(values)
    for column in (0, 1):
        np.testing.assert_allclose(normalised[:, column], again, atol=1e-14)
    for column in (2, 3, 4, 5):
        np.testing.assert_allclose(normalised[:, column], scaled, atol=1e-14)


def test_broadening_broadens() -> None:
    rng = np.random.default_rng(5)
    values = rng.standard_cauchy((5000, 6))
    normalised = Normalisation.fit(("x", "y", "z", "px", "py", "pz"), values).forward(values)
    width = np.quantile(normalised, 0.84, axis=0) - np.quantile(normalised, 0.16, axis=0)
    assert (width[:2] > 10 * width[2:].max()).all()


def test_single_muon() -> None:
    values = np.array([[1.0, -2.0, -7000.0, 0.1, 0.2, 30.0]])
    normalisation = Normalisation.fit(("x", "y", "z", "px", "py", "pz"), values, 0.9)
    np.testing.assert_array_equal(normalisation.forward(values), -0.9)
    np.testing.assert_array_equal(normalisation.inverse(normalisation.forward(values)), values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(bad: float) -> None:
    values = np.ones((3, 4))
    values[1, 2] = bad
    with pytest.raises(InputError, match="a feature is NaN or infinite"):
        Normalisation.fit(("z", "px", "py", "pz"), values)


def test_no_muon() -> None:
    with pytest.raises(InputError, match="without muons"):
        Normalisation.fit(("z", "px", "py", "pz"), np.empty((0, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minimum": [0.0, 1.0]}, "does not have one value for each of z, px, py, pz"),
        ({"maximum": ["a"] * 4}, "the normalisation cannot be read"),
        ({"span": None}, "the normalisation cannot be read"),
        ({"features": None}, "the normalisation cannot be read"),
    ],
)
def test_json_that_is_damaged(change: dict[str, Any], message: str) -> None:
    content = Normalisation.fit(("z", "px", "py", "pz"), np.ones((2, 4))).to_json()
    with pytest.raises(InputError, match=message):
        Normalisation.from_json({**content, **change})
    for key in content:
        with pytest.raises(InputError, match="cannot be read"):
            Normalisation.from_json({name: value for name, value in content.items() if name != key})


@given(muons(), SPANS, st.integers(1, 5))
def test_range_and_mean_are_enough(case: tuple[Category, Any], span: float, parts: int) -> None:
    category, values = case
    blocks = [block for block in np.array_split(values.astype(np.float32), parts) if len(block)]
    minimum = np.min([block.min(0) for block in blocks], axis=0)
    maximum = np.max([block.max(0) for block in blocks], axis=0)
    mean = sum(block.sum(0, dtype=np.float64) for block in blocks) / len(values)
    fitted = Normalisation.fit(category.features, values, span)
    streamed = Normalisation.from_range(category.features, minimum, maximum, mean, span)
    for name in ("minimum", "maximum"):
        np.testing.assert_array_equal(getattr(streamed, name), getattr(fitted, name))
    # The sum is rounded in another order, at the size of the values, not of their range.
    extent = values.max(0) - values.min(0)
    rounding = 32 * np.finfo(np.float64).eps * (1 + np.abs(values).max(0) / np.where(extent > 0, extent, 1))
    assert (np.abs(streamed.mean - fitted.mean) <= rounding).all()
    back = streamed.inverse(streamed.forward(values))
    assert (np.abs(back - values) <= tolerance(values, extent)).all()


def test_range_and_mean_give_the_exact_second_range() -> None:
    # The published rule, muon by muon: scale, take the root of the distance to the mean, scale again.
    rng = np.random.default_rng(5)
    values = rng.laplace(0, 0.4, (5000, 6)).astype(np.float32).astype(np.float64)
    features = CATEGORIES[2].features
    fitted = Normalisation.fit(features, values, 0.97)
    scaled = (values - values.min(0)) * (1.94 / (values.max(0) - values.min(0))) - 0.97
    mean = scaled.mean(0)
    rooted = mean + np.sign(scaled - mean) * np.sqrt(np.abs(scaled - mean))
    wide = [features.index("x"), features.index("y")]
    np.testing.assert_allclose(fitted.mean[wide], mean[wide], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(fitted.broad_minimum[wide], rooted.min(0)[wide], rtol=1e-12)
    np.testing.assert_allclose(fitted.broad_maximum[wide], rooted.max(0)[wide], rtol=1e-12)
