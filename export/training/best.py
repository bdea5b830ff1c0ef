"""The project's own way of training: flows as teachers, a small student of their mean, a bundle.

``OUT/teacher-1`` and so on are runs of flows, the first on the whole sample, the others on bootstrap samples
of its protons; ``OUT/student`` is the run that learns from them, ``OUT/bundle`` what is exported. Where a
bundle is adapted, or a category has few protons, teachers start from a flow that learnt a bundle's muons, in
``OUT/origin/CATEGORY``.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.outputs import complete_file, read_json, write_json
from shipgen.muons.categories import category_by_name
from shipgen.progress import progress
from shipgen_export.models.kinds import model_by_name
from shipgen_export.models.settings import StudentConfig
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.adapt import adapted_from, origin_folder, origins
from shipgen_export.training.export import check_sample, export, lacking
from shipgen_export.training.map_training import Teachers, with_kept_map
from shipgen_export.training.run.category_folder import LAST
from shipgen_export.training.run.run_folder import TrainingRun
from shipgen_export.training.spread import uncertainty
from shipgen_export.training.train import Trained, check_category, train
from shipgen_export.training.train_variations import FOLDER as VARIATIONS
from shipgen_export.training.train_variations import (
    VariationTask,
    has_variations,
    read_factors,
    train_factors,
)
from shipgen_export.variations.fit import STEPS as VARIATION_STEPS
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.categories import Category

#: Steps of a teacher and of the student.
TEACHER_STEPS, STUDENT_STEPS = 6_000, 30_000
TEACHERS = 3

#: A short training is spared most of the teachers' answers: each pair is looked at so often at least.
_LOOKS, _FEWEST_PAIRS = 4, 100_000

#: Number of the flow that learns the muons of a bundle to be adapted, and its steps at most.
_ORIGIN, ORIGIN_STEPS = 0, 3_000

#: Between the seeds of teachers, so that those of neighbouring seeds of a whole training differ.
_SEEDS_APART = 1_000_003


@dataclass(frozen=True)
class NetworkTask:
    """One network to train."""

    sample: PreparedSample
    output: Path
    category: str
    seed: int
    steps: int
    teacher: int | None
    teachers: int
    settings: dict[str, Any]
    adapted: bool = False

    def __str__(self) -> str:
        who = "the student" if self.teacher is None else f"teacher {self.teacher}"
        if self.teacher == _ORIGIN:
            who = "what the bundle makes"
        return f"training {who} of {self.category}"

    @property
    def folder(self) -> Path:
        """The run folder."""
        if self.teacher == _ORIGIN:
            return _origin(self.output, self.category)
        return _student(self.output) if self.teacher is None else _teacher(self.output, self.teacher)


def _teacher(output: Path, number: int) -> Path:
    return output / f"teacher-{number}"


def _origin(output: Path, category: str) -> Path:
    return origin_folder(output, category) / "run"


def _student(output: Path) -> Path:
    return output / "student"


def train_best(
    prepared: Path,
    output: Path,
    *,
    categories: Sequence[str] = (),
    seed: int = 1,
    cores: int = 1,
    teachers: int = TEACHERS,
    teacher_steps: int = TEACHER_STEPS,
    student_steps: int = STUDENT_STEPS,
    flow: dict[str, Any] | None = None,
    student: dict[str, Any] | None = None,
    pot: float | None = None,
    name: str | None = None,
    adapted: Bundle | None = None,
    few: bool = False,
) -> Iterator[str | Bundle]:
    """Train teachers and students of each category and export the students; go on with what is there.

    Parameters
    ----------
    prepared : Path
        A prepared sample.
    output : Path
        Folder, made or continued.
    categories : sequence of str
        Those to train; all of the sample when empty. The bundle makes no muons of the others.
    seed : int
        Decides everything random.
    cores : int
        Worker processes, one network each. The networks do not depend on it.
    teachers : int
        Flows a category, two or more.
    teacher_steps, student_steps : int
        Steps of each.
    flow, student : dict, optional
        Values of the models' settings that differ from the defaults.
    pot : float, optional
        As for `export`.
    name : str, optional
        The bundle's; `output`'s name otherwise.
    adapted : Bundle, optional
        Of another production: teachers start from what it makes.
    few : bool
        Those of categories that have few protons alone, where they can; else those of all, and what cannot is
        refused.

    Yields
    ------
    str
        A line for each network, and what was changed or left out of a category's muons.
    Bundle
        At last.

    Raises
    ------
    InputError
        The sample lacks a category that is asked for, or does not say its POT or energy cut, or `output`
        holds runs of other settings.
    """
    if teachers < 2:
        raise InputError(
            f"the spread of {teachers} teachers, the bundle's uncertainty, is not defined: take 2 or more"
        )
    sample = PreparedSample.open(prepared)
    # What the bundle needs at the end, before hours of training.
    check_sample(sample, pot)
    chosen = [check_category(sample, name) for name in dict.fromkeys(categories)] or [
        check_category(sample, category.name) for category in sample.categories
    ]
    sample = sample.verify([category.name for category in chosen])
    _make_folder(output)
    # The larger categories first: what is left at the end is short.
    names = [category.name for category in sorted(chosen, key=lambda category: category.on_axis)]
    made, notes = origins(adapted, sample, names, output, _teacher(output, 1), seed, few=few)

    def task(category: str, number: int | None) -> NetworkTask:
        taught = number is None
        settings = {**((student if taught else flow) or {})}
        if taught:
            batch = settings.get("batch", StudentConfig().batch)
            fewer = max(_FEWEST_PAIRS, student_steps * batch // _LOOKS)
            settings.setdefault("pairs", min(StudentConfig().pairs, fewer))
        else:
            settings["bootstrap"] = number != 1
        steps = student_steps if taught else teacher_steps
        own_seed = seed if number is None else seed + (number - 1) * _SEEDS_APART
        if number == _ORIGIN:
            steps = min(steps, ORIGIN_STEPS)
            return NetworkTask(made[category], output, category, seed, steps, number, teachers, flow or {})
        return NetworkTask(
            sample, output, category, own_seed, steps, number, teachers, settings, category in made
        )

    rounds = [
        [task(category, number) for category in names for number in range(1, teachers + 1)],
        [task(category, None) for category in names],
    ]
    varied = _variations(sample, output, [category_by_name(name) for name in names], seed, teachers)
    yield (
        f"{len(rounds[0])} flows of {teacher_steps:,} steps at most, then {len(names)} networks of "
        f"{student_steps:,} steps that learn from them; {cores} at a time"
    )
    yield from notes
    if adapted is not None and made:
        rounds.insert(0, [task(category, _ORIGIN) for category in made])
        flows = "a flow learns" if len(made) == 1 else f"{len(made)} flows learn"
        yield f"before, {flows} what the bundle {adapted.name} makes"
    if note := lacking(sample):
        yield note
    try:
        with progress("training", sum(map(len, rounds)), "networks") as advance:
            for tasks in rounds:
                with in_order(_run, tasks, cores) as results:
                    for one, trained in zip(tasks, results, strict=True):
                        advance(1)
                        folder = "origin" if one.teacher == _ORIGIN else one.folder.name
                        yield f"{folder}: {trained.summary()}"
                        if one.teacher == 1:
                            yield from trained.notes
            if varied:
                with in_order(train_factors, varied, cores) as found:
                    yield from found
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what was trained is kept in {output}: run the same command again to go on"
        ) from None
    bundle = output / "bundle"
    yield export(
        _student(output),
        bundle,
        pot=pot,
        name=name or output.absolute().name,
        force=bundle.exists(),
        factors=read_factors(output / VARIATIONS, chosen) if varied else {},
        origin=adapted_from(output, _teacher(output, 1)),
    )


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {output} cannot be made: {error.strerror}") from error


def _variations(
    sample: PreparedSample, output: Path, categories: Sequence[Category], seed: int, teachers: int
) -> list[VariationTask]:
    """Return the networks of variations to train, none for a sample without factors."""
    if not has_variations(sample):
        return []
    flows = tuple(_teacher(output, number) for number in range(1, teachers + 1))
    return [
        VariationTask(sample, output / VARIATIONS, one, seed, VARIATION_STEPS, flows) for one in categories
    ]


def _run(task: NetworkTask) -> Trained:
    """Train one network, in a process of its own, which an interruption ends."""
    try:
        return _train(task)
    except KeyboardInterrupt:
        if multiprocessing.parent_process() is not None:
            # All is saved; the pool would go on with the next task.
            os._exit(1)
        raise


def _train(task: NetworkTask) -> Trained:
    taught = task.teacher is None
    folders = [_teacher(task.output, number) for number in range(1, task.teachers + 1)]
    (trained,) = train(
        "distill" if taught else "flow",
        task.sample,
        task.folder,
        categories=[task.category],
        steps=task.steps,
        seed=task.seed,
        threads=1,
        settings=task.settings,
        pictures=taught and importlib.util.find_spec("matplotlib") is not None,
        measured=taught,
        teachers=folders if taught else (),
        start=_origin(task.output, task.category) if task.adapted and not taught else None,
    )
    if taught:
        _measure_uncertainty(task, Teachers.open(folders, task.sample))
    return trained


def _measure_uncertainty(task: NetworkTask, teachers: Teachers) -> None:
    """Compare the student with its teachers and keep what was found, unless it is there."""
    category = category_by_name(task.category)
    run = TrainingRun.open(task.folder)
    folder = run.category(category)
    muons = with_kept_map(task.sample.load(task.category), folder)
    kind = model_by_name(run.model)
    student = kind.build(kind.settings(**run.index["config"]), muons.form.shape)
    _, digest = folder.read_network(LAST, student)
    if folder.uncertainty.is_file() and read_json(folder.uncertainty).get("sha256") == digest:
        return
    start = float(task.sample.index["target_start"])
    own = folder.map_of(category, LAST)
    found = uncertainty(muons, start, student, teachers.networks(category), task.seed, own=own)
    with complete_file(folder.uncertainty, force=True) as part:
        write_json(part, {"sha256": digest, **found})
