"""Training: from a prepared sample to a run folder with a generator a category."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.sample_notes import sample_notes
from shipgen.errors import InputError, MissingExtraError
from shipgen.files.outputs import complete_file, read_json, write_json
from shipgen.muons.categories import category_by_name
from shipgen_export.merit.evaluate import FIGURES, Evaluator, measure
from shipgen_export.merit.merits import rows_since_best
from shipgen_export.models.kinds import model_by_name
from shipgen_export.models.settings import FlowConfig
from shipgen_export.training.loop import Goal, MuonStream, StepsAlone, Stopped, Watch, train_category
from shipgen_export.training.run.category_folder import LAST, read_table
from shipgen_export.training.run.run_folder import CategoryFolder, TrainingRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.muons.categories import Category
    from shipgen_export.models.kinds import Model
    from shipgen_export.models.settings import Settings
    from shipgen_export.sample.sample import CategorySample, PreparedSample
    from shipgen_export.training.map_training import Origin, Teachers

    Watcher = Callable[[int, Mapping[str, float | None]], None]

#: Steps of a category when neither steps nor minutes are asked for, of models without a schedule: the GAN's
#: defaults take a quarter of an hour for them on one core. It was best near 10,000 and worse after it; the
#: best network is kept.
DEFAULT_STEPS = 20_000

#: Steps from one evaluation to the next, and how many without improvement end the training.
EVALUATE_EVERY = 2_500
PATIENCE = 5


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
    merit : dict or None
        Content of ``figure_of_merit.json``; ``None`` when it was not measured.
    device : str
        What TensorFlow ran on.
    exhausted : int
        Evaluations without improvement after which training was ended; 0 when it was not.
    notes : tuple of str
        What was changed or left out of the category's muons, a line each.
    """

    category: Category
    steps_before: int
    steps: int
    seconds: float
    merit: dict[str, Any] | None
    device: str = "cpu"
    exhausted: int = 0
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return one line that says it."""
        done = "finished before" if self.steps == self.steps_before else f"from {self.steps_before:,} on"
        if self.merit is None:
            return f"{self.category.name}: {self.steps:,} steps ({done}), {self.seconds / 60:.1f} min"
        merit, control = self.merit, self.merit["control"]
        chi2 = "none" if merit["chi2"] is None else f"{merit['chi2']:.2f}"
        ended = f", ended after {self.exhausted} evaluations without improvement" if self.exhausted else ""
        return (
            f"{self.category.name}: {self.steps:,} steps ({done}) on {self.device}, "
            f"{self.seconds / 60:.1f} min{ended}; {merit['network']} of step {merit['steps']:,}: "
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
    evaluate_every: int | None = None,
    patience: int = PATIENCE,
    pictures: bool = True,
    tensorboard: bool = False,
    teachers: Sequence[Path] = (),
    start: Path | None = None,
    measured: bool = True,
    watcher: Watcher | None = None,
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
        Steps that a category shall reach in all; when `minutes` is not given either, the setting ``steps`` of
        models that have one, `DEFAULT_STEPS` of others.
    minutes : float, optional
        Time for all categories of this call together, split evenly; not for models with a schedule.
    seed : int
        Decides weights, batches and noise.
    threads : int, optional
        CPU threads; all when ``None``.
    settings : dict, optional
        Values of the model's settings that differ from the defaults.
    evaluate_every : int, optional
        Steps between figures of merit on validation muons; the best network of each measure is kept. When not
        given, `EVALUATE_EVERY`, or only at the end for models with a schedule.
    patience : int
        End a category when no measure has improved in so many evaluations; 0 is never.
    pictures : bool
        Draw pictures at each evaluation.
    tensorboard : bool
        Write TensorBoard's event files.
    teachers : sequence of Path
        Run folders of flows, for a student.
    start : Path, optional
        Run folder of flows of another sample that these go on from.
    measured : bool
        Measure the figure of merit at the end.
    watcher : callable, optional
        Takes the step and the figures of merit of each evaluation when all is saved; what it raises ends the
        training.

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
    config = kind.chosen(settings or {}, steps, minutes)
    names = tuple(dict.fromkeys(categories)) or tuple(category.name for category in sample.categories)
    chosen = [check_category(sample, name) for name in names]
    if pictures and importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("drawing pictures (--no-pictures leaves them out)", "matplotlib", "plot")
    from shipgen_export.backend import configure
    from shipgen_export.training.map_training import Origin, Teachers, check_start

    device = configure(threads)
    taught = Teachers.open(teachers, sample, chosen) if kind.taught else None
    origin = None if start is None else Origin.open(start, chosen)
    every = evaluate_every or config.planned_steps or EVALUATE_EVERY
    # The learning rate's fall is what ends planned trainings.
    patience = 0 if kind.planned else patience
    run = TrainingRun.start(
        output,
        sample,
        model=model,
        config=asdict(config),
        seed=seed,
        evaluate_every=evaluate_every if kind.planned else every,
        device=device,
        teachers=taught.runs_digests() if taught else (),
    )
    for category in chosen:
        folder = run.category(category)
        with folder.locked():
            before = folder.state().steps
            check_start(run, category, origin)
            muons, trainer, stream = _prepare(run, kind, config, sample, category, taught, origin)
            own = trainer.config
            if minutes is not None:
                goal = Goal(seconds=minutes * 60 / len(chosen))
            else:
                goal = Goal(steps=own.planned_steps or steps or DEFAULT_STEPS)
            watch = Watch(
                Evaluator(muons, seed),
                every,
                patience,
                _drawing(folder, category) if pictures else None,
            )
            log = _log(folder, tensorboard, watcher)
            state = train_category(trainer, stream, folder, goal, watch, log)
            if kind.taught:
                muons = _calibrate(folder, muons, trainer, seed)
            untrained = kind.build(own, muons.form.shape)
            merit = _merit(folder, kind, muons, untrained, seed) if measured else None
            idle = rows_since_best(read_table(folder.merits, state.steps), every)
        ended = patience if 0 < patience <= idle else 0
        found = () if muons.map is None else sample_notes(muons.map.facts)
        kept = origin.notes(run, category) if origin else ()
        notes = tuple(f"{category.name}: {note}" for note in (*found, *kept))
        yield Trained(category, before, state.steps, state.seconds, merit, device, ended, notes)


def _prepare(
    run: TrainingRun,
    kind: Model,
    config: Settings,
    sample: PreparedSample,
    category: Category,
    teachers: Teachers | None,
    origin: Origin | None,
) -> tuple[CategorySample, Any, MuonStream | StepsAlone]:
    """Return a category's muons as the model sees them, the trainer, and what it is trained on."""
    from shipgen_export.maps.conditions import conditioned
    from shipgen_export.training.map_training import (
        by_size,
        held_out,
        training_weights,
        with_kept_map,
        with_map,
    )

    folder, muons = run.category(category), sample.load(category.name)
    stream: MuonStream | StepsAlone = StepsAlone()
    more: list[Any] = []
    if teachers is not None:
        teachers.prepare(category, folder)
        muons = with_kept_map(muons, folder)
        more = [teachers.mean(category)]
    elif kind.teaches:
        muons = with_map(muons, folder, sample, origin.map(category) if origin else None)
        assert isinstance(config, FlowConfig)  # noqa: S101 (what teaches is a flow)
        config = kind.settings(**by_size(run, category, config, muons, origin))
        weights = training_weights(muons, run.seed, bootstrap=run.index["config"]["bootstrap"])
        stream = MuonStream(muons, config.real_batch, run.seed, weights)
        others, protons = held_out(muons, run.seed)
        more = [others, origin.weights(category) if origin else None, protons]
    else:
        muons = conditioned(run.normalised(muons), config.condition_names)
        stream = MuonStream(muons, config.real_batch, run.seed)
    # A seed of its own for each category, so that equal networks do not start equal.
    seed = int(np.random.SeedSequence((run.seed, category.number)).generate_state(1)[0])
    return muons, kind.load(kind.trainer)(config, muons.form.shape, seed, *more), stream


