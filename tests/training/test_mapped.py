"""Training in coordinates made normal: maps that stay theirs, bootstrap samples, teachers and students."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.eager import eagerly
from helpers.even_muons import CATEGORY, START, even_muons, sample_of
from helpers.synthetic import synthetic_category, synthetic_sample
from shipgen.commands.training.train import _ModelCommand
from shipgen.errors import InputError
from shipgen.files.outputs import sha256
from shipgen_export.backend import tf
from shipgen_export.graphs.agreement import TOLERANCE, check_agreement
from shipgen_export.graphs.student_graph import STREAM, build_student_graph
from shipgen_export.maps.coordinates import Cylinder, Shape
from shipgen_export.maps.muon_map import MuonMap
from shipgen_export.models import distill, flow
from shipgen_export.models.kinds import MODELS
from shipgen_export.models.settings import FlowConfig, StudentConfig
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.export import export
from shipgen_export.training.map_training import Teachers, training_weights
from shipgen_export.training.run.category_folder import LAST
from shipgen_export.training.run.run_folder import TrainingRun
from shipgen_export.training.train import train

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLOW = {"hidden": 6, "layers": 1, "bins": 4, "batch": 64}
STUDENT = {"nodes": "8", "nodes_on_axis": "8", "pairs": 2000, "batch": 64}
GAN = {"latent": 4, "batch": 20, "layers_g": 1, "layers_d": 1}
QUICK: dict[str, Any] = {"steps": 2, "pictures": False, "measured": False, "categories": [CATEGORY.name]}


@pytest.fixture(autouse=True, scope="module")
def _eager() -> Iterator[None]:
    """No compilation, which takes longer than these few steps."""
    with eagerly():
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PreparedSample:
    return PreparedSample.open(synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 800))


@pytest.fixture(scope="module")
def runs(sample: PreparedSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two steps: flows ``one`` and ``other`` of other seeds, and ``student``, which learns of both.

    Flow ``bootstrap`` differs from ``one`` in that alone.
    """
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, more in (("one", 1, {}), ("other", 2, {}), ("bootstrap", 1, {"bootstrap": True})):
        list(train("flow", sample, folder / name, seed=seed, settings={**FLOW, **more}, **QUICK))
    teach(sample, folder)
    return folder


@pytest.fixture
def copies(runs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(runs, tmp_path / "runs")


def teach(sample: PreparedSample, folder: Path, **options: Any) -> None:
    given = {**QUICK, "teachers": [folder / "one", folder / "other"], "settings": STUDENT, **options}
    list(train("distill", sample, folder / "student", **given))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_bootstrap_samples_are_trained_on(runs: Path) -> None:
    weights = [
        sha256(TrainingRun.open(runs / name).category(CATEGORY).weights) for name in ("one", "bootstrap")
    ]
    assert weights[0] != weights[1]


def test_bootstrap_counts_protons() -> None:
    muons = synthetic_category(CATEGORY, 20_000, 1)
    plain, one, again, other = (
        training_weights(muons, seed, bootstrap=bootstrap)
        for seed, bootstrap in ((1, False), (1, True), (1, True), (2, True))
    )
    counts = one / plain
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    counts = np.round(counts, 9)
    assert set(counts) <= set(range(12))
    group = muons.group[muons.split == 0]
    # All muons of a proton together.
    assert all(len(set(counts[group == number])) == 1 for number in np.unique(group)[:200])
    assert counts.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / len(counts)))


@pytest.mark.parametrize("bootstrap", [False, True])
def test_unusual_weights_are_not_drawn_again_and_again(bootstrap: bool) -> None:
    muons = synthetic_category(CATEGORY, 20_000, 1)
    weights = muons.weights.copy()
    weights[np.flatnonzero(muons.split == 0)[:2]] = 1e5
    drawn = training_weights(replace(muons, weights=weights), 1, bootstrap=bootstrap)
    assert drawn.max() ** 2 < 0.2 * np.square(drawn).sum()


