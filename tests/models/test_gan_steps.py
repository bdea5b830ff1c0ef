"""Steps of a GAN: what both networks are given and learn, losses, averages, learning rates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.gans import SMALL, TINY, batches, eager, narrow  # noqa: F401
from shipgen_export.models import gan as gan_module
from shipgen_export.models.gan import Gan, build_generator


@pytest.mark.usefixtures("eager")
def test_average_is_of_the_weights_of_each_step() -> None:
    gan = Gan(replace(TINY, average=0.5), 4, seed=1)
    trained = gan.parts["generator"]
    expected = [weight.astype(np.float64) for weight in trained.get_weights()]
    for step, real in enumerate(batches(4, gan)):
        gan.train(real[None])
        share = 1 - min(0.5, (1 + step) / (10 + step))
        expected = [
            (1 - share) * mean + share * weight
            for mean, weight in zip(expected, trained.get_weights(), strict=True)
        ]
    for a, b in zip(gan.generator.get_weights(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


class Spy:
    """A network that notes what it is given."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self.seen: list[tuple[bool, np.ndarray]] = []

    def __call__(self, values: Any, training: bool) -> Any:
        self.seen.append((training, np.asarray(values)))
        return self._network(values, training=training)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def _slope(gan: Gan, factor: float) -> None:
    """Make the discriminator of one layer `factor` times a muon's first feature."""
    kernel, bias, last, offset = (np.zeros_like(weight) for weight in gan.discriminator.get_weights())
    # LeakyReLU(x) - LeakyReLU(-x) is (1 + its slope) x.
    kernel[0, :2] = (1, -1)
    last[:2, 0] = np.array([1, -1]) * factor / (1 + gan.config.slope)
    gan.discriminator.set_weights([kernel, bias, last, offset])


@pytest.mark.usefixtures("eager")
def test_wasserstein_losses_of_a_plane() -> None:
    config = replace(TINY, loss="wgan-gp", dropout_d=0, feature_blur=0, learning_rate=1e-20)
    gan = Gan(config, 4, seed=1)
    _slope(gan, 2)
    gan._g = Spy(gan._g)
    real = batches(1, gan)
    losses = gan.train(real)
    (judged, latent_d), (trained, latent_g) = gan._g.seen
    assert (judged, trained) == (False, True)
    # D falls with simulated muons' output and rises with generated ones'; the gradient is 2 everywhere.
    made = build_generator(config, 4, seed=1)
    generated = made(latent_d, training=False).numpy()[:, 0].mean()
    expected = 2 * generated - 2 * real[0, :, 0].mean() + 10 * (2 - 1) ** 2
    assert losses["d_loss"][0] == pytest.approx(expected, abs=1e-5)
    generated = made(latent_g, training=True).numpy()[:, 0].mean()
    assert losses["g_loss"][0] == pytest.approx(-2 * generated, abs=1e-5)


@pytest.mark.usefixtures("eager")
def test_each_step_of_the_discriminator_has_numbers_of_its_own() -> None:
    gan = Gan(replace(TINY, discriminator_steps=2, feature_blur=0), 4, seed=1)
    gan._g, gan.discriminator = Spy(gan._g), Spy(gan.discriminator)
    real = batches(1, gan)
    gan.train(real)
    first, second, last = (latent for _, latent in gan._g.seen)
    assert [training for training, _ in gan._g.seen] == [False, False, True]
    assert not np.isin(first, second).any()
    assert not np.isin(last, np.concatenate([first, second])).any()
    half = gan.config.batch // 2
    for k in range(2):
        np.testing.assert_array_equal(gan.discriminator.seen[k][1][:half], real[0, k * half : (k + 1) * half])
    labels = [gan._labels(half, k).numpy() for k in range(2)]
    assert not np.isin(*labels).any()


@pytest.mark.usefixtures("eager")
def test_both_learning_rates_follow_the_steps_of_training() -> None:
    config = replace(
        TINY, learning_rate=1e-3, schedule="exponential", decay_steps=4, decay_to=0.01, discriminator_steps=3
    )
    gan = Gan(config, 4, seed=1)
    for steps, expected in ((2, 1e-4), (2, 1e-5)):
        gan.train(batches(steps, gan))
        for name in ("generator", "discriminator"):
            found = float(gan._optimizers[name].learning_rate)
            assert found == pytest.approx(expected, rel=1e-4), name


@pytest.mark.usefixtures("eager")
def test_spectral_normalisation_bounds_the_weights() -> None:
    gan = Gan(replace(TINY, spectral_norm=True, learning_rate=1e-6), 4, seed=1)
    gan.train(batches(8, gan))
    for layer in gan.discriminator.layers:
        if type(layer).__name__ == "SpectralNormalization":
            assert np.linalg.norm(layer.kernel.numpy(), 2) == pytest.approx(1, abs=0.1)


@pytest.mark.usefixtures("eager")
def test_a_step_changes_both_networks() -> None:
    gan = Gan(SMALL, 4, seed=1)
    before = [network.get_weights() for network in (gan.generator, gan.discriminator)]
    losses = gan.train(batches(3, gan))
    assert set(losses) == {"d_loss", "g_loss"}
    assert all(values.shape == (3,) and np.isfinite(values).all() for values in losses.values())
    assert int(gan.step) == 3
    for network, weights in zip((gan.generator, gan.discriminator), before, strict=True):
        assert not any(np.array_equal(a, b) for a, b in zip(weights, network.get_weights(), strict=True))


def test_first_losses_are_those_of_a_coin() -> None:
    gan = Gan(TINY, 4, seed=1)
    losses = gan.train(batches(1, gan))
    # An untrained discriminator says about 0.5: both losses start near ln 2.
    assert losses["d_loss"][0] == pytest.approx(np.log(2), abs=0.15)
    assert losses["g_loss"][0] == pytest.approx(np.log(2), abs=0.15)


@pytest.mark.usefixtures("narrow")
def test_steps_are_the_same_however_they_are_cut() -> None:
    whole, parts = Gan(TINY, 4, seed=1), Gan(TINY, 4, seed=1)
    real = batches(10, whole)
    whole.train(real)
    for part in (real[:3], real[3:4], real[4:]):
        parts.train(part)
    for a, b in zip(whole.generator.get_weights(), parts.generator.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_a_simple_distribution_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan_module, "_FIRST_LAYER", 64)
    gan = Gan(replace(TINY, batch=50, learning_rate=1e-3), 4, seed=1)
    for _ in range(3):
        gan.train(batches(100, gan))
    latent = np.random.default_rng(3).normal(size=(2000, 8)).astype(np.float32)
    muons = gan.generator(latent, training=False).numpy()
    # Real muons have mean 0.3; an untrained generator has 0.
    np.testing.assert_allclose(muons.mean(0), 0.3, atol=0.1)
