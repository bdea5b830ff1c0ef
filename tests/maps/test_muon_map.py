"""Muons as normal numbers and back; unusual weights; files; the graph of a student."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.even_muons import CASES, MUONS, START, category_sample, even_muons
from shipgen.errors import InputError
from shipgen.muons.categories import category_by_name
from shipgen_export.maps.coordinates import Cylinder
from shipgen_export.maps.muon_map import MuonMap, tame, without_upstream
from shipgen_export.maps.smoothing import LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.sample.sample import CategorySample


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, CategorySample, MuonMap]:
    muons, name, _ = CASES[request.param]
    sample = category_sample(muons, name)
    return request.param, sample, MuonMap.fit(sample, START)


def test_coordinates_suit_the_sample(case: tuple[str, CategorySample, MuonMap]) -> None:
    name, sample, made = case
    kind, drawn = CASES[name][2]
    assert isinstance(made.coordinates, kind)
    assert made.shape[1:] == (drawn, sample.category.on_axis)
    # As many numbers as features but those that symmetry gives, or with a direction for them.
    assert made.shape.coordinates == len(made.coordinates.names) == len(made.marginals)


def test_each_number_is_normal(case: tuple[str, CategorySample, MuonMap]) -> None:
    _, sample, made = case
    features, weights = sample.part("train")
    normal = made.forward(features.astype(np.float64))
    mean = np.average(normal, axis=0, weights=weights)
    variance = np.average(normal**2, axis=0, weights=weights)
    error = np.sqrt(2 / len(weights))
    np.testing.assert_allclose(mean, 0, atol=4 * error)
    np.testing.assert_allclose(variance, 1, atol=4 * error)


def test_there_and_back(case: tuple[str, CategorySample, MuonMap]) -> None:
    """What symmetry does not decide comes back; the rest is turned or mirrored."""
    _, sample, made = case
    features = sample.part("train")[0].astype(np.float64)
    normal = made.forward(features)
    drawn = np.random.default_rng(5).standard_normal((len(normal), made.shape.drawn))
    back = made.inverse(np.concatenate([normal, drawn], 1))
    first, second = (made.coordinates.forward(each) for each in (features, back))
    inside = (np.abs(normal) < LIMIT - 1).all(1)
    assert inside.mean() > 0.99
    np.testing.assert_allclose(second[inside], first[inside], rtol=1e-4, atol=2e-3)


def test_written_and_read(case: tuple[str, CategorySample, MuonMap], tmp_path: Path) -> None:
    _, sample, made = case
    file = tmp_path / "map.npz"
    made.write(file)
    again = MuonMap.read(file, sample.category)
    normal = np.random.default_rng(6).standard_normal((1000, sum(made.shape[:2])))
    np.testing.assert_array_equal(again.inverse(normal), made.inverse(normal))
    assert again.facts == json.loads(json.dumps(made.facts))
    other = "muplus_offaxis" if sample.category.on_axis else "muplus_onaxis"
    with pytest.raises(InputError, match=f"not of category {other}"):
        MuonMap.read(file, category_by_name(other))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match="train the category again"):
        MuonMap.read(file, sample.category)


def test_edges_of_the_target_are_marks() -> None:
    """A gap with hardly any muons stays as empty as it is."""
    random = np.random.default_rng(7)
    muons = even_muons(4)
    depth = random.uniform(0, 20, MUONS)
    depth = np.where((depth > 8) & (depth < 8.5) & (random.random(MUONS) < 0.95), depth - 4, depth)
    muons[:, 2] = START + depth
    sample = category_sample(muons)
    made = MuonMap.fit(sample, START, (START, START + 8, START + 8.5, START + 20))
    inside = [
        np.average((z > START + 8) & (z < START + 8.5), weights=weights)
        for z, weights in (
            (sample.part("train")[0][:, 2].astype(np.float64), sample.part("train")[1]),
            (made.inverse(random.standard_normal((200_000, 7)))[:, 2], None),
        )
    ]
    assert 0 < inside[0] < 0.004
    assert inside[1] == pytest.approx(inside[0], abs=3 * np.sqrt(2 * inside[0] / 40_000))


def test_usual_weights_stay() -> None:
    weights = np.random.default_rng(8).exponential(1, 50_000)
    tamed, unusual = tame(weights)
    assert unusual is None
    np.testing.assert_array_equal(tamed, weights)


def test_single_huge_weights_are_cut_and_told() -> None:
    weights = np.random.default_rng(8).exponential(1, 50_000)
    weights[[7, 70]] = 5_000, 800
    tamed, unusual = tame(weights)
    assert unusual is not None
    assert unusual.muons == 2
    assert np.square(tamed).max() <= 1.01e-2 * np.square(tamed).sum()
    assert unusual.share == pytest.approx((weights - tamed).sum() / weights.sum())
    made = MuonMap.fit(replace(category_sample(even_muons(9)[:50_000]), weights=weights), START)
    assert made.facts["unusual_weights"]["muons"] in {1, 2}


def test_few_muons_that_fly_upstream_are_left_out_and_told() -> None:
    muons = even_muons(9)
    sample = category_sample(muons)
    train, other = (int(np.flatnonzero(sample.split == part)[0]) for part in (0, 1))
    muons[[train, other], 5] *= -1
    sample = category_sample(muons)
    made = MuonMap.fit(sample, START)
    assert isinstance(made.coordinates, Cylinder)
    left_out = made.facts["left_out"]
    assert left_out["muons"] == 1
    assert left_out["share"] == pytest.approx(sample.weights[train] / sample.part("train")[1].sum())
    kept, _ = without_upstream(sample)
    assert len(kept.weights) == len(muons) - 1
    # What a network is compared with has all its muons.
    assert (kept.features[kept.split == 1, 5] < 0).sum() == 1


def test_muons_at_one_place_have_a_map() -> None:
    muons = even_muons(10)
    muons[:, :2] = 0.0
    made = MuonMap.fit(category_sample(muons), START)
    back = made.inverse(made.forward(muons[:1000]))
    np.testing.assert_allclose(back[:, :2], 0.0, atol=1e-9)