def test_students_need_flows_of_the_same_sample(sample: PreparedSample, runs: Path, tmp_path: Path) -> None:
    taught = {**QUICK, "settings": STUDENT, "teachers": [runs / "one"]}
    with pytest.raises(InputError, match="needs teachers"):
        list(train("distill", sample, tmp_path / "s", **{**taught, "teachers": []}))
    list(train("gan", sample, tmp_path / "gan", settings=GAN, **QUICK))
    with pytest.raises(InputError, match="not of a flow"):
        list(train("distill", sample, tmp_path / "s", **{**taught, "teachers": [tmp_path / "gan"]}))
    other = PreparedSample.open(synthetic_sample(tmp_path / "other", 500, seed=2))
    with pytest.raises(InputError, match="another prepared sample"):
        list(train("distill", other, tmp_path / "s", **taught))
    with pytest.raises(InputError, match=r"no flow of muminus_onaxis: train it with `shipgen train flow"):
        list(train("distill", sample, tmp_path / "s", **{**taught, "categories": ["muminus_onaxis"]}))
    with pytest.raises(InputError, match="give --steps, not --minutes"):
        list(train("flow", sample, tmp_path / "f", minutes=1, **{**QUICK, "steps": None}))


class CaughtError(Exception):
    """Stops a training where its teacher is known."""


