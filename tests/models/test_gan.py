"""The GAN's networks and losses: shapes of the source, values against formulas, gradients, settings."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from helpers.gans import SMALL, TINY, batches, eager, narrow  # noqa: F401
from shipgen.errors import InputError
from shipgen_export.backend import configure, tf
from shipgen_export.graphs.agreement import reference
from shipgen_export.models.gan import (
    Gan,
    GanConfig,
    build_discriminator,
    build_generator,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from shipgen_export.models.networks import learning_rate, optimizer
from shipgen_export.models.settings import settings

#: Each setting -> another value, and other settings that it needs to matter.
EFFECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "latent": (9, {}),
    "batch": (40, {}),
    "learning_rate": (1e-3, {}),
    "optimizer": ("rmsprop", {}),
    "beta_1": (0.9, {}),
    "schedule": ("cosine", {"decay_steps": 2}),
    "decay_steps": (3, {"schedule": "exponential"}),
    "decay_to": (0.5, {"schedule": "exponential", "decay_steps": 2}),
    "average": (0.9, {}),
    "nodes_g": (2, {}),
    "nodes_d": (2, {}),
    "layers_g": (2, {}),
    "layers_d": (2, {}),
    "slope": (0.1, {}),
    "momentum": (0.5, {}),
    "dropout_g": (0.5, {"layers_g": 3}),
    "dropout_d": (0.5, {}),
    "label_blur": (0.0, {}),
    "feature_blur": (0.1, {}),
    "label_smoothing": (0.1, {}),
    "loss": ("wgan-gp", {}),
    "gradient_penalty": (1.0, {"loss": "wgan-gp"}),
    "discriminator_steps": (2, {}),
    "spectral_norm": (True, {}),
}


def _kinds(network: Any) -> list[tuple[str, int | None]]:
    return [(type(layer).__name__, getattr(layer, "units", None)) for layer in network.layers]


def test_generator_is_the_source_s() -> None:
    assert _kinds(build_generator(GanConfig(nodes_g=2), 6)) == [
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
        ("Dense", 1024),
        ("LeakyReLU", None),
        ("Dropout", None),
        ("Dense", 1),
    ]


def test_defaults_are_the_source_s() -> None:
    config = GanConfig()
    assert (config.learning_rate, config.optimizer, config.beta_1, config.batch) == (
        2e-4,
        "amsgrad",
        0.5,
        100,
    )
    assert (config.nodes_g, config.nodes_d, config.layers_g, config.layers_d) == (1, 1, 3, 3)
    assert (config.latent, config.dropout_g, config.dropout_d) == (100, 0.25, 0.25)
    assert (config.label_blur, config.feature_blur, config.slope, config.momentum) == (0.3, 0.001, 0.2, 0.8)
    # What the source does not have is off.
    assert (config.schedule, config.loss, config.discriminator_steps) == ("constant", "source", 1)
    assert (config.average, config.label_smoothing, config.spectral_norm) == (0, 0, False)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("features", [4, 6])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_shapes_and_range(features: int, layers: int) -> None:
    config = replace(SMALL, layers_g=layers, layers_d=layers)
    latent = np.random.default_rng(1).normal(size=(7, 8)).astype(np.float32) * 30
    muons = build_generator(config, features)(latent, training=False).numpy()
    assert muons.shape == (7, features)
    assert np.abs(muons).max() <= 1
    assert build_discriminator(config, features)(muons).shape == (7, 1)


@pytest.mark.usefixtures("narrow")
def test_weights_follow_the_seed() -> None:
    one, same, other = (build_generator(SMALL, 4, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch", 0),
        ("batch", 7),
        ("latent", 0),
        ("layers_g", 0),
        ("nodes_d", 0),
        ("dropout_d", 1),
        ("learning_rate", 0),
        ("label_blur", float("nan")),
        ("span", 1.1),
        ("optimizer", "sgd"),
    ],
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


@cache
def _trained(config: GanConfig) -> list[np.ndarray]:
    gan = Gan(config, 4, seed=1)
    gan.train(batches(2, gan))
    weights: list[np.ndarray] = gan.generator.get_weights()
    return weights


def test_every_setting_is_tried() -> None:
    # The span is part of the normalisation, not of the networks: see test_loop.py.
    assert set(EFFECTS) | {"span", "conditions"} == set(settings(GanConfig))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", EFFECTS)
def test_a_setting_changes_the_generator(name: str) -> None:
    value, needed = EFFECTS[name]
    base = replace(TINY, **needed)
    one, other = _trained(base), _trained(replace(base, **{name: value}))
    assert [a.shape for a in one] != [b.shape for b in other] or any(
        not np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


def test_adam_is_with_or_without_amsgrad() -> None:
    network = build_discriminator(SMALL, 4)
    for name, amsgrad in (("amsgrad", True), ("adam", False)):
        made = optimizer(replace(SMALL, optimizer=name), network)
        assert (made.amsgrad, made.beta_1) == (amsgrad, 0.5)


def test_learning_rate_follows_its_schedule() -> None:
    config = replace(SMALL, learning_rate=1e-3, decay_steps=100, decay_to=0.01)
    assert learning_rate(config) == 1e-3
    cosine = learning_rate(replace(config, schedule="cosine"))
    expected = [1e-3 * (0.01 + 0.99 * (1 + np.cos(np.pi * k / 100)) / 2) for k in (0, 30, 100)]
    found = [float(cosine(k)) for k in (0, 30, 100, 500)]
    assert found == pytest.approx([*expected, 1e-5], rel=1e-4)
    # Two steps of the optimizer in one of training.
    exponential = learning_rate(replace(config, schedule="exponential"), 2)
    assert [float(exponential(2 * k)) for k in (0, 50, 200)] == pytest.approx([1e-3, 1e-4, 1e-7], rel=1e-4)


def test_labels_of_real_muons_are_smoothed_alone() -> None:
    labels = Gan(replace(SMALL, label_smoothing=0.1, label_blur=0), 4, seed=1)._labels(10, 0).numpy()
    np.testing.assert_allclose(labels[:, 0], np.repeat([0.9, 0], 10), rtol=1e-6)
    blurred = Gan(replace(SMALL, label_blur=0.3), 4, seed=1)._labels(5000, 0).numpy()[:, 0]
    assert blurred[:5000].mean() == pytest.approx(1, abs=0.02)
    assert blurred[5000:].mean() == pytest.approx(0, abs=0.02)
    assert (blurred - np.repeat([1, 0], 5000)).std() == pytest.approx(0.3, rel=0.03)


def test_gradient_penalty_of_a_plane() -> None:
    slope = np.array([[3.0], [0.0], [4.0], [0.0]], np.float32)
    muons = tf.constant(np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32))
    # The gradient is (3, 0, 4, 0) everywhere, of length 5.
    found = gradient_penalty(lambda x, training: tf.matmul(x, slope), muons)  # noqa: ARG005
    assert float(found) == pytest.approx(16, rel=1e-5)


@pytest.mark.usefixtures("eager")
def test_numpy_reference_is_the_network() -> None:
    gan = Gan(replace(SMALL, layers_g=3), 6, seed=1)
    gan.train(np.random.default_rng(2).normal(0, 0.3, (3, 10, 6)).astype(np.float32))
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
