"""From a bundle and a plan to batches of muons: the library form of ``shipgen produce``."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from shipgen.batch import Batch
from shipgen.bundle import Bundle
from shipgen.categories import FEATURE_UNITS
from shipgen.errors import InputError
from shipgen.plan import Plan
from shipgen.streams import LATENT, MIXING, draw_seed, stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shipgen.plan import Chunk

#: Muons a call of a network. Part of what makes results reproducible: the last bits can depend on it.
BATCH_SIZE = 4096

_COLUMNS = tuple(FEATURE_UNITS)


class MuonGenerator:
    """Makes muons in batches; iterating again makes the same muons again.

    Parameters
    ----------
    bundle : Bundle or path, optional
        The networks; the default bundle when not given.
    n : number, optional
        Expected number of muons.
    pot : float, optional
        Protons on target to produce muons for; give this or `n`.
    seed : int, optional
        0 to 2**63 - 1; drawn anew when not given, see `plan.seed`.
    exact : bool
        Make exactly the expected number of muons instead of a Poisson number.
    workers : int, optional
        Threads; all available cores when not given. The muons do not depend on it.

    Raises
    ------
    InputError
        A number is out of range.
    BundleError
        The bundle cannot be used.

    Examples
    --------
    >>> for batch in MuonGenerator(n=1e6, seed=1):
    ...     print(len(batch), batch.pz.mean())
    """

    def __init__(
        self,
        bundle: Bundle | Path | str | None = None,
        *,
        n: float | None = None,
        pot: float | None = None,
        seed: int | None = None,
        exact: bool = False,
        workers: int | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.plan = Plan.make(
            [entry.rate for entry in self.bundle.entries],
            n=n,
            pot=pot,
            seed=draw_seed() if seed is None else seed,
            exact=exact,
        )
        if workers is not None and (workers != int(workers) or workers < 1):
            raise InputError(f"workers = {workers!r} is not a whole number above zero")
        self.workers = workers or len(os.sched_getaffinity(0))

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in the order of their chunks, made ahead of time by the workers."""
        if self.workers == 1:
            yield from map(self.make, self.plan)
            return
        waiting: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="shipgen")
        try:
            for chunk in self.plan:
                waiting.append(pool.submit(self.make, chunk))
                # One more than the workers: none idles, and memory stays bounded.
                if len(waiting) > self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def make(self, chunk: Chunk) -> Batch:
        """Make the muons of one chunk, its categories mixed."""
        rows = np.zeros((chunk.size, len(_COLUMNS)), np.float32)
        start = 0
        for entry, network, count in zip(
            self.bundle.entries, self.bundle.networks, chunk.counts, strict=True
        ):
            rng = stream(chunk.seed, chunk.index, LATENT + entry.category.number)
            first = len(_COLUMNS) - network.features  # x and y stay 0 on axis
            for begin in range(start, start + count, BATCH_SIZE):
                end = min(begin + BATCH_SIZE, start + count)
                latent = rng.standard_normal((end - begin, network.latent_size), np.float32)
                rows[begin:end, first:] = network(latent)
            start += count
        codes = np.array([entry.category.pdg for entry in self.bundle.entries], np.int32)
        order = stream(chunk.seed, chunk.index, MIXING).permutation(chunk.size)
        x, y, z, px, py, pz = np.ascontiguousarray(rows[order].T)
        weight = np.full(chunk.size, self.plan.weight, np.float32)
        return Batch(np.repeat(codes, chunk.counts)[order], x, y, z, px, py, pz, weight)
