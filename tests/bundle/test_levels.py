"""Latents as sums of levels: normal by themselves and together, the same whatever draws them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from helpers.bundles import edit_index, parameters, write_levelled_bundle, write_test_bundle
from shipgen import Bundle, MuonGenerator
from shipgen.bundle.levels import EIGHT, LEVELLED, LEVELS, fill, levels_of, mixing
from shipgen.errors import BundleError
from shipgen.generate.chunks import BATCH_SIZE, draw_latents
from shipgen.generate.streams import LATENT, stream

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.columns import Float64

#: Mean of the powers 2, 4, 6, 8 of a normal number.
MOMENTS = {2: 1, 4: 3, 6: 15, 8: 105}


def distribution(levels: Float64) -> tuple[Float64, Float64]:
    """Return places and probabilities of the sum of eight levels over the root of eight, on a fine grid."""
    step, half = 2.0**-9, 16
    place = (levels / np.sqrt(EIGHT) + half) / step
    below = place.astype(np.int64)
    single = np.bincount(below, 1 - (place - below), minlength=int(2 * half / step))
    single += np.bincount(below + 1, place - below, minlength=len(single))
    power = np.fft.rfft(np.roll(single / len(levels), -len(single) // 2)) ** EIGHT
    together = np.roll(np.fft.irfft(power, len(single)), len(single) // 2)
    return np.arange(len(single)) * step - half, together


def test_levels_have_the_moments_of_a_normal_number() -> None:
    levels = LEVELS.astype(np.float64)
    assert (np.diff(levels) > 0).all()
    np.testing.assert_array_equal(levels, -levels[::-1])
    for power, expected in MOMENTS.items():
        assert (levels**power).mean() == pytest.approx(expected, rel=1e-6)


def test_sums_are_normal_to_five_deviations() -> None:
    """Computed, not drawn: the share beyond each distance, and the whole distribution."""
    place, probability = distribution(LEVELS.astype(np.float64))
    # A grid point stands for half a step to each side.
    beyond = np.cumsum(probability[::-1])[::-1]
    expected = stats.norm.sf(place - 2.0**-10)
    assert np.abs(beyond - expected).max() < 2e-5
    limits = {1: 1e-4, 2: 1e-4, 3: 1e-4, 4: 1e-3, 4.5: 1e-3, 5: 5e-3, 5.5: 2e-2}
    for distance, allowed in limits.items():
        at = int(np.searchsorted(place, distance))
        assert beyond[at] == pytest.approx(expected[at], rel=allowed)


@pytest.mark.parametrize("latents", [1, 5, 7, 8, 9, 20])
def test_sums_are_independent(latents: int) -> None:
    rows = mixing(latents)
    assert rows.shape == (latents, levels_of(latents))
    np.testing.assert_allclose(rows @ rows.T, np.eye(latents), atol=1e-12)
    assert set(np.abs(rows).round(12).ravel()) <= {0.0, round(8**-0.5, 12)}
    assert (np.count_nonzero(rows, axis=1) == EIGHT).all()


def test_drawn_latents_are_normal_together() -> None:
    """3e6 numbers of 16 streams: moments, tails, products, squares and radii of pairs, neighbours."""
    n = 25_000
    drawn = [
        fill(stream(1, chunk, LATENT + 3).bit_generator.random_raw(n), np.empty((EIGHT, n), np.float32))
        for chunk in range(16)
    ]
    latents = mixing(EIGHT) @ np.concatenate(drawn, axis=1).astype(np.float64)
    n = latents.shape[1]
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)):
        assert np.abs((latents**power).mean(1) - expected).max() < 5 * np.sqrt(variance / n)
    for limit in (3.0, 4.0):
        tail = 2 * stats.norm.sf(limit)
        assert abs((np.abs(latents) > limit).mean() - tail) < 5 * np.sqrt(tail / latents.size)
    assert all(stats.kstest(row[::4], "norm").pvalue > 1e-4 for row in latents)
    for shape in (latents, latents**2 - 1, np.abs(latents) - np.sqrt(2 / np.pi)):
        correlations = np.corrcoef(shape)
        np.fill_diagonal(correlations, 0)
        assert np.abs(correlations).max() < 5 / np.sqrt(n)
        for lag in (1, 2, 7):
            along = (shape[:, lag:] * shape[:, :-lag]).mean(1) / shape.var(1)
            assert np.abs(along).max() < 5 / np.sqrt(n)
    # Azimuth and side of a muon come from two of them; the sum of all squares shows the levels' corners.
    radius = latents[5] ** 2 + latents[6] ** 2
    assert stats.kstest(radius[::4], "chi2", (2,)).pvalue > 1e-4
    azimuth = np.arctan2(latents[6], latents[5])
    assert stats.kstest(azimuth[::4], "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-4
    assert abs((radius > 2 * np.log(2)).mean() - 0.5) < 2.5 / np.sqrt(n)
    assert stats.kstest((latents[:5] ** 2).sum(0)[::4], "chi2", (5,)).pvalue > 1e-4


def test_no_value_comes_twice_as_often_as_others() -> None:
    """No comb: of many sums hardly two are equal, and fine cells hold as many."""
    n = 2**18
    levels = fill(stream(3, 0, LATENT).bit_generator.random_raw(n), np.empty((EIGHT, n), np.float32))
    first = (mixing(1).astype(np.float32) @ levels)[0]
    # Of as many uniform ones, in float32's steps of 2**-24 to 2**-22, one in 100 would come twice.
    values, counts = np.unique(first, return_counts=True)
    assert len(values) > 0.98 * n
    assert counts.max() < 6
    cells = np.histogram(first, np.linspace(-0.1, 0.1, 2_001))[0]
    assert stats.chisquare(cells).pvalue > 1e-4


def test_levels_are_bytes_of_words_row_by_row() -> None:
    words = np.array([0x0706050403020100, 0x0F0E0D0C0B0A0908, 1, 2], np.uint64)
    found = fill(words, np.empty((EIGHT, 4), np.float32))
    np.testing.assert_array_equal(found[0], LEVELS[:4])
    np.testing.assert_array_equal(found[1], LEVELS[4:8])
    np.testing.assert_array_equal(found[3], LEVELS[12:16])
    assert found[4, 0] == LEVELS[1]


def test_a_bundle_asks_for_levels(tmp_path: Path) -> None:
    """Its muons are those of the sums, batch after batch, whatever is asked for at once."""
    bundle = write_levelled_bundle(tmp_path / "levels")
    entries = json.loads((bundle.path / "bundle.json").read_text())["categories"]
    assert {entry["stream"] for entry in entries} == {entry.stream for entry in bundle.entries} == {LEVELLED}
    network, entry = bundle.networks[2], bundle.entries[2]
    assert (network.latent_size, network.drawn_shape(3), network.latent_shape(3)) == (6, (8, 3), (6, 3))
    sizes = (BATCH_SIZE, 500)
    rng = stream(1, 0, LATENT + 3)
    pieces = [draw_latents(network, rng, size) for size in sizes]
    whole = draw_latents(network, stream(1, 0, LATENT + 3), sum(sizes))
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    latents = mixing(6) @ whole.astype(np.float64)
    offset, scale = parameters(entry.category)
    expected = offset[:, None] + scale[:, None] * np.tanh(latents)
    np.testing.assert_allclose(network.columns_of_drawn(whole), expected, rtol=1e-5, atol=1e-4)
    # Who studies a network gives it normal numbers.
    np.testing.assert_allclose(network.columns(latents.astype(np.float32)), expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(network(latents.astype(np.float32)), expected, rtol=1e-5, atol=1e-4)


def test_the_same_muons_for_any_workers(tmp_path: Path) -> None:
    path = write_levelled_bundle(tmp_path / "levels").path
    made = [MuonGenerator(path, n=600_000, seed=3, workers=workers).to_batch() for workers in (1, 3)]
    for name, column in made[0].columns().items():
        np.testing.assert_array_equal(column, made[1].columns()[name])
    parts = [MuonGenerator(path, n=600_000, seed=3, shard=(k, 3)).to_batch() for k in (1, 2, 3)]
    np.testing.assert_array_equal(np.concatenate([part.px for part in parts]), made[0].px)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (3, "of muplus_onaxis is 3, not from 1 to 2"),
        (True, "stream"),
        ("2", "stream"),
        (2, "expected"),
    ],
)
def test_an_unknown_stream_is_an_error(tmp_path: Path, stated: object, message: str) -> None:
    bundle = write_test_bundle(tmp_path / "plain")
    assert {entry.stream for entry in bundle.entries} == {1}
    index = json.loads((bundle.path / "bundle.json").read_text())
    assert all("stream" not in entry for entry in index["categories"])
    edit_index(bundle.path, lambda index: index["categories"][0].update(stream=stated))
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle.path)
