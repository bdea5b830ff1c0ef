"""The kinds of model that can be trained, by the names used on the command line and in run folders."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from shipgen.errors import InputError
from shipgen_export.models import settings as all_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    learns_from : str
        ``features``, normalised; ``coordinates``, made normal by a `MuonMap`; or ``teachers``, in these
        coordinates.
    """

    help: str
    module: str
    config: str
    trainer: str
    learns_from: Literal["features", "coordinates", "teachers"] = "features"

    @property
    def planned(self) -> bool:
        """Whether the learning rate falls over a number of steps that is a setting.

        Then the network of the last step is the one to take: the best of some would be the luckiest.
        """
        return self.learns_from != "features"

    @property
    def taught(self) -> bool:
        """Whether it learns from teachers and not from muons."""
        return self.learns_from == "teachers"

    @property
    def teaches(self) -> bool:
        """Whether it is a teacher, too slow to be exported."""
        return self.learns_from == "coordinates"

    def chosen(self, values: dict[str, Any], steps: int | None, minutes: float | None) -> Settings:
        """Return the settings of a training whose `values` differ from the defaults.

        Raises
        ------
        InputError
            A value is outside its limits, or a planned training shall end after some time.
        """
        if not self.planned:
            return self.settings(**values)
        if minutes is not None:
            raise InputError(
                "the learning rate of this model falls over a number of steps: give --steps, not --minutes"
            )
        return self.settings(**values if steps is None else {**values, "steps": steps})

    def exported(self, values: Sequence[float]) -> float:
        """Return the one of `values`, smaller is better, of the network that is exported by default."""
        return values[-1] if self.planned else min(values)

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
        learns_from="coordinates",
    ),
    "distill": Model(
        "a small, fast network that learns what flows (--teacher) make",
        "shipgen_export.models.distill",
        "StudentConfig",
        "Student",
        learns_from="teachers",
    ),
}


def model_by_name(name: str) -> Model:
    """Return the model called `name`; raise `InputError` naming the choices otherwise."""
    if name not in MODELS:
        raise InputError(f"no model {name!r}: choose from {', '.join(MODELS)}")
    return MODELS[name]
