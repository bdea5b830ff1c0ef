"""Teachers, student and bundle in one go on a small sample; what is refused; the spread of teachers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.quick_training import quick_training, train_quickly
from helpers.synthetic import POT, synthetic_sample
from shipgen.bundle.bundle import Bundle
from shipgen.errors import InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.selection import Selection
from shipgen.muons.categories import CATEGORIES
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training import best, train_variations
from shipgen_export.training.export import export, stated_uncertainty
from shipgen_export.training.map_training import material_edges
from shipgen_export.training.run.run_folder import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK: dict[str, Any] = {"steps": 2, "pictures": False, "measured": False}
GAN = {"latent": 4, "batch": 20, "layers_g": 1, "layers_d": 1}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with quick_training(monkeypatch):
        yield


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 1500)


def test_all_of_it_leaves_a_bundle(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    plan, *lines, bundle = train_quickly(prepared, output)
    assert plan == "8 flows of 3 steps at most, then 4 networks of 3 steps that learn from them; 1 at a time"
    assert len([line for line in lines if " steps (" in line]) == 3 * len(CATEGORIES)
    assert isinstance(bundle, Bundle)
    assert bundle.path == output / "bundle"
    assert bundle.name == "out"
    for entry in bundle.entries:
        assert entry.details["network"] == "last"
        assert entry.details["coordinates"]["map"] == "cylinder"
        assert entry.details["coordinates"]["symmetries"]["tests"]
        spread = entry.details["uncertainty"]["quantities"]["mean p, GeV"]
        assert spread["spread"] > 0
        assert spread["student"] == pytest.approx(spread["sample"], rel=0.2)
    (batch,) = MuonGenerator(bundle, n=1000, seed=1)
    assert np.isfinite(batch.pz).all()
    # Bootstrap samples are not the sample, and what is there is not done again.
    monkeypatch.setattr(best, "uncertainty", None)
    runs = [TrainingRun.open(output / name) for name in ("teacher-1", "teacher-2")]
    assert [one.index["config"]["bootstrap"] for one in runs] == [False, True]
    again = [line for line in train_quickly(prepared, output)[1:-1] if " steps (" in line]
    assert all("finished before" in line for line in again)
    with pytest.raises(InputError, match="trained with steps 3, but 4 is asked for"):
        train_quickly(prepared, output, teacher_steps=4)
    # The uncertainty is that of the network, and a network that of its map.
    folders = [TrainingRun.open(output / "student").category(category) for category in CATEGORIES]
    stated = json.loads(folders[0].uncertainty.read_text())
    folders[0].uncertainty.write_text(json.dumps(stated | {"sha256": "of another network"}))
    assert [stated_uncertainty(folder, "last") is None for folder in folders] == [True, False, False, False]
    folders[1].calibrated.write_bytes(folders[0].calibrated.read_bytes())
    with pytest.raises(InputError, match=r"calibrated\.npz is missing or not the file that training wrote"):
        folders[1].map_of(CATEGORIES[1], "last")
    folders[0].map.write_bytes(folders[1].map.read_bytes())
    with pytest.raises(InputError, match=r"map\.npz is missing or not the file that training wrote"):
        export(output / "student", tmp_path / "none")


def test_a_sample_with_variations_gives_a_bundle_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best, "VARIATION_STEPS", 20)
    categories = CATEGORIES[2:3]
    prepared = synthetic_sample(tmp_path / "varied", 1500, categories=categories, varied=True)
    *_, first, bundle = train_quickly(prepared, tmp_path / "out", teachers=3)
    assert first.startswith("variations: muplus_offaxis: 3 of them, 20 steps")
    assert bundle.variations == {
        "vary_up": "twice as many of some",
        "vary_mine": "",
        "vary_networks": train_variations.NETWORKS_MEANING,
    }
    batch = MuonGenerator(2000, bundle=bundle, seed=1, variations="all").to_batch()
    assert batch["vary_up"].mean() == pytest.approx(1.1, abs=0.05)
    assert batch["vary_mine"].mean() == pytest.approx(0.95, abs=0.03)
    # The flows have hardly learnt anything, and differ by their first weights.
    assert batch["vary_networks"].mean() == pytest.approx(1, abs=0.2)
    assert 0 < batch["vary_networks"].std() < 0.3
    closures = [entry.factors.facts["closure"] for entry in bundle.entries if entry.factors]
    assert [one["vary_up"]["mean"] for one in closures] == pytest.approx([1.1], abs=0.05)
    # What is there is not trained again; another sample's would be.
    monkeypatch.setattr(train_variations, "_make", None)
    *_, again = train_quickly(prepared, tmp_path / "out", teachers=3)
    assert again.sha256 == bundle.sha256
    graph = tmp_path / "out" / "variations" / "muplus_offaxis.onnx"
    graph.write_bytes(b"")
    with pytest.raises(InputError, match="not the file that training wrote: remove"):
        train_quickly(prepared, tmp_path / "out", teachers=3)


def test_what_cannot_be_trained_is_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="take 2 or more"):
        train_quickly(prepared, tmp_path / "one", teachers=1)
    partial = synthetic_sample(tmp_path / "partial", 500, categories=CATEGORIES[:2])
    with pytest.raises(InputError, match="no muons of category muplus_offaxis"):
        train_quickly(partial, tmp_path / "three", categories=["muplus_offaxis"])
    assert not (tmp_path / "three").exists()
    with pytest.raises(InputError, match="cannot be made"):
        train_quickly(prepared, tmp_path / "no" / "folder")


def test_a_sample_without_a_category_gives_a_bundle_without_it(tmp_path: Path) -> None:
    prepared = synthetic_sample(tmp_path / "partial", 1500, categories=CATEGORIES[:2])
    _, note, *_, bundle = train_quickly(prepared, tmp_path / "out", categories=["muminus_onaxis"])
    assert "no muons of muplus_offaxis, muminus_offaxis: the bundle makes none of these" in note
    assert [entry.category.name for entry in bundle.entries] == ["muminus_onaxis"]
    weight = PreparedSample.open(prepared).index["categories"]["muplus_onaxis"]["weight"]
    rates = {one.category.name: one.rate for one in bundle.missing}
    assert rates == {"muplus_onaxis": weight / POT, "muplus_offaxis": 0.0, "muminus_offaxis": 0.0}
    (batch,) = MuonGenerator(bundle, n=500, seed=1)
    assert ((batch.pdg == 13) & (batch.x == 0)).all()
    with pytest.raises(InputError, match="has no network of muplus_onaxis: leave it out"):
        MuonGenerator(bundle, n=500, seed=1, selection=Selection(categories=("muplus_onaxis",)))


def test_edges_come_from_the_files_when_they_agree(prepared: Path, tmp_path: Path) -> None:
    assert material_edges(PreparedSample.open(prepared)) == ()
    index = json.loads((prepared / "prepared.json").read_text())
    target = {"provenance": {"target": {"edges": [-7084.5, -7076.5]}}}
    for sources, edges in (
        ([target], (-7084.5, -7076.5)),
        ([target, target], (-7084.5, -7076.5)),
        ([target, {}], ()),
        ([{"provenance": {"target": "of old"}}], ()),
    ):
        assert material_edges(PreparedSample(tmp_path, {**index, "sources": sources})) == edges


def test_interrupted_training_says_how_to_go_on(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(best, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"kept in .*out: run the same command again to go on"):
        train_quickly(prepared, tmp_path / "out")