def test_students_learn_the_mean_of_their_teachers(
    sample: PreparedSample, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def caught(*given: Any) -> None:
        raise CaughtError(given[-1])

    paths = [runs / "one", runs / "other"]
    monkeypatch.setattr(distill, "Student", caught)
    with pytest.raises(CaughtError) as found:
        list(train("distill", sample, tmp_path / "s", settings=STUDENT, teachers=paths, **QUICK))
    teacher = found.value.args[0]
    latent = np.random.default_rng(1).standard_normal((100, 7)).astype(np.float32)
    each = [network(latent).numpy()[:, :5] for network in Teachers.open(paths, sample).networks(CATEGORY)]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(teacher(latent[:, :5]), np.mean(each, 0), atol=1e-5)


def test_half_trained_flows_do_not_teach(sample: PreparedSample, copies: Path) -> None:
    run = copies / "bootstrap" / "run.json"
    change(run, config={**json.loads(run.read_text())["config"], "steps": 400})
    with pytest.raises(InputError, match=r"is one to learn from: .* at step 2 of 400") as error:
        teach(sample, copies, teachers=[copies / "one", copies / "bootstrap"])
    # The command it names is the one that goes on.
    words = shlex.split(str(error.value).split("`")[1])
    assert words[:3] == ["shipgen", "train", "flow"]
    given = _ModelCommand("flow", MODELS["flow"]).make_context("flow", words[3:]).params
    wanted = {**FLOW, "bootstrap": True, "seed": 1, "steps": 400, "categories": (CATEGORY.name,)}
    assert {name: given[name] for name in wanted} == wanted
    assert given["learning_rate"] is None


def test_half_trained_students_are_exported_on_demand_alone(copies: Path, tmp_path: Path) -> None:
    run = copies / "student" / "run.json"
    change(run, config={**json.loads(run.read_text())["config"], "steps": 400})
    with pytest.raises(InputError, match=r"at step 2 of 400: go on .*--teacher RUN.*--network last"):
        export(run.parent, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    bundle = export(run.parent, tmp_path / "bundle", network=LAST)
    assert [entry.category for entry in bundle.entries] == [CATEGORY]


def test_students_do_not_go_on_with_other_teachers(sample: PreparedSample, copies: Path) -> None:
    teach(sample, copies)
    one, other = (TrainingRun.open(copies / name).category(CATEGORY) for name in ("one", "other"))
    shutil.copy(one.weights, other.weights)
    change(other.path / "state.json", weights_sha256=sha256(one.weights))
    with pytest.raises(InputError, match="learnt from other weights or another map"):
        teach(sample, copies)


def test_teachers_share_a_map(sample: PreparedSample, copies: Path) -> None:
    folder = TrainingRun.open(copies / "other").category(CATEGORY)
    folder.keep_map(replace(folder.read_map(CATEGORY), facts={}).write)
    with pytest.raises(InputError, match="have different maps"):
        teach(sample, copies)
    # All of them another one than the student had.
    first = TrainingRun.open(copies / "one").category(CATEGORY)
    first.keep_map(replace(first.read_map(CATEGORY), facts={}).write)
    with pytest.raises(InputError, match="learnt from other weights or another map"):
        teach(sample, copies)


@pytest.mark.parametrize("name", ["one", "student"])
def test_trained_weights_keep_their_map(sample: PreparedSample, copies: Path, name: str) -> None:
    def again() -> None:
        if name == "student":
            teach(sample, copies)
        else:
            list(train("flow", sample, copies / name, settings=FLOW, **QUICK))

    folder = TrainingRun.open(copies / name).category(CATEGORY)
    content = folder.map.read_bytes()
    again()
    assert folder.map.read_bytes() == content
    replace(folder.read_map(CATEGORY), facts={}).write(folder.map)
    with pytest.raises(InputError, match=r"map\.npz is missing or not the file that training wrote: bring"):
        again()
    folder.map.unlink()
    with pytest.raises(InputError, match=r"map\.npz is missing or not the file that training wrote: bring"):
        again()
    folder.map.write_bytes(content)
    again()
    change(folder.path / "state.json", map_sha256=None)
    with pytest.raises(InputError, match=r"does not record its map|learnt from other weights or another map"):
        again()


def test_an_interrupted_start_makes_its_map_again(sample: PreparedSample, tmp_path: Path) -> None:
    """A map that nothing was trained with is no obstacle."""
    list(train("flow", sample, tmp_path / "run", settings=FLOW, **{**QUICK, "categories": ["muplus_onaxis"]}))
    folder = TrainingRun.open(tmp_path / "run").category(CATEGORY)
    folder.path.mkdir()
    folder.map.write_bytes(b"half of it")
    list(train("flow", sample, tmp_path / "run", settings=FLOW, **QUICK))
    assert folder.read_map(CATEGORY).coordinates.on_axis is False


def test_what_was_cut_is_told(tmp_path: Path) -> None:
    path = synthetic_sample(tmp_path / "prepared", 3_000, categories=[CATEGORY])
    file = path / f"{CATEGORY.name}.weights.npy"
    weights = np.load(file)
    weights[:5] = 1e4
    np.save(file, weights)
    index = json.loads((path / "prepared.json").read_text())
    index["categories"][CATEGORY.name]["sha256"]["weights"] = sha256(file)
    sample = PreparedSample(path, index)
    (trained,) = train("flow", sample, tmp_path / "run", settings=FLOW, **QUICK)
    (note,) = trained.notes
    assert note.startswith(f"{CATEGORY.name}: unusual weights: ")


def test_flows_and_students_use_the_moving_average() -> None:
    shape = Shape(coordinates=2, drawn=0, on_axis=False)
    config = {"batch": 8, "average": 0.75, "steps": 10}
    teacher = flow.Flow(FlowConfig(hidden=4, layers=1, bins=3, **config), shape, 1)
    real = np.random.default_rng(1).standard_normal((1, 8, 2)).astype(np.float32)
    student = distill.Student(StudentConfig(nodes="4", pairs=100, **config), shape, 1, tf.tanh)
    for trained, average, train_once in (
        (teacher._trained.variables, teacher.density.variables, lambda: teacher.train(real)),
        (student._trained, student.average, lambda: student.train(np.zeros(1))),
    ):
        before = [variable.numpy() for variable in average]
        train_once()
        moved = 0.0
        for old, now, variable in zip(before, average, trained, strict=True):
            np.testing.assert_allclose(now.numpy(), 0.75 * old + 0.25 * variable.numpy(), atol=1e-7)
            moved = max(moved, float(np.abs(now.numpy() - variable.numpy()).max()))
        assert moved > 1e-4


def test_students_see_wider_latents() -> None:
    shape = Shape(coordinates=2, drawn=0, on_axis=False)
    student = distill.Student(StudentConfig(nodes="4", pairs=20_000, batch=8, steps=10), shape, 1, tf.tanh)
    student.train(np.zeros(1))
    latents = student._pairs.numpy()[:, :2]
    # A quarter is 1.5 times as wide.
    assert np.square(latents).mean() == pytest.approx(0.75 + 0.25 * 1.5**2, rel=0.03)


def test_the_graph_keeps_muons_inside_the_widest_circle() -> None:
    made = MuonMap.fit(sample_of(even_muons(4)), START)
    assert isinstance(made.coordinates, Cylinder)
    near = replace(made, coordinates=replace(made.coordinates, widest=0.5))
    generator = distill.build_generator(StudentConfig(nodes="8"), near.shape, 1)
    graph = build_student_graph(generator.get_weights(), near)
    agreement = check_agreement(CATEGORY, generator, near, graph, stream=STREAM)
    assert max(*agreement.keras, *agreement.numpy) < TOLERANCE
