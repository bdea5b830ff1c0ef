"""The generative adversarial network of the source: its networks, losses and steps.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), sections 5 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shipgen.errors import InputError
from shipgen_export.backend import keras, tf

#: Nodes of the first layer for a node factor of 1; each further layer has twice as many.
_FIRST_LAYER = 256

#: Generator layers from this one on (counted from 0) have dropout.
_FIRST_DROPOUT_G = 2

#: Keras keeps probabilities in [1e-7, 1 - 1e-7] in its cross-entropy; the same bound on logits.
_LOGIT_BOUND = float(np.log((1 - 1e-7) / 1e-7))

#: Streams of random numbers within a step.
_LATENT_D, _LATENT_G, _FEATURE_BLUR, _LABEL_BLUR = range(4)


@dataclass(frozen=True)
class GanConfig:
    """Everything that decides how a GAN is built and trained.

    The defaults are the source's but for the size: its best number of layers (2) with node factors of 1,
    which a CPU can train and run. Its best results took nG = 6, nD = 3 (6 features) and nG = 2, nD = 3 (4).

    Attributes
    ----------
    latent : int
        Width of the generator's input.
    batch : int
        Muons a step: half real, half generated for the discriminator, as many generated for the generator.
    learning_rate, beta_1 : float
        Of both optimizers, Adam with AMSgrad.
    nodes_g, nodes_d : int
        Node factors n: layer k (from 0) has 256 x 2^k x n nodes.
    layers_g, layers_d : int
        Hidden layers.
    slope : float
        LeakyReLU's slope below zero.
    momentum : float
        Of the generator's batch normalisation.
    dropout_g, dropout_d : float
        Dropped share: in the generator from the third layer on, in the discriminator in each layer.
    label_blur, feature_blur : float
        Standard deviations of the normal noise on labels and on real, normalised features.
    """

    latent: int = 100
    batch: int = 100
    learning_rate: float = 2e-4
    beta_1: float = 0.5
    nodes_g: int = 1
    nodes_d: int = 1
    layers_g: int = 2
    layers_d: int = 2
    slope: float = 0.2
    momentum: float = 0.8
    dropout_g: float = 0.25
    dropout_d: float = 0.25
    label_blur: float = 0.3
    feature_blur: float = 0.001

    def __post_init__(self) -> None:
        """Raise `InputError` when a value makes no network."""
        for name in ("latent", "nodes_g", "nodes_d", "layers_g", "layers_d"):
            if getattr(self, name) < 1:
                raise InputError(f"the GAN's {name} is {getattr(self, name)}: it must be at least 1")
        if self.batch < 2 or self.batch % 2:
            raise InputError(f"the GAN's batch is {self.batch}: it must be an even number above zero")

    @property
    def real_batch(self) -> int:
        """Real muons a step."""
        return self.batch // 2


def build_generator(config: GanConfig, features: int, seed: int = 0) -> Any:
    """Return the generator: float32[n, latent] -> float32[n, features], normalised to [-1, 1].

    Parameters
    ----------
    config : GanConfig
        Shape of the network.
    features : int
        Width of the output.
    seed : int
        Of the initial weights and of dropout.
    """
    seeds = np.random.SeedSequence((seed, 0)).generate_state(2 * config.layers_g + 1).tolist()
    layers = [keras.Input((config.latent,))]
    for k in range(config.layers_g):
        layers.append(_dense(_FIRST_LAYER * 2**k * config.nodes_g, seeds.pop()))
        layers.append(keras.layers.LeakyReLU(config.slope))
        layers.append(keras.layers.BatchNormalization(momentum=config.momentum))
        if k >= _FIRST_DROPOUT_G:
            layers.append(keras.layers.Dropout(config.dropout_g, seed=seeds.pop()))
    layers.append(_dense(features, seeds.pop(), activation="tanh"))
    return keras.Sequential(layers, name="generator")


def build_discriminator(config: GanConfig, features: int, seed: int = 0) -> Any:
    """Return the discriminator: float32[n, features] -> float32[n, 1], the logit of "this muon is real".

    The sigmoid of the source is part of the losses, which is safer in float32. Parameters as for
    `build_generator`.
    """
    seeds = np.random.SeedSequence((seed, 1)).generate_state(2 * config.layers_d + 1).tolist()
    layers = [keras.Input((features,))]
    for k in range(config.layers_d):
        layers.append(_dense(_FIRST_LAYER * 2**k * config.nodes_d, seeds.pop()))
        layers.append(keras.layers.LeakyReLU(config.slope))
        layers.append(keras.layers.Dropout(config.dropout_d, seed=seeds.pop()))
    layers.append(_dense(1, seeds.pop()))
    return keras.Sequential(layers, name="discriminator")


def _dense(nodes: int, seed: int, activation: str | None = None) -> Any:
    start = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(nodes, activation=activation, kernel_initializer=start)


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


class Gan:
    """A GAN in training: two networks, their optimizers and the number of steps done.

    Parameters
    ----------
    config : GanConfig
        What to build.
    features : int
        Width of a muon.
    seed : int
        Decides the initial weights and, with the number of the step, all random numbers.
    """

    #: Columns of the history that `train` gives.
    losses = ("d_loss", "g_loss")

    def __init__(self, config: GanConfig, features: int, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.generator = build_generator(config, features, seed)
        self.discriminator = build_discriminator(config, features, seed)
        self.optimizers = []
        for network in (self.generator, self.discriminator):
            optimizer = keras.optimizers.Adam(config.learning_rate, beta_1=config.beta_1, amsgrad=True)
            optimizer.build(network.trainable_variables)
            self.optimizers.append(optimizer)
        batches = tf.TensorSpec((None, config.real_batch, features), tf.float32)
        self._train = tf.function(self._many_steps, input_signature=[batches])

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds: all that later steps depend on."""
        layers = [*self.generator.layers, *self.discriminator.layers]
        return {
            "step": self.step,
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.optimizers[0],
            "discriminator_optimizer": self.optimizers[1],
            # Keras keeps these where TensorFlow does not look.
            "dropout": [
                layer.seed_generator.state.value
                for layer in layers
                if isinstance(layer, keras.layers.Dropout)
            ],
        }

    def train(self, real: Any) -> dict[str, Any]:
        """Do as many steps as `real` has batches.

        Parameters
        ----------
        real : float32[k, batch / 2, features]
            Normalised muons of the sample.

        Returns
        -------
        dict of str to float32[k]
            The losses of each step, by the names in `losses`.
        """
        return dict(zip(self.losses, (loss.numpy() for loss in self._train(real)), strict=True))

    def _many_steps(self, real: Any) -> tuple[Any, Any]:
        """Run the steps inside one graph: a call from Python costs as much as a step."""
        count = tf.shape(real)[0]
        d_losses = tf.TensorArray(tf.float32, count)
        g_losses = tf.TensorArray(tf.float32, count)
        for k in tf.range(count):
            d_loss, g_loss = self._one_step(real[k])
            d_losses = d_losses.write(k, d_loss)
            g_losses = g_losses.write(k, g_loss)
        return d_losses.stack(), g_losses.stack()

    def _normal(self, stream: int, shape: tuple[int, int]) -> Any:
        """Return standard normal numbers that depend on seed, step and stream alone."""
        return tf.random.stateless_normal(shape, tf.stack([self.seed * 4 + stream, self.step]))

    def _one_step(self, real: Any) -> tuple[Any, Any]:
        """Sample G, train D on real and generated muons, train G on new latents; float32[batch / 2, d]."""
        config, half = self.config, self.config.real_batch
        # As in the source, D sees what G gives with its averaged batch normalisation, as it is exported.
        generated = self.generator(self._normal(_LATENT_D, (half, config.latent)), training=False)
        blurred = real + config.feature_blur * self._normal(_FEATURE_BLUR, real.shape)
        labels = tf.concat([tf.ones((half, 1)), tf.zeros((half, 1))], 0)
        labels += config.label_blur * self._normal(_LABEL_BLUR, (config.batch, 1))
        with tf.GradientTape() as tape:
            logits = self.discriminator(tf.concat([blurred, generated], 0), training=True)
            d_loss = discriminator_loss(labels, logits)
        self._apply(tape, d_loss, self.discriminator, self.optimizers[1])
        latents = self._normal(_LATENT_G, (config.batch, config.latent))
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(latents, training=True), training=True)
            g_loss = generator_loss(logits)
        self._apply(tape, g_loss, self.generator, self.optimizers[0])
        self.step.assign_add(1)
        return d_loss, g_loss

    @staticmethod
    def _apply(tape: Any, loss: Any, network: Any, optimizer: Any) -> None:
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
