"""A bundle as the start of another: its muons, flows that go on from what learnt them, what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.quick_training import quick_training, train_quickly
from helpers.synthetic import synthetic_sample
from shipgen.errors import InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.categories import CATEGORIES
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training import adapt, training_pictures
from shipgen_export.training.adapt import unsuited
from shipgen_export.training.map_training import Origin
from shipgen_export.training.run.run_folder import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

CATEGORY = CATEGORIES[1]
MADE = 3_000


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "MUONS", MADE)
        patch.setattr(adapt, "_FEWEST", 100)
        # They take longer than all else here.
        patch.setattr(training_pictures, "draw_pictures", lambda *_: None)
        with quick_training(patch):
            yield


def run(prepared: Path, output: Path, **options: Any) -> list[Any]:
    return train_quickly(prepared, output, categories=[CATEGORY.name], **options)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    *_, made = run(synthetic_sample(folder / "large", 1500, seed=1), folder / "first")
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


def test_categories_of_few_protons_start_from_a_bundle(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = synthetic_sample(tmp_path / "small", 800, seed=2)
    *lines, adapted = run(small, tmp_path / "few", adapted=bundle, few=True)
    (line,) = [line for line in lines if "start from" in line]
    assert re.fullmatch(
        rf"{CATEGORY.name}: [0-9]+ effective muons of [0-9]+ protons to learn from, so its flows start from "
        r"the bundle first \(--from\)",
        line,
    )
    assert adapted.provenance["adapted_from"]["categories"] == [CATEGORY.name]
    # Of many protons, and without a bundle, they start from nothing.
    monkeypatch.setattr(adapt, "FEW_PROTONS", 10)
    monkeypatch.setattr(adapt, "FEW_MUONS", 10)
    for name, options in (("many", {"adapted": bundle, "few": True}), ("none", {"adapted": None})):
        *lines, alone = run(small, tmp_path / name, **options)
        assert not [line for line in lines if "start from" in line]
        assert "adapted_from" not in alone.provenance
        assert not (tmp_path / name / "origin").exists()


def test_what_cannot_start_from_a_bundle_starts_from_nothing_and_says_why(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = synthetic_sample(tmp_path / "small", 800, seed=2)
    two = {"categories": [CATEGORY.name, CATEGORIES[0].name]}
    *lines, made = train_quickly(small, tmp_path / "two", adapted=bundle, few=True, **two)
    (line,) = [line for line in lines if "nothing to start from" in line]
    assert line.startswith(f"{CATEGORIES[0].name}: ")
    assert line.endswith("for the bundle first: that has no network of it")
    assert made.provenance["adapted_from"]["categories"] == [CATEGORY.name]
    index = json.loads((small / "prepared.json").read_text())
    lower = small / "prepared.json"
    lower.write_text(json.dumps(index | {"energy_cut": 5.0}))
    *lines, made = run(small, tmp_path / "low", adapted=bundle, few=True)
    assert any("its energy cut, 10 GeV, is above the sample's, 5 GeV" in line for line in lines)
    assert "adapted_from" not in made.provenance
    # A sample that prefers a direction is described by other coordinates.
    lower.write_text(json.dumps(index))
    sample = PreparedSample.open(small)
    assert unsuited(bundle, sample, CATEGORY) is None
    muons = sample.load(CATEGORY.name)
    turned = muons.features.copy()
    turned[:, 1] += 0.5
    monkeypatch.setattr(PreparedSample, "load", lambda *_: replace(muons, features=turned))
    assert "not by" in (unsuited(bundle, sample, CATEGORY) or "")


def test_what_cannot_be_adapted_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    small = synthetic_sample(tmp_path / "small", 800, seed=2)
    with pytest.raises(InputError, match=r"has no network of muplus_onaxis, .*: leave it out"):
        train_quickly(small, tmp_path / "all", adapted=bundle)
    index = json.loads((small / "prepared.json").read_text())
    (small / "prepared.json").write_text(json.dumps(index | {"energy_cut": 200.0}))
    with pytest.raises(InputError, match=r"are above the sample's energy cut of 200 GeV: train from nothing"):
        run(small, tmp_path / "high", adapted=bundle)
    assert not (tmp_path / "high" / "origin" / "prepared").exists()
