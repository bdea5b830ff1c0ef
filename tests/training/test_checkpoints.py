"""What is kept of a training, and that nothing of it is lost by a crash, a full disk or NaN."""

from __future__ import annotations

import csv
import resource
from typing import TYPE_CHECKING, Any

import pytest

from helpers.counter import Counter, Scripted, layer, steps_of, watched
from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen_export.backend import keras, tf
from shipgen_export.merit.merits import COLUMNS
from shipgen_export.training.loop import Goal, StepsAlone, Watch, train_category
from shipgen_export.training.run.category_folder import LAST, CategoryFolder, read_table
from shipgen_export.training.run.checkpoints import Checkpoints

if TYPE_CHECKING:
    from pathlib import Path


def test_best_network_missed_by_a_crash_is_kept_on_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_best", lambda self: self._folder.state().steps and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watched(folder, Watch(Scripted(0.7), every=5), 10)
    assert folder.state().best == {}
    watched(folder, Watch(Scripted(0.8), every=5), 10)
    assert folder.state().best["auc"]["steps"] == 5
    assert steps_of(folder.merits) == ["5", "10"]


def test_a_crash_after_a_checkpoint_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    original = tf.train.CheckpointManager.save

    def save(self: Any, **options: Any) -> None:
        original(self, **options)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.CheckpointManager, "save", save)
        with pytest.raises(ZeroDivisionError):
            watched(folder, Watch(Scripted(0.7), every=5), 10)
    watched(folder, Watch(Scripted(0.8), every=5), 10)
    assert steps_of(folder.history) == steps_of(folder.merits) == ["5", "10"]
    assert folder.state().best["auc"]["steps"] == 5


def test_figures_after_the_last_checkpoint_are_measured_again(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    watched(folder, Watch(Scripted(0.7, 0.8), every=5), 10)
    with folder.merits.open("a", newline="") as file:
        csv.DictWriter(file, COLUMNS).writerow({"step": 15, "seconds": 9.9, "auc": 0.5})
    watched(folder, Watch(Scripted(0.9), every=5), 15)
    assert [row["auc"] for row in read_table(folder.merits, 100)] == ["0.7", "0.8", "0.9"]
    assert folder.state().best["auc"]["steps"] == 5


def test_companions_are_those_that_training_wrote(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    watched(folder, Watch(Scripted(0.7, 0.8), every=5), 10)
    encoder = layer()
    for name, steps in ((LAST, 10), ("best_auc", 5)):
        folder.read_companion(name, "encoder", encoder)
        assert encoder.get_weights()[0].item() == steps
    with pytest.raises(InputError, match="has no encoder of network best_chi2: train muons first"):
        folder.read_companion("best_chi2", "encoder", encoder)
    with pytest.raises(InputError, match="has no decoder of network last"):
        folder.read_companion(LAST, "decoder", encoder)
    wide = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="does not fit the settings"):
        folder.read_companion(LAST, "encoder", wide)
    # The encoder of another step is a good file, but not the one that belongs to this network.
    folder.companion(LAST, "encoder").write_bytes(folder.companion("best_auc", "encoder").read_bytes())
    with pytest.raises(InputError, match=r"encoder.weights.h5 is not the file that training wrote"):
        folder.read_companion(LAST, "encoder", encoder)
    folder.companion(LAST, "encoder").unlink()
    with pytest.raises(InputError, match="has no encoder of network last"):
        folder.read_companion(LAST, "encoder", encoder)


def test_divergence_says_what_is_kept(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    watch = Watch(Scripted(0.7), every=5)
    with (
        folder.locked(),
        pytest.raises(ShipgenError, match=r"at step 4: .* there was no checkpoint yet: train again") as first,
    ):
        train_category(Counter(last=3), StepsAlone(), folder, Goal(steps=10), watch)
    assert "step 0" not in str(first.value)
    with (
        folder.locked(),
        pytest.raises(ShipgenError, match=r"at step 8: .* the checkpoint of step 5 is kept in"),
    ):
        train_category(Counter(last=7), StepsAlone(), folder, Goal(steps=10), watch)


def test_history_beyond_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    watched(folder, None, 150)
    folder.history.write_text(folder.history.read_text() + "200,9.9,0.1\n")
    watched(folder, None, 160)
    assert steps_of(folder.history) == ["100", "150", "160"]


def test_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    watched(folder, None, 10, width=200)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OutputError, match="goes on from step 10"):
            watched(folder, None, 20, width=200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert watched(folder, None, 20, width=200).steps == 20
