"""One trial of a search: settings by Optuna, a training that is ended when others were better by then."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError, ShipgenError
from shipgen_export.merit.evaluate import FIGURES, MEASURES
from shipgen_export.models.kinds import model_by_name
from shipgen_export.training.run.category_folder import CategoryFolder, read_table
from shipgen_export.training.train import train
from shipgen_export.tuning.space import Choices, Range, suggest
from shipgen_export.tuning.study import ask, finished, import_optuna, open_study, run_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shipgen_export.sample.sample import PreparedSample


@dataclass(frozen=True)
class TrialTask:
    """A trial to make, as a process is told it.

    Attributes
    ----------
    index : int
        Seeds Optuna's choices; of no other task of the search.
    url, study : str
        The database and the study.
    trials : int
        So many are wanted; with as many, nothing is left to do.
    sample : PreparedSample
        The category's arrays verified.
    output : Path
        The folder of all trials' run folders.
    model, category, measure, pruner : str
        What is trained on what, and judged by what.
    steps, evaluate_every, seed, threads : int
        As for `train`; the seed is the same for all trials.
    space : dict
        What is tried.
    teachers : tuple of Path
        Of a student.
    """

    index: int
    url: str
    study: str
    trials: int
    sample: PreparedSample
    output: Path
    model: str
    category: str
    measure: str
    pruner: str
    steps: int
    evaluate_every: int
    seed: int
    threads: int
    space: dict[str, Range | Choices]
    teachers: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"task {self.index} of the search"


class _Reporter:
    """Tells Optuna the figures of merit of a trial, and ends the training when it says so."""

    def __init__(self, task: TrialTask, trial: Any) -> None:
        self._task, self._trial = task, trial
        self._best = np.inf

    def add(self, step: int, merits: Mapping[str, Any]) -> None:
        """Report an evaluation."""
        value = MEASURES[self._task.measure](merits)
        self._trial.report(value, step)
        if value <= self._best:
            self._best = value
            figures = {name: merits.get(name) for name in FIGURES}
            self._trial.set_user_attr("merits", {"step": step, **figures})

    def __call__(self, step: int, merits: Mapping[str, float | None]) -> None:
        """Report an evaluation; raise TrialPruned when others were better by then."""
        self.add(step, merits)
        if step < self._task.steps and self._trial.should_prune():
            raise import_optuna().TrialPruned


def run_trial(task: TrialTask) -> int | None:
    """Make one trial, unless there are enough; return its number.

    Raises
    ------
    InputError
        The sample or the settings cannot be used.
    KeyboardInterrupt
        Interrupted; the trial waits to be continued.
    """
    try:
        return _run(task)
    except KeyboardInterrupt:
        if multiprocessing.parent_process() is not None:
            # All is saved; the pool would go on with the next task.
            os._exit(1)
        raise


def _run(task: TrialTask) -> int | None:
    optuna = import_optuna()
    seed = int(np.random.SeedSequence((task.seed, task.index)).generate_state(1)[0])
    study = open_study(task.url, task.study, seed=seed, pruner=task.pruner, steps=task.steps)
    if finished(study) >= task.trials:
        return None
    trial = ask(study, task.output)
    folder = task.output / run_name(trial)
    # What says that the trial is of this folder.
    folder.mkdir(exist_ok=True)
    trial.set_user_attr("run", folder.name)
    settings = suggest(task.space, trial)
    try:
        value = _train(task, trial, folder, settings)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except ShipgenError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if isinstance(error, InputError):
            raise
    else:
        study.tell(trial, value)
    return int(trial.number)


def _train(task: TrialTask, trial: Any, folder: Path, settings: dict[str, Any]) -> float:
    """Train with these settings; return the trial's value, smaller is better."""
    reporter = _Reporter(task, trial)
    merits = CategoryFolder(folder / task.category).merits
    for row in read_table(merits, task.steps):
        # Of the interrupted trial that this one continues.
        reporter.add(int(row["step"]), _figures(row))
    for _ in train(
        task.model,
        task.sample,
        folder,
        categories=[task.category],
        steps=task.steps,
        seed=task.seed,
        threads=task.threads,
        settings=settings,
        evaluate_every=task.evaluate_every,
        patience=0,
        pictures=False,
        teachers=task.teachers,
        measured=False,
        watcher=reporter,
    ):
        pass
    values = [MEASURES[task.measure](row) for row in read_table(merits, task.steps)]
    return model_by_name(task.model).exported(values)


def _figures(row: Mapping[str, str]) -> dict[str, float | None]:
    return {name: float(row[name]) if row.get(name) else None for name in FIGURES}
