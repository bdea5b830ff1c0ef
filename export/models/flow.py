"""An autoregressive flow of rational-quadratic splines: a density of muons, trained by maximum likelihood.

It works on coordinates made normal one by one (`shipgen_export.models.marginals`): the first is what its
latent is, each further one its latent through a spline that a small network makes of those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shipgen.errors import InputError
from shipgen_export.backend import keras, tf
from shipgen_export.models.dense import apply_dense, make_dense
from shipgen_export.models.marginals import LIMIT
from shipgen_export.models.splines import inverse_spline, parameters, spline, straight


@dataclass(frozen=True)
class FlowConfig:
    """Everything that decides how a flow is built and trained.

    Attributes
    ----------
    hidden, layers : int
        Nodes and number of hidden layers of each coordinate's network.
    bins : int
        Of the splines.
    batch : int
        Muons a step.
    learning_rate : float
        Adam's at the start; it falls as half a cosine over `schedule` steps, to a thousandth.
    schedule : int
        Steps of a whole training.
    clip : float
        Largest norm of the gradient.
    average : float
        Moving average of the weights: the share of the past that each step keeps.
    """

    hidden: int = 48
    layers: int = 2
    bins: int = 16
    batch: int = 2048
    learning_rate: float = 2e-3
    schedule: int = 20_000
    clip: float = 1.0
    average: float = 0.998

    def __post_init__(self) -> None:
        """Raise `InputError` when a value makes no flow."""
        for name in ("hidden", "layers", "batch", "schedule"):
            if getattr(self, name) < 1:
                raise InputError(f"the flow's {name} is {getattr(self, name)}: it must be at least 1")
        if not 2 <= self.bins <= 100:
            raise InputError(f"the flow's bins are {self.bins}: it takes 2 to 100")
        if not 0 <= self.average < 1:
            raise InputError(f"the flow's average is {self.average}: it must be in [0, 1)")

    @property
    def real_batch(self) -> int:
        """Real muons a step."""
        return self.batch


class Density:
    """The flow itself: normal latents <-> coordinates made normal, float32[n, d] both.

    Parameters
    ----------
    config : FlowConfig
        Shape of the networks.
    coordinates : int
        d.
    seed : int
        Of the initial weights.
    """

    def __init__(self, config: FlowConfig, coordinates: int, seed: int = 0) -> None:
        self._bins = config.bins
        random = np.random.default_rng(np.random.SeedSequence((seed, 0)))
        #: For each coordinate but the first: the network that makes its splines.
        self.networks = []
        for before in range(1, coordinates):
            sizes = [before, *[config.hidden] * config.layers, parameters(config.bins)]
            # The last layer starts small, so that all splines start close to the identity.
            network = make_dense(sizes, random, last=0.05)
            network[-1].assign(straight(config.bins))
            self.networks.append(network)

    @property
    def variables(self) -> list[Any]:
        """All weights."""
        return [variable for network in self.networks for variable in network]

    def _splines(self, number: int, before: Any) -> Any:
        """Return the parameters of coordinate `number`'s splines given those before, float32[n, number]."""
        return apply_dense(self.networks[number - 1], before, tf.nn.silu)

    def loss(self, normal: Any) -> Any:
        """Return the mean of -log(density / normal density) of muons, float32[n, d]."""
        total = 0.0
        for number in range(1, normal.shape[1]):
            latent, slope = spline(self._splines(number, normal[:, :number]), normal[:, number], self._bins)
            total += 0.5 * (latent**2 - normal[:, number] ** 2) - slope
        return tf.reduce_mean(total)

    def sample(self, latent: Any) -> Any:
        """Return what latents become, float32[n, d]; what they have beyond `LIMIT` is cut off the first."""
        columns = [tf.clip_by_value(latent[:, 0], -LIMIT, LIMIT)]
        for number in range(1, latent.shape[1]):
            own = self._splines(number, tf.stack(columns, 1))
            columns.append(inverse_spline(own, latent[:, number], self._bins))
        return tf.stack(columns, 1)

    def latent(self, normal: Any) -> Any:
        """Return the latents that become `normal`, float32[n, d]."""
        columns = [normal[:, 0]]
        for number in range(1, normal.shape[1]):
            own = self._splines(number, normal[:, :number])
            columns.append(spline(own, normal[:, number], self._bins)[0])
        return tf.stack(columns, 1)


class Flow:
    """A flow in training: the density, its optimizer and the number of steps done.

    Parameters
    ----------
    config : FlowConfig
        What to build.
    coordinates : int
        Of a muon.
    seed : int
        Of the initial weights.
    """

    #: Columns of the history that `train` gives.
    losses = ("loss",)

    def __init__(self, config: FlowConfig, coordinates: int, seed: int) -> None:
        self.config = config
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._trained = Density(config, coordinates, seed)
        #: What the moving average of the weights gives: that is used.
        self.density = Density(config, coordinates, seed)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.schedule, alpha=1e-3)
        self._optimizer = keras.optimizers.Adam(schedule, global_clipnorm=config.clip)
        self._optimizer.build(self._trained.variables)
        batches = tf.TensorSpec((None, config.batch, coordinates), tf.float32)
        self._train = tf.function(self._many_steps, input_signature=[batches])

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds: all that later steps depend on."""
        return {
            "step": self.step,
            "trained": self._trained.networks,
            "average": self.density.networks,
            "optimizer": self._optimizer,
        }

    def train(self, real: Any) -> dict[str, Any]:
        """Do as many steps as `real` has batches.

        Parameters
        ----------
        real : float32[k, batch, d]
            Coordinates of the sample's muons, made normal.

        Returns
        -------
        dict of str to float32[k]
            The loss of each step.
        """
        return {"loss": self._train(real).numpy()}

    def _many_steps(self, real: Any) -> Any:
        count = tf.shape(real)[0]
        losses = tf.TensorArray(tf.float32, count)
        for k in tf.range(count):
            losses = losses.write(k, self._one_step(real[k]))
        return losses.stack()

    def _one_step(self, normal: Any) -> Any:
        variables = self._trained.variables
        loss, gradients = self._loss_and_gradients(normal)
        self._optimizer.apply(gradients, variables)
        kept = self.config.average
        for average, variable in zip(self.density.variables, variables, strict=True):
            average.assign(kept * average + (1 - kept) * variable)
        self.step.assign_add(1)
        return loss

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def _loss_and_gradients(self, normal: Any) -> tuple[Any, Any]:
        """Compile this as one: several times faster than operation by operation."""
        with tf.GradientTape() as tape:
            loss = self._trained.loss(normal)
        return loss, tape.gradient(loss, self._trained.variables)
