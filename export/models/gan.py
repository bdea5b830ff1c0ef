"""The generative adversarial network of the source: its networks, losses and steps.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), sections 5 and 7. Alternatives: one-sided label
smoothing (T. Salimans et al. 2016), spectral normalisation (T. Miyato et al. 2018), and the Wasserstein loss
with gradient penalty (I. Gulrajani et al. 2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shipgen_export.backend import keras, tf
from shipgen_export.models.networks import StepTrainer, dense, optimizer, seeds
from shipgen_export.models.settings import GanConfig

__all__ = ["Gan", "GanConfig", "build_discriminator", "build_generator"]

#: Nodes of the first layer for a node factor of 1; each further layer has twice as many.
_FIRST_LAYER = 256

#: Generator layers from this one on (counted from 0) have dropout.
_FIRST_DROPOUT_G = 2

#: Keras keeps probabilities in [1e-7, 1 - 1e-7] in its cross-entropy; the same bound on logits.
_LOGIT_BOUND = float(np.log((1 - 1e-7) / 1e-7))

#: Streams of random numbers within a step.
_LATENT_D, _LATENT_G, _FEATURE_BLUR, _LABEL_BLUR, _MIX = range(5)


def build_generator(config: GanConfig, features: int, seed: int = 0) -> Any:
    """Return the generator: float32[n, latent + conditions] -> float32[n, features], normalised to [-1, 1].

    Parameters
    ----------
    config : GanConfig
        Shape of the network.
    features : int
        Width of the output.
    seed : int
        Of the initial weights and of dropout.
    """
    own = seeds(seed, 0, 2 * config.layers_g + 1)
    layers = [keras.Input((config.inputs,))]
    for k in range(config.layers_g):
        layers.append(dense(_FIRST_LAYER * 2**k * config.nodes_g, own.pop()))
        layers.append(keras.layers.LeakyReLU(config.slope))
        layers.append(keras.layers.BatchNormalization(momentum=config.momentum))
        if k >= _FIRST_DROPOUT_G:
            layers.append(keras.layers.Dropout(config.dropout_g, seed=own.pop()))
    layers.append(dense(features, own.pop(), activation="tanh"))
    return keras.Sequential(layers, name="generator")


def build_discriminator(config: GanConfig, features: int, seed: int = 0) -> Any:
    """Return the discriminator: float32[n, features + conditions] -> float32[n, 1], the logit of "real".

    The sigmoid of the source is part of the losses, which is safer in float32. Parameters as for
    `build_generator`.
    """
    own = seeds(seed, 1, 3 * config.layers_d + 2)
    layers = [keras.Input((features + config.inputs - config.latent,))]
    for k in range(config.layers_d):
        layers.append(_normalised(config, dense(_FIRST_LAYER * 2**k * config.nodes_d, own.pop())))
        layers.append(keras.layers.LeakyReLU(config.slope))
        layers.append(keras.layers.Dropout(config.dropout_d, seed=own.pop()))
    layers.append(_normalised(config, dense(1, own.pop())))
    network = keras.Sequential(layers, name="discriminator")
    for layer in network.layers:
        if isinstance(layer, keras.layers.SpectralNormalization):
            # Keras starts this vector with numbers that no seed decides.
            random = np.random.default_rng(own.pop())
            layer.vector_u.assign(random.normal(size=layer.vector_u.shape))
    return network


def _normalised(config: GanConfig, layer: Any) -> Any:
    return keras.layers.SpectralNormalization(layer) if config.spectral_norm else layer


def discriminator_loss(labels: Any, logits: Any) -> Any:
    """Return the mean binary cross-entropy; blurred labels may lie outside [0, 1].

    Parameters
    ----------
    labels, logits : float32[n, 1]
        What the discriminator should say and the logit of what it says.
    """
    # Outside [0, 1] the loss falls without end; the bound stops that, as Keras' clipping does.
    bounded = tf.clip_by_value(logits, -_LOGIT_BOUND, _LOGIT_BOUND)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, bounded))


def generator_loss(logits: Any) -> Any:
    """Return mean(-log D(G(z))) for the discriminator's `logits`, float32[n, 1]."""
    return tf.reduce_mean(tf.nn.softplus(-logits))


