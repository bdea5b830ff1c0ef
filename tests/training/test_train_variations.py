"""Variations added to a bundle that is there, by the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from helpers.bundles import write_test_bundle
from helpers.eager import eagerly
from helpers.quick_training import in_this_process
from helpers.synthetic import synthetic_sample
from shipgen.bundle.bundle import Bundle
from shipgen.commands.training.train import variations
from shipgen.errors import InputError
from shipgen.generate.generator import generate_muons
from shipgen_export.training import train_variations
from shipgen_export.training.train_variations import add_variations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    """No compilation, which takes longer than these few steps."""
    with eagerly():
        yield


def test_a_bundle_gets_variations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_variations, "in_order", in_this_process)
    plain = write_test_bundle(tmp_path / "plain")
    prepared = synthetic_sample(tmp_path / "prepared", 3000, varied=True)
    words = [str(prepared), "--bundle", str(plain.path), "-o", str(tmp_path / "out"), "--steps", "10"]
    made = CliRunner().invoke(variations, [*words, "--workers", "1"])
    assert made.exit_code == 0, made.output
    assert made.output.count("variations: mu") == 4
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.name == "out"
    assert bundle.variations == {"vary_up": "twice as many of some", "vary_mine": ""}
    batch = generate_muons(5000, bundle=bundle, seed=1, variations="up")
    assert batch["vary_up"].mean() == pytest.approx(1.1, abs=0.05)
    before = generate_muons(5000, bundle=plain, seed=1)
    assert all((before[name] == batch[name]).all() for name in before.columns())
    # Another bundle of variations takes the place of the first.
    found = list(add_variations(prepared, bundle.path, tmp_path / "again", steps=1))
    assert isinstance(found[-1], Bundle)
    assert tuple(found[-1].variations) == ("vary_up", "vary_mine")


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "bundle").path
    plain = synthetic_sample(tmp_path / "plain", 500)
    with pytest.raises(InputError, match="has no variations: prepare files that have columns vary_NAME"):
        list(add_variations(plain, bundle, tmp_path / "out"))
    prepared = synthetic_sample(tmp_path / "prepared", 500, varied=True)
    index = prepared / "prepared.json"
    text = index.read_text()
    for old, new, told in (
        ('"energy_cut": 10.0', '"energy_cut": 5.0', "the energy cut is 5 GeV, in .* is 10 GeV"),
        ('"target_start": -7084.5', '"target_start": 0.0', "the target starts at z = 0 cm"),
        ('"muminus_offaxis": {', '"nothing": {', "has no muons of muminus_offaxis"),
    ):
        assert old in text
        index.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=told):
            list(add_variations(prepared, bundle, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
