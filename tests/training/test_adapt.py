"""A bundle as the start of another: its muons, flows that go on from what learnt them, what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.quick_training import quick_training, train_quickly
from helpers.synthetic import synthetic_sample
from shipgen.errors import InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.categories import CATEGORIES
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training import adapt
from shipgen_export.training.map_training import Origin
from shipgen_export.training.run.run_folder import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

CATEGORY = CATEGORIES[1]
MADE = 3_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(adapt, "MUONS", MADE)
    monkeypatch.setattr(adapt, "_FEWEST", 100)
    with quick_training(monkeypatch):
        yield


def run(prepared: Path, output: Path, **options: Any) -> list[Any]:
    return train_quickly(prepared, output, categories=[CATEGORY.name], **options)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    *_, made = run(synthetic_sample(tmp_path / "large", 1500, seed=1), tmp_path / "first")
    return made


def test_flows_start_from_what_learnt_the_bundle(tmp_path: Path, bundle: Bundle) -> None:
    small, output = synthetic_sample(tmp_path / "small", 800, seed=2), tmp_path / "adapted"
    lines = run(small, output, adapted=bundle)
    assert "before, 1 flows learn what the bundle first makes" in lines
    adapted = lines[-1]
    assert adapted.provenance["adapted_from"]["sha256"] == bundle.sha256
    assert "start" not in adapted.provenance
    (batch,) = MuonGenerator(adapted, n=500, seed=1)
    assert np.isfinite(batch.pz).all()
    made = PreparedSample.open(output / "origin" / "prepared").load(CATEGORY.name)
    assert len(made.weights) == MADE
    origin = Origin.open(output / "origin" / "run", [CATEGORY])
    for name in ("teacher-1", "teacher-2"):
        started = TrainingRun.open(output / name)
        assert started.index["start"] == origin.digest()
        # A smaller learning rate, as the folder says, and the networks of what it started from.
        rates = [one.config(CATEGORY)["learning_rate"] for one in (started, origin.run)]
        assert rates[0] < rates[1]
    # What is there is not done again; with another bundle it is another folder.
    again = [line for line in run(small, output, adapted=bundle)[:-1] if " steps (" in line]
    assert len(again) == 4
    assert all("finished before" in line for line in again)
    with pytest.raises(InputError, match="started from another run"):
        run(small, output)


def test_what_cannot_be_adapted_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    small = synthetic_sample(tmp_path / "small", 800, seed=2)
    with pytest.raises(InputError, match=r"has no network of muplus_onaxis, .*: leave it out"):
        train_quickly(small, tmp_path / "all", adapted=bundle)
    index = json.loads((small / "prepared.json").read_text())
    (small / "prepared.json").write_text(json.dumps(index | {"energy_cut": 200.0}))
    with pytest.raises(InputError, match=r"are above the sample's energy cut of 200 GeV: train from nothing"):
        run(small, tmp_path / "high", adapted=bundle)
    assert not (tmp_path / "high" / "origin" / "prepared").exists()
