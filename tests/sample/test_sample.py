"""The prepared sample on disk, and the split into parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.prepared_samples import write_sample
from shipgen.errors import InputError
from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES, category_by_name
from shipgen_export.sample.sample import (
    ARRAYS,
    SPLITS,
    CategorySample,
    CategoryWriter,
    PreparedSample,
    effective_size,
    split_by_group,
    write_index,
)
from shipgen_export.sample.transforms import Normalisation

if TYPE_CHECKING:
    from pathlib import Path


def make(name: str, n: int = 500) -> CategorySample:
    category = category_by_name(name)
    rng = np.random.default_rng(category.number)
    features = rng.normal(size=(n, len(category.features))).astype(np.float32)
    group = rng.integers(0, n // 2, n)
    return CategorySample(
        category,
        features=features,
        weights=rng.exponential(size=n),
        group=group,
        split=split_by_group(group),
        normalisation=Normalisation.fit(category.features, features.astype(np.float64), 0.97),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sample"
    path.mkdir()
    # Not in their usual order.
    write_sample(path, [make("muminus_offaxis"), make("muplus_onaxis")], {"pot": 1.0})
    return path


def change(folder: Path, **entries: Any) -> None:
    index = json.loads((folder / "prepared.json").read_text())
    (folder / "prepared.json").write_text(json.dumps({**index, **entries}))


def test_written_sample_reads_back(folder: Path) -> None:
    sample = PreparedSample.open(folder)
    assert [category.name for category in sample.categories] == ["muplus_onaxis", "muminus_offaxis"]
    assert sample.index["pot"] == 1.0
    for category in sample.categories:
        written, loaded = make(category.name), sample.load(category.name)
        assert loaded.category is category
        for what in ("features", "weights", "group", "split"):
            np.testing.assert_array_equal(getattr(loaded, what), getattr(written, what))
            assert getattr(loaded, what).dtype == getattr(written, what).dtype
        assert loaded.normalisation.to_json() == written.normalisation.to_json()
        entry = sample.index["categories"][category.name]
        assert entry["muons"] == 500
        assert entry["weight"] == pytest.approx(written.weights.sum(), rel=1e-14)
        assert entry["largest_weight"] == written.weights.max()
        assert sum(entry["split"].values()) == 500


def test_parts_are_disjoint_and_whole(folder: Path) -> None:
    loaded = PreparedSample.open(folder).load("muplus_onaxis")
    parts = [loaded.part(name) for name in SPLITS]
    assert sum(len(features) for features, _ in parts) == len(loaded.weights)
    assert sum(weights.sum() for _, weights in parts) == pytest.approx(loaded.weights.sum())
    assert all(len(features) == len(weights) for features, weights in parts)


def test_folder_that_is_no_sample(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"is no prepared sample \(no prepared\.json in it\)"):
        PreparedSample.open(tmp_path)
    (folder / "prepared.json").write_text("{")
    with pytest.raises(InputError, match="is not valid JSON"):
        PreparedSample.open(folder)


@pytest.mark.parametrize(
    "entries", [{"format_version": 1}, {"format": "shipgen-bundle"}, {"format_version": None}]
)
def test_other_formats_are_refused(folder: Path, entries: dict[str, Any]) -> None:
    change(folder, **entries)
    with pytest.raises(InputError, match="not 'shipgen-prepared' version 2: prepare the sample again"):
        PreparedSample.open(folder)


def test_category_without_muons(folder: Path) -> None:
    sample = PreparedSample.open(folder)
    with pytest.raises(
        InputError, match="no muons of category muplus_offaxis: it has muminus_offaxis, muplus"
    ):
        sample.load("muplus_offaxis")
    with pytest.raises(InputError, match="no category 'muons': choose from"):
        sample.load("muons")


@pytest.mark.parametrize("array", list(ARRAYS))
def test_changed_file_is_refused(folder: Path, array: str) -> None:
    file = folder / f"muplus_onaxis.{array}.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is missing or not the file that prepared\.json names"):
        PreparedSample.open(folder).load("muplus_onaxis")
    file.unlink()
    with pytest.raises(InputError, match="is missing or not the file"):
        PreparedSample.open(folder).load("muplus_onaxis")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "shape", "type", "pickle"])
def test_damaged_file_with_the_right_hash(folder: Path, damage: str) -> None:
    file = folder / "muplus_onaxis.features.npy"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:2000])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "text":
        file.write_text("no array")
    elif damage == "shape":
        np.save(file, np.zeros((500, 6), np.float32))
    elif damage == "type":
        np.save(file, np.zeros((500, 4)))
    else:
        np.save(file, np.array([{}], dtype=object))
    index = json.loads((folder / "prepared.json").read_text())
    index["categories"]["muplus_onaxis"]["sha256"]["features"] = sha256(file)
    change(folder, categories=index["categories"])
    with pytest.raises(InputError, match=r"muplus_onaxis\.features\.npy is damaged"):
        PreparedSample.open(folder).load("muplus_onaxis")


def test_verified_arrays_are_not_hashed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = PreparedSample.open(folder).verify(["muplus_onaxis"])
    monkeypatch.setattr("shipgen_export.sample.sample.sha256", lambda _: "of another file")
    assert len(sample.load("muplus_onaxis").weights) == 500
    with pytest.raises(InputError, match="not the file that prepared"):
        sample.load("muminus_offaxis")
    with pytest.raises(InputError, match="not the file that prepared"):
        sample.verify(["muminus_offaxis"])


def test_arrays_are_mapped_and_read_only(folder: Path) -> None:
    loaded = PreparedSample.open(folder).load("muplus_onaxis")
    for array in ARRAYS:
        values = getattr(loaded, array)
        assert type(values) is np.ndarray
        assert isinstance(values.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


@pytest.mark.parametrize("block", [1, 77, 500])
def test_written_in_blocks_is_written_at_once(tmp_path: Path, block: int) -> None:
    sample = make("muplus_offaxis")
    with CategoryWriter(tmp_path, sample.category, 500) as writer:
        for first in range(0, 500, block):
            part = slice(first, first + block)
            writer.append(sample.features[part], sample.weights[part], sample.group[part])
    entry = writer.entry(0.97)
    write_index(tmp_path, {"muplus_offaxis": entry}, {})
    loaded = PreparedSample.open(tmp_path).load("muplus_offaxis")
    for array in ARRAYS:
        np.testing.assert_array_equal(getattr(loaded, array), getattr(sample, array))
    assert entry["weight"] == pytest.approx(sample.weights.sum(), rel=1e-14)
    assert entry["effective"] == pytest.approx(effective_size(sample.weights), rel=1e-13)
    for name, values in sample.normalisation.to_json().items():
        if name != "features":
            np.testing.assert_allclose(entry["normalisation"][name], values, rtol=1e-12, atol=1e-14)


def test_wrong_number_of_muons_is_noticed(tmp_path: Path) -> None:
    sample = make("muplus_offaxis")
    with CategoryWriter(tmp_path, sample.category, 499) as writer:
        writer.append(sample.features, sample.weights, sample.group)
    with pytest.raises(ValueError, match="500 muons were written, not 499"):
        writer.entry(1.0)


@given(arrays(np.int64, st.integers(1, 50), elements=st.integers(0, 2**62)))
def test_equal_groups_land_together(group: Any) -> None:
    split = split_by_group(group)
    assert split.dtype == np.uint8
    assert (split < len(SPLITS)).all()
    # By the group's number alone: neither its place nor its neighbours count.
    np.testing.assert_array_equal(split_by_group(group[::-1])[::-1], split)
    np.testing.assert_array_equal(
        np.concatenate([split_by_group(group[i : i + 1]) for i in range(len(group))]), split
    )


@pytest.mark.parametrize("step", [1, 2, 1000, 4096])
def test_shares_of_the_parts(step: int) -> None:
    n = 200_000
    counts = np.bincount(split_by_group(np.arange(n, dtype=np.int64) * step), minlength=3)
    shares = np.array([0.7, 0.15, 0.15])
    assert (np.abs(counts - n * shares) < 5 * np.sqrt(n * shares * (1 - shares))).all()


def test_neighbouring_groups_are_independent() -> None:
    split = split_by_group(np.arange(200_000, dtype=np.int64)) == 0
    correlation = np.corrcoef(split[:-1], split[1:])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(len(split))


def test_effective_size() -> None:
    assert effective_size(np.full(100, 0.3)) == pytest.approx(100)
    assert effective_size(np.array([1.0, 0.0, 0.0])) == 1
    assert effective_size(np.array([3.0, 1.0])) == pytest.approx(1.6)
    assert effective_size(np.zeros(3)) == 0


def test_all_categories_have_a_place() -> None:
    assert [category.number for category in CATEGORIES] == [1, 2, 3, 4]
