"""The kinds of model that can be trained, by the names used on the command line and in run folders."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen_export.models import settings as all_settings

if TYPE_CHECKING:
    from shipgen_export.models.settings import Settings


@dataclass(frozen=True)
class Model:
    """A kind of model.

    Attributes
    ----------
    help : str
        What it is, in a few words.
    module : str
        Where it is; loaded when it is trained. Its ``build_generator`` (settings, shape) makes an untrained
        generator, where the shape is that of the muons' normalisation or map.
    config, trainer : str
        Names of the settings' class and, in the module, of the `Trainer` (settings, shape, seed).
    mapped : bool
        Trained in coordinates made normal (`MuonMap`), not in normalised features. Then the learning rate
        falls over a number of steps that is a setting, and the network of the last step is the one to take.
    taught : bool
        Learns from teachers and not from muons.
    """

    help: str
    module: str
    config: str
    trainer: str
    mapped: bool = False
    taught: bool = False

    def load(self, name: str) -> Any:
        """Return one of the module's objects."""
        return getattr(importlib.import_module(self.module), name)

    def build(self, config: Settings, shape: Any) -> Any:
        """Return an untrained generator."""
        return self.load("build_generator")(config, shape)

    @property
    def settings(self) -> type[Settings]:
        """The settings' class, without loading TensorFlow."""
        config: type[Settings] = getattr(all_settings, self.config)
        return config


MODELS = {
    "gan": Model(
        "the source's generative adversarial network", "shipgen_export.models.gan", "GanConfig", "Gan"
    ),
    "vae": Model("the source's variational auto-encoder", "shipgen_export.models.vae", "VaeConfig", "Vae"),
    "flow": Model(
        "a normalising flow by maximum likelihood: faithful, a teacher",
        "shipgen_export.models.flow",
        "FlowConfig",
        "Flow",
        mapped=True,
    ),
    "distill": Model(
        "a small, fast network that learns what flows (--teacher) make",
        "shipgen_export.models.distill",
        "StudentConfig",
        "Student",
        mapped=True,
        taught=True,
    ),
}


def model_by_name(name: str) -> Model:
    """Return the model called `name`; raise `InputError` naming the choices otherwise."""
    if name not in MODELS:
        raise InputError(f"no model {name!r}: choose from {', '.join(MODELS)}")
    return MODELS[name]
