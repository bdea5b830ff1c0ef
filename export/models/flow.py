"""An autoregressive flow of rational-quadratic splines: a density of muons, trained by maximum likelihood.

It works on coordinates made normal one by one (`shipgen_export.maps.marginals`): the first is what its
latent is, each further one its latent through a spline that a small network makes of those before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.backend import keras, tf
from shipgen_export.maps.smoothing import LIMIT
from shipgen_export.models.by_size import WORSE, patience
from shipgen_export.models.dense import MappedNetwork, apply_dense, make_dense
from shipgen_export.models.settings import FlowConfig
from shipgen_export.models.splines import inverse_spline, parameters, spline, straight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float32, Int64
    from shipgen_export.maps.coordinates import Shape

__all__ = ["Density", "Flow", "FlowConfig", "build_generator"]

#: Steps from one look at the muons held out to the next.
_JUDGED_EVERY = 100

#: Standard deviations, by protons held out, by which a step has to be better than what a flow started from.
_SURE = 2.0


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
        return tf.reduce_mean(-self.log_ratio(normal))

    def log_ratio(self, normal: Any) -> Any:
        """Return log(density / normal density) of each muon, float32[n, d] -> float32[n]."""
        total = 0.0
        for number in range(1, normal.shape[1]):
            latent, slope = spline(self._splines(number, normal[:, :number]), normal[:, number], self._bins)
            total += 0.5 * (normal[:, number] ** 2 - latent**2) + slope
        return total

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


def build_generator(config: FlowConfig, shape: Shape, seed: int = 0) -> MappedNetwork:
    """Return an untrained flow as a generator of normal numbers."""
    density = Density(config, shape.coordinates, seed)
    return MappedNetwork(shape, density.variables, density.sample)


class Flow:
    """A flow in training: the density, its optimizer and the number of steps done.

    Parameters
    ----------
    config : FlowConfig
        What to build.
    shape : Shape
        Of the muons' map.
    seed : int
        Of the initial weights.
    held_out : float32[n, d], optional
        Muons of other protons, as many as their weights say. Small samples are learnt by heart before the
        last step: those weights are used whose loss is the least for these muons, or the last ones where
        these are as good but for what so many muons do not tell.
    start : sequence of arrays, optional
        Weights of a flow of another sample to go on from; if no step is better by more than the protons held
        out scatter, they are used.
    protons : int64[n], optional
        Of the muons held out; one for each if not given.

    Attributes
    ----------
    density : Density
        What the moving average of the weights gives.
    generator : MappedNetwork
        What is used: the best of these for the muons held out, or the last.
    """

    #: Columns of the history that `train` gives.
    losses = ("loss",)

    def __init__(
        self,
        config: FlowConfig,
        shape: Shape,
        seed: int,
        held_out: Float32 | None = None,
        start: Sequence[Any] | None = None,
        protons: Int64 | None = None,
    ) -> None:
        self.config = config
        self.companions: dict[str, Any] = {}
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        coordinates = shape.coordinates
        self._trained = Density(config, coordinates, seed)
        self.density = Density(config, coordinates, seed)
        self._best = Density(config, coordinates, seed)
        #: Loss of the muons held out, at its least, and the step that it had it at.
        self.least = tf.Variable(np.inf, dtype=tf.float32, trainable=False, name="least")
        self.best_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="best_step")
        #: The last one that was looked at.
        self.latest = tf.Variable(np.inf, dtype=tf.float32, trainable=False, name="latest")
        self._held_out = None if held_out is None else tf.constant(held_out)
        self._at_start: Float32 | None = None
        self._judge = tf.function(self.density.loss, jit_compile=True)
        self.generator = MappedNetwork(shape, self._best.variables, self._best.sample)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps, alpha=1e-3)
        self._optimizer = keras.optimizers.AdamW(
            schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip
        )
        self._optimizer.build(self._trained.variables)
        if start is not None:
            for density in (self._trained, self.density, self._best):
                for variable, value in zip(density.variables, start, strict=True):
                    variable.assign(value)
            if held_out is not None:
                self.least.assign(self._judge(self._held_out))
                self._ratio = tf.function(self.density.log_ratio, jit_compile=True)
                self._at_start = self._ratio(self._held_out).numpy()
                each = np.arange(len(held_out)) if protons is None else protons
                self._of_muon = np.unique(each, return_inverse=True)[1]
        batches = tf.TensorSpec((None, config.batch, coordinates), tf.float32)
        self._train = tf.function(self._many_steps, input_signature=[batches])

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds: all that later steps depend on."""
        return {
            "step": self.step,
            "trained": self._trained.networks,
            "average": self.density.networks,
            "best": self._best.networks,
            "least": self.least,
            "best_step": self.best_step,
            "latest": self.latest,
            "optimizer": self._optimizer,
        }

    @property
    def ended(self) -> bool:
        """Whether the muons held out have not become likelier for so long that more steps are for nothing."""
        if self._held_out is None:
            return False
        waited = int(self.step) - int(self.best_step) >= patience(self.config)
        return waited and float(self.latest) - float(self.least) > WORSE

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
        losses = self._train(real).numpy()
        if self._held_out is None:
            self._keep()
        # At the same steps wherever a training was interrupted.
        elif int(self.step) % _JUDGED_EVERY == 0 or int(self.step) == self.config.steps:
            loss = float(self._judge(self._held_out))
            self.latest.assign(loss)
            surely = self._better_than_start()
            better = loss < float(self.least) and surely
            if better:
                self.least.assign(loss)
                self.best_step.assign(self.step)
            # At the end the learning rate has fallen, and so small a difference is of the muons held out.
            ends = int(self.step) == self.config.steps
            if better or (ends and surely and loss < float(self.least) + WORSE):
                self._keep()
        return {"loss": losses}

    def _better_than_start(self) -> bool:
        """Whether the protons held out tell the flow from what it started from, to its advantage."""
        if self._at_start is None:
            return True
        gains = np.bincount(self._of_muon, self._ratio(self._held_out).numpy() - self._at_start)
        return len(gains) > 1 and bool(gains.sum() > _SURE * gains.std(ddof=1) * np.sqrt(len(gains)))

    def _keep(self) -> None:
        for best, variable in zip(self._best.variables, self.density.variables, strict=True):
            best.assign(variable)

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
