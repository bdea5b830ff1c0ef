from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen_export.backend import tf
from shipgen_export.maps.coordinates import Shape
from shipgen_export.models.by_size import flow_of_size, patience
from shipgen_export.models.flow import Density, Flow, FlowConfig

if TYPE_CHECKING:
    from pathlib import Path

SMALL = FlowConfig(hidden=32, bins=8, batch=512, steps=400, average=0.98)
TINY = FlowConfig(hidden=8, layers=1, bins=4, batch=64, steps=100)
N = 4096


def random_density(coordinates: int, seed: int, size: float = 0.3) -> Density:
    """A density far from its start, so that tests see all of it."""
    density = Density(SMALL, coordinates, seed)
    random = np.random.default_rng(seed)
    for variable in density.variables:
        variable.assign_add(random.normal(0, size, variable.shape).astype(np.float32))
    return density


def ring(n: int, seed: int) -> np.ndarray:
    """Two coordinates on a blurred parabola and a third that depends on neither."""
    random = np.random.default_rng(seed)
    x, noise, other = random.standard_normal((3, n))
    return np.stack([x, 0.5 * (x**2 - 1) + 0.3 * noise, other], 1).astype(np.float32)


@pytest.mark.parametrize("coordinates", [3, 5])
def test_latents_become_muons_and_back(coordinates: int) -> None:
    density = random_density(coordinates, 1)
    latent = np.random.default_rng(2).standard_normal((N, coordinates)).astype(np.float32)
    np.testing.assert_allclose(density.latent(density.sample(latent)), latent, atol=2e-3)


def test_the_loss_is_the_change_of_volume() -> None:
    """The density that the loss stands for integrates to 1."""
    density = random_density(3, 3, size=0.1)
    normal = np.random.default_rng(4).uniform(-4.9, 4.9, (200_000, 3)).astype(np.float32)
    one_by_one = tf.vectorized_map(lambda row: density.loss(row[None]), tf.constant(normal))
    reference = -0.5 * (normal**2).sum(1) - 1.5 * np.log(2 * np.pi)
    values = np.exp(reference - one_by_one.numpy())
    integral, error = values.mean() * 9.8**3, values.std() / np.sqrt(len(values)) * 9.8**3
    assert integral == pytest.approx(1, abs=4 * error + 1e-3)


def test_training_finds_the_density() -> None:
    flow = Flow(SMALL, Shape(3, 0, on_axis=False), seed=5)
    losses = np.concatenate([flow.train(ring(40 * 512, k).reshape(40, 512, 3))["loss"] for k in range(10)])
    # -log of the conditional density over the normal one: log(0.3) + 1/2 - <y^2> / 2, with <y^2> = 0.59.
    assert losses[-40:].mean() == pytest.approx(np.log(0.3) + 0.5 - 0.295, abs=0.06)
    made = flow.density.sample(
        np.random.default_rng(6).standard_normal((20_000, 3)).astype(np.float32)
    ).numpy()
    residual = made[:, 1] - 0.5 * (made[:, 0] ** 2 - 1)
    # Beyond two standard deviations there was little to learn from.
    assert residual[abs(made[:, 0]) < 2].std() == pytest.approx(0.3, abs=0.04)
    assert abs(np.corrcoef(made[:, 2], made[:, 1])[0, 1]) < 0.03


