"""The variational auto-encoder of the source: its networks, loss and steps.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), sections 6 and 8. Its networks take and give features
in [0, 1]; the step from and to the [-1, 1] of all models is part of the networks, as fixed layers.
"""

from __future__ import annotations

from typing import Any

from shipgen_export.backend import keras, tf
from shipgen_export.models.networks import StepTrainer, dense, optimizer, seeds
from shipgen_export.models.settings import VaeConfig

__all__ = ["Vae", "VaeConfig", "build_encoder", "build_generator"]

#: Stream of random numbers within a step.
_LATENT = 0


def build_generator(config: VaeConfig, features: int, seed: int = 0) -> Any:
    """Return the decoder: float32[n, latent + conditions] -> float32[n, features], normalised to [-1, 1].

    Parameters
    ----------
    config : VaeConfig
        Shape of the network.
    features : int
        Width of the output.
    seed : int
        Of the initial weights and of dropout.
    """
    own = seeds(seed, 0, 2 * config.layers_d + 1)
    hidden = _hidden(config, config.nodes_d, config.layers_d, own)
    layers = [keras.Input((config.inputs,)), *hidden, dense(features, own.pop(), activation="sigmoid")]
    return keras.Sequential([*layers, keras.layers.Rescaling(2.0, -1.0)], name="generator")


def build_encoder(config: VaeConfig, features: int, seed: int = 0) -> Any:
    """Return the encoder: float32[n, features + conditions] -> float32[n, 2 latent], means, log variances.

    Features are normalised as the decoder gives them; parameters as for `build_generator`.
    """
    own = seeds(seed, 1, 2 * config.layers_e + 1)
    width = features + config.inputs - config.latent
    layers = [keras.Input((width,)), keras.layers.Rescaling(0.5, 0.5)]
    layers += _hidden(config, config.nodes_e, config.layers_e, own)
    return keras.Sequential([*layers, dense(2 * config.latent, own.pop())], name="encoder")


def _hidden(config: VaeConfig, nodes: int, count: int, own: list[int]) -> list[Any]:
    layers = []
    for _ in range(count):
        layers.append(dense(nodes, own.pop(), activation="relu"))
        if config.batch_normalisation:
            layers.append(keras.layers.BatchNormalization())
        if config.dropout:
            layers.append(keras.layers.Dropout(config.dropout, seed=own.pop()))
    return layers


def vae_losses(real: Any, decoded: Any, mean: Any, log_variance: Any) -> tuple[Any, Any]:
    """Return d times the binary cross-entropy, and the KL divergence from a unit normal; means over muons.

    Parameters
    ----------
    real, decoded : float32[n, d]
        Features in [-1, 1]; compared in [0, 1].
    mean, log_variance : float32[n, L]
        What the encoder gives.
    """
    # Keras takes the mean over features; times d it is their sum.
    entropy = keras.losses.binary_crossentropy((real + 1) / 2, (decoded + 1) / 2) * real.shape[1]
    divergence = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), axis=1)
    return tf.reduce_mean(entropy), tf.reduce_mean(divergence)


class Vae(StepTrainer):
    """A VAE in training: encoder, decoder and one optimizer; parameters as for `StepTrainer`.

    The decoder is the generator, the encoder its companion.
    """

    losses = ("loss", "cross_entropy", "kl")

    def __init__(self, config: VaeConfig, features: int, seed: int) -> None:
        super().__init__(config, features, seed)
        self._decoder = build_generator(config, features, seed)
        self._encoder = build_encoder(config, features, seed)
        networks = {"generator": self._decoder, "encoder": self._encoder}
        optimizers = {name: optimizer(config, network) for name, network in networks.items()}
        self._start(networks, optimizers, averaged=("generator", "encoder"))

    def _one_step(self, real: Any) -> tuple[Any, Any, Any]:
        """Train both networks to give back what they are given; float32[batch, d + conditions]."""
        config = self.config
        with tf.GradientTape(persistent=True) as tape:
            mean, log_variance = tf.split(self._encoder(real, training=True), 2, axis=1)
            noise = self._normal(_LATENT, (config.batch, config.latent))
            features, given = tf.split(real, self.columns, axis=1)
            latent = tf.concat([mean + tf.exp(log_variance / 2) * noise, given], 1)
            decoded = self._decoder(latent, training=True)
            entropy, divergence = vae_losses(features, decoded, mean, log_variance)
            loss = config.cross_entropy * entropy + divergence
        # Optimizers of these kinds treat each weight alone: one for each network is one for both.
        for name, network in self._networks.items():
            self._apply(tape, loss, network, self._optimizers[name])
        return loss, entropy, divergence
