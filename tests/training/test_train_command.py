"""`shipgen train` on the command line: a run of it, its help, what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from helpers.synthetic import synthetic_sample
from shipgen.commands.training.train import command
from shipgen_export.backend import tf
from shipgen_export.models.kinds import MODELS
from shipgen_export.models.settings import GanConfig, settings
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.run.category_folder import read_table

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

NAME = "muplus_onaxis"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PreparedSample:
    return PreparedSample.open(synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 300))


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
        assert "[default: ]" not in text
        assert default in {None, False, ""} or f"[default: {default}]" in text
    source = {"gan": "-l -nG -nD -layersG -layersD", "vae": "-lr -x -iE -iD -layersE -layersD"}
    assert set(source.get(model, "").split()) <= {
        short for each in settings(config).values() for short in each.short
    }


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
