"""Training that takes a moment: tiny networks, no compilation, no long measure, no processes."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import shipgen_export.training.train
from helpers.eager import eagerly
from shipgen_export.training import best
from shipgen_export.training.spread import uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pytest

FLOW = {"hidden": 6, "layers": 1, "bins": 4, "batch": 64}
STUDENT = {"nodes": "8", "nodes_on_axis": "8", "pairs": 2000, "batch": 64}
AUC = {"auc": 0.6, "auc_error": 0.01}
MERIT = {**AUC, "chi2": None, "overlap": 0.9, "control": AUC}


@contextmanager
def in_this_process(
    work: Callable[[Any], Any],
    tasks: Iterable[Any],
    cores: int,  # noqa: ARG001
) -> Iterator[Iterator[Any]]:
    yield map(work, tasks)


@contextmanager
def quick_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiling takes longer than these few steps."""
    monkeypatch.setattr(best, "in_order", in_this_process)
    monkeypatch.setattr(shipgen_export.training.train, "measure", lambda *_: MERIT)
    monkeypatch.setattr(best, "uncertainty", partial(uncertainty, made=2000))
    with eagerly():
        yield


def train_quickly(prepared: Path, output: Path, **options: Any) -> list[Any]:
    """Return all that `train_best` yields after three steps of each network."""
    steps = {"teacher_steps": 3, "student_steps": 3}
    given = {**steps, "teachers": 2, "flow": FLOW, "student": STUDENT, **options}
    return list(best.train_best(prepared, output, **given))
