"""The settings of the models: each one's default, command line names, limits and help stand here, once.

Source of names and defaults of GAN and VAE: A. M. Marshall, "GANs and VAEs testing" (2018), sections 5 to 8.
The source's ``-o`` for the optimizer is ``-opt`` here, since ``-o`` is the output of every command.
TensorFlow is not loaded: the command line makes its options from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from shipgen.errors import InputError
from shipgen.muons.quantities import DISCRETE, QUANTITIES

#: More would need more muons than there are to tell what each of them leaves to the next.
_MOST_CONDITIONS = 4


@dataclass(frozen=True)
class Setting:
    """What is known of one setting beside its type and default.

    Attributes
    ----------
    help : str
        One line.
    short : tuple of str
        Names on the command line beside the long one, which is the field's own.
    low, high : float or None
        Smallest value, and the one it has to stay below.
    above : float or None
        What it has to be above.
    choices : tuple of str
        The words it may be.
    """

    help: str
    short: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()

    def wrong(self, value: Any) -> str | None:
        """Say what a value has to be, ``None`` when it is."""
        if self.choices:
            return None if value in self.choices else f"one of {', '.join(self.choices)}"
        if value is None or isinstance(value, bool | str):
            return None
        limits = (
            ("at least", self.low, self.low is None or value >= self.low),
            ("above", self.above, self.above is None or value > self.above),
            ("below", self.high, self.high is None or value < self.high),
        )
        # A NaN is on no side of any limit.
        finite = abs(value) < float("inf")
        if finite and all(kept for _, _, kept in limits):
            return None
        return " and ".join(f"{word} {limit:g}" for word, limit, _ in limits if limit is not None) or "finite"


def _setting(default: Any, text: str, *short: str, **limits: Any) -> Any:
    return field(default=default, metadata={"setting": Setting(text, short, **limits)})


@dataclass(frozen=True)
class Settings:
    """A model's settings; frozen, saved beside the weights.

    Raises
    ------
    InputError
        A value is outside its limits.
    """

    def __post_init__(self) -> None:
        """Raise `InputError` when a value is outside its limits."""
        for name, setting in settings(type(self)).items():
            if wanted := setting.wrong(getattr(self, name)):
                raise InputError(f"the setting {name} is {getattr(self, name)}: it must be {wanted}")

    @property
    def real_batch(self) -> int:
        """Real muons a step."""
        batch: int = getattr(self, "batch")  # noqa: B009 (each model has its own)
        return batch

    @property
    def planned_steps(self) -> int | None:
        """Steps of a whole training, for models whose learning rate falls over them."""
        return None

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The quantities that are given to the networks."""
        return ()


@dataclass(frozen=True)
class Config(Settings):
    """The settings that the source's models share."""

    latent: int = _setting(100, "Width of the generator's input.", low=1)
    batch: int = _setting(100, "Muons a step.", low=2)
    learning_rate: float = _setting(2e-4, "Learning rate.", above=0)
    optimizer: str = _setting(
        "amsgrad",
        "Optimizer; amsgrad is Adam with AMSgrad.",
        "-opt",
        choices=("amsgrad", "adam", "rmsprop"),
    )
    beta_1: float = _setting(0.5, "Adam's memory of gradients.", low=0, high=1)
    schedule: str = _setting(
        "constant",
        "How the learning rate goes over steps.",
        choices=("constant", "cosine", "exponential"),
    )
    decay_steps: int = _setting(100_000, "Steps in which the schedule reaches --decay-to.", low=1)
    decay_to: float = _setting(0.01, "Share of the learning rate left after --decay-steps.", above=0, high=1)
    average: float = _setting(
        0.0,
        "Evaluate and export the moving average of the weights, with this memory; 0.999 is usual, 0 is off.",
        low=0,
        high=1,
    )
    span: float | None = _setting(
        None,
        "Normalise features to +- this, such as 0.97 or 0.9. [default: as the sample was prepared]",
        above=0,
    )

    conditions: str = _setting(
        "",
        "Give these quantities to the networks as further latents, such as p,pt or r,z,pt,pz; see `shipgen "
        "enhance`. [default: none]",
    )

    def __post_init__(self) -> None:
        """Raise `InputError` when a value is outside its limits."""
        super().__post_init__()
        if self.span is not None and self.span > 1:
            raise InputError(f"the setting span is {self.span}: networks reach from -1 to 1, no further")
        names = self.condition_names
        unknown = [name for name in names if name not in QUANTITIES or name in DISCRETE]
        if unknown or len(set(names)) < len(names) or len(names) > _MOST_CONDITIONS:
            raise InputError(
                f"the setting conditions is {self.conditions!r}: it must be up to {_MOST_CONDITIONS} "
                f"different ones of {', '.join(name for name in QUANTITIES if name not in DISCRETE)}"
            )

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The quantities that are given to the networks."""
        return tuple(name.strip().lower() for name in self.conditions.split(",") if name.strip())

    @property
    def inputs(self) -> int:
        """Width of the generator's input: noise and conditions."""
        return self.latent + len(self.condition_names)


