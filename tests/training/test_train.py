"""Training on a made-up sample: run folder, continuing, patience, refusals."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.synthetic import synthetic_sample
from shipgen.errors import InputError, ShipgenError
from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES, category_by_name
from shipgen_export.models.gan import GanConfig, build_generator
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.loop import Goal
from shipgen_export.training.run.category_folder import CategoryFolder, State
from shipgen_export.training.run.run_folder import TrainingRun
from shipgen_export.training.train import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen_export.training.train import Trained

SETTINGS: dict[str, Any] = {"latent": 8, "batch": 20, "layers_g": 1, "layers_d": 1}
NAME = "muplus_onaxis"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PreparedSample:
    return PreparedSample.open(synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 1000))


def run(sample: PreparedSample, output: Path, **options: Any) -> list[Trained]:
    given = {"categories": [NAME], "steps": 150, "threads": 1, "settings": SETTINGS}
    options = {**given, "evaluate_every": 100, "pictures": False, **options}
    return list(train(options.pop("model", "gan"), sample, output, **options))


def weights(output: Path, name: str = NAME) -> list[np.ndarray]:
    category = category_by_name(name)
    generator = build_generator(GanConfig(**SETTINGS), len(category.features))
    generator.load_weights(TrainingRun.open(output).category(category).weights)
    found: list[np.ndarray] = generator.get_weights()
    return found


def assert_same_weights(one: Path, other: Path) -> None:
    for a, b in zip(weights(one), weights(other), strict=True):
        # One thread on one CPU: the same operations in the same order.
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@pytest.fixture(autouse=True)
def _not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures of merit, which take as long as training: `finished`, made before, has them."""
    figures = {"auc": 0.7, "auc_error": 0.01, "chi2": None, "overlap": 0.5}
    found = {**figures, "control": figures}
    monkeypatch.setattr("shipgen_export.training.train.measure", lambda *_: found)
    evaluation = SimpleNamespace(merits=figures)
    monkeypatch.setattr("shipgen_export.training.train.Evaluator", lambda *_: lambda _: evaluation)


