"""The VAE: networks of the source, loss against the formula, the effect of each setting, a run of steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.eager import eagerly
from helpers.synthetic import synthetic_category
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.backend import tf
from shipgen_export.graphs.agreement import TOLERANCE, check_agreement, reference
from shipgen_export.graphs.onnx_graph import build_graph
from shipgen_export.models.settings import VaeConfig, settings
from shipgen_export.models.vae import Vae, build_encoder, build_generator, vae_losses

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = VaeConfig(batch=20, nodes_e=12, nodes_d=12, layers_e=1, layers_d=1)

#: Each setting -> another value, and other settings that it needs to matter.
EFFECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "latent": (3, {}),
    "batch": (40, {}),
    "learning_rate": (1e-2, {}),
    "optimizer": ("rmsprop", {}),
    "beta_1": (0.5, {}),
    "schedule": ("cosine", {"decay_steps": 2}),
    "decay_steps": (3, {"schedule": "exponential"}),
    "decay_to": (0.5, {"schedule": "exponential", "decay_steps": 2}),
    "average": (0.9, {}),
    "cross_entropy": (1.0, {}),
    "nodes_e": (13, {}),
    "nodes_d": (13, {}),
    "layers_e": (2, {}),
    "layers_d": (2, {}),
    "batch_normalisation": (True, {}),
    "dropout": (0.5, {}),
}


@pytest.fixture
def _eager() -> Iterator[None]:
    """Run steps without a graph: for a few of them, building it takes longer."""
    with eagerly():
        yield


def _kinds(network: Any) -> list[tuple[str, int | None, str | None]]:
    return [
        (type(layer).__name__, getattr(layer, "units", None), getattr(layer, "activation", np.abs).__name__)
        for layer in network.layers
    ]


def _batches(steps: int, vae: Vae, features: int = 4) -> np.ndarray:
    random = np.random.default_rng(2)
    return random.normal(0.3, 0.1, (steps, vae.config.real_batch, features)).astype(np.float32)


def test_defaults_are_the_source_s() -> None:
    config = VaeConfig()
    assert (config.learning_rate, config.optimizer, config.cross_entropy) == (1e-3, "adam", 1000)
    assert (config.nodes_e, config.nodes_d, config.layers_e, config.layers_d) == (100, 100, 3, 3)
    assert (config.latent, config.batch_normalisation, config.dropout) == (4, False, 0)


def test_networks() -> None:
    hidden = ("Dense", 100, "relu")
    assert _kinds(build_generator(VaeConfig(), 6)) == [
        *([hidden] * 3),
        ("Dense", 6, "sigmoid"),
        ("Rescaling", None, "absolute"),
    ]
    assert _kinds(build_encoder(VaeConfig(), 6)) == [
        ("Rescaling", None, "absolute"),
        *([hidden] * 3),
        ("Dense", 8, "linear"),
    ]
    both = _kinds(build_generator(VaeConfig(batch_normalisation=True, dropout=0.1, layers_d=1), 6))
    assert [kind for kind, *_ in both] == ["Dense", "BatchNormalization", "Dropout", "Dense", "Rescaling"]


def test_generator_stays_in_range_and_encoder_gives_two_numbers_a_dimension() -> None:
    latent = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32) * 30
    muons = build_generator(SMALL, 6)(latent).numpy()
    assert muons.shape == (50, 6)
    assert np.abs(muons).max() <= 1
    assert build_encoder(SMALL, 6)(muons).shape == (50, 8)


def test_losses_are_the_source_s() -> None:
    random = np.random.default_rng(1)
    real, decoded = random.uniform(-0.9, 0.9, (2, 30, 6)).astype(np.float32)
    mean, log_variance = random.normal(size=(2, 30, 4)).astype(np.float32)
    entropy, divergence = vae_losses(tf.constant(real), decoded, mean, log_variance)
    x, p = (real + 1) / 2, (decoded + 1) / 2
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1).mean()
    assert float(entropy) == pytest.approx(expected, rel=1e-5)
    kl = -0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(1).mean()
    assert float(divergence) == pytest.approx(kl, rel=1e-5)
    # A unit normal costs nothing.
    assert float(vae_losses(tf.constant(real), decoded, np.zeros((30, 4)), np.zeros((30, 4)))[1]) == 0


@pytest.mark.usefixtures("_eager")
def test_loss_is_weighted_by_the_factor() -> None:
    vae = Vae(replace(SMALL, cross_entropy=7), 4, seed=1)
    losses = vae.train(_batches(2, vae))
    np.testing.assert_allclose(losses["loss"], 7 * losses["cross_entropy"] + losses["kl"], rtol=1e-6)


def test_every_setting_is_tried() -> None:
    # The span is part of the normalisation, not of the networks: see test_loop.py.
    assert set(EFFECTS) | {"span", "conditions"} == set(settings(VaeConfig))


@cache
def _trained(config: VaeConfig) -> list[np.ndarray]:
    vae = Vae(config, 4, seed=1)
    vae.train(_batches(2, vae))
    weights: list[np.ndarray] = vae.generator.get_weights()
    return weights


@pytest.mark.usefixtures("_eager")
@pytest.mark.parametrize("name", EFFECTS)
def test_a_setting_changes_the_decoder(name: str) -> None:
    value, needed = EFFECTS[name]
    base = replace(SMALL, **needed)
    one, other = _trained(base), _trained(replace(base, **{name: value}))
    assert [a.shape for a in one] != [b.shape for b in other] or any(
        not np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(("name", "value"), [("dropout", 1), ("latent", 0), ("cross_entropy", -1)])
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=name):
        replace(SMALL, **{name: value})


@pytest.fixture(scope="module")
def learned() -> Vae:
    """A VAE with all kinds of layers, trained on muons with mean 0.3."""
    vae = Vae(replace(SMALL, batch=100, batch_normalisation=True, dropout=0.05), 4, seed=1)
    for _ in range(5):
        vae.train(_batches(100, vae))
    return vae


def test_a_simple_distribution_is_learned(learned: Vae) -> None:
    latent = np.random.default_rng(3).normal(size=(2000, 4)).astype(np.float32)
    np.testing.assert_allclose(learned.generator(latent, training=False).numpy().mean(0), 0.3, atol=0.05)
    # The encoder's mean gives back the muon it was given, better than the mean of all would.
    real = _batches(1, learned)[0]
    mean = learned.companions["encoder"](real, training=False).numpy()[:, :4]
    again = learned.generator(mean, training=False).numpy()
    assert np.square(again - real).mean() < 0.9 * real.var()


def test_graph_keras_and_numpy_agree(learned: Vae) -> None:
    normalisation = synthetic_category(CATEGORIES[0], 1000, seed=1).normalisation
    latent = np.random.default_rng(4).normal(size=(100, 4)).astype(np.float32) * 5
    expected = learned.generator(latent, training=False).numpy()
    np.testing.assert_allclose(reference(learned.generator, latent), expected, rtol=0, atol=1e-5)
    graph = build_graph(learned.generator, normalisation)
    found = check_agreement(CATEGORIES[0], learned.generator, normalisation, graph)
    assert max(*found.keras, *found.numpy) <= TOLERANCE
