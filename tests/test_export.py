"""Export: from a run to a bundle whose graphs give the muons of the trained networks, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from synthetic import ENERGY_CUT, POT, TARGET_START, synthetic_category, synthetic_sample

from shipgen.bundle import Bundle
from shipgen.categories import CATEGORIES
from shipgen.errors import BundleError, InputError
from shipgen.files import sha256
from shipgen_export.backend import configure, tf
from shipgen_export.export import export
from shipgen_export.graphs import agreement, onnx_graph
from shipgen_export.graphs.agreement import LATENTS, TOLERANCE, check_agreement, comparison_latents, reference
from shipgen_export.graphs.onnx_graph import build_graph
from shipgen_export.models.gan import Gan, GanConfig, build_generator
from shipgen_export.models.settings import VaeConfig
from shipgen_export.models.vae import Vae
from shipgen_export.sample import PreparedSample
from shipgen_export.training.loop import Goal, MuonStream, train_category
from shipgen_export.training.run_folder import Run
from shipgen_export.transforms import Normalisation

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.categories import Category

CONFIG = GanConfig(latent=8, batch=20, layers_g=1, layers_d=1)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    configure(1)


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all four categories trained for 30 steps; only the first has a figure of merit."""
    base = tmp_path_factory.mktemp("export")
    sample = PreparedSample.open(synthetic_sample(base / "prepared", 400))
    run = Run.start(base / "run", sample, model="gan", config=CONFIG.__dict__, seed=1)
    for category in CATEGORIES:
        folder = run.category(category)
        with folder.locked():
            stream = MuonStream(sample.load(category.name), CONFIG.real_batch, 1)
            train_category(
                Gan(CONFIG, len(category.features), category.number), stream, folder, Goal(steps=30)
            )
    merit = {"steps": 30, "auc": 0.7, "auc_error": 0.01}
    (run.category(CATEGORIES[0]).merit).write_text(json.dumps(merit))
    (run.category(CATEGORIES[1]).merit).write_text(json.dumps({**merit, "steps": 20}))
    return base / "run"


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


@cache
def trained(category: Category) -> tuple[Any, Normalisation]:
    """Return a generator, dropout included, trained on made-up muons, and their normalisation."""
    sample = synthetic_category(category, 1000, seed=1)
    gan = Gan(GanConfig(latent=20, batch=20, layers_g=3, layers_d=1), len(category.features), seed=1)
    gan.train(MuonStream(sample, 10, 1).draw(0, 50))
    return gan.generator, sample.normalisation


def test_bundle_of_a_run(trained_run: Path, tmp_path: Path) -> None:
    export(trained_run, tmp_path / "bundle", name="test")
    bundle = Bundle.open(tmp_path / "bundle")
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
    assert str(tmp_path) not in (tmp_path / "bundle" / "bundle.json").read_text()


def add_best(run: Path, measure: str = "auc") -> dict[str, list[Any]]:
    """Give each category a best network, after 20 steps; return their weights."""
    made = {}
    for category in CATEGORIES:
        folder = Run.open(run).category(category)
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
    last = export(run_copy, tmp_path / "last", network="last")
    assert [entry.details["steps"] for entry in last.entries] == [30] * 4
    assert not np.array_equal(last.networks[0](latent), bundle.networks[0](latent))


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
    sample = PreparedSample.open(synthetic_sample(tmp_path / "prepared", 200))
    config = VaeConfig(batch=20, layers_e=1, layers_d=1)
    run = Run.start(tmp_path / "run", sample, model="vae", config=asdict(config), seed=1)
    for category in CATEGORIES:
        folder = run.category(category)
        with folder.locked():
            stream = MuonStream(sample.load(category.name), config.real_batch, 1)
            train_category(Vae(config, len(category.features), 1), stream, folder, Goal(steps=10))
    bundle = export(tmp_path / "run", tmp_path / "bundle")
    assert bundle.provenance["model"] == "vae"
    for entry in bundle.entries:
        assert max(entry.details["agreement"]["numpy"].values()) <= TOLERANCE


def test_networks_of_a_bundle_stay_in_the_training_range(trained_run: Path, tmp_path: Path) -> None:
    bundle = export(trained_run, tmp_path / "bundle")
    latent = comparison_latents(8, seed=3)
    for entry, network in zip(bundle.entries, bundle.networks, strict=True):
        muons = network(latent)
        low, high = np.array(list(entry.details["training_range"].values())).T
        slack = TOLERANCE * (high - low)
        assert (muons >= low - slack).all()
        assert (muons <= high + slack).all()


@pytest.mark.parametrize("category", CATEGORIES[::2], ids=lambda category: category.name)
def test_graph_keras_and_numpy_agree(category: Category) -> None:
    generator, normalisation = trained(category)
    graph = build_graph(generator, normalisation)
    found = check_agreement(category, generator, normalisation, graph)
    assert max(*found.keras, *found.numpy) <= TOLERANCE
    latent = comparison_latents(20, seed=1)
    muons = onnxruntime.InferenceSession(graph).run(["muons"], {"latent": latent})[0]
    assert muons.dtype == np.float32
    expected = normalisation.inverse(reference(generator, latent))
    width = normalisation.maximum - normalisation.minimum
    assert (np.abs(muons - expected).max(0) / width).max() == pytest.approx(max(found.numpy))


