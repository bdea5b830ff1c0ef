"""The notebooks, cell by cell in one process; only the training itself is left to `tests/training`."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest

from helpers.pages import DOCS, cells
from shipgen.bundle.bundle import Bundle
from shipgen_export.models.kinds import model_by_name
from shipgen_export.training import best

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))


def execute(notebook: Path, less: dict[str, str], **others: Any) -> dict[str, Any]:
    """Run all cells, with `less` in place of what they say, and `others` of what the first imports."""
    names: dict[str, Any] = {}
    assert [what for what in less if what not in "".join(cells(notebook))] == []
    for number, cell in enumerate(cells(notebook)):
        text = cell
        for what, instead in less.items():
            text = text.replace(what, instead)
        exec(compile(text, f"{notebook.name}, cell {number}", "exec"), names)  # noqa: S102 (our own)
        assert number or others.keys() <= names.keys()
        names |= others
    return names


@pytest.fixture
def _no_screen() -> Iterator[None]:
    import matplotlib.pyplot as plt

    before = mpl.get_backend()
    plt.switch_backend("Agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


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


def _trained(*arguments: Any, **options: Any) -> Iterator[str | Bundle]:
    """Check what training is asked for, and yield the default bundle as if it were its result.

    Training takes half a minute even with next to no steps; `tests/training/test_best.py` does it.
    """
    given = inspect.signature(best.train_best).bind(*arguments, **options).arguments
    assert (given["prepared"] / "prepared.json").is_file()
    for model, values in (("flow", given["flow"]), ("distill", given["student"])):
        assert model_by_name(model).settings(**values)
    yield "trained"
    yield Bundle.open()


def test_train_validate_enhance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    less = {"protons=300": "protons=60", "tempfile.mkdtemp()": repr(str(tmp_path))}
    names = execute(DOCS / "tutorials" / "train_validate_enhance.ipynb", less, train_best=_trained)
    printed = capsys.readouterr().out
    assert names["result"].tests
    assert "muons to learn from" in printed
    assert (names["batch"].pt > 1).mean() > 2 * (names["plain"].pt > 1).mean()
