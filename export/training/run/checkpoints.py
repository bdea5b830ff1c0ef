"""What is kept of a training: TensorFlow's checkpoints, losses, figures of merit, networks and the state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen.files.outputs import sha256
from shipgen_export.merit import merits
from shipgen_export.training.run.category_folder import LAST, read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.muons.columns import Float32
    from shipgen_export.training.loop import Trainer
    from shipgen_export.training.run.category_folder import CategoryFolder, State


class Checkpoints:
    """Saving and restoring one category.

    Parameters
    ----------
    folder : CategoryFolder
        Where to.
    trainer : Trainer
        Fresh; gets the last checkpoint's values.

    Attributes
    ----------
    losses, merits : list of dict
        The rows of ``history.csv`` and ``figures_of_merit.csv`` so far.
    state : State
        As it is on disk.

    Raises
    ------
    InputError
        A checkpoint is damaged or missing.
    """

    def __init__(self, folder: CategoryFolder, trainer: Trainer) -> None:
        from shipgen_export.backend import tf

        self._folder = folder
        self._trainer = trainer
        self._checkpoint = tf.train.Checkpoint(**trainer.parts)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder.checkpoints), max_to_keep=2)
        self.columns = ("step", "seconds", *trainer.losses)
        self.state = folder.state()
        latest = self._manager.latest_checkpoint
        if latest:
            try:
                self._checkpoint.restore(latest).assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise InputError(
                    f"the checkpoint {latest} is damaged: remove {folder.path} to start again"
                ) from error
        if self.step < self.state.steps:
            raise InputError(
                f"the checkpoint of step {self.state.steps:,} in {folder.checkpoints} is missing: "
                f"bring it back, or remove {folder.path} to start again"
            )
        self.losses = read_table(folder.history, self.step)
        self.merits = read_table(folder.merits, self.step)
        seconds = [float(rows[-1]["seconds"]) for rows in (self.losses, self.merits) if rows]
        self.state = replace(self.state, steps=self.step, seconds=max(seconds, default=0.0))
        self.save_best()

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._trainer.step)

    def add_losses(self, seconds: float, losses: Mapping[str, Float32]) -> None:
        """Add the mean losses of a block to the history."""
        row = {"step": str(self.step), "seconds": f"{seconds:.1f}"}
        self.losses.append(row | {name: f"{values.mean():.5f}" for name, values in losses.items()})

    def add_merits(self, seconds: float, found: Mapping[str, float | None]) -> None:
        """Add figures of merit, keep everything, and the network where it is the best of a measure."""
        self.merits.append(merits.row(self.step, seconds, found))
        self.save(seconds)
        self.save_best()

    def save(self, seconds: float) -> None:
        """Keep everything as it is now; raise `ShipgenError` when a weight is not finite."""
        if not all(np.isfinite(weight).all() for weight in self._trainer.generator.get_weights()):
            raise self.broken(self.step)
        from shipgen_export.backend import tf

        # Before the checkpoint: rows of steps that it does not reach are dropped, missing ones stay missing.
        write_table(self._folder.history, self.columns, self.losses)
        if self.merits:
            write_table(self._folder.merits, merits.COLUMNS, self.merits)
        try:
            self._manager.save(checkpoint_number=self.step)
        except (tf.errors.OpError, OSError) as error:
            raise OutputError(
                f"the checkpoint of step {self.step:,} could not be written to {self._folder.checkpoints}, "
                "the disk may be full: free some space and run the same command, which goes on from step "
                f"{self.state.steps:,} ({type(error).__name__})"
            ) from error
        ended = bool(self._trainer.ended)
        self._keep(replace(self.state, steps=self.step, seconds=round(seconds, 3), ended=ended))

    def save_last(self) -> None:
        """Write the generator's weights as they are now."""
        if self.state.weights_steps != self.state.steps or not self._folder.weights.is_file():
            self._save_network(LAST)

    def save_best(self) -> None:
        """Write the weights of now for each measure by which they are the best.

        The table is saved before, so that what an interruption leaves undone is done when training goes on.
        """
        for measure, step in merits.best_steps(self.merits).items():
            known = self.state.network(f"best_{measure}")
            if step == self.step and (known is None or known[0] != step):
                self._save_network(f"best_{measure}")

    def _save_network(self, name: str) -> None:
        companions = self._trainer.companions
        digest = self._folder.write_network(name, self._trainer.generator, companions)
        digests = {part: sha256(self._folder.companion(name, part)) for part in companions}
        self._keep(self.state.with_network(name, self.step, digest, digests))

    def _keep(self, state: State) -> None:
        self.state = state
        self._folder.write_state(state)

    def broken(self, step: int) -> ShipgenError:
        """Return the error to raise when training `step` gave NaN or infinity."""
        kept = (
            f"the checkpoint of step {self.state.steps} is kept in {self._folder.path}"
            if self.state.steps
            else "there was no checkpoint yet"
        )
        return ShipgenError(
            f"training of {self._folder.path.name} failed at step {step}: a loss or weight is NaN or "
            f"infinite; {kept}: train again with a lower learning rate in another folder"
        )


def check_finite(checkpoints: Checkpoints, first: int, losses: dict[str, Any]) -> None:
    """Raise `ShipgenError` when a loss of the steps from `first` on is not finite."""
    finite = np.all([np.isfinite(values) for values in losses.values()], 0)
    if not finite.all():
        raise checkpoints.broken(first + 1 + int(np.argmin(finite)))
