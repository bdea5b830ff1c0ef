"""The notebooks, cell by cell in one process: all that they do, but for drawing on a screen."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest

import shipgen_export.training.train
from helpers.pages import DOCS, cells
from shipgen_export.backend import tf
from shipgen_export.training import best
from shipgen_export.training.spread import uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))


def execute(notebook: Path, less: dict[str, str]) -> dict[str, Any]:
    """Run all cells, with `less` in place of what they say; return what they leave."""
    names: dict[str, Any] = {}
    assert [what for what in less if what not in "".join(cells(notebook))] == []
    for number, cell in enumerate(cells(notebook)):
        text = cell
        for what, instead in less.items():
            text = text.replace(what, instead)
        exec(compile(text, f"{notebook.name}, cell {number}", "exec"), names)  # noqa: S102 (our own)
    return names


@pytest.fixture
def _no_screen() -> Iterator[None]:
    import matplotlib.pyplot as plt

    before = mpl.get_backend()
    plt.switch_backend("Agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@contextmanager
def in_this_process(
    work: Callable[[Any], Any],
    tasks: Iterable[Any],
    cores: int,  # noqa: ARG001
) -> Iterator[Iterator[Any]]:
    yield map(work, tasks)


@pytest.fixture
def _here_and_not_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So few steps take less time than compilation and processes of their own would."""
    monkeypatch.setattr(best, "in_order", in_this_process)
    monkeypatch.setattr(best, "uncertainty", partial(uncertainty, made=2000))
    merit = {"auc": 0.6, "auc_error": 0.01}
    whole = {**merit, "chi2": None, "overlap": 0.9, "control": merit}
    monkeypatch.setattr(shipgen_export.training.train, "measure", lambda *_: whole)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_results(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.usefixtures("_no_screen")
def test_arrays_and_histograms() -> None:
    names = execute(DOCS / "tutorials" / "arrays.ipynb", {})
    assert names["content"].sum() == pytest.approx((names["muons"].charge < 0).sum(), rel=1e-3)
    spill, batches = names["seen"] * names["spill"], names["generator"]
    # As many as the first sample says.
    muons = names["muons"]
    first = ((muons.p > 60) & (muons.pt < 0.3)).sum() / names["pot"] * 4e13
    np.testing.assert_allclose(spill, first, rtol=0.2)
    assert len(batches) > 1


@pytest.mark.usefixtures("_here_and_not_compiled")
def test_train_validate_enhance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands but for sizes, and for figures of merit, which are not what it is about."""
    less = {
        "protons=300": "protons=60",
        '("muplus_offaxis", "muminus_offaxis")': '("muplus_offaxis",)',
        "teacher_steps=40": "teacher_steps=3",
        '{"hidden": 12, "layers": 1, "bins": 6}': '{"hidden": 6, "layers": 1, "bins": 4, "batch": 64}',
        "student_steps=200": "student_steps=10",
        '{"nodes": "16-16", "pairs": 20_000}': '{"nodes": "8", "pairs": 2000, "batch": 64}',
        "tempfile.mkdtemp()": repr(str(tmp_path)),
    }
    names = execute(DOCS / "tutorials" / "train_validate_enhance.ipynb", less)
    printed = capsys.readouterr().out
    assert names["bundle"].path == tmp_path / "best" / "bundle"
    assert {entry.category.name for entry in names["bundle"].entries} == set(names["chosen"])
    assert names["result"].tests
    assert "muplus_offaxis" in printed
    assert (names["batch"].pt > 1).mean() > 2 * (names["plain"].pt > 1).mean()