def _calibrate(folder: CategoryFolder, muons: CategorySample, trainer: Any, seed: int) -> CategorySample:
    """Return the sample with the map of the student's last network, made unless it is there."""
    from shipgen_export.maps.muon_map import MuonMap
    from shipgen_export.training import calibrate

    if folder.state().weights_sha256 not in folder.state().calibrated:
        # Of a short training no more than it learnt from are counted.
        count = min(calibrate.MUONS, 2 * trainer.config.pairs)
        assert isinstance(muons.form, MuonMap)  # noqa: S101 (what is taught has its teachers' map)
        made = calibrate.calibrated(muons.form, trainer.generator.network, seed, count)
        folder.keep_calibrated(made.write)
    return replace(muons, map=folder.map_of(muons.category, LAST))


def _drawing(folder: CategoryFolder, category: Category) -> Callable[..., object]:
    """Return what draws the pictures of an evaluation."""
    from shipgen_export.training.training_pictures import draw_pictures

    return partial(draw_pictures, folder.pictures, category)


def _log(folder: CategoryFolder, tensorboard: bool, watcher: Watcher | None) -> Watcher | None:
    """Return what writes TensorBoard's files and tells the watcher, where either is asked for."""
    from shipgen_export.training.run.event_log import EventLog

    events = EventLog(folder.tensorboard) if tensorboard else None
    if watcher is None:
        return events

    def log(step: int, values: Mapping[str, float | None]) -> None:
        if events:
            events(step, values)
        # Not the losses.
        if set(FIGURES) <= set(values):
            watcher(step, values)

    return log


def check_category(sample: PreparedSample, name: str) -> Category:
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
    folder: CategoryFolder, kind: Model, muons: CategorySample, generator: Any, seed: int
) -> dict[str, Any]:
    """Return the figure of merit of the network that is exported by default, measured unless it was before.

    Parameters
    ----------
    folder : CategoryFolder
        Where the network is.
    kind : Model
        What it is.
    muons : CategorySample
        To compare with.
    generator : keras.Model
        Of the same settings; gets the network's weights.
    seed : int
        Of the measure.
    """
    name = folder.state().default_network(kind)
    steps, digest = folder.read_network(name, generator)
    which = {"network": name, "steps": steps, "sha256": digest}
    if folder.merit.is_file():
        found = read_json(folder.merit)
        if {key: found.get(key) for key in which} == which:
            return found
    try:
        merit = {**which, **measure(muons, generator, seed)}
    except KeyboardInterrupt as error:
        raise Stopped(
            f"step {folder.state().steps:,} of {folder.path.name} is saved in {folder.path.parent}, its "
            "figure of merit is not measured yet: run the same command again"
        ) from error
    with complete_file(folder.merit, force=True) as part:
        write_json(part, merit)
    return merit
