"""Training: from a prepared sample to a run folder with a generator a category."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import category_by_name
from shipgen.errors import InputError
from shipgen.files import complete_file, read_json, write_json
from shipgen_export.evaluate import measure
from shipgen_export.loop import Goal, MuonStream, Stopped, train_category
from shipgen_export.run_folder import CategoryFolder, Run, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipgen.categories import Category
    from shipgen_export.sample import CategorySample, PreparedSample

#: Steps of a category when neither steps nor minutes are asked for. With the GAN's defaults
#: muplus_offaxis was best near 10,000 (AUC 0.78) and worse after it: 0.81 at 20,000, 0.90 at 120,000.
DEFAULT_STEPS = 10_000


@dataclass(frozen=True)
class Model:
    """A kind of model that can be trained.

    Attributes
    ----------
    module : str
        Where it is; loaded when it is trained.
    config, trainer, generator : str
        Names in the module of the settings' dataclass, the `Trainer` (settings, features, seed) and the
        function (settings, features) that builds an untrained generator.
    """

    module: str
    config: str
    trainer: str
    generator: str

    def load(self, name: str) -> Any:
        """Return one of the module's objects."""
        return getattr(importlib.import_module(self.module), name)


#: The models, by the name used on the command line and in run folders.
MODELS = {"gan": Model("shipgen_export.gan", "GanConfig", "Gan", "build_generator")}


def model_by_name(name: str) -> Model:
    """Return the model called `name`; raise `InputError` naming the choices otherwise."""
    if name not in MODELS:
        raise InputError(f"no model {name!r}: choose from {', '.join(MODELS)}")
    return MODELS[name]


@dataclass(frozen=True)
class Trained:
    """What one category has reached.

    Attributes
    ----------
    category : Category
        Which one.
    steps_before, steps : int
        Steps done before this call and now.
    seconds : float
        Time of all of them.
    merit : dict
        Content of ``figure_of_merit.json``.
    """

    category: Category
    steps_before: int
    steps: int
    seconds: float
    merit: dict[str, Any]

    def summary(self) -> str:
        """Return one line that says it."""
        merit, control = self.merit, self.merit["control"]
        done = "finished before" if self.steps == self.steps_before else f"from {self.steps_before:,} on"
        chi2 = "none" if merit["chi2"] is None else f"{merit['chi2']:.2f}"
        return (
            f"{self.category.name}: {self.steps:,} steps ({done}), {self.seconds / 60:.1f} min; "
            f"AUC {merit['auc']:.3f} +- {merit['auc_error']:.3f} (real against real: "
            f"{control['auc']:.3f} +- {control['auc_error']:.3f}), chi2 {chi2}, "
            f"overlap {merit['overlap']:.3f}"
        )


def train(
    model: str,
    sample: PreparedSample,
    output: Path,
    *,
    categories: Sequence[str] = (),
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 1,
    threads: int | None = None,
    settings: dict[str, Any] | None = None,
) -> Iterator[Trained]:
    """Train a model on a prepared sample, category by category; yield what each has reached.

    Parameters
    ----------
    model : str
        One of `MODELS`.
    sample : PreparedSample
        The muons.
    output : Path
        Run folder, made or continued.
    categories : sequence of str
        Names; all of the sample's when empty.
    steps : int, optional
        Steps that a category shall reach in all; `DEFAULT_STEPS` when `minutes` is not given either.
    minutes : float, optional
        Time for all categories of this call together, split evenly.
    seed : int
        Decides weights, batches and noise.
    threads : int, optional
        CPU threads; all when ``None``.
    settings : dict, optional
        Values of the model's settings that differ from the defaults.

    Raises
    ------
    InputError
        Unknown model or category, or the run folder is one of other settings.
    ShipgenError
        Training failed.
    Stopped
        Interrupted; everything is saved.
    """
    kind = model_by_name(model)
    names = tuple(dict.fromkeys(categories)) or tuple(category.name for category in sample.categories)
    chosen = [_category(sample, name) for name in names]
    from shipgen_export.backend import configure

    configure(threads)
    config = kind.load(kind.config)(**(settings or {}))
    run = Run.start(output, sample, model=model, config=asdict(config), seed=seed)
    goal = (
        Goal(seconds=minutes * 60 / len(chosen))
        if minutes is not None
        else Goal(steps=steps or DEFAULT_STEPS)
    )
    for category in chosen:
        muons = sample.load(category.name)
        folder = run.category(category)
        # A seed of its own for each category, so that equal networks do not start equal.
        own_seed = int(np.random.SeedSequence((seed, category.number)).generate_state(1)[0])
        with folder.locked():
            trainer = kind.load(kind.trainer)(config, len(category.features), own_seed)
            before = folder.state().steps
            state = train_category(trainer, MuonStream(muons, config.real_batch, seed), folder, goal)
            merit = _merit(folder, state, muons, trainer.generator, seed)
        yield Trained(category, before, state.steps, state.seconds, merit)


def _category(sample: PreparedSample, name: str) -> Category:
    """Return the category `name` of `sample`; raise `InputError` when it, or a part of it, is not there."""
    category = category_by_name(name)
    if category not in sample.categories:
        there = ", ".join(one.name for one in sample.categories) or "none"
        raise InputError(f"{sample.path} has no muons of category {name}: it has {there}")
    empty = [part for part, muons in sample.index["categories"][name]["split"].items() if not muons]
    if empty:
        raise InputError(
            f"{sample.path} has no muon of {name} in its part {', '.join(empty)}, needed for training and "
            "for the figure of merit: prepare a larger sample"
        )
    return category


def _merit(
    folder: CategoryFolder, state: State, muons: CategorySample, generator: Any, seed: int
) -> dict[str, Any]:
    """Return the figure of merit of the weights, measured unless that was done before."""
    if folder.merit.is_file():
        found = read_json(folder.merit)
        if found.get("steps") == state.weights_steps:
            return found
    try:
        merit = {"steps": state.weights_steps, **measure(muons, generator, seed)}
    except KeyboardInterrupt as error:
        raise Stopped(
            f"step {state.steps:,} of {folder.path.name} is saved in {folder.path.parent}, its figure of "
            "merit is not measured yet: run the same command again"
        ) from error
    with complete_file(folder.merit, force=True) as part:
        write_json(part, merit)
    return merit