def settings(config: type[Settings]) -> dict[str, Setting]:
    """Return the settings of a model's class by name."""
    return {each.name: each.metadata["setting"] for each in fields(config)}


@dataclass(frozen=True)
class GanConfig(Config):
    """Everything that decides how a GAN is built and trained; the defaults are the source's.

    The source's best results took two layers each and nG = 6, nD = 3 (6 features) or nG = 2, nD = 3 (4); a
    learning rate of 5e-5 was more stable.
    """

    batch: int = _setting(
        100,
        "Muons a step: half real, half generated for the discriminator, as many generated for the generator.",
        low=2,
    )
    learning_rate: float = _setting(2e-4, "Learning rate of both networks.", "-l", above=0)
    nodes_g: int = _setting(
        1, "Node factor n of the generator: layer k has 256 x 2^(k-1) x n nodes.", "-nG", low=1
    )
    nodes_d: int = _setting(1, "Node factor of the discriminator.", "-nD", low=1)
    layers_g: int = _setting(3, "Hidden layers of the generator.", "-layersG", low=1)
    layers_d: int = _setting(3, "Hidden layers of the discriminator.", "-layersD", low=1)
    slope: float = _setting(0.2, "LeakyReLU's slope below zero.", low=0, high=1)
    momentum: float = _setting(0.8, "Of the generator's batch normalisation.", low=0, high=1)
    dropout_g: float = _setting(
        0.25, "Dropped share in the generator, from the third layer on.", low=0, high=1
    )
    dropout_d: float = _setting(0.25, "Dropped share in each layer of the discriminator.", low=0, high=1)
    label_blur: float = _setting(0.3, "Standard deviation of the noise on labels.", low=0)
    feature_blur: float = _setting(0.001, "Standard deviation of the noise on real features.", low=0)
    label_smoothing: float = _setting(
        0.0, "One-sided: the label of real muons is 1 minus this.", low=0, high=1
    )
    loss: str = _setting(
        "source",
        "Losses: the source's, or Wasserstein with gradient penalty (labels, their noise and smoothing do "
        "not apply).",
        choices=("source", "wgan-gp"),
    )
    gradient_penalty: float = _setting(10.0, "Factor of wgan-gp's gradient penalty.", low=0)
    discriminator_steps: int = _setting(
        1, "Steps of the discriminator for one of the generator; 5 is usual with wgan-gp.", low=1, high=1000
    )
    spectral_norm: bool = _setting(False, "Spectral normalisation of the discriminator's layers.")

    def __post_init__(self) -> None:
        """Raise `InputError` when a value is outside its limits."""
        super().__post_init__()
        if self.batch % 2:
            raise InputError(f"the setting batch is {self.batch}: it must be an even number for a GAN")

    @property
    def real_batch(self) -> int:
        """Real muons a step: half of each batch that the discriminator sees."""
        return self.batch // 2 * self.discriminator_steps


