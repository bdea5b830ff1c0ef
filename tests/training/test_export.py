"""Export: from a run to a bundle whose graphs give the muons of the trained networks, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import write_test_bundle
from helpers.shaken import shake
from helpers.synthetic import ENERGY_CUT, POT, TARGET_START, synthetic_sample
from shipgen.bundle.bundle import Bundle, NetworkFacts
from shipgen.describe.describe import describe_bundle
from shipgen.errors import BundleError, InputError
from shipgen.files.outputs import sha256
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.categories import CATEGORIES
from shipgen_export.graphs import agreement
from shipgen_export.graphs.agreement import TOLERANCE, comparison_latents, reference
from shipgen_export.models.gan import GanConfig, build_generator
from shipgen_export.models.kinds import model_by_name
from shipgen_export.models.settings import VaeConfig
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.sample.transforms import Normalisation
from shipgen_export.training.export import export
from shipgen_export.training.export_into import export_into
from shipgen_export.training.run.category_folder import LAST, State
from shipgen_export.training.run.run_folder import TrainingRun

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from shipgen_export.models.settings import Settings

CONFIG = GanConfig(latent=8, batch=20, layers_g=1, layers_d=1)


def write_run(folder: Path, model: str, config: Settings) -> Path:
    """Write a run whose networks of all four categories have been through 30 steps, or so it says."""
    sample = PreparedSample.open(synthetic_sample(folder / "prepared", 400))
    run = TrainingRun.start(folder / "run", sample, model=model, config=asdict(config), seed=1)
    for category in CATEGORIES:
        network = model_by_name(model).build(config, len(category.features))
        shake(network, category.number)
        part = run.category(category)
        with part.locked():
            digest = part.write_network(LAST, network, {})
            part.write_state(State(steps=30).with_network(LAST, 30, digest))
    return run.path


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which the first category has a figure of merit, and the second one of another step."""
    path = write_run(tmp_path_factory.mktemp("export"), "gan", CONFIG)
    for category, steps in ((CATEGORIES[0], 30), (CATEGORIES[1], 20)):
        merit = {"steps": steps, "auc": 0.7, "auc_error": 0.01}
        TrainingRun.open(path).category(category).merit.write_text(json.dumps(merit))
    return path


@pytest.fixture(scope="module")
def exported(trained_run: Path) -> Bundle:
    """The run's bundle; for tests that only read it."""
    return export(trained_run, trained_run.parent / "bundle", name="test")


