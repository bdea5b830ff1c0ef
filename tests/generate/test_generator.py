from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import parameters
from shipgen import MuonGenerator
from shipgen.errors import BundleError, InputError
from shipgen.generate.streams import LATENT, stream
from shipgen.muons.batch import Batch
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle
    from shipgen.generate.plan import Chunk

N = 3 * CHUNK_SIZE


def concatenate(generator: MuonGenerator) -> dict[str, np.ndarray]:
    batches = [batch.columns() for batch in generator]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def muons(bundle: Bundle) -> dict[str, np.ndarray]:
    return concatenate(MuonGenerator(bundle, n=N, seed=1))


def test_counts_and_weights(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    for entry in bundle.entries:
        on_axis = (muons["x"] == 0) & (muons["y"] == 0)
        count = np.sum((muons["pdg"] == entry.category.pdg) & (on_axis == entry.category.on_axis))
        expected = N * entry.rate / bundle.rate
        assert abs(count - expected) < 5 * np.sqrt(expected)
    assert muons["weight"].sum() == len(muons["pdg"])
    assert muons["weight"].dtype == muons["x"].dtype == np.float32


def test_muons_are_the_networks(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    """Every muon of the first chunk is what NumPy makes of the latents of its category's stream."""
    plan = MuonGenerator(bundle, n=N, seed=1).plan
    chunk = plan.chunk(0)
    for entry, count in zip(bundle.entries, chunk.counts(4), strict=True):
        offset, scale = parameters(entry.category)
        rng = stream(1, 0, LATENT + entry.category.number)
        latent = rng.standard_normal((count, entry.latent_size), np.float32)
        expected = offset + scale * np.tanh(latent)
        first = {name: column[: chunk.size] for name, column in muons.items()}
        chosen = first["pdg"] == entry.category.pdg
        chosen &= ((first["x"] == 0) & (first["y"] == 0)) == entry.category.on_axis
        made = np.stack([first[name][chosen] for name in entry.category.features], axis=1)
        # Mixed within the chunk: compare sorted by pz.
        assert made.shape == expected.shape
        order_made, order_expected = (np.lexsort(rows.round(3).T) for rows in (made, expected))
        same = np.abs(made[order_made] - expected[order_expected]) < 1e-5 * 2 * scale
        # Rounding can swap neighbours in the order, never many.
        assert same.all(axis=1).mean() > 0.99


def test_same_muons_for_any_number_of_workers(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    for workers in (1, 2, 5):
        again = concatenate(MuonGenerator(bundle, n=N, seed=1, workers=workers))
        for name, column in muons.items():
            np.testing.assert_array_equal(again[name], column)


def test_seeds_differ(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    other = concatenate(MuonGenerator(bundle, n=N, seed=2))
    # float32 values of so many draws coincide by chance, whole rows never.
    rows = [np.stack([c["px"], c["py"], c["pz"]], axis=1)[:50_000] for c in (muons, other)]
    assert len(np.unique(np.concatenate(rows), axis=0)) == len(rows[0]) + len(rows[1])
    assert len(other["pz"]) != len(muons["pz"])


def test_chunks_and_categories_do_not_share_latents(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    del bundle
    # 786 k float32 draws below 49: chance doubles are common, a repeated stream would double them all.
    assert len(np.unique(muons["px"])) > 0.9 * len(muons["px"])


def test_categories_are_mixed(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    del bundle
    share = (muons["pdg"] == 13).mean()
    for part in np.array_split(muons["pdg"][:100_000], 20):
        # Any 5000 consecutive muons are a fair sample: 5 binomial standard deviations.
        assert abs((part == 13).mean() - share) < 5 * np.sqrt(share * (1 - share) / len(part))


def test_seed_is_drawn_when_not_given(bundle: Bundle) -> None:
    seeds = {MuonGenerator(bundle, n=10).plan.seed for _ in range(3)}
    assert len(seeds) == 3


def test_batch_as_awkward(bundle: Bundle) -> None:
    batch = next(iter(MuonGenerator(bundle, n=1000, seed=1, exact=True)))
    assert isinstance(batch, Batch)
    array = batch.to_awkward()
    assert len(array) == 1000
    np.testing.assert_array_equal(array.pz, batch.pz)


def test_workers_must_be_positive(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="workers = 0"):
        MuonGenerator(bundle, n=10, workers=0)


def test_large_batches_of_a_gpu_make_the_same_muons(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    """The path that a GPU takes, with the CPU's provider: larger calls of the same latents."""
    generator = MuonGenerator(bundle, n=N, seed=1)
    generator.networks = tuple(replace(network, device="cuda") for network in bundle.networks)
    made = concatenate(generator)
    for name, column in muons.items():
        np.testing.assert_allclose(made[name], column, rtol=1e-6, atol=1e-5)


class Spoiled:
    """A session whose muon number `place` of the call number `call` has `value` as its last feature."""

    def __init__(self, session: Any, value: float, call: int = 20, place: int = 17) -> None:
        self._session, self._value, self._left, self._place = session, value, call, place

    def run(self, *arguments: Any) -> Any:
        (muons,) = self._session.run(*arguments)
        if not self._left:
            muons[self._place, -1] = self._value
        self._left -= 1
        return [muons]


def spoiled(bundle: Bundle, value: float, call: int = 20) -> MuonGenerator:
    generator = MuonGenerator(bundle, n=N, seed=1, exact=True, workers=1)
    *rest, last = generator.networks
    generator.networks = (*rest, replace(last, _session=Spoiled(last._session, value, call)))
    return generator


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bundle: Bundle, value: float) -> None:
    """One muon in a chunk of 262,144 is enough."""
    with pytest.raises(BundleError, match=r"made 1 of \d+,\d+ muons .* not finite \(seed 1, chunk 0\)"):
        list(spoiled(bundle, value).run(lambda _, __: None))


def test_huge_numbers_are_finite(bundle: Bundle) -> None:
    assert max(float(batch.pz.max()) for batch in spoiled(bundle, 3e38)) == np.float32(3e38)


def test_run_works_in_order_from_any_chunk(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    generator = MuonGenerator(bundle, n=N, seed=1, workers=3)
    found = list(generator.run(lambda chunk, batch: (chunk.index, batch.pz.copy()), first=1))
    assert [index for index, _ in found] == [*range(1, len(generator.plan))]
    np.testing.assert_array_equal(np.concatenate([pz for _, pz in found]), muons["pz"][CHUNK_SIZE:])


def test_batches_can_be_kept(bundle: Bundle, muons: dict[str, np.ndarray]) -> None:
    batches = list(MuonGenerator(bundle, n=N, seed=1, workers=2))
    np.testing.assert_array_equal(np.concatenate([batch.pz for batch in batches]), muons["pz"])


def test_a_failure_in_a_worker_is_raised(bundle: Bundle) -> None:
    def fail(chunk: Chunk, batch: Batch) -> None:
        del batch
        if chunk.index == 1:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(MuonGenerator(bundle, n=20 * N, seed=1, workers=2).run(fail))
