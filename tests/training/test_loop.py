"""The training loop: batches, evaluations, best networks, patience, breaking off and going on."""

from __future__ import annotations

import signal
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.counter import Counter, Scripted, steps_of, watched
from helpers.gans import eager, narrow  # noqa: F401
from helpers.synthetic import synthetic_category, synthetic_sample
from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES
from shipgen_export.merit.merits import COLUMNS, best_steps, rows_since_best
from shipgen_export.models.gan import GanConfig
from shipgen_export.models.kinds import model_by_name
from shipgen_export.models.vae import build_encoder
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.sample.transforms import Normalisation
from shipgen_export.training.loop import (
    BLOCK,
    Goal,
    MuonStream,
    StepsAlone,
    Stopped,
    Watch,
    _deferred_interrupts,
    train_category,
)
from shipgen_export.training.run.category_folder import LAST, CategoryFolder, read_table
from shipgen_export.training.run.run_folder import TrainingRun, with_span

if TYPE_CHECKING:
    from pathlib import Path


SETTINGS: dict[str, Any] = {"latent": 8, "batch": 20, "layers_g": 1, "layers_d": 1}
NAME = "muplus_onaxis"

#: A model with all that has a state of its own, none of which may be lost.
EVERYTHING: dict[str, dict[str, Any]] = {
    "gan": {
        **SETTINGS,
        "average": 0.9,
        "schedule": "cosine",
        "decay_steps": 4,
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


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("model", EVERYTHING)
def test_broken_off_and_continued_gives_the_same_losses_and_figures(
    sample: PreparedSample, tmp_path: Path, model: str
) -> None:
    kind = model_by_name(model)
    config = kind.settings(**EVERYTHING[model])
    watch = Watch(_merits, every=1)
    muons = sample.load(NAME)
    folders = [CategoryFolder(tmp_path / name) for name in ("whole", "parts")]
    for folder, ends in zip(folders, ((4,), (2, 4)), strict=True):
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
            generator = kind.build(config, 4)
            steps, _ = folder.read_network(name, generator)
            networks.append([np.array(steps), *generator.get_weights()])
            if model == "vae":
                # An encoder belongs to each decoder.
                encoder = build_encoder(config, 4)
                folder.read_companion(name, "encoder", encoder)
                networks[-1] += encoder.get_weights()
        for a, b in zip(*networks, strict=True):
            np.testing.assert_array_equal(a, b)


class Interrupting(StepsAlone):
    """Sends `signals` to this process while step 101 to 200 is prepared."""

    def __init__(self, *signals: int) -> None:
        self._signals = signals

    def draw(self, step: int, count: int) -> Any:
        if step == BLOCK:
            for number in self._signals:
                signal.raise_signal(number)
        return super().draw(step, count)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_end_a_step_and_say_where_it_goes_on(tmp_path: Path, number: int) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    handler = signal.getsignal(number)
    with (
        folder.locked(),
        pytest.raises(Stopped, match=r"step 200 of muons is saved in .*run the same command again"),
    ):
        train_category(Counter(), Interrupting(number), folder, Goal(steps=250))
    assert signal.getsignal(number) is handler
    assert folder.state().steps == folder.state().weights_steps == 200
    assert watched(folder, None, 250).steps == 250
    assert steps_of(folder.history) == ["100", "200", "250"]


def test_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    with folder.locked(), pytest.raises(KeyboardInterrupt) as caught:
        train_category(Counter(), Interrupting(signal.SIGINT, signal.SIGINT), folder, Goal(steps=250))
    assert not isinstance(caught.value, Stopped)
    assert folder.state().steps == 0


def test_no_step_is_done_for_nothing(tmp_path: Path) -> None:
    """What has ended stays so, and counts as finished."""
    folder = CategoryFolder(tmp_path / NAME)
    for _ in range(2):
        state = watched(folder, None, steps=1_000, useful=150)
        assert (state.steps, state.weights_steps, state.ended) == (200, 200, True)
    assert not watched(CategoryFolder(tmp_path / "other"), None, steps=100).ended


def test_minutes_are_kept(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    reached = []
    for seconds in (0.4, 0.2):
        with folder.locked():
            reached.append(train_category(Counter(), StepsAlone(), folder, Goal(seconds=seconds)))
    assert reached[0].steps >= BLOCK
    assert 0.4 <= reached[0].seconds < 10
    assert reached[1].steps > reached[0].steps
    # Rounded to tenths where losses are written.
    assert reached[1].seconds >= reached[0].seconds + 0.1


def test_training_ends_when_no_figure_improves(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    drawn: list[tuple[int, int]] = []
    watch = Watch(
        Scripted(0.8, 0.7, 0.75, 0.28, 0.71, 0.72),
        every=5,
        patience=3,
        draw=lambda _, losses, merits: drawn.append((len(losses), len(merits))),
    )
    assert watched(folder, watch, 100).steps == 25
    state = folder.state()
    # 0.28 is 0.22 away from 0.5, 0.7 only 0.2.
    assert state.best["auc"]["steps"] == 10
    assert drawn == [(k, k) for k in range(1, 6)]
    assert state.best["auc"]["sha256"] == sha256(folder.best("auc")) != state.weights_sha256
    # Again: nothing more to do. With more patience it goes on, and the count goes on with it.
    assert watched(folder, watch, 100).steps == 25
    assert watched(folder, replace(watch, patience=4), 100).steps == 30


def test_evaluations_at_the_ends_of_calls_do_not_wear_out_patience(tmp_path: Path) -> None:
    folder = CategoryFolder(tmp_path / "muons")
    watch = Watch(Scripted(0.7, *[0.8] * 5, 0.6, *[0.8] * 4), every=5, patience=2)
    # After 1, 2, 3, 4, 5, 6 and 7 steps; of those without improvement only that after 5 counts.
    for end in (1, 2, 3, 4, 6):
        assert watched(folder, watch, end).steps == end
    # It may be the best all the same, and then the count starts anew: 10 and 15 are the next two.
    assert watched(folder, watch, 7).best["auc"]["steps"] == 7
    assert watched(folder, watch, 100).steps == 15
    assert steps_of(folder.merits) == ["1", "2", "3", "4", "5", "6", "7", "10", "15"]
    rows = [{"step": str(step), "auc": "0.7"} for step in (3, 5, 6, 10, 12)]
    assert (rows_since_best(rows, 5), rows_since_best(rows)) == (2, 4)


def test_a_network_is_not_the_best_by_a_chi2_of_few_muons() -> None:
    row = {"step": "5", "chi2": "40.0", "chi2_bins": "90", "chi2_share": "0.9"}
    # Nearly disjoint, but for one bin in which the two happen to agree.
    disjoint = {"step": "10", "chi2": "0.1", "chi2_bins": "1", "chi2_share": "0.01"}
    assert best_steps([row, disjoint]) == {"chi2": 5}
    assert best_steps([disjoint]) == {}
    assert best_steps([row, {**disjoint, "chi2_share": "0.5"}]) == {"chi2": 10}
    assert {"chi2_bins", "chi2_share"} < {*COLUMNS}


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
    started = TrainingRun.start(output, sample, model="gan", config=config, seed=1)
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


def test_ignored_signals_stay_ignored() -> None:
    """A worker's Ctrl-C is its parent's to handle; SIGTERM is what ends it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _deferred_interrupts() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
            signal.raise_signal(signal.SIGTERM)
            assert interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
