"""Muons as tensors: the same for any number of workers. PyTorch is no part of what the tests install."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen import generate_muons
from shipgen.errors import InputError

torch = pytest.importorskip("torch")

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

N = 50_000


@pytest.mark.parametrize(("workers", "way"), [(0, None), (2, "fork"), (2, "spawn")])
def test_workers_share_the_muons(bundle: Bundle, workers: int, way: str | None) -> None:
    from shipgen.torch import MuonDataset

    dataset = MuonDataset(bundle, n=N, seed=1, batch_size=8192)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=way
    )
    tensors = list(loader)
    found = torch.cat(tensors).numpy()
    assert {len(tensor) for tensor in tensors} >= {8192}
    expected = generate_muons(bundle, n=N, seed=1, frame="shield", unit="m").to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
    if not workers:
        assert len(tensors) == len(dataset)
        np.testing.assert_array_equal(found, expected)


def test_a_shard_is_refused(bundle: Bundle) -> None:
    from shipgen.torch import MuonDataset

    with pytest.raises(InputError, match="the workers of a DataLoader share the muons"):
        MuonDataset(bundle, n=N, shard="1/2")
