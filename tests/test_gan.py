"""The GAN's networks and losses: shapes of the source, values against formulas, gradients, a run of steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen_export.agreement import reference
from shipgen_export.backend import configure, tf
from shipgen_export.gan import (
    Gan,
    GanConfig,
    build_discriminator,
    build_generator,
    discriminator_loss,
    generator_loss,
)

SMALL = GanConfig(latent=8, batch=20)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    configure(1)


def _kinds(network: Any) -> list[tuple[str, int | None]]:
    return [(type(layer).__name__, getattr(layer, "units", None)) for layer in network.layers]


def test_generator_is_the_source_s() -> None:
    assert _kinds(build_generator(GanConfig(layers_g=3, nodes_g=2), 6)) == [
        ("Dense", 512),
        ("LeakyReLU", None),
        ("BatchNormalization", None),
        ("Dense", 1024),
        ("LeakyReLU", None),
        ("BatchNormalization", None),
        ("Dense", 2048),
        ("LeakyReLU", None),
        ("BatchNormalization", None),
        ("Dropout", None),
        ("Dense", 6),
    ]


def test_discriminator_is_the_source_s() -> None:
    assert _kinds(build_discriminator(GanConfig(), 4)) == [
        ("Dense", 256),
        ("LeakyReLU", None),
        ("Dropout", None),
        ("Dense", 512),
        ("LeakyReLU", None),
        ("Dropout", None),
        ("Dense", 1),
    ]


@pytest.mark.parametrize("features", [4, 6])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_shapes_and_range(features: int, layers: int) -> None:
    config = replace(SMALL, layers_g=layers, layers_d=layers)
    latent = np.random.default_rng(1).normal(size=(7, 8)).astype(np.float32) * 30
    muons = build_generator(config, features)(latent, training=False).numpy()
    assert muons.shape == (7, features)
    assert np.abs(muons).max() <= 1
    assert build_discriminator(config, features)(muons).shape == (7, 1)


def test_weights_follow_the_seed() -> None:
    one, same, other = (build_generator(SMALL, 4, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize(
    ("name", "value"), [("batch", 0), ("batch", 7), ("latent", 0), ("layers_g", 0), ("nodes_d", 0)]
)
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=name):
        replace(SMALL, **{name: value})


def test_discriminator_loss_is_cross_entropy() -> None:
    labels = np.array([[1.0], [0.0], [1.3], [-0.4]], np.float32)
    logits = np.array([[0.3], [-2.0], [4.0], [-3.0]], np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = np.mean(-labels * np.log(p) - (1 - labels) * np.log(1 - p))
    assert float(discriminator_loss(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_discriminator_loss_is_bounded_as_in_keras() -> None:
    # A label of 1.3 rewards p -> 1 without end; Keras stops at p = 1 - 1e-7.
    bounded = -1.3 * np.log(1 - 1e-7) + 0.3 * np.log(1e-7)
    found = discriminator_loss(np.array([[1.3]], np.float32), np.array([[500.0]], np.float32))
    assert float(found) == pytest.approx(bounded, rel=1e-5)


def test_generator_loss_is_minus_log_d_and_finite_far_out() -> None:
    logits = np.array([[0.0], [2.0]], np.float32)
    assert float(generator_loss(logits)) == pytest.approx(np.mean(np.log1p(np.exp(-logits))), rel=1e-6)
    assert float(generator_loss(np.array([[-1e4]], np.float32))) == pytest.approx(1e4)


def _batches(steps: int, gan: Gan) -> np.ndarray:
    random = np.random.default_rng(2)
    return random.normal(0.3, 0.1, (steps, gan.config.real_batch, 4)).astype(np.float32)


def test_a_step_changes_both_networks() -> None:
    gan = Gan(SMALL, 4, seed=1)
    before = [network.get_weights() for network in (gan.generator, gan.discriminator)]
    losses = gan.train(_batches(3, gan))
    assert set(losses) == {"d_loss", "g_loss"}
    assert all(values.shape == (3,) and np.isfinite(values).all() for values in losses.values())
    assert int(gan.step) == 3
    for network, weights in zip((gan.generator, gan.discriminator), before, strict=True):
        assert not any(np.array_equal(a, b) for a, b in zip(weights, network.get_weights(), strict=True))


def test_first_losses_are_those_of_a_coin() -> None:
    gan = Gan(SMALL, 4, seed=1)
    losses = gan.train(_batches(1, gan))
    # An untrained discriminator says about 0.5: both losses start near ln 2.
    assert losses["d_loss"][0] == pytest.approx(np.log(2), abs=0.15)
    assert losses["g_loss"][0] == pytest.approx(np.log(2), abs=0.15)


def test_steps_are_the_same_however_they_are_cut() -> None:
    whole, parts = Gan(SMALL, 4, seed=1), Gan(SMALL, 4, seed=1)
    real = _batches(10, whole)
    whole.train(real)
    for part in (real[:3], real[3:4], real[4:]):
        parts.train(part)
    for a, b in zip(whole.generator.get_weights(), parts.generator.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_a_simple_distribution_is_learned() -> None:
    gan = Gan(replace(SMALL, batch=100), 4, seed=1)
    for _ in range(6):
        gan.train(_batches(100, gan))
    latent = np.random.default_rng(3).normal(size=(2000, 8)).astype(np.float32)
    muons = gan.generator(latent, training=False).numpy()
    # Real muons have mean 0.3; an untrained generator has 0.
    np.testing.assert_allclose(muons.mean(0), 0.3, atol=0.1)


def test_numpy_reference_is_the_network() -> None:
    gan = Gan(replace(SMALL, layers_g=3), 6, seed=1)
    gan.train(np.random.default_rng(2).normal(0, 0.3, (20, 10, 6)).astype(np.float32))
    latent = np.random.default_rng(4).normal(size=(100, 8)).astype(np.float32)
    expected = gan.generator(latent, training=False).numpy()
    np.testing.assert_allclose(reference(gan.generator, latent), expected, rtol=0, atol=1e-5)


def test_reference_refuses_what_it_does_not_know() -> None:
    from shipgen.errors import ShipgenError
    from shipgen_export.backend import keras

    network = keras.Sequential([keras.Input((3,)), keras.layers.UnitNormalization()])
    with pytest.raises(ShipgenError, match="UnitNormalization"):
        reference(network, np.zeros((1, 3), np.float32))


def test_threads_cannot_change_within_a_process() -> None:
    tf.zeros(1).numpy()
    with pytest.raises(InputError, match="another number of threads"):
        configure(3)
