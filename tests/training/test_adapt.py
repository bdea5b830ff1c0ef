"""A bundle as the start of another: its muons, flows that go on from what learnt them, what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from helpers.quick_training import quick_training, train_quickly
from helpers.synthetic import synthetic_sample
from shipgen.commands.training import train
from shipgen.describe.card import card
from shipgen.describe.describe import describe_bundle
from shipgen.errors import BundleError, InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.categories import CATEGORIES
from shipgen_export.maps.coordinates import Cylinder, described
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
    assert "before, a flow learns what the bundle first makes" in lines
    adapted = lines[-1]
    assert adapted.provenance["adapted_from"] == {
        "name": bundle.name,
        "label": bundle.label,
        "sha256": bundle.sha256,
        "categories": [CATEGORY.name],
    }
    said = list(describe_bundle(adapted))
    assert f"  {CATEGORY.name}: started from the bundle first ({bundle.label});" in said
    assert not [line for line in describe_bundle(bundle) if "started from" in line]
    (line,) = [
        line for line in card(adapted, "here") if f"{CATEGORY.name}: what the bundle first makes" in line
    ]
    assert line.split()[0] == "start"
    (batch,) = MuonGenerator(adapted, n=500, seed=1)
    assert np.isfinite(batch.pz).all()
    folder = adapt.origin_folder(output, CATEGORY.name)
    made = PreparedSample.open(folder / "prepared").load(CATEGORY.name)
    assert len(made.weights) == MADE
    origin = Origin.open(folder / "run", [CATEGORY])
    for name in ("teacher-1", "teacher-2"):
        started = TrainingRun.open(output / name)
        assert started.start_of(CATEGORY) == origin.digest()
        # A smaller learning rate, as the folder says, and the networks of what it started from.
        rates = [one.config(CATEGORY)["learning_rate"] for one in (started, origin.run)]
        assert rates[0] < rates[1]
    # Three steps of so few muons are no better.
    note = "the protons held out tell no better flow than the one that it started from, which is used"
    assert f"{CATEGORY.name}: {note}" in lines
    # What is there is not done again; with another bundle it is another folder.
    again = [line for line in run(small, output, adapted=bundle)[:-1] if " steps (" in line]
    assert len(again) == 4
    assert all("finished before" in line for line in again)
    with pytest.raises(InputError, match="started from what a bundle makes, and cannot go on otherwise"):
        run(small, output)
    with pytest.raises(InputError, match="adapted was begun from another bundle, first: choose"):
        run(small, output, adapted=adapted)


def few(bundle: Bundle | None, prepared: Path, output: Path, *names: str) -> tuple[list[str], list[str]]:
    """Categories that would start from a bundle, and the lines on it."""
    sample = PreparedSample.open(prepared)
    made, notes = adapt.origins(bundle, sample, names, output, output / "teacher-1", 1, few=True)
    return list(made), notes


def test_categories_of_few_protons_start_from_a_bundle(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = synthetic_sample(tmp_path / "small", 800, seed=2)
    started, (line,) = few(bundle, small, tmp_path / "few", CATEGORY.name)
    assert started == [CATEGORY.name]
    assert re.match(
        rf"{CATEGORY.name}: [0-9]+ effective muons of [0-9]+ effective protons to learn from, fewer than "
        r"100,000 or 10,000: its flows start from the bundle first",
        line,
    )
    assert few(None, small, tmp_path / "none", CATEGORY.name) == ([], [])
    monkeypatch.setattr(adapt, "FEW_PROTONS", 10)
    assert few(bundle, small, tmp_path / "muons", CATEGORY.name)[0] == [CATEGORY.name]
    monkeypatch.setattr(adapt, "FEW_MUONS", 10)
    assert few(bundle, small, tmp_path / "many", CATEGORY.name) == ([], [])
    assert not (tmp_path / "many" / "origin").exists()


def test_categories_that_start_from_a_bundle_and_others_share_a_folder(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked for first, alone or together, and what was begun goes on as it was."""
    small, output = synthetic_sample(tmp_path / "small", 800, seed=2), tmp_path / "out"
    other = CATEGORIES[0].name
    *lines, made = train_quickly(small, output, adapted=bundle, few=True, categories=[other])
    (line,) = [line for line in lines if "cannot be its start" in line]
    assert line.startswith(f"{other}: only ")
    assert "trained from nothing" in line
    assert line.endswith("it has no network of it")
    assert "adapted_from" not in made.provenance
    both = {"adapted": bundle, "few": True, "categories": [other, CATEGORY.name]}
    *lines, made = train_quickly(small, output, **both)
    assert made.provenance["adapted_from"]["categories"] == [CATEGORY.name]
    assert [entry.category.name for entry in made.entries] == [other, CATEGORY.name]
    # Neither changes its start when more protons would be enough, and a part of them may go on by itself.
    monkeypatch.setattr(adapt, "FEW_PROTONS", 10)
    monkeypatch.setattr(adapt, "FEW_MUONS", 10)
    *lines, made = train_quickly(small, output, **both)
    steps = [line for line in lines if " steps (" in line]
    assert len(steps) == 7
    assert f"{CATEGORY.name}: its flows started from the bundle first, and go on so" in lines
    assert all("finished before" in line for line in steps)
    *lines, made = train_quickly(small, output, adapted=None, categories=[other])
    assert all("finished before" in line for line in lines if " steps (" in line)
    assert made.provenance["adapted_from"]["categories"] == [CATEGORY.name]
    with pytest.raises(InputError, match="cannot start from the bundle first: it has no network"):
        train_quickly(small, tmp_path / "adapted", adapted=bundle, categories=[other])


