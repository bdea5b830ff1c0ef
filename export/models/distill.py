"""Distillation: a small dense network that gives what a teacher gives, in one pass instead of many.

A teacher takes normal latents to coordinates made normal (see `shipgen_export.models.flow`); the student is a
dense network regressed on pairs of latents and the teacher's output. The first coordinate of an
autoregressive teacher is its latent, and passes through.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import ShipgenError
from shipgen_export.backend import keras, tf
from shipgen_export.models.dense import MappedNetwork, apply_dense, make_dense
from shipgen_export.models.settings import StudentConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shipgen_export.maps.coordinates import Shape

__all__ = ["Student", "StudentConfig", "build_generator"]

#: Slope of the student's activation below zero: LeakyReLU, which ONNX Runtime fuses with the layer before.
SLOPE = 0.1

#: Streams of random numbers.
_WEIGHTS, _PAIRS = range(2)

#: Tails are what a background study is about: this share of the latents is drawn so much wider.
_WIDE_SHARE, _WIDTH = 0.25, 1.5

#: Latents that the teacher is asked at once: bounds the memory.
_SLICE = 50_000


def build_generator(config: StudentConfig, shape: Shape, seed: int = 0) -> MappedNetwork:
    """Return an untrained student as a generator of normal numbers."""
    weights = _make(config, shape, seed)
    return MappedNetwork(shape, weights, partial(_apply, weights))


def _make(config: StudentConfig, shape: Shape, seed: int) -> list[Any]:
    random = np.random.default_rng(np.random.SeedSequence((seed, _WEIGHTS)))
    d, _, on_axis = shape
    return make_dense([d, *config.sizes(on_axis=on_axis), d - 1], random, last=0.3)


def _apply(weights: Sequence[Any], latent: Any) -> Any:
    """Return what latents become, float32[n, d] both."""
    return tf.concat([latent[:, :1], apply_dense(weights, latent, _activation)], 1)


class Student:
    """A student in training: its network, the moving average that is used, the optimizer, the steps done.

    Parameters
    ----------
    config : StudentConfig
        What to build.
    shape : Shape
        Of the muons' map.
    seed : int
        Decides initial weights, latents and, with the number of the step, the pairs of a batch.
    teacher : callable
        Latents -> coordinates made normal, float32[n, d] both, in TensorFlow; the first passes through.

    Attributes
    ----------
    generator : MappedNetwork
        What the moving average of the weights gives: that is used.
    """

    #: Columns of the history that `train` gives.
    losses = ("loss",)
    ended = False

    def __init__(self, config: StudentConfig, shape: Shape, seed: int, teacher: Callable[[Any], Any]) -> None:
        self.config = config
        self.companions: dict[str, Any] = {}
        self._seed, self._coordinates, self._teacher = seed, shape.coordinates, teacher
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._trained, self.average = (_make(config, shape, seed) for _ in range(2))
        self.generator = MappedNetwork(shape, self.average, partial(_apply, self.average))
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps, alpha=1e-3)
        self._optimizer = keras.optimizers.Adam(schedule)
        self._optimizer.build(self._trained)
        self._pairs: Any = None
        width = 2 * shape.coordinates - 1
        self._many = tf.function(
            self._many_steps,
            input_signature=[tf.TensorSpec((), tf.int32), tf.TensorSpec((config.pairs, width), tf.float32)],
        )

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds: all that later steps depend on."""
        return {
            "step": self.step,
            "trained": self._trained,
            "average": self.average,
            "optimizer": self._optimizer,
        }

    def train(self, real: Any) -> dict[str, Any]:
        """Do as many steps as `real` has entries, float32[k, ...], which are not looked at otherwise.

        Returns
        -------
        dict of str to float32[k]
            The mean squared error of each step, as ``loss``.
        """
        if self._pairs is None:
            self._ask()
        return {"loss": self._many(len(real), self._pairs).numpy()}

    def _ask(self) -> None:
        """Ask the teacher once for all answers, which is most of the work."""
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((self._seed, _PAIRS))))
        latents = np.empty((self.config.pairs, self._coordinates), np.float32)
        answers = np.empty((self.config.pairs, self._coordinates - 1), np.float32)
        teacher = tf.function(self._teacher, jit_compile=True)
        for first in range(0, self.config.pairs, _SLICE):
            # The last slice as long as the others, for a graph is made for each length.
            latent = random.standard_normal((_SLICE, self._coordinates), np.float32)
            latent[random.random(_SLICE) < _WIDE_SHARE] *= _WIDTH
            answer = teacher(latent).numpy()[:, 1:]
            latents[first : first + _SLICE] = latent[: self.config.pairs - first]
            answers[first : first + _SLICE] = answer[: self.config.pairs - first]
        if not np.isfinite(answers).all():
            raise ShipgenError("a teacher's answer is NaN or infinite: train the teachers again")
        self._pairs = tf.constant(np.concatenate([latents, answers], 1))

    def _many_steps(self, count: Any, pairs: Any) -> Any:
        losses = tf.TensorArray(tf.float32, count)
        for k in tf.range(count):
            losses = losses.write(k, self._one_step(pairs))
        return losses.stack()

    def _one_step(self, pairs: Any) -> Any:
        key = tf.stack([tf.constant(self._seed, tf.int64), self.step])
        chosen = tf.random.stateless_uniform(
            (self.config.batch,), key, maxval=self.config.pairs, dtype=tf.int32
        )
        loss, gradients = self._loss_and_gradients(tf.gather(pairs, chosen))
        self._optimizer.apply(gradients, self._trained)
        kept = self.config.average
        for average, variable in zip(self.average, self._trained, strict=True):
            average.assign(kept * average + (1 - kept) * variable)
        self.step.assign_add(1)
        return loss

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def _loss_and_gradients(self, pairs: Any) -> tuple[Any, Any]:
        """Compile this as one: several times faster than operation by operation."""
        latent, wanted = pairs[:, : self._coordinates], pairs[:, self._coordinates :]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((apply_dense(self._trained, latent, _activation) - wanted) ** 2)
        return loss, tape.gradient(loss, self._trained)


def _activation(values: Any) -> Any:
    return tf.nn.leaky_relu(values, SLOPE)
