"""The training loop: batches, evaluations, best networks, patience, breaking off and going on."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from synthetic import synthetic_category, synthetic_sample

from shipgen.categories import CATEGORIES
from shipgen.files import sha256
from shipgen_export.backend import configure
from shipgen_export.models.gan import Gan, GanConfig
from shipgen_export.models.vae import build_encoder
from shipgen_export.sample import PreparedSample
from shipgen_export.train import MODELS
from shipgen_export.training.category_folder import LAST, CategoryFolder, read_table
from shipgen_export.training.checkpoints import Checkpoints
from shipgen_export.training.loop import BLOCK, Goal, MuonStream, Watch, train_category
from shipgen_export.training.run_folder import Run, with_span
from shipgen_export.transforms import Normalisation

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.training.category_folder import State

SETTINGS: dict[str, Any] = {"latent": 8, "batch": 20, "layers_g": 1, "layers_d": 1}
NAME = "muplus_onaxis"

#: A model with all that has a state of its own, none of which may be lost.
EVERYTHING: dict[str, dict[str, Any]] = {
    "gan": {
        **SETTINGS,
        "average": 0.9,
        "schedule": "cosine",
        "decay_steps": 40,
        "spectral_norm": True,
        "loss": "wgan-gp",
    },
    "vae": {
        "batch": 20,
        "layers_e": 1,
        "layers_d": 1,
        "average": 0.9,
        "schedule": "exponential",
        "batch_normalisation": True,
        "dropout": 0.1,
    },
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    configure(1)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PreparedSample:
    return PreparedSample.open(synthetic_sample(tmp_path_factory.mktemp("samples") / "prepared", 1000))


def _merits(generator: Any) -> SimpleNamespace:
    """Stand for an evaluation: figures that follow from the weights alone."""
    means = [float(weight.mean()) for weight in generator.get_weights()]
    merits = {"auc": 0.6 + means[0], "auc_error": 0.01, "chi2": None, "overlap": 0.5 + means[1]}
    return SimpleNamespace(merits=merits)


def _tables(folder: CategoryFolder) -> list[list[dict[str, str]]]:
    """Return losses and figures of merit without the times."""
    return [
        [{name: value for name, value in row.items() if name != "seconds"} for row in read_table(file, 10**9)]
        for file in (folder.history, folder.merits)
    ]


@pytest.mark.parametrize("model", MODELS)
def test_broken_off_and_continued_gives_the_same_losses_and_figures(
    sample: PreparedSample, tmp_path: Path, model: str
) -> None:
    kind = MODELS[model]
    config = kind.settings(**EVERYTHING[model])
    watch = Watch(_merits, every=10)
    muons = sample.load(NAME)
    folders = [CategoryFolder(tmp_path / name) for name in ("whole", "parts")]
    for folder, ends in zip(folders, ((40,), (20, 40)), strict=True):
        for end in ends:
            with folder.locked():
                trainer = kind.load(kind.trainer)(config, 4, 1)
                stream = MuonStream(muons, config.real_batch, 1)
                state = train_category(trainer, stream, folder, Goal(steps=end), watch)
    whole, parts = (_tables(folder) for folder in folders)
    assert len(whole[0]) == len(whole[1]) == 4
    assert whole == parts
    assert set(state.best) == {"auc", "overlap"}
    for name in (LAST, "best_auc", "best_overlap"):
        networks = []
        for folder in folders:
            generator = kind.load(kind.generator)(config, 4)
            steps, _ = folder.read_network(name, generator)
            networks.append([np.array(steps), *generator.get_weights()])
            if model == "vae":
                # An encoder belongs to each decoder.
                encoder = build_encoder(config, 4)
                encoder.load_weights(folder.companion(name, "encoder"))
                networks[-1] += encoder.get_weights()
        for a, b in zip(*networks, strict=True):
            np.testing.assert_array_equal(a, b)


class Scripted:
    """Gives figures of merit from a list."""

    def __init__(self, *areas: float) -> None:
        self._areas = iter(areas)

    def __call__(self, generator: Any) -> SimpleNamespace:  # noqa: ARG002
        area = next(self._areas)
        return SimpleNamespace(merits={"auc": area, "auc_error": 0.01, "chi2": None, "overlap": None})


def _watched(sample: PreparedSample, folder: CategoryFolder, watch: Watch, steps: int) -> State:
    config = GanConfig(**SETTINGS)
    with folder.locked():
        stream = MuonStream(sample.load(NAME), config.real_batch, 1)
        return train_category(Gan(config, 4, 1), stream, folder, Goal(steps=steps), watch)


def test_training_ends_when_no_figure_improves(sample: PreparedSample, tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    drawn: list[tuple[int, int]] = []
    watch = Watch(
        Scripted(0.8, 0.7, 0.75, 0.28, 0.71, 0.72),
        every=5,
        patience=3,
        draw=lambda _, losses, merits: drawn.append((len(losses), len(merits))),
    )
    assert _watched(sample, folder, watch, 100).steps == 25
    state = folder.state()
    # 0.28 is 0.22 away from 0.5, 0.7 only 0.2.
    assert state.best["auc"]["steps"] == 10
    assert drawn == [(k, k) for k in range(1, 6)]
    assert state.best["auc"]["sha256"] == sha256(folder.best("auc")) != state.weights_sha256
    # Again: nothing more to do. With more patience it goes on, and the count goes on with it.
    assert _watched(sample, folder, watch, 100).steps == 25
    assert _watched(sample, folder, replace(watch, patience=4), 100).steps == 30


def test_best_network_missed_by_a_crash_is_kept_on_return(
    sample: PreparedSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_best", lambda self: self._folder.state().steps and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _watched(sample, folder, Watch(Scripted(0.7), every=5), 10)
    assert folder.state().best == {}
    _watched(sample, folder, Watch(Scripted(0.8), every=5), 10)
    assert folder.state().best["auc"]["steps"] == 5
    assert [row["step"] for row in read_table(folder.merits, 100)] == ["5", "10"]


def test_figures_after_the_last_checkpoint_are_measured_again(sample: PreparedSample, tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    _watched(sample, folder, Watch(Scripted(0.7, 0.8), every=5), 10)
    folder.merits.write_text(folder.merits.read_text() + "15,9.9,0.5,0.01,,\n")
    _watched(sample, folder, Watch(Scripted(0.9), every=5), 15)
    assert [row["auc"] for row in read_table(folder.merits, 100)] == ["0.7", "0.8", "0.9"]
    assert folder.state().best["auc"]["steps"] == 5


def test_span_is_that_of_a_fresh_fit_and_of_the_run(sample: PreparedSample, tmp_path: Path) -> None:
    for category in (CATEGORIES[0], CATEGORIES[2]):
        muons = synthetic_category(category, 500, seed=1)
        values = muons.features.astype(np.float64)
        found = with_span(muons.normalisation, 0.9)
        expected = Normalisation.fit(category.features, values, 0.9)
        np.testing.assert_allclose(found.forward(values), expected.forward(values), rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            found.forward(values), 0.9 * muons.normalisation.forward(values), atol=1e-12
        )
        np.testing.assert_allclose(found.inverse(found.forward(values)), values, rtol=1e-12, atol=1e-9)
    output = tmp_path / "run"
    config = asdict(GanConfig(**SETTINGS, span=0.9))
    started = Run.start(output, sample, model="gan", config=config, seed=1)
    muons = started.normalised(sample.load(NAME))
    assert np.abs(MuonStream(muons, 500, 1).draw(0, 50)).max() == pytest.approx(0.9, abs=1e-6)
    # What export reads.
    entry = started.sample().index["categories"][NAME]["normalisation"]
    assert entry == muons.normalisation.to_json()
    assert entry["span"] == 0.9


def test_batches_follow_the_weights_and_depend_on_the_step_alone() -> None:
    muons = synthetic_category(CATEGORIES[0], 400, seed=1)
    stream = MuonStream(muons, batch=500, seed=5)
    whole = stream.draw(0, BLOCK)
    np.testing.assert_array_equal(stream.draw(37, 5), whole[37:42])
    assert not np.array_equal(stream.draw(BLOCK, BLOCK), whole)
    assert not np.array_equal(MuonStream(muons, 500, seed=6).draw(0, BLOCK), whole)
    features, weight = muons.part("train")
    normalised = muons.normalisation.forward(features.astype(np.float64)).astype(np.float32)
    values, counts = np.unique(whole[..., 3], return_counts=True)
    expected = np.array([weight[normalised[:, 3] == value].sum() for value in values]) / weight.sum()
    assert len(values) == len(weight)
    # 50,000 draws over some 280 muons: chi2 per degree of freedom.
    chi2 = np.square(counts - whole.shape[0] * 500 * expected) / (whole.shape[0] * 500 * expected)
    assert chi2.mean() == pytest.approx(1, abs=0.35)