def test_a_folder_of_before_goes_on(tmp_path: Path, bundle: Bundle) -> None:
    """Its categories do not say what they started from: from nothing."""
    small, output = synthetic_sample(tmp_path / "small", 800, seed=2), tmp_path / "out"
    run(small, output)
    for folder in (output / "teacher-1", output / "teacher-2"):
        state = folder / CATEGORY.name / "state.json"
        content = json.loads(state.read_text())
        del content["start"]
        state.write_text(json.dumps(content))
    lines = [line for line in run(small, output, adapted=bundle, few=True)[:-1] if " steps (" in line]
    assert all("finished before" in line for line in lines)
    assert not (output / "origin").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"energy_cut": 5.0}, "its energy cut, 10 GeV, is above the sample's, 5 GeV"),
        (
            {"energy_cut": 200.0},
            r"of 3,000 muons that it makes some 0 are above the sample's energy cut",
        ),
    ],
)
def test_a_bundle_of_another_cut_is_no_start(
    tmp_path: Path, bundle: Bundle, changed: dict[str, float], reason: str
) -> None:
    small = synthetic_sample(tmp_path / "small", 800, seed=2)
    index = json.loads((small / "prepared.json").read_text())
    (small / "prepared.json").write_text(json.dumps(index | changed))
    started, (line,) = few(bundle, small, tmp_path / "out", CATEGORY.name)
    assert started == []
    assert re.search(reason, line)
    with pytest.raises(InputError, match=reason):
        run(small, tmp_path / "adapted", adapted=bundle)
    assert not (tmp_path / "adapted" / "origin").exists()


def test_a_bundle_of_other_coordinates_is_no_start(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = PreparedSample.open(synthetic_sample(tmp_path / "small", 800, seed=2))
    assert unsuited(bundle, sample, CATEGORY, 1) is None
    muons, (entry,) = sample.load(CATEGORY.name), bundle.entries
    turned = muons.features.copy()
    turned[:, 1] += 0.5
    with monkeypatch.context() as patch:
        patch.setattr(PreparedSample, "load", lambda *_: replace(muons, features=turned))
        assert "symmetries ask for p, depth, pt, azimuth" in str(unsuited(bundle, sample, CATEGORY, 1))
    stated = entry.details["coordinates"]
    for content, reason in (
        (None, "does not say by which coordinates"),
        ({}, "cannot be read"),
        ({**stated, "map": "sphere"}, "cannot be read"),
        ({**stated, "axis": "x"}, "cannot be read"),
    ):
        details = {**entry.details, "coordinates": content}
        damaged = replace(bundle, entries=(replace(entry, details=details),))
        assert reason in str(unsuited(damaged, sample, CATEGORY, 1))


def test_the_side_counts_where_it_is_a_coordinate() -> None:
    """The turn of a sample with a preferred sense of rotation has a sign, under the same name."""
    plain = Cylinder(on_axis=False, start=0.0)
    assert described(plain) != described(replace(plain, sided=True))
    assert described(Cylinder(on_axis=True, start=0.0)) == described(
        Cylinder(on_axis=True, start=3.0, sided=True)
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), "default"), (("--from", "ship2018"), "ship2018"), (("--from", "none"), None)],
)
def test_the_command_starts_few_protons_from_a_bundle(
    words: tuple[str, ...], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(train, "train_best", lambda *_, **options: asked.update(options) or [])
    done = CliRunner().invoke(train.command, ["best", "prepared", "-o", "out", *words])
    assert done.exit_code == 0, done.output
    assert asked["few"] is True
    assert (asked["adapted"] and asked["adapted"].name) == expected


def test_the_command_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    words = ["adapt", "prepared", "-o", "out", "--from", "none"]
    done = CliRunner().invoke(train.command, words)
    assert "shipgen train best --from none" in str(done.exception)
    words = ["best", "prepared", "-o", "out", "--from", str(tmp_path / "no")]
    done = CliRunner().invoke(train.command, words)
    assert isinstance(done.exception, BundleError)