@pytest.fixture
def stub(exported: Bundle, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Take graphs from the bundle that is there, for tests of what is around them; return what was asked."""
    asked: list[Any] = []

    def take(run: TrainingRun, model: Any, ready: Any) -> NetworkFacts:  # noqa: ARG001
        asked.append(ready)
        entry = next(entry for entry in exported.entries if entry.category == ready.category)
        graph = (exported.path / entry.file).read_bytes()
        return NetworkFacts(ready.category, graph, entry.latent_size, ready.rate, entry.details)

    monkeypatch.setattr("shipgen_export.training.export._export_network", take)
    return asked


@pytest.fixture
def run_copy(trained_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_run, tmp_path / "run")


def change_sample(run: Path, **facts: Any) -> None:
    """Change the run's copy of prepared.json as if the sample had been so from the start."""
    index = json.loads((run / "prepared.json").read_text())
    (run / "prepared.json").write_text(json.dumps(index | facts))
    content = json.loads((run / "run.json").read_text())
    content["sample"]["sha256"] = sha256(run / "prepared.json")
    (run / "run.json").write_text(json.dumps(content))


def test_bundle_of_a_run(trained_run: Path, exported: Bundle) -> None:
    bundle = Bundle.open(exported.path)
    assert (bundle.name, bundle.label) == ("test", "synthetic")
    assert (bundle.target_start, bundle.energy_cut) == (TARGET_START, ENERGY_CUT)
    index = json.loads((trained_run / "prepared.json").read_text())["categories"]
    for entry in bundle.entries:
        facts = index[entry.category.name]
        assert entry.rate == facts["weight"] / POT
        assert entry.latent_size == 8
        assert entry.details["steps"] == 30
        ranges = entry.details["training_range"]
        assert list(ranges) == list(entry.category.features)
        assert ranges["z"][0] == facts["normalisation"]["minimum"][entry.category.features.index("z")]
        for found in (entry.details["agreement"]["keras"], entry.details["agreement"]["numpy"]):
            assert 0 < max(found.values()) <= TOLERANCE
    # The second category's figure of merit is of other weights.
    merits = [entry.details["figure_of_merit"] for entry in bundle.entries]
    assert merits == [{"auc": 0.7, "auc_error": 0.01}, None, None, None]
    assert bundle.provenance["model"] == "gan"
    assert bundle.provenance["config"]["latent"] == 8
    assert bundle.provenance["sample"]["pot"] == POT
    assert str(trained_run.parent) not in (bundle.path / "bundle.json").read_text()


def add_best(run: Path, measure: str = "auc") -> dict[str, list[Any]]:
    """Give each category a best network, after 20 steps; return their weights."""
    made = {}
    for category in CATEGORIES:
        folder = TrainingRun.open(run).category(category)
        best = build_generator(CONFIG, len(category.features), seed=category.number + 100)
        digest = folder.write_network(f"best_{measure}", best, {})
        folder.write_state(folder.state().with_network(f"best_{measure}", 20, digest))
        made[category.name] = best.get_weights()
    return made


def test_the_best_network_is_exported_unless_another_is_asked_for(run_copy: Path, tmp_path: Path) -> None:
    made = add_best(run_copy)
    bundle = export(run_copy, tmp_path / "bundle")
    assert bundle.path == tmp_path / "bundle"
    latent = comparison_latents(8, seed=2)
    for entry, network in zip(bundle.entries, bundle.networks, strict=True):
        assert (entry.details["network"], entry.details["steps"]) == ("best_auc", 20)
        generator = build_generator(CONFIG, len(entry.category.features))
        generator.set_weights(made[entry.category.name])
        index = json.loads((run_copy / "prepared.json").read_text())["categories"][entry.category.name]
        normalisation = Normalisation.from_json(index["normalisation"])
        expected = normalisation.inverse(reference(generator, latent))
        width = normalisation.maximum - normalisation.minimum
        assert (np.abs(network(latent) - expected).max(0) / width).max() <= TOLERANCE
    # The first category's figure of merit is of step 30, the second's of step 20.
    merits = [entry.details["figure_of_merit"] for entry in bundle.entries]
    assert merits == [None, {"auc": 0.7, "auc_error": 0.01}, None, None]


def test_the_last_network_is_exported_when_asked_for(
    run_copy: Path, tmp_path: Path, stub: list[Any], exported: Bundle
) -> None:
    made = add_best(run_copy)
    export(run_copy, tmp_path / "bundle", network="last")
    assert [(one.network, one.steps) for one in stub] == [("last", 30)] * 4
    # Which is what the bundle of the run without best networks has.
    assert [entry.details["network"] for entry in exported.entries] == ["last"] * 4
    assert set(made) == {one.category.name for one in stub}


def test_networks_that_are_not_there(run_copy: Path, tmp_path: Path) -> None:
    add_best(run_copy)
    with pytest.raises(InputError, match=r"has no network best_chi2: it has best_auc, last; the best ones"):
        export(run_copy, tmp_path / "bundle", network="best_chi2")
    with pytest.raises(
        InputError, match="no network 'first': choose from best_auc, best_chi2, best_overlap, l"
    ):
        export(run_copy, tmp_path / "bundle", network="first")
    file = run_copy / "muminus_onaxis" / "best_auc.weights.h5"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"best_auc.weights.h5 is not the file that training wrote"):
        export(run_copy, tmp_path / "bundle")


def test_networks_of_a_vae(tmp_path: Path) -> None:
    run = write_run(tmp_path, "vae", VaeConfig(batch=20, nodes_d=16, layers_d=1))
    bundle = export(run, tmp_path / "bundle")
    assert bundle.provenance["model"] == "vae"
    for entry in bundle.entries:
        assert max(entry.details["agreement"]["numpy"].values()) <= TOLERANCE


def test_networks_of_a_bundle_stay_in_the_training_range(exported: Bundle) -> None:
    bundle = exported
    latent = comparison_latents(8, seed=3)
    for entry, network in zip(bundle.entries, bundle.networks, strict=True):
        muons = network(latent)
        low, high = np.array(list(entry.details["training_range"].values())).T
        slack = TOLERANCE * (high - low)
        assert (muons >= low - slack).all()
        assert (muons <= high + slack).all()


