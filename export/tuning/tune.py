"""Search for the settings of a model: trials in Optuna's study, in processes or on a Dask cluster."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.outputs import output_error, sha256
from shipgen.progress import progress
from shipgen_export.merit.evaluate import MEASURES
from shipgen_export.models.kinds import model_by_name
from shipgen_export.sample.sample import INDEX as PREPARED
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.run.category_folder import locked
from shipgen_export.training.train import check_category
from shipgen_export.tuning.results import TrialRow, best, rows, write_best, write_table
from shipgen_export.tuning.space import Choices, read_space, space_to_json
from shipgen_export.tuning.study import agree, end_interrupted, finished, open_study, storage_url
from shipgen_export.tuning.trial import TrialTask, run_trial
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


#: Value of a trial -> what pictures call it.
_LABELS = {"auc": "|AUC - 0.5|", "chi2": r"reduced $\chi^2$", "overlap": "1 - overlap"}

#: Steps of each trial, and evaluations on the way, where that is not said.
TRIAL_STEPS, EVALUATIONS = 5_000, 10


@dataclass(frozen=True)
class Found:
    """What a search has found so far.

    Attributes
    ----------
    table : tuple of TrialRow
        All trials.
    best : TrialRow or None
        The best complete one.
    files : tuple of Path
        Table, settings and pictures.
    """

    table: tuple[TrialRow, ...]
    best: TrialRow | None
    files: tuple[Path, ...]


def tune(
    model: str,
    prepared: Path,
    output: Path,
    *,
    category: str,
    trials: int,
    steps: int = TRIAL_STEPS,
    evaluate_every: int | None = None,
    measure: str = "auc",
    pruner: str = "median",
    space: Path | None = None,
    seed: int = 1,
    processes: int = 1,
    threads: int = 1,
    dask: str | None = None,
    jobs: int | None = None,
    storage: str | None = None,
    study: str | None = None,
    teachers: Sequence[Path] = (),
) -> Found:
    """Search for the settings that give the best figure of merit; go on with what is there.

    Parameters
    ----------
    model : str
        One of `shipgen_export.models.kinds.MODELS`.
    prepared : Path
        A prepared sample.
    output : Path
        Folder, made or continued: run folders, table, pictures, best settings.
    category : str
        Whose muons.
    trials : int
        So many trials in all that come to an end; interrupted ones are continued.
    steps : int
        Of each trial.
    evaluate_every : int, optional
        Steps between figures of merit on validation muons, each of which may end a trial; a tenth of `steps`.
    measure : str
        What is made better: ``auc``, ``chi2`` or ``overlap``.
    pruner : str
        What ends a trial: ``median`` of those before, ``halving``, ``none``.
    space : Path, optional
        What is tried, see `read_space`.
    seed : int
        Of the trainings, all the same, and of Optuna's choices.
    processes, threads : int
        Trials at once, and CPU threads of each.
    dask, jobs
        Trials on a Dask cluster in place of processes, as for `shipgen.production.dask_cluster.connect`.
    storage : str, optional
        The database's URL; ``study.db`` in `output` otherwise.
    study : str, optional
        The study's name in the database; that of `output` otherwise.
    teachers : sequence of Path
        Run folders of flows, for a student.

    Raises
    ------
    InputError
        A setting, the sample or the database cannot be used, or the study is of another search.
    MissingExtraError
        Optuna, or Dask, is not installed.
    KeyboardInterrupt
        Interrupted; says what is kept.
    """
    kind = model_by_name(model)
    if measure not in MEASURES:
        raise InputError(f"no measure {measure!r}: choose from {', '.join(MEASURES)}")
    sample = PreparedSample.open(prepared.absolute())
    check_category(sample, category)
    if kind.taught and not teachers:
        raise InputError("a student needs teachers: give the run folder of a flow with --teacher RUN")
    task = TrialTask(
        index=0,
        url=storage_url(output, storage),
        study=study or output.absolute().name,
        trials=trials,
        sample=sample.verify([category]),
        output=output.absolute(),
        model=model,
        category=category,
        measure=measure,
        pruner=pruner,
        steps=steps,
        evaluate_every=evaluate_every or max(1, steps // EVALUATIONS),
        seed=seed,
        threads=threads,
        space=read_space(space, model),
        teachers=tuple(path.absolute() for path in teachers),
    )
    if dask not in {None, "local"} and storage is None:
        raise InputError(
            "a SQLite file cannot be shared by machines: give --storage the URL of a database that all "
            "workers reach"
        )
    with _folder(output):
        opened = open_study(task.url, task.study, seed=seed, pruner=pruner, steps=steps)
        agree(opened, _agreed(task), f"{task.study} in {output}")
        end_interrupted(opened, output)
        try:
            _work(task, opened, processes, dask, jobs)
        except KeyboardInterrupt:
            _write(task, opened, pictures=False)
            raise KeyboardInterrupt(
                f"{finished(opened)} of {trials} trials came to an end: run the same command again to go on"
            ) from None
        end_interrupted(opened, output)
        return _write(task, opened, pictures=importlib.util.find_spec("matplotlib") is not None)


def _agreed(task: TrialTask) -> dict[str, Any]:
    """Return what all trials of a study have in common."""
    return {
        "model": task.model,
        "category": task.category,
        "sample": sha256(task.sample.path / PREPARED),
        "steps": task.steps,
        "evaluate_every": task.evaluate_every,
        "measure": task.measure,
        "seed": task.seed,
        "space": space_to_json(task.space),
        "teachers": [sha256(path / "run.json") for path in task.teachers],
    }


@contextmanager
def _folder(output: Path) -> Iterator[None]:
    """Make the folder and keep other searches out of it."""
    try:
        output.mkdir(exist_ok=True)
        with locked(output, wait=False):
            yield
    except BlockingIOError as error:
        raise InputError(f"another search is at work in {output}: wait for it, or choose another") from error
    except OSError as error:
        raise output_error(output, error) from error


def _work(task: TrialTask, study: Any, processes: int, dask: str | None, jobs: int | None) -> None:
    """Make the trials that are missing, and keep the table up to date."""
    done, started = finished(study), len(study.get_trials(deepcopy=False))
    # Each task has its own seed, also after an interruption.
    tasks = [replace(task, index=started + number) for number in range(max(0, task.trials - done))]
    with (
        progress("searching", task.trials, "trials") as advance,
        _results(tasks, processes, dask, jobs) as each,
    ):
        advance(done)
        for _ in each:
            advance(1)
            write_table(task.output / "trials.csv", rows(study))


@contextmanager
def _results(
    tasks: Sequence[TrialTask], processes: int, dask: str | None, jobs: int | None
) -> Iterator[Iterator[Any]]:
    """Give the results of all tasks."""
    if dask is not None or (processes > 1 and len(tasks) > 1):
        with in_order(run_trial, tasks, min(processes, len(tasks)), dask=dask, jobs=jobs) as results:
            yield results
    else:
        yield (run_trial(task) for task in tasks)


def _write(task: TrialTask, study: Any, *, pictures: bool) -> Found:
    """Write table, best settings and pictures."""
    table = rows(study)
    least, files = best(table), [task.output / "trials.csv"]
    write_table(files[0], table)
    if least is not None:
        fixed = {
            name: entry.choices[0]
            for name, entry in task.space.items()
            if isinstance(entry, Choices) and len(entry.choices) == 1
        }
        files.append(task.output / "best.json")
        facts = {"category": task.category, "measure": task.measure, "steps": task.steps, "seed": task.seed}
        write_best(files[-1], least, task.model, fixed, facts)
    if pictures:
        from shipgen_export.tuning.search_pictures import draw_pictures

        title = f"{task.model}, {task.category}: figure of merit on validation muons"
        files += draw_pictures(task.output, table, _LABELS[task.measure], title)
    return Found(tuple(table), least, tuple(files))
