from __future__ import annotations

import numpy as np
import pytest

from shipgen_export.backend import tf
from shipgen_export.maps.smoothing import LIMIT
from shipgen_export.models.splines import inverse_spline, parameters, spline, straight

N = 20_000


@pytest.fixture(params=[2, 8, 16])
def bins(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def raw(bins: int, seed: int, size: float = 1.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, (N, parameters(bins))).astype(np.float32)


def arguments(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.2 * LIMIT, 1.2 * LIMIT, N).astype(np.float32)


def test_there_and_back(bins: int) -> None:
    x, own = arguments(1), raw(bins, 2)
    y, slope = spline(own, x, bins)
    back = inverse_spline(own, y, bins).numpy()
    # A rounding of y is worth 1 / slope as much in x.
    allowed = 2e-6 * LIMIT * (1 + np.exp(-slope.numpy()))
    inside = abs(x) < LIMIT - 1e-3
    assert (abs(back - x)[inside] < np.maximum(allowed, 1e-4)[inside]).all()
    np.testing.assert_array_equal(back[abs(x) > LIMIT], x[abs(x) > LIMIT])


def test_the_slope_is_the_derivative(bins: int) -> None:
    own = tf.constant(raw(bins, 3))
    x = tf.constant(np.random.default_rng(4).uniform(-0.99 * LIMIT, 0.99 * LIMIT, N).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, slope = spline(own, x, bins)
    np.testing.assert_allclose(np.log(tape.gradient(y, x)), slope, atol=2e-3)


def test_splines_rise_from_corner_to_corner(bins: int) -> None:
    one = np.tile(raw(bins, 5, size=3)[:1], (N, 1))
    y = spline(one, np.linspace(-LIMIT, LIMIT, N, dtype=np.float32), bins)[0].numpy()
    assert (np.diff(y) >= -1e-5).all()
    np.testing.assert_allclose(y[[0, -1]], [-LIMIT, LIMIT], atol=2e-3)


def test_straight_parameters_change_nothing(bins: int) -> None:
    x = arguments(6)
    y, slope = spline(np.tile(straight(bins), (N, 1)), x, bins)
    np.testing.assert_allclose(y, x, atol=2e-4)
    np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_gradients_are_finite(bins: int) -> None:
    own, x = tf.Variable(raw(bins, 7, size=5)), arguments(8)
    with tf.GradientTape() as tape:
        y, slope = spline(own, x, bins)
        loss = tf.reduce_mean(0.5 * y * y - slope)
    assert np.isfinite(tape.gradient(loss, own)).all()
