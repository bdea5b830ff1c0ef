"""Distillation: a small dense network that gives what a teacher gives, in one pass instead of many.

A teacher takes normal latents to coordinates made normal (see `shipgen_export.models.flow`); the student is a
dense network regressed on pairs of latents and the teacher's output. The first coordinate of an
autoregressive teacher is its latent, and passes through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen_export.backend import keras, tf
from shipgen_export.models.dense import apply_dense, make_dense

if TYPE_CHECKING:
    from collections.abc import Callable

#: Slope of the student's activation below zero: LeakyReLU, which ONNX Runtime fuses with the layer before.
SLOPE = 0.1

#: Streams of random numbers.
_WEIGHTS, _PAIRS = range(2)


@dataclass(frozen=True)
class StudentConfig:
    """Everything that decides how a student is built and trained.

    Attributes
    ----------
    nodes : tuple of int
        Of the hidden layers.
    batch : int
        Pairs a step.
    learning_rate : float
        Adam's at the start; it falls as half a cosine over `schedule` steps, to a thousandth.
    schedule : int
        Steps of a whole training.
    average : float
        Moving average of the weights: the share of the past that each step keeps.
    """

    nodes: tuple[int, ...] = (32, 32, 32)
    batch: int = 4096
    learning_rate: float = 3e-3
    schedule: int = 20_000
    average: float = 0.998

    def __post_init__(self) -> None:
        """Raise `InputError` when a value makes no student."""
        if not self.nodes or min(self.nodes) < 1:
            raise InputError(f"the student's nodes are {self.nodes}: it takes one or more layers of nodes")
        for name in ("batch", "schedule"):
            if getattr(self, name) < 1:
                raise InputError(f"the student's {name} is {getattr(self, name)}: it must be at least 1")
        if not 0 <= self.average < 1:
            raise InputError(f"the student's average is {self.average}: it must be in [0, 1)")


class Student:
    """A student in training: its network, the moving average that is used, the optimizer, the steps done.

    Parameters
    ----------
    config : StudentConfig
        What to build.
    teacher : callable
        Latents -> coordinates made normal, float32[n, d] both, in TensorFlow; the first passes through.
    coordinates : int
        d.
    seed : int
        Decides initial weights and, with the number of the step, the latents.
    """

    #: Columns of the history that `train` gives.
    losses = ("loss",)

    def __init__(
        self, config: StudentConfig, teacher: Callable[[Any], Any], coordinates: int, seed: int
    ) -> None:
        self.config = config
        self._seed, self._coordinates, self._teacher = seed, coordinates, teacher
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        sizes = [coordinates, *config.nodes, coordinates - 1]
        self._trained, self.average = (
            make_dense(sizes, np.random.default_rng(np.random.SeedSequence((seed, _WEIGHTS))), last=0.3)
            for _ in range(2)
        )
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.schedule, alpha=1e-3)
        self._optimizer = keras.optimizers.Adam(schedule)
        self._optimizer.build(self._trained)
        self._many = tf.function(self._many_steps, input_signature=[tf.TensorSpec((), tf.int32)])

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds: all that later steps depend on."""
        return {
            "step": self.step,
            "trained": self._trained,
            "average": self.average,
            "optimizer": self._optimizer,
        }

    def __call__(self, latent: Any) -> Any:
        """Return what latents become, float32[n, d] both."""
        return tf.concat([latent[:, :1], apply_dense(self.average, latent, _activation)], 1)

    def train(self, steps: int) -> dict[str, Any]:
        """Do so many steps; return the mean squared error of each, float32[steps], as ``loss``."""
        return {"loss": self._many(steps).numpy()}

    def _many_steps(self, count: Any) -> Any:
        losses = tf.TensorArray(tf.float32, count)
        for k in tf.range(count):
            losses = losses.write(k, self._one_step())
        return losses.stack()

    def _one_step(self) -> Any:
        latent = tf.random.stateless_normal(
            (self.config.batch, self._coordinates), tf.stack([self._seed * 2 + _PAIRS, self.step])
        )
        loss, gradients = self._loss_and_gradients(latent)
        self._optimizer.apply(gradients, self._trained)
        kept = self.config.average
        for average, variable in zip(self.average, self._trained, strict=True):
            average.assign(kept * average + (1 - kept) * variable)
        self.step.assign_add(1)
        return loss

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def _loss_and_gradients(self, latent: Any) -> tuple[Any, Any]:
        """Compile this as one: several times faster than operation by operation."""
        wanted = self._teacher(latent)[:, 1:]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((apply_dense(self._trained, latent, _activation) - wanted) ** 2)
        return loss, tape.gradient(loss, self._trained)


def _activation(values: Any) -> Any:
    return tf.nn.leaky_relu(values, SLOPE)
