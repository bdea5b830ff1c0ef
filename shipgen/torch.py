"""Muons as PyTorch tensors, made as they are read: a data set for training loops and shield optimisers.

>>> from torch.utils.data import DataLoader
>>> from shipgen.torch import MuonDataset
>>> loader = DataLoader(MuonDataset(1e7, seed=1, batch_size=65536), batch_size=None, num_workers=2)
>>> for muons in loader:
...     px, py, pz, x, y, z, pdg, weight = muons.T
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, MissingExtraError
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.shards import Shard

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as failure:
    raise MissingExtraError("shipgen.torch", "PyTorch", "torch") from failure

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Muons a tensor.
BATCH_SIZE = 65_536


class MuonDataset(IterableDataset[torch.Tensor]):
    """Muons in tensors: float32[batch_size, 8] of ``px py pz x y z pdg weight``; the last one may be shorter.

    A `DataLoader` of it takes ``batch_size=None``. Its workers make a part of the muons each; together they
    are the same muons for any number of workers. Iterating again makes the same muons again.

    Parameters
    ----------
    n_or_bundle, **options
        As for `shipgen.MuonGenerator`.
    batch_size : int
        Muons a tensor.
    frame, unit : str
        As there; those of the muon-shield codes when not given.

    Raises
    ------
    InputError
        A number is out of range.
    """

    def __init__(
        self,
        n_or_bundle: Any = None,
        /,
        *,
        batch_size: int = BATCH_SIZE,
        frame: str | float | None = "shield",
        unit: str = "m",
        **options: Any,
    ) -> None:
        super().__init__()
        if options.get("shard") is not None:
            raise InputError(f"shard = {options['shard']!r}: the workers of a DataLoader share the muons")
        # A draw of the seed has to be the same for all workers.
        self.generator = MuonGenerator(n_or_bundle, batch_size=batch_size, frame=frame, unit=unit, **options)

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        generator = self.generator
        if worker is not None and worker.num_workers > 1:
            generator = generator.part(Shard(worker.id + 1, worker.num_workers), workers=1)
        for batch in generator:
            yield batch.to_torch()

    def __len__(self) -> int:
        """Return the number of tensors without workers; each of these may add one that is shorter."""
        return len(self.generator)