@pytest.fixture(scope="module")
def finished(sample: PreparedSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 250 steps without interruption."""
    output = tmp_path_factory.mktemp("runs") / "run"
    run(sample, output, steps=250)
    return output


def test_run_folder(sample: PreparedSample, finished: Path) -> None:
    index = json.loads((finished / "run.json").read_text())
    assert (index["format"], index["model"], index["seed"]) == ("shipgen-run", "gan", 1)
    assert (index["evaluate_every"], index["device"]) == (100, "cpu")
    # Every setting is there, those that were not given as well.
    assert index["config"] == asdict(GanConfig(**SETTINGS))
    assert (
        index["sample"]["sha256"]
        == sha256(sample.path / "prepared.json")
        == sha256(finished / "prepared.json")
    )
    folder = finished / NAME
    state = json.loads((folder / "state.json").read_text())
    assert state["steps"] == state["weights_steps"] == 250
    assert state["weights_sha256"] == sha256(folder / "generator.weights.h5")
    merit = json.loads((folder / "figure_of_merit.json").read_text())
    best = {name: entry["steps"] for name, entry in state["best"].items()}
    assert (merit["network"], merit["steps"]) == ("best_auc", best["auc"])
    assert 0.5 < merit["auc"] <= 1
    assert abs(merit["control"]["auc"] - 0.5) < 4 * merit["control"]["auc_error"]
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "seconds", "d_loss", "g_loss"]
    assert [int(row["step"]) for row in rows] == [100, 200, 250]
    with (folder / "figures_of_merit.csv").open() as file:
        rows = list(csv.DictReader(file))
    figures = ("auc", "auc_error", "chi2", "chi2_bins", "chi2_share", "overlap")
    assert tuple(rows[0]) == ("step", "seconds", *figures)
    assert all(int(row["chi2_bins"]) >= 0 and 0 <= float(row["chi2_share"]) <= 1 for row in rows)
    assert [int(row["step"]) for row in rows] == [100, 200, 250]
    assert best["auc"] == int(min(rows, key=lambda row: abs(float(row["auc"]) - 0.5))["step"])
    for measure, entry in state["best"].items():
        assert entry["sha256"] == sha256(folder / f"best_{measure}.weights.h5")
    assert not list(finished.rglob("*.part"))
    # Not asked for.
    assert not (folder / "pictures").exists()
    assert not (folder / "tensorboard").exists()


def test_no_path_of_the_machine_in_a_run(sample: PreparedSample, finished: Path) -> None:
    for file in finished.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert str(sample.path).encode() not in content, file
            assert str(finished).encode() not in content, file


def test_continued_run_is_the_uninterrupted_one(
    sample: PreparedSample, finished: Path, tmp_path: Path
) -> None:
    for steps, before in ((130, 0), (250, 130)):
        (trained,) = run(sample, tmp_path / "run", steps=steps)
        assert (trained.steps_before, trained.steps) == (before, steps)
    assert_same_weights(tmp_path / "run", finished)
    with (tmp_path / "run" / NAME / "history.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [100, 130, 200, 250]


def test_finished_run_says_so_and_changes_nothing(
    sample: PreparedSample, finished: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(finished, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.h5")}
    (trained,) = run(sample, output, steps=250)
    assert "finished before" in trained.summary()
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.h5")} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2}, r"with seed 1, but 2 is asked for"),
        ({"settings": {**SETTINGS, "batch": 40}}, r"with batch 20, but 40 is asked for"),
        ({"evaluate_every": 50}, r"with evaluate_every 100, but 50 is asked for"),
        ({"settings": {}}, r"with latent 8, but 100 is asked for"),
    ],
)
def test_other_settings_are_refused(
    sample: PreparedSample, finished: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(sample, finished, **options)


def test_other_sample_is_refused(finished: Path, tmp_path: Path) -> None:
    other = PreparedSample.open(synthetic_sample(tmp_path / "other", 200, seed=9, categories=CATEGORIES[:1]))
    with pytest.raises(InputError, match="another prepared sample"):
        run(other, finished)


def test_unknown_names_list_the_choices(sample: PreparedSample, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model 'gna': choose from gan, vae"):
        list(train("gna", sample, tmp_path / "run"))
    with pytest.raises(InputError, match="no category 'muons': choose from"):
        run(sample, tmp_path / "run", categories=["muons"])
    only = PreparedSample.open(synthetic_sample(tmp_path / "one", 200, categories=CATEGORIES[:1]))
    with pytest.raises(InputError, match="no muons of category muminus_offaxis: it has muplus_onaxis"):
        run(only, tmp_path / "run", categories=["muminus_offaxis"])
    assert not (tmp_path / "run").exists()


def test_folder_of_something_else_is_left_alone(sample: PreparedSample, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and no run"):
        run(sample, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_another_process_makes_at_this_moment_is_a_run(
    sample: PreparedSample, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    # As one leaves it that is killed there, or is still there.
    (folder / "prepared.json.part").touch()
    started = TrainingRun.start(folder, sample, model="gan", config={}, seed=1)
    assert (started.model, started.seed) == ("gan", 1)


def test_two_processes_cannot_train_the_same_category(sample: PreparedSample, finished: Path) -> None:
    with (
        TrainingRun.open(finished).category(category_by_name(NAME)).locked(),
        pytest.raises(InputError, match="another process trains muplus_onaxis"),
    ):
        run(sample, finished, steps=300)


def test_damaged_checkpoint(sample: PreparedSample, finished: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "run")
    for file in (output / NAME / "checkpoints").glob("*.index"):
        file.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"checkpoint .* is damaged: remove"):
        run(sample, output, steps=300)


def test_a_lost_checkpoint_is_not_a_start_from_nothing(
    sample: PreparedSample, finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / NAME / "checkpoints" / "checkpoint").unlink()
    with pytest.raises(InputError, match=r"the checkpoint of step .* is missing"):
        run(sample, folder, steps=300)
    assert_same_weights(folder, finished)


def test_divergence_names_the_step_and_keeps_the_checkpoint(sample: PreparedSample, tmp_path: Path) -> None:
    with pytest.raises(ShipgenError, match=r"failed at step \d+: .* there was no checkpoint yet"):
        run(sample, tmp_path / "run", settings={**SETTINGS, "learning_rate": 1e30})
    assert not list((tmp_path / "run" / NAME / "checkpoints").glob("*.index"))


def test_patience_is_of_each_category(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [category.name for category in CATEGORIES[:2]]
    # The first category never improves after its first evaluation, the second fails to once, at the end.
    areas = {names[0]: [0.7] * 6, names[1]: [0.8, 0.75, 0.7, 0.65, 0.6, 0.62]}
    seen: list[tuple[str, int]] = []

    def scripted(muons: Any, seed: int) -> Callable[[Any], SimpleNamespace]:
        seen.append((muons.category.name, seed))
        area = iter(areas[muons.category.name])
        return lambda _: SimpleNamespace(merits={"auc": next(area)})

    monkeypatch.setattr("shipgen_export.training.train.Evaluator", scripted)
    options: dict[str, Any] = {"categories": names, "steps": 6, "evaluate_every": 1, "patience": 2}
    idle, busy = run(sample, tmp_path / "run", seed=3, **options)
    assert seen == [(name, 3) for name in names]
    assert (idle.category.name, idle.steps, idle.exhausted) == (names[0], 3, 2)
    assert (busy.category.name, busy.steps, busy.exhausted) == (names[1], 6, 0)
    assert "ended after 2 evaluations without improvement" in idle.summary()
    assert "ended" not in busy.summary()


def test_minutes_are_split_over_categories(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Goal, int, int]] = []

    def note(trainer: Any, stream: Any, folder: CategoryFolder, goal: Goal, watch: Any, log: Any) -> State:  # noqa: ARG001
        asked.append((goal, watch.every, watch.patience))
        return State()

    monkeypatch.setattr("shipgen_export.training.train.train_category", note)
    names = [category.name for category in CATEGORIES[:2]]
    run(sample, tmp_path / "run", categories=names, steps=None, minutes=3, patience=7, measured=False)
    assert asked == [(Goal(seconds=90), 100, 7)] * 2
