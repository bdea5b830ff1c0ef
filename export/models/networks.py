"""What the models' networks and their training share: layers, optimizers, averages, steps in one graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.backend import keras, tf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen_export.models.settings import Config


#: Random numbers of the same stream in one step: this many times at most.
_PARTS = 1000


def seeds(seed: int, network: int, count: int) -> list[int]:
    """Return `count` seeds for the layers of network number `network`."""
    state = np.random.SeedSequence((seed, network)).generate_state(count)
    return [int(value) for value in state]


def dense(nodes: int, seed: int, activation: str | None = None) -> Any:
    """Return a dense layer whose first weights follow the seed."""
    start = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(nodes, activation=activation, kernel_initializer=start)


def learning_rate(config: Config, steps: int = 1) -> Any:
    """Return the learning rate over the optimizer's steps, a number or a Keras schedule.

    With r after n = `decay_steps` steps: cosine is r + (1 - r) (1 + cos(pi k / n)) / 2 of the learning rate
    and stays at r, exponential is r^(k / n) and goes on.

    Parameters
    ----------
    config : Config
        Its `learning_rate`, `schedule`, `decay_steps` and `decay_to` = r are used.
    steps : int
        Steps of the optimizer in one of training.
    """
    rate, last, share = config.learning_rate, config.decay_steps * steps, config.decay_to
    if config.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, last, alpha=share)
    if config.schedule == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(rate, last, share)
    return rate


def optimizer(config: Config, network: Any, steps: int = 1) -> Any:
    """Return the optimizer of a network, ready for a checkpoint; parameters as for `learning_rate`."""
    rate = learning_rate(config, steps)
    if config.optimizer == "rmsprop":
        made = keras.optimizers.RMSprop(rate)
    else:
        made = keras.optimizers.Adam(rate, beta_1=config.beta_1, amsgrad=config.optimizer == "amsgrad")
    made.build(network.trainable_variables)
    return made


class StepTrainer:
    """A model in training: its networks, their moving averages and the number of steps done.

    A model derives from it, sets `losses`, calls `_start` with its networks and optimizers, and defines
    `_one_step`.

    Parameters
    ----------
    config : Config
        What to build.
    features : int
        Width of a muon.
    seed : int
        Decides the initial weights and, with the number of the step, all random numbers.
    """

    #: Columns of the history that `train` gives.
    losses: tuple[str, ...]

    #: Streams of random numbers within a step.
    streams = 8
    #: It goes on as long as it is asked to.
    ended = False

    def __init__(self, config: Any, features: int, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        #: Columns of a real muon: features, and the normal numbers of its conditions behind them.
        self.columns = [features, config.inputs - config.latent]
        batches = tf.TensorSpec((None, config.real_batch, sum(self.columns)), tf.float32)
        self._train = tf.function(self._many_steps, input_signature=[batches])

    def _start(self, networks: dict[str, Any], optimizers: dict[str, Any], averaged: Sequence[str]) -> None:
        """Take the model's parts; the networks named in `averaged` are what is evaluated and kept.

        The first of these is the generator, the others are its companions.
        """
        self._networks = networks
        self._optimizers = optimizers
        # A network built again from its configuration: the same layers with variables of their own.
        self._averages = (
            {name: type(networks[name]).from_config(networks[name].get_config()) for name in averaged}
            if self.config.average
            else {}
        )
        for name, average in self._averages.items():
            average.set_weights(networks[name].get_weights())
        kept = {name: self._averages.get(name, networks[name]) for name in averaged}
        self.generator = kept.pop(averaged[0])
        self.companions: dict[str, Any] = kept

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds: all that later steps depend on."""
        layers = [layer for network in self._networks.values() for layer in network.layers]
        return {
            "step": self.step,
            **self._networks,
            **{f"{name}_optimizer": each for name, each in self._optimizers.items()},
            **{f"{name}_average": each for name, each in self._averages.items()},
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
        real : float32[k, config.real_batch, features + conditions]
            Normalised muons of the sample, with the normal numbers of their conditions.

        Returns
        -------
        dict of str to float32[k]
            The losses of each step, by the names in `losses`.
        """
        return dict(zip(self.losses, (loss.numpy() for loss in self._train(real)), strict=True))

    def _many_steps(self, real: Any) -> tuple[Any, ...]:
        """Run the steps inside one graph: a call from Python costs as much as a step."""
        count = tf.shape(real)[0]
        found = [tf.TensorArray(tf.float32, count) for _ in self.losses]
        for k in tf.range(count):
            values = self._one_step(real[k])
            found = [array.write(k, value) for array, value in zip(found, values, strict=True)]
            self._update_averages()
            self.step.assign_add(1)
        return tuple(array.stack() for array in found)

    def _one_step(self, real: Any) -> tuple[Any, ...]:
        """Do one step on float32[config.real_batch, features + conditions]; return `losses`."""
        raise NotImplementedError

    def _update_averages(self) -> None:
        """Move the averages towards the networks; faster in the first steps, as TensorFlow's own does."""
        step = tf.cast(self.step, tf.float32)
        share = 1 - tf.minimum(self.config.average, (1 + step) / (10 + step))
        for name, average in self._averages.items():
            for mean, weight in zip(average.weights, self._networks[name].weights, strict=True):
                mean.assign_add(share * (weight - mean))

    def _key(self, stream: int, part: int) -> Any:
        return tf.stack([self.seed * self.streams + stream, self.step * _PARTS + part])

    def _normal(self, stream: int, shape: tuple[int, ...], part: int = 0) -> Any:
        """Return standard normal numbers that depend on seed, step, stream and part of the step alone."""
        return tf.random.stateless_normal(shape, self._key(stream, part))

    def _uniform(self, stream: int, shape: tuple[int, ...], part: int = 0) -> Any:
        """Return numbers uniform on [0, 1), as `_normal`."""
        return tf.random.stateless_uniform(shape, self._key(stream, part))

    @staticmethod
    def _apply(tape: Any, loss: Any, network: Any, optimizer: Any) -> None:
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