def test_denormalisation_alone_is_as_exact_as_float32_allows() -> None:
    sample = synthetic_category(CATEGORIES[2], 1000, seed=1)
    n = sample.normalisation
    values = np.random.default_rng(1).uniform(-1, 1, (5000, 6)).astype(np.float32)
    muons = onnx_graph.denormalise(tf.constant(values), n).numpy()
    expected = n.inverse(values.astype(np.float64))
    # Offset and sum are each rounded once, to half a unit in the last place of the largest value.
    rounding = np.spacing(np.abs(expected).max(0).astype(np.float32))
    assert (np.abs(muons - expected).max(0) <= 1.5 * rounding + 3e-7 * (n.maximum - n.minimum)).all()


def test_a_feature_without_range_keeps_its_value() -> None:
    generator, normalisation = trained(CATEGORIES[0])
    flat = replace(
        normalisation, maximum=np.where([1, 0, 0, 0], normalisation.minimum, normalisation.maximum)
    )
    graph = build_graph(generator, flat)
    check_agreement(CATEGORIES[0], generator, flat, graph)
    latent = comparison_latents(20, seed=1)
    z = onnxruntime.InferenceSession(graph).run(None, {"latent": latent})[0][:, 0]
    np.testing.assert_array_equal(z, np.float32(flat.minimum[0]))


def test_graph_interface() -> None:
    generator, normalisation = trained(CATEGORIES[2])
    model = onnx.load_from_string(build_graph(generator, normalisation))
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    sides = [*model.graph.input, *model.graph.output]
    assert [side.name for side in sides] == ["latent", "muons"]
    dimensions = [side.type.tensor_type.shape.dim for side in sides]
    assert [(dim[0].dim_param, dim[1].dim_value) for dim in dimensions] == [("N", 20), ("N", 6)]
    operators = {node.op_type for node in model.graph.node}
    # Batch normalisation is multiplications and additions of constants, dropout is gone.
    assert operators <= {"Abs", "Add", "Gemm", "LeakyRelu", "MatMul", "Mul", "Tanh"}


def test_graph_takes_any_number_of_latents() -> None:
    generator, normalisation = trained(CATEGORIES[0])
    session = onnxruntime.InferenceSession(build_graph(generator, normalisation))
    latent = comparison_latents(20, seed=1)
    whole = session.run(None, {"latent": latent[:1000]})[0]
    one = np.vstack([session.run(None, {"latent": latent[i : i + 1]})[0] for i in range(5)])
    # Sums may be in another order for another number of rows.
    np.testing.assert_allclose(one, whole[:5], rtol=2e-6, atol=1e-5)


def test_comparison_latents_reach_far() -> None:
    latent = comparison_latents(100, seed=1)
    assert latent.shape == (LATENTS, 100)
    assert ((np.abs(latent[:1000]) == 5).sum(1) == 5).all()
    assert latent[1000:].std() == pytest.approx(1, abs=0.01)
    assert (np.abs(comparison_latents(2, seed=1)[:1000]) == 5).any(1).all()


def test_disagreement_names_category_feature_and_size() -> None:
    generator, normalisation = trained(CATEGORIES[0])
    maximum = normalisation.maximum * np.array([1, 1, 1.001, 1])
    graph = build_graph(generator, replace(normalisation, maximum=maximum))
    with pytest.raises(
        BundleError, match=r"muplus_onaxis differs from Keras by .* of the range of py \(allowed"
    ):
        check_agreement(CATEGORIES[0], generator, normalisation, graph)


def test_disagreement_writes_nothing(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "TOLERANCE", 1e-9)
    with pytest.raises(BundleError, match="differs from"):
        export(trained_run, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_missing_categories_are_named_with_the_command(run_copy: Path, tmp_path: Path) -> None:
    for name in ("muminus_onaxis", "muminus_offaxis"):
        shutil.rmtree(run_copy / name)
    with pytest.raises(
        InputError, match="no trained network of muminus_onaxis, muminus_offaxis: train it with"
    ) as e:
        export(run_copy, tmp_path / "bundle")
    assert "shipgen train gan PREPARED -o" in str(e.value)
    assert "--category muminus_onaxis --category muminus_offaxis" in str(e.value)
    assert not (tmp_path / "bundle").exists()


def test_category_without_muons(run_copy: Path, tmp_path: Path) -> None:
    index = json.loads((run_copy / "prepared.json").read_text())["categories"]
    del index["muplus_offaxis"]
    change_sample(run_copy, categories=index)
    with pytest.raises(InputError, match="no muons of category muplus_offaxis"):
        export(run_copy, tmp_path / "bundle")


def test_unknown_pot_has_to_be_given(run_copy: Path, tmp_path: Path) -> None:
    change_sample(run_copy, pot=None)
    with pytest.raises(InputError, match="give --pot N"):
        export(run_copy, tmp_path / "bundle")
    bundle = export(run_copy, tmp_path / "bundle", pot=2 * POT)
    weight = json.loads((run_copy / "prepared.json").read_text())["categories"]["muplus_onaxis"]["weight"]
    assert bundle.entries[0].rate == weight / (2 * POT)


def test_contradicting_pot_is_refused(run_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stand for 1e\+06 protons on target, not 2e\+06"):
        export(run_copy, tmp_path / "bundle", pot=2 * POT)
    assert export(run_copy, tmp_path / "bundle", pot=POT).rate > 0


def test_unknown_energy_cut(run_copy: Path, tmp_path: Path) -> None:
    change_sample(run_copy, energy_cut=None)
    with pytest.raises(InputError, match="energy cut is not known: prepare it again with --energy-cut"):
        export(run_copy, tmp_path / "bundle")


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
