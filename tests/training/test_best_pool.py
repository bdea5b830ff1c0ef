"""The plan of a whole training, and its tasks in real worker processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from helpers.synthetic import synthetic_sample
from shipgen.errors import InputError, MissingExtraError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.models.settings import StudentConfig
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training import best
from shipgen_export.training.export import lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FLOW = {"hidden": 4, "layers": 1, "bins": 4, "batch": 32, "bootstrap": False}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 300)


def change_index(prepared: Path, **facts: Any) -> None:
    """Make a prepared sample state something else."""
    file = prepared / "prepared.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def plan(
    prepared: Path, output: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[best.NetworkTask]:
    """Return the tasks of a whole training, and do none of them."""
    planned: list[best.NetworkTask] = []

    @contextmanager
    def note(
        work: Callable[..., Any], tasks: Iterable[best.NetworkTask], cores: int
    ) -> Iterator[Iterator[Any]]:
        assert (work, cores) == (best._run, 3)
        taken = list(tasks)
        planned.extend(taken)
        yield iter([SimpleNamespace(summary=lambda: "done", notes=())] * len(taken))

    monkeypatch.setattr(best, "in_order", note)
    monkeypatch.setattr(best, "export", lambda *_, **__: None)
    assert list(best.train_best(prepared, output, cores=3, **options))[-1] is None
    return planned


def test_teachers_differ_in_seed_and_sample(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = plan(prepared, tmp_path / "out", monkeypatch, seed=5)
    teachers = [task for task in tasks if task.teacher is not None]
    assert len(teachers) == 3 * len(CATEGORIES)
    for category in CATEGORIES:
        mine = [task for task in teachers if task.category == category.name]
        assert [task.settings["bootstrap"] for task in mine] == [False, True, True]
        assert len({task.seed for task in mine}) == 3
    neighbours = plan(prepared, tmp_path / "out", monkeypatch, seed=6)
    seeds = ({task.seed for task in each if task.teacher is not None} for each in (tasks, neighbours))
    assert not set.intersection(*seeds)


def test_short_trainings_ask_for_fewer_pairs(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for steps, pairs in ((10, 100_000), (1_000, 1_000 * 4096 // 4), (40_000, StudentConfig().pairs)):
        tasks = plan(prepared, tmp_path / "out", monkeypatch, student_steps=steps)
        assert {task.settings["pairs"] for task in tasks if task.teacher is None} == {pairs}
    tasks = plan(prepared, tmp_path / "out", monkeypatch, student={"pairs": 7})
    assert {task.settings["pairs"] for task in tasks if task.teacher is None} == {7}


def test_real_workers_train_and_hand_on_errors(prepared: Path, tmp_path: Path) -> None:
    names = ["muplus_onaxis", "muminus_onaxis", "muons"]
    sample = PreparedSample.open(prepared)
    tasks = [best.NetworkTask(sample, tmp_path, name, 1, 2, 1, 2, FLOW) for name in names]
    # One worker: most of the time goes into loading TensorFlow.
    with best.in_order(best._run, tasks, 1) as results:
        for name in names[:2]:
            trained = next(results)
            assert (trained.category.name, trained.steps, trained.notes) == (name, 2, ())
            assert (tmp_path / "teacher-1" / name / "generator.weights.h5").is_file()
        with pytest.raises(InputError, match="no category 'muons'"):
            next(results)


def missing(_: int) -> None:
    raise MissingExtraError("training", "tensorflow", "train")


def test_a_missing_package_is_named_by_a_worker_as_well() -> None:
    with (
        best.in_order(missing, [1], 1) as results,
        pytest.raises(MissingExtraError, match="needs tensorflow"),
    ):
        next(results)


def interrupted() -> None:
    """Be a worker whose training is interrupted."""

    def train(_: best.NetworkTask) -> None:
        raise KeyboardInterrupt

    best._train = train  # type: ignore[assignment]
    try:
        best._run(None)  # type: ignore[arg-type]
    finally:
        # The pool's worker would take the next task here.
        os._exit(7)


def test_an_interrupted_worker_ends() -> None:
    worker = multiprocessing.get_context("spawn").Process(target=interrupted)
    worker.start()
    worker.join()
    assert worker.exitcode == 1


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"pot": None}, "how many protons on target"),
        ({"energy_cut": None}, "energy cut is not known"),
    ],
)
def test_what_the_bundle_lacks_is_said_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], message: str
) -> None:
    prepared = synthetic_sample(tmp_path / "prepared", 300)
    change_index(prepared, **facts)
    with pytest.raises(InputError, match=message):
        plan(prepared, tmp_path / "out", monkeypatch)
    assert not (tmp_path / "out").exists()


def test_pot_is_taken_from_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = synthetic_sample(tmp_path / "prepared", 300)
    change_index(prepared, pot=None)
    assert plan(prepared, tmp_path / "out", monkeypatch, pot=1e6)


def test_empty_parts_and_categories_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = synthetic_sample(tmp_path / "few", 300)
    categories = json.loads((few / "prepared.json").read_text())["categories"]
    categories["muminus_offaxis"]["split"]["test"] = 0
    change_index(few, categories=categories)
    with pytest.raises(InputError, match="no muon of muminus_offaxis in its part test"):
        plan(few, tmp_path / "out", monkeypatch)
    assert not (tmp_path / "out").exists()
    smeared = synthetic_sample(tmp_path / "smeared", 300, categories=CATEGORIES[2:])
    note = lacking(PreparedSample.open(smeared))
    assert note
    assert re.search(r"no muons of muplus_onaxis, muminus_onaxis.*--beam primary", note)
    names = {task.category for task in plan(smeared, tmp_path / "out", monkeypatch)}
    assert names == {"muplus_offaxis", "muminus_offaxis"}