def gradient_penalty(discriminator: Any, muons: Any) -> Any:
    """Return the mean of (|dD/dx| - 1)^2 at the `muons` x, float32[n, d]."""
    with tf.GradientTape() as tape:
        tape.watch(muons)
        output = discriminator(muons, training=True)
    # The small number keeps the root differentiable where D is flat.
    slope = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(output, muons)), axis=1) + 1e-12)
    return tf.reduce_mean(tf.square(slope - 1))


class Gan(StepTrainer):
    """A GAN in training: two networks and their optimizers; parameters as for `StepTrainer`."""

    losses = ("d_loss", "g_loss")

    def __init__(self, config: GanConfig, features: int, seed: int) -> None:
        super().__init__(config, features, seed)
        self._g = build_generator(config, features, seed)
        self.discriminator = build_discriminator(config, features, seed)
        optimizers = {
            "generator": optimizer(config, self._g),
            "discriminator": optimizer(config, self.discriminator, config.discriminator_steps),
        }
        networks = {"generator": self._g, "discriminator": self.discriminator}
        self._start(networks, optimizers, averaged=("generator",))

    def _one_step(self, real: Any) -> tuple[Any, Any]:
        """Train D as often as asked for, then G once; float32[real_batch, d + conditions]."""
        config = self.config
        half = config.batch // 2
        d_loss = tf.constant(0.0)
        for k in range(config.discriminator_steps):
            d_loss = self._train_discriminator(real[k * half : (k + 1) * half], k)
        # Conditions are normal numbers, as the noise is.
        latents = self._normal(_LATENT_G, (config.batch, config.inputs))
        given = latents[:, config.latent :]
        with tf.GradientTape() as tape:
            made = tf.concat([self._g(latents, training=True), given], 1)
            output = self.discriminator(made, training=True)
            g_loss = -tf.reduce_mean(output) if config.loss == "wgan-gp" else generator_loss(output)
        self._apply(tape, g_loss, self._g, self._optimizers["generator"])
        return d_loss, g_loss

    def _train_discriminator(self, real: Any, k: int) -> Any:
        """Train D on real muons, float32[batch / 2, d + conditions], and on generated ones; its step `k`."""
        config = self.config
        half = config.batch // 2
        # As in the source, D sees what G gives with its averaged batch normalisation, as it is exported.
        features, given = tf.split(real, self.columns, axis=1)
        # Generated muons have the real ones' conditions.
        latents = tf.concat([self._normal(_LATENT_D, (half, config.latent), k), given], 1)
        generated = tf.concat([self._g(latents, training=False), given], 1)
        blur = config.feature_blur * self._normal(_FEATURE_BLUR, features.shape, k)
        blurred = tf.concat([features + blur, given], 1)
        muons = tf.concat([blurred, generated], 0)
        with tf.GradientTape() as tape:
            output = self.discriminator(muons, training=True)
            if config.loss == "wgan-gp":
                loss = tf.reduce_mean(output[half:]) - tf.reduce_mean(output[:half])
                mixed = generated + self._uniform(_MIX, (half, 1), k) * (blurred - generated)
                loss += config.gradient_penalty * gradient_penalty(self.discriminator, mixed)
            else:
                loss = discriminator_loss(self._labels(half, k), output)
        self._apply(tape, loss, self.discriminator, self._optimizers["discriminator"])
        return loss

    def _labels(self, half: int, k: int) -> Any:
        """Return the blurred labels of `half` real and as many generated muons, float32[2 half, 1]."""
        config = self.config
        labels = tf.concat([tf.fill((half, 1), 1 - config.label_smoothing), tf.zeros((half, 1))], 0)
        return labels + config.label_blur * self._normal(_LABEL_BLUR, (2 * half, 1), k)
