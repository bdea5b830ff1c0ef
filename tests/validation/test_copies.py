"""Copies of muons, within a side and between both: found wherever they are, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.made_up import made_up
from shipgen.files.convert import convert
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.categories import CATEGORIES
from shipgen.production.produce import produce
from shipgen_export.validation import copies
from shipgen_export.validation.compare import validate
from shipgen_export.validation.copies import CopySearch, momentum_keys, too_many
from shipgen_export.validation.counting.findings import COPIES, significant
from shipgen_export.validation.samples.stores import Store

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float32
    from shipgen_export.validation.copies import Copies
    from shipgen_export.validation.counting.findings import Finding

OFF_AXIS = CATEGORIES[2]


def muons(n: int, seed: int) -> Float32:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (n, 6)).astype(np.float32)


def search(generated: Float32, reference: Float32) -> tuple[Copies, list[Finding]]:
    """Return what is found, and the tests that fail."""
    stores = [Store(OFF_AXIS, features, np.ones(len(features))) for features in (generated, reference)]
    found, tests = CopySearch(OFF_AXIS.name, (stores[0], stores[1])).run()
    assert [test.family for test in tests] == [COPIES] * 3
    return found, significant(tests, 0.01)


def test_keys_are_of_momenta() -> None:
    some = muons(1000, 1)
    other = np.column_stack([some[:, :3] + 1, some[:, 3:]])
    np.testing.assert_array_equal(momentum_keys(some), momentum_keys(other))
    assert len(np.unique(momentum_keys(some))) == 1000
    some[0, 3:] = (0.0, 1.0, 2.0)
    some[1, 3:] = (-0.0, 1.0, 2.0)
    some[2, 3:] = (1.0, 0.0, 2.0)
    keys = momentum_keys(some[:3])
    assert keys[0] == keys[1] != keys[2]


def test_different_muons_are_no_copies() -> None:
    found, failed = search(muons(30_000, 1), muons(20_000, 2))
    assert not failed
    shares = {name: share for name, share in found.items() if name != "asked"}
    assert shares == dict.fromkeys(shares, 0.0)
    assert found["asked"] == [30_000, 20_000]


@pytest.mark.parametrize("most", [4_000_000, 1000])
def test_copies_between_sides(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Of few muons or of a choice among many: copies, subsets of either side, parts in common."""
    monkeypatch.setattr(copies, "_MOST", most)
    monkeypatch.setattr(copies, "_STEP", 3000)
    one, other = muons(20_000, 1), muons(20_000, 2)
    shuffled = one[np.random.default_rng(3).permutation(len(one))]
    for generated, reference, first, second in (
        (one, shuffled, 1.0, 1.0),
        (one[:2000], shuffled, 1.0, 0.1),
        (shuffled, one[:2000], 0.1, 1.0),
        (one, np.concatenate([one[:5000], other[:15_000]]), 0.25, 0.25),
    ):
        found, failed = search(generated, reference)
        error = 0.05 if most == 1000 else 0.0
        assert found["generated_in_reference"] == pytest.approx(first, abs=error)
        assert found["reference_in_generated"] == pytest.approx(second, abs=error)
        assert found["within_generated"] == found["within_reference"] == 0
        assert [test.quantity for test in failed] == ["both sides"]
        assert too_many(failed) == failed
        assert "of the generated muons are muons of the reference" in failed[0].text
    if most == 1000:
        assert 900 < found["asked"][0] < 1100


def test_a_single_copy_fails_but_is_not_too_many() -> None:
    one, other = muons(20_000, 1), muons(20_000, 2)
    other[7] = one[19_000]
    _, failed = search(one, other)
    assert [test.quantity for test in failed] == ["both sides"]
    assert too_many(failed) == []


def test_copies_within_a_side() -> None:
    one, other = muons(20_000, 1), muons(20_000, 2)
    twice = np.concatenate([one, one])
    for generated, reference, where in (
        (twice, other, "generated muons"),
        (other, twice, "muons of the reference"),
    ):
        found, failed = search(generated, reference)
        assert (found["within_generated"], found["within_reference"]) == (
            (0.5, 0) if where == "generated muons" else (0, 0.5)
        )
        assert [test.quantity for test in failed] == [where]
        assert too_many(failed)


def test_values_that_repeat_are_no_copies() -> None:
    """Of a particle gun, and of momenta that are stored with few digits, equal ones come by chance."""
    random = np.random.default_rng(1)
    sides = []
    for _ in range(2):
        features = muons(5000, int(random.integers(1000)))
        features[:, 3:5] = 0
        features[:, 5] = random.integers(10, 2000, 5000)
        sides.append(features)
    found, failed = search(sides[0], sides[1])
    assert found["generated_in_reference"] > 0.5
    assert not failed
    rounded = [muons(20_000, seed).round(2) for seed in (5, 6)]
    found, failed = search(rounded[0], rounded[1])
    assert found["generated_in_reference"] > 0
    assert not failed


def test_copies_come_first_in_a_report() -> None:
    sample = made_up(1)
    result = validate(sample, made_up(1), forms=(), memory=False)
    assert [test.family for test in result.failed] == [COPIES] * 4
    other = validate(sample, made_up(2), forms=(), memory=False)
    assert not [test for test in other.failed if test.family == COPIES]
    for found in other.categories.values():
        assert found.copies is None or found.copies["generated_in_reference"] == 0


def test_command_fails_for_copies(
    shipgen: Callable[..., subprocess.CompletedProcess[str]], bundle: Bundle, tmp_path: Path
) -> None:
    """A copy of a file, in whatever layout, is no sample to compare it with."""
    files = [tmp_path / "m.root", tmp_path / "copy.root", tmp_path / "other.npz"]
    produce(MuonGenerator(bundle, n=4000, seed=1), files[0], layout=MUONBACK)
    files[1].write_bytes(files[0].read_bytes())
    convert(files[0], files[2], layout="npz")
    usual = ("--forms", "none", "--no-pictures", "--workers", 1)
    for number, copy in enumerate(files[1:]):
        done = shipgen("validate", files[0], copy, "-o", f"r{number}", *usual)
        assert done.returncode == 8, done.stderr
        assert done.stderr.startswith("shipgen: copies, so that agreement says nothing: 100.000% of the")
        assert done.stderr.count("\n") == 1
        assert "copies, mu+ on axis, both sides: 100.000% of the generated muons" in done.stdout
        assert (tmp_path / f"r{number}" / "report.json").is_file()
    # Muons of another seed are others; those that the bundle itself makes of the same seed are not.
    produce(MuonGenerator(bundle, n=4000, seed=2), tmp_path / "other.root", layout=OUTPUT_LAYOUTS["rntuple"])
    assert shipgen("validate", files[0], "other.root", "-o", "r2", *usual).returncode == 0
    done = shipgen("validate", bundle.path, files[0], "-o", "r3", "--muons", 4000, *usual)
    assert done.returncode == 8
