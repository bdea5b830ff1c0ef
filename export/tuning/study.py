"""The study of a search in Optuna's storage: opening it, what was agreed on, trials that were interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, MissingExtraError
from shipgen_export.training.run.category_folder import locked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Where a study says what all who take part in it agree on.
_AGREED = "shipgen"

#: The first trials are never pruned, nor any in the first part of its steps, when figures of merit say little
#: yet. The median is of the trials before, at the same step.
_NEVER_PRUNED, _WARM_UP = 4, 0.25

#: Seconds that a process waits while others write to the same SQLite file.
_PATIENCE = 120


def import_optuna() -> Any:
    """Return the module; raise `MissingExtraError` without it."""
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("a search for settings", "optuna", "tune") from error
    # Each trial's end is told by the table.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def storage_url(output: Path, storage: str | None) -> str:
    """Return the database's URL: a SQLite file in the folder `output` where none is given."""
    return storage or f"sqlite:///{output.absolute() / 'study.db'}"


def open_study(url: str, name: str, *, seed: int, pruner: str, steps: int) -> Any:
    """Open the study called `name` of a database, or begin it.

    Parameters
    ----------
    url : str
        SQLAlchemy's URL of the database.
    name : str
        Several studies may be in one database.
    seed : int
        Of this process' choices.
    pruner : str
        ``median``, ``halving`` or ``none``.
    steps : int
        Of each trial.

    Raises
    ------
    InputError
        The database cannot be used.
    MissingExtraError
        Optuna is not installed.
    """
    optuna = import_optuna()
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(_NEVER_PRUNED, round(_WARM_UP * steps)),
        "halving": optuna.pruners.SuccessiveHalvingPruner,
        "none": optuna.pruners.NopPruner,
    }
    options = (
        {"connect_args": {"timeout": _PATIENCE}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    )
    try:
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(url, engine_kwargs=options),
            study_name=name,
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=pruners[pruner](),
            direction="minimize",
            load_if_exists=True,
        )
    except (ArgumentError, SQLAlchemyError, ImportError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"the database of the search cannot be used ({reason}): give --storage a URL such as "
            "postgresql://user@host/name, and install its driver"
        ) from error


def agree(study: Any, wanted: Mapping[str, Any], where: str) -> None:
    """Note what is searched, or raise `InputError` where the study is of something else."""
    found = study.user_attrs.get(_AGREED)
    if found is None:
        study.set_user_attr(_AGREED, dict(wanted))
        return
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            raise InputError(
                f"{where} is a search with {name} {found.get(name)}, but {wanted.get(name)} is asked for: "
                f"give the same {name} or choose another folder or --study"
            )


def state(trial: Any) -> str:
    """Return what became of a trial, in a word."""
    name = str(trial.state.name).lower()
    names = {"fail": "interrupted" if "interrupted" in trial.user_attrs else "failed"}
    return names.get(name, name)


def finished(study: Any) -> int:
    """Return the number of trials that came to an end of their own."""
    return sum(state(trial) in {"complete", "pruned", "failed"} for trial in study.get_trials(deepcopy=False))


def run_name(trial: Any) -> str:
    """Return the name of a trial's run folder: its own, or that of the interrupted one it continues."""
    return str(trial.user_attrs.get("run", f"trial-{trial.number:04}"))


def ask(study: Any, output: Path) -> Any:
    """Return the next trial to make, one that waits to be continued first.

    By one process at a time: of a SQLite file two that ask at once are given the same waiting trial.
    """
    with locked(output, wait=True, name="asking"):
        return study.ask()


def end_interrupted(study: Any, output: Path) -> None:
    """End the trials that a process of this folder left without an end, and put them first in the queue.

    Others' trials, in folders elsewhere, are left alone. Whoever calls this knows that no process is at work
    in `output`.
    """
    optuna = import_optuna()
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in running:
        if not (output / run_name(trial)).is_dir():
            continue
        # Before it ends: nothing can be added to a trial that has.
        left = optuna.trial.Trial(study, trial._trial_id)  # noqa: SLF001
        left.set_user_attr("interrupted", True)
        study.tell(left, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={"run": run_name(trial)})