def test_the_best_for_muons_held_out_is_kept(tmp_path: Path) -> None:
    """Few muons are learnt by heart: of the steps looked at the best is used, also after a restart."""
    few, others = ring(64, 11)[:, :2], ring(5_000, 12)[:, :2]
    config = FlowConfig(hidden=32, bins=12, batch=64, steps=600, average=0.9, learning_rate=1e-2)
    flow = Flow(config, Shape(2, 0, on_axis=False), seed=1, held_out=others)
    losses, saved = [], ""
    for _ in range(6):
        flow.train(np.broadcast_to(few, (100, *few.shape)))
        losses.append(float(flow.density.loss(others)))
        saved = saved or tf.train.Checkpoint(**flow.parts).save(f"{tmp_path}/checkpoint")
    assert losses[-1] > min(losses) + 0.1
    assert float(flow.least) == pytest.approx(min(losses), abs=1e-5)
    best = Density(config, 2)
    for variable, value in zip(best.variables, flow.generator.get_weights(), strict=True):
        variable.assign(value)
    assert float(best.loss(others)) == pytest.approx(min(losses), abs=1e-5)
    again = Flow(config, Shape(2, 0, on_axis=False), seed=2, held_out=others)
    tf.train.Checkpoint(**again.parts).restore(saved).assert_existing_objects_matched()
    assert float(again.least) == pytest.approx(losses[0], abs=1e-5)
    # Between the steps that are looked at, nothing changes.
    before = again.generator.get_weights()
    again.train(few[None])
    for old, new in zip(before, again.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_last_step_is_used_where_muons_held_out_do_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they do not of a large sample; where they do, it is not."""
    for loss, used in ((0.5004, True), (0.51, False)):
        flow = Flow(TINY, Shape(2, 0, on_axis=False), seed=1, held_out=ring(64, 1)[:, :2])
        flow.least.assign(0.5)
        monkeypatch.setattr(flow, "_judge", lambda _, loss=loss: loss)
        first = flow.generator.get_weights()
        flow.train(np.broadcast_to(ring(64, 2)[:, :2], (TINY.steps, 64, 2)))
        changed = [
            bool((old != new).any()) for old, new in zip(first, flow.generator.get_weights(), strict=True)
        ]
        assert any(changed) == used
        assert float(flow.least) == 0.5


def test_training_ends_when_muons_held_out_become_no_likelier() -> None:
    """Of few muons more steps are for nothing, long before those that are planned."""
    few, others = ring(64, 11)[:, :2], ring(5_000, 12)[:, :2]
    config = FlowConfig(hidden=32, bins=12, batch=64, steps=1200, average=0.9, learning_rate=1e-2)
    flow = Flow(config, Shape(2, 0, on_axis=False), seed=1, held_out=others)
    while not flow.ended:
        flow.train(np.broadcast_to(few, (100, *few.shape)))
    assert int(flow.step) - int(flow.best_step) == patience(config)
    assert int(flow.step) < config.steps
    endless = Flow(config, Shape(2, 0, on_axis=False), seed=1)
    endless.train(few[None])
    assert not endless.ended


def test_a_flow_starts_from_another_and_is_no_worse_for_muons_held_out() -> None:
    others = ring(5_000, 12)
    start = [variable.numpy() for variable in random_density(3, 1, size=0.1).variables]
    config = FlowConfig(hidden=32, bins=8, batch=64, steps=100, learning_rate=1.0)
    flow = Flow(config, Shape(3, 0, on_axis=False), seed=2, held_out=others, start=start)
    least = float(flow.least)
    for value, used in zip(start, flow.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(value, used)
    # Steps much too large make it worse.
    flow.train(np.broadcast_to(ring(64, 3), (100, 64, 3)))
    assert float(flow.density.loss(others)) > least
    assert float(flow.least) == least
    for value, used in zip(start, flow.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(value, used)


@pytest.mark.parametrize(
    ("protons", "moves"),
    [("a muon each", True), ("four", False), ("one", False)],
    ids=str,
)
def test_a_start_is_left_when_protons_held_out_are_sure(protons: str, moves: bool) -> None:
    """The same steps make the same muons likelier; four protons of which one has most muons do not tell."""
    others = ring(2_000, 15)[:, :2]
    four = np.arange(2_000) % 400 % 4 * (np.arange(2_000) < 400)
    of = {"a muon each": None, "four": four, "one": np.zeros(2_000, np.int64)}[protons]
    start = [variable.numpy() for variable in Density(TINY, 2, seed=3).variables]
    flow = Flow(TINY, Shape(2, 0, on_axis=False), 1, others, start, of)
    before = float(flow.least)
    flow.train(ring(TINY.steps * 64, 16)[:, :2].reshape(-1, 64, 2))
    assert float(flow.latest) < before - 0.05
    changed = [(one != two).any() for one, two in zip(start, flow.generator.get_weights(), strict=True)]
    assert any(changed) is moves


def test_a_checkpoint_goes_on_where_it_stopped(tmp_path: Path) -> None:
    batches = ring(6 * 64, 8)[:, :2].reshape(6, 64, 2)
    whole = Flow(TINY, Shape(2, 0, on_axis=False), seed=1)
    expected = whole.train(batches)["loss"]
    first = Flow(TINY, Shape(2, 0, on_axis=False), seed=1)
    first.train(batches[:3])
    saved = tf.train.Checkpoint(**first.parts).save(f"{tmp_path}/checkpoint")
    second = Flow(TINY, Shape(2, 0, on_axis=False), seed=9)
    assert (second.density.variables[0].numpy() != first.density.variables[0].numpy()).any()
    tf.train.Checkpoint(**second.parts).restore(saved).assert_existing_objects_matched()
    np.testing.assert_array_equal(second.train(batches[3:])["loss"], expected[3:])
    for one, two in zip(second.density.variables, whole.density.variables, strict=True):
        np.testing.assert_array_equal(one, two)


def test_steps_go_by_the_size_of_the_sample() -> None:
    config = FlowConfig(steps=6_000)
    steps = [flow_of_size(config, muons).steps for muons in (5e3, 2e4, 1e5, 1e6)]
    assert steps == [600, 600, 2_900, 6_000]
    assert flow_of_size(FlowConfig(steps=100), 5e3).steps == 100
    assert flow_of_size(FlowConfig(steps=6_000, as_given=True), 5e3).steps == 6_000
    fine = flow_of_size(config, 5e3, FlowConfig(hidden=8, bins=6))
    assert (fine.hidden, fine.bins, fine.steps) == (8, 6, 600)
    assert fine.learning_rate < config.learning_rate


@pytest.mark.parametrize("changed", [{"hidden": 0}, {"bins": 1}, {"average": 1.0}, {"batch": 0}])
def test_settings_that_make_no_flow_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(changed))):
        FlowConfig(**changed)  # type: ignore[arg-type]