def test_disagreement_writes_nothing(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "TOLERANCE", 1e-9)
    with pytest.raises(BundleError, match="differs from"):
        export(trained_run, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stub")
def test_categories_that_were_not_trained_are_missing(run_copy: Path, tmp_path: Path) -> None:
    untrained = ("muminus_onaxis", "muminus_offaxis")
    for name in untrained:
        shutil.rmtree(run_copy / name)
    bundle = export(run_copy, tmp_path / "bundle")
    assert [entry.category.name for entry in bundle.entries] == ["muplus_onaxis", "muplus_offaxis"]
    facts = json.loads((run_copy / "prepared.json").read_text())["categories"]
    stated = {one.category.name: one.rate for one in bundle.missing}
    assert stated == {name: facts[name]["weight"] / POT for name in untrained}
    text = "\n".join(describe_bundle(bundle))
    assert "muminus_onaxis   no network, so no muons of it are made; its sample has" in text
    for category in CATEGORIES:
        shutil.rmtree(run_copy / category.name, ignore_errors=True)
    with pytest.raises(InputError, match="no trained network: train it with `shipgen train gan PREPARED -o"):
        export(run_copy, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("stub")
def test_category_without_muons(run_copy: Path, tmp_path: Path) -> None:
    index = json.loads((run_copy / "prepared.json").read_text())["categories"]
    del index["muplus_offaxis"]
    change_sample(run_copy, categories=index)
    bundle = export(run_copy, tmp_path / "bundle")
    assert [(one.category.name, one.rate) for one in bundle.missing] == [("muplus_offaxis", 0.0)]
    assert "its sample has none" in "\n".join(describe_bundle(bundle))
    (batch,) = MuonGenerator(bundle, n=1000, seed=1)
    assert not ((batch.pdg == -13) & (batch.x != 0)).any()
    assert len(batch.pz) > 900


@pytest.mark.usefixtures("stub")
def test_one_category_of_a_bundle_is_replaced(run_copy: Path, tmp_path: Path) -> None:
    base = write_test_bundle(tmp_path / "base")
    for category in CATEGORIES[1:]:
        shutil.rmtree(run_copy / category.name)
    bundle = export_into(run_copy, tmp_path / "bundle", base.path, name="mixed")
    weight = json.loads((run_copy / "prepared.json").read_text())["categories"]["muplus_onaxis"]["weight"]
    assert (bundle.name, bundle.missing) == ("mixed", ())
    assert bundle.entries[0].rate == weight / POT
    assert [entry.sha256 for entry in bundle.entries[1:]] == [entry.sha256 for entry in base.entries[1:]]
    assert [entry.rate for entry in bundle.entries[1:]] == [entry.rate for entry in base.entries[1:]]
    assert bundle.entries[0].sha256 != base.entries[0].sha256
    assert bundle.provenance["base"]["sha256"] == base.sha256
    change_sample(run_copy, energy_cut=5.0)
    with pytest.raises(InputError, match=r"the energy cut is 5 GeV, in .* the energy cut is 10 GeV"):
        export_into(run_copy, tmp_path / "other", base.path)
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("stub")
def test_unknown_pot_has_to_be_given(run_copy: Path, tmp_path: Path) -> None:
    change_sample(run_copy, pot=None)
    with pytest.raises(InputError, match="give --pot N"):
        export(run_copy, tmp_path / "bundle")
    bundle = export(run_copy, tmp_path / "bundle", pot=2 * POT)
    weight = json.loads((run_copy / "prepared.json").read_text())["categories"]["muplus_onaxis"]["weight"]
    assert bundle.entries[0].rate == weight / (2 * POT)


@pytest.mark.usefixtures("stub")
def test_contradicting_pot_is_refused(run_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stand for 1e\+06 protons on target, not 2e\+06"):
        export(run_copy, tmp_path / "bundle", pot=2 * POT)
    assert export(run_copy, tmp_path / "bundle", pot=POT).rate > 0


def test_unknown_energy_cut(run_copy: Path, tmp_path: Path) -> None:
    change_sample(run_copy, energy_cut=None)
    with pytest.raises(InputError, match="energy cut is not known: prepare it again with --energy-cut"):
        export(run_copy, tmp_path / "bundle")


@pytest.mark.usefixtures("stub")
def test_label_is_the_generators_word(run_copy: Path, tmp_path: Path) -> None:
    one = {"kind": "training-sample", "provenance": {"generator": "Pythia 8 cascade, SHiP-like"}}
    change_sample(run_copy, sources=[one, one, {"kind": "cbmsim", "provenance": None}])
    assert export(run_copy, tmp_path / "bundle").label == "Pythia 8 cascade, SHiP-like, cbmsim"


def test_damaged_runs(run_copy: Path, tmp_path: Path) -> None:
    file = run_copy / "muplus_onaxis" / "generator.weights.h5"
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    with pytest.raises(InputError, match="not the file that training wrote"):
        export(run_copy, tmp_path / "bundle")
    file.write_bytes(good)
    (run_copy / "prepared.json").write_text("{}")
    with pytest.raises(InputError, match=r"prepared.json is missing or was changed"):
        export(run_copy, tmp_path / "bundle")
    with pytest.raises(InputError, match="is no run"):
        export(tmp_path, tmp_path / "bundle")


def test_weights_of_another_shape(run_copy: Path, tmp_path: Path) -> None:
    content = json.loads((run_copy / "run.json").read_text())
    content["config"]["latent"] = 9
    (run_copy / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="does not fit the settings"):
        export(run_copy, tmp_path / "bundle")


@pytest.mark.usefixtures("stub")
def test_existing_output_needs_force(trained_run: Path, tmp_path: Path) -> None:
    export(trained_run, tmp_path / "bundle", name="first")
    with pytest.raises(InputError, match="exists"):
        export(trained_run, tmp_path / "bundle")
    assert export(trained_run, tmp_path / "bundle", name="second", force=True).name == "second"


def test_command(
    trained_run: Path, shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = shipgen("export", trained_run, "-o", "bundle")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "graph and network differ by" in done.stdout
    assert Bundle.open(tmp_path / "bundle").name == "bundle"
    made = shipgen("produce", "-n", 1000, "--bundle", "bundle", "-o", "muons.root")
    assert made.returncode == 0, made.stderr
