"""`shipgen tune`: trials that are pruned, interrupted and continued; the best settings go into a training."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import distributed
import pytest

from helpers.production_runs import run_inside  # noqa: F401
from helpers.synthetic import synthetic_sample
from helpers.tune_stand_in import train as stand_in
from shipgen.errors import InputError, MissingExtraError
from shipgen_export.merit.classifiers import FORMS
from shipgen_export.models.kinds import MODELS
from shipgen_export.models.settings import GanConfig, settings
from shipgen_export.models.settings_file import read_settings
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.train import train
from shipgen_export.tuning.space import SPACES, Range, check_space, read_space
from shipgen_export.tuning.study import ask, open_study, storage_url
from shipgen_export.tuning.tune import tune

if TYPE_CHECKING:
    from helpers.production_runs import Run

NAME = "muplus_onaxis"

#: Steps and evaluations of the stand-in's trials.
STAND_IN = Path(__file__).parents[1] / "helpers" / "tune_stand_in.py"
STEPS = ("--steps", 40, "--evaluate-every", 10)


@pytest.fixture(scope="module", name="sample")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> PreparedSample:
    return PreparedSample.open(synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 300))


def start(folder: Path, sample: PreparedSample, *options: object) -> subprocess.Popen[str]:
    """Start a search whose trainings are stand-ins, as the leader of its own group of processes."""
    (folder / "space.json").write_text('{"learning_rate": {"low": 0.01, "high": 1.0}, "batch": 20}')
    words = ("tune", "gan", sample.path, "-o", "study", "--category", NAME, "--space", "space.json", *STEPS)
    return subprocess.Popen(
        [
            sys.executable,
            Path(__file__).parents[1] / "helpers" / "tune_stand_in.py",
            *map(str, (*words, *options)),
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def test_waiting_trials_are_given_to_one_process_each(tmp_path: Path) -> None:
    """Of two that ask at the same time, as after an interruption of both."""
    options = {"seed": 1, "pruner": "none", "steps": 10}
    url = storage_url(tmp_path, None)
    study = open_study(url, "one", **options)
    for number in range(30):
        study.enqueue_trial({"rate": number})
    both = threading.Barrier(2)

    def work(_: int) -> list[int]:
        own = open_study(url, "one", **options)
        found = []
        for _ in range(15):
            both.wait()
            found.append(ask(own, tmp_path).number)
        return found

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, range(2))
    assert sorted(first + second) == list(range(30))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "study" / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def evaluations(folder: Path) -> dict[str, int]:
    """Return the number of evaluations of each run."""
    return {
        file.parents[1].name: len(file.read_text().splitlines()) - 1
        for file in folder.glob(f"study/trial-*/{NAME}/figures_of_merit.csv")
    }


def wait_for(folder: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until there are so many evaluations of all trials together."""
    deadline = time.monotonic() + 300
    while sum(evaluations(folder).values()) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_twelve_trials_on_two_processes_interrupted_and_resumed(
    sample: PreparedSample, tmp_path: Path
) -> None:
    options = ("--trials", 12, "--processes", 2, "--seed", 3)
    process = start(tmp_path, sample, *options)
    wait_for(tmp_path, 6, process)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "")
    assert "of 12 trials came to an end: run the same command again to go on" in error
    assert error.count("\n") == 1
    before = evaluations(tmp_path)

    process = start(tmp_path, sample, *options)
    out, error = process.communicate(timeout=300)
    assert (process.returncode, error) == (0, "")
    rows = table(tmp_path)
    states = [row["state"] for row in rows]
    assert sum(states.count(word) for word in ("complete", "pruned", "failed")) == 12
    # Both processes were at work, unless one was between two trials.
    assert 1 <= states.count("interrupted") <= 2
    assert states.count("pruned") >= 1
    assert "running" not in states

    # An interrupted trial goes on in its run folder, with its settings, from where it stopped.
    after = evaluations(tmp_path)
    for row in rows:
        if row["state"] == "interrupted":
            (heir,) = (one for one in rows if one["run"] == row["run"] and one["state"] != "interrupted")
            assert heir["learning_rate"] == row["learning_rate"]
            # One that was stopped while it began may have failed, with nothing to evaluate.
            assert after.get(row["run"], 0) >= max(before.get(row["run"], 0), heir["state"] != "failed")
        elif row["state"] != "failed":
            assert after[row["run"]] == int(row["steps"]) // 10
    for row in rows:
        if row["state"] == "complete":
            assert int(row["steps"]) == 40
            assert float(row["value"]) == pytest.approx(float(row["learning_rate"]) / 80)
        elif row["state"] == "pruned":
            assert int(row["steps"]) < 40
    best = min((row for row in rows if row["state"] == "complete"), key=lambda row: float(row["value"]))
    assert all(
        float(best["learning_rate"]) < float(row["learning_rate"]) for row in rows if row["state"] == "pruned"
    )
    content = json.loads((tmp_path / "study" / "best.json").read_text())
    assert content["model"] == "gan"
    assert content["settings"] == {"learning_rate": float(best["learning_rate"]), "batch": 20}
    assert f"best is trial {best['trial']};" in out
    assert out.count(" pruned ") == states.count("pruned")
    for name in ("history", "steps", "settings"):
        assert (tmp_path / "study" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_more_trials_go_on_and_other_questions_do_not(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipgen_export.tuning.trial.train", stand_in)
    (tmp_path / "space.json").write_text('{"learning_rate": {"low": 0.92, "high": 1.0}}')
    options: dict[str, Any] = {"category": NAME, "steps": 20, "space": tmp_path / "space.json"}
    found = tune("gan", sample.path, tmp_path / "study", trials=1, **options)
    # This learning rate is too high for the stand-in: nothing is best.
    assert [row.state for row in found.table] == ["failed"]
    assert found.best is None
    assert [path.name for path in found.files] == ["trials.csv"]
    assert len(tune("gan", sample.path, tmp_path / "study", trials=3, **options).table) == 3
    assert len(tune("gan", sample.path, tmp_path / "study", trials=2, **options).table) == 3
    for more in ({"seed": 2}, {"steps": 30}, {"measure": "chi2"}, {"space": None}):
        with pytest.raises(InputError, match=f"is a search with {next(iter(more))} .* is asked for"):
            tune("gan", sample.path, tmp_path / "study", trials=3, **{**options, **more})
    with (tmp_path / "study" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another search is at work"):
            tune("gan", sample.path, tmp_path / "study", trials=3, **options)


def test_trials_on_a_dask_cluster_and_those_of_others(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several machines may share a study; what runs in a folder elsewhere is not this one's to end."""
    monkeypatch.setattr("shipgen_export.tuning.trial.train", stand_in)
    (tmp_path / "space.json").write_text('{"learning_rate": {"low": 0.1, "high": 0.5}}')
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    study = open_study(url, "common", seed=1, pruner="median", steps=20)
    other = study.ask()
    other.set_user_attr("run", "trial-of-another")
    # Threads of this process, where the stand-in is known.
    with distributed.LocalCluster(processes=False, n_workers=2, dashboard_address=":0") as cluster:
        found = tune(
            "gan", sample.path, tmp_path / "study", category=NAME, trials=3, steps=20, storage=url,
            study="common", space=tmp_path / "space.json", dask=cluster.scheduler_address,
        )  # fmt: skip
    assert sorted(row.state for row in found.table) == ["complete", "complete", "complete", "running"]
    assert not (tmp_path / "study" / "study.db").exists()


def test_the_best_settings_go_into_a_training(
    sample: PreparedSample, inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing, short: a trial of a small GAN, and what a training gets of it."""
    monkeypatch.setitem(FORMS["fast"].settings, "max_iter", 10)
    (tmp_path / "space.toml").write_text(
        "learning_rate = {low = 1e-4, high = 1e-3, log = true}\nbatch = 20\nlayers_d = {choices = [1, 2]}\n"
        "layers_g = 1\n"
    )
    found = tune(
        "gan", sample.path, tmp_path / "study", category=NAME, trials=1, steps=20, evaluate_every=10,
        space=tmp_path / "space.toml",
    )  # fmt: skip
    assert [(row.state, row.steps, list(row.curve)) for row in found.table] == [("complete", 20, [10, 20])]
    assert found.best is not None
    assert found.best.value == abs(found.best.merits["auc"] - 0.5) == min(found.best.curve.values())
    file = tmp_path / "study" / "best.json"
    chosen = read_settings(file, "gan", GanConfig)
    assert set(chosen) == {"learning_rate", "batch", "layers_d", "layers_g"}
    config = json.loads((tmp_path / "study" / "trial-0000" / "run.json").read_text())["config"]
    assert {name: config[name] for name in chosen} == chosen

    given: list[dict[str, Any]] = []

    def note(*_: object, settings: dict[str, Any], **__: object) -> list[object]:
        given.append(settings)
        return []

    monkeypatch.setattr("shipgen.commands.training.train.train", note)
    done = inside("train", "gan", sample.path, "-o", "run", "--settings", file, "--batch", 40)
    assert (done.returncode, done.stderr) == (0, "")
    assert given == [{**chosen, "batch": 40}]
    assert "not of vae" in inside("train", "vae", sample.path, "-o", "run", "--settings", file).stderr


def test_the_watcher_ends_a_training_and_all_is_saved(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMS["fast"].settings, "max_iter", 5)

    class EnoughError(Exception):
        pass

    seen = []

    def watch(step: int, merits: Any) -> None:
        seen.append((step, merits["auc"]))
        if step == 10:
            raise EnoughError

    small = {"batch": 20, "layers_g": 1, "layers_d": 1}
    options = {"categories": [NAME], "steps": 30, "settings": small, "evaluate_every": 5, "pictures": False}
    with pytest.raises(EnoughError):
        list(train("gan", sample, tmp_path / "run", watcher=watch, threads=1, **options))  # type: ignore[arg-type]
    assert [step for step, _ in seen] == [5, 10]
    rows = (tmp_path / "run" / NAME / "figures_of_merit.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == [5, 10]


@pytest.mark.parametrize("model", MODELS)
def test_what_is_tried_by_default_is_within_the_models_limits(model: str) -> None:
    check_space(SPACES[model], model, "the default")
    assert set(SPACES[model]) <= set(settings(MODELS[model].settings))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = {low = 1, high = 2}", "has no setting 'learning_rat': choose from"),
        ("batch = {low = 10, high = 5}", "batch in .* cannot be tried"),
        ("batch = {low = 0, high = 5, log = true}", "batch in .* cannot be tried"),
        ("batch = {choices = []}", "batch in .* cannot be tried"),
        ("batch = {choices = ['many', 'few']}", "the setting batch of .* is 'many': it must be int"),
        ("batch = {low = 1.5, high = 5.5}", "the setting batch of .* is 1.5: it must be int"),
        ("dropout_d = {low = 0.1, high = 1.5}", "dropout_d is 1.5: it must be"),
        ("loss = {choices = ['source', 'other']}", "loss is other: it must be one of"),
        ("spectral_norm = {choices = [true, 1]}", "is 1: it must be bool"),
        ("batch = 20", "leaves nothing to try"),
        ("batch = ", "cannot read"),
    ],
)
def test_what_cannot_be_tried(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_space(tmp_path / "space.toml", "gan")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", '{"model": "vae", "settings": {}}', "s.json has settings of the model vae, not of gan"),
        ("s.json", '{"settings": {"batches": 3}}', "gan has no setting 'batches'"),
        ("s.json", '{"settings": {"batch": 2.5}}', "the setting batch of gan is 2.5: it must be int"),
        ("s.toml", "[settings]\nbatch = true", "the setting batch of gan is True"),
        ("s.json", '{"batch": 20}', "has no table 'settings'"),
        ("s.json", "[1]", "holds no table"),
        ("s.json", "{", "cannot read"),
        ("none.json", None, "No such file"),
    ],
)
def test_settings_that_cannot_be_taken(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_settings(tmp_path / name, "gan", GanConfig)


def test_ranges_of_whole_numbers_and_settings_in_toml(tmp_path: Path) -> None:
    assert Range(1, 5).whole
    assert not Range(1.0, 5).whole
    (tmp_path / "s.toml").write_text('model = "gan"\n[settings]\nbatch = 30\nspan = 1\noptimizer = "adam"\n')
    expected = {"batch": 30, "span": 1, "optimizer": "adam"}
    assert read_settings(tmp_path / "s.toml", "gan", GanConfig) == expected


def test_what_a_search_refuses(inside: Run, sample: PreparedSample, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("tune", "gan", sample.path, "-o", "study", "--category", NAME, "--trials", 1)
    cases = {
        ("--dask", "slurm", "--jobs", 2): "a SQLite file cannot be shared by machines",
        ("--storage", "nonsense"): "the database of the search cannot be used",
        ("--storage", "sqlite:////nowhere/x.db"): "the database of the search cannot be used",
        ("--space", "nothing.toml"): "cannot read nothing.toml",
    }
    for more, message in cases.items():
        done = inside(*options, *more)
        assert done.returncode == 3
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert "nothing is no prepared sample" in inside(*options[:2], "nothing", *options[3:]).stderr
    assert "--teacher RUN" in inside("tune", "distill", *options[2:]).stderr
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = inside(*options)
    assert done.returncode == MissingExtraError.exit_code
    assert "install shipgen with its extra 'tune'" in done.stderr