@dataclass(frozen=True)
class VaeConfig(Config):
    """Everything that decides how a VAE is built and trained; the defaults are the source's."""

    latent: int = _setting(4, "Dimensions of the latent space.", low=1)
    learning_rate: float = _setting(1e-3, "Learning rate.", "-lr", above=0)
    optimizer: str = _setting(
        "adam",
        "Optimizer; amsgrad is Adam with AMSgrad.",
        "-opt",
        choices=("amsgrad", "adam", "rmsprop"),
    )
    beta_1: float = _setting(0.9, "Adam's memory of gradients.", low=0, high=1)
    cross_entropy: float = _setting(1000.0, "Factor of the cross-entropy in the loss.", "-x", above=0)
    nodes_e: int = _setting(100, "Nodes in each layer of the encoder.", "-iE", low=1)
    nodes_d: int = _setting(100, "Nodes in each layer of the decoder.", "-iD", low=1)
    layers_e: int = _setting(3, "Hidden layers of the encoder.", "-layersE", low=1)
    layers_d: int = _setting(3, "Hidden layers of the decoder.", "-layersD", low=1)
    batch_normalisation: bool = _setting(False, "Batch normalisation after each hidden layer.")
    dropout: float = _setting(0.0, "Dropped share after each hidden layer.", low=0, high=1)


@dataclass(frozen=True)
class Scheduled(Settings):
    """Settings of models whose learning rate falls, as half a cosine, to a thousandth over all steps."""

    steps: int = _setting(20_000, "Steps of a whole training, over which the learning rate falls.", low=1)

    @property
    def planned_steps(self) -> int:
        """The setting `steps`."""
        return self.steps


@dataclass(frozen=True)
class FlowConfig(Scheduled):
    """Everything that decides how a flow is built and trained."""

    hidden: int = _setting(32, "Nodes in each hidden layer of a coordinate's network.", low=1)
    layers: int = _setting(2, "Hidden layers of a coordinate's network.", low=1)
    bins: int = _setting(12, "Bins of the splines.", low=2, high=101)
    batch: int = _setting(2048, "Muons a step.", low=1)
    learning_rate: float = _setting(2e-3, "Adam's learning rate at the start.", above=0)
    clip: float = _setting(1.0, "Largest norm of the gradient.", above=0)
    weight_decay: float = _setting(
        0.0, "Share of the weights, in units of the learning rate, taken off at each step (AdamW).", low=0
    )
    average: float = _setting(
        0.998, "Moving average of the weights: the share of the past that each step keeps.", low=0, high=1
    )
    as_given: bool = _setting(
        False,
        "Do the steps that are asked for whatever the size of the sample. [default: they are the most]",
    )
    bootstrap: bool = _setting(
        False, "Train on a bootstrap sample: each proton counts as often as a Poisson number of mean 1."
    )


@dataclass(frozen=True)
class StudentConfig(Scheduled):
    """Everything that decides how a student is built and trained."""

    nodes: str = _setting("32-32-32", "Nodes of the hidden layers, off-axis categories.")
    nodes_on_axis: str = _setting("24-24", "Nodes of the hidden layers, on-axis categories.")
    pairs: int = _setting(4_000_000, "Pairs of latents and the teachers' answers to learn from.", low=1)
    batch: int = _setting(4096, "Pairs a step.", low=1)
    learning_rate: float = _setting(3e-3, "Adam's learning rate at the start.", above=0)
    average: float = _setting(
        0.998, "Moving average of the weights: the share of the past that each step keeps.", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Raise `InputError` when a value makes no student."""
        super().__post_init__()
        for name in ("nodes", "nodes_on_axis"):
            words = getattr(self, name).split("-")
            if not all(word.isdecimal() and int(word) > 0 for word in words):
                raise InputError(
                    f"the setting {name} is {getattr(self, name)!r}: it must be numbers of nodes, such as "
                    "32-32-32"
                )

    def sizes(self, *, on_axis: bool) -> tuple[int, ...]:
        """Return the nodes of each hidden layer."""
        return tuple(int(word) for word in (self.nodes_on_axis if on_axis else self.nodes).split("-"))
