"""Pictures while training: that all are drawn, quickly, anew each time, and that nothing of them stays."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import StepPatch

from helpers.synthetic import synthetic_muons
from shipgen.errors import OutputError
from shipgen.muons.categories import CATEGORIES, Category
from shipgen_export.merit.evaluate import Evaluation
from shipgen_export.plots import Figure, draw_overlay, fill, hist
from shipgen_export.training.training_pictures import draw_pictures

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = [{"step": str(100 * k), "seconds": "1.0", "d_loss": "0.7", "g_loss": f"{k}"} for k in range(1, 20)]
MERITS = [
    {"step": "1000", "seconds": "1", "auc": "0.9", "auc_error": "0.01", "chi2": "", "overlap": "0.3"},
    {"step": "2000", "seconds": "2", "auc": "0.7", "auc_error": "0.01", "chi2": "12.5", "overlap": "0.7"},
    {"step": "3000", "seconds": "3", "auc": "0.8", "auc_error": "0.01", "chi2": "20.5", "overlap": "0.6"},
]
NAMES = ["features.png", "pairs.png", "classifier.png", "losses.png", "figure_of_merit.png"]


def evaluation(category: Category, muons: int = 2000, **changes: Any) -> Evaluation:
    random = np.random.default_rng(1)
    real, weights = synthetic_muons(category, muons, random)
    generated = synthetic_muons(category, muons, random)[0]
    outputs = random.beta(3, 2, muons // 2), random.beta(2, 3, muons // 2)
    found = {
        "merits": {"auc": 0.7, "auc_error": 0.01, "chi2": 12.5, "overlap": 0.7},
        "real": real,
        "generated": generated,
        "real_output": outputs[0],
        "generated_output": outputs[1],
        "real_weights": weights,
    }
    return Evaluation(**{**found, **changes})


def size(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG file."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.mark.parametrize("category", CATEGORIES[1:3], ids=lambda category: category.name)
def test_all_pictures_are_drawn_and_nothing_stays(category: Category, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pictures"
    drawn = draw_pictures(folder, category, evaluation(category), HISTORY, MERITS)
    assert [path.name for path in drawn] == NAMES
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    for path in drawn:
        assert min(size(path)) > 400
        assert max(size(path)) < 2000
    # 15 pairs take five rows, 6 pairs two.
    assert size(drawn[1])[1] == int((1.1 + 2.75 * (2 if category.on_axis else 5)) * 80)
    assert plt.get_fignums() == []
    if not category.on_axis:
        return
    before = drawn[3].read_bytes()
    started = time.process_time()
    draw_pictures(folder, category, evaluation(category), HISTORY[:5], MERITS)
    # About 3 s on one core.
    assert time.process_time() - started < 15
    assert drawn[3].read_bytes() != before


def test_without_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The others are drawn elsewhere.
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: path.touch())
    drawn = draw_pictures(tmp_path, CATEGORIES[0], evaluation(CATEGORIES[0]), [], [])
    assert [path.name for path in drawn] == NAMES[:3]


def test_a_generator_that_is_far_off(tmp_path: Path) -> None:
    """All muons the same and outside the simulated range, weights equal, no chi2, constant output."""
    found = evaluation(
        CATEGORIES[0],
        200,
        generated=np.full((200, 4), 1e6, np.float32),
        generated_output=np.zeros(100),
        merits={"auc": 1.0, "auc_error": 0.0, "chi2": None, "overlap": 0.0},
        real_weights=None,
    )
    rows = [{**MERITS[0], "auc": "1.0", "auc_error": "0.0", "overlap": "0.0"}]
    assert len(draw_pictures(tmp_path, CATEGORIES[0], found, HISTORY[:1], rows)) == 5


def test_real_muons_that_are_all_alike(tmp_path: Path) -> None:
    found = evaluation(CATEGORIES[0], 200, real=np.tile(np.float32([-7000, 0, 0, 20]), (200, 1)))
    assert len(draw_pictures(tmp_path, CATEGORIES[0], found, HISTORY, MERITS)) == 5


def test_ratio_and_its_error() -> None:
    figure = Figure()
    upper, lower = figure.subplots(2, 1)
    axis = hist.axis.Regular(3, 0, 3)
    generated = fill(axis, np.array([0.5, 0.5, 0.5, 1.5]), np.ones(4))
    real = fill(axis, np.array([0.5, 1.5, 1.5]), np.array([3.0, 1.0, 1.0]))
    draw_overlay(upper, lower, generated, real, "x [cm]")
    (container,) = lower.containers
    points, _, (bars,) = container.lines
    # 3 (1 +- 1 / sqrt 3) over 3, and 1 (1 +- 1) over 2; nothing in the last. The other's error is a band.
    np.testing.assert_allclose(points.get_ydata()[:2], [1, 0.5])
    assert np.isnan(points.get_ydata()[2])
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()[:2]]
    np.testing.assert_allclose(lengths, [2 * np.sqrt(1 / 3), 2 * 0.5])
    (band,) = (patch for patch in lower.patches if isinstance(patch, StepPatch))
    # 3 (1 +- 1) and 2 (1 +- 1 / sqrt 2).
    np.testing.assert_allclose(band.get_data().values[:2], [2, 1 + np.sqrt(1 / 2)])
    assert lower.get_xlabel() == "x [cm]"


def test_a_picture_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OutputError, match="no space left"):
        draw_pictures(tmp_path, CATEGORIES[0], evaluation(CATEGORIES[0]), [], [])
    assert list(tmp_path.iterdir()) == []


def test_missing_libraries_are_one_line() -> None:
    code = (
        "import sys; sys.modules['mplhep'] = None\n"
        "from shipgen.errors import MissingExtraError\n"
        "try:\n    import shipgen_export.training.training_pictures\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs hist, matplotlib and mplhep" in done.stdout
    assert len(done.stdout.splitlines()) == 1
