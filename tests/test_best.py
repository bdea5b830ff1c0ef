"""Teachers, student and bundle in one go on a small sample; what is refused; the spread of teachers."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from synthetic import synthetic_category, synthetic_sample

import shipgen_export.train
from shipgen.bundle import Bundle
from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen.generator import MuonGenerator
from shipgen_export import best
from shipgen_export.backend import tf
from shipgen_export.sample import PreparedSample
from shipgen_export.train import train
from shipgen_export.training.mapped import Teachers, material_edges, training_weights
from shipgen_export.training.run_folder import Run
from shipgen_export.training.uncertainty import quantities, uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FLOW = {"hidden": 6, "layers": 1, "bins": 4, "batch": 64}
STUDENT = {"nodes": "8", "nodes_on_axis": "8", "pairs": 2000, "batch": 64}
AUC = {"auc": 0.6, "auc_error": 0.01}
MERIT = {**AUC, "chi2": None, "overlap": 0.9, "control": AUC}
QUICK: dict[str, Any] = {"steps": 2, "pictures": False, "measured": False}
GAN = {"latent": 4, "batch": 20, "layers_g": 1, "layers_d": 1}


@contextmanager
def in_this_process(
    work: Callable[[Any], Any],
    tasks: Iterable[Any],
    cores: int,  # noqa: ARG001
) -> Iterator[Iterator[Any]]:
    yield map(work, tasks)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No compilation, which takes longer than these few steps; no long measure; no processes."""
    monkeypatch.setattr(best, "in_order", in_this_process)
    monkeypatch.setattr(shipgen_export.train, "measure", lambda *_: MERIT)
    monkeypatch.setattr(best, "uncertainty", partial(uncertainty, made=2000))
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 1500)


def run(prepared: Path, output: Path, **options: Any) -> list[Any]:
    steps = {"teacher_steps": 3, "student_steps": 3}
    given = {**steps, "teachers": 2, "flow": FLOW, "student": STUDENT, **options}
    return list(best.train_best(prepared, output, **given))


def test_all_of_it_leaves_a_bundle(prepared: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    plan, *lines, bundle = run(prepared, output)
    assert plan == "8 flows of 3 steps, then 4 networks of 3 steps that learn from them; 1 at a time"
    assert len(lines) == 3 * len(CATEGORIES)
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
    # Bootstrap samples are not the sample, and what is there is not trained again.
    runs = [Run.open(output / name) for name in ("teacher-1", "teacher-2")]
    assert [one.index["config"]["bootstrap"] for one in runs] == [False, True]
    assert all("finished before" in line for line in run(prepared, output)[1:-1])
    with pytest.raises(InputError, match="trained with steps 3, but 4 is asked for"):
        run(prepared, output, teacher_steps=4)


def test_what_cannot_be_trained_is_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="take 2 or more"):
        run(prepared, tmp_path / "one", teachers=1)
    partial = synthetic_sample(tmp_path / "partial", 500, categories=CATEGORIES[:2])
    with pytest.raises(InputError, match="no muons of muplus_offaxis, muminus_offaxis"):
        run(partial, tmp_path / "three")
    assert not (tmp_path / "three").exists()
    with pytest.raises(InputError, match="cannot be made"):
        run(prepared, tmp_path / "no" / "folder")


def test_students_need_flows_of_the_same_sample(prepared: Path, tmp_path: Path) -> None:
    sample = PreparedSample.open(prepared)
    options = {**QUICK, "categories": ["muplus_onaxis"]}
    taught = {**options, "settings": STUDENT, "teachers": [tmp_path / "flow"]}
    list(train("flow", sample, tmp_path / "flow", settings=FLOW, **options))
    with pytest.raises(InputError, match="needs teachers"):
        list(train("distill", sample, tmp_path / "s", **{**taught, "teachers": []}))
    list(train("gan", sample, tmp_path / "gan", settings=GAN, **options))
    with pytest.raises(InputError, match="not of a flow"):
        list(train("distill", sample, tmp_path / "s", **{**taught, "teachers": [tmp_path / "gan"]}))
    other = PreparedSample.open(synthetic_sample(tmp_path / "other", 500, seed=2))
    with pytest.raises(InputError, match="another prepared sample"):
        list(train("distill", other, tmp_path / "s", **taught))
    with pytest.raises(InputError, match="no flow of muminus_onaxis"):
        list(train("distill", sample, tmp_path / "s", **{**taught, "categories": ["muminus_onaxis"]}))
    with pytest.raises(InputError, match="give --steps, not --minutes"):
        list(train("flow", sample, tmp_path / "f", minutes=1, **{**options, "steps": None}))


def test_mean_of_teachers(prepared: Path, tmp_path: Path) -> None:
    sample = PreparedSample.open(prepared)
    paths = [tmp_path / "1", tmp_path / "2"]
    for seed, path in enumerate(paths):
        options = {**QUICK, "categories": ["muplus_offaxis"], "settings": FLOW, "seed": seed}
        list(train("flow", sample, path, **options))
    teachers = Teachers.open(paths, sample)
    category = next(each for each in CATEGORIES if each.name == "muplus_offaxis")
    latent = np.random.default_rng(1).standard_normal((100, 7)).astype(np.float32)
    each = [network(latent).numpy()[:, :5] for network in teachers.networks(category)]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(teachers.mean(category)(latent[:, :5]), np.mean(each, 0), atol=1e-5)


def test_bootstrap_counts_protons() -> None:
    muons = synthetic_category(CATEGORIES[0], 20_000, 1)
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


def test_uncertainty_is_the_spread_of_the_teachers() -> None:
    muons = synthetic_category(CATEGORIES[0], 30_000, 3)

    class Shifted:
        """Makes the sample's normalised muons again, all of one feature moved."""

        input_shape = (None, 4)

        def __init__(self, by: float) -> None:
            self._by = by

        def __call__(self, latent: Any, training: bool) -> Any:
            assert not training
            made = muons.normalisation.forward(muons.features[: len(latent)].astype(np.float64))
            return made + np.array([self._by, 0, 0, 0])

    found = uncertainty(muons, -7084.5, Shifted(0), [Shifted(-0.01), Shifted(0), Shifted(0.01)], 1, 10_000)
    depth, p = (found["quantities"][name] for name in ("mean z from the start, cm", "mean p, GeV"))
    width = float(muons.normalisation.maximum[0] - muons.normalisation.minimum[0])
    assert depth["spread"] == pytest.approx(0.01 * width / 2, rel=1e-3)
    assert depth["mean"] == pytest.approx(depth["student"], abs=1e-3)
    assert p["spread"] < 1e-6
    # The error of a weighted mean of muons that are independent, about two a proton.
    values, weights = quantities(muons.features.astype(np.float64), -7084.5)["mean p, GeV"], muons.weights
    plain = np.sqrt(np.square(weights * (values - p["sample"])).sum()) / weights.sum()
    assert p["error"] == pytest.approx(plain, rel=0.1)


def test_interrupted_training_says_how_to_go_on(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(best, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"kept in .*out: run the same command again to go on"):
        run(prepared, tmp_path / "out")
