"""The training loop of one category: batches, steps, evaluations, checkpoints, interruption.

It knows nothing of a model but what `Trainer` says.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipgen.errors import InputError
from shipgen.progress import progress
from shipgen_export.merit.merits import rows_since_best
from shipgen_export.training.run.checkpoints import Checkpoints, check_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.merit.evaluate import Evaluation
    from shipgen_export.sample.sample import CategorySample
    from shipgen_export.training.run.category_folder import CategoryFolder, State

#: StepsAlone in one call of TensorFlow and in one drawing of muons. Part of what makes a run reproducible.
BLOCK = 100

#: Time between checkpoints, s.
_CHECKPOINT_INTERVAL = 60.0

#: Muons normalised at once: bounds the memory of intermediate steps.
_SLICE = 500_000


class Trainer(Protocol):
    """What `train_category` needs of a model in training.

    `generator` is the network that is evaluated and kept, `companions` are others that belong to it; once it
    has `ended`, more steps would be for nothing.
    """

    generator: Any
    companions: dict[str, Any]
    losses: tuple[str, ...]
    step: Any
    config: Any

    @property
    def ended(self) -> bool:
        """Whether more steps would be for nothing."""

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


@dataclass(frozen=True)
class Watch:
    """When the figure of merit is measured during training, and what follows from it.

    Attributes
    ----------
    evaluator : callable
        Generator -> `Evaluation`, on muons that training does not see.
    every : int
        StepsAlone from one evaluation to the next; there is one more at the end.
    patience : int
        Stop when no measure has improved in this many evaluations, those at an end not counted; 0 is never.
    draw : callable, optional
        Draws pictures of an evaluation, given the rows of losses and figures of merit.
    """

    evaluator: Callable[[Any], Evaluation]
    every: int
    patience: int = 0
    draw: Callable[[Evaluation, list[dict[str, str]], list[dict[str, str]]], object] | None = None

    def left(self, step: int) -> int:
        """Return the steps to the next evaluation."""
        return self.every - step % self.every

    def due(self, checkpoints: Checkpoints, *, at_end: bool = False) -> bool:
        """Say whether these steps have to be evaluated and are not yet."""
        step = checkpoints.step
        done = bool(checkpoints.merits) and int(checkpoints.merits[-1]["step"]) == step
        return step > 0 and not done and (at_end or step % self.every == 0)

    def exhausted(self, checkpoints: Checkpoints) -> bool:
        """Say whether the figures have stopped to improve."""
        return 0 < self.patience <= rows_since_best(checkpoints.merits, self.every)

    def evaluate(
        self,
        checkpoints: Checkpoints,
        trainer: Trainer,
        elapsed: Callable[[], float],
        log: Callable[[int, Mapping[str, float | None]], None] | None = None,
    ) -> None:
        """Measure, keep everything and draw."""
        evaluation = self.evaluator(trainer.generator)
        checkpoints.add_merits(elapsed(), evaluation.merits)
        if log:
            log(checkpoints.step, evaluation.merits)
        if self.draw:
            self.draw(evaluation, checkpoints.losses, checkpoints.merits)


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
    weights : float64[n], optional
        Of the part ``train``, in place of the sample's own.
    """

    def __init__(self, sample: CategorySample, batch: int, seed: int, weights: Float64 | None = None) -> None:
        features, own = sample.part("train")
        weights = own if weights is None else weights
        if not weights.sum() > 0:
            raise InputError(f"no muon of {sample.category.name} to train on: prepare a larger sample")
        slices = (features[first : first + _SLICE] for first in range(0, len(features), _SLICE))
        self._muons = np.concatenate(
            [sample.form.forward(part.astype(np.float64)).astype(np.float32) for part in slices]
        )
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


class StepsAlone:
    """Stands for a `MuonStream` where a model needs no muons: as many entries as steps are to be done."""

    def draw(self, step: int, count: int) -> Float32:  # noqa: ARG002
        """Return zeros, float32[count]."""
        return np.zeros(count, np.float32)


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

    # What is ignored stays so: a worker leaves Ctrl-C to its parent, which ends it.
    heeded = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train_category(
    trainer: Trainer,
    stream: MuonStream | StepsAlone,
    folder: CategoryFolder,
    goal: Goal,
    watch: Watch | None = None,
    log: Callable[[int, Mapping[str, float | None]], None] | None = None,
) -> State:
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
    watch : Watch, optional
        Figures of merit on the way; none without.
    log : callable, optional
        Takes a step and its mean losses or figures of merit by name.

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

    def elapsed() -> float:
        return before + time.monotonic() - started

    with _deferred_interrupts() as interrupted, _progress(folder.path.name, trainer, goal) as advance:
        while not interrupted() and not trainer.ended:
            if watch and watch.due(checkpoints):
                watch.evaluate(checkpoints, trainer, elapsed, log)
                saved = time.monotonic()
            first = checkpoints.step
            count = 0 if watch and watch.exhausted(checkpoints) else goal.left(first, elapsed() - before)
            if not count:
                break
            losses = trainer.train(stream.draw(first, min(count, watch.left(first)) if watch else count))
            check_finite(checkpoints, first, losses)
            checkpoints.add_losses(elapsed(), losses)
            if log:
                log(checkpoints.step, {name: float(values.mean()) for name, values in losses.items()})
            advance(checkpoints.step - first)
            if time.monotonic() - saved > _CHECKPOINT_INTERVAL:
                checkpoints.save(elapsed())
                saved = time.monotonic()
        if watch and not interrupted() and watch.due(checkpoints, at_end=True):
            watch.evaluate(checkpoints, trainer, elapsed, log)
        if checkpoints.step > checkpoints.state.steps:
            checkpoints.save(elapsed())
        checkpoints.save_last()
        if interrupted():
            raise Stopped(
                f"step {checkpoints.state.steps:,} of {folder.path.name} is saved in "
                f"{folder.path.parent}: run the same command again to go on"
            )
    return checkpoints.state


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
