"""Training on a made-up sample: run folder, continuing, interruption, refusals, and the command."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from synthetic import synthetic_sample

from shipgen.categories import CATEGORIES, category_by_name
from shipgen.commands.train import command
from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen.files import sha256
from shipgen_export.backend import configure, tf
from shipgen_export.models.gan import Gan, GanConfig, build_generator
from shipgen_export.models.settings import settings
from shipgen_export.sample import PreparedSample
from shipgen_export.train import MODELS, train
from shipgen_export.training.category_folder import CategoryFolder, read_table
from shipgen_export.training.loop import BLOCK, Goal, MuonStream, Stopped, train_category
from shipgen_export.training.run_folder import Run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from shipgen_export.train import Trained

SETTINGS: dict[str, Any] = {"latent": 8, "batch": 20, "layers_g": 1, "layers_d": 1}
NAME = "muplus_onaxis"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    configure(1)


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
    generator.load_weights(Run.open(output).category(category).weights)
    found: list[np.ndarray] = generator.get_weights()
    return found


def assert_same_weights(one: Path, other: Path) -> None:
    for a, b in zip(weights(one), weights(other), strict=True):
        # One thread on one CPU: the same operations in the same order.
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


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
    assert list(rows[0]) == ["step", "seconds", "auc", "auc_error", "chi2", "overlap"]
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
    for steps, before in ((130, 0), (200, 130), (250, 200)):
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


class Interrupting(MuonStream):
    """Sends `signals` to this process while step 101 to 200 is prepared."""

    signals: tuple[int, ...] = (signal.SIGINT,)

    def draw(self, step: int, count: int) -> Any:
        if step == BLOCK:
            for number in self.signals:
                signal.raise_signal(number)
        return super().draw(step, count)


def _category(sample: PreparedSample, output: Path, stream: type[MuonStream], goal: Goal) -> CategoryFolder:
    config = GanConfig(**SETTINGS)
    started = Run.start(output, sample, model="gan", config=config.__dict__, seed=1, evaluate_every=100)
    folder = started.category(category_by_name(NAME))
    own_seed = int(np.random.SeedSequence((1, 1)).generate_state(1)[0])
    with folder.locked():
        muons = sample.load(NAME)
        train_category(Gan(config, 4, own_seed), stream(muons, config.real_batch, 1), folder, goal)
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_goes_on(
    sample: PreparedSample, finished: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interrupting, "signals", (number,))
    handler = signal.getsignal(number)
    with pytest.raises(Stopped, match=r"step 200 of muplus_onaxis is saved in .*run the same command again"):
        _category(sample, tmp_path / "run", Interrupting, Goal(steps=250))
    assert signal.getsignal(number) is handler
    (trained,) = run(sample, tmp_path / "run", steps=250)
    assert trained.steps_before == 200
    assert_same_weights(tmp_path / "run", finished)


def test_second_interrupt_stops_at_once(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interrupting, "signals", (signal.SIGINT, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt) as caught:
        _category(sample, tmp_path / "run", Interrupting, Goal(steps=250))
    assert not isinstance(caught.value, Stopped)


def test_history_beyond_the_checkpoint_is_dropped(
    sample: PreparedSample, finished: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(finished, tmp_path / "run")
    history = output / NAME / "history.csv"
    history.write_text(history.read_text() + "300,9.9,0.1,0.1\n")
    run(sample, output, steps=260)
    with history.open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [100, 200, 250, 260]


def test_minutes_are_kept(sample: PreparedSample, tmp_path: Path) -> None:
    folder = _category(sample, tmp_path / "run", MuonStream, Goal(seconds=4))
    state = folder.state()
    assert state.steps >= BLOCK
    assert 4 <= state.seconds < 30
    folder = _category(sample, tmp_path / "run", MuonStream, Goal(seconds=1))
    assert folder.state().steps > state.steps
    assert folder.state().seconds >= state.seconds + 1


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


def test_two_processes_cannot_train_the_same_category(sample: PreparedSample, finished: Path) -> None:
    with (
        Run.open(finished).category(category_by_name(NAME)).locked(),
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


def test_full_disk_keeps_the_last_checkpoint(sample: PreparedSample, finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OutputError, match="goes on from step 250"):
            run(sample, folder, steps=260)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run(sample, folder, steps=260)[0].steps == 260


def test_divergence_names_the_step_and_keeps_the_checkpoint(sample: PreparedSample, tmp_path: Path) -> None:
    with pytest.raises(ShipgenError, match=r"failed at step \d+: .* checkpoint of step 0 is kept"):
        run(sample, tmp_path / "run", settings={**SETTINGS, "learning_rate": 1e30})
    assert not list((tmp_path / "run" / NAME / "checkpoints").glob("*.index"))


def test_command(
    sample: PreparedSample, shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    options = ("--category", NAME, "--threads", 1, "--batch", 20, "-layersG", 1, "-layersD", 2, "-nD", 1)
    other = ("-l", "5e-5", "-opt", "adam", "--spectral-norm", "--tensorboard")
    done = shipgen("train", "gan", sample.path, "-o", "run", "--steps", 40, *options, *other)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "muplus_onaxis: 40 steps (from 0 on) on cpu" in done.stdout
    assert "best_auc of step 40: AUC" in done.stdout
    assert (tmp_path / "run" / NAME / "generator.weights.h5").is_file()
    assert list((tmp_path / "run" / NAME / "pictures").glob("*.png"))
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    expected = GanConfig(
        batch=20, layers_g=1, layers_d=2, learning_rate=5e-5, optimizer="adam", spectral_norm=True
    )
    assert config == asdict(expected)
    _check_events(tmp_path / "run" / NAME)


def _check_events(folder: Path) -> None:
    (events,) = (folder / "tensorboard").iterdir()
    records = [
        tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(events))
    ]
    values = {value.tag: value for record in records for value in record.summary.value}
    assert set(values) >= {"d_loss", "g_loss", "auc", "overlap"}
    (history,) = read_table(folder / "history.csv", 40)
    assert float(tf.make_ndarray(values["d_loss"].tensor)) == pytest.approx(
        float(history["d_loss"]), abs=1e-5
    )
    assert values["d_loss"].metadata.plugin_data.plugin_name == "scalars"


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_is_an_option_with_its_default_in_the_help(model: str) -> None:
    config = MODELS[model].settings
    text = CliRunner().invoke(command, [model, "--help"], terminal_width=200).output
    for name, setting in settings(config).items():
        (line,) = (line for line in text.splitlines() if f"--{name.replace('_', '-')} " in line + " ")
        default = getattr(config(), name)
        assert all(f"{short}, " in line for short in setting.short)
        assert default in {None, False} or f"[default: {default}]" in text
    source = {"gan": "-l -nG -nD -layersG -layersD", "vae": "-lr -x -iE -iD -layersE -layersD"}
    assert set(source[model].split()) <= {short for each in settings(config).values() for short in each.short}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("flaw", "PREPARED", "-o", "run"), "no model 'flaw': choose from gan, vae"),
        (("gan", "nothing", "-o", "run"), "nothing is no prepared sample"),
        (("gan", "PREPARED", "-o", "run", "--steps", "5", "--minutes", "1"), "exclude each other"),
        (("gan", "PREPARED", "-o", "run", "--category", "mu"), "'mu' is not one of"),
        (("gan", "PREPARED", "-o", "run", "-opt", "sgd"), "'sgd' is not one of"),
        (
            ("gan", "PREPARED", "-o", "run", "--dropout-d", "1.5"),
            "dropout_d is 1.5: it must be at least 0 and",
        ),
    ],
)
def test_command_refuses(
    sample: PreparedSample,
    shipgen: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    done = shipgen("train", *(str(sample.path) if word == "PREPARED" else word for word in arguments))
    assert done.returncode in {2, 3}
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
