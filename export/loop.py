"""The training loop of one category: batches, steps, checkpoints, history, interruption.

It knows nothing of a model but what `Trainer` says.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shipgen.columns import Float32
    from shipgen_export.run_folder import CategoryFolder, State
    from shipgen_export.sample import CategorySample

#: Steps in one call of TensorFlow and in one drawing of muons. Part of what makes a run reproducible.
BLOCK = 100

#: Time between checkpoints, s.
_CHECKPOINT_INTERVAL = 60.0

#: Muons normalised at once: bounds the memory of intermediate steps.
_SLICE = 500_000


class Trainer(Protocol):
    """What `train_category` needs of a model in training."""

    generator: Any
    losses: tuple[str, ...]
    step: Any
    config: Any

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds."""

    def train(self, real: Any) -> dict[str, Any]:
        """Do as many steps as `real` has batches; return each step's losses."""


class Stopped(KeyboardInterrupt):
    """Training was interrupted; the message says where it goes on."""


@dataclass(frozen=True)
class Goal:
    """When to stop: at `steps` in all or after `seconds` of this call, whichever is given."""

    steps: int | None = None
    seconds: float | None = None

    def left(self, steps: int, seconds: float) -> int:
        """Return how many steps of the next block are to be done, after `steps` in all and `seconds`."""
        if self.seconds is not None and seconds >= self.seconds:
            return 0
        block = BLOCK - steps % BLOCK
        return block if self.steps is None else max(0, min(block, self.steps - steps))


