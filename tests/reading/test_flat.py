"""Flat ntuples: what shipgen itself produces, what others write, and what cannot be known of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.flat_files import N, flat_columns, write_flat
from shipgen.errors import InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce
from shipgen_export.reading.prepare import prepare

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle


def check(sample: Any, columns: dict[str, Any], prefix: str = "", scale: float = 100.0) -> None:
    """Compare with a loop over the entries."""
    for category in sample.categories:
        features, weights, entries = [], [], []
        for entry, pdg in enumerate(columns["id"].tolist()):
            row = {name: float(columns[prefix + name][entry]) for name in ("px", "py", "pz")}
            row |= {name: float(columns[prefix + name][entry]) * scale for name in "xyz"}
            if pdg == category.pdg and (row["x"] == row["y"] == 0) == category.on_axis:
                features.append([np.float32(row[name]) for name in category.features])
                weights.append(float(columns["w"][entry]))
                entries.append(entry)
        loaded = sample.load(category.name)
        np.testing.assert_array_equal(loaded.features, np.array(features))
        np.testing.assert_array_equal(loaded.weights, weights)
        # Groups count from the first muon on: entry 0 is none.
        np.testing.assert_array_equal(loaded.group, np.array(entries) - 1)


@pytest.mark.parametrize("step", [100, "64 MB"])
def test_foreign_ntuple(tmp_path: Path, step: int | str) -> None:
    columns = flat_columns()
    sample = prepare([write_flat(tmp_path / "f.root", columns)], tmp_path / "out", step=step, cores=1)
    check(sample, columns)
    index = sample.index
    assert (index["pot"], index["energy_cut"], index["target_start_assumed"]) == (None, 10, True)
    assert index["dropped"][0]["reason"] == "not a muon"
    assert index["dropped"][0]["muons"] == N // 10
    assert index["sources"][0]["group"] == "entry"
    assert index["split"] == "by entry (splitmix64 of its number), for the files tell no event"
    texts = "\n".join(index["warnings"])
    assert "it tells no event: muons of one proton may be in different parts" in texts
    assert "all weights are 1" not in texts


def test_origin_beside_the_place_behind_the_absorber(tmp_path: Path) -> None:
    columns = flat_columns()
    for name in ("x", "y", "z", "px", "py", "pz"):
        columns[f"o{name}"] = columns[name]
        columns[name] = columns[name] + np.float32(7)
    sample = prepare([write_flat(tmp_path / "f.root", columns)], tmp_path / "out", cores=1)
    assert sample.index["sources"][0]["kind"] == "flat-origin"
    check(sample, columns, prefix="o")


def test_converted_ntuple_is_in_centimetres(tmp_path: Path) -> None:
    columns = {name: values.astype(np.float64) for name, values in flat_columns(scale=1.0).items()}
    columns["id"] = columns["id"].astype(np.int32)
    path = write_flat(tmp_path / "f.root", columns, tree="converted_ntuple")
    sample = prepare([path], tmp_path / "out", cores=1)
    assert sample.index["sources"][0]["kind"] == "converted-ntuple"
    check(sample, columns, scale=1.0)
    # TTreeGenerator adds nothing to z.
    assert (sample.index["target_start"], sample.index["target_start_assumed"]) == (0, False)


@pytest.mark.parametrize(
    ("cuts", "cut", "note"),
    [
        # What is no muon says nothing, entry 0 least of all.
        ({0: 5.0, 10: 7.0}, 10, None),
        ({-1: 5.0}, None, "its muons state energy cuts from 5 to 10 GeV: the cut is not known"),
        ({5: 0.0}, None, "its muons state energy cuts from 0 to 10 GeV: the cut is not known"),
        ({5: np.nan}, None, "its muons state energy cuts from 0 to 10 GeV: the cut is not known"),
    ],
)
def test_energy_cut_is_that_of_all_muons(
    tmp_path: Path, cuts: dict[int, float], cut: float | None, note: str | None
) -> None:
    columns = flat_columns(200)
    for entry, value in cuts.items():
        columns["ecut"][entry] = value
    path = write_flat(tmp_path / "f.root", columns)
    index = prepare([path], tmp_path / "out", step=30, cores=1).index
    assert (index["energy_cut"], index["sources"][0]["energy_cut"]) == (cut, cut)
    assert [text for text in index["warnings"] if "energy cut" in text] == (
        [f"f.root: {note}"] if note else []
    )


def test_files_with_different_cuts_are_told_after_reading(tmp_path: Path) -> None:
    files = []
    for number, cut in enumerate((10, 5)):
        columns = flat_columns(200, seed=number)
        columns["ecut"][:] = cut
        files.append(write_flat(tmp_path / f"{number}.root", columns))
    with pytest.raises(InputError, match=r"energy cut \(0\.root 10 GeV, 1\.root 5 GeV\).*kept in out\.work"):
        prepare(files, tmp_path / "out", cores=1)
    assert prepare(files, tmp_path / "out", energy_cut=10, cores=1).index["energy_cut"] == 10


def test_smeared_ntuple_leaves_the_choice_to_the_user(tmp_path: Path) -> None:
    columns = flat_columns()
    columns["x"] += np.float32(0.003)
    path = write_flat(tmp_path / "f.root", columns)
    with pytest.raises(InputError, match=r"f\.root: where the beam was cannot be told: no muon starts at x"):
        prepare([path], tmp_path / "out")
    with pytest.raises(InputError, match=r"f\.root has no primary tracks: choose --beam origin"):
        prepare([path], tmp_path / "out", beam="primary")
    index = prepare([path], tmp_path / "out", beam="origin", cores=1).index
    assert index["beam"] == {"case": "unknown", "xy": "as they are", "choice": "origin"}


def test_what_shipgen_produced(tmp_path: Path, bundle: Bundle) -> None:
    generator = MuonGenerator(bundle, n=3000, seed=5)
    produce(generator, tmp_path / "p.root")
    sample = prepare([tmp_path / "p.root"], tmp_path / "out", cores=1)
    index = sample.index
    assert index["pot"] == pytest.approx(generator.plan.pot)
    assert (index["target_start"], index["target_start_assumed"]) == (-7084.5, False)
    assert index["energy_cut"] == bundle.energy_cut
    assert index["beam"]["case"] == "at the origin"
    rate = sum(entry["weight"] for entry in index["categories"].values()) / index["pot"]
    assert rate == pytest.approx(bundle.rate, rel=0.1)
    assert any("drawn from networks" in text for text in index["warnings"])
    assert not any("tells no event" in text or "outside target" in text for text in index["warnings"])


def published_file() -> Path | None:
    """Return muons written by the published generators' tool, if this machine has them."""
    beside = Path(__file__).parents[3] / "shared" / "data" / "mugan_enhanced_muons.root"
    path = Path(os.environ.get("SHIPGEN_MUGAN_FILE", beside))
    return path if path.is_file() else None


@pytest.mark.skipif(published_file() is None, reason="SHIPGEN_MUGAN_FILE names no such file")
def test_file_of_the_published_tool(tmp_path: Path) -> None:
    path = published_file()
    assert path is not None
    index = prepare([path], tmp_path / "out", beam="origin", cores=1).index
    assert index["sources"][0]["muons"] == 50_000
    assert index["dropped"] == [{"reason": "not a muon", "muons": 1, "weight": 0.0}]
    texts = "\n".join(index["warnings"])
    for expected in (
        "whose enhanced samples have no correct weights",
        "all weights are 1: they say nothing of rates",
        "100.0% of the weight starts outside target and absorber",
        "(the lowest z is -4999.98 cm)",
    ):
        assert expected in texts
    index = prepare([path], tmp_path / "two", beam="origin", target_start=-5000, cores=1).index
    assert not any("outside" in text for text in index["warnings"])
