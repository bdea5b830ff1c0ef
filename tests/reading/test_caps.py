"""A cap on the muons of a category: drawn fairly, with the rate and the normalisation of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import shipgen_export.reading.read_file
from helpers.prepared_samples import same, training
from shipgen.muons.categories import CATEGORIES
from shipgen_export.reading.gather import draw
from shipgen_export.reading.prepare import prepare
from shipgen_export.sample.sample import split_by_group

if TYPE_CHECKING:
    from pathlib import Path


def test_cap_keeps_the_rate_and_is_fair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small blocks, so that there are several a file.
    monkeypatch.setattr(shipgen_export.reading.read_file, "BLOCK", 333)
    files = [training(tmp_path, number, n) for number, n in enumerate((6000, 3000, 1500))]
    whole = prepare(files, tmp_path / "whole", cores=1)
    capped = prepare(files, tmp_path / "capped", cap=900, seed=3, cores=1)
    for category in CATEGORIES:
        full, few = whole.load(category.name), capped.load(category.name)
        entry = capped.index["categories"][category.name]
        assert (entry["muons"], entry["found"]) == (900, len(full.weights))
        # The rate: exactly as stated, and by rounding alone of what is stored.
        assert entry["weight"] == pytest.approx(whole.index["categories"][category.name]["weight"], rel=1e-14)
        assert few.weights.sum() == pytest.approx(full.weights.sum(), rel=1e-13)
        # Muons keep their order, and each its proton and part.
        factor = entry["weight_factor"]
        place = {tuple(row): number for number, row in enumerate(full.features.tolist())}
        places = [place[tuple(row)] for row in few.features.tolist()]
        assert places == sorted(set(places))
        np.testing.assert_allclose(few.weights, full.weights[places] * factor, rtol=1e-14)
        np.testing.assert_array_equal(few.group, full.group[places])
        np.testing.assert_array_equal(few.split, split_by_group(few.group))
        # The ranges stated are those of all muons.
        np.testing.assert_array_equal(entry["minimum"], full.features.min(0))
        np.testing.assert_array_equal(entry["maximum"], full.features.max(0))
        # So is the normalisation: networks must not depend on what a cap leaves out.
        assert entry["normalisation"] == whole.index["categories"][category.name]["normalisation"]
    assert (capped.index["cap"], capped.index["seed"]) == (900, 3)
    assert same(capped, prepare(files, tmp_path / "again", cap=900, seed=3, cores=1))
    other = prepare(files, tmp_path / "seed", cap=900, seed=4, cores=1).index["categories"]
    assert other["muplus_offaxis"]["sha256"] != capped.index["categories"]["muplus_offaxis"]["sha256"]
    # A cap that is not reached changes nothing.
    loose = prepare(files, tmp_path / "loose", cap=10**6, cores=1).index
    assert {**loose, "cap": None} == whole.index


def test_every_muon_has_the_same_chance() -> None:
    sizes, number, draws = [70, 5, 25, 100], 40, 4000
    hits = np.zeros(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    for seed in range(draws):
        chosen = np.concatenate(
            [s + block for s, block in zip(starts, draw(sizes, number, (seed,)), strict=True)]
        )
        assert len(np.unique(chosen)) == number
        hits[chosen] += 1
    chance = number / len(hits)
    deviation = (hits - draws * chance) / np.sqrt(draws * chance * (1 - chance))
    assert np.abs(deviation).max() < 5
    # Together: the sum of squares is a chi2 of one less than the items, in units of one less, too.
    assert np.square(deviation).mean() == pytest.approx(1, abs=5 * np.sqrt(2 / len(hits)))


def test_draw_has_no_limit_and_meets_the_edges() -> None:
    # NumPy's hypergeometric draws stop at 1e9 items.
    assert sum(map(len, draw([1 << 18] * 5000, 3, (1,)))) == 3
    assert [len(block) for block in draw([5, 0, 3], 8, (1,))] == [5, 0, 3]
    assert [len(block) for block in draw([5, 0, 3], 7, (1,))] in ([5, 0, 2], [4, 0, 3])


def test_small_cap_warns_once_a_category(tmp_path: Path) -> None:
    texts = prepare([training(tmp_path, 1)], tmp_path / "out", cap=1, cores=1).index["warnings"]
    assert sorted(text.partition(":")[0] for text in texts) == sorted(one.name for one in CATEGORIES)
    assert all("one muon carries" in text and "no muon is in the part" in text for text in texts)