class MuonStream:
    """Batches of normalised muons, drawn in proportion to their weights.

    Parameters
    ----------
    sample : CategorySample
        Its part ``train`` is used.
    batch : int
        Muons a step.
    seed : int
        The batch of a step depends on seed, category and the number of the step alone.
    """

    def __init__(self, sample: CategorySample, batch: int, seed: int) -> None:
        features, weights = sample.part("train")
        if not weights.sum() > 0:
            raise InputError(f"no muon of {sample.category.name} to train on: prepare a larger sample")
        self._muons = np.empty(features.shape, np.float32)
        for first in range(0, len(features), _SLICE):
            part = slice(first, first + _SLICE)
            self._muons[part] = sample.normalisation.forward(features[part].astype(np.float64))
        self._cumulative = np.cumsum(weights)
        self._batch = batch
        self._seed = (seed, sample.category.number)

    def draw(self, step: int, count: int) -> Float32:
        """Return the batches of `count` steps from `step` on, within one block: float32[count, batch, d]."""
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((*self._seed, step // BLOCK))))
        places = random.random((BLOCK, self._batch))[step % BLOCK :][:count] * self._cumulative[-1]
        index = np.searchsorted(self._cumulative, places, side="right")
        drawn: Float32 = self._muons[np.minimum(index, len(self._muons) - 1)]
        return drawn


class Checkpoints:
    """Saving and restoring one category: TensorFlow's checkpoints, the history and the state."""

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
        if int(trainer.step) < self.state.steps:
            raise InputError(
                f"the checkpoint of step {self.state.steps:,} in {folder.checkpoints} is missing: "
                f"bring it back, or remove {folder.path} to start again"
            )
        self.rows = folder.read_history(int(trainer.step))
        seconds = float(self.rows[-1]["seconds"]) if self.rows else 0.0
        self.state = replace(self.state, steps=int(trainer.step), seconds=seconds)

    def record(self, seconds: float, losses: dict[str, Float32]) -> None:
        """Add the mean losses of a block to the history."""
        row = {"step": str(int(self._trainer.step)), "seconds": f"{seconds:.1f}"}
        self.rows.append(row | {name: f"{values.mean():.5f}" for name, values in losses.items()})

    def save(self, seconds: float) -> None:
        """Keep everything as it is now; raise `ShipgenError` when a weight is not finite."""
        steps = int(self._trainer.step)
        if not all(np.isfinite(weight).all() for weight in self._trainer.generator.get_weights()):
            raise self.broken(steps)
        from shipgen_export.backend import tf

        try:
            self._manager.save(checkpoint_number=steps)
        except (tf.errors.OpError, OSError) as error:
            raise OutputError(
                f"the checkpoint of step {steps:,} could not be written to {self._folder.checkpoints}, the "
                f"disk may be full: free some space and run the same command, which goes on from step "
                f"{self.state.steps:,} ({type(error).__name__})"
            ) from error
        self._folder.write_history(self.columns, self.rows)
        self._keep(replace(self.state, steps=steps, seconds=round(seconds, 3)))

    def save_weights(self) -> None:
        """Write the generator's weights as they are now."""
        if self.state.weights_steps != self.state.steps or not self._folder.weights.is_file():
            digest = self._folder.write_weights(self._trainer.generator)
            self._keep(replace(self.state, weights_steps=self.state.steps, weights_sha256=digest))

    def _keep(self, state: State) -> None:
        self.state = state
        self._folder.write_state(state)

    def broken(self, step: int) -> ShipgenError:
        """Return the error to raise when training `step` gave NaN or infinity."""
        return ShipgenError(
            f"training of {self._folder.path.name} failed at step {step}: a loss or weight is NaN or "
            f"infinite; the checkpoint of step {self.state.steps} is kept in {self._folder.path}: "
            "train again with a lower learning rate in another folder"
        )


@contextmanager
def _deferred_interrupts() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a flag, so that a step is never cut; a second one interrupts at once."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if seen:
            signal.default_int_handler(number, frame)
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train_category(trainer: Trainer, stream: MuonStream, folder: CategoryFolder, goal: Goal) -> State:
    """Train one category from where its folder stands to the goal; return the state reached.

    Parameters
    ----------
    trainer : Trainer
        Fresh; gets the last checkpoint's values.
    stream : MuonStream
        The training muons.
    folder : CategoryFolder
        Locked by the caller.
    goal : Goal
        When to stop.

    Raises
    ------
    ShipgenError
        A loss or weight became NaN or infinite.
    Stopped
        Interrupted; everything is saved.
    """
    checkpoints = Checkpoints(folder, trainer)
    before, started = checkpoints.state.seconds, time.monotonic()
    saved = started
    with _deferred_interrupts() as interrupted, _progress(folder.path.name, trainer, goal) as advance:
        while count := goal.left(int(trainer.step), time.monotonic() - started):
            first = int(trainer.step)
            losses = trainer.train(stream.draw(first, count))
            now = time.monotonic()
            _check_finite(checkpoints, first, losses)
            checkpoints.record(before + now - started, losses)
            advance(count)
            if interrupted():
                break
            if now - saved > _CHECKPOINT_INTERVAL:
                checkpoints.save(before + now - started)
                saved = now
        if int(trainer.step) > checkpoints.state.steps:
            checkpoints.save(before + time.monotonic() - started)
        checkpoints.save_weights()
        if interrupted():
            raise Stopped(
                f"step {checkpoints.state.steps:,} of {folder.path.name} is saved in "
                f"{folder.path.parent}: run the same command again to go on"
            )
    return checkpoints.state


def _check_finite(checkpoints: Checkpoints, first: int, losses: dict[str, Float32]) -> None:
    finite = np.all([np.isfinite(values) for values in losses.values()], 0)
    if not finite.all():
        raise checkpoints.broken(first + 1 + int(np.argmin(finite)))


@contextmanager
def _progress(name: str, trainer: Trainer, goal: Goal) -> Iterator[Callable[[float], None]]:
    """Show steps, rate and time left; with a time for goal, the time."""
    if goal.seconds is None:
        left = max(0, (goal.steps or 0) - int(trainer.step))
        with progress(f"training {name}", left, "steps") as advance:
            yield advance
        return
    started = shown = time.monotonic()
    end = started + goal.seconds
    with progress(f"training {name}", round(goal.seconds), "s") as advance:

        def advance_time(_: float) -> None:
            nonlocal shown
            now = min(time.monotonic(), end)
            advance(now - shown)
            shown = now

        yield advance_time
