"""Networks of mean factors: what they learn, their graph, and how closure is judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.synthetic import TARGET_START, synthetic_category
from shipgen.bundle.factors import FactorNetwork
from shipgen.errors import BundleError, InputError
from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES
from shipgen_export.variations.closure import closure
from shipgen_export.variations.fit import bin_of, fit, flattening
from shipgen_export.variations.graph import build_factor_graph, check_factor_graph
from shipgen_export.variations.inputs import VariationInputs
from shipgen_export.variations.network import FactorModel

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.sample.sample import CategorySample

#: z where the material changes, from the target's start, cm.
EDGES = (0.0, 8.0, 16.0)


def share(features: Float32) -> Float64:
    """Return how many of the muons at some features come from what is varied."""
    pz, depth = features[:, -1].astype(np.float64), features[:, -4] - TARGET_START
    return (0.2 + 0.5 * np.exp(-(pz - 10) / 20)) * np.where((depth > 8) & (depth < 16), 0.2, 1.0)


@pytest.fixture(scope="module", params=[CATEGORIES[0], CATEGORIES[2]], ids=lambda one: one.name)
def case(request: pytest.FixtureRequest) -> tuple[CategorySample, dict[str, Float32]]:
    """Return a category of 60,000 muons; a share of them that depends on pz and z has a factor of 2."""
    muons = synthetic_category(request.param, 60_000, seed=4)
    random = np.random.default_rng(5)
    source = random.random(len(muons.weights)) < share(muons.features)
    factors = {
        "vary_pairs": np.where(source, 2, 1).astype(np.float32),
        "vary_noise": random.choice([0.9, 1.1], len(source)).astype(np.float32),
        "vary_none": np.ones(len(source), np.float32),
    }
    return muons, factors


def test_a_network_gives_mean_factors(
    case: tuple[CategorySample, dict[str, Float32]], tmp_path: Path
) -> None:
    muons, factors = case
    edges = [TARGET_START + edge for edge in EDGES]
    fitted = fit(
        muons,
        factors,
        TARGET_START,
        edges,
        steps=600,
        hidden=(12, 12),
        others={"vary_smooth": lambda features: np.exp((features[:, -1] - 22) / 100)},
    )
    made = dict(zip(fitted.model.columns, fitted.model(muons.features).T, strict=True))
    assert "vary_none" in fitted.constant
    assert (made["vary_none"] == 1).all()
    # Single muons far out may have more of the noise.
    noise = np.abs(made["vary_noise"] - 1)
    assert np.quantile(noise, 0.999) < 0.05
    assert noise.max() < 0.1
    # Of 42,000 muons a tenth of their spread, 0.45, in any twentieth is 1 %.
    truth = 1 + share(muons.features)
    assert np.sqrt(np.mean((made["vary_pairs"] - truth) ** 2)) < 0.04
    smooth = np.exp((muons.features[:, -1] - 22) / 100)
    assert np.sqrt(np.mean((made["vary_smooth"] - smooth) ** 2)) < 0.02
    # Between the edges nearly none.
    depth = muons.features[:, -4] - TARGET_START
    assert made["vary_pairs"][(depth > 9) & (depth < 15)].mean() == pytest.approx(1.1, abs=0.05)
    file = tmp_path / "f.onnx"
    file.write_bytes(build_factor_graph(fitted.model))
    network = FactorNetwork.load(file, sha256(file), fitted.model.columns, muons.features.shape[1], "cpu")
    assert check_factor_graph(fitted.model, network, muons.features[:5000]) < 1e-4
    far = muons.features[:100] * np.float32(30)
    assert np.allclose(network(np.ascontiguousarray(far.T)).T, fitted.model(far), rtol=1e-3)
    assert (fitted.model(far) <= fitted.model.high).all()
    other = replace(fitted.model, weights=(*fitted.model.weights[:-1], fitted.model.weights[-1] + 0.01))
    with pytest.raises(BundleError, match="differs from its network"):
        check_factor_graph(other, network, muons.features[:5000])


def test_the_same_seed_gives_the_same_network(case: tuple[CategorySample, dict[str, Float32]]) -> None:
    muons, factors = case
    first, second = (fit(muons, factors, TARGET_START, steps=50, hidden=(4,)).model for _ in range(2))
    assert all((a == b).all() for a, b in zip(first.weights, second.weights, strict=True))


def test_odd_factors_are_refused(case: tuple[CategorySample, dict[str, Float32]]) -> None:
    muons, factors = case
    with pytest.raises(InputError, match="vary_bad has a factor that is negative or not finite"):
        fit(muons, {"vary_bad": -factors["vary_pairs"]}, TARGET_START, steps=1)
    with pytest.raises(InputError, match="there is no variation to learn"):
        fit(muons, {}, TARGET_START, steps=1)


def test_tails_are_drawn_as_often_as_the_rest() -> None:
    muons = synthetic_category(CATEGORIES[0], 20_000, seed=6)
    factor = flattening(muons.features, muons.weights, TARGET_START)
    place = bin_of("p", np.linalg.norm(muons.features[:, -3:].astype(np.float64), axis=1))
    before, after = (
        np.bincount(place, weights, minlength=30) / weights.sum()
        for weights in (muons.weights, muons.weights * factor)
    )
    there = before > 0
    assert before[there].min() < 1e-3
    # A quarter of the half that is flat is p's, but for bins that would need more than 30 times as often.
    assert (after[there] > np.minimum(0.1 / 30, 3 * before[there])).all()


def test_closure_counts_bins_that_are_off() -> None:
    muons = synthetic_category(CATEGORIES[2], 30_000, seed=7)
    own = {"vary_a": 1 + 0.5 * np.random.default_rng(1).random(30_000).astype(np.float32)}
    mean = np.full(30_000, 1.25)

    def found(made: Float64) -> tuple[float, int]:
        args = (muons.features, muons.weights, muons.group, own, {"vary_a": made}, TARGET_START)
        one = closure(*args)["vary_a"]
        assert one["bins"] > 80
        assert (one["worst"] is None) == (one["outside"] == 0)
        return one["difference"], one["outside"]

    difference, outside = found(mean)
    assert abs(difference) < 0.003
    # One in twenty of 85 is, and of few muons more.
    assert outside <= 10
    high = np.linalg.norm(muons.features[:, -3:], axis=1) > 40
    difference, outside = found(np.where(high, 1.5, mean))
    assert difference > 0.005
    assert outside > 15


def test_a_table_follows_the_material() -> None:
    muons = synthetic_category(CATEGORIES[2], 30_000, seed=8)
    factors = (1 + share(muons.features)).astype(np.float32)[:, None]
    weights = np.ones(30_000)
    edges = [TARGET_START + edge for edge in EDGES]
    inputs = VariationInputs.fit(muons.features, weights, factors, TARGET_START, edges)
    depth = muons.features[:, -4] - TARGET_START
    place = inputs(muons.features)[:, -1]
    inside = (depth > 8.1) & (depth < 15.9)
    assert np.ptp(place[inside]) == 0
    assert np.abs(place[inside][0] - place[~inside & (depth < 7.9)]).min() > 0.5
    assert np.abs(inputs(muons.features)).max() <= 1 + 1e-9
    # Without edges, by quantiles.
    plain = VariationInputs.fit(muons.features, weights, factors, TARGET_START)
    assert 10 < len(np.unique(plain.table)) <= 40
    bends = np.zeros((7, 1)), np.zeros(1)
    weights = (np.zeros((7, 2)), np.zeros(2), np.zeros((3, 1)), np.ones(1))
    model = FactorModel(("vary_a",), plain, weights, bends, np.ones(1), np.ones(1))
    assert (model(muons.features[:0])).shape == (0, 1)
