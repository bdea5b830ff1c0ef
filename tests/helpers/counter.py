"""A trainer that only counts, and what trains it: for tests of the loop around a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.backend import keras, tf
from shipgen_export.training.loop import Goal, StepsAlone, Watch, train_category
from shipgen_export.training.run.category_folder import CategoryFolder, State, read_table

if TYPE_CHECKING:
    from pathlib import Path


class Scripted:
    """Gives figures of merit from a list."""

    def __init__(self, *areas: float) -> None:
        self._areas = iter(areas)

    def __call__(self, generator: Any) -> SimpleNamespace:  # noqa: ARG002
        return SimpleNamespace(merits={"auc": next(self._areas), "auc_error": 0.01})


class Counter:
    """A trainer of one layer whose weights are the number of steps.

    It breaks after `last` steps, and has ended after `useful` ones.
    """

    losses = ("loss",)

    def __init__(self, last: int = 10**9, width: int = 1, useful: int = 10**9) -> None:
        self.generator = layer(width)
        self.companions = {"encoder": layer()}
        self.step = tf.Variable(0, dtype=tf.int64)
        self.config = None
        self._last = last
        self._useful = useful

    @property
    def ended(self) -> bool:
        return int(self.step) >= self._useful

    @property
    def parts(self) -> dict[str, Any]:
        return {"step": self.step, "generator": self.generator, **self.companions}

    def train(self, real: Any) -> dict[str, Any]:
        first = int(self.step)
        self.step.assign_add(len(real))
        for network in (self.generator, *self.companions.values()):
            network.set_weights([np.full_like(network.get_weights()[0], int(self.step))])
        steps = np.arange(first, first + len(real))
        return {"loss": np.where(steps < self._last, steps, np.nan)}


def layer(width: int = 1) -> Any:
    """Return a network of one layer."""
    return keras.Sequential([keras.Input((width,)), keras.layers.Dense(width, use_bias=False)])


def watched(folder: CategoryFolder, watch: Watch | None, steps: int, **options: Any) -> State:
    """Train a `Counter` up to a number of steps."""
    with folder.locked():
        return train_category(Counter(**options), StepsAlone(), folder, Goal(steps=steps), watch)


def steps_of(file: Path) -> list[str]:
    """Return the steps in a table."""
    return [row["step"] for row in read_table(file, 10**9)]
